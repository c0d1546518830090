//! What must hold on the host before a phase may begin. One that does not hold holds the phase back: nothing is run, and
//! the coordinator asks again later. Once all held that is written down, so that a phase that was begun is not held back
//! half-way when another agent takes it up.

use std::{fs, time::Duration};

use tokio::time::Instant;

use super::{Host, attempt::Attempt};
use crate::{
    ledger::replace,
    order::{Order, Outcome, PhaseResult},
};

/// Of one guard. A question that takes longer is a phase of its own.
const ONE_GUARD: Duration = Duration::from_secs(30);
/// The mark in the attempt's folder that all held.
const LET_IN: &str = "let-in";

impl Host {
    /// Asks the order's guards, in their order. The outcome when the phase may not begin.
    pub(super) async fn held_back(&self, order: &Order, attempt: &Attempt) -> Option<Outcome> {
        let mark = attempt.dir.join(LET_IN);
        if order.guards.is_empty() || mark.exists() {
            return None;
        }
        for (number, guard) in order.guards.iter().enumerate() {
            let within = attempt.ending_by(Instant::now() + ONE_GUARD);
            let answer = self
                .verify(order, &guard.ask, &within, &format!("guard-{number}"))
                .await;
            if !answer.healthy {
                let message = format!("guard {} does not hold: {}", guard.name, answer.message);
                return Some(Outcome::of(PhaseResult::HeldBack, message));
            }
        }
        let written = fs::create_dir_all(&attempt.dir).and_then(|()| replace(&mark, b"", 0o600));
        written.err().map(|error| {
            let mark = mark.display();
            Outcome::failed(format!("its guards hold, but nothing was run: {mark}: {error}"))
        })
    }
}
