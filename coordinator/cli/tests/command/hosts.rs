//! `host label`, `doctor`, `processes`, `releases`, `tail`: what they send, what they show, and how they end.

use echelon_proto::wire::control::{ask_host_request::What, ask_host_response::Answer, *};
use futures::{StreamExt as _, stream};
use serde_json::Value;
use tonic::Code;

use crate::{
    fake::{Fake, Pieces},
    shell::run,
    things::refusal,
};

fn pieces(answers: Vec<Answer>) -> Pieces {
    let answers = answers.into_iter();
    stream::iter(answers.map(|answer| Ok(AskHostResponse { answer: Some(answer) }))).boxed()
}

fn finding(check: &str, health: &str) -> HostFinding {
    HostFinding {
        check: check.into(),
        health: health.into(),
        seen: format!("seen {check}"),
        mend: if health == "well" {
            String::new()
        } else {
            format!("mend {check}")
        },
    }
}

#[tokio::test]
async fn a_sick_host_is_exit_1_and_a_healthy_one_0() {
    let fake = Fake::start().await;
    fake.on("ask_host", |request: AskHostRequest| {
        assert_eq!(request.what, Some(What::Doctor(AskHostDoctor {})));
        let clock = if request.name == "hosts/web-1" {
            "fault"
        } else {
            "warning"
        };
        let findings = vec![finding("clock", clock), finding("ledger", "well")];
        Ok(pieces(vec![Answer::Findings(HostFindings { findings })]))
    });
    let sick = run(&fake, "host doctor web-1").await;
    assert_eq!((sick.exit, sick.err.as_str()), (1, ""));
    assert!(
        sick.out.contains("✖ fault") && sick.out.contains("mend clock") && sick.out.contains("✔ well"),
        "{}",
        sick.out
    );
    let well = run(&fake, "host doctor web-2 --output json").await;
    assert_eq!(well.exit, 0, "{}", well.err);
    let json: Value = serde_json::from_str(&well.out).unwrap();
    assert_eq!(json[0]["health"], "warning");
}

#[tokio::test]
async fn the_end_of_a_file_is_shown_as_it_is_but_for_what_would_steer_the_terminal() {
    let fake = Fake::start().await;
    fake.on("ask_host", |request: AskHostRequest| {
        let Some(What::Tail(tail)) = request.what else {
            panic!("{request:?}")
        };
        assert_eq!(
            (tail.path.as_str(), tail.lines, tail.follow),
            ("/var/log/web.log", Some(3), false)
        );
        let data = |text: &str| Answer::Data(text.into());
        Ok(pieces(vec![data("one\ntw"), data("o\x1b[2J\nend")]))
    });
    let said = run(&fake, "host tail web-1 /var/log/web.log -n 3").await;
    assert_eq!(said.exit, 0, "{}", said.out);
    assert!(
        said.out.starts_with("one\ntwo") && said.out.ends_with("end\n"),
        "{}",
        said.out
    );
    assert!(!said.out.contains('\x1b'), "{}", said.out);
}

#[tokio::test]
async fn what_runs_and_what_lies_on_a_host_are_tables() {
    let fake = Fake::start().await;
    fake.on("ask_host", |request: AskHostRequest| {
        Ok(pieces(vec![match request.what.unwrap() {
            What::Processes(of) => {
                assert_eq!(of.app, "web");
                let process = HostProcess {
                    pid: 42,
                    user: "web".into(),
                    state: "S".into(),
                    command: "./web --port 80".into(),
                    ..HostProcess::default()
                };
                Answer::Processes(HostProcesses {
                    processes: vec![process],
                })
            }
            What::Releases(of) => {
                assert_eq!(of.app, "");
                let release = HostRelease {
                    app: "web".into(),
                    release: "1.1.0".into(),
                    current: true,
                    install_time: None,
                };
                Answer::Releases(HostReleases {
                    releases: vec![release],
                })
            }
            other => panic!("{other:?}"),
        }]))
    });
    let processes = run(&fake, "host processes web-1 web").await;
    assert!(
        processes.exit == 0 && processes.out.contains("./web --port 80"),
        "{}",
        processes.out
    );
    let releases = run(&fake, "host releases web-1").await;
    assert!(
        releases.exit == 0 && releases.out.contains("1.1.0") && releases.out.contains('✔'),
        "{}",
        releases.out
    );
}

#[tokio::test]
async fn who_may_not_ask_is_exit_4_and_a_host_that_is_away_is_exit_1() {
    let fake = Fake::start().await;
    fake.on("ask_host", |request: AskHostRequest| -> Result<Pieces, _> {
        Err(match request.name.as_str() {
            "hosts/web-1" => refusal(Code::PermissionDenied, "vera has the role viewer", "PERMISSION_DENIED"),
            _ => refusal(Code::FailedPrecondition, "host web-2 is not reachable", "WRONG_STATE"),
        })
    });
    assert_eq!(run(&fake, "host doctor web-1").await.exit, 4);
    let away = run(&fake, "host tail web-2 /var/log/web.log").await;
    assert_eq!(away.exit, 1);
    assert!(away.err.contains("host web-2 is not reachable"), "{}", away.err);
}

#[tokio::test]
async fn labels_are_given_and_taken_away() {
    let fake = Fake::start().await;
    let asked = fake.record::<LabelHostRequest, _>("label_host", Host::default());
    assert_eq!(run(&fake, "host label web-1 rack=r7 old- --dry-run").await.exit, 0);
    let asked = asked.lock().unwrap().remove(0);
    assert_eq!((asked.name.as_str(), asked.validate_only), ("hosts/web-1", true));
    assert_eq!(
        (asked.set, asked.remove),
        ([("rack".to_owned(), "r7".to_owned())].into(), vec!["old".to_owned()])
    );
    assert_eq!(run(&fake, "host label web-1 rack").await.exit, 2);
    assert_eq!(run(&fake, "host label web-1").await.exit, 2);
}
