//! Starting and following: outcomes, people, restarts, Ctrl-C.

use std::{
    process::Stdio,
    sync::{Arc, Mutex},
};

use echelon_proto::wire::control::*;
use futures::{StreamExt as _, stream};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
};

use crate::{
    fake::{Chunks, Fake, Updates},
    shell::{LIMIT, Ran, Shell, flags, run, run_in},
    things::{ending, event, rollout, staying, update},
};

const START: &str = "start web --release 1.1.0 --playbook web";

/// Starts a rollout that is running, then as given.
async fn start(how: &str, last: Rollout) -> Ran {
    let fake = Fake::start().await;
    fake.on("create_rollout", |_: CreateRolloutRequest| {
        Ok(rollout(RolloutState::Running))
    });
    fake.on("watch_rollout", move |_: WatchRolloutRequest| {
        let first = update(rollout(RolloutState::Running), vec![event(1, "opened canary")]);
        let both = vec![first, update(last.clone(), vec![event(2, "that was it")])];
        let over = last.end_time.is_some();
        Ok(if over { ending(both) } else { staying(both) })
    });
    run(&fake, &format!("{START} {how}")).await
}

#[tokio::test]
async fn each_outcome_has_its_exit_code() {
    for (state, exit) in [
        (RolloutState::Succeeded, 0),
        (RolloutState::SucceededWithDebt, 0),
        (RolloutState::Failed, 3),
        (RolloutState::Aborted, 3),
        (RolloutState::Expired, 3),
        (RolloutState::RolledBack, 5),
    ] {
        let ran = start("--wait", rollout(state)).await;
        assert_eq!(ran.exit, exit, "{state:?}: {ran:?}");
        assert!(
            ran.out.contains("opened canary") && ran.out.contains("that was it"),
            "{ran:?}"
        );
    }
}

#[tokio::test]
async fn events_that_come_after_the_outcome_are_shown_whether_the_stream_ends_or_not() {
    for stream in [ending, staying] {
        let fake = Fake::start().await;
        fake.on("watch_rollout", move |_: WatchRolloutRequest| {
            let over = |sequence, text| update(rollout(RolloutState::Succeeded), vec![event(sequence, text)]);
            Ok(stream(vec![over(1, "succeeded"), over(2, "snapshot taken")]))
        });
        let ran = run(&fake, "status r7 --watch").await;
        assert_eq!(ran.exit, 0, "{ran:?}");
        assert!(ran.out.contains("snapshot taken"), "{ran:?}");
    }
}

#[tokio::test]
async fn a_success_with_debt_is_warned_of() {
    let mut indebted = rollout(RolloutState::SucceededWithDebt);
    indebted.lanes[0].waves[0].skipped = 1;
    let ran = start("--wait", indebted).await;
    assert!(ran.err.contains("succeeded with debt: 1 host not on 1.1.0"), "{ran:?}");
    let ran = start("--wait", rollout(RolloutState::Succeeded)).await;
    assert!(!ran.err.contains("debt"), "{ran:?}");
}

#[tokio::test]
async fn a_failure_shows_host_phase_exit_code_and_last_lines() {
    let mut failed = rollout(RolloutState::Failed);
    failed.failures.push(HostFailure {
        host: "web-3".into(),
        datacenter: "dc1".into(),
        phase: "install".into(),
        attempt: 2,
        result: "failed".into(),
        exit_code: Some(42),
        tail: "unpacking\nno space left".into(),
        ..HostFailure::default()
    });
    let ran = start("--wait", failed).await;
    for part in [
        "web-3 (dc1) phase install attempt 2 failed, exit code 42",
        "│ no space left",
    ] {
        assert!(ran.out.contains(part), "{part}: {ran:?}");
    }
}

#[tokio::test]
async fn waiting_ends_at_a_person_and_watching_does_not() {
    let held = Rollout {
        waiting: vec!["approve: go in dc1 (0 of 1)".into()],
        ..rollout(RolloutState::Held)
    };
    let ran = start("--wait", held.clone()).await;
    assert_eq!(ran.exit, 6, "{ran:?}");
    assert!(ran.out.contains("approve: go in dc1 (0 of 1)"), "{ran:?}");
    assert!(ran.err.contains("echelon status r7 --watch"), "{ran:?}");
    // In a pipe, no flag is as --wait.
    assert_eq!(start("--reason x", held.clone()).await.exit, 6);
    let ran = start("--watch --timeout 300ms", held).await;
    assert_eq!(ran.exit, 8, "{ran:?}");
}

