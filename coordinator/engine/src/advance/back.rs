//! A lane goes back: touched hosts, the newest first, at the rollback's own pace and with the same floor.

use echelon_proto::{HostId, RolloutId};

use super::{Turn, traveller::Traveller};
use crate::{
    capacity::Account,
    muster::Seat,
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
    let order = order(turn, rollout, lane);
    let run = |turn: &Turn<'_>, host: &HostId| turn.rollout(id)?.runs.get(host).map(Place::of);
    let moving = |turn: &Turn<'_>, host: &HostId| run(turn, host).is_some_and(|run| run.is_moving);
    let mut active = order.iter().filter(|host| moving(turn, host)).count();
    for host in &order {
        let Some(before) = run(turn, host) else { continue };
        if before.is_busy || (active >= max_parallel && !before.is_moving) {
            continue;
        }
        while let Some(record) = next(turn, id, host, account.as_mut()) {
            let goes_on = matches!(record, Record::StepDropped { .. });
            turn.emit(record);
            if !goes_on {
                break;
            }
        }
        active = active + usize::from(moving(turn, host)) - usize::from(before.is_moving);
    }
    let Some(rollout) = turn.rollout(id) else { return };
    if at_it(turn, id, lane).next().is_none() {
        let datacenter = rollout.lanes[lane].datacenter.clone();
        turn.emit(Record::LaneEnded {
            rollout: id.clone(),
            datacenter,
            end: LaneEnd::RolledBack,
        });
    }
}

/// What a pass asks of a host that has yet to come back.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// A phase runs on it, or it is back.
    is_busy: bool,
    /// It has one of the places of those that go back at once.
    is_moving: bool,
}

impl Place {
    fn of(run: &Run) -> Self {
        let (is_back, runs) = (run.settled.is_some(), run.current.is_some());
        Self {
            is_busy: is_back || runs,
            is_moving: !is_back && (run.back_begun || runs),
        }
    }
}

/// Touched hosts of the lane that are not back.
fn at_it<'a>(turn: &'a Turn<'_>, id: &RolloutId, lane: usize) -> impl Iterator<Item = Seat> + 'a {
    let rank = turn.engine.muster.rank(id, lane).into_iter();
    rank.flat_map(|rank| rank.active.iter().copied())
}

/// The same, the newest first.
fn order(turn: &Turn<'_>, rollout: &Rollout, lane: usize) -> Vec<HostId> {
    let hosts = at_it(turn, &rollout.id, lane).filter_map(|seat| rollout.plan.seated(lane, seat));
    let touched = hosts.filter_map(|host| Some((rollout.runs.get(host)?.touched.as_ref()?.number, host)));
    let mut order: Vec<_> = touched.collect();
    order.sort_unstable();
    order.into_iter().rev().map(|(_, host)| host.clone()).collect()
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
