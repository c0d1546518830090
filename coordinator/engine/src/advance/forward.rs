//! Hosts of the opened waves go forward, each by the fewest phases from wherever it stands.

use echelon_playbooks::model::{Operation, ReleaseGoal};
use echelon_proto::{HostId, RolloutId, Span};

use super::{Turn, gating};
use crate::{
    capacity::Account,
    host::{Host, Standing},
    record::Record,
    rollback::standing_after,
    rollout::{Direction, LaneEnd, Rollout, Run, Settled},
};

/// Opens a wave of a lane, or ends the lane when there is none.
pub(super) fn open(turn: &mut Turn<'_>, id: &RolloutId, lane: usize, wave: usize) {
    let Some(rollout) = turn.rollout(id) else { return };
    if rollout.hold.is_some() {
        return;
    }
    let (rollout, datacenter) = (id.clone(), rollout.lanes[lane].datacenter.clone());
    let waves = turn.rollout(id).map_or(0, |rollout| rollout.lanes[lane].waves.len());
    turn.emit(if wave < waves {
        Record::WaveOpened {
            rollout,
            datacenter,
            wave,
        }
    } else {
        Record::LaneEnded {
            rollout,
            datacenter,
            end: LaneEnd::Done,
        }
    });
}

pub(super) fn pass(turn: &mut Turn<'_>, id: &RolloutId, lane: usize) {
    if gating::budget(turn, id, lane) {
        return;
    }
    let Some(rollout) = turn.rollout(id) else { return };
    let plan = rollout.plan.clone();
    let (Some(planned), Some(stage)) = (plan.lanes.get(lane), rollout.playbook.stages.first()) else {
        return;
    };
    let (max_parallel, stagger) = (stage.deploy.max_parallel as usize, stage.deploy.stagger);
    let wave = rollout.lanes[lane].wave;
    let members = || {
        planned
            .waves
            .iter()
            .take(wave + 1)
            .flat_map(|wave| &wave.hosts)
            .map(|planned| &planned.host)
    };
    let mut account = None;
    let mut active = 0;
    for host in members() {
        let Some(run) = turn.rollout(id).and_then(|rollout| rollout.runs.get(host)) else {
            continue;
        };
        if run.is_active() {
            if run.current.is_none() {
                let account = account.get_or_insert_with(|| Account::open(turn.state(), planned));
                if let Some(record) = next(turn, id, host, account) {
                    turn.emit(record);
                }
            }
            let still = turn
                .rollout(id)
                .and_then(|rollout| rollout.runs.get(host))
                .is_some_and(Run::is_active);
            active += usize::from(still);
        }
    }
    for host in members() {
        if active >= max_parallel || !may_start(turn, id, lane, stagger) {
            break;
        }
        let Some(run) = turn.rollout(id).and_then(|rollout| rollout.runs.get(host)) else {
            continue;
        };
        if run.touched.is_some() || run.settled.is_some() {
            continue;
        }
        let account = account.get_or_insert_with(|| Account::open(turn.state(), planned));
        if let Some(record) = next(turn, id, host, account) {
            active += usize::from(matches!(record, Record::PhaseStarted { .. }));
            turn.emit(record);
        }
    }
    let Some(rollout) = turn.rollout(id) else { return };
    if members().all(|host| rollout.runs.get(host).is_none_or(|run| run.settled.is_some())) {
        let datacenter = rollout.lanes[lane].datacenter.clone();
        turn.emit(Record::WaveRolled {
            rollout: id.clone(),
            datacenter,
            wave,
        });
    }
}

fn may_start(turn: &Turn<'_>, id: &RolloutId, lane: usize, stagger: Span) -> bool {
    let Some(rollout) = turn.rollout(id) else { return false };
    rollout.hold.is_none()
        && rollout.lanes[lane]
            .last_start
            .is_none_or(|last| last + stagger <= turn.now)
}

/// What is next for a host that no phase runs on: a phase, its end, or (`None`) to wait.
fn next(turn: &Turn<'_>, id: &RolloutId, host: &HostId, account: &mut Account<'_>) -> Option<Record> {
    let rollout = turn.rollout(id)?;
    let run = rollout.runs.get(host)?;
    let known = turn.state().hosts.get(host)?;
    let settle = |settled, text: String| {
        Some(Record::HostSettled {
            rollout: id.clone(),
            host: host.clone(),
            settled,
            text,
            by: None,
        })
    };
    if known.is_lost(turn.now, turn.engine.config.unreachable_after) {
        return settle(Settled::Debt, format!("not reachable since {}", known.since));
    }
    let waits = run.not_before.is_some_and(|at| at > turn.now) || known.busy.is_some();
    if !known.is_attached() || waits {
        return None;
    }
    let standing = standing(rollout, known);
    let operation = rollout.playbook.machine.operations.get(&rollout.plan.body.operation)?;
    let Some(path) = path(rollout, run, &standing, operation) else {
        let goal = &operation.to;
        return settle(
            Settled::Failed,
            format!("no way from state {} to {goal}", standing.state),
        );
    };
    let Some(name) = path.first() else {
        return settle(Settled::Done, String::new());
    };
    if rollout.hold.is_some() {
        return None;
    }
    let machine = &rollout.playbook.machine;
    let phase = machine.phase(name)?;
    let release = match operation.release {
        ReleaseGoal::Target => Some(rollout.release.clone()),
        ReleaseGoal::Same => standing.release.clone(),
    };
    let after = standing_after(machine, phase, &standing, release.as_ref());
    if after.leaves_service(&standing) && account.take(known).is_err() {
        return None;
    }
    Some(Record::PhaseStarted {
        rollout: id.clone(),
        host: host.clone(),
        phase: name.clone(),
        attempt: run.attempts + 1,
        direction: Direction::Forward,
        release,
        from: standing,
        after,
    })
}

/// Where the rollout's app stands on the host.
pub(super) fn standing(rollout: &Rollout, host: &Host) -> Standing {
    host.standings
        .get(&rollout.app)
        .cloned()
        .unwrap_or_else(|| Standing::initial(&rollout.playbook.machine))
}

/// The phases from where the host stands to the goal, through the states that it must still pass.
fn path(
    rollout: &Rollout,
    run: &Run,
    standing: &Standing,
    operation: &Operation,
) -> Option<Vec<echelon_proto::PhaseName>> {
    let on_target = operation.release == ReleaseGoal::Same || standing.release.as_ref() == Some(&rollout.release);
    let mut via = operation.via.iter().peekable();
    for passed in run.steps.iter().map(|step| &step.from.state).chain([&standing.state]) {
        via.next_if(|next| *next == passed);
    }
    let rest = Operation {
        to: operation.to.clone(),
        release: operation.release,
        via: via.cloned().collect(),
    };
    rollout.playbook.machine.path(&standing.state, on_target, &rest)
}