#[tokio::test]
async fn a_timeout_leaves_the_rollout_alone() {
    let ran = start("--wait --timeout 200ms", rollout(RolloutState::Running)).await;
    assert_eq!(ran.exit, 8, "{ran:?}");
    assert!(ran.err.contains("--timeout ran out; it goes on"), "{ran:?}");
}

#[tokio::test]
async fn json_is_the_rollout_at_its_end_and_ndjson_each_message() {
    let ran = start("--wait --output json", rollout(RolloutState::RolledBack)).await;
    let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((json["state"].as_str(), ran.exit), (Some("ROLLED_BACK"), 5));
    let ran = start("--wait --output ndjson", rollout(RolloutState::Failed)).await;
    let lines: Vec<serde_json::Value> = ran
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1]["events"][0]["sequence"], 2);
    assert_eq!(lines[1]["rollout"]["state"], "FAILED");
}

#[tokio::test]
async fn what_is_asked_for_reaches_the_coordinator() {
    let fake = Fake::start().await;
    let asked = fake.record::<CreateRolloutRequest, _>("create_rollout", rollout(RolloutState::Scheduled));
    let line = format!(
        "{START}@3 --dc dc1 --dc dc2 --host web-3 --operation restart --at 2026-11-21T14:00:00Z --request-id jenkins-web-7 \
         --if-running refuse --reason because --detach"
    );
    let ran = run(&fake, &line).await;
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert!(
        ran.out.contains("r7") && ran.err.contains("echelon status r7 --watch"),
        "{ran:?}"
    );
    assert_eq!(run(&fake, "start --plan p1 --detach --dry-run").await.exit, 0);
    assert_eq!(run(&fake, "start --plan p1 --detach").await.exit, 0);
    let asked = asked.lock().unwrap();
    assert_eq!(
        asked[0],
        CreateRolloutRequest {
            plan: String::new(),
            what: Some(CreatePlanRequest {
                app: "web".into(),
                release: "1.1.0".into(),
                playbook: "web@3".into(),
                operation: "restart".into(),
                datacenters: vec!["dc1".into(), "dc2".into()],
                hosts: vec!["web-3".into()],
                ..Default::default()
            }),
            start_time: Some(prost_types::Timestamp {
                seconds: 1_795_269_600,
                nanos: 0,
            }),
            request_id: "jenkins-web-7".into(),
            if_running: IfRunning::Refuse.into(),
            reason: "because".into(),
            validate_only: false,
        }
    );
    assert_eq!((asked[1].plan.as_str(), asked[1].validate_only), ("plans/p1", true));
    assert!(asked[1].what.is_none());
    assert!(!asked[2].request_id.is_empty());
    assert_ne!(asked[1].request_id, asked[2].request_id);
}

/// A watch of which the first stream shows sequences 1 to 3 and stays; later ones end with the outcome.
fn across_a_restart(fake: &Fake) -> Arc<Mutex<Vec<u64>>> {
    let from = Arc::new(Mutex::new(Vec::new()));
    let kept = from.clone();
    fake.on(
        "watch_rollout",
        move |request: WatchRolloutRequest| -> Result<Updates, _> {
            kept.lock().unwrap().push(request.from_sequence);
            if request.from_sequence == 0 {
                let events = (1..=3).map(|sequence| event(sequence, &format!("event {sequence}")));
                return Ok(staying(vec![update(rollout(RolloutState::Running), events.collect())]));
            }
            let last = event(4, "event 4");
            Ok(ending(vec![update(rollout(RolloutState::Succeeded), vec![last])]))
        },
    );
    from
}

#[tokio::test]
async fn a_watch_survives_the_coordinator_and_goes_on_at_the_right_sequence() {
    let mut fake = Fake::start_at("127.0.0.2:0").await;
    let from = across_a_restart(&fake);
    let shell = Shell::default();
    let args = [vec!["status".to_owned(), "r7".into(), "--watch".into()], flags(&fake)].concat();
    let watched = shell.clone();
    let watch = tokio::spawn(async move {
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        watched.run(&args).await
    });
    shell.out.wait_for("event 3").await;
    fake.kill().await;
    shell.err.wait_for("coordinator unreachable, retrying").await;
    fake.revive().await;
    let ran = watch.await.unwrap();
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert_eq!(*from.lock().unwrap(), [0, 4]);
    assert_eq!(ran.err.matches("unreachable").count(), 1, "{ran:?}");
    assert!(ran.err.contains("coordinator is back"), "{ran:?}");
    for sequence in 1..=4 {
        assert_eq!(ran.out.matches(&format!("event {sequence}")).count(), 1, "{ran:?}");
    }
}

