//! The question: may a host begin now, as far as its group is concerned?
//!
//! The rule: at most `parallel` groups of a lane are in work at once. A group is in work from its first host's first phase
//! until all of its hosts have settled. Within a group a host begins when every host of a lower rank has settled; hosts of
//! one rank go at once, as far as pace and capacity let them.
//!
//! A group that has lost a host must not lose another: a shard that runs on two of three copies stays up, on one of three
//! it does not. So when a host of a group has failed for good, or is owed a visit, no other host of that group is begun.
//! What then becomes of the rollout is the playbook's rule for a failed host (hold, roll back); where that is quarantine,
//! or when a person has the rollout go on, the rest of the group settles as debt, each host naming the one that was lost.
//! Debt and not failure: nothing was done to these hosts, so they spend no failure budget; and not skipped, which is a
//! person's word. Hosts of the group that are in the middle go on: they are out already, and back is where they help.
//!
//! Worked example: shard `s1` has a leader (rank 1) and two followers (rank 0). Both followers go; one of them fails. The
//! other arrives, the leader is left alone and becomes debt: `not touched: db-2 of its group s1 failed`. When somebody has
//! mended db-2, `retry` has both tried again.
//!
//! Edge cases: a host that a person skipped is out of the count, the group goes on. A host that is to be tried again needs
//! a free place where its group is not in work; what it has begun it may end, whatever became of the others.

use std::collections::BTreeMap;

use echelon_proto::HostId;

use crate::{
    plan::{GroupPlace, HostPlan, LanePlan},
    rollout::{Rollout, Run, Settled},
};

/// The groups of a lane's opened waves, as they stand.
#[derive(Debug)]
pub(crate) struct Groups {
    parallel: usize,
    groups: BTreeMap<String, Group>,
}

#[derive(Debug, Default)]
struct Group {
    active: bool,
    /// A host was touched.
    begun: bool,
    /// A host has yet to be touched, and not because a person wants it tried again.
    to_come: bool,
    /// The lowest rank that has not settled, and one of its hosts.
    rank: Option<(u32, HostId)>,
    /// A host that failed for good, or is owed a visit.
    lost: Option<(HostId, Settled)>,
}

/// A host's place among the groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// It may begin.
    Free,
    /// Not yet, because.
    Waits(String),
    /// Its group has lost a host.
    Lost(String),
}

impl Groups {
    /// Of a lane; `None`: its hosts do not go by groups.
    pub(crate) fn of(rollout: &Rollout, planned: &LanePlan, lane: usize) -> Option<Self> {
        let parallel = planned.groups_parallel? as usize;
        let wave = rollout.lanes.get(lane)?.wave;
        let mut groups: BTreeMap<String, Group> = BTreeMap::new();
        for planned in planned.waves.iter().take(wave + 1).flat_map(|wave| &wave.hosts) {
            if let (Some(place), Some(run)) = (&planned.group, rollout.runs.get(&planned.host)) {
                groups.entry(place.name.clone()).or_default().add(planned, place, run);
            }
        }
        Some(Self { parallel, groups })
    }

    /// Of a host that has yet to begin.
    pub(crate) fn place(&self, planned: &HostPlan, run: &Run) -> Place {
        let Some((place, group)) = planned
            .group
            .as_ref()
            .and_then(|place| Some((place, self.groups.get(&place.name)?)))
        else {
            return Place::Free;
        };
        let name = &place.name;
        let is_fresh = run.touched.is_none();
        if let Some((lost, settled)) = group.lost.as_ref().filter(|_| is_fresh) {
            let how = match settled {
                Settled::Failed => "failed",
                Settled::Debt | Settled::Done | Settled::Skipped | Settled::RolledBack => "is owed a visit",
            };
            return Place::Lost(format!("not touched: {lost} of its group {name} {how}"));
        }
        match &group.rank {
            Some((rank, host)) if is_fresh && *rank < place.rank => {
                Place::Waits(format!("waits for {host} of its group {name}"))
            }
            Some(_) | None if group.in_work() || self.in_work().count() < self.parallel => Place::Free,
            Some(_) | None => Place::Waits(format!("waits for a group to be done: in work are {}", self.working())),
        }
    }

    /// `s1, s2`
    fn working(&self) -> String {
        self.in_work()
            .map(|(name, _)| name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    }

    fn in_work(&self) -> impl Iterator<Item = (&String, &Group)> {
        self.groups.iter().filter(|(_, group)| group.in_work())
    }
}

impl Group {
    fn add(&mut self, planned: &HostPlan, place: &GroupPlace, run: &Run) {
        self.active |= run.is_active();
        self.begun |= run.touched.is_some();
        self.to_come |= run.touched.is_none() && run.settled.is_none() && !run.reopened;
        match run.settled {
            None => {
                if self.rank.as_ref().is_none_or(|(rank, _)| place.rank < *rank) {
                    self.rank = Some((place.rank, planned.host.clone()));
                }
            }
            Some(settled @ (Settled::Failed | Settled::Debt)) => {
                // The one that failed says more than those that became debt for its sake.
                let says_more = |(_, known): &(HostId, Settled)| *known == Settled::Debt && settled == Settled::Failed;
                if self.lost.as_ref().is_none_or(says_more) {
                    self.lost = Some((planned.host.clone(), settled));
                }
            }
            Some(Settled::Done | Settled::Skipped | Settled::RolledBack) => {}
        }
    }

    fn in_work(&self) -> bool {
        self.active || (self.begun && self.to_come)
    }
}
