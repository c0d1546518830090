//! Rollouts, lanes, waves and the hosts in them.

mod gate;
mod run;

use std::sync::Arc;

use echelon_proto::{
    HostId, RolloutId, Time,
    planted::{self, Plant},
};

use crate::{
    canary,
    effect::Key,
    engine::Engine,
    plan::{Body, Plan},
    record::Record,
    rollout::{Activity, Back, Hold, HoldKind, Lane, LaneStage, Rollout, Run, Settled, Status, Wave},
    state::{Map, Pushed},
};

pub(super) fn apply(engine: &mut Engine, now: Time, record: &Record) {
    let Some(id) = record.rollout() else { return };
    match record {
        Record::RolloutCreated { .. } => create(engine, now, record),
        Record::RolloutForgotten { rollout } => forget(engine, rollout),
        _ => {}
    }
    let Some(rollout) = engine.state.rollouts.get_mut(id) else {
        return;
    };
    rollout.etag += 1;
    let (number, was_over) = (rollout.number, rollout.status.is_over());
    match record {
        Record::PhaseStarted { .. }
        | Record::PhaseEnded { .. }
        | Record::StepDropped { .. }
        | Record::HostSettled { .. }
        | Record::HostReopened { .. }
        | Record::HealthChanged { .. } => run::apply(engine, now, record),
        Record::ApprovalAsked { .. }
        | Record::GateApproved { .. }
        | Record::CanaryLooked { .. }
        | Record::GateDecided { .. }
        | Record::GateReopened { .. }
        | Record::BakeCut { .. } => gate::apply(rollout, now, record),
        Record::RolloutStarted { plan, .. } => {
            if let Some(plan) = engine.state.plans.get(plan) {
                let Body { playbook, version, .. } = &plan.body;
                let pushed = engine.state.playbooks.get(playbook).and_then(|all| all.get(version));
                by_plan(rollout, plan, pushed);
            }
            start(rollout, now);
        }
        _ => whole(rollout, now, record),
    }
    account(engine, id, now);
    match record {
        // A host that its rollout is done with, and on which nothing is, is no longer out of service: another may leave.
        Record::PhaseEnded { .. } | Record::HostSettled { .. } | Record::RolloutEnded { .. } => engine.touch_all(),
        _ => drop(engine.dirty.insert(number)),
    }
    if let Record::RolloutEnded { .. } = record {
        let ended = engine.state.rollouts.get(id).into_iter();
        let touched = ended
            .flat_map(|rollout| rollout.runs.iter())
            .filter(|(_, run)| run.touched.is_some());
        let touched: Vec<_> = touched.map(|(host, _)| host.clone()).collect();
        touched.iter().for_each(|host| run::release(engine, id, host));
    }
    refresh(engine, record, id, was_over);
}

fn create(engine: &mut Engine, now: Time, record: &Record) {
    let Record::RolloutCreated {
        rollout,
        number,
        plan,
        replan,
        at,
        by,
        reason,
        request_id,
    } = record
    else {
        return;
    };
    let Some(plan) = engine.state.plans.get(plan).cloned() else {
        return;
    };
    let Some(pushed) = engine.state.playbook(&plan.body.playbook, Some(plan.body.version)) else {
        return;
    };
    let playbook = match &plan.playbook {
        Some(with_values) => Arc::clone(with_values),
        None => Arc::new(pushed.playbook.clone()),
    };
    engine.state.rollouts_made = *number;
    engine.state.active.insert(*number, rollout.clone());
    if let Some(request) = request_id.as_ref().filter(|_| !planted::is(Plant::StartForgotten)) {
        engine.state.requests.insert_mut(request.clone(), rollout.clone());
    }
    let created = Rollout {
        id: rollout.clone(),
        number: *number,
        app: plan.body.app.clone(),
        release: plan.body.release.clone(),
        playbook,
        plan,
        replan: replan.clone(),
        by: by.clone(),
        reason: reason.clone(),
        request_id: request_id.clone(),
        created: now,
        scheduled: *at,
        started: None,
        ended: None,
        status: if at.is_some() {
            Status::Scheduled
        } else {
            Status::Queued
        },
        hold: None,
        aborting: None,
        rollback: None,
        ending: String::new(),
        lanes: Vec::new(),
        runs: Map::new_sync(),
        touched: 0,
        etag: 0,
        activities: Vec::new(),
        decisions: Vec::new(),
        served: Map::new_sync(),
    };
    engine.state.rollouts.insert_mut(rollout.clone(), created);
}

fn forget(engine: &mut Engine, id: &RolloutId) {
    let request = engine
        .state
        .rollouts
        .get(id)
        .and_then(|rollout| rollout.request_id.clone());
    if let Some(request) = request {
        engine.state.requests.remove_mut(&request);
    }
    engine.state.rollouts.remove_mut(id);
}

