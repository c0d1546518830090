//! Looks against a made-up source: what becomes of samples, of their absence, and of a verdict.

use std::{collections::BTreeMap as Map, fmt::Write as _};

use echelon_engine::gate::canary::Says;
use echelon_judge::kept::Kept;
use echelon_playbooks::model::{Canary, GateKind};
use echelon_proto::{HostId, SourceName};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
    time::timeout,
};

use super::*;
use crate::{
    config::{SourceConfig, SourceKind},
    driver::Letter,
    samples,
    source::{
        Patience,
        standin::{Says as Answers, server},
    },
};

const HOSTS: [usize; 2] = [6, 14];

/// The gate of a playbook with these metrics.
fn canary(metrics: &str) -> Canary {
    let text = format!(
        "name: web\nversion: 1\nhosts: {{ selector: app=web }}\nmachine:\n  initial: absent\n  states: {{ absent: {{ traffic: \
         none }}, serving: {{ traffic: full }} }}\n  phases:\n    - {{ name: install, from: absent, to: serving, sets: release, \
         run: {{ argv: [a] }}, timeout: 1m, undo: gone }}\n    - {{ name: leave, from: serving, to: absent, run: {{ argv: [b] }}, \
         timeout: 1m, undo: gone }}\n  compensations: [{{ name: gone, run: {{ argv: [c] }}, timeout: 1m }}]\n  operations: {{ \
         deploy: {{ to: serving, release: target }} }}\ngates:\n  compare: {{ kind: canary, source: prom, label: instance, host: \
         \"${{{{ host.name }}}}\", every: 1s, before: 10s, for: 20s, metrics: {{ {metrics} }} }}\nstages:\n  - name: roll\n    \
         deploy:\n      operation: deploy\n      waves:\n        - {{ name: few, size: 6, gates: [compare] }}\n        - {{ name: \
         all, size: 100% }}\n      max_unavailable: 10\n      max_parallel: 10\n"
    );
    let playbook = echelon_playbooks::read(&text).unwrap_or_else(|faults| panic!("{faults}"));
    match &playbook.playbook.gates.values().next().unwrap().kind {
        GateKind::Canary(canary) => (**canary).clone(),
        other => panic!("{other:?}"),
    }
}

fn comparison(metrics: &str) -> Comparison {
    let arm = |name: &str, hosts: usize| -> Map<String, HostId> {
        let names = (0..hosts).map(|at| format!("{name}{at}"));
        names.map(|name| (name.clone(), HostId::new(name).unwrap())).collect()
    };
    let canary = canary(metrics);
    // Long over: nothing waits for the clock.
    let since = Time(1_700_000_000_000);
    Comparison {
        rollout: "r1".parse().unwrap(),
        datacenter: "dc1".parse().unwrap(),
        wave: 0,
        gate: "compare".parse().unwrap(),
        metrics: u32::try_from(canary.metrics.len()).unwrap(),
        canary,
        treated: arm("new", HOSTS[0]),
        control: arm("old", HOSTS[1]),
        opened: Time(since.0 - 30_000),
        since,
    }
}

/// A source in which a metric of `new` hosts is so many times that of `old` ones, told by its query: `cpu:1.2`. Every
/// host differs and no two samples are the same. `none`: no series. `site`: one series, of all hosts at once.
async fn source() -> (Sources, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let serving = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = vec![0; 16 * 1024];
            let count = stream.read(&mut buffer).await.unwrap();
            let request = String::from_utf8_lossy(&buffer[..count]).into_owned();
            let body = told(&request);
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all((head + &body).as_bytes()).await;
        }
    });
    let config = SourceConfig {
        name: SourceName::new("prom").unwrap(),
        kind: SourceKind::Prometheus,
        url,
    };
    let sources = Sources::new(&[config], Patience::default(), Arc::default()).unwrap();
    (sources, serving)
}

