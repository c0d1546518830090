//! One phase, ordered and reported, whatever is killed meanwhile.

use std::{fs, time::Duration};

use echelon_proto::wire::link::{PhaseResult, TcpCheck, action::Kind};
use tokio::net::TcpListener;

use crate::{
    coordinator::Coordinator,
    sandbox::{Sandbox, end_runs, fence, is_alive, kill_supervisors, order, sh, standing, until},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_phase_runs_with_its_environment_and_reports_code_tail_standing_and_whole_output() {
    let mut coordinator = Coordinator::start().await;
    let sandbox = Sandbox::joined(&coordinator).await;
    let hello = coordinator.attached().await;
    assert_eq!(hello.labels["rack-row"], "r7");
    assert!(hello.standings.is_empty() && hello.facts.unwrap().cores > 0);

    let script = "echo $ECHELON_APP $ECHELON_HOST $ECHELON_ROLLOUT $ECHELON_PHASE $ECHELON_ATTEMPT $ECHELON_LABEL_RACK_ROW; \
                  pwd; echo to stderr >&2; exit 3";
    coordinator.order(&order(1, script)).await;
    let report = coordinator.report().await;
    assert_eq!(report.result(), PhaseResult::Failed);
    assert_eq!((report.exit_code, report.signal), (Some(3), None));
    assert!(report.message.contains("exit code 3"), "{}", report.message);
    let cwd = sandbox.path("apps/web").canonicalize().unwrap();
    let wanted = format!("web h1 r1 start 1 r7\n{}\nto stderr", cwd.display());
    assert_eq!(report.tail, wanted);
    let stands = report.standing.unwrap();
    assert_eq!(
        (stands.state.as_str(), stands.error.contains("exit code 3")),
        ("stopped", true)
    );
    assert_eq!(coordinator.whole_output(&fence(1)).await, wanted + "\n");

    coordinator.order(&order(2, "true")).await;
    let report = coordinator.report().await;
    assert_eq!((report.result(), report.sequence), (PhaseResult::Done, 2));
    assert_eq!(report.standing.unwrap(), standing("running"));
    let status = sandbox.command(&["status"]).await;
    let status = String::from_utf8(status.stdout).unwrap();
    assert!(
        status.contains("app web: running") && status.contains("not acknowledged yet"),
        "{status}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_comes_again_is_answered_and_not_run_again_also_by_a_new_agent() {
    let mut coordinator = Coordinator::start().await;
    let mut sandbox = Sandbox::joined(&coordinator).await;
    coordinator.attached().await;
    let script = order(1, "echo ran >> ../ran");
    coordinator.order(&script).await;
    let first = coordinator.report().await;
    coordinator.order(&script).await;
    assert_eq!(coordinator.report().await, first);

    sandbox.kill();
    sandbox.start();
    let hello = coordinator.attached().await;
    assert_eq!(hello.standings, [standing("running")]);
    assert_eq!(coordinator.report().await, first, "it was not acknowledged");
    coordinator.ack(first.sequence).await;
    coordinator.order(&script).await;
    let again = coordinator.report().await;
    assert_eq!((again.fence, again.result), (first.fence, first.result));

    let mut old = order(1, "echo old >> ../ran");
    old.fence.as_mut().unwrap().rollout = "r2".to_owned();
    old.fence.as_mut().unwrap().term = 0;
    coordinator.order(&old).await;
    assert_eq!(coordinator.report().await.result(), PhaseResult::Refused);
    assert_eq!(sandbox.read("apps/ran"), "ran\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_in_mid_phase_takes_it_up_without_a_second_run_or_a_gap() {
    let mut coordinator = Coordinator::start().await;
    let mut sandbox = Sandbox::joined(&coordinator).await;
    coordinator.attached().await;
    let script = "echo ran >> ../ran; for i in 1 2 3 4 5 6 7 8; do echo line $i; sleep 0.4; done; exit 7";
    coordinator.order(&order(1, script)).await;
    until("the program runs", || sandbox.path("apps/ran").exists()).await;
    sandbox.kill();
    sandbox.start();
    let hello = coordinator.attached().await;
    assert_eq!(hello.running, [fence(1)]);
    // The coordinator, which knows no better, orders it again.
    coordinator.order(&order(1, script)).await;
    let report = coordinator.report().await;
    assert_eq!((report.result(), report.exit_code), (PhaseResult::Failed, Some(7)));
    let lines: String = (1..=8).map(|i| format!("line {i}\n")).collect();
    assert_eq!(coordinator.whole_output(&fence(1)).await, lines);
    assert_eq!(sandbox.read("apps/ran"), "ran\n");
    assert!(coordinator.hears_no_report_for(Duration::from_millis(500)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phase_that_ends_while_no_agent_runs_is_reported_by_the_next() {
    let mut coordinator = Coordinator::start().await;
    let mut sandbox = Sandbox::joined(&coordinator).await;
    coordinator.attached().await;
    coordinator
        .order(&order(1, "echo ran >> ../ran; sleep 1; echo end >> ../ran; exit 5"))
        .await;
    until("the program runs", || sandbox.path("apps/ran").exists()).await;
    sandbox.kill();
    until("the program ends", || sandbox.read("apps/ran") == "ran\nend\n").await;
    sandbox.start();
    assert_eq!(coordinator.report().await.exit_code, Some(5));
    assert_eq!(sandbox.read("apps/ran"), "ran\nend\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_at_random_moments_runs_each_phase_once() {
    let mut coordinator = Coordinator::start().await;
    let mut sandbox = Sandbox::joined(&coordinator).await;
    coordinator.attached().await;
    for attempt in 1..=8 {
        let mut order = order(attempt, &format!("echo {attempt} >> ../ran; sleep 0.1"));
        order.from_state = String::new();
        coordinator.order(&order).await;
        // From before the ledger is written to after the program has ended.
        tokio::time::sleep(Duration::from_millis(u64::from(attempt) * 17)).await;
        sandbox.kill();
        sandbox.start();
        coordinator.attached().await;
        // Lost on the way if the kill came first; then this is the one that is run.
        coordinator.order(&order).await;
        let report = loop {
            let report = coordinator.report().await;
            if report.fence.as_ref() == Some(&fence(attempt)) {
                break report;
            }
        };
        assert_eq!(report.result(), PhaseResult::Done, "{}", report.message);
        coordinator.ack(report.sequence).await;
    }
    let ran: String = (1..=8).map(|attempt| format!("{attempt}\n")).collect();
    assert_eq!(sandbox.read("apps/ran"), ran);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_that_is_killed_means_lost_unless_verify_knows_better_and_nothing_runs_on() {
    let mut coordinator = Coordinator::start().await;
    let sandbox = Sandbox::joined(&coordinator).await;
    coordinator.attached().await;
    for (attempt, verify, wanted) in [
        (1, None, PhaseResult::Lost),
        (2, Some("test -e ../done"), PhaseResult::Done),
    ] {
        let mut order = order(attempt, "echo $$ > ../pid; touch ../done; sleep 60");
        order.verify = verify.map(sh);
        let _ = fs::remove_file(sandbox.path("apps/pid"));
        let _ = fs::remove_file(sandbox.path("apps/done"));
        coordinator.order(&order).await;
        until("the program runs", || sandbox.path("apps/done").exists()).await;
        kill_supervisors(&sandbox);
        let report = coordinator.report().await;
        assert_eq!(report.result(), wanted, "{}", report.message);
        assert!(!is_alive(&sandbox.read("apps/pid")), "the program was ended");
        coordinator.ack(report.sequence).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_ends_the_whole_process_group_also_what_ignores_sigterm() {
    let mut coordinator = Coordinator::start().await;
    let sandbox = Sandbox::joined(&coordinator).await;
    coordinator.attached().await;
    let child = "sh -c 'trap \"\" TERM; echo $$ > ../child; while true; do sleep 1; done' &";
    let mut order = order(1, &format!("{child} echo $$ > ../parent; echo begun; sleep 60"));
    order.timeout_ms = 1500;
    coordinator.order(&order).await;
    let report = coordinator.report().await;
    assert_eq!(report.result(), PhaseResult::TimedOut);
    assert_eq!((report.signal, report.tail.as_str()), (Some(15), "begun"));
    assert!(report.message.contains("1s 500ms"), "{}", report.message);
    assert!(!is_alive(&sandbox.read("apps/parent")) && !is_alive(&sandbox.read("apps/child")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_phase_leaves_running_holds_nothing_up_and_is_left_alone() {
    let mut coordinator = Coordinator::start().await;
    let sandbox = Sandbox::joined(&coordinator).await;
    coordinator.attached().await;
    coordinator
        .order(&order(1, "sleep 50 & echo $! > ../daemon; echo started"))
        .await;
    let report = coordinator.report().await;
    assert_eq!((report.result(), report.tail.as_str()), (PhaseResult::Done, "started"));
    assert_eq!(coordinator.whole_output(&fence(1)).await, "started\n");
    assert!(is_alive(&sandbox.read("apps/daemon")));
    end_runs(&sandbox.path("state/runs"));
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_is_asked_before_and_after() {
    let mut coordinator = Coordinator::start().await;
    let sandbox = Sandbox::joined(&coordinator).await;
    coordinator.attached().await;
    let mut wanted = order(1, "echo ran >> ../ran");
    wanted.verify = Some(sh("echo asked; test -e ../up"));
    coordinator.order(&wanted).await;
    let report = coordinator.report().await;
    assert_eq!(report.result(), PhaseResult::Failed);
    assert!(
        report.message.contains("verify does not hold") && report.message.contains("exit code 1"),
        "{report:?}"
    );
    fs::write(sandbox.path("apps/up"), "").unwrap();
    wanted.fence = Some(fence(2));
    coordinator.order(&wanted).await;
    let report = coordinator.report().await;
    assert_eq!(report.result(), PhaseResult::AlreadyDone);
    assert_eq!(report.standing.unwrap(), standing("running"));
    assert_eq!(sandbox.read("apps/ran"), "ran\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_cannot_be_started_is_named() {
    let mut coordinator = Coordinator::start().await;
    let _sandbox = Sandbox::joined(&coordinator).await;
    coordinator.attached().await;
    let mut wanted = order(1, "");
    let mut run = |attempt, change: &dyn Fn(&mut echelon_proto::wire::link::Run)| {
        let mut run = echelon_proto::wire::link::Run {
            argv: vec!["no-such-program".to_owned()],
            ..Default::default()
        };
        change(&mut run);
        wanted.fence = Some(fence(attempt));
        wanted.action.as_mut().unwrap().kind = Some(echelon_proto::wire::link::action::Kind::Run(run));
        wanted.clone()
    };
    let cases = [
        (run(1, &|_| {}), "\"no-such-program\" cannot be started: No such file"),
        (
            run(2, &|run| run.cwd = "/no/such/folder".to_owned()),
            "/no/such/folder is no folder",
        ),
        (
            run(3, &|run| run.cwd = "not/there".to_owned()),
            "apps/web/not/there is no folder",
        ),
        (
            run(4, &|run| run.user = "no-such-user".to_owned()),
            "no user \"no-such-user\"",
        ),
    ];
    for (order, message) in cases {
        coordinator.order(&order).await;
        let report = coordinator.report().await;
        assert_eq!((report.result(), report.exit_code), (PhaseResult::Failed, None));
        assert!(report.message.contains(message), "{}", report.message);
    }
    coordinator.order(&run(5, &|run| run.argv.clear())).await;
    let report = coordinator.report().await;
    assert_eq!(report.result(), PhaseResult::Refused);
    assert!(report.message.contains("1 to 1024 arguments"), "{}", report.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_was_waiting_when_the_agent_was_killed_waits_on() {
    let mut coordinator = Coordinator::start().await;
    let mut sandbox = Sandbox::joined(&coordinator).await;
    coordinator.attached().await;
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut order = order(1, "");
    order.action.as_mut().unwrap().kind = Some(Kind::Tcp(TcpCheck {
        address: address.to_string(),
        interval_ms: 50,
        ..TcpCheck::default()
    }));
    coordinator.order(&order).await;
    until("the attempt is in the ledger", || {
        sandbox.read("state/ledger").contains("running")
    })
    .await;
    sandbox.kill();
    sandbox.start();
    assert_eq!(coordinator.attached().await.running, [fence(1)]);
    let _listener = TcpListener::bind(address).await.unwrap();
    assert_eq!(coordinator.report().await.result(), PhaseResult::Done);
}
