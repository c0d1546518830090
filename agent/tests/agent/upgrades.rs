//! The agent's own upgrade with real agents: what is systemd's is done by the test, and by two scripts in its place.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::ExitStatusExt as _},
    path::{Path, PathBuf},
    process::Output,
};

use echelon_proto::wire::link::PhaseResult;

use crate::{
    coordinator::Coordinator,
    sandbox::{AGENT, Sandbox, order, until},
};

/// Hangs, as an agent that never reaches its coordinator does.
const HANGS: &str = "#!/bin/sh\n[ \"$1\" = --version ] && exec echo echelon-agent 9.9.9\nexec sleep 300\n";
const SYSTEMCTL: &str = "#!/bin/sh\necho \"$*\" >>\"${0%/*}/asked\"\n[ \"$2\" != is-active ]\n";
/// Starts what comes after the `--`, and does not wait for it.
const SYSTEMD_RUN: &str =
    "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done; shift\n\"$@\" >>\"${0%/*}/guard.log\" 2>&1 &\n";

fn program(path: &Path, text: impl AsRef<[u8]>) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A joined agent that runs, on a host whose systemd is this test.
struct Host {
    coordinator: Coordinator,
    sandbox: Sandbox,
}

impl Host {
    async fn new() -> Self {
        let coordinator = Coordinator::start().await;
        let sandbox = Sandbox::new(&coordinator);
        fs::create_dir(sandbox.path("tools")).unwrap();
        program(&sandbox.path("tools/systemctl"), SYSTEMCTL);
        program(&sandbox.path("tools/systemd-run"), SYSTEMD_RUN);
        coordinator.token("t1");
        let mut host = Self { coordinator, sandbox };
        let joined = host.sandbox.command(&["join", "--token", "t1"]).await;
        assert!(joined.status.success(), "{joined:?}");
        host.sandbox.start();
        host.coordinator.attached().await;
        host
    }

    /// Another binary that is an agent all the same.
    fn newer(&self) -> PathBuf {
        let mut bytes = fs::read(AGENT).unwrap();
        bytes.push(b'\n');
        program(&self.sandbox.path("new"), bytes);
        self.sandbox.path("new")
    }

    /// What a step says, and whether it was done.
    async fn step(&self, words: &str) -> (bool, String) {
        let output = self.output(words, &[]).await;
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    }

    async fn output(&self, words: &str, variables: &[(&str, String)]) -> Output {
        let mut arguments = vec!["upgrade"];
        arguments.extend(words.split(' '));
        let from = self.sandbox.path("new").display().to_string();
        arguments.extend(["--from", &from]);
        self.sandbox.command_with(&arguments, variables).await
    }

    /// Killed where it comes by this place, if it does, and tried again as a phase is. Gives whether it was killed.
    async fn does_though_killed(&self, words: &str, place: &str) -> bool {
        let tickets = self.sandbox.path("tickets");
        let _ = fs::remove_dir_all(&tickets);
        fs::create_dir(&tickets).unwrap();
        fs::write(tickets.join("1"), "").unwrap();
        let variables = [
            ("ECHELON_FAILPOINT", place.to_owned()),
            ("ECHELON_FAILPOINT_TICKETS", tickets.display().to_string()),
        ];
        let output = self.output(words, &variables).await;
        let is_killed = output.status.signal().is_some();
        assert!(is_killed || output.status.success(), "{words} at {place}: {output:?}");
        self.does(words).await;
        is_killed
    }

    async fn does(&self, words: &str) {
        let (is_done, said) = self.step(words).await;
        assert!(is_done, "{words}: {said}");
    }

    fn restarts(&self) -> usize {
        let asked = self.sandbox.read("tools/asked");
        asked
            .lines()
            .filter(|line| line.contains("restart -- echelon-agent.service"))
            .count()
    }

    /// As systemd does it.
    fn restart(&mut self) {
        self.sandbox.kill();
        self.sandbox.start();
    }

    /// The binary that runs in the unit's place.
    fn runs(&self) -> PathBuf {
        fs::read_link(format!("/proc/{}/exe", self.sandbox.pid())).unwrap_or_default()
    }

