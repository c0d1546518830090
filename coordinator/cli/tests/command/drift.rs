//! `drift` and `converge`: what they send, what they show, and how they end.

use echelon_proto::wire::control::*;
use serde_json::Value;
use tonic::Code;

use crate::{fake::Fake, shell::run, things::refusal};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn drift(host: &str, verdict: &str) -> Drift {
    Drift {
        app: "web".into(),
        datacenter: "dc1".into(),
        host: host.into(),
        verdict: verdict.into(),
        why: format!("why {host}"),
        ..Drift::default()
    }
}

fn summary(verdicts: &[(&str, u32)]) -> DriftSummary {
    DriftSummary {
        app: "web".into(),
        datacenter: "dc1".into(),
        hosts: verdicts.iter().map(|(_, hosts)| hosts).sum(),
        verdicts: verdicts
            .iter()
            .map(|(name, hosts)| ((*name).to_owned(), *hosts))
            .collect(),
        drifted: verdicts.iter().any(|(name, _)| *name != "in_line"),
    }
}

#[tokio::test]
async fn drift_is_read_page_by_page_and_has_its_exit_code() {
    let fake = Fake::start().await;
    fake.on("list_drift", |request: ListDriftRequest| {
        assert_eq!(
            (
                request.app.as_str(),
                request.datacenter.as_str(),
                request.host.as_str(),
                request.all
            ),
            ("web", "dc1", "", true)
        );
        let (hosts, next) = match request.page_token.as_str() {
            "" => (vec![drift("web-1", "missing"), drift("web-2", "in_line")], "more"),
            "more" => (vec![drift("web-3", "unreachable")], ""),
            other => panic!("{other}"),
        };
        Ok(ListDriftResponse {
            drifts: hosts,
            next_page_token: next.into(),
            summaries: vec![summary(&[("in_line", 1), ("missing", 1), ("unreachable", 1)])],
        })
    });
    let ran = run(&fake, "drift web --dc dc1 --all").await;
    assert_eq!(ran.exit, 0, "{ran:?}");
    let lines: Vec<_> = ran.out.lines().map(str::trim_end).collect();
    assert_eq!(
        lines,
        [
            "✖ web",
            "  ✖ dc1  3 hosts: 1 in line, 1 missing, 1 unreachable",
            "      ✖ web-1  missing  why web-1",
            "      ✔ web-2  in line",
            "      ✖ web-3  unreachable  why web-3",
        ]
        .map(|line| line.replace("missing  why", "missing      why"))
    );
    assert!(ran.err.contains("next: echelon converge web"), "{ran:?}");
    let ran = run(&fake, "drift web --dc dc1 --all --detailed-exitcode --output ndjson").await;
    assert_eq!(ran.exit, 10, "{ran:?}");
    let verdicts: Vec<_> = ran.out.lines().map(|line| json(line)["verdict"].clone()).collect();
    assert_eq!(verdicts, ["missing", "in_line", "unreachable"]);
    let ran = run(&fake, "drift web --dc dc1 --all --limit 2").await;
    assert!(
        ran.err.contains("higher --limit") && !ran.out.contains("web-3"),
        "{ran:?}"
    );
}

#[tokio::test]
async fn without_drift_the_exit_code_is_0_and_nothing_is_to_be_typed() {
    let fake = Fake::start().await;
    let answer = ListDriftResponse {
        summaries: vec![summary(&[("in_line", 3)])],
        ..ListDriftResponse::default()
    };
    fake.record::<ListDriftRequest, _>("list_drift", answer);
    let ran = run(&fake, "drift --detailed-exitcode").await;
    assert_eq!(
        (ran.exit, ran.out.as_str(), ran.err.as_str()),
        (0, "✔ web\n  ✔ dc1  3 hosts: 3 in line\n", ""),
        "{ran:?}"
    );
    fake.record::<ListDriftRequest, _>("list_drift", ListDriftResponse::default());
    let ran = run(&fake, "drift").await;
    assert!(ran.exit == 0 && ran.err.contains("nothing stands anywhere"), "{ran:?}");
}

#[tokio::test]
async fn converge_shows_its_plan_as_plan_does_and_says_what_it_leaves_out() {
    let fake = Fake::start().await;
    let plan = Plan {
        name: "plans/p1".into(),
        app: "web".into(),
        release: "1.1.0".into(),
        playbook: "web@3".into(),
        operation: "deploy".into(),
        lanes: vec![PlannedLane {
            datacenter: "dc1".into(),
            waves: vec![PlannedWave {
                wave: "canary".into(),
                hosts: vec![PlannedHost {
                    host: "web-3".into(),
                    from_state: "absent".into(),
                    phases: vec!["install".into()],
                    ..PlannedHost::default()
                }],
                gates: Vec::new(),
            }],
            ..PlannedLane::default()
        }],
        left_out: (1..8)
            .map(|host| LeftOut {
                host: format!("api-{host}"),
                why: "not reachable".into(),
            })
            .collect(),
        ..Plan::default()
    };
    let asked = fake.record::<CreatePlanRequest, _>("create_plan", plan);
    let line =
        "converge web --release 1.1.0 --playbook web --operation deploy --dc dc1 --host web-3 --detailed-exitcode";
    let ran = run(&fake, line).await;
    assert_eq!(ran.exit, 10, "{ran:?}");
    assert!(ran.out.contains("web-3  from absent: install"), "{ran:?}");
    for part in [
        "left out: api-1: not reachable",
        "and 2 more",
        "next: echelon start --plan p1",
    ] {
        assert!(ran.err.contains(part), "{part}: {ran:?}");
    }
    let expected = CreatePlanRequest {
        app: "web".into(),
        release: "1.1.0".into(),
        playbook: "web".into(),
        operation: "deploy".into(),
        datacenters: vec!["dc1".into()],
        hosts: vec!["web-3".into()],
        converge: true,
        ..Default::default()
    };
    assert_eq!(*asked.lock().unwrap(), [expected]);
    let ran = run(&fake, "converge web --output json").await;
    assert_eq!(json(&ran.out)["left_out"][0]["host"], "api-1", "{ran:?}");
}

#[tokio::test]
async fn nothing_to_converge_is_done_and_a_choice_to_make_is_an_error() {
    let fake = Fake::start().await;
    for (code, reason, exit) in [
        (Code::FailedPrecondition, "NOTHING_TO_DO", 0),
        (Code::InvalidArgument, "INVALID", 2),
    ] {
        let status = refusal(code, "web-3 stands where it should", reason);
        fake.on("create_plan", move |_: CreatePlanRequest| {
            Err::<Plan, _>(status.clone())
        });
        let ran = run(&fake, "converge web").await;
        assert_eq!(ran.exit, exit, "{reason}: {ran:?}");
        assert!(
            ran.err.contains("web-3 stands where it should") && ran.out.is_empty(),
            "{ran:?}"
        );
    }
}
