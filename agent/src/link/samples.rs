//! Tells the coordinator what was measured of the host, and how long the questions of watches took. Of one session: nothing
//! is kept for the next, because a judge asks how a host is and not how it was. Deliberately no measuring of its own.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use echelon_proto::wire::link::AgentMessage;
use tokio::{sync::mpsc, time};

use super::{now, wire};
use crate::executor::Executor;

/// Measures and tells, for ever.
pub(super) async fn send<E: Executor>(
    executor: Arc<E>,
    latencies: Arc<Latencies>,
    every: Duration,
    messages: mpsc::Sender<AgentMessage>,
) {
    loop {
        time::sleep(every).await;
        let mut values = executor.measure().await;
        values.extend(latencies.take());
        if !values.is_empty() && messages.send(wire::samples(now(), values)).await.is_err() {
            return;
        }
    }
}

/// How long the questions of each watch took since it was last told. No more than the session has watches.
#[derive(Debug, Default)]
pub(super) struct Latencies(Mutex<BTreeMap<String, Asked>>);

#[derive(Debug, Default)]
struct Asked {
    times: u32,
    in_all: Duration,
}

impl Latencies {
    /// One question of this watch was answered, well or not.
    pub(super) fn took(&self, watch: &str, took: Duration) {
        let mut all = self.lock();
        let asked = all.entry(watch.to_owned()).or_default();
        asked.times = asked.times.saturating_add(1);
        asked.in_all = asked.in_all.saturating_add(took);
    }

    /// The averages, in milliseconds.
    fn take(&self) -> BTreeMap<String, f64> {
        let all = std::mem::take(&mut *self.lock());
        let mean = |asked: &Asked| asked.in_all.as_secs_f64() * 1000.0 / f64::from(asked.times.max(1));
        all.into_iter()
            .map(|(watch, asked)| (format!("probe_ms/{watch}"), mean(&asked)))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Asked>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_of_each_watch_is_told_once() {
        let latencies = Latencies::default();
        latencies.took("r1/health", Duration::from_millis(10));
        latencies.took("r1/health", Duration::from_millis(30));
        latencies.took("monitor/web", Duration::from_millis(5));
        let told = latencies.take();
        assert_eq!(
            told.keys().collect::<Vec<_>>(),
            ["probe_ms/monitor/web", "probe_ms/r1/health"]
        );
        assert!((told["probe_ms/r1/health"] - 20.0).abs() < 1e-6, "{told:?}");
        assert_eq!(latencies.take(), BTreeMap::new());
    }
}
