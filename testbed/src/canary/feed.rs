//! What services count, written to Graphite as it is: `work.HOST.requests 17 SECONDS`, twice a second, as a site's collector
//! does. Deliberately no rates: what a counter means is the query's to say.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures::future::join_all;
use tokio::{
    io::AsyncWriteExt as _,
    net::TcpStream,
    task::JoinSet,
    time::{self, MissedTickBehavior},
};

use crate::visit::get;

/// Graphite keeps two seconds apart: each of them has a newest value, though one of these comes late.
const EVERY: Duration = Duration::from_millis(500);

/// A collector; ends when dropped.
#[derive(Debug)]
pub(super) struct Feed {
    _running: JoinSet<()>,
}

impl Feed {
    /// Of services by name and port, to a carbon that takes lines there.
    ///
    /// # Errors
    /// Nobody listens there.
    pub(super) async fn start(carbon: SocketAddr, services: Vec<(String, u16)>) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(carbon).await?;
        let mut running = JoinSet::new();
        running.spawn(feed(stream, services));
        Ok(Self { _running: running })
    }
}

async fn feed(mut stream: TcpStream, services: Vec<(String, u16)>) {
    let mut ticks = time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let each = services
            .iter()
            .map(async |(name, port)| Some(lines(name, &get(*port, "/metrics").await.ok()?.1, seconds())));
        // A service that is being started says nothing.
        let text: String = join_all(each).await.into_iter().flatten().collect();
        if stream.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn seconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

/// As Prometheus is told it, line by line: `work_requests_total 17`.
fn lines(host: &str, metrics: &str, at: u64) -> String {
    let mut lines = String::new();
    for line in metrics.lines() {
        let counter = line.strip_prefix("work_").and_then(|line| line.split_once("_total "));
        if let Some((counter, value)) = counter {
            let _ = writeln!(lines, "work.{host}.{counter} {value} {at}");
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counter_is_a_line_of_its_host() {
        let metrics = "# TYPE work_requests_total counter\nwork_requests_total 17\n# TYPE work_seconds_total counter\n\
                       work_seconds_total 1.25\nother 3\n";
        let wanted = "work.h1.requests 17 1700000000\nwork.h1.seconds 1.25 1700000000\n";
        assert_eq!(lines("h1", metrics, 1_700_000_000), wanted);
    }
}
