//! The judge over data that somebody brings: cases, tables, scores, and what is said of faults; and by a source, which the
//! coordinator asks.

use std::sync::{Arc, Mutex};

use echelon_proto::wire::control::{GateChunk, TryGateRequest};
use futures::stream;
use serde_json::Value;
use tonic::Status;

use crate::{
    fake::{Fake, Kept},
    shell::{Ran, Shell, flags},
};

async fn judge(args: &[&str], input: &str) -> Ran {
    let shell = Shell {
        input: input.as_bytes().to_vec(),
        ..Shell::default()
    };
    shell.run(&[&["judge"], args].concat()).await
}

fn values(ran: &Ran) -> Vec<Value> {
    ran.out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn cases_are_judged_in_their_order_one_verdict_a_line() {
    let input = r#"{"name": "errors", "kind": "count", "control": [60, 61], "canary": [190, 180]}

{"name": "classic", "kind": "kayenta", "control": [1, 2, 3, 2, 1, 3, 2, 2], "canary": [7, 8, 9, 8, 7, 9, 8, null]}
{"name": "nothing", "kind": "ratio", "control": [], "canary": []}"#;
    let ran = judge(&["try", "--cases"], input).await;
    assert_eq!((ran.exit, ran.err.as_str()), (0, ""));
    let told = values(&ran);
    let verdicts: Vec<_> = told
        .iter()
        .map(|told| (told["name"].as_str(), told["verdict"].as_str()))
        .collect();
    let wanted = [("errors", "fail"), ("classic", "high"), ("nothing", "no_data")];
    assert_eq!(verdicts, wanted.map(|(name, verdict)| (Some(name), Some(verdict))));
    let fields: Vec<_> = told[0].as_object().unwrap().keys().map(String::as_str).collect();
    let mut wanted = [
        "name",
        "verdict",
        "statistic",
        "low",
        "high",
        "estimate",
        "deviation",
        "reason",
        "looks",
    ];
    wanted.sort_unstable();
    assert_eq!(fields, wanted);
    assert_eq!(told[0]["looks"], 1);
    assert_eq!(told[2]["statistic"], Value::Null);
}

#[tokio::test]
async fn a_line_that_is_no_case_is_told_with_its_number_and_the_rest_is_judged() {
    let input = "{\"name\": \"a\", \"kind\": \"count\", \"control\": [1], \"canary\": [1]}\nnonsense\n\n\
                 {\"kind\": \"count\", \"control\": [1], \"canary\": [1], \"tolerence\": 2}\n\
                 {\"name\": \"b\", \"kind\": \"count\", \"control\": [1], \"canary\": [NaN]}\n\
                 {\"name\": \"z\", \"kind\": \"count\", \"control\": [1], \"canary\": [1]}\n";
    let ran = judge(&["try", "--cases"], input).await;
    assert_eq!(ran.exit, 2);
    let names: Vec<_> = values(&ran).iter().map(|told| told["name"].clone()).collect();
    assert_eq!(names, ["a", "z"]);
    let faults: Vec<_> = ran.err.lines().collect();
    assert_eq!(faults.len(), 3, "{}", ran.err);
    assert!(faults[0].contains("line 2: this is no object of JSON"), "{}", ran.err);
    assert!(
        faults[1].contains("line 4: `tolerence` is no field of a count"),
        "{}",
        ran.err
    );
    assert!(faults[2].contains("line 5: "), "{}", ran.err);
}

#[tokio::test]
async fn the_help_gives_the_form() {
    let ran = judge(&["try", "--help"], "").await;
    assert_eq!(ran.exit, 0);
    for word in [
        "control_before",
        "allowed_increase",
        "\"no_data\"",
        "exit code is 2",
        "--metric errors=ratio,of=requests",
    ] {
        assert!(ran.out.contains(word), "{word}: {}", ran.out);
    }
    let ran = judge(&["try"], "").await;
    assert_eq!(ran.exit, 2, "{ran:?}");
}

#[tokio::test]
async fn a_score_weighs_groups_and_is_not_given_when_a_line_is_bad() {
    let case = |name: &str, group: &str, canary: u32| {
        let values = |from: u32| {
            (0..30)
                .map(|i| (from * 10 + i).to_string())
                .collect::<Vec<_>>()
                .join(",")
        };
        format!(
            "{{\"name\": \"{name}\", \"kind\": \"kayenta\", \"group\": \"{group}\", \"control\": [{}], \"canary\": [{}]}}\n",
            values(10),
            values(canary)
        )
    };
    let input = case("a", "errors", 10) + &case("b", "latency", 10) + &case("c", "latency", 20);
    let ran = judge(
        &["score", "--weight", "errors=60", "--pass", "90", "--marginal", "70"],
        &input,
    )
    .await;
    assert_eq!((ran.exit, ran.err.as_str()), (0, ""));
    let score = &values(&ran)[0];
    assert_eq!(
        (score["score"].as_f64(), score["verdict"].as_str()),
        (Some(80.0), Some("marginal"))
    );
    let ran = judge(&["score"], &(input.clone() + "{}\n")).await;
    assert_eq!((ran.exit, ran.out.as_str()), (2, ""));
    assert!(ran.err.contains("line 4: `kind` is missing"), "{}", ran.err);
    assert_eq!(judge(&["score"], "").await.exit, 2);
    assert_eq!(
        judge(&["score", "--weight", "a=60", "--weight", "b=60"], &input)
            .await
            .exit,
        2
    );
}

#[tokio::test]
async fn a_table_is_judged_column_by_column() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("samples.csv");
    let mut table = "time,host,arm,cpu,errors,requests\n".to_owned();
    for time in 0..40 {
        for host in 0..40 {
            let (arm, times) = if host < 12 && time >= 20 {
                ("canary", 1.2)
            } else {
                ("control", 1.0)
            };
            let arm = if host < 12 { "canary" } else { arm };
            let noise = (f64::from(host * 31 + time * 17) * 0.618_033_988_749_894_9).fract() / 20.0;
            let cpu = (50.0 + f64::from(host % 5) * 9.0) * (1.0 + noise) * times;
            table += &format!("{},web-{host},{arm},{cpu},{},1000\n", time * 60, 1 + host % 3);
        }
    }
    std::fs::write(&file, table).unwrap();
    let file = file.display().to_string();
    let metrics = ["--metric", "cpu=gauge", "--metric", "errors=ratio,of=requests"];
    let ran = judge(&[&["try", &file, "--deployed", "1200"], &metrics[..]].concat(), "").await;
    assert_eq!((ran.exit, ran.err.as_str()), (0, ""), "{ran:?}");
    assert!(
        ran.out.contains("✖ cpu  fail") && ran.out.contains("Welch's t over 12 canary and 28 control hosts"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("⚠ errors  inconclusive"), "{}", ran.out);
    let ran = judge(&[&["try", &file, "-o", "json"], &metrics[..]].concat(), "").await;
    assert_eq!(values(&ran)[0].as_array().unwrap().len(), 2, "{ran:?}");
    let ran = judge(&["try", &file, "--metric", "memory=gauge"], "").await;
    assert!(
        ran.exit == 2 && ran.err.contains("there are cpu, errors, requests"),
        "{ran:?}"
    );
    let ran = judge(&["try", "/nonexistent.csv", "--metric", "cpu=gauge"], "").await;
    assert!(ran.exit == 1 && ran.err.contains("/nonexistent.csv"), "{ran:?}");
}

/// Answers with a gate that failed, in pieces, and keeps what was asked.
async fn trying() -> (Fake, Arc<Mutex<Vec<TryGateRequest>>>) {
    let fake = Fake::start().await;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let kept = asked.clone();
    let case = r#"{"kind":"count","control":[10,12,11],"canary":[40,44,41],"share":0.5}"#;
    let judged = echelon_judge::Case::read(case).unwrap().judge();
    let verdict = serde_json::to_string(&judged.verdict).unwrap();
    let text = format!(
        r#"{{"rollout":"try","datacenter":"dc1","gate":"compare","source":"graphite","since":1700000000000,"upto":1700000180000,"every":60000,"canary":["h1"],"control":["h2","h3"],"metrics":[{{"name":"errors","query":"app.*.errors","case":{case},"verdict":{verdict}}}]}}"#
    );
    fake.on("try_gate", move |request: TryGateRequest| -> Result<Kept, Status> {
        kept.lock().unwrap().push(request);
        let (one, two) = text.split_at(100);
        let pieces = [one, two].map(|piece| Ok(GateChunk { data: piece.into() }));
        Ok(Box::pin(stream::iter(pieces)))
    });
    (fake, asked)
}

async fn asking(fake: &Fake, args: &[&str]) -> Ran {
    let flags = flags(fake);
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    Shell::default().run(&[&["judge", "try"], args, &flags].concat()).await
}

#[tokio::test]
async fn a_gate_said_on_the_command_line_is_asked_of_the_coordinator_and_judged_again() {
    let (fake, asked) = trying().await;
    let ran = asking(
        &fake,
        &[
            "--source",
            "graphite",
            "--label",
            "target",
            "--host",
            "${{ host.name }}",
            "--ask",
            "errors: { kind: count, query: 'aliasByNode(app.*.errors, 1)' }",
            "--deployed",
            "1700000000.5",
            "--until",
            "2023-11-14T22:16:20Z",
            "--canary",
            "h1",
            "--control",
            "h2,h3",
        ],
    )
    .await;
    assert_eq!((ran.exit, ran.err.as_str()), (0, ""));
    for line in [
        "compare of try in dc1: 1 canary and 2 control hosts",
        "errors  fail",
        "computed again from what was kept: the same",
    ] {
        assert!(ran.out.contains(line), "{line}: {}", ran.out);
    }
    let asked = asked.lock().unwrap();
    let [request] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!(
        (request.gate.as_str(), &request.canary[..]),
        ("try", &["hosts/h1".to_owned()][..])
    );
    assert_eq!(request.control, ["hosts/h2", "hosts/h3"]);
    let time = |stamp: &Option<prost_types::Timestamp>| stamp.map(|stamp| (stamp.seconds, stamp.nanos));
    assert_eq!(time(&request.deploy_time), Some((1_700_000_000, 500_000_000)));
    assert_eq!(time(&request.end_time), Some((1_700_000_180, 0)));
    let playbook = echelon_playbooks::read(&request.text).unwrap().playbook;
    assert!(format!("{:?}", playbook.gates).contains("aliasByNode"));
}

#[tokio::test]
async fn a_gate_of_a_playbook_is_asked_with_its_parameters_filled_in() {
    let (fake, asked) = trying().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.yaml");
    let gate = "gates:\n  compare: { kind: canary, source: graphite, label: target, host: \"${{ host.name }}\", for: \"${{ \
                params.look }}\", metrics: { cpu: { kind: gauge, query: cpu } } }\n";
    let text = include_str!("shop.yaml")
        .replace("gates:\n", gate)
        .replace("[health, signoff]", "[health, compare]");
    let text = format!("{text}params: {{ look: {{ type: span }} }}\n");
    std::fs::write(&file, text).unwrap();
    let path = file.display().to_string();
    let base = [
        "--playbook",
        &path,
        "--gate",
        "compare",
        "--param",
        "look=42m",
        "--deployed",
        "1700000000",
    ];
    let ran = asking(
        &fake,
        &[&base[..], &["--canary", "h1", "--control", "h2", "-o", "json"]].concat(),
    )
    .await;
    assert_eq!((ran.exit, ran.err.as_str()), (0, ""));
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap()["gate"], "compare");
    let asked = asked.lock().unwrap();
    let playbook = echelon_playbooks::read(&asked[0].text).unwrap().playbook;
    assert!(playbook.params.is_empty(), "{}", asked[0].text);
    assert!(asked[0].text.contains("42m"), "{}", asked[0].text);
    assert_eq!(asked[0].end_time, None);
}

