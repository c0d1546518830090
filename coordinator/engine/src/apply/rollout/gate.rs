//! Gates of a wave.

use echelon_playbooks::model::Rule;
use echelon_proto::{Datacenter, GateName, Time};

use crate::{
    record::{Record, Verdict},
    rollout::{Decision, GateState, LaneStage, Rollout, Wave},
};

/// The wave has rolled: its gates are asked afresh.
pub(super) fn open(rollout: &mut Rollout, now: Time, datacenter: &Datacenter, wave: usize) {
    let Some(index) = rollout.lane_of(datacenter) else {
        return;
    };
    let planned = rollout.plan.lanes.get(index).and_then(|lane| lane.waves.get(wave));
    let gates = planned.map_or(&[][..], |planned| &planned.gates[..]);
    let gates = gates.iter().map(|gate| (gate.clone(), GateState::default())).collect();
    let lane = &mut rollout.lanes[index];
    lane.stage = LaneStage::Gating;
    if let Some(wave) = lane.waves.get_mut(wave) {
        wave.rolled = Some(now);
        wave.passed = None;
        wave.cut = false;
        wave.gates = gates;
    }
}

pub(super) fn apply(rollout: &mut Rollout, now: Time, record: &Record) {
    match record {
        Record::ApprovalAsked {
            datacenter, wave, gate, ..
        } => {
            if let Some(gate) = find(rollout, datacenter, *wave, gate) {
                gate.asked = Some(now);
            }
        }
        Record::GateApproved {
            datacenter,
            wave,
            gate,
            by,
            ..
        } => {
            if let Some(gate) = find(rollout, datacenter, *wave, gate) {
                gate.approvals.push(by.clone());
            }
        }
        Record::CanaryLooked {
            datacenter,
            wave,
            gate,
            look,
            ..
        } => {
            if let Some(gate) = find(rollout, datacenter, *wave, gate) {
                gate.look = Some(look.clone());
            }
        }
        Record::GateDecided { .. } => decided(rollout, now, record),
        Record::GateReopened {
            datacenter, wave, gate, ..
        } => {
            if let Some(gate) = find(rollout, datacenter, *wave, gate) {
                *gate = GateState::default();
            }
            // Its time counts from now; the bake has been had.
            if let Some(wave) = find_wave(rollout, datacenter, *wave) {
                (wave.rolled, wave.cut) = (Some(now), true);
            }
        }
        Record::BakeCut { datacenter, wave, .. } => {
            if let Some(wave) = find_wave(rollout, datacenter, *wave) {
                wave.cut = true;
            }
        }
        _ => {}
    }
}

fn decided(rollout: &mut Rollout, now: Time, record: &Record) {
    let Record::GateDecided {
        datacenter,
        wave,
        gate,
        verdict,
        rule,
        evidence,
        by,
        ..
    } = record
    else {
        return;
    };
    rollout.decisions.push(Decision {
        at: now,
        datacenter: datacenter.clone(),
        wave: *wave,
        gate: gate.clone(),
        verdict: *verdict,
        rule: *rule,
        evidence: evidence.clone(),
        by: by.clone(),
    });
    let Some(gate) = find(rollout, datacenter, *wave, gate) else {
        return;
    };
    gate.verdict = Some(*verdict);
    gate.rule = *rule;
    gate.evidence = evidence.clone();
    gate.overruled = *rule == Some(Rule::Proceed) || (by.is_some() && *verdict == Verdict::Pass);
}

fn find_wave<'a>(rollout: &'a mut Rollout, datacenter: &Datacenter, wave: usize) -> Option<&'a mut Wave> {
    rollout
        .lanes
        .iter_mut()
        .find(|lane| lane.datacenter == *datacenter)?
        .waves
        .get_mut(wave)
}

fn find<'a>(
    rollout: &'a mut Rollout,
    datacenter: &Datacenter,
    wave: usize,
    gate: &GateName,
) -> Option<&'a mut GateState> {
    find_wave(rollout, datacenter, wave)?.gates.get_mut(gate)
}
