//! Looks of canary gates: while a comparison is owed, its samples are asked for and judged once an interval, what was judged
//! is kept, and then the engine hears what was said. When a look is the last word is the engine's to say.
//!
//! After a restart the looks go on at the newest interval: each looks at all samples from the beginning, so none is missed.

mod case;
mod look;
mod score;
mod trial;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use echelon_engine::{
    Event,
    effect::{Comparison, Effect, Key},
};
use echelon_failpoint as failpoint;
use echelon_proto::{Span, Time};
use tokio::{runtime::Handle, task::AbortHandle, time};

pub(crate) use self::look::settle;
use self::look::{Looked, look};
pub use self::trial::Trials;
use crate::{
    decisions::{Decisions, Place},
    driver::{Change, Inbox, Unmet, wall},
    source::Sources,
};

/// The wall's clock may be put forward: a sleep is never trusted for longer.
const SLEEP_MAX: Duration = Duration::from_secs(10);

/// Looks at what is owed.
#[derive(Debug)]
pub struct Canaries {
    sources: Arc<Sources>,
    decisions: Arc<Decisions>,
    inbox: Inbox,
    runtime: Handle,
    /// One for each gate that is owed a comparison.
    working: Mutex<BTreeMap<Key, Working>>,
}

#[derive(Debug)]
struct Working {
    owed: Arc<Effect>,
    task: AbortHandle,
}

impl Drop for Working {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Canaries {
    /// With these sources. Must be called within a runtime.
    #[must_use]
    pub fn new(sources: Arc<Sources>, decisions: Arc<Decisions>, inbox: Inbox) -> Arc<Self> {
        Arc::new(Self {
            sources,
            decisions,
            inbox,
            runtime: Handle::current(),
            working: Mutex::default(),
        })
    }

    /// Something is owed differently. What is no comparison is left to others.
    pub fn changed(self: &Arc<Self>, changes: &[Change]) {
        let mut working = self.working.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, effect) in changes {
            match key {
                Key::Canary(..) => {}
                Key::Order(..) | Key::Watch(..) | Key::Monitor(..) | Key::Notify(_) => continue,
            }
            if working.get(key).is_some_and(|work| effect.as_ref() == Some(&work.owed)) {
                continue;
            }
            working.remove(key);
            let Some(owed) = effect.clone() else { continue };
            let Effect::Canary(comparison) = owed.as_ref() else {
                continue;
            };
            let task = self.clone().watch(Arc::new(comparison.clone()));
            let task = self.runtime.spawn(task).abort_handle();
            working.insert(key.clone(), Working { owed, task });
        }
    }

    /// Looks until it is called off, or the longest window is over and its end was told.
    async fn watch(self: Arc<Self>, comparison: Arc<Comparison>) {
        let every = comparison.canary.every;
        let looks = comparison.canary.longest().0.div_ceil(every.0.max(1));
        let mut done = 0;
        while done < looks {
            let due = comparison.since + settle(every);
            // As many as are over, at least one more than last time.
            let over = wall().since(due).0 / every.0.max(1);
            let next = over.clamp(done + 1, looks);
            sleep_until(due + Span(every.0.saturating_mul(next))).await;
            let count = usize::try_from(next).unwrap_or(usize::MAX);
            let looked = look(&self.sources, &comparison, count).await;
            if !self.tell(&comparison, looked).await {
                return;
            }
            done = next;
        }
    }

    /// False: the coordinator stops.
    async fn tell(&self, comparison: &Comparison, looked: Looked) -> bool {
        self.keep(comparison, &looked).await;
        failpoint::pass("decision", "kept");
        let event = Event::CanaryLooked {
            rollout: comparison.rollout.clone(),
            datacenter: comparison.datacenter.clone(),
            gate: comparison.gate.clone(),
            since: comparison.since,
            look: looked.look,
        };
        match self.inbox.ask(event).await {
            Ok(_) | Err(Unmet::Refused(_)) => true,
            Err(Unmet::Broken | Unmet::Stopping) => false,
        }
    }

    /// A disk that is full takes the explanation, not the verdict.
    async fn keep(&self, comparison: &Comparison, looked: &Looked) {
        let bytes = match serde_json::to_vec(&looked.kept) {
            Ok(bytes) => bytes,
            Err(error) => return tracing::warn!(%error, "what a gate was decided by cannot be written"),
        };
        let place = Place {
            rollout: comparison.rollout.clone(),
            datacenter: comparison.datacenter.clone(),
            wave: comparison.wave,
            gate: comparison.gate.clone(),
        };
        let decisions = self.decisions.clone();
        let kept = tokio::task::spawn_blocking(move || decisions.keep(&place, &bytes)).await;
        match kept {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => tracing::warn!(gate = %comparison.gate, "no room for what it was decided by"),
            Ok(Err(error)) => tracing::warn!(%error, gate = %comparison.gate, "what it was decided by is not kept"),
            Err(error) => tracing::warn!(%error, gate = %comparison.gate, "what it was decided by is not kept"),
        }
    }
}

async fn sleep_until(due: Time) {
    loop {
        let left = due.since(wall()).duration();
        if left.is_zero() {
            return;
        }
        time::sleep(left.min(SLEEP_MAX)).await;
    }
}

#[cfg(test)]
mod tests;
