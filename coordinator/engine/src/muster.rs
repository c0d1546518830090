//! Which hosts of a lane have yet to begin, are at it, have failed: kept beside the state, so that a pass looks at the
//! hosts that something can follow for and not at every host of the rollout each time. Deliberately no part of the state:
//! [`Muster::of`] is what it is by definition, and replay gives it again.

use std::collections::{BTreeMap, BTreeSet};

use echelon_proto::{HostId, RolloutId};

use crate::{
    capacity::is_out,
    record::Record,
    rollout::{Rollout, Run, Settled},
    state::State,
};

/// A host's place in its lane's plan: wave, and place in it. In this order hosts go.
pub(crate) type Seat = (usize, usize);

/// All of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Muster {
    /// Hosts that are not reachable.
    pub away: BTreeSet<HostId>,
    /// Hosts that are out of service, as capacity counts them.
    pub out: BTreeSet<HostId>,
    /// The same, and those on which nothing is.
    pub idle: BTreeSet<HostId>,
    /// Of rollouts that have begun and are not over.
    rollouts: BTreeMap<RolloutId, Ranks>,
}

/// The hosts of one rollout.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ranks {
    seats: BTreeMap<HostId, (usize, Seat)>,
    /// In the order of the plan.
    pub lanes: Vec<Rank>,
}

/// The hosts of one lane.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rank {
    /// Yet to begin.
    pub fresh: BTreeSet<Seat>,
    /// Begun and not done with.
    pub active: BTreeSet<Seat>,
    /// A phase runs, or another try waits for its time.
    pub timed: BTreeSet<Seat>,
    /// A phase did not end in time, and waits for a person.
    pub late: BTreeSet<Seat>,
    /// Arrived.
    pub done: BTreeSet<Seat>,
    /// Failed for good.
    pub failed: BTreeSet<Seat>,
}

impl Muster {
    /// What the state gives.
    pub(crate) fn of(state: &State) -> Self {
        let mut muster = Self::default();
        for host in state.hosts.keys() {
            muster.look_at_host(state, host);
        }
        for id in state.active.values() {
            muster.recount(state, id);
        }
        muster
    }

    /// The ranks of a rollout; none before it has begun and when it is over.
    pub(crate) fn ranks(&self, rollout: &RolloutId) -> Option<&Ranks> {
        self.rollouts.get(rollout)
    }

    /// The rank of one lane.
    pub(crate) fn rank(&self, rollout: &RolloutId, lane: usize) -> Option<&Rank> {
        self.rollouts.get(rollout)?.lanes.get(lane)
    }

    /// What a record has changed. The state is the one after it.
    pub(crate) fn note(&mut self, state: &State, record: &Record) {
        match record {
            Record::TermBegan { .. } => state.hosts.keys().for_each(|host| self.look_at_host(state, host)),
            Record::HostJoined { host, .. }
            | Record::HostAttached { host, .. }
            | Record::HostDetached { host }
            | Record::HostLabelled { host, .. }
            | Record::MonitorChanged { host, .. } => {
                self.look_at_host(state, host);
            }
            Record::RolloutEnded { rollout, .. } => {
                self.recount(state, rollout);
                let ended = state.rollouts.get(rollout).into_iter();
                let touched = ended
                    .flat_map(|rollout| rollout.runs.iter())
                    .filter(|(_, run)| run.touched.is_some());
                touched.for_each(|(host, _)| self.look_at_host(state, host));
            }
            Record::RolloutStarted { rollout, .. }
            | Record::RolloutForgotten { rollout }
            | Record::RolloutResumed { rollout, .. }
            | Record::RollbackBegan { rollout, .. } => self.recount(state, rollout),
            Record::PhaseStarted { rollout, host, .. }
            | Record::PhaseEnded { rollout, host, .. }
            | Record::HostSettled { rollout, host, .. } => {
                self.look_at_host(state, host);
                self.look(state, rollout, host);
            }
            Record::HostReopened { rollout, host, .. } => self.look(state, rollout, host),
            Record::TokenCreated { .. }
            | Record::ReleaseCreated { .. }
            | Record::PlaybookPushed { .. }
            | Record::PlanMade { .. }
            | Record::HostAsked { .. }
            | Record::RolloutCreated { .. }
            | Record::RolloutQueued { .. }
            | Record::RolloutHeld { .. }
            | Record::ActServed { .. }
            | Record::AbortBegan { .. }
            | Record::WaveOpened { .. }
            | Record::WaveRolled { .. }
            | Record::ApprovalAsked { .. }
            | Record::GateApproved { .. }
            | Record::GateDecided { .. }
            | Record::CanaryLooked { .. }
            | Record::GateReopened { .. }
            | Record::BakeCut { .. }
            | Record::WavePassed { .. }
            | Record::LaneStopping { .. }
            | Record::LaneEnded { .. }
            | Record::BudgetForgiven { .. }
            | Record::DesireChanged { .. }
            | Record::StepDropped { .. }
            | Record::HealthChanged { .. }
            | Record::NotificationRaised { .. }
            | Record::NotificationSettled { .. } => {}
        }
    }