fn told(request: &str) -> String {
    let part = |key: &str| {
        let (_, rest) = request.split_once(&format!("{key}=")).unwrap();
        rest.split(['&', ' ']).next().unwrap().replace("%3A", ":")
    };
    let (query, start, end): (_, f64, f64) = (
        part("query"),
        part("start").parse().unwrap(),
        part("end").parse().unwrap(),
    );
    let (what, times) = query.split_once(':').unwrap_or((&query, "1"));
    let times: f64 = times.parse().unwrap();
    let deployed = 1_700_000_000.0;
    let mut series = Vec::new();
    for (arm, hosts) in [("new", HOSTS[0]), ("old", HOSTS[1])] {
        for host in (0..hosts).filter(|_| what != "none") {
            let mut values = String::new();
            let mut at = start;
            while at <= end {
                let harm = if arm == "new" && at > deployed { times } else { 1.0 };
                let level = if what == "bad" { 2.0 } else { 100.0 + host as f64 };
                let wobble = 1.0 + 0.02 * ((at * 7.0 + host as f64 * 3.0) % 5.0 - 2.0);
                write!(values, "[{at},\"{}\"],", level * harm * wobble).unwrap();
                at += 1.0;
            }
            let values = values.trim_end_matches(',');
            series.push(format!(
                r#"{{"metric":{{"instance":"{arm}{host}"}},"values":[{values}]}}"#
            ));
        }
    }
    if what == "site" {
        series.truncate(1);
        series[0] = series[0].replace(r#""instance":"new0""#, "");
    }
    let result = series.join(",");
    format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{result}]}}}}"#)
}

async fn looked(metrics: &str) -> Looked {
    looked_at(metrics, 20).await
}

async fn looked_at(metrics: &str, count: usize) -> Looked {
    let (sources, serving) = source().await;
    let comparison = Arc::new(comparison(metrics));
    let looked = timeout(Duration::from_secs(60), look(&sources, &comparison, count))
        .await
        .unwrap();
    serving.abort();
    looked
}

#[tokio::test]
async fn harm_of_one_metric_is_the_first_word_of_all() {
    let metrics = "slow: { kind: gauge, query: \"cpu:1.2\" }, same: { kind: gauge, query: \"cpu:1\" }, gone: { kind: count, \
                   query: none }";
    let Looked { look, kept } = looked(metrics).await;
    assert_eq!(look.says, Says::Fail, "{}", look.evidence);
    assert!(look.evidence.starts_with("slow: fail, "), "{}", look.evidence);
    assert!(
        look.evidence.ends_with("; gone: no data; same: pass"),
        "{}",
        look.evidence
    );
    assert_eq!(look.upto, Time(1_700_000_020_000));
    assert_eq!((kept.canary.len(), kept.control.len()), (HOSTS[0], HOSTS[1]));
    for metric in &kept.metrics {
        let again = metric.again().expect("its samples are kept").unwrap();
        assert!(again.is_same, "{} is not judged the same again", metric.name);
    }
}

#[tokio::test]
async fn no_harm_of_any_passes_and_one_without_samples_is_never_a_pass() {
    let same = "same: { kind: gauge, query: \"cpu:1\" }, errors: { kind: ratio, query: \"bad:1\", of: \"cpu:1\", margin: 100% }";
    let Looked { look, .. } = looked(same).await;
    assert_eq!(look.says, Says::Pass, "{}", look.evidence);
    for absent in [
        "gone: { kind: gauge, query: none }",
        "gone: { kind: latency, query: none }",
        "gone: { kind: guard, query: none, above: 1 }",
        "gone: { kind: ratio, query: none, of: \"cpu:1\" }",
        "gone: { kind: ratio, query: \"bad:1\", of: none }",
    ] {
        let Looked { look, .. } = looked(&format!("same: {{ kind: gauge, query: \"cpu:1\" }}, {absent}")).await;
        assert_eq!(look.says, Says::NoData, "{absent}: {}", look.evidence);
    }
}

