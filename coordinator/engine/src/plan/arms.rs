//! The question: which hosts does a canary gate compare, and with which?
//!
//! The rule: hosts of the gate's wave are the canary, hosts of later waves of the lane, which the release has not reached, are
//! the control. They are of equal standing: of the same pool, and alike in what the gate's `match` names. Of each such kind
//! the control has the same multiple of the canary's hosts, as many as there are of the scarcest, and no more than `control`
//! in all; so a kind weighs the same on both sides. Drawn when the plan is made and part of it: nobody chooses afterwards.
//!
//! Worked example: a wave of 2 large and 2 small hosts; 10 large and 40 small are still to go. There are 5 large ones to each
//! large canary, so 5 small ones to each small one: 10 and 10, though 40 would be there.
//!
//! Edge cases: canary hosts of a kind of which none is left are in neither arm, or they would be compared with others. Where
//! none is left at all both arms are empty, and the gate says that there is no data. A gate whose metrics are all the canary's
//! own, bounds and forecasts, has the whole wave as its canary and nobody as its control. Hosts that are kept out of service are
//! in no arm: they have no traffic. On the metric's level before the deploy hosts are not matched here, since a plan asks no
//! source: the judge adjusts each host by its own past.

use std::collections::{BTreeMap, BTreeSet};

use echelon_playbooks::model::{Canary, Gate, GateKind, HostKey};
use echelon_proto::{GateName, HostId, Pool};
use serde::{Deserialize, Serialize};

use super::{HostPlan, WavePlan, spread::value};
use crate::{host::Host, state::State};

/// Who is compared with whom.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Arms {
    /// Of the wave.
    pub canary: Vec<HostId>,
    /// Of later waves.
    pub control: Vec<HostId>,
}

/// What hosts that are compared have in common.
type Kind = (Pool, Vec<String>);

impl Arms {
    /// Whether somebody is there whom the gate can judge.
    #[must_use]
    pub fn suffice(&self, canary: &Canary) -> bool {
        !self.canary.is_empty() && (!canary.is_compared() || !self.control.is_empty())
    }
}

/// Draws the arms of every canary gate of these waves, none of which is out of service.
pub(super) fn draw(state: &State, gates: &BTreeMap<GateName, Gate>, waves: &mut [WavePlan]) {
    for at in 0..waves.len() {
        let (upto, later) = waves.split_at_mut(at + 1);
        let wave = &mut upto[at];
        let canaries = wave.gates.iter().filter_map(|name| match &gates.get(name)?.kind {
            GateKind::Canary(canary) => Some((name.clone(), canary)),
            GateKind::Health { .. } | GateKind::Approval { .. } | GateKind::Soak { .. } | GateKind::Window(_) => None,
        });
        let arms = canaries.map(|(name, canary)| {
            let later = later.iter().flat_map(|wave| &wave.hosts);
            (name, arms(state, canary, &wave.hosts, later))
        });
        wave.arms = arms.collect();
    }
}

fn arms<'a>(state: &State, canary: &Canary, wave: &[HostPlan], later: impl Iterator<Item = &'a HostPlan>) -> Arms {
    let kinds = |hosts: Vec<&HostPlan>| {
        let mut kinds: BTreeMap<Kind, Vec<HostId>> = BTreeMap::new();
        for host in hosts.into_iter().filter_map(|planned| state.hosts.get(&planned.host)) {
            kinds
                .entry(kind(host, &canary.alike))
                .or_default()
                .push(host.id.clone());
        }
        kinds
    };
    if !canary.is_compared() {
        let mut canary: Vec<HostId> = wave.iter().map(|planned| planned.host.clone()).collect();
        canary.sort();
        return Arms {
            canary,
            control: Vec::new(),
        };
    }
    let mut there = kinds(later.collect());
    let mut here = kinds(wave.iter().collect());
    here.retain(|kind, _| there.contains_key(kind));
    // So many control hosts to so many canary hosts: of the scarcest kind, and no more than there may be in all.
    let all = here.values().map(Vec::len).sum::<usize>().max(1);
    let most = (canary.control_max as usize, all);
    let each = here.iter().map(|(kind, hosts)| (there[kind].len(), hosts.len()));
    let (count, to) = each.fold(most, |least, each| {
        if each.0 * least.1 < least.0 * each.1 {
            each
        } else {
            least
        }
    });
    let mut arms = Arms::default();
    for (kind, hosts) in here {
        let count = (hosts.len() * count / to).max(1);
        arms.canary.extend(hosts);
        let alike = there.remove(&kind).unwrap_or_default();
        arms.control.extend(alike.into_iter().take(count));
    }
    arms.canary.sort();
    arms.control.sort();
    arms
}

fn kind(host: &Host, alike: &[HostKey]) -> Kind {
    (
        host.pool.clone(),
        alike.iter().map(|key| value(host, key).to_owned()).collect(),
    )
}

/// Two hosts of an arm that would be taken for one, by what each is called in the source.
pub(super) fn twice<'a>(called: impl Iterator<Item = (&'a HostId, String)>) -> Option<(&'a HostId, String)> {
    let mut seen = BTreeSet::new();
    let mut called = called;
    called.find(|(_, name)| !seen.insert(name.clone()))
}
