//! What people ask of a host from afar, and `echelon-agent doctor` on it.

use std::{
    fs::{self, Permissions},
    io::Write as _,
    os::unix::fs::{PermissionsExt as _, symlink},
    time::Duration,
};

use echelon_proto::wire::link::{
    self as wire, Ask, AskDoctor, AskNoMore, AskProcesses, AskReleases, AskTail, FindingHealth, PhaseResult,
    answer::What as Said, ask::What, coordinator_message::Body,
};

use crate::{
    coordinator::Coordinator,
    sandbox::{Sandbox, order},
};

async fn ask(coordinator: &mut Coordinator, number: u64, what: What) -> wire::Answer {
    let what = Some(what);
    coordinator.say(Body::Ask(Ask { number, what })).await;
    let answer = coordinator.answer().await;
    assert_eq!(answer.number, number);
    answer
}

/// A question that is answered in one piece.
async fn once(coordinator: &mut Coordinator, number: u64, what: What) -> Said {
    let answer = ask(coordinator, number, what).await;
    if !answer.last {
        let end = coordinator.answer().await;
        assert!(end.last && end.what.is_none() && end.number == number, "{end:?}");
    }
    answer.what.unwrap()
}

fn tail(sandbox: &Sandbox, file: &str, lines: u32, follow: bool) -> What {
    What::Tail(AskTail {
        path: sandbox.path(file).to_str().unwrap().to_owned(),
        lines,
        follow,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_says_what_runs_on_it_what_lies_on_it_and_how_it_is() {
    let mut coordinator = Coordinator::start().await;
    let sandbox = Sandbox::joined(&coordinator).await;
    coordinator.attached().await;
    fs::create_dir_all(sandbox.path("apps/web/releases/1.0")).unwrap();
    symlink("releases/1.0", sandbox.path("apps/web/current")).unwrap();
    coordinator.order(&order(1, "sleep 45")).await;

    let processes = What::Processes(AskProcesses { app: "web".into() });
    let looking = async {
        for number in 1.. {
            let Said::Processes(all) = once(&mut coordinator, number, processes.clone()).await else {
                panic!("no processes");
            };
            if let Some(sleep) = all.processes.iter().find(|one| one.command == "sleep 45") {
                return (number, sleep.clone());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        unreachable!("it looks on")
    };
    let (number, sleep) = tokio::time::timeout(crate::coordinator::SOON, looking).await.unwrap();
    assert!(
        sleep.pid > 1 && sleep.memory_bytes > 0 && sleep.started_ms > 0,
        "{sleep:?}"
    );

    let releases = What::Releases(AskReleases { app: String::new() });
    let Said::Releases(all) = once(&mut coordinator, number + 1, releases).await else {
        panic!("no releases");
    };
    let all: Vec<_> = all
        .releases
        .iter()
        .map(|one| (one.app.as_str(), one.release.as_str(), one.current))
        .collect();
    assert_eq!(all, [("web", "1.0", true)]);

    let doctor = What::Doctor(AskDoctor { now_ms: 1000 });
    let Said::Findings(all) = once(&mut coordinator, number + 2, doctor).await else {
        panic!("no findings");
    };
    let of = |check: &str| all.findings.iter().find(|finding| finding.check == check).unwrap();
    assert_eq!(
        of("clock").health(),
        FindingHealth::Fault,
        "ours is half a century behind"
    );
    assert!(of("clock").seen.contains("ahead of") && !of("clock").mend.is_empty());
    assert_eq!(
        of("certificate").health(),
        FindingHealth::Well,
        "{:?}",
        of("certificate")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_path_is_refused_and_an_unknown_question_too() {
    let mut coordinator = Coordinator::start().await;
    let sandbox = Sandbox::joined(&coordinator).await;
    coordinator.attached().await;
    fs::create_dir_all(sandbox.path("apps/web/logs")).unwrap();
    fs::write(sandbox.path("apps/web/logs/web.log"), "one\ntwo\nthree\n").unwrap();
    symlink("/etc/passwd", sandbox.path("apps/web/logs/passwd")).unwrap();
    symlink(sandbox.path("state/identity.pem"), sandbox.path("apps/web/logs/key")).unwrap();

    let said = once(&mut coordinator, 1, tail(&sandbox, "apps/web/logs/web.log", 2, false)).await;
    assert_eq!(said, Said::Data(b"two\nthree\n".to_vec()));
    let hostile = [
        "apps/web/logs/passwd",
        "apps/web/logs/key",
        "apps/web/logs/../../../state/identity.pem",
        "state/identity.pem",
        "agent.toml",
    ];
    for (number, path) in (2..).zip(hostile) {
        let Said::Refused(why) = once(&mut coordinator, number, tail(&sandbox, path, 10, false)).await else {
            panic!("{path} is shown");
        };
        assert!(why.contains("this host") && !why.contains("root:"), "{why}");
    }
    coordinator.say(Body::Ask(Ask { number: 20, what: None })).await;
    let answer = coordinator.answer().await;
    assert!(answer.last && matches!(answer.what, Some(Said::Refused(why)) if why.contains("does not know")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_followed_does_not_hold_up_reports_and_ends_when_nobody_waits() {
    let mut coordinator = Coordinator::start().await;
    let sandbox = Sandbox::joined(&coordinator).await;
    coordinator.attached().await;
    fs::create_dir_all(sandbox.path("apps/web/logs")).unwrap();
    let log = sandbox.path("apps/web/logs/web.log");
    fs::write(&log, "begin\n").unwrap();
    let first = ask(&mut coordinator, 1, tail(&sandbox, "apps/web/logs/web.log", 10, true)).await;
    assert_eq!(first.what, Some(Said::Data(b"begin\n".to_vec())));
    // Far more than goes over the line in the time of this test.
    let mut file = fs::File::options().append(true).open(&log).unwrap();
    file.write_all(&b"a line of a log that floods\n".repeat(1 << 20))
        .unwrap();
    coordinator.answer().await;

    coordinator.order(&order(1, "exit 0")).await;
    let report = coordinator.report().await;
    assert_eq!(report.result(), PhaseResult::Done, "{}", report.message);

    coordinator
        .say(Body::Ask(Ask {
            number: 1,
            what: Some(What::NoMore(AskNoMore {})),
        }))
        .await;
    // What is asked next is answered, and after it there is nothing more of the first.
    coordinator
        .say(Body::Ask(Ask {
            number: 2,
            what: Some(What::Releases(AskReleases { app: String::new() })),
        }))
        .await;
    while coordinator.answer().await.number != 2 {}
    let quiet = tokio::time::timeout(Duration::from_secs(2), async {
        while coordinator.answer().await.number == 2 {}
    });
    assert!(quiet.await.is_err(), "it goes on though nobody waits");
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_looks_without_an_agent_and_ends_as_it_found_the_host() {
    let mut coordinator = Coordinator::start().await;
    let mut sandbox = Sandbox::joined(&coordinator).await;
    coordinator.attached().await;
    sandbox.kill();
    let said = sandbox.command(&["doctor"]).await;
    let out = text(&said.stdout);
    assert!(said.status.success(), "{out}{}", text(&said.stderr));
    for well in ["✔ clock ", "✔ certificate ", "✔ coordinator ", "✔ state folder "] {
        assert!(out.contains(well), "{well}: {out}");
    }

    fs::set_permissions(sandbox.path("state/identity.pem"), Permissions::from_mode(0o644)).unwrap();
    coordinator.stop().await;
    let said = sandbox.command(&["doctor"]).await;
    let out = text(&said.stdout);
    assert!(!said.status.success(), "{out}");
    assert!(out.contains("✖ certificate ") && out.contains("chmod it 0600"), "{out}");
    assert!(out.contains("✖ coordinator ") && out.contains("to mend"), "{out}");
    assert_eq!(text(&said.stderr), "echelon-agent: 2 things are wrong with this host\n");
}