/// The plan may be a newer one than the rollout was created with, and by a newer version of the playbook.
fn by_plan(rollout: &mut Rollout, plan: &Arc<Plan>, pushed: Option<&Arc<Pushed>>) {
    if let Some(with_values) = &plan.playbook {
        rollout.playbook = Arc::clone(with_values);
    } else if let Some(pushed) = pushed.filter(|pushed| pushed.playbook.digest != rollout.playbook.digest) {
        rollout.playbook = Arc::new(pushed.playbook.clone());
    }
    rollout.plan = Arc::clone(plan);
}

fn start(rollout: &mut Rollout, now: Time) {
    rollout.status = Status::Running;
    rollout.started = Some(now);
    let lane = |lane: &crate::plan::LanePlan| Lane {
        datacenter: lane.datacenter.clone(),
        stage: LaneStage::Pending,
        wave: 0,
        text: String::new(),
        last_start: None,
        forgiven: 0,
        waves: vec![Wave::default(); lane.waves.len()],
    };
    rollout.lanes = rollout.plan.lanes.iter().map(lane).collect();
    rollout.runs = Map::new_sync();
    for (lane, planned) in rollout.plan.lanes.iter().enumerate() {
        for (wave, planned) in planned.waves.iter().enumerate() {
            for host in &planned.hosts {
                rollout.runs.insert_mut(
                    host.host.clone(),
                    Run {
                        lane,
                        wave,
                        stays_out: host.stop_before_service,
                        ..Run::default()
                    },
                );
            }
        }
    }
}

/// Records of the rollout as a whole, of a lane, of a wave.
fn whole(rollout: &mut Rollout, now: Time, record: &Record) {
    match record {
        Record::RolloutQueued { .. } => rollout.status = Status::Queued,
        Record::RolloutHeld { kind, text, .. } => {
            rollout.hold = Some(Hold {
                kind: kind.clone(),
                text: text.clone(),
                since: now,
            });
        }
        Record::RolloutResumed { .. } => resume(rollout),
        Record::ActServed { request, asked, .. } => rollout.served.insert_mut(request.clone(), asked.clone()),
        Record::AbortBegan { text, .. } => {
            rollout.aborting = Some(text.clone());
            rollout.hold = None;
        }
        Record::RollbackBegan { lanes, text, .. } => {
            rollout.rollback = Some(text.clone());
            rollout.aborting = None;
            rollout.hold = None;
            for datacenter in lanes {
                turn_back(rollout, datacenter, text);
            }
        }
        Record::RolloutEnded { outcome, text, .. } => {
            rollout.status = Status::Ended(*outcome);
            rollout.ending = text.clone();
            rollout.ended = Some(now);
            rollout.hold = None;
        }
        Record::BudgetForgiven { .. } => {
            for lane in 0..rollout.lanes.len() {
                let failed = rollout
                    .lane_runs(lane)
                    .filter(|(_, run)| run.settled == Some(Settled::Failed))
                    .count();
                rollout.lanes[lane].forgiven = u32::try_from(failed).unwrap_or(u32::MAX);
            }
        }
        Record::WaveOpened { datacenter, wave, .. } => {
            let Some(lane) = lane(rollout, datacenter) else { return };
            (lane.stage, lane.wave) = (LaneStage::Rolling, *wave);
            if let Some(wave) = lane.waves.get_mut(*wave) {
                wave.opened = Some(now);
            }
        }
        Record::WaveRolled { datacenter, wave, .. } => gate::open(rollout, now, datacenter, *wave),
        Record::WavePassed { datacenter, wave, .. } => {
            if let Some(wave) = lane(rollout, datacenter).and_then(|lane| lane.waves.get_mut(*wave)) {
                wave.passed = Some(now);
            }
        }
        Record::LaneStopping { datacenter, text, .. } => {
            if let Some(lane) = lane(rollout, datacenter) {
                (lane.stage, lane.text) = (LaneStage::Stopping, text.clone());
            }
        }
        Record::LaneEnded { datacenter, end, .. } => {
            if let Some(lane) = lane(rollout, datacenter) {
                lane.stage = LaneStage::Ended(*end);
            }
        }
        _ => {}
    }
}

/// Phases that did not end in time are tried again when the hold was for them.
fn resume(rollout: &mut Rollout) {
    let hold = rollout.hold.take();
    if hold.is_none_or(|hold| hold.kind != HoldKind::Timeout) {
        return;
    }
    let late = rollout.runs.iter().filter(|(_, run)| run.timed_out.is_some());
    for host in late.map(|(host, _)| host.clone()).collect::<Vec<_>>() {
        if let Some(run) = rollout.runs.get_mut(&host) {
            run.timed_out = None;
        }
    }
}

fn lane<'a>(rollout: &'a mut Rollout, datacenter: &echelon_proto::Datacenter) -> Option<&'a mut Lane> {
    rollout.lanes.iter_mut().find(|lane| lane.datacenter == *datacenter)
}

