//! What a host of the fleet does with an order: waits for a stated time, and is done. No files, no programs, no output.

use std::time::Duration;

use echelon_agent::{
    executor::{Executor, Work},
    order::{Action, Outcome, Probe},
};
use tokio::time;

/// Every phase takes the same time.
#[derive(Debug, Clone, Copy)]
pub struct Timed {
    each: Duration,
}

impl Timed {
    /// Zero: phases are done at once.
    #[must_use]
    pub const fn new(each: Duration) -> Self {
        Self { each }
    }
}

impl Executor for Timed {
    async fn execute(&self, _work: Work) -> Outcome {
        // A timer of zero would still wait for the next tick of the clock.
        if !self.each.is_zero() {
            time::sleep(self.each).await;
        }
        Outcome::done()
    }

    async fn probe(&self, _probe: &Action) -> Probe {
        Probe { healthy: true, message: "the fleet's hosts are always well".to_owned() }
    }
}
