//! What is owed to a canary gate: a comparison of its arms, from when its wave has rolled until it is decided. What the
//! looks of it mean is [`crate::gate::canary`]'s.

use echelon_playbooks::{
    model::{Canary, GateKind},
    template::Scope,
};
use echelon_proto::{Datacenter, GateName, HostId, RolloutId, Time};

use crate::{
    effect::{Comparison, Effect, Key},
    engine::Engine,
    gate::canary::Look,
    record::Record,
    rollout::{GateState, LaneStage, Rollout, Settled},
    state::State,
};

/// Every key of a lane under which a comparison may be owed.
pub(crate) fn keys(rollout: &Rollout, lane: usize) -> impl Iterator<Item = Key> + '_ {
    let lane = rollout.plan.lanes.get(lane).into_iter();
    lane.flat_map(|lane| {
        let gates = lane.waves.iter().flat_map(|wave| wave.arms.keys());
        gates.map(|gate| Key::Canary(rollout.id.clone(), lane.datacenter.clone(), gate.clone()))
    })
}

/// What is compared by the gate, while its wave is the lane's and it has said nothing.
pub(crate) fn comparison(
    state: &State,
    rollout: &Rollout,
    datacenter: &Datacenter,
    name: &GateName,
) -> Option<Comparison> {
    let index = rollout.lane_of(datacenter)?;
    let lane = &rollout.lanes[index];
    if lane.stage != LaneStage::Gating || rollout.status.is_over() || rollout.aborting.is_some() {
        return None;
    }
    let planned = rollout.plan.lanes.get(index)?.waves.get(lane.wave)?;
    let (arms, wave) = (planned.arms.get(name)?, lane.waves.get(lane.wave)?);
    let undecided = |gate: &GateState| gate.verdict.is_none() && !gate.overruled;
    let canary = canary(rollout, name)?;
    if !wave.gates.get(name).is_some_and(undecided) || !arms.suffice(canary) {
        return None;
    }
    let artifact = &state.release(&rollout.app, &rollout.release)?.artifact;
    let called = |id: &HostId| {
        let scope = Scope {
            host: state.hosts.get(id)?.subject(),
            wave: &planned.name,
            app: &rollout.app,
            release: Some(&rollout.release),
            sha256: artifact.sha256,
        };
        Some((canary.host.render(&scope).ok()?, id.clone()))
    };
    let arrived = |id: &&HostId| {
        rollout
            .runs
            .get(*id)
            .is_some_and(|run| run.settled == Some(Settled::Done))
    };
    let metrics = planned
        .gates
        .iter()
        .filter_map(|gate| Some(self::canary(rollout, gate)?.spending()));
    Some(Comparison {
        rollout: rollout.id.clone(),
        datacenter: datacenter.clone(),
        wave: lane.wave,
        gate: name.clone(),
        canary: canary.clone(),
        metrics: u32::try_from(metrics.sum::<usize>().max(1)).unwrap_or(u32::MAX),
        treated: arms.canary.iter().filter(arrived).filter_map(called).collect(),
        control: arms.control.iter().filter_map(called).collect(),
        opened: wave.opened?,
        since: wave.rolled? + canary.warm_up,
    })
}

fn canary<'a>(rollout: &'a Rollout, gate: &GateName) -> Option<&'a Canary> {
    match &rollout.playbook.gates.get(gate)?.kind {
        GateKind::Canary(canary) => Some(canary),
        GateKind::Health { .. } | GateKind::Approval { .. } | GateKind::Soak { .. } | GateKind::Window(_) => None,
    }
}

/// A look at what is owed, made for the window that is owed. Any other comes too late and is dropped.
pub(crate) fn looked(
    engine: &Engine,
    of: (&RolloutId, &Datacenter, &GateName),
    since: Time,
    look: &Look,
) -> Vec<Record> {
    let (rollout, datacenter, gate) = of;
    let key = Key::Canary(rollout.clone(), datacenter.clone(), gate.clone());
    let owed = engine.owed().get(&key).map(|effect| effect.as_ref());
    let Some(Effect::Canary(owed)) = owed.filter(|owed| matches!(owed, Effect::Canary(owed) if owed.since == since))
    else {
        return Vec::new();
    };
    vec![Record::CanaryLooked {
        rollout: rollout.clone(),
        datacenter: datacenter.clone(),
        wave: owed.wave,
        gate: gate.clone(),
        look: look.clone(),
    }]
}
