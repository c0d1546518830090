//! The host as an executor, without a coordinator: checks and systemd.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, sync::Arc};

use axum::{Router, http::StatusCode, routing::get};
use echelon_agent::{
    executor::{Executor as _, Work},
    host::{Host, Settings},
    order::{Action, HttpCheck, Order, Outcome, PhaseResult, Standing, Systemd, SystemdVerb, TcpCheck},
};
use echelon_proto::{App, Fence, HostId, PhaseName, RolloutId, Span, Time};
use tempfile::TempDir;

use crate::sandbox::AGENT;

pub(crate) struct OneHost {
    pub(crate) folder: TempDir,
    pub(crate) host: Host,
}

impl OneHost {
    pub(crate) fn new() -> Self {
        Self::with(|_, _| {})
    }

    pub(crate) fn with(change: impl FnOnce(&Path, &mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let mut settings = Settings::new(HostId::new("h1").unwrap(), at("apps"), at("state"), AGENT.into());
        change(folder.path(), &mut settings);
        let host = Host::open(settings).unwrap();
        Self { folder, host }
    }

    pub(crate) async fn run(&self, order: Order) -> Outcome {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        let work = Work {
            order: Arc::new(order),
            started: Time(u64::try_from(now.as_millis()).unwrap()),
            resumed: false,
        };
        self.host.execute(work).await
    }
}

pub(crate) fn order(action: Action) -> Order {
    let app = App::new("web").unwrap();
    Order {
        fence: Fence {
            term: 1,
            rollout: RolloutId::new("r1").unwrap(),
            host: HostId::new("h1").unwrap(),
            phase: PhaseName::new("start").unwrap(),
            attempt: 1,
        },
        app: app.clone(),
        release: None,
        action,
        timeout: Span::secs(30),
        verify: None,
        after: Standing::unknown(app),
        from_state: None,
        guards: Vec::new(),
        variables: Default::default(),
        leftovers: Default::default(),
    }
}

async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

fn http(url: String, status: u16, contains: Option<&str>) -> HttpCheck {
    HttpCheck {
        url,
        status,
        consecutive: 2,
        interval: Span(50),
        request_timeout: Span(1000),
        contains: contains.map(str::to_owned),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_check_waits_until_it_holds_in_a_row() {
    let asked = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let seen = asked.clone();
    // Good, bad, bad, then good: one good answer alone is not enough.
    let answer = move || {
        let n = seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        std::future::ready(if n == 1 || n == 2 {
            StatusCode::INTERNAL_SERVER_ERROR
        } else {
            StatusCode::OK
        })
    };
    let url = serve(Router::new().route("/", get(answer))).await;
    let outcome = OneHost::new().run(order(Action::Http(http(url, 200, None)))).await;
    assert_eq!(outcome.result, PhaseResult::Done, "{}", outcome.message);
    assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_never_holds_says_what_it_saw_last() {
    let redirect = || std::future::ready((StatusCode::FOUND, [("location", "/ok")]));
    let router = Router::new()
        .route(
            "/bad",
            get(|| std::future::ready((StatusCode::INTERNAL_SERVER_ERROR, "broken"))),
        )
        .route("/moved", get(redirect))
        .route("/ok", get(|| std::future::ready("version 1")))
        .route("/slow", get(std::future::pending::<&'static str>));
    let base = serve(router).await;
    let free = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let mut slow = http(format!("{base}/slow"), 200, None);
    slow.request_timeout = Span(100);
    let cases = [
        (
            Action::Http(http(format!("{base}/bad"), 200, None)),
            "/bad: answered 500, wanted 200",
        ),
        (
            Action::Http(http(format!("{base}/moved"), 200, None)),
            "/moved: answered 302, wanted 200",
        ),
        (
            Action::Http(http(format!("{base}/ok"), 200, Some("version 2"))),
            "without \"version 2\"",
        ),
        (Action::Http(slow), "no answer within 100 ms"),
        (Action::Http(http(format!("http://{free}/"), 200, None)), "refused"),
        (
            Action::Tcp(TcpCheck {
                address: free.to_string(),
                consecutive: 1,
                interval: Span(50),
            }),
            "refused",
        ),
    ];
    let host = OneHost::new();
    for (action, wanted) in cases {
        let mut order = order(action);
        order.timeout = Span(400);
        let outcome = host.run(order).await;
        assert_eq!(outcome.result, PhaseResult::TimedOut);
        assert!(
            outcome.message.contains(wanted),
            "wanted {wanted:?}: {}",
            outcome.message
        );
    }
    let held = host
        .run(order(Action::Http(http(format!("{base}/ok"), 200, Some("version 1")))))
        .await;
    assert_eq!(held.result, PhaseResult::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_that_fails_after_its_start_fails_the_phase_with_its_last_lines() {
    let host = OneHost::with(|folder, settings| {
        let script = "#!/bin/sh\nname=${0%/*}\necho \"$*\" >> $name/asked\ncase \"$*\" in\n\
            *is-active*good*) exit 0;;\n*is-active*) exit 3;;\n\
            show*bad*) echo ActiveState=failed; echo SubState=failed; echo Result=exit-code; echo Type=simple;;\n\
            show*) echo ActiveState=active; echo SubState=running; echo Result=success; echo Type=simple;;\n\
            status*) echo last lines of the unit;;\n*restart*broken*) echo no such unit >&2; exit 5;;\nesac\n";
        settings.systemctl = folder.join("systemctl");
        fs::write(&settings.systemctl, script).unwrap();
        fs::set_permissions(&settings.systemctl, fs::Permissions::from_mode(0o755)).unwrap();
        settings.systemd_mark = folder.to_owned();
    });
    let unit = |unit: &str, verb| {
        Action::Systemd(Systemd {
            unit: unit.to_owned(),
            verb,
        })
    };
    let done = host.run(order(unit("good.service", SystemdVerb::Start))).await;
    assert_eq!(done.result, PhaseResult::Done, "{}", done.message);
    let bad = host.run(order(unit("bad.service", SystemdVerb::Start))).await;
    assert_eq!(bad.result, PhaseResult::Failed);
    assert!(
        bad.message.contains("bad.service is failed (failed, result exit-code)"),
        "{}",
        bad.message
    );
    assert!(bad.tail.contains("last lines of the unit"), "{}", bad.tail);
    let broken = host.run(order(unit("broken", SystemdVerb::Restart))).await;
    assert!(
        broken.exit_code == Some(5) && broken.tail.contains("no such unit"),
        "{broken:?}"
    );
    let option = host.run(order(unit("--root=/", SystemdVerb::Stop))).await;
    assert!(
        option.message.contains("is not the name of a unit"),
        "{}",
        option.message
    );
    assert!(host.host.probe(&unit("good", SystemdVerb::IsActive)).await.healthy);
    assert!(!host.host.probe(&unit("other", SystemdVerb::IsActive)).await.healthy);
    let asked = fs::read_to_string(host.folder.path().join("asked")).unwrap();
    assert!(asked.contains("--no-ask-password start -- good.service"), "{asked}");

    let without = OneHost::with(|folder, settings| settings.systemd_mark = folder.join("absent"));
    let outcome = without.run(order(unit("good", SystemdVerb::Start))).await;
    assert!(
        outcome.message.contains("not started by systemd"),
        "{}",
        outcome.message
    );
}
