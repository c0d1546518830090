//! What hosts show while rollouts are at work, and which rollout touched which of them when: what it takes to say who is to
//! blame. Deliberately no statistics, which count in floating point: the caller has them.

use std::collections::{BTreeMap, BTreeSet};

use echelon_proto::{HostId, RolloutId, Span, Time};

use crate::{
    host::{Host, Serving},
    record::Verdict,
    rollout::{Rollout, Settled},
    state::State,
};

/// A rollout that ended longer ago than this is no longer asked about.
const ENDED_WITHIN: Span = Span::secs(6 * 3600);

/// All that is seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Symptoms {
    /// Hosts on which anything stands, or that a rollout has touched: the others have nothing to show.
    pub hosts: BTreeSet<HostId>,
    /// When each rollout that is at work, or was of late, touched each of its hosts for the first time.
    pub touched: BTreeMap<RolloutId, BTreeMap<HostId, Time>>,
    /// Faults of hosts, each with when it began.
    pub faults: BTreeSet<(HostId, Time)>,
}

/// Monitors that do not hold, probes that do not, hosts that failed for good, and hosts of a canary that was found to do harm.
#[must_use]
pub fn symptoms(state: &State, now: Time) -> Symptoms {
    let mut seen = Symptoms::default();
    let of_late = |rollout: &&Rollout| match rollout.ended {
        None => rollout.started.is_some(),
        Some(ended) => rollout.started.is_some() && now.since(ended) < ENDED_WITHIN,
    };
    for rollout in state.rollouts.values().filter(of_late) {
        take(rollout, &mut seen);
    }
    for host in state.hosts.values() {
        let ill = host.unwell.keys().filter_map(|app| host.unwell(app));
        seen.faults.extend(ill.map(|unwell| (host.id.clone(), unwell.since)));
        if stands(host) || seen.touched.values().any(|hosts| hosts.contains_key(&host.id)) {
            seen.hosts.insert(host.id.clone());
        }
    }
    seen
}

fn stands(host: &Host) -> bool {
    host.standings
        .values()
        .any(|standing| standing.traffic != Serving::Absent)
}

/// Whether a failure was the last word on a host: one that was tried again and arrived is well.
fn is_lost(settled: Option<Settled>) -> bool {
    match settled {
        Some(Settled::Failed | Settled::Debt | Settled::RolledBack) => true,
        Some(Settled::Done | Settled::Skipped) | None => false,
    }
}

fn take(rollout: &Rollout, seen: &mut Symptoms) {
    let mut touched = BTreeMap::new();
    for (host, run) in &rollout.runs {
        touched.extend(run.touched.as_ref().map(|touch| (host.clone(), touch.at)));
        let probed = run.health.as_ref().filter(|health| !health.healthy);
        let failed = run.failure.as_ref().filter(|_| is_lost(run.settled));
        let since = probed
            .map(|health| health.since)
            .into_iter()
            .chain(failed.map(|failure| failure.at));
        seen.faults.extend(since.map(|at| (host.clone(), at)));
    }
    for decision in rollout
        .decisions
        .iter()
        .filter(|decision| decision.verdict == Verdict::Fail)
    {
        let planned = rollout
            .plan
            .lanes
            .iter()
            .find(|lane| lane.datacenter == decision.datacenter);
        let arms = planned.and_then(|lane| lane.waves.get(decision.wave)?.arms.get(&decision.gate));
        let canary = arms.into_iter().flat_map(|arms| &arms.canary);
        seen.faults.extend(canary.map(|host| (host.clone(), decision.at)));
    }
    if !touched.is_empty() {
        seen.touched.insert(rollout.id.clone(), touched);
    }
}
