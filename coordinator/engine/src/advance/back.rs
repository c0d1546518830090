//! A lane goes back: touched hosts, the newest first, at the rollback's own pace and with the same floor.

use echelon_proto::{HostId, RolloutId};

use super::{Turn, traveller::Traveller};
use crate::{
    capacity::Account,
    record::Record,
    rollback::{self, Move, Stride},
    rollout::{Direction, LaneEnd, Rollout, Run, Settled},
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
    let traveller = Traveller::of(turn, id, host)?;
    let rollout = traveller.rollout;
    if let Some(why) = traveller.lost() {
        return Some(stuck(&traveller, &why));
    }
    if !traveller.is_free() || rollout.hold.is_some() {
        return None;
    }
    match rollback::next(rollout, traveller.run, &traveller.standing) {
        Move::Arrived => Some(traveller.settle(Settled::RolledBack, "")),
        Move::Drop => Some(traveller.drop_step()),
        Move::Stuck(why) => Some(stuck(&traveller, &why)),
        Move::Phase(stride) => begin(traveller, stride, account),
    }
}

fn stuck(traveller: &Traveller<'_>, why: &str) -> Record {
    traveller.settle(Settled::Debt, format!("could not be brought back: {why}"))
}

/// The phase begins, but not while the host may not leave service for it.
fn begin(traveller: Traveller<'_>, stride: Stride, account: Option<&mut Account<'_>>) -> Option<Record> {
    let phase = traveller.rollout.playbook.machine.phase(&stride.phase)?;
    let is_for = match stride.direction {
        Direction::Return => traveller.is_for(phase),
        // What was run is taken back, whatever its `when` says now.
        Direction::Forward | Direction::Undo => Ok(true),
    };
    let is_for = match is_for {
        Ok(is_for) => is_for,
        Err(why) => return Some(stuck(&traveller, &why)),
    };
    // An undo brings back: it is not asked whether it may.
    let guarded = account.is_some() && stride.direction == Direction::Return && traveller.leaves_service(&stride.after);
    if account.is_some_and(|account| !traveller.may_begin(&stride.after, account, guarded)) {
        return None;
    }
    let note = stride.note.or_else(|| traveller.note(phase, is_for, guarded));
    Some(traveller.start(Stride { note, ..stride }, guarded))
}
