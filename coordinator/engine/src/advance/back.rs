//! A lane goes back: touched hosts, the newest first, at the rollback's own pace and with the same floor.

use echelon_proto::{HostId, RolloutId};

use super::{Turn, forward};
use crate::{
    capacity::Account,
    record::Record,
    rollback::{self, Move},
    rollout::{LaneEnd, Rollout, Run, Settled},
};

pub(super) fn pass(turn: &mut Turn<'_>, id: &RolloutId, lane: usize) {
    let Some(rollout) = turn.rollout(id) else { return };
    let plan = rollout.plan.clone();
    let (Some(planned), Some(stage)) = (plan.lanes.get(lane), rollout.playbook.stages.first()) else {
        return;
    };
    let max_parallel = rollout
        .playbook
        .rollback
        .max_parallel
        .unwrap_or(stage.deploy.max_parallel) as usize;
    let mut account = rollout
        .playbook
        .rollback
        .keep_max_unavailable
        .then(|| Account::open(turn.state(), planned));
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
        return settle(
            Settled::Debt,
            format!("could not be brought back: not reachable since {}", known.since),
        );
    }
    let waits = run.not_before.is_some_and(|at| at > turn.now) || known.busy.is_some() || rollout.hold.is_some();
    if !known.is_attached() || waits {
        return None;
    }
    let standing = forward::standing(rollout, known);
    match rollback::next(rollout, run, &standing) {
        Move::Arrived => settle(Settled::RolledBack, String::new()),
        Move::Drop => Some(Record::StepDropped {
            rollout: id.clone(),
            host: host.clone(),
        }),
        Move::Stuck(why) => settle(Settled::Debt, format!("could not be brought back: {why}")),
        Move::Phase {
            phase,
            direction,
            release,
            after,
        } => {
            if let Some(account) = account.filter(|_| after.leaves_service(&standing)) {
                account.take(known).ok()?;
            }
            Some(Record::PhaseStarted {
                rollout: id.clone(),
                host: host.clone(),
                phase,
                attempt: run.attempts + 1,
                direction,
                release,
                from: standing,
                after,
            })
        }
    }
}
