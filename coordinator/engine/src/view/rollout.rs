//! A rollout as people see it.

use std::collections::BTreeMap;

use echelon_playbooks::model::GateKind;
use echelon_proto::{Datacenter, GateName, HostId, PhaseName, RolloutId, Time, WaveName};

use crate::{
    advance::{coupling, gating},
    capacity::shortage,
    gate::kind_name,
    outcome::Outcome,
    rollout::{Activity, Failure, GateState, LaneEnd, LaneStage, Rollout, Settled, Status, Wave},
    state::State,
};

/// A rollout's lanes and numbers; its fixed facts are read from [`crate::rollout::Rollout`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutView {
    /// Where it is.
    pub state: RolloutState,
    /// Why, one line; empty when there is nothing to say.
    pub reason: String,
    /// In the order of the plan.
    pub lanes: Vec<LaneView>,
    /// What waits for a person.
    pub waiting: Vec<String>,
    /// Oldest first, at most 10.
    pub failures: Vec<FailureView>,
}

/// Where a rollout is, as people say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolloutState {
    /// Its time has not come.
    Scheduled,
    /// It waits for its turn.
    Queued,
    /// Nothing moves and only approvals are missing.
    AwaitingApproval,
    /// It goes on.
    Running,
    /// It starts nothing new until somebody acts.
    Held,
    /// At least one lane goes back.
    RollingBack,
    /// It is over.
    Ended(Outcome),
}

/// A lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneView {
    /// Where.
    pub datacenter: Datacenter,
    /// pending, waiting (for another lane), rolling, baking, gating, held, done, stopping, stopped, rolling back, rolled back
    pub state: &'static str,
    /// In order.
    pub waves: Vec<WaveView>,
}

/// A wave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaveView {
    /// Which.
    pub wave: WaveName,
    /// pending, rolling, baking, gating, passed, failed, rolled back
    pub state: &'static str,
    /// Hosts in all.
    pub hosts: u32,
    /// That arrived.
    pub done: u32,
    /// Begun and not settled.
    pub running: u32,
    /// That failed for good.
    pub failed: u32,
    /// Left out by a person.
    pub skipped: u32,
    /// Back where they were.
    pub rolled_back: u32,
    /// Owed a visit.
    pub debt: u32,
    /// In the order of the playbook.
    pub gates: Vec<GateView>,
    /// Phases that run, and on how many hosts.
    pub phases: BTreeMap<PhaseName, u32>,
    /// When its hosts could go.
    pub opened: Option<Time>,
    /// End of its bake, once that has begun.
    pub bake_end: Option<Time>,
}

/// A gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateView {
    /// Which.
    pub gate: GateName,
    /// health, approval, soak
    pub kind: &'static str,
    /// waiting, passed, failed
    pub state: &'static str,
    /// What it saw or waits for.
    pub detail: String,
}

/// A failed host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureView {
    /// Which.
    pub host: HostId,
    /// Where.
    pub datacenter: Datacenter,
    /// What.
    pub failure: Failure,
}

/// The rollout as it is at this time.
#[must_use]
pub fn rollout(state: &State, id: &RolloutId, now: Time) -> Option<RolloutView> {
    let rollout = state.rollouts.get(id)?;
    let lanes: Vec<_> = (0..rollout.plan.lanes.len())
        .map(|lane| lane_view(rollout, lane, now))
        .collect();
    let waiting = waiting(state, rollout);
    Some(RolloutView {
        state: rollout_state(rollout),
        reason: reason(state, rollout),
        lanes,
        waiting,
        failures: failures(rollout),
    })
}

fn rollout_state(rollout: &Rollout) -> RolloutState {
    match rollout.status {
        Status::Scheduled => RolloutState::Scheduled,
        Status::Queued => RolloutState::Queued,
        Status::Ended(outcome) => RolloutState::Ended(outcome),
        Status::Running if rollout.hold.is_some() => RolloutState::Held,
        Status::Running => match rollout.activities.last() {
            Some((_, Activity::RollingBack)) => RolloutState::RollingBack,
            Some((_, Activity::WaitingForPeople)) => RolloutState::AwaitingApproval,
            Some((_, Activity::Queued | Activity::Working | Activity::Baking | Activity::Held)) | None => {
                RolloutState::Running
            }
        },
    }
}

