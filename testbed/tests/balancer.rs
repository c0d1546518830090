//! The coordinator's hand on a real HAProxy: what a playbook's `drain`, `await-sessions` and `admit` do to requests.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::State, routing::get};
use echelon_coordinator::{
    balancer::{Balancers, Error, Trouble},
    config::BalancerConfig,
};
use echelon_playbooks::model::{Balance, BalancerVerb};
use echelon_testbed::{
    haproxy::{BACKEND, Haproxy},
    place::Place,
};
use tokio::{net::TcpListener, sync::Notify, time};

const WITHIN: Duration = Duration::from_secs(60);

/// A server that says its name, and one slow page that ends when it is let go.
struct Server {
    name: &'static str,
    slow: Notify,
    /// Somebody waits for the slow page.
    asked: AtomicBool,
}

async fn serve(name: &'static str) -> (Arc<Server>, SocketAddr) {
    let server = Arc::new(Server {
        name,
        slow: Notify::new(),
        asked: AtomicBool::new(false),
    });
    let slow = |State(server): State<Arc<Server>>| async move {
        server.asked.store(true, Ordering::SeqCst);
        server.slow.notified().await;
        server.name
    };
    let router = Router::new()
        .route("/", get(|State(server): State<Arc<Server>>| async move { server.name }))
        .route("/slow", get(slow))
        .with_state(server.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (server, address)
}

fn step(verb: BalancerVerb, server: &str) -> Balance<String> {
    Balance {
        verb,
        balancer: "edge".into(),
        backend: BACKEND.into(),
        server: server.into(),
    }
}

fn balancers(haproxy: &Haproxy) -> Balancers {
    let address = format!("unix:{}", haproxy.socket.display()).parse().unwrap();
    Balancers::new(&[BalancerConfig {
        name: "edge".into(),
        haproxy: vec![address],
    }])
}

/// Which servers answer ten requests; each on a connection of its own.
async fn answers(haproxy: &Haproxy) -> Vec<String> {
    let client = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
    let mut names = Vec::new();
    for _ in 0..10 {
        let answer = client
            .get(format!("http://{}/", haproxy.frontend))
            .send()
            .await
            .unwrap();
        names.push(answer.error_for_status().unwrap().text().await.unwrap());
    }
    names.sort();
    names.dedup();
    names
}

fn begin() {
    // The provider is the process's; whoever comes second finds it there.
    let _there = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

#[tokio::test]
async fn a_drained_server_ends_what_it_has_and_gets_nothing_new_until_it_is_admitted() {
    begin();
    let place = Place::new("balancer", false).unwrap();
    let ((first, one), (_, two)) = (serve("h1").await, serve("h2").await);
    let haproxy = Haproxy::start(&place, &[("h1".into(), one), ("h2".into(), two)], "/")
        .await
        .unwrap();
    let balancers = balancers(&haproxy);
    for server in ["h1", "h2"] {
        let admit = step(BalancerVerb::Admit, server);
        time::timeout(WITHIN, balancers.carry_out(&admit, drop))
            .await
            .unwrap()
            .unwrap();
    }
    assert_eq!(answers(&haproxy).await, ["h1", "h2"]);

    // A session that lasts: both servers are asked, so that one of the two requests is held by h1.
    let slow: Vec<_> = (0..2)
        .map(|_| tokio::spawn(reqwest::get(format!("http://{}/slow", haproxy.frontend))))
        .collect();
    time::timeout(WITHIN, async {
        while !first.asked.load(Ordering::SeqCst) {
            time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap();
    balancers
        .carry_out(&step(BalancerVerb::Drain, "h1"), drop)
        .await
        .unwrap();
    assert_eq!(answers(&haproxy).await, ["h2"]);

    let heard = Arc::new(Mutex::new(String::new()));
    let waiting = {
        let (balancers, heard, first) = (balancers.clone(), heard.clone(), first.clone());
        tokio::spawn(async move {
            let empty = step(BalancerVerb::AwaitSessions { max: 0 }, "h1");
            let note = |waiting: echelon_coordinator::balancer::Waiting| {
                *heard.lock().unwrap() = waiting.to_string();
                // Only when it has been seen to wait is the session let go.
                first.slow.notify_waiters();
            };
            balancers.carry_out(&empty, note).await
        })
    };
    time::timeout(WITHIN, waiting).await.unwrap().unwrap().unwrap();
    assert!(heard.lock().unwrap().contains("web/h1"), "{heard:?}");
    assert!(
        heard.lock().unwrap().contains("has 1 sessions, awaited are 0"),
        "{heard:?}"
    );

    let admit = step(BalancerVerb::Admit, "h1");
    time::timeout(WITHIN, balancers.carry_out(&admit, drop))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answers(&haproxy).await, ["h1", "h2"]);
    slow.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn what_a_balancer_does_not_know_is_told_and_not_tried_again() {
    begin();
    let place = Place::new("balancer", false).unwrap();
    let (_, one) = serve("h1").await;
    let haproxy = Haproxy::start(&place, &[("h1".into(), one)], "/").await.unwrap();
    let balancers = balancers(&haproxy);
    let unknown = balancers
        .carry_out(&step(BalancerVerb::Drain, "h9"), drop)
        .await
        .unwrap_err();
    assert!(unknown.to_string().contains("No such server"), "{unknown}");
    let lost = balancers
        .carry_out(&step(BalancerVerb::AwaitSessions { max: 0 }, "h9"), drop)
        .await
        .unwrap_err();
    assert!(lost.to_string().contains("No server h9 in web"), "{lost}");
    let elsewhere = Balance {
        balancer: "inner".into(),
        ..step(BalancerVerb::Admit, "h1")
    };
    let nowhere = balancers.carry_out(&elsewhere, drop).await.unwrap_err();
    assert!(nowhere.to_string().contains("there are edge"), "{nowhere}");
    assert!(!unknown.is_passing() && !lost.is_passing() && !nowhere.is_passing());

    drop(haproxy);
    let gone = balancers
        .carry_out(&step(BalancerVerb::Drain, "h1"), drop)
        .await
        .unwrap_err();
    let unreachable = matches!(
        &gone,
        Error::Haproxy {
            trouble: Trouble::Unreachable(_),
            ..
        }
    );
    assert!(unreachable && gone.is_passing(), "{gone}");
}