#[tokio::test]
async fn errors_and_bounds_are_judged_too() {
    let errors = "errors: { kind: ratio, query: \"bad:3\", of: \"cpu:1\", tolerance: 10% }";
    assert_eq!(looked(errors).await.look.says, Says::Fail);
    let count = "restarts: { kind: count, query: \"bad:4\", tolerance: 10% }";
    assert_eq!(looked(count).await.look.says, Says::Fail);
    assert_eq!(
        looked("slo: { kind: guard, query: \"cpu:9\", above: 500 }")
            .await
            .look
            .says,
        Says::Fail
    );
}

#[tokio::test]
async fn a_forecast_holds_the_canary_against_its_own_past_and_leaves_the_time_between_open() {
    let orders =
        |query: &str| format!("orders: {{ kind: forecast, query: \"{query}\", past: 200s, direction: either }}");
    let Looked { look, .. } = looked(&orders("cpu:1.5")).await;
    assert_eq!(look.says, Says::Fail, "{}", look.evidence);
    let Looked { look, .. } = looked(&orders("cpu:1")).await;
    assert_eq!(look.says, Says::Pass, "{}", look.evidence);
    for (query, says) in [("site:1.5", Says::Fail), ("site:1", Says::Pass), ("none", Says::NoData)] {
        let Looked { look, .. } = looked(&orders(query)).await;
        assert_eq!(look.says, says, "{query}: {}", look.evidence);
    }
    let Looked { look, .. } = looked("cpu: { kind: gauge, query: \"site:1\" }").await;
    assert!(look.evidence.contains("no label `instance`"), "{}", look.evidence);
    // The wave opened 30 samples before its window: four seasons of seven, and two more.
    let seasonal = "orders: { kind: forecast, query: \"cpu:1\", past: 200s, season: 7s }";
    let Looked { kept, .. } = looked(seasonal).await;
    let case: serde_json::Value = serde_json::from_str(kept.metrics[0].case.as_ref().unwrap().get()).unwrap();
    let history = case["history"].as_array().unwrap();
    assert_eq!(
        (history.len(), case["canary"].as_array().unwrap().len(), &case["season"]),
        (202, 20, &7.into())
    );
    assert!(history[199].is_number() && history[200].is_null() && history[201].is_null());
    assert!(case["metrics"] == 1 && case.get("control").is_none());
}

#[tokio::test]
async fn the_classic_judge_waits_for_the_end_of_the_window_and_puts_its_metrics_together() {
    let heap = |query: &str, more: &str| format!("{{ kind: kayenta, query: \"{query}\", direction: increase{more} }}");
    let bad = format!("heap: {}", heap("cpu:1.3", ""));
    let Looked { look, kept } = looked_at(&bad, 19).await;
    assert_eq!(look.says, Says::Inconclusive, "{}", look.evidence);
    assert!(
        look.evidence.contains("looks when the window is over"),
        "{}",
        look.evidence
    );
    assert!(kept.metrics[0].case.is_none() && kept.is_score_same().is_none());
    for count in [20, 27] {
        let Looked { look, kept } = looked_at(&bad, count).await;
        assert_eq!(look.says, Says::Fail, "{}", look.evidence);
        assert!(
            look.evidence
                .starts_with("score: fail, 0.00 of 100: ungrouped 0.00 at 100.00 %"),
            "{}",
            look.evidence
        );
        assert_eq!(kept.is_score_same(), Some(true));
        let case: serde_json::Value = serde_json::from_str(kept.metrics[0].case.as_ref().unwrap().get()).unwrap();
        assert_eq!(case["canary"].as_array().unwrap().len(), 20, "by whole windows only");
    }
    let weighed = |weight: &str| {
        let (heap, cpu) = (heap("cpu:1.3", ", groups: [system]"), heap("cpu:1", ", groups: [load]"));
        format!("heap: {heap}, cpu: {cpu} }}, score: {{ weights: {{ system: {weight} }}")
    };
    for (weight, says) in [("5%", Says::Pass), ("20%", Says::Inconclusive), ("30%", Says::Fail)] {
        let Looked { look, mut kept } = looked(&weighed(weight)).await;
        assert_eq!(look.says, says, "{}", look.evidence);
        // Whoever alters what was kept is found out.
        let score = kept.score.as_mut().unwrap();
        score.settings.weights.insert("system".to_owned(), 50.0);
        assert_eq!(kept.is_score_same(), Some(false));
    }
}

