//! The question: may a lane open its next wave, as far as the other lanes are concerned?
//!
//! The rule, by the playbook's `coupling`:
//!
//! - `free`: yes.
//! - `lockstep`: when every lane that has not ended and has a wave of the same name as the one the lane is in has passed
//!   it. So nobody is more than one wave ahead of anybody.
//! - `lead`: the leading lane as it likes. The others open their first wave when it has passed the wave `lag`, or has
//!   ended done; from then on they are free. When it stops or goes back before that, the others do what
//!   `on_lane_failure` says, and where that is to go on, they stop: they never start by themselves.
//!
//! Worked example: lockstep, `dc1` with waves canary, early, rest and `dc2`, which is small, with canary and rest. When
//! both have passed canary, dc1 opens early and dc2 opens rest: it has no wave early to wait at. dc1 opens rest when it has
//! passed early, for dc2 has none of that name.
//!
//! Edge cases: a lane that goes back is waited for until it has ended; one that has ended is waited for no longer. Waves of
//! all lanes are cut from one list, so lanes never wait for one another in a ring. A playbook whose leading datacenter has
//! no lane in this rollout (nothing to do there, or it was not asked for) is free. A person's `promote` passes gates, not
//! this: a lane is to be let out of step by a person only in the playbook.

use echelon_playbooks::model::Coupling;
use echelon_proto::{Datacenter, WaveName};

use crate::rollout::{Lane, LaneEnd, LaneStage, Rollout};

/// What stands between a lane and its next wave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Barrier {
    /// Nothing.
    Open,
    /// This, for a while.
    Waits(String),
    /// It will never open, because.
    Never(String),
}

/// What stands between the lane and this wave of it.
pub(crate) fn barrier(rollout: &Rollout, lane: usize, wave: usize) -> Barrier {
    match &rollout.playbook.lanes.coupling {
        Coupling::Free => Barrier::Open,
        Coupling::Lockstep => lockstep(rollout, lane, wave),
        Coupling::Lead { datacenter, lag } if wave == 0 => follow(rollout, lane, datacenter, lag),
        Coupling::Lead { .. } => Barrier::Open,
    }
}

/// What the lane waits for though it could open its next wave.
pub(crate) fn waits_for(rollout: &Rollout, lane: usize) -> Option<String> {
    let known = rollout.lanes.get(lane)?;
    let next = match known.stage {
        LaneStage::Pending => 0,
        LaneStage::Gating if known.waves.get(known.wave)?.passed.is_some() => known.wave + 1,
        LaneStage::Gating | LaneStage::Rolling | LaneStage::Stopping | LaneStage::RollingBack | LaneStage::Ended(_) => {
            return None;
        }
    };
    known.waves.get(next)?;
    match barrier(rollout, lane, next) {
        Barrier::Waits(text) => Some(text),
        Barrier::Open | Barrier::Never(_) => None,
    }
}

fn lockstep(rollout: &Rollout, lane: usize, wave: usize) -> Barrier {
    let Some(name) = wave.checked_sub(1).and_then(|before| wave_name(rollout, lane, before)) else {
        return Barrier::Open;
    };
    let others = rollout.lanes.iter().enumerate().filter(|(other, _)| *other != lane);
    let behind: Vec<_> = others
        .filter(|(index, other)| !has_ended(other) && !has_passed(rollout, *index, name).unwrap_or(true))
        .map(|(_, other)| other.datacenter.to_string())
        .collect();
    match behind.is_empty() {
        true => Barrier::Open,
        false => Barrier::Waits(format!(
            "waits for {} to pass wave {name} (lockstep)",
            behind.join(", ")
        )),
    }
}

fn follow(rollout: &Rollout, lane: usize, lead: &Datacenter, lag: &WaveName) -> Barrier {
    let Some(leading) = rollout.lane_of(lead).filter(|leading| *leading != lane) else {
        return Barrier::Open;
    };
    let waits = |what: &str| Barrier::Waits(format!("waits for {lead}, which leads, {what}"));
    match rollout.lanes[leading].stage {
        LaneStage::Ended(LaneEnd::Done) => Barrier::Open,
        LaneStage::Ended(end @ (LaneEnd::Stopped | LaneEnd::RolledBack)) => {
            Barrier::Never(format!("{lead}, which leads, was not done but {}", end.name()))
        }
        LaneStage::Stopping | LaneStage::RollingBack => waits("to come to rest: it goes no further"),
        LaneStage::Pending | LaneStage::Rolling | LaneStage::Gating => match has_passed(rollout, leading, lag) {
            Some(true) => Barrier::Open,
            Some(false) => waits(&format!("to pass wave {lag}")),
            None => waits(&format!("to be done: it has no wave {lag}")),
        },
    }
}

fn wave_name(rollout: &Rollout, lane: usize, wave: usize) -> Option<&WaveName> {
    Some(&rollout.plan.lanes.get(lane)?.waves.get(wave)?.name)
}

/// Whether the lane has passed its wave of that name; `None`: it has none.
fn has_passed(rollout: &Rollout, lane: usize, name: &WaveName) -> Option<bool> {
    let waves = &rollout.plan.lanes.get(lane)?.waves;
    let wave = waves.iter().position(|wave| wave.name == *name)?;
    Some(rollout.lanes.get(lane)?.waves.get(wave)?.passed.is_some())
}

fn has_ended(lane: &Lane) -> bool {
    match lane.stage {
        LaneStage::Ended(_) => true,
        LaneStage::Pending | LaneStage::Rolling | LaneStage::Gating | LaneStage::Stopping | LaneStage::RollingBack => {
            false
        }
    }
}
