//! The service that the demo rolls out: a small HTTP server whose release says how it behaves. `/version` is what stands
//! in its VERSION file, `/health` is 200, but 500 for the one bad release, `/sessions` says that nobody is logged in,
//! `/work` takes its time and may go wrong, `/metrics` counts that, `/status` says how much of its model is loaded, `/shadow` how its answers compare with those of the release that serves.
//! Deliberately knows nothing of Echelon.

pub(crate) mod work;

use std::{
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use axum::{Router, http::StatusCode, routing::get};
use tokio::{net::TcpListener, time};

use work::Work;

/// The release that looks fine until it is asked how it is.
pub const BAD_RELEASE: &str = "1.2.0";
/// The one before it on this port may not be gone yet.
const LISTEN_WITHIN: Duration = Duration::from_secs(5);
/// Of its model.
const PARTS: u128 = 4;
const LOADS_ONE_IN: Duration = Duration::from_millis(250);

/// `sample-service`
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Folder of the release, with its VERSION file
    #[arg(long)]
    release: PathBuf,
    /// Where to listen, on the loopback address
    #[arg(long)]
    port: u16,
}

/// Serves until it is ended.
///
/// # Errors
/// No VERSION file, or the port is taken.
pub async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let file = arguments.release.join("VERSION");
    let version = std::fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
    let listener = listen(arguments.port).await?;
    axum::serve(listener, service(version.trim().to_owned())).await?;
    Ok(())
}

fn service(version: String) -> Router {
    let health = if version == BAD_RELEASE {
        (
            StatusCode::INTERNAL_SERVER_ERROR,
            "the cart cannot be read: column `currency` is not there\n",
        )
    } else {
        (StatusCode::OK, "ok\n")
    };
    let began = Instant::now();
    let status = move || async move { format!("{{\"loaded\": {}, \"total\": {PARTS}}}\n", loaded(began.elapsed())) };
    let differ = if version == BAD_RELEASE { 150 } else { 2 };
    Router::new()
        .route("/status", get(status))
        .route(
            "/shadow",
            get(move || async move { format!("{{\"compared\": 1500, \"differ\": {differ}}}\n") }),
        )
        .merge(Work::of(&version).router())
        .route("/version", get(move || async move { version }))
        .route("/health", get(move || async move { health }))
        .route("/sessions", get(|| async { "{\"sessions\": 0}\n" }))
}

/// Of its model's parts, this long after the start.
fn loaded(since: Duration) -> u128 {
    (since.as_millis() / LOADS_ONE_IN.as_millis()).min(PARTS)
}

async fn listen(port: u16) -> anyhow::Result<TcpListener> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let listening = async {
        loop {
            match TcpListener::bind(address).await {
                Ok(listener) => return listener,
                Err(_) => time::sleep(Duration::from_millis(50)).await,
            }
        }
    };
    time::timeout(LISTEN_WITHIN, listening)
        .await
        .with_context(|| format!("{address} is taken"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::visit::get;

    #[tokio::test]
    async fn only_the_bad_release_is_unwell() {
        for (version, status) in [("1.1.0", 200), (BAD_RELEASE, 500)] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let serving = tokio::spawn(async move { axum::serve(listener, service(version.to_owned())).await });
            assert_eq!(get(port, "/version").await.unwrap(), (200, version.to_owned()));
            assert_eq!(get(port, "/health").await.unwrap().0, status);
            let (_, shadow) = get(port, "/shadow").await.unwrap();
            assert_eq!(shadow.contains("\"differ\": 2}"), status == 200, "{shadow}");
            serving.abort();
        }
    }

    #[test]
    fn a_model_is_loaded_part_by_part_and_then_stays() {
        let parts = [0, 249, 250, 999, 1000, 60_000].map(|ms| loaded(Duration::from_millis(ms)));
        assert_eq!(parts, [0, 0, 1, 3, 4, 4]);
    }
}
