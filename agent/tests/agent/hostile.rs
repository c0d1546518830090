//! Programs that do their worst, each as a phase of the real agent: bounded in time, output and processes, named in the
//! report, and the next order works.

use std::{fs, os::unix::fs::MetadataExt as _};

use echelon_proto::{
    limits::{OUTPUT_BYTES_MAX, TAIL_BYTES_MAX},
    wire::link::{Leftovers, Order, PhaseResult, Report},
};

use crate::{
    coordinator::Coordinator,
    sandbox::{Sandbox, fence, is_alive, order, sh, until},
};

/// An agent, and its coordinator.
struct Pair {
    coordinator: Coordinator,
    sandbox: Sandbox,
}

impl Pair {
    async fn new() -> Self {
        let mut coordinator = Coordinator::start().await;
        let sandbox = Sandbox::joined(&coordinator).await;
        coordinator.attached().await;
        Self { coordinator, sandbox }
    }

    async fn runs(&mut self, order: Order) -> Report {
        self.coordinator.order(&order).await;
        let report = self.coordinator.report().await;
        self.coordinator.ack(report.sequence).await;
        report
    }

    /// What came before did no lasting harm.
    async fn goes_on(&mut self, attempt: u32) {
        let next = Order {
            from_state: String::new(),
            ..order(attempt, "echo well >> ../well")
        };
        let report = self.runs(next).await;
        assert_eq!(report.result(), PhaseResult::Done, "{}", report.message);
        assert_eq!(self.sandbox.read("apps/well"), "well\n");
    }
}

