//! The engine as its driver sees it: one value that takes events and records and says what is owed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use echelon_proto::{PlanId, RolloutId, Span, Time};

use crate::{
    desired,
    effect::{Effect, Key},
    event::Event,
    monitor,
    muster::Muster,
    notice::notice,
    record::Record,
    refusal::Refusal,
    state::State,
};

/// What the operator of the coordinator has set. It is no part of the state: policy reads it, applying records does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// How long a host may be out of reach before the rollout goes on without it.
    pub unreachable_after: Span,
    /// Beyond its timeout, how long to wait for a phase's report before it is called lost.
    pub report_slack: Span,
    /// Whether there is anybody to notify.
    pub notify: bool,
    /// Ended rollouts that are kept.
    pub rollouts_kept: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            unreachable_after: Span::secs(30),
            report_slack: Span::secs(30),
            notify: false,
            rollouts_kept: 50,
        }
    }
}

/// What followed from an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// To be applied and made durable before the reply is sent.
    pub records: Vec<Record>,
    /// To the one who wished it.
    pub reply: Reply,
}

/// What a command is answered with once its records are durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Done (or nothing to do).
    Done,
    /// This plan.
    Plan(PlanId),
    /// This rollout.
    Rollout(RolloutId),
}

/// State, and what is owed by it.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(crate) config: Config,
    pub(crate) state: State,
    pub(crate) owed: BTreeMap<Key, Arc<Effect>>,
    /// Which hosts are where in their rollouts.
    pub(crate) muster: Muster,
    /// Keys that changed since the driver last asked.
    pub(crate) changed: BTreeSet<Key>,
    /// Rollouts that something happened to since the last advance.
    pub(crate) dirty: BTreeSet<u64>,
    /// When that was.
    pub(crate) advanced: Time,
}

impl Engine {
    /// With a state from a snapshot, or `State::default()` for the very first time.
    #[must_use]
    pub fn new(config: Config, state: State) -> Self {
        let mut engine = Self {
            config,
            muster: Muster::of(&state),
            state,
            owed: BTreeMap::new(),
            changed: BTreeSet::new(),
            dirty: BTreeSet::new(),
            advanced: Time::default(),
        };
        engine.owed = engine.owed_from_scratch();
        engine.changed = engine.owed.keys().cloned().collect();
        engine.dirty = engine.state.active.keys().copied().collect();
        engine
    }

    /// All that is known. A clone of it is cheap and is the read view.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Policy on one event. Nothing changes; a refusal writes nothing.
    pub fn decide(&self, now: Time, event: &Event) -> Result<Decision, Refusal> {
        crate::decide::decide(self, now, event)
    }

    /// No policy: what the record says becomes so.
    pub fn apply(&mut self, now: Time, record: &Record) {
        crate::apply::apply(self, now, record);
        monitor::refresh(self, record);
        self.muster.note(&self.state, record);
    }

    /// Whether what is kept beside the state is what the state gives. It always is; a test asks after every step.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        self.owed == self.owed_from_scratch() && self.muster == Muster::of(&self.state)
    }

    /// What is due at this time, of whichever rollout. After an advance at that time it is nothing, and so until
    /// [`Engine::wake_at`]; a test asks, of a copy.
    #[must_use]
    pub fn due(&self, now: Time) -> Vec<Record> {
        let mut other = self.clone();
        other.touch_all();
        other.advance(now)
    }

    /// Decides on an event and applies what follows.
    pub fn step(&mut self, now: Time, event: &Event) -> Result<Decision, Refusal> {
        let Decision { records, reply } = self.decide(now, event)?;
        let mut enacted = Vec::with_capacity(records.len());
        for record in records {
            self.enact(now, record, &mut enacted);
        }
        Ok(Decision {
            records: enacted,
            reply,
        })
    }

    /// Applies the record, what it changes in what is desired, and the word to the outside that it is worth.
    pub(crate) fn enact(&mut self, now: Time, record: Record, enacted: &mut Vec<Record>) {
        self.apply(now, &record);
        let notice = self.config.notify.then(|| notice(&self.state, &record)).flatten();
        let desire = desired::change(&self.state, &record);
        enacted.push(record);
        if let Some(change) = desire {
            self.enact(now, change, enacted);
        }
        if let Some(notification) = notice {
            self.enact(now, Record::NotificationRaised { notification }, enacted);
        }
    }

    /// Everything that follows by itself at this time, applied. Called once a turn, after its events, and when
    /// [`Engine::wake_at`] has come.
    pub fn advance(&mut self, now: Time) -> Vec<Record> {
        crate::advance::advance(self, now)
    }

    /// When something follows by itself though nothing happens.
    #[must_use]
    pub fn wake_at(&self) -> Option<Time> {
        crate::advance::wake_at(self)
    }

    /// All that is owed now.
    #[must_use]
    pub fn owed(&self) -> &BTreeMap<Key, Arc<Effect>> {
        &self.owed
    }

    /// What changed in it since the last call: owed now, or (`None`) no longer.
    pub fn take_changes(&mut self) -> Vec<(Key, Option<Arc<Effect>>)> {
        let changed = std::mem::take(&mut self.changed);
        changed
            .into_iter()
            .map(|key| (key.clone(), self.owed.get(&key).cloned()))
            .collect()
    }

    /// Something happened that every rollout may have waited for: a host came or went, a place in a pool or in the queue
    /// became free.
    pub(crate) fn touch_all(&mut self) {
        self.dirty.extend(self.state.active.keys());
    }
}
