//! Guards: what must hold before a phase may begin.

use std::{fs, net::SocketAddr};

use echelon_proto::wire::link::{Guard, Order, PhaseResult, TcpCheck, action::Kind};
use tokio::net::TcpListener;

use crate::{
    coordinator::Coordinator,
    sandbox::{Sandbox, doing, fence, order, sh, standing, until},
};

fn guarded(order: Order, guards: &[(&str, &str)]) -> Order {
    let guards = guards.iter().map(|(name, script)| Guard {
        name: (*name).to_owned(),
        ask: Some(sh(script)),
    });
    Order {
        guards: guards.collect(),
        ..order
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_holds_a_phase_back_and_later_lets_it_go() {
    let mut coordinator = Coordinator::start().await;
    let sandbox = Sandbox::joined(&coordinator).await;
    coordinator.attached().await;
    let guards = [
        ("first", "echo first >> ../asked"),
        (
            "space",
            "echo space >> ../asked; test -e ../go || { echo 2 GiB left; exit 1; }",
        ),
        ("last", "echo last >> ../asked"),
    ];
    coordinator.order(&guarded(order(1, "touch ../ran"), &guards)).await;
    let report = coordinator.report().await;
    assert_eq!(report.result(), PhaseResult::HeldBack);
    let message = &report.message;
    assert!(
        message.starts_with("guard space does not hold: ") && message.ends_with("2 GiB left"),
        "{message}"
    );
    assert!(!sandbox.path("apps/ran").exists());
    assert_eq!(report.standing.unwrap(), standing("stopped"), "and without an error");
    assert_eq!(sandbox.read("apps/asked"), "first\nspace\n");
    assert_eq!(
        fs::read_dir(sandbox.path("state/runs")).unwrap().count(),
        0,
        "it left no folder"
    );
    coordinator.ack(report.sequence).await;

    fs::write(sandbox.path("apps/go"), "").unwrap();
    coordinator.order(&guarded(order(2, "touch ../ran"), &guards)).await;
    let report = coordinator.report().await;
    assert_eq!(report.result(), PhaseResult::Done, "{}", report.message);
    assert!(sandbox.path("apps/ran").exists());
    assert_eq!(sandbox.read("apps/asked"), "first\nspace\nfirst\nspace\nlast\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phase_that_is_done_already_needs_no_guard() {
    let mut coordinator = Coordinator::start().await;
    let sandbox = Sandbox::joined(&coordinator).await;
    coordinator.attached().await;
    let mut order = guarded(order(1, "touch ../ran"), &[("never", "touch ../asked; false")]);
    order.verify = Some(sh("true"));
    coordinator.order(&order).await;
    assert_eq!(coordinator.report().await.result(), PhaseResult::AlreadyDone);
    assert!(!sandbox.path("apps/ran").exists() && !sandbox.path("apps/asked").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phase_that_was_let_in_is_not_held_back_by_the_agent_that_takes_it_up() {
    let mut coordinator = Coordinator::start().await;
    let mut sandbox = Sandbox::joined(&coordinator).await;
    coordinator.attached().await;
    let port = async || TcpListener::bind("127.0.0.1:0").await.unwrap();
    let asks = |address: SocketAddr| {
        Kind::Tcp(TcpCheck {
            address: address.to_string(),
            interval_ms: 50,
            ..TcpCheck::default()
        })
    };
    // The guard's is open when the phase begins and closed when the next agent comes, the phase's the other way round.
    let guards_port = port().await;
    let phases_address = port().await.local_addr().unwrap();
    let mut order = guarded(doing(1, asks(phases_address)), &[("go", "")]);
    order.guards[0].ask = doing(1, asks(guards_port.local_addr().unwrap())).action;
    coordinator.order(&order).await;
    let run = || fs::read_dir(sandbox.path("state/runs")).ok()?.flatten().next();
    until("it is let in", || {
        run().is_some_and(|run| run.path().join("let-in").exists())
    })
    .await;
    sandbox.kill();
    drop(guards_port);
    sandbox.start();
    assert_eq!(coordinator.attached().await.running, [fence(1)]);
    let _listener = TcpListener::bind(phases_address).await.unwrap();
    let report = coordinator.report().await;
    assert_eq!(report.result(), PhaseResult::Done, "{}", report.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_that_asks_what_no_guard_may_is_refused() {
    let mut coordinator = Coordinator::start().await;
    let _sandbox = Sandbox::joined(&coordinator).await;
    coordinator.attached().await;
    let mut order = guarded(order(1, "true"), &[("odd", "true")]);
    order.guards[0].ask = doing(1, Kind::Note(echelon_proto::wire::link::Note {})).action;
    coordinator.order(&order).await;
    let report = coordinator.report().await;
    assert_eq!(report.result(), PhaseResult::Refused);
    assert!(
        report.message.contains("guard odd: it asks something other than"),
        "{}",
        report.message
    );
}
