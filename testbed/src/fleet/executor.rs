//! What a host of the fleet does with an order: waits for a stated time, and is done. No files, no programs, no output.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use echelon_agent::{
    executor::{Executor, Work},
    order::{Action, Outcome, Probe},
};
use tokio::time;

/// How long every phase of the fleet takes from now on: one for all hosts, changed between two measurements.
#[derive(Debug, Clone, Default)]
pub struct PhaseTime(Arc<AtomicU64>);

impl PhaseTime {
    /// Zero: phases are done at once. Parts of a millisecond are dropped.
    pub fn set(&self, each: Duration) {
        self.0
            .store(u64::try_from(each.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn get(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// Every phase takes the same time.
#[derive(Debug, Clone)]
pub struct Timed(pub PhaseTime);

impl Executor for Timed {
    async fn execute(&self, _work: Work) -> Outcome {
        let each = self.0.get();
        // A timer of zero would still wait for the next tick of the clock.
        if !each.is_zero() {
            time::sleep(each).await;
        }
        Outcome::done()
    }

    async fn probe(&self, _probe: &Action) -> Probe {
        Probe {
            healthy: true,
            message: "the fleet's hosts are always well".to_owned(),
        }
    }
}