    fn recount(&mut self, state: &State, id: &RolloutId) {
        match state.rollouts.get(id).filter(|rollout| rollout.status.has_begun()) {
            Some(rollout) => drop(self.rollouts.insert(id.clone(), Ranks::count(rollout))),
            None => drop(self.rollouts.remove(id)),
        }
    }

    fn look_at_host(&mut self, state: &State, id: &HostId) {
        let Some(host) = state.hosts.get(id) else { return };
        keep(&mut self.away, id, !host.is_attached());
        keep(&mut self.out, id, is_out(host));
        keep(&mut self.idle, id, !host.in_service());
    }

    fn look(&mut self, state: &State, rollout: &RolloutId, host: &HostId) {
        let run = state.rollouts.get(rollout).and_then(|rollout| rollout.runs.get(host));
        if let (Some(ranks), Some(run)) = (self.rollouts.get_mut(rollout), run) {
            ranks.look(host, run);
        }
    }
}

fn keep<T: Ord + Clone>(set: &mut BTreeSet<T>, item: &T, belongs: bool) {
    if !belongs {
        set.remove(item);
    } else if !set.contains(item) {
        set.insert(item.clone());
    }
}

impl Ranks {
    fn count(rollout: &Rollout) -> Self {
        let mut ranks = Self::default();
        for (lane, planned) in rollout.plan.lanes.iter().enumerate() {
            ranks.lanes.push(Rank::default());
            let waves = planned.waves.iter().enumerate();
            let seats = waves.flat_map(|(wave, planned)| {
                let places = planned.hosts.iter().enumerate();
                places.map(move |(place, planned)| (&planned.host, (wave, place)))
            });
            for (host, seat) in seats {
                ranks.seats.insert(host.clone(), (lane, seat));
                if let Some(run) = rollout.runs.get(host) {
                    ranks.look(host, run);
                }
            }
        }
        ranks
    }

    fn look(&mut self, host: &HostId, run: &Run) {
        let Some((lane, seat)) = self.seats.get(host).copied() else {
            return;
        };
        let Some(rank) = self.lanes.get_mut(lane) else { return };
        for (set, belongs) in [
            (&mut rank.fresh, run.settled.is_none() && !run.is_active()),
            (&mut rank.active, run.is_active()),
            (&mut rank.timed, run.current.is_some() || run.not_before.is_some()),
            (&mut rank.late, run.timed_out.is_some()),
            (&mut rank.done, run.settled == Some(Settled::Done)),
            (&mut rank.failed, run.settled == Some(Settled::Failed)),
        ] {
            keep(set, &seat, belongs);
        }
    }

    /// Hosts for which a time will come.
    pub(crate) fn timed<'a>(&'a self, rollout: &'a Rollout) -> impl Iterator<Item = (&'a HostId, &'a Run)> {
        self.of(rollout, |rank| &rank.timed)
    }

    /// Hosts that wait for a person because a phase did not end in time.
    pub(crate) fn late<'a>(&'a self, rollout: &'a Rollout) -> impl Iterator<Item = (&'a HostId, &'a Run)> {
        self.of(rollout, |rank| &rank.late)
    }

    fn of<'a>(
        &'a self,
        rollout: &'a Rollout,
        which: impl Fn(&'a Rank) -> &'a BTreeSet<Seat>,
    ) -> impl Iterator<Item = (&'a HostId, &'a Run)> {
        let lanes = self.lanes.iter().map(which).enumerate();
        lanes.flat_map(move |(lane, seats)| {
            let hosts = seats.iter().filter_map(move |seat| rollout.plan.seated(lane, *seat));
            hosts.filter_map(|host| Some((host, rollout.runs.get(host)?)))
        })
    }
}
