//! What is next for one host that goes forward: by the fewest phases from wherever it stands, one at a time.

use echelon_playbooks::model::{Operation, Phase, ReleaseGoal, Unreachable};
use echelon_proto::{
    HostId, PhaseName, ReleaseName, RolloutId,
    planted::{self, Plant},
};

use super::{Turn, traveller::Traveller};
use crate::{
    capacity::Account,
    plan::standby,
    record::Record,
    rollback::{Stride, standing_after},
    rollout::{Direction, Settled},
    way,
};

/// What is next for a host that no phase runs on: a phase, its end, or (`None`) to wait.
pub(super) fn next(turn: &Turn<'_>, id: &RolloutId, host: &HostId, account: &mut Account<'_>) -> Option<Record> {
    let traveller = Traveller::of(turn, id, host)?;
    let rollout = traveller.rollout;
    if let Some(why) = traveller.lost() {
        return Some(traveller.settle(lost(rollout.playbook.hosts.unreachable)?, why));
    }
    if !traveller.is_free() {
        return None;
    }
    let machine = &rollout.playbook.machine;
    let operation = machine.operations.get(&rollout.plan.body.operation)?;
    let Some(path) = path(&traveller, operation) else {
        let why = format!("no way from state {} to {}", traveller.standing.state, operation.to);
        return Some(traveller.settle(Settled::Failed, why));
    };
    match path.first() {
        None if standby::stays_out(traveller.run, &traveller.standing) => {
            Some(traveller.settle(Settled::Done, "it was out of service before, and stays so"))
        }
        None => Some(traveller.settle(Settled::Done, "")),
        Some(_) if rollout.hold.is_some() && !planted::is(Plant::HoldIgnored) => None,
        Some(name) => begin(traveller, operation, machine.phase(name)?, account),
    }
}

/// The phase begins, but not while the host may not leave service for it.
fn begin(traveller: Traveller<'_>, operation: &Operation, phase: &Phase, account: &mut Account<'_>) -> Option<Record> {
    let release = match operation.release {
        ReleaseGoal::Target => Some(traveller.rollout.release.clone()),
        ReleaseGoal::Same => kept(&traveller),
    };
    if phase.sets_release && release.is_none() {
        return Some(without_release(&traveller));
    }
    let machine = &traveller.rollout.playbook.machine;
    let after = standing_after(machine, phase, &traveller.standing, release.as_ref());
    let is_for = match traveller.is_for(phase) {
        Ok(is_for) => is_for,
        Err(why) => return Some(traveller.settle(Settled::Failed, why)),
    };
    let guarded = traveller.leaves_service(&after);
    if !traveller.may_begin(&after, account, guarded) {
        return None;
    }
    let stride = Stride {
        phase: phase.name.clone(),
        direction: Direction::Forward,
        release,
        after,
        note: traveller.note(phase, is_for, guarded),
    };
    Some(traveller.start(stride, guarded))
}

/// The release that an operation keeps: the one there is, or was, where the host has been emptied on the way.
fn kept(traveller: &Traveller<'_>) -> Option<ReleaseName> {
    let origin = traveller.run.touched.as_ref().map(|touch| &touch.origin);
    let there = traveller.standing.release.as_ref();
    there.or_else(|| origin?.release.as_ref()).cloned()
}

/// The operation keeps the release that a host has, and this one has none: since its plan was made it was emptied. A plan
/// made now would leave it out.
fn without_release(traveller: &Traveller<'_>) -> Record {
    let operation = &traveller.rollout.plan.body.operation;
    let why = format!("no release is installed there, and {operation} keeps the one that is");
    let settled = match traveller.run.touched {
        None => Settled::Skipped,
        Some(_) => Settled::Failed,
    };
    traveller.settle(settled, why)
}

/// What becomes of a host that has been out of reach for too long; `None`: it is waited for.
fn lost(rule: Unreachable) -> Option<Settled> {
    match rule {
        Unreachable::Debt => Some(Settled::Debt),
        Unreachable::Fail => Some(Settled::Failed),
        Unreachable::Wait => None,
    }
}

/// The phases from where the host stands to the goal, through the states that it must still pass.
fn path(traveller: &Traveller<'_>, operation: &Operation) -> Option<Vec<PhaseName>> {
    let (rollout, run, standing) = (traveller.rollout, traveller.run, &traveller.standing);
    let on_target = operation.release == ReleaseGoal::Same || standing.release.as_ref() == Some(&rollout.release);
    let passed = run.steps.iter().map(|step| &step.from.state).chain([&standing.state]);
    let machine = &rollout.playbook.machine;
    let path = machine.path(&standing.state, on_target, &way::rest(operation, passed))?;
    Some(match standby::stays_out(run, standing) {
        true => standby::before_service(machine, path),
        false => path,
    })
}