#[tokio::test]
async fn what_the_classic_judge_takes_for_zeros_is_no_data_and_others_decide_beside_it() {
    let replaced = "heap: { kind: kayenta, query: none, nan: replace }";
    let Looked { look, .. } = looked(replaced).await;
    assert_eq!(look.says, Says::NoData, "{}", look.evidence);
    let critical = "heap: { kind: kayenta, query: none, critical: true }, a: { kind: kayenta, query: \"cpu:1\", direction: \
                    increase }, b: { kind: kayenta, query: \"cpu:1\", direction: increase }";
    assert_eq!(looked(critical).await.look.says, Says::NoData);
    let both =
        "heap: { kind: kayenta, query: \"cpu:1\", direction: increase }, slow: { kind: gauge, query: \"cpu:1.2\" }";
    let Looked { look, kept } = looked(both).await;
    assert_eq!(look.says, Says::Fail, "{}", look.evidence);
    assert!(look.evidence.ends_with("; score: pass"), "{}", look.evidence);
    assert!(
        kept.metrics
            .iter()
            .all(|metric| metric.again().unwrap().unwrap().is_same)
    );
}

#[tokio::test]
async fn latencies_are_judged_host_by_host_each_with_its_own_past() {
    let Looked { look, kept } = looked("slow: { kind: latency, query: \"cpu:1.2\" }").await;
    assert_eq!(look.says, Says::Fail, "{}", look.evidence);
    let case: serde_json::Value = serde_json::from_str(kept.metrics[0].case.as_ref().unwrap().get()).unwrap();
    assert_eq!(case["canary_before"].as_object().unwrap().len(), HOSTS[0]);
    assert_eq!(case["intervals"], 20);
}

#[tokio::test]
async fn alpha_is_the_playbooks_and_goes_to_those_that_spend_it() {
    let metrics = "cpu: { kind: gauge, query: \"cpu:1\" }, heap: { kind: kayenta, query: \"cpu:1\" }, slo: { kind: guard, query: \
                   \"cpu:1\", above: 500 } }, alpha: 0.2, score: { pass: 90";
    let Looked { kept, .. } = looked(metrics).await;
    let cases = kept.metrics.iter().map(|metric| {
        let case: serde_json::Value = serde_json::from_str(metric.case.as_ref().unwrap().get()).unwrap();
        (metric.name.as_str(), case["alpha"].as_f64())
    });
    let cases: Vec<_> = cases.collect();
    assert_eq!(cases, [("cpu", Some(0.2)), ("heap", None), ("slo", None)]);
}

#[tokio::test]
async fn a_source_that_is_not_there_is_no_data_and_says_so() {
    let sources = Sources::new(&[], Patience::default(), Arc::default()).unwrap();
    let comparison = Arc::new(comparison("slow: { kind: gauge, query: \"cpu:1.2\" }"));
    let Looked { look, kept } = look(&sources, &comparison, 20).await;
    assert_eq!(look.says, Says::NoData);
    assert!(look.evidence.contains("there is no source `prom`"), "{}", look.evidence);
    assert!(kept.metrics[0].case.is_none());
}

/// A look by a source of this kind that answers so: what it says, and all that stands in the journal of it.
async fn looked_by(kind: SourceKind, url: &str) -> Looked {
    let config = SourceConfig {
        name: SourceName::new("prom").unwrap(),
        kind,
        url: url.parse().unwrap(),
    };
    let patience = Patience {
        timeout: Duration::from_millis(300),
        tries: 2,
        wait: Duration::from_millis(2),
    };
    let sources = Sources::new(&[config], patience, Arc::default()).unwrap();
    // Harm and no harm: neither may be said of what was not seen.
    let comparison = Arc::new(comparison(
        "slow: { kind: gauge, query: \"cpu:1.2\" }, slo: { kind: guard, query: cpu, above: 1 }",
    ));
    let looked = timeout(Duration::from_secs(60), look(&sources, &comparison, 20)).await;
    looked.expect("it is bounded")
}