fn reason(state: &State, rollout: &Rollout) -> String {
    match rollout.status {
        Status::Scheduled => rollout
            .scheduled
            .map(|at| format!("starts at {at}"))
            .unwrap_or_default(),
        Status::Queued => {
            let before = state
                .active()
                .find(|other| other.app == rollout.app && other.id != rollout.id);
            before
                .map(|other| format!("waits for {}", other.id))
                .unwrap_or_default()
        }
        Status::Ended(_) => rollout.ending.clone(),
        Status::Running => {
            let hold = rollout.hold.as_ref().map(|hold| hold.text.clone());
            hold.or_else(|| rollout.aborting.clone())
                .or_else(|| rollout.rollback.clone())
                .unwrap_or_default()
        }
    }
}

/// What waits for a person: holds, approvals that are asked for, lanes that stand still for want of capacity.
fn waiting(state: &State, rollout: &Rollout) -> Vec<String> {
    if rollout.status.is_over() {
        return Vec::new();
    }
    let hold = rollout.hold.as_ref().map(|hold| format!("held: {}", hold.text));
    let approvals = rollout
        .lanes
        .iter()
        .enumerate()
        .filter(|(_, lane)| lane.stage == LaneStage::Gating);
    let approvals = approvals.flat_map(|(index, lane)| {
        let gates = lane.waves.get(lane.wave).map(|wave| &wave.gates).into_iter().flatten();
        let open = gates.filter(|(_, gate)| gate.asked.is_some() && gate.verdict.is_none());
        let wave = wave_name(rollout, index, lane.wave);
        open.map(move |(name, gate)| {
            format!(
                "approve: {name} after {wave} in {} ({} given)",
                lane.datacenter,
                gate.approvals.len()
            )
        })
    });
    let short = (0..rollout.lanes.len())
        .filter(|_| rollout.hold.is_none())
        .filter_map(|lane| short(state, rollout, lane));
    hold.into_iter().chain(approvals).chain(short).collect()
}

/// Why the lane stands still, if it does for want of capacity. It goes on by itself when hosts come back into service.
fn short(state: &State, rollout: &Rollout, index: usize) -> Option<String> {
    let lane = &rollout.lanes[index];
    let moves = matches!(lane.stage, LaneStage::Rolling | LaneStage::RollingBack);
    if !moves || rollout.lane_in_flight(index) {
        return None;
    }
    let pools = &rollout.plan.lanes.get(index)?.capacity;
    let shortage = pools.iter().find_map(|pool| shortage(state, pool))?;
    Some(format!("capacity in {}: {shortage}", lane.datacenter))
}

fn wave_name(rollout: &Rollout, lane: usize, wave: usize) -> String {
    let planned = rollout.plan.lanes.get(lane).and_then(|lane| lane.waves.get(wave));
    planned.map(|wave| wave.name.to_string()).unwrap_or_default()
}

fn failures(rollout: &Rollout) -> Vec<FailureView> {
    const FAILURES_MAX: usize = 10;
    let mut all: Vec<_> = rollout
        .runs
        .iter()
        .filter_map(|(host, run)| {
            let failure = run.failure.clone()?;
            let datacenter = rollout.plan.lanes.get(run.lane)?.datacenter.clone();
            Some(FailureView {
                host: host.clone(),
                datacenter,
                failure,
            })
        })
        .collect();
    all.sort_by(|a, b| (a.failure.at, &a.host).cmp(&(b.failure.at, &b.host)));
    all.truncate(FAILURES_MAX);
    all
}

fn lane_view(rollout: &Rollout, index: usize, now: Time) -> LaneView {
    let planned = &rollout.plan.lanes[index];
    let waves = (0..planned.waves.len())
        .map(|wave| wave_view(rollout, index, wave, now))
        .collect();
    LaneView {
        datacenter: planned.datacenter.clone(),
        state: lane_state(rollout, index, now),
        waves,
    }
}