#[tokio::test]
async fn a_gate_that_is_none_is_told_without_asking_anybody() {
    let live = |ask: &'static str| {
        let words = [
            "try",
            "--source",
            "p",
            "--label",
            "l",
            "--host",
            "h",
            "--deployed",
            "1",
            "--canary",
            "h1",
            "--control",
            "h2",
            "--ask",
        ];
        [&words[..], &[ask]].concat()
    };
    let ran = judge(&live("cpu: { kind: gouge, query: x }"), "").await;
    assert_eq!(ran.exit, 2, "{ran:?}");
    assert!(ran.err.contains("gouge") && ran.err.contains("gauge"), "{}", ran.err);
    for words in [
        &["try", "--canary", "h1", "--control", "h2", "--deployed", "1"][..],
        &["try", "--canary", "h1", "--deployed", "1"],
        &["try", "--canary", "h1", "--control", "h2"],
        &[
            "try",
            "--playbook",
            "p.yaml",
            "--canary",
            "h1",
            "--control",
            "h2",
            "--deployed",
            "1",
        ],
        &["try", "--cases", "--canary", "h1", "--control", "h2", "--deployed", "1"],
        &["try", "samples.csv", "--metric", "cpu=gauge", "--source", "p"],
    ] {
        let ran = judge(words, "").await;
        assert_eq!((ran.exit, ran.out.as_str()), (2, ""), "{words:?}: {ran:?}");
    }
}