fn no_data(looked: &Looked, why: &str, of: &str) {
    assert_eq!(looked.look.says, Says::NoData, "{of}: {}", looked.look.evidence);
    assert!(
        looked.look.evidence.contains(why),
        "{of} should tell {why:?}: {}",
        looked.look.evidence
    );
    assert!(looked.kept.metrics.iter().all(|metric| metric.case.is_none()), "{of}");
}

#[tokio::test]
async fn a_source_that_is_down_is_no_data() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    for kind in [SourceKind::Prometheus, SourceKind::Graphite] {
        no_data(&looked_by(kind, &url).await, "2 tries failed", "down");
    }
}

#[tokio::test]
async fn a_source_that_is_slow_or_answers_by_half_is_no_data() {
    let half = r#"{"status":"success","data":{"resultType":"matrix","result":["#;
    for kind in [SourceKind::Prometheus, SourceKind::Graphite] {
        for says in [Answers::Silence, Answers::Half(half.to_owned())] {
            let server = server(vec![says]).await;
            no_data(&looked_by(kind, &server.url).await, "2 tries failed", "slow");
        }
    }
}

#[tokio::test]
async fn a_source_that_answers_something_else_is_no_data() {
    for (kind, why) in [
        (SourceKind::Prometheus, "not that of a range query"),
        (SourceKind::Graphite, "not that of a render request"),
    ] {
        for body in ["<html>", "{\"cpu\": 1}"] {
            let server = server(vec![Answers::This("200 OK", body.to_owned())]).await;
            no_data(&looked_by(kind, &server.url).await, why, body);
        }
        let server = server(vec![Answers::This("404 Not Found", String::new())]).await;
        no_data(&looked_by(kind, &server.url).await, "404 Not Found", "404");
    }
}