fn turn_back(rollout: &mut Rollout, datacenter: &echelon_proto::Datacenter, text: &str) {
    let Some(index) = rollout.lane_of(datacenter) else {
        return;
    };
    let lane = &mut rollout.lanes[index];
    (lane.stage, lane.text) = (LaneStage::RollingBack, text.into());
    let hosts: Vec<_> = rollout
        .lane_runs(index)
        .filter(|(_, run)| {
            run.touched.is_some() && !(planted::is(Plant::RollbackForgetsInFlight) && run.current.is_some())
        })
        .map(|(id, _)| id.clone())
        .collect();
    for host in hosts {
        let Some(run) = rollout.runs.get_mut(&host) else {
            continue;
        };
        run.back = Some(if run.settled == Some(Settled::Done) {
            Back::Return
        } else {
            Back::Undo
        });
        (run.settled, run.not_before) = (None, None);
        (run.reopened, run.timed_out, run.held_back) = (false, None, None);
        (run.phase_tries, run.host_tries) = (0, 0);
    }
}

/// Notes what the rollout does now, for the time account.
fn account(engine: &mut Engine, id: &RolloutId, now: Time) {
    let Some(rollout) = engine.state.rollouts.get_mut(id) else {
        return;
    };
    let activity = activity(rollout);
    if rollout.activities.last().map(|(_, last)| *last) != Some(activity) {
        rollout.activities.push((now, activity));
    }
    if rollout.status.is_over() {
        engine.state.active.remove(&rollout.number);
    }
}

fn activity(rollout: &Rollout) -> Activity {
    if !rollout.status.has_begun() {
        return Activity::Queued;
    }
    if rollout.hold.is_some() {
        return Activity::Held;
    }
    let stage = |stage: LaneStage| rollout.lanes.iter().any(|lane| lane.stage == stage);
    if stage(LaneStage::RollingBack) {
        return Activity::RollingBack;
    }
    if stage(LaneStage::Rolling) || stage(LaneStage::Stopping) {
        return Activity::Working;
    }
    let waits = |lane: &Lane| {
        let gates = lane.waves.get(lane.wave).map(|wave| &wave.gates);
        gates.is_some_and(|gates| {
            gates
                .values()
                .any(|gate| gate.asked.is_some() && gate.verdict.is_none())
        })
    };
    let mut gating = rollout
        .lanes
        .iter()
        .filter(|lane| lane.stage == LaneStage::Gating)
        .peekable();
    if gating.peek().is_none() && stage(LaneStage::Pending) {
        Activity::Working
    } else if gating.peek().is_some() && gating.all(waits) {
        Activity::WaitingForPeople
    } else {
        Activity::Baking
    }
}

/// Asks again what is owed wherever the record can have changed it.
fn refresh(engine: &mut Engine, record: &Record, id: &RolloutId, was_over: bool) {
    let Some(rollout) = engine.state.rollouts.get(id) else {
        return;
    };
    let orders = |hosts: Vec<HostId>| {
        hosts
            .into_iter()
            .map(|host| Key::Order(host, id.clone()))
            .collect::<Vec<_>>()
    };
    let lane_watches = |index: usize| -> Vec<Key> {
        let watches = rollout.lane_runs(index);
        let watches = watches.map(|(host, _)| Key::Watch(host.clone(), id.clone()));
        watches.chain(canary::keys(rollout, index)).collect()
    };
    let keys = match record {
        Record::PhaseEnded { .. } if planted::is(Plant::OwedNotAskedAgain) => Vec::new(),
        Record::PhaseStarted { host, .. } | Record::PhaseEnded { host, .. } => orders(vec![host.clone()]),
        Record::HostSettled { host, .. } => {
            let lane = rollout.runs.get(host).into_iter();
            let canaries = lane.flat_map(|run| canary::keys(rollout, run.lane));
            canaries.chain([Key::Watch(host.clone(), id.clone())]).collect()
        }
        Record::HostReopened { host, .. } => rollout.runs.get(host).map_or(Vec::new(), |run| lane_watches(run.lane)),
        Record::WaveOpened { datacenter, .. }
        | Record::WaveRolled { datacenter, .. }
        | Record::GateDecided { datacenter, .. }
        | Record::GateReopened { datacenter, .. }
        | Record::LaneStopping { datacenter, .. }
        | Record::LaneEnded { datacenter, .. } => rollout.lane_of(datacenter).map_or(Vec::new(), lane_watches),
        Record::RollbackBegan { .. } | Record::AbortBegan { .. } | Record::RolloutEnded { .. } if !was_over => {
            (0..rollout.lanes.len()).flat_map(lane_watches).collect()
        }
        _ => Vec::new(),
    };
    for key in keys {
        engine.refresh(key);
    }
}
