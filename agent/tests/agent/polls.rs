//! Polls: asked until a condition over the answer holds, or the time is over.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, http::StatusCode, routing::get};
use echelon_proto::wire::link::{Action, HttpCheck, PhaseResult, Poll, Systemd, SystemdVerb, TcpCheck, action::Kind};
use tokio::net::TcpListener;

use crate::{
    coordinator::Coordinator,
    sandbox::{Sandbox, doing, sh},
};

fn poll(ask: Action, until: &str) -> Kind {
    Kind::Poll(Box::new(Poll {
        ask: Some(Box::new(ask)),
        every_ms: 100,
        until: until.to_owned(),
    }))
}

fn http(url: String) -> Action {
    Action {
        kind: Some(Kind::Http(HttpCheck {
            url,
            ..HttpCheck::default()
        })),
    }
}

/// Gives these answers one after the other, the last for ever; counts how often it was asked.
async fn serve(answers: Vec<(StatusCode, String)>) -> (String, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let seen = asked.clone();
    let answer = move || {
        let n = seen.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
        std::future::ready(answers[n].clone())
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/state", listener.local_addr().unwrap());
    let router = Router::new().route("/state", get(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_asks_until_the_condition_over_the_json_holds() {
    let mut coordinator = Coordinator::start().await;
    let _sandbox = Sandbox::joined(&coordinator).await;
    coordinator.attached().await;
    let (url, asked) = serve(vec![
        // No JSON at all, then JSON without the field: neither is an error.
        (StatusCode::SERVICE_UNAVAILABLE, "starting".to_owned()),
        (StatusCode::OK, r#"{"lag": 9}"#.to_owned()),
        (StatusCode::OK, r#"{"state": "warming", "lag": 9}"#.to_owned()),
        (StatusCode::OK, r#"{"state": "ready", "lag": 3}"#.to_owned()),
    ])
    .await;
    let until = r#"status == 200 && json.state == "ready" && json.lag < 5"#;
    coordinator.order(&doing(1, poll(http(url), until))).await;
    let report = coordinator.report().await;
    assert_eq!(report.result(), PhaseResult::Done, "{}", report.message);
    assert_eq!(asked.load(Ordering::SeqCst), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_that_never_holds_times_out_with_the_last_answer_and_why_it_cannot_be_told() {
    let mut coordinator = Coordinator::start().await;
    let _sandbox = Sandbox::joined(&coordinator).await;
    coordinator.attached().await;
    let (url, asked) = serve(vec![(StatusCode::BAD_GATEWAY, "<html>".repeat(10_000))]).await;
    let mut order = doing(1, poll(http(url), r#"json.state == "ready""#));
    order.timeout_ms = 700;
    coordinator.order(&order).await;
    let report = coordinator.report().await;
    assert_eq!(report.result(), PhaseResult::TimedOut);
    let message = &report.message;
    assert!(
        message.starts_with("not done within 700ms: last answer: http://127.0.0.1"),
        "{message}"
    );
    assert!(
        message.contains("/state: 502 \"<html>") && message.contains("...\""),
        "{message}"
    );
    assert!(
        message.contains("cannot be told yet") && message.contains("json.state"),
        "{message}"
    );
    assert!(message.contains(" times in ") && message.len() < 800, "{message}");
    assert!(asked.load(Ordering::SeqCst) > 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_and_a_port_can_be_polled() {
    let mut coordinator = Coordinator::start().await;
    let sandbox = Sandbox::joined(&coordinator).await;
    coordinator.attached().await;
    let script = "echo asked >> ../asked; test $(wc -l < ../asked) -ge 3 && echo $ECHELON_APP is synced || exit 4";
    let until = r#"exit_code == 0 && output.contains("web is synced") && error == """#;
    coordinator.order(&doing(1, poll(sh(script), until))).await;
    let report = coordinator.report().await;
    assert_eq!(report.result(), PhaseResult::Done, "{}", report.message);
    assert_eq!(sandbox.read("apps/asked"), "asked\n".repeat(3));

    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let tcp = Action {
        kind: Some(Kind::Tcp(TcpCheck {
            address: address.to_string(),
            ..TcpCheck::default()
        })),
    };
    let mut order = doing(2, poll(tcp.clone(), r#"error == """#));
    order.timeout_ms = 500;
    coordinator.order(&order).await;
    let report = coordinator.report().await;
    assert_eq!(report.result(), PhaseResult::TimedOut);
    assert!(report.message.contains("refused"), "{}", report.message);
    let _listener = TcpListener::bind(address).await.unwrap();
    coordinator.order(&doing(3, poll(tcp, r#"error == """#))).await;
    assert_eq!(coordinator.report().await.result(), PhaseResult::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_without_a_sound_condition_or_question_is_refused() {
    let mut coordinator = Coordinator::start().await;
    let sandbox = Sandbox::joined(&coordinator).await;
    coordinator.attached().await;
    let unit = Action {
        kind: Some(Kind::Systemd(Systemd {
            unit: "web.service".to_owned(),
            verb: SystemdVerb::Restart.into(),
        })),
    };
    let within = Action {
        kind: Some(poll(sh("touch ../ran"), "true")),
    };
    let cases = [
        (poll(sh("touch ../ran"), "statuss == 200"), "statuss"),
        (poll(sh("touch ../ran"), "status =="), "poll, until:"),
        (poll(unit, "true"), "other than http, tcp or run"),
        (poll(within, "true"), "other than http, tcp or run"),
    ];
    for (attempt, (kind, wanted)) in (1..).zip(cases) {
        coordinator.order(&doing(attempt, kind)).await;
        let report = coordinator.report().await;
        assert_eq!(report.result(), PhaseResult::Refused, "{}", report.message);
        assert!(report.message.contains(wanted), "{}", report.message);
    }
    assert!(!sandbox.path("apps/ran").exists());
}