fn lane_state(rollout: &Rollout, index: usize, now: Time) -> &'static str {
    let Some(lane) = rollout.lanes.get(index) else {
        return "pending";
    };
    match lane.stage {
        LaneStage::Ended(end) => end.name(),
        _ if rollout.hold.is_some() => "held",
        LaneStage::Pending | LaneStage::Gating if coupling::waits_for(rollout, index).is_some() => "waiting",
        LaneStage::Pending => "pending",
        LaneStage::Rolling => "rolling",
        LaneStage::Gating if now < gating::bake_end(rollout, index) => "baking",
        LaneStage::Gating => "gating",
        LaneStage::Stopping => "stopping",
        LaneStage::RollingBack => "rolling back",
    }
}

fn wave_view(rollout: &Rollout, lane: usize, wave: usize, now: Time) -> WaveView {
    let planned = &rollout.plan.lanes[lane].waves[wave];
    let known = rollout.lanes.get(lane).and_then(|lane| lane.waves.get(wave));
    let mut view = WaveView {
        wave: planned.name.clone(),
        state: wave_state(rollout, lane, wave, now),
        hosts: 0,
        done: 0,
        running: 0,
        failed: 0,
        skipped: 0,
        rolled_back: 0,
        debt: 0,
        gates: planned
            .gates
            .iter()
            .filter_map(|gate| gate_view(rollout, known, gate))
            .collect(),
        phases: BTreeMap::new(),
        opened: known.and_then(|wave| wave.opened),
        bake_end: known.and_then(|wave| wave.rolled).map(|rolled| rolled + planned.bake),
    };
    view.hosts = u32::try_from(planned.hosts.len()).unwrap_or(u32::MAX);
    for (_, run) in rollout.wave_runs(lane, wave) {
        let count = match run.settled {
            Some(Settled::Done) => &mut view.done,
            Some(Settled::Failed) => &mut view.failed,
            Some(Settled::Skipped) => &mut view.skipped,
            Some(Settled::Debt) => &mut view.debt,
            Some(Settled::RolledBack) => &mut view.rolled_back,
            None if run.touched.is_some() => &mut view.running,
            None => continue,
        };
        *count += 1;
        if let Some(current) = &run.current {
            *view.phases.entry(current.phase.clone()).or_default() += 1;
        }
    }
    view
}

fn wave_state(rollout: &Rollout, index: usize, wave: usize, now: Time) -> &'static str {
    let Some(lane) = rollout.lanes.get(index) else {
        return "pending";
    };
    let Some(known) = lane.waves.get(wave) else {
        return "pending";
    };
    let back = matches!(
        lane.stage,
        LaneStage::RollingBack | LaneStage::Ended(LaneEnd::RolledBack)
    );
    let touched = || rollout.wave_runs(index, wave).any(|(_, run)| run.touched.is_some());
    if known.gates.values().any(GateState::is_bad) {
        return "failed";
    }
    match known {
        _ if back && touched() => "rolled back",
        Wave { passed: Some(_), .. } => "passed",
        Wave { rolled: Some(_), .. } if wave == lane.wave && now < gating::bake_end(rollout, index) => "baking",
        Wave { rolled: Some(_), .. } => "gating",
        Wave { opened: Some(_), .. } => "rolling",
        _ => "pending",
    }
}

fn gate_view(rollout: &Rollout, wave: Option<&Wave>, name: &GateName) -> Option<GateView> {
    let gate = rollout.playbook.gates.get(name)?;
    let known = wave.and_then(|wave| wave.gates.get(name)).cloned().unwrap_or_default();
    let state = match (known.is_passed(), known.is_bad()) {
        (true, _) => "passed",
        (false, true) => "failed",
        (false, false) => "waiting",
    };
    let detail = match &gate.kind {
        GateKind::Approval { count } if known.verdict.is_none() => {
            format!("{} of {count} approvals", known.approvals.len())
        }
        GateKind::Canary(_) if known.verdict.is_none() => {
            let look = known
                .look
                .map(|look| format!("{} so far: {}", look.says.name(), look.evidence));
            look.unwrap_or_default()
        }
        GateKind::Approval { .. }
        | GateKind::Health { .. }
        | GateKind::Soak { .. }
        | GateKind::Canary(_)
        | GateKind::Window(_) => known.evidence,
    };
    Some(GateView {
        gate: name.clone(),
        kind: kind_name(&gate.kind),
        state,
        detail,
    })
}