fn hasty(attempt: u32, script: &str) -> Order {
    Order {
        timeout_ms: 1500,
        ..order(attempt, script)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_never_exits_ignores_sigterm_and_stops_itself_is_ended() {
    let mut pair = Pair::new().await;
    let script = "echo $$ > ../pid; trap '' TERM INT HUP QUIT; (trap '' TERM; while :; do sleep 1; done) & kill -STOP $$; sleep 60";
    let report = pair.runs(hasty(1, script)).await;
    assert_eq!((report.result(), report.signal), (PhaseResult::TimedOut, Some(9)));
    assert!(report.message.contains("1s 500ms"), "{}", report.message);
    assert!(!is_alive(&pair.sandbox.read("apps/pid")));
    pair.goes_on(2).await;
}

/// Twice forked and in a session of its own, as daemons do it, with its output held open. It says goodbye when it is asked
/// to end.
const DAEMON: &str = "setsid sh -c 'sh -c \"trap \\\"echo told >> ../told; exit\\\" TERM; echo \\$\\$ > ../daemon; \
                      echo from the daemon; while :; do sleep 0.1; done\" &' & wait; \
                      until test -s ../daemon; do sleep 0.02; done; echo started";

/// One phase that leaves it running, by this rule.
async fn leaves_a_daemon(pair: &mut Pair, rule: Leftovers) -> (Report, String) {
    let order = Order {
        leftovers: rule.into(),
        ..order(1, DAEMON)
    };
    let report = pair.runs(order).await;
    let pid = pair.sandbox.read("apps/daemon").trim().to_owned();
    let named = report
        .leftovers
        .iter()
        .filter(|name| name.starts_with(&format!("{pid} sh -c trap")));
    assert_eq!(named.count(), 1, "{:?}", report.leftovers);
    assert!(report.tail.contains("started"), "{}", report.tail);
    (report, pid)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_turns_into_a_daemon_ends_with_its_program_and_the_daemon_is_named_and_left() {
    let mut pair = Pair::new().await;
    let (report, pid) = leaves_a_daemon(&mut pair, Leftovers::Unspecified).await;
    assert_eq!(report.result(), PhaseResult::Done, "{}", report.message);
    assert!(is_alive(&pid) && pair.sandbox.read("apps/told").is_empty());
    pair.goes_on(2).await;
    let pid: i32 = pid.parse().unwrap();
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_is_ended_with_its_program_where_the_playbook_says_so() {
    let mut pair = Pair::new().await;
    let (report, pid) = leaves_a_daemon(&mut pair, Leftovers::End).await;
    assert_eq!(report.result(), PhaseResult::Done, "{}", report.message);
    assert!(!is_alive(&pid));
    assert_eq!(pair.sandbox.read("apps/told"), "told\n", "politely first");
    pair.goes_on(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_fails_its_phase_where_the_playbook_says_so_and_is_ended() {
    let mut pair = Pair::new().await;
    let (report, pid) = leaves_a_daemon(&mut pair, Leftovers::Fail).await;
    assert_eq!((report.result(), report.exit_code), (PhaseResult::Failed, Some(0)));
    assert!(
        report
            .message
            .contains(&format!("left running, and that was ended: {pid} sh")),
        "{}",
        report.message
    );
    assert!(!is_alive(&pid));
    pair.goes_on(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_leaves_nothing_running_is_not_blamed_for_children_about_to_end() {
    let mut pair = Pair::new().await;
    let order = Order {
        leftovers: Leftovers::Fail.into(),
        ..order(1, "(sleep 0.05; echo late >> ../late) & exit 0")
    };
    let report = pair.runs(order).await;
    assert_eq!(report.result(), PhaseResult::Done, "{}", report.message);
    assert_eq!(report.leftovers, Vec::<String>::new());
    assert_eq!(pair.sandbox.read("apps/late"), "late\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_in_a_session_of_its_own_does_not_outlive_the_time_of_its_phase() {
    let mut pair = Pair::new().await;
    let deaf = "setsid sh -c 'trap \"\" TERM; sh -c \"echo \\$\\$ > ../daemon; while :; do sleep 0.1; done\" &' & wait; sleep 60";
    let report = pair.runs(hasty(1, deaf)).await;
    assert_eq!(report.result(), PhaseResult::TimedOut, "{}", report.message);
    let pid = pair.sandbox.read("apps/daemon");
    assert!(!pid.is_empty() && !is_alive(&pid), "{pid}");
    pair.goes_on(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_prints_a_gibibyte_keeps_its_first_and_last_lines_and_little_disk() {
    let mut pair = Pair::new().await;
    let script = "echo the first line; head -c 1073741824 /dev/zero | tr '\\0' x; echo; echo the last line; exit 4";
    let report = pair.runs(order(1, script)).await;
    assert_eq!(
        (report.result(), report.exit_code),
        (PhaseResult::Failed, Some(4)),
        "{}",
        report.message
    );
    assert!(report.tail.ends_with("the last line") && report.tail.len() <= TAIL_BYTES_MAX);
    let whole = pair.coordinator.whole_output(&fence(1)).await;
    assert!(whole.starts_with("the first line\n") && whole.ends_with("the last line\n"));
    assert!(whole.contains("bytes left out here") && whole.len() as u64 <= OUTPUT_BYTES_MAX);
    let runs = fs::read_dir(pair.sandbox.path("state/runs")).unwrap().flatten();
    let on_disk: u64 = runs
        .map(|run| fs::metadata(run.path().join("main/output")).map_or(0, |meta| meta.blocks() * 512))
        .sum();
    assert!(on_disk <= OUTPUT_BYTES_MAX + (1 << 20), "{on_disk} bytes on the disk");
    pair.goes_on(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_forks_two_thousand_times_is_ended_with_all_of_them() {
    let mut pair = Pair::new().await;
    let script = "i=0; while test $i -lt 2000; do sleep 7654 & i=$((i+1)); done; touch ../forked; wait";
    let mut order = order(1, script);
    order.timeout_ms = 12_000;
    pair.coordinator.order(&order).await;
    until("all of them run", || pair.sandbox.path("apps/forked").exists()).await;
    let report = pair.coordinator.report().await;
    assert_eq!(report.result(), PhaseResult::TimedOut, "{}", report.message);
    pair.coordinator.ack(report.sequence).await;
    assert_eq!(sleepers(), 0, "still there");
    pair.goes_on(2).await;
}

/// Processes of the test above, known by how long they sleep.
fn sleepers() -> usize {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter(|entry| fs::read(entry.path().join("cmdline")).is_ok_and(|words| words == b"sleep\x007654\0"))
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_kills_the_agent_is_taken_up_by_the_next_and_runs_once() {
    let mut pair = Pair::new().await;
    let agent = pair.sandbox.pid();
    let script = format!("echo ran >> ../ran; kill -KILL {agent}; sleep 0.3; echo after; exit 6");
    pair.coordinator.order(&order(1, &script)).await;
    until("the agent is gone", || !is_alive(&agent.to_string())).await;
    pair.sandbox.kill();
    pair.sandbox.start();
    let report = pair.coordinator.report().await;
    assert_eq!(
        (report.exit_code, report.tail.as_str()),
        (Some(6), "after"),
        "{}",
        report.message
    );
    assert_eq!(pair.sandbox.read("apps/ran"), "ran\n");
    pair.coordinator.ack(report.sequence).await;
    pair.goes_on(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_kills_its_supervisor_is_lost_and_said_to_be() {
    let mut pair = Pair::new().await;
    let report = pair
        .runs(order(1, "echo $$ > ../pid; kill -KILL $PPID; sleep 60"))
        .await;
    assert_eq!(report.result(), PhaseResult::Lost, "{}", report.message);
    assert!(!report.message.is_empty() && !is_alive(&pair.sandbox.read("apps/pid")));
    pair.goes_on(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_does_nothing_and_says_that_all_is_well_is_found_out_by_its_verify() {
    let mut pair = Pair::new().await;
    let mut nothing = order(1, "exit 0");
    nothing.verify = Some(sh("test -e ../work || { echo no work was done; exit 1; }"));
    let report = pair.runs(nothing).await;
    assert_eq!(report.result(), PhaseResult::Failed);
    assert!(
        report.message.contains("its verify does not hold"),
        "{}",
        report.message
    );
    pair.goes_on(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_fills_the_disk_fails_by_itself_and_is_told_when_there_is_room() {
    let mut coordinator = Coordinator::start().await;
    let mut sandbox = Sandbox::new(&coordinator);
    // One disk for all that the agent has.
    let Some(disk) = crate::disk::SmallDisk::at(&sandbox.path("state"), 4096) else {
        return;
    };
    coordinator.token("t1");
    assert!(sandbox.command(&["join", "--token", "t1"]).await.status.success());
    sandbox.start();
    coordinator.attached().await;
    let filler = sandbox.path("state/filler");
    let script = format!("cat /dev/zero > {}; echo ran >> ../ran; exit 5", filler.display());
    coordinator.order(&order(1, &script)).await;
    until("the disk is full", || sandbox.read("apps/ran") == "ran\n").await;
    fs::remove_file(filler).unwrap();
    let report = coordinator.report().await;
    assert_eq!(
        (report.result(), report.exit_code),
        (PhaseResult::Failed, Some(5)),
        "{}",
        report.message
    );
    coordinator.ack(report.sequence).await;
    let mut pair = Pair { coordinator, sandbox };
    pair.goes_on(2).await;
    assert_eq!(pair.sandbox.read("apps/ran"), "ran\n");
    // Before the folder that it is mounted in.
    drop(disk);
}