    /// Attached, and a message after the welcome.
    async fn is_reached(&mut self, attempt: u32) {
        self.coordinator.attached().await;
        let mut order = order(attempt, "true");
        order.from_state = String::new();
        self.coordinator.order(&order).await;
        let report = self.coordinator.report().await;
        assert_eq!(report.result(), PhaseResult::Done, "{}", report.message);
        self.coordinator.ack(report.sequence).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_agent_runs_on_trial_stays_when_it_is_reached_and_gives_way_when_told() {
    let mut host = Host::new().await;
    let versions = host.sandbox.path("state/versions").canonicalize();
    assert!(versions.is_err(), "nothing of an upgrade yet");
    host.newer();
    host.does("stage").await;
    let (is_done, said) = host.step("commit").await;
    assert!(!is_done && said.contains("has not stood its trial"), "{said}");
    host.does("switch --within 10m").await;
    assert_eq!(host.restarts(), 1);
    host.restart();
    host.is_reached(1).await;
    let versions = host.sandbox.path("state/versions").canonicalize().unwrap();
    assert!(host.runs().starts_with(&versions), "{:?}", host.runs());
    host.does("probe").await;
    host.does("commit").await;
    host.restart();
    host.is_reached(2).await;
    assert!(host.runs().starts_with(&versions), "it stays");
    host.does("return").await;
    // Of the trial that is long decided, on a host that is slow.
    let late = host.sandbox.command(&["upgrade", "guard"]).await;
    assert!(late.status.success(), "{late:?}");
    assert_eq!(host.restarts(), 2, "whoever says return asks, and nobody else");
    host.restart();
    host.is_reached(3).await;
    assert_eq!(host.runs(), Path::new(AGENT).canonicalize().unwrap());
    let (is_done, said) = host.step("return").await;
    assert!(
        is_done && said.contains("does not run") && host.restarts() == 2,
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_is_killed_wherever_it_writes_is_done_by_its_next_try() {
    for (what, ways) in [
        ("version", &["written", "synced", "renamed", "kept"][..]),
        ("upgrade.json", &["begun", "written", "synced", "renamed", "kept"]),
    ] {
        for how in ways {
            let place = format!("{what}:{how}");
            let mut host = Host::new().await;
            host.newer();
            let mut killed = usize::from(host.does_though_killed("stage", &place).await);
            killed += usize::from(host.does_though_killed("switch --within 10m", &place).await);
            host.restart();
            host.is_reached(1).await;
            host.does("probe").await;
            killed += usize::from(host.does_though_killed("commit", &place).await);
            host.restart();
            host.is_reached(2).await;
            let versions = host.sandbox.path("state/versions").canonicalize().unwrap();
            assert!(host.runs().starts_with(&versions), "{place}: {:?}", host.runs());
            killed += usize::from(host.does_though_killed("return", &place).await);
            host.restart();
            host.is_reached(3).await;
            assert_eq!(host.runs(), Path::new(AGENT).canonicalize().unwrap(), "{place}");
            assert!(killed > 0, "nobody comes by {place}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_does_not_reach_the_coordinator_is_taken_back_by_its_guard() {
    let mut host = Host::new().await;
    program(&host.sandbox.path("new"), HANGS);
    host.does("stage").await;
    host.does("switch --within 1s").await;
    host.restart();
    until("it hangs", || {
        host.runs().ends_with("sleep")
            || host.runs().to_string_lossy().contains("busybox")
            || host.runs().to_string_lossy().contains("coreutils")
    })
    .await;
    until("the guard asks for a restart", || host.restarts() == 2).await;
    host.restart();
    host.is_reached(1).await;
    assert_eq!(host.runs(), Path::new(AGENT).canonicalize().unwrap());
    let (is_done, said) = host.step("probe").await;
    assert!(
        !is_done && said.contains("version 9.9.9 was taken back: within 1s it was not welcomed"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_guard_there_is_no_trial() {
    let mut host = Host::new().await;
    program(&host.sandbox.path("new"), HANGS);
    program(
        &host.sandbox.path("tools/systemd-run"),
        "#!/bin/sh\necho no room >&2\nexit 1\n",
    );
    host.does("stage").await;
    host.does("switch").await;
    host.restart();
    host.is_reached(1).await;
    let (is_done, said) = host.step("probe").await;
    assert!(
        !is_done && said.contains("nobody guards it") && said.contains("no room"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_that_is_installed_over_an_upgrade_is_what_runs() {
    let mut host = Host::new().await;
    host.newer();
    host.does("stage").await;
    host.does("switch").await;
    host.restart();
    host.is_reached(1).await;
    host.does("commit").await;
    let record = host.sandbox.path("state/upgrade.json");
    let text = fs::read_to_string(&record).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    value["package"] = "0.0.9".into();
    fs::write(&record, value.to_string()).unwrap();
    host.restart();
    host.is_reached(2).await;
    assert_eq!(host.runs(), Path::new(AGENT).canonicalize().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_agent_or_cannot_be_started_is_not_staged_or_not_run() {
    let mut host = Host::new().await;
    program(&host.sandbox.path("new"), "#!/bin/sh\necho something else\n");
    let (is_done, said) = host.step("stage").await;
    assert!(
        !is_done && said.contains("is no agent for this host") && said.contains("something else"),
        "{said}"
    );
    let (is_done, said) = host.step("switch").await;
    assert!(!is_done && said.contains("was not staged"), "{said}");
    program(&host.sandbox.path("new"), HANGS);
    host.does("stage").await;
    host.does("switch").await;
    // As on a disk from which nothing may be started.
    for entry in fs::read_dir(host.sandbox.path("state/versions")).unwrap().flatten() {
        let binary = entry.path().join("echelon-agent");
        fs::set_permissions(&binary, fs::Permissions::from_mode(0o644)).unwrap();
    }
    host.restart();
    host.is_reached(1).await;
    let (is_done, said) = host.step("probe").await;
    assert!(
        !is_done && said.contains("9.9.9 was taken back") && said.contains("cannot be started"),
        "{said}"
    );
}
