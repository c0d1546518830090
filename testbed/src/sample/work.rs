//! What the service is there for: a request takes its time, and now and then goes wrong, as the release has it; and it is
//! counted for Prometheus. Deliberately only sleeps: how long a request takes must not depend on what else this machine does.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use tokio::time;

/// A fifth slower than every other.
pub(crate) const SLOWER_RELEASE: &str = "2.1.0";
/// Two of its hundred requests go wrong.
pub(crate) const ERRING_RELEASE: &str = "2.2.0";

const TAKES: Duration = Duration::from_millis(80);
const SLOWER: Duration = Duration::from_millis(96);
/// Either way and by chance: were it in turn, services that were started together would differ from all others by the place in
/// the turn at which somebody looks, and by nothing else, and that is just how an arm looks that differed before already.
const JITTER_MS: u64 = 8;
/// Of the release that errs, one in so many.
const ERRS_ONE_IN: u64 = 50;

#[derive(Debug, Default)]
struct Counted {
    begun: AtomicU64,
    requests: AtomicU64,
    errors: AtomicU64,
    micros: AtomicU64,
}

#[derive(Debug, Clone)]
pub(super) struct Work {
    takes: Duration,
    errs: bool,
    /// Services that were started together must not err together: between two scrapes all of it would be missed at once.
    offset: u64,
    counted: Arc<Counted>,
}

impl Work {
    pub(super) fn of(version: &str) -> Self {
        Self {
            takes: if version == SLOWER_RELEASE { SLOWER } else { TAKES },
            errs: version == ERRING_RELEASE,
            offset: rand::random_range(0..ERRS_ONE_IN),
            counted: Arc::default(),
        }
    }

    pub(super) fn router(self) -> Router {
        Router::new()
            .route("/work", get(work))
            .route("/metrics", get(metrics))
            .with_state(self)
    }
}

async fn work(State(work): State<Work>) -> StatusCode {
    let began = Instant::now();
    let number = work.counted.begun.fetch_add(1, Ordering::Relaxed) + 1;
    let jitter = Duration::from_millis(rand::random_range(0..=2 * JITTER_MS));
    time::sleep(work.takes + jitter - Duration::from_millis(JITTER_MS)).await;
    let went_wrong = work.errs && (number + work.offset).is_multiple_of(ERRS_ONE_IN);
    let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    work.counted.micros.fetch_add(micros, Ordering::Relaxed);
    work.counted.errors.fetch_add(went_wrong.into(), Ordering::Relaxed);
    work.counted.requests.fetch_add(1, Ordering::Relaxed);
    if went_wrong {
        StatusCode::INTERNAL_SERVER_ERROR
    } else {
        StatusCode::OK
    }
}

async fn metrics(State(work): State<Work>) -> String {
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (requests, errors) = (count(&work.counted.requests), count(&work.counted.errors));
    let seconds = count(&work.counted.micros) as f64 / 1e6;
    format!(
        "# TYPE work_requests_total counter\nwork_requests_total {requests}\n# TYPE work_errors_total counter\n\
         work_errors_total {errors}\n# TYPE work_seconds_total counter\nwork_seconds_total {seconds}\n"
    )
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::visit;

    #[tokio::test]
    async fn the_release_that_errs_does_so_twice_in_a_hundred_and_all_is_counted() {
        for (version, errors) in [("2.0.0", 0), (ERRING_RELEASE, 2)] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let serving = tokio::spawn(async move { axum::serve(listener, Work::of(version).router()).await });
            let asked = (0..100).map(|_| visit::get(port, "/work"));
            let answers = futures::future::join_all(asked).await;
            let bad = answers.iter().filter(|answer| answer.as_ref().unwrap().0 == 500);
            assert_eq!(bad.count(), errors);
            let (_, metrics) = visit::get(port, "/metrics").await.unwrap();
            assert!(metrics.contains("work_requests_total 100\n"), "{metrics}");
            assert!(metrics.contains(&format!("work_errors_total {errors}\n")), "{metrics}");
            serving.abort();
        }
    }
}