#[tokio::test]
async fn a_source_with_a_million_series_or_without_an_end_is_no_data() {
    let many = |one: &dyn Fn(usize) -> String| (0..=20_000).map(one).collect::<Vec<_>>().join(",");
    let prometheus = format!(
        r#"{{"status":"success","data":{{"resultType":"matrix","result":[{}]}}}}"#,
        many(&|at| format!(r#"{{"metric":{{"instance":"new{at}"}},"values":[[1700000001,"1"]]}}"#))
    );
    let graphite = many(&|at| format!(r#"{{"target":"new{at}","datapoints":[]}}"#));
    for (kind, body) in [
        (SourceKind::Prometheus, prometheus),
        (SourceKind::Graphite, format!("[{graphite}]")),
    ] {
        let server = server(vec![Answers::This("200 OK", body)]).await;
        no_data(&looked_by(kind, &server.url).await, "more than 20000 series", "series");
    }
    for kind in [SourceKind::Prometheus, SourceKind::Graphite] {
        let server = server(vec![Answers::NoEnd]).await;
        let looked = looked_by(kind, &server.url).await;
        // Where the machine is too slow for so many bytes within the patience, it is the patience that ends it.
        let why = if looked.look.evidence.contains("longer than") {
            "longer than 32 MiB"
        } else {
            "2 tries failed"
        };
        no_data(&looked, why, "no end");
    }
}

#[tokio::test]
async fn what_agents_measured_is_no_data_when_the_coordinator_was_started_in_between() {
    let of_agents = |comparison: Comparison| {
        let canary = Canary {
            source: SourceName::new("agents").unwrap(),
            label: "host".parse().unwrap(),
            ..comparison.canary
        };
        Arc::new(Comparison { canary, ..comparison })
    };
    let comparison = of_agents(comparison(
        "slow: { kind: gauge, query: load }, slo: { kind: guard, query: load, above: 500 }",
    ));
    let before = comparison.opened.0 - comparison.canary.before.0;
    for (began, wanted) in [(before, Says::Fail), (comparison.since.0 + 1, Says::NoData)] {
        let kept = samples::Samples::new(Time(began));
        for second in (before / 1000..).take_while(|second| *second <= comparison.since.0 / 1000 + 20) {
            let arms = [(&comparison.treated, 2.0), (&comparison.control, 1.0)];
            for (at, (host, harm)) in arms
                .iter()
                .flat_map(|(arm, harm)| arm.values().map(move |host| (host, harm)))
                .enumerate()
            {
                let harm = if second > comparison.since.0 / 1000 { *harm } else { 1.0 };
                let wobble = ((second * 7 + at as u64 * 3) % 5) as f64;
                // Hosts differ, and not by arm.
                let value = harm * (100.0 + (at * 7 % 20) as f64) + wobble;
                kept.take(
                    host,
                    Time(second * 1000),
                    [("load".to_owned(), value)],
                    Time(second * 1000),
                );
            }
        }
        let sources = Sources::new(&[], Patience::default(), Arc::new(kept)).unwrap();
        let Looked { look, .. } = look(&sources, &comparison, 20).await;
        assert_eq!(look.says, wanted, "{}", look.evidence);
        let says_why = look.evidence.contains("knows nothing of the time before");
        assert_eq!(says_why, wanted == Says::NoData, "{}", look.evidence);
    }
}

#[tokio::test]
async fn only_so_many_gates_are_tried_at_once_and_nothing_is_told_to_the_engine() {
    let (sources, serving) = source().await;
    let trials = Trials::new(Arc::new(sources));
    let one = || trials.look(comparison("slow: { kind: gauge, query: \"cpu:1.2\" }"), 20);
    let (first, second, third) = tokio::join!(one(), one(), one());
    assert!(third.is_none(), "it is told at once, and not kept waiting");
    for kept in [first, second] {
        let metric = &kept.expect("there is room").metrics[0];
        assert!(metric.verdict.get().contains("\"fail\""), "{}", metric.verdict);
    }
    assert!(one().await.is_some());
    serving.abort();
}

#[tokio::test]
async fn it_looks_at_once_after_a_restart_keeps_what_it_saw_and_stops_when_nothing_is_owed() {
    let folder = tempfile::tempdir().unwrap();
    let decisions = Arc::new(Decisions::open(folder.path(), 1 << 20).unwrap());
    let (sources, serving) = source().await;
    let (inbox, mut letters) = Inbox::new();
    let canaries = Canaries::new(Arc::new(sources), decisions.clone(), inbox);
    let comparison = comparison("slow: { kind: gauge, query: \"cpu:1.2\" }");
    let key = Key::Canary(
        comparison.rollout.clone(),
        comparison.datacenter.clone(),
        comparison.gate.clone(),
    );
    let owed = Arc::new(Effect::Canary(comparison.clone()));
    canaries.changed(&[(key.clone(), Some(owed))]);
    let letter = timeout(Duration::from_secs(60), letters.recv()).await.unwrap().unwrap();
    let Letter::Event(event, then) = letter else {
        panic!("{letter:?}")
    };
    let Event::CanaryLooked { since, look, .. } = *event else {
        panic!("{event:?}")
    };
    assert_eq!((since, look.says), (comparison.since, Says::Fail));
    // Both windows, the prolonged one too, were long over.
    assert_eq!(look.upto, comparison.since + Span::secs(40));
    let kept = decisions.newest(&comparison.rollout, &comparison.gate, None, Some(0));
    let kept: Kept = serde_json::from_slice(&kept.unwrap().unwrap()).unwrap();
    assert_eq!((kept.gate.as_str(), kept.upto), ("compare", look.upto.0));
    canaries.changed(&[(key, None)]);
    then(Ok(echelon_engine::Reply::Done));
    assert!(canaries.working.lock().unwrap().is_empty());
    serving.abort();
}
