//! What the watch remembers by itself of rollouts and hosts, so that an engine that forgets is found out: the mirror would
//! forget the same. Deliberately only what is asked for again, and only as long as its rollout is kept.

use std::collections::{BTreeMap, BTreeSet};

use echelon_agent::order::PhaseResult as Said;
use echelon_engine::{
    Record,
    event::PhaseResult,
    host::Standing,
    rollout::{Direction, Settled},
};
use echelon_proto::{Fence, HostId, RolloutId};

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Memory {
    rollouts: BTreeMap<RolloutId, Seen>,
    /// The newest term that a host obeys and has on its disk.
    pub(super) terms: BTreeMap<HostId, u64>,
    /// Failed in the entry that is being read: what follows in the same pass may not have seen it.
    pub(super) failed_now: BTreeSet<(RolloutId, HostId)>,
}

/// Of one rollout.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Where each host stood when it was first touched.
    pub(super) origins: BTreeMap<HostId, Standing>,
    /// Hosts of which more was heard than that they refuse their orders.
    moved: BTreeSet<HostId>,
    /// The newest attempt whose program began on a host.
    pub(super) begun: BTreeMap<HostId, u32>,
    /// How programs ended, by what ran them.
    said: BTreeMap<(HostId, u32), PhaseResult>,
    /// Attempts that the coordinator took for well ended.
    done: BTreeSet<(HostId, u32)>,
}

impl Memory {
    pub(super) fn of(&self, rollout: &RolloutId) -> Option<&Seen> {
        self.rollouts.get(rollout)
    }

    /// A program began.
    pub(super) fn begins(&mut self, fence: &Fence) {
        let seen = self.rollouts.entry(fence.rollout.clone()).or_default();
        seen.begun.insert(fence.host.clone(), fence.attempt);
    }

    /// A program ended, or was found to be gone.
    pub(super) fn ends(&mut self, fence: &Fence, result: Said) {
        let result = match result {
            Said::Done => PhaseResult::Done,
            Said::AlreadyDone => PhaseResult::AlreadyDone,
            Said::Failed => PhaseResult::Failed,
            Said::TimedOut => PhaseResult::TimedOut,
            Said::Refused => PhaseResult::Refused,
            Said::Lost => PhaseResult::Lost,
            Said::HeldBack => PhaseResult::HeldBack,
        };
        let seen = self.rollouts.entry(fence.rollout.clone()).or_default();
        seen.said.insert((fence.host.clone(), fence.attempt), result);
    }

    /// A record was written before anybody looked: how a program ended is what it says.
    pub(super) fn hears(&mut self, record: &Record) {
        if let Record::PhaseEnded {
            rollout,
            host,
            attempt,
            result,
            ..
        } = record
        {
            let seen = self.rollouts.entry(rollout.clone()).or_default();
            seen.said.insert((host.clone(), *attempt), *result);
        }
    }

    /// A record is durable.
    pub(super) fn takes(&mut self, record: &Record) {
        match record {
            Record::PhaseStarted {
                rollout, host, from, ..
            } => {
                let seen = self.rollouts.entry(rollout.clone()).or_default();
                seen.origins.entry(host.clone()).or_insert_with(|| from.clone());
            }
            Record::PhaseEnded {
                rollout,
                host,
                attempt,
                result,
                ..
            } if result.is_good() => {
                let seen = self.rollouts.entry(rollout.clone()).or_default();
                seen.done.insert((host.clone(), *attempt));
                seen.moved.insert(host.clone());
            }
            Record::PhaseEnded {
                rollout,
                host,
                result,
                standing,
                ..
            } => {
                let seen = self.rollouts.entry(rollout.clone()).or_default();
                match result {
                    PhaseResult::HeldBack => {}
                    // Its first order: it never stood where the coordinator believed.
                    PhaseResult::Refused if !seen.moved.contains(host) => {
                        seen.origins.insert(host.clone(), standing.clone());
                    }
                    _ => drop(seen.moved.insert(host.clone())),
                }
            }
            Record::HostSettled {
                rollout,
                host,
                settled: Settled::Failed,
                ..
            } => drop(self.failed_now.insert((rollout.clone(), host.clone()))),
            Record::RolloutForgotten { rollout } => drop(self.rollouts.remove(rollout)),
            _ => {}
        }
    }
}

impl Seen {
    pub(super) fn is_done(&self, host: &HostId, attempt: u32) -> bool {
        self.done.contains(&(host.clone(), attempt))
    }

    pub(super) fn said(&self, host: &HostId, attempt: u32) -> Option<PhaseResult> {
        self.said.get(&(host.clone(), attempt)).copied()
    }
}

/// Whether the host goes to the goal.
pub(super) fn is_forward(direction: Direction) -> bool {
    match direction {
        Direction::Forward => true,
        Direction::Undo | Direction::Return => false,
    }
}
