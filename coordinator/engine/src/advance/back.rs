//! A lane goes back: touched hosts, the newest first, at the rollback's own pace and with the same floor.

use echelon_proto::{HostId, PhaseName, RolloutId};

use super::{Turn, step};
use crate::{
    capacity::Account,
    host::Host,
    invariant,
    record::Record,
    rollback::{self, Move},
    rollout::{Direction, LaneEnd, Rollout, Run, Settled},
    site,
};

pub(super) fn pass(turn: &mut Turn<'_>, id: &RolloutId, lane: usize) {
    let Some(rollout) = turn.rollout(id) else { return };
    let plan = rollout.plan.clone();
    let (Some(planned), Some(pace)) = (plan.lanes.get(lane), rollout.pace(lane)) else {
        return;
    };
    let max_parallel = rollout.playbook.rollback.max_parallel.unwrap_or(pace.max_parallel) as usize;
    let mut account = rollout
        .playbook
        .rollback
        .keep_max_unavailable
        .then(|| Account::open(&turn.engine.muster.out, planned));
    let order = order(rollout, lane);
    let run = |turn: &Turn<'_>, host: &HostId| turn.rollout(id).and_then(|rollout| rollout.runs.get(host).cloned());
    let moving = |run: &Run| run.settled.is_none() && (run.back_begun || run.current.is_some());
    let mut active = order
        .iter()
        .filter(|host| run(turn, host).is_some_and(|run| moving(&run)))
        .count();
    for host in &order {
        let Some(before) = run(turn, host) else { continue };
        if before.settled.is_some() || before.current.is_some() || (active >= max_parallel && !moving(&before)) {
            continue;
        }
        while let Some(record) = next(turn, id, host, account.as_mut()) {
            let goes_on = matches!(record, Record::StepDropped { .. });
            turn.emit(record);
            if !goes_on {
                break;
            }
        }
        let is_moving = run(turn, host).is_some_and(|run| moving(&run));
        active = active + usize::from(is_moving) - usize::from(moving(&before));
    }
    let Some(rollout) = turn.rollout(id) else { return };
    let back = |host: &HostId| rollout.runs.get(host).is_none_or(|run| run.settled.is_some());
    if order.iter().all(back) {
        let datacenter = rollout.lanes[lane].datacenter.clone();
        turn.emit(Record::LaneEnded {
            rollout: id.clone(),
            datacenter,
            end: LaneEnd::RolledBack,
        });
    }
}

/// Touched hosts of the lane, the newest first.
fn order(rollout: &Rollout, lane: usize) -> Vec<HostId> {
    let touched = |(host, run): (&HostId, &Run)| Some((run.touched.as_ref()?.number, host.clone()));
    let mut order: Vec<_> = rollout.lane_runs(lane).filter_map(touched).collect();
    order.sort();
    order.into_iter().rev().map(|(_, host)| host).collect()
}

fn next(turn: &Turn<'_>, id: &RolloutId, host: &HostId, account: Option<&mut Account<'_>>) -> Option<Record> {
    let rollout = turn.rollout(id)?;
    let run = rollout.runs.get(host)?;
    let known = turn.state().hosts.get(host)?;
    if known.is_lost(turn.now, turn.engine.config.unreachable_after) {
        return step::settle(
            id,
            host,
            Settled::Debt,
            format!("could not be brought back: not reachable since {}", known.since),
        );
    }
    let is_busy = known.busy.is_some() || run.timed_out.is_some();
    let waits = run.not_before.is_some_and(|at| at > turn.now) || is_busy || rollout.hold.is_some();
    if !known.is_attached() || waits {
        return None;
    }
    let standing = step::standing(rollout, known);
    match rollback::next(rollout, run, &standing) {
        Move::Arrived => step::settle(id, host, Settled::RolledBack, String::new()),
        Move::Drop => Some(Record::StepDropped {
            rollout: id.clone(),
            host: host.clone(),
        }),
        Move::Stuck(why) => step::settle(id, host, Settled::Debt, format!("could not be brought back: {why}")),
        Move::Phase {
            phase,
            direction,
            release,
            after,
            note,
        } => {
            let is_for = match is_for(rollout, run, known, &phase, direction) {
                Ok(is_for) => is_for,
                Err(why) => return step::settle(id, host, Settled::Debt, format!("could not be brought back: {why}")),
            };
            let leaves = after.leaves_service(&standing) && known.in_service();
            let account = account.filter(|_| leaves);
            // An undo brings back: it is not asked whether it may.
            let guarded = account.is_some() && direction == Direction::Return;
            if let Some(account) = account {
                let broken = || invariant::broken(turn.state(), rollout, run, known);
                if !account.allows(known) || (guarded && broken().is_some()) {
                    return None;
                }
                account.take(known).ok()?;
            }
            let runs = rollout.playbook.machine.phase(&phase)?;
            let note = note.or_else(|| step::note(rollout, runs, is_for, guarded));
            Some(Record::PhaseStarted {
                rollout: id.clone(),
                host: host.clone(),
                phase,
                attempt: run.attempts + 1,
                direction,
                release,
                from: standing,
                after,
                note,
                guarded,
            })
        }
    }
}

/// Whether a phase of the way back is for this host. What was run is taken back, whatever its `when` says now.
fn is_for(rollout: &Rollout, run: &Run, host: &Host, name: &PhaseName, way: Direction) -> Result<bool, String> {
    let phase = rollout.playbook.machine.phase(name);
    match (way, phase, site::of_run(rollout, run, host)) {
        (Direction::Return, Some(phase), Some(site)) => {
            site::is_for(phase, &site).map_err(|unknown| format!("`when` of phase {name} is open: {unknown}"))
        }
        (Direction::Forward | Direction::Undo | Direction::Return, _, _) => Ok(true),
    }
}
