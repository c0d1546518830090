//! The stream: what is lost with it, and what must not be.

use std::{fs, time::Duration};

use echelon_proto::wire::link::{Action, PhaseResult, TcpCheck, Watch, action::Kind};
use tokio::net::TcpListener;

use crate::{
    coordinator::{Coordinator, SOON},
    sandbox::{Sandbox, fence, order},
};

#[tokio::test(flavor = "multi_thread")]
async fn output_goes_on_where_the_coordinator_was_when_the_session_broke() {
    let mut coordinator = Coordinator::start().await;
    let _sandbox = Sandbox::joined(&coordinator).await;
    coordinator.attached().await;
    let script = "i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo line $i; sleep 0.05; done";
    coordinator.order(&order(1, script)).await;
    for _ in 0..2 {
        while coordinator.output(&fence(1)).0.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        coordinator.cut();
        assert_eq!(coordinator.attached().await.running, [fence(1)]);
    }
    assert_eq!(coordinator.report().await.result(), PhaseResult::Done);
    let lines: String = (1..=60).map(|i| format!("line {i}\n")).collect();
    assert_eq!(coordinator.whole_output(&fence(1)).await, lines);
    assert!(coordinator.resumed_handshakes() >= 1, "a return is no full handshake");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_that_was_away_gets_what_ended_meanwhile() {
    let mut coordinator = Coordinator::start().await;
    let sandbox = Sandbox::joined(&coordinator).await;
    coordinator.attached().await;
    coordinator.order(&order(1, "touch ../begun; sleep 1; echo end")).await;
    while !sandbox.path("apps/begun").exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    coordinator.stop().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    coordinator.listen().await;
    let hello = coordinator.attached().await;
    assert!(hello.running.is_empty());
    let report = coordinator.report().await;
    assert_eq!((report.result(), report.tail.as_str()), (PhaseResult::Done, "end"));
    assert_eq!(coordinator.whole_output(&fence(1)).await, "end\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_stream_is_dead_and_attached_anew() {
    let mut coordinator = Coordinator::start().await;
    coordinator.beat_every_ms(200);
    let _sandbox = Sandbox::joined(&coordinator).await;
    coordinator.attached().await;
    // Longer than three heartbeats: a stream on which both speak lives.
    let beats = async {
        while coordinator.beats() < 5 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, beats)
        .await
        .expect("an agent with nothing to say sends heartbeats");
    coordinator.order(&order(1, "echo alive")).await;
    assert_eq!(coordinator.report().await.tail, "alive");
    coordinator.mute(true);
    coordinator.gone().await;
    coordinator.mute(false);
    coordinator.attached().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_says_its_first_answer_and_each_change() {
    let mut coordinator = Coordinator::start().await;
    let _sandbox = Sandbox::joined(&coordinator).await;
    coordinator.attached().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let probe = |address: String| Action {
        kind: Some(Kind::Tcp(TcpCheck {
            address,
            ..TcpCheck::default()
        })),
    };
    coordinator
        .watch(Watch {
            watch: "port".to_owned(),
            probe: Some(probe(address.to_string())),
            every_ms: 100,
            unhealthy_after: 3,
        })
        .await;
    let health = coordinator.health().await;
    assert!(health.watch == "port" && health.healthy, "{health:?}");
    drop(listener);
    let health = coordinator.health().await;
    assert!(!health.healthy && health.message.contains("refused"), "{health:?}");
    let _again = TcpListener::bind(address).await.unwrap();
    assert!(coordinator.health().await.healthy);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_ledger_takes_no_order_until_it_is_moved_away() {
    let mut coordinator = Coordinator::start().await;
    let mut sandbox = Sandbox::joined(&coordinator).await;
    coordinator.attached().await;
    coordinator.order(&order(1, "true")).await;
    coordinator.report().await;
    sandbox.kill();
    let ledger = sandbox.path("state/ledger");
    let good = fs::read(&ledger).unwrap();
    // Half a new one from a crash in mid-write is nothing.
    fs::write(sandbox.path("state/ledger.new"), &good[..good.len() / 2]).unwrap();
    sandbox.start();
    assert_eq!(coordinator.attached().await.standings.len(), 1);
    sandbox.kill();

    let mut flipped = good.clone();
    let last = flipped.len() - 10;
    flipped[last] ^= 1;
    for bad in [&good[..good.len() / 2], flipped.as_slice(), b"\xff\xfe"] {
        fs::write(&ledger, bad).unwrap();
        sandbox.start();
        coordinator.attached().await;
        coordinator.order(&order(2, "echo ran > ../ran")).await;
        let report = coordinator.report().await;
        assert_eq!(report.result(), PhaseResult::Refused);
        assert!(
            report.message.contains("is damaged") && report.message.contains("move the file away"),
            "{report:?}"
        );
        assert_eq!(fs::read(&ledger).unwrap(), bad, "it is evidence");
        sandbox.kill();
    }
    assert!(!sandbox.path("apps/ran").exists());
    sandbox.start();
    coordinator.attached().await;
    fs::remove_file(&ledger).unwrap();
    coordinator.cut();
    coordinator.attached().await;
    coordinator.order(&order(2, "true")).await;
    assert_eq!(coordinator.report().await.result(), PhaseResult::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_cannot_be_written_refuses_orders_and_goes_on_when_it_can() {
    let mut coordinator = Coordinator::start().await;
    let sandbox = Sandbox::joined(&coordinator).await;
    coordinator.attached().await;
    coordinator.order(&order(1, "sleep 1; exit 4")).await;
    while !sandbox.path("apps/web").exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // As a full disk does it: the new ledger cannot be written beside the old one.
    let in_the_way = sandbox.path("state/ledger.new");
    fs::create_dir(&in_the_way).unwrap();
    let mut other = order(1, "echo ran > ../ran");
    other.app = "db".to_owned();
    other.fence.as_mut().unwrap().rollout = "r2".to_owned();
    coordinator.order(&other).await;
    let report = coordinator.report().await;
    assert_eq!(report.result(), PhaseResult::Refused);
    assert!(
        report.message.contains("cannot be written") && report.message.contains("make room"),
        "{report:?}"
    );
    assert!(
        coordinator.hears_no_report_for(Duration::from_millis(2500)).await,
        "the end of r1 is not durable yet"
    );
    fs::remove_dir(&in_the_way).unwrap();
    assert_eq!(coordinator.report().await.exit_code, Some(4));
    assert!(!sandbox.path("apps/ran").exists());
    coordinator.order(&other).await;
    assert_eq!(coordinator.report().await.result(), PhaseResult::Done);
}
