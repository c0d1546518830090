//! Artifacts that are here before anybody orders them, and what bounds downloads: how many, how fast, how much of the disk.

use std::{
    fs,
    num::{NonZeroU64, NonZeroUsize},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, routing::get};
use echelon_agent::order::PhaseResult;
use echelon_proto::{
    Digest,
    wire::link::{Artifact, ArtifactVerb, Order, PhaseResult as Told, Prefetch, Release, action::Kind},
};
use futures::future::join_all;
use tokio::net::TcpListener;

use crate::{
    artifacts::{archive, done, install},
    coordinator::Coordinator,
    host::OneHost,
    sandbox::{Sandbox, doing},
};

async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/web.tar.gz")
}

/// Serves these bytes, and counts how often.
async fn counted(body: Vec<u8>) -> (String, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let answer = move || {
        count.fetch_add(1, Ordering::SeqCst);
        std::future::ready(body.clone())
    };
    (serve(Router::new().route("/web.tar.gz", get(answer))).await, asked)
}

fn release(url: &str, body: &[u8]) -> Release {
    Release {
        name: "1.0".to_owned(),
        url: url.to_owned(),
        sha256: Digest::of(body).to_string(),
        size_bytes: body.len() as u64,
    }
}

fn prefetch(release: &Release) -> Prefetch {
    Prefetch {
        app: "web".to_owned(),
        release: Some(release.clone()),
        timeout_ms: 20_000,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_prefetched_is_installed_without_its_server() {
    let mut coordinator = Coordinator::start().await;
    let sandbox = Sandbox::joined(&coordinator).await;
    coordinator.attached().await;
    let body = archive("web");
    let (url, asked) = counted(body.clone()).await;
    let wanted = release(&url, &body);
    coordinator.prefetch(&prefetch(&wanted)).await;
    let told = coordinator.prefetched().await;
    assert!(told.ready && told.message.is_empty(), "{told:?}");
    assert_eq!(
        (told.app.as_str(), told.release.as_str(), &told.sha256),
        ("web", "1.0", &wanted.sha256)
    );
    assert!(sandbox.path("state/store").join(&wanted.sha256).exists());
    assert!(
        !sandbox.path("apps/web/releases").exists(),
        "nothing is unpacked, nothing stands"
    );

    let installs = Artifact {
        verb: ArtifactVerb::Install.into(),
        keep: None,
    };
    let order = Order {
        release: Some(wanted.clone()),
        ..doing(1, Kind::Artifact(installs))
    };
    coordinator.order(&order).await;
    let report = coordinator.report().await;
    assert_eq!(report.result(), Told::Done, "{}", report.message);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    // Asked for once more: the release is on the disk already.
    coordinator.prefetch(&prefetch(&wanted)).await;
    assert!(coordinator.prefetched().await.ready);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_prefetched_says_why() {
    let mut coordinator = Coordinator::start().await;
    let sandbox = Sandbox::joined(&coordinator).await;
    coordinator.attached().await;
    let body = archive("web");
    let (url, _) = counted(b"something else".to_vec()).await;
    let wrong = Release {
        size_bytes: 0,
        ..release(&url, &body)
    };
    let huge = Release {
        size_bytes: u64::MAX / 4,
        ..release(&url, &body)
    };
    let unnamed = Release {
        name: "../1.0".to_owned(),
        ..release(&url, &body)
    };
    for (release, why) in [
        (wrong, "its sha256 is"),
        (huge, "bytes free, this needs"),
        (unnamed, "is not a name"),
    ] {
        coordinator.prefetch(&prefetch(&release)).await;
        let told = coordinator.prefetched().await;
        assert!(!told.ready && told.message.contains(why), "wanted {why:?}: {told:?}");
    }
    assert_eq!(fs::read_dir(sandbox.path("state/store")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefetch_goes_on_in_the_next_session_where_the_last_one_ended() {
    let mut coordinator = Coordinator::start().await;
    let mut sandbox = Sandbox::joined(&coordinator).await;
    coordinator.attached().await;
    let body = archive("web");
    // A file that is only half there, and never gets longer.
    let half = sandbox.path("half");
    fs::write(&half, &body[..60_000]).unwrap();
    let wanted = release(&format!("file://{}", half.display()), &body);
    coordinator.prefetch(&prefetch(&wanted)).await;
    let part = sandbox.path("state/store").join(format!("{}.part", wanted.sha256));
    crate::sandbox::until("half of it is here", || {
        fs::metadata(&part).is_ok_and(|meta| meta.len() == 60_000)
    })
    .await;
    sandbox.kill();
    fs::write(&half, &body).unwrap();
    sandbox.start();
    coordinator.attached().await;
    coordinator.prefetch(&prefetch(&wanted)).await;
    assert!(coordinator.prefetched().await.ready);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_downloaded_at_once_than_the_config_says() {
    let host = OneHost::with(|_, settings| {
        settings.artifacts.max_parallel = NonZeroUsize::new(2).unwrap();
    });
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (under_way, seen) = (now.clone(), most.clone());
    let bodies: Vec<Vec<u8>> = (0..6).map(|n| archive(&format!("web {n}"))).collect();
    let all = bodies.clone();
    let answer = move |axum::extract::Path(n): axum::extract::Path<usize>| {
        let (under_way, seen, body) = (under_way.clone(), seen.clone(), all[n].clone());
        async move {
            seen.fetch_max(under_way.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(100)).await;
            under_way.fetch_sub(1, Ordering::SeqCst);
            body
        }
    };
    let url = serve(Router::new().route("/{n}", get(answer))).await;
    let url = url.trim_end_matches("web.tar.gz");
    let orders = bodies.iter().enumerate().map(|(n, body)| {
        let mut order = install(&format!("1.{n}"), &format!("{url}{n}"), body);
        order.app = echelon_proto::App::new(format!("app-{n}")).unwrap();
        order.fence.rollout = echelon_proto::RolloutId::new(format!("r{n}")).unwrap();
        host.run(order)
    });
    for outcome in join_all(orders).await {
        done(&outcome);
    }
    assert_eq!((now.load(Ordering::SeqCst), most.load(Ordering::SeqCst)), (0, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn downloads_are_no_faster_than_the_config_says() {
    let host = OneHost::with(|_, settings| {
        settings.artifacts.bandwidth = NonZeroU64::new(100_000);
    });
    let body = archive("web");
    let (url, _) = counted(body.clone()).await;
    let began = Instant::now();
    done(&host.run(install("1.0", &url, &body)).await);
    // Only slower is possible on a slow machine: what is asked is that it is not faster.
    let fastest = Duration::from_millis(body.len() as u64 * 1000 / 100_000);
    assert!(
        began.elapsed() >= fastest,
        "{:?} for {} bytes",
        began.elapsed(),
        body.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_this_host_is_taken_and_what_is_none_is_not() {
    let host = OneHost::new();
    let body = archive("web");
    fs::write(host.at("web 1.tar.gz"), &body).unwrap();
    let at = |name: &str| format!("file://{}", host.at(name).display());
    done(&host.run(install("1.0", &at("web%201.tar.gz"), &body)).await);
    assert_eq!(host.current(), "web");
    nix::unistd::mkfifo(&host.at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for (url, why) in [
        (at("absent"), "the file is not there"),
        (at("apps"), "not a regular file"),
        (at("pipe"), "not a regular file"),
        ("file:relative".to_owned(), "is not there"),
        (
            "file://elsewhere/srv/web".to_owned(),
            "the whole path of a file of this host",
        ),
        ("gopher://127.0.0.1/web".to_owned(), "gopher is no source"),
        ("web.tar.gz".to_owned(), "this is no URL"),
        ("s3://bucket".to_owned(), "s3://BUCKET/KEY"),
    ] {
        let other = archive("other");
        let outcome = host.run(install("1.1", &url, &other)).await;
        assert_eq!(outcome.result, PhaseResult::Failed, "{url}: {}", outcome.message);
        assert!(
            outcome.message.contains(why),
            "{url}: wanted {why:?}: {}",
            outcome.message
        );
    }
}