#[tokio::test]
async fn a_watch_gives_up_when_the_coordinator_stays_away() {
    let mut fake = Fake::start_at("127.0.0.3:0").await;
    across_a_restart(&fake);
    let shell = Shell::default();
    let line = ["status", "r7", "--watch", "--connect-timeout", "500ms"].map(str::to_owned);
    let args = [line.to_vec(), flags(&fake)].concat();
    let watched = shell.clone();
    let watch = tokio::spawn(async move {
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        watched.run(&args).await
    });
    shell.out.wait_for("event 3").await;
    fake.kill().await;
    let ran = watch.await.unwrap();
    assert_eq!(ran.exit, 11, "{ran:?}");
    assert!(
        ran.err.contains("the rollout goes on") && ran.err.contains("echelon status r7 --watch"),
        "{ran:?}"
    );
}

#[tokio::test]
async fn logs_are_followed_across_a_restart_without_a_byte_twice() {
    let mut fake = Fake::start_at("127.0.0.4:0").await;
    let streams = Mutex::new(0);
    fake.on("read_logs", move |_: ReadLogsRequest| -> Result<Chunks, _> {
        let chunk = |offset, data: &str| LogChunk {
            host: "web-3".into(),
            phase: "install".into(),
            attempt: 1,
            offset,
            data: data.into(),
        };
        let mut streams = streams.lock().unwrap();
        *streams += 1;
        Ok(if *streams == 1 {
            stream::iter([Ok(chunk(0, "one\ntw"))]).chain(stream::pending()).boxed()
        } else {
            stream::iter([Ok(chunk(0, "one\ntwo\n")), Ok(chunk(8, "three\n"))]).boxed()
        })
    });
    let shell = Shell::default();
    let args = [
        ["rollout", "logs", "r7", "-f"].map(str::to_owned).to_vec(),
        flags(&fake),
    ]
    .concat();
    let followed = shell.clone();
    let follow = tokio::spawn(async move {
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        followed.run(&args).await
    });
    shell.out.wait_for("one").await;
    fake.kill().await;
    shell.err.wait_for("coordinator unreachable").await;
    fake.revive().await;
    let ran = follow.await.unwrap();
    assert_eq!(ran.exit, 0, "{ran:?}");
    let expected = "web-3 install#1 │ one\nweb-3 install#1 │ two\nweb-3 install#1 │ three\n";
    assert_eq!(ran.out, expected);
}

#[tokio::test]
async fn the_live_tree_is_drawn_in_place() {
    let fake = Fake::start().await;
    fake.on("watch_rollout", |_: WatchRolloutRequest| {
        let running = update(rollout(RolloutState::Running), vec![event(1, "not in the tree")]);
        let done = update(rollout(RolloutState::Succeeded), vec![]);
        Ok(ending(vec![running.clone(), running, done]))
    });
    let shell = Shell {
        size: Some(|| (80, 24)),
        ..Shell::default()
    };
    let ran = run_in(&shell, &fake, "status r7 --watch").await;
    assert_eq!(ran.exit, 0, "{ran:?}");
    let mut terminal = vt100::Parser::new(24, 80, 0);
    terminal.process(ran.out.replace('\n', "\r\n").as_bytes());
    insta::assert_snapshot!(terminal.screen().contents());
}

#[tokio::test]
async fn ctrl_c_detaches_and_says_how_to_come_back() {
    let fake = Fake::start().await;
    fake.on("watch_rollout", |_: WatchRolloutRequest| {
        Ok(staying(vec![update(
            rollout(RolloutState::Running),
            vec![event(1, "opened")],
        )]))
    });
    let mut child = Command::new(env!("CARGO_BIN_EXE_echelon"))
        .args(["status", "r7", "--watch"])
        .args(flags(&fake))
        .args(["--config", "/nonexistent/config.toml"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = tokio::time::timeout(LIMIT, lines.next_line()).await.unwrap().unwrap();
    assert!(first.unwrap().contains("opened"));
    let pid = Pid::from_raw(child.id().unwrap().try_into().unwrap());
    kill(pid, Signal::SIGINT).unwrap();
    let output = tokio::time::timeout(LIMIT, child.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{err}");
    assert!(
        err.contains("goes on; you are detached") && err.contains("echelon status r7 --watch"),
        "{err}"
    );
}
