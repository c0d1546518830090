//! What is next for one host that goes forward: by the fewest phases from wherever it stands, one at a time.

use echelon_playbooks::model::{Operation, Phase, ReleaseGoal, Unreachable};
use echelon_proto::{HostId, PhaseName, RolloutId};

use super::Turn;
use crate::{
    capacity::Account,
    host::{Host, Standing},
    invariant,
    plan::standby,
    record::Record,
    rollback::standing_after,
    rollout::{Direction, Note, Rollout, Run, Settled},
    site, way,
};

/// What is next for a host that no phase runs on: a phase, its end, or (`None`) to wait.
pub(super) fn next(turn: &Turn<'_>, id: &RolloutId, host: &HostId, account: &mut Account<'_>) -> Option<Record> {
    let rollout = turn.rollout(id)?;
    let run = rollout.runs.get(host)?;
    let known = turn.state().hosts.get(host)?;
    if known.is_lost(turn.now, turn.engine.config.unreachable_after) {
        let settled = lost(rollout.playbook.hosts.unreachable)?;
        return settle(id, host, settled, format!("not reachable since {}", known.since));
    }
    let waits = run.not_before.is_some_and(|at| at > turn.now) || known.busy.is_some() || run.timed_out.is_some();
    if !known.is_attached() || waits {
        return None;
    }
    let standing = standing(rollout, known);
    let operation = rollout.playbook.machine.operations.get(&rollout.plan.body.operation)?;
    let Some(path) = path(rollout, run, &standing, operation) else {
        let goal = &operation.to;
        return settle(
            id,
            host,
            Settled::Failed,
            format!("no way from state {} to {goal}", standing.state),
        );
    };
    let Some(name) = path.first() else {
        let stays = standby::stays_out(run, &standing).then_some("it was out of service before, and stays so");
        return settle(id, host, Settled::Done, stays.unwrap_or_default().into());
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
    let is_for = match site::is_for(phase, &site::of_run(rollout, run, known)?) {
        Ok(is_for) => is_for,
        Err(unknown) => {
            return settle(
                id,
                host,
                Settled::Failed,
                format!("`when` of phase {name} is open: {unknown}"),
            );
        }
    };
    let guarded = after.leaves_service(&standing) && known.in_service();
    if guarded {
        let held = !account.allows(known) || invariant::broken(turn.state(), rollout, run, known).is_some();
        if held || account.take(known).is_err() {
            return None;
        }
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
        note: note(rollout, phase, is_for, guarded),
        guarded,
    })
}

/// A host is done with, for now or for good.
pub(super) fn settle(id: &RolloutId, host: &HostId, settled: Settled, text: String) -> Option<Record> {
    Some(Record::HostSettled {
        rollout: id.clone(),
        host: host.clone(),
        settled,
        text,
        by: None,
    })
}

/// What becomes of a host that has been out of reach for too long; `None`: it is waited for.
fn lost(rule: Unreachable) -> Option<Settled> {
    match rule {
        Unreachable::Debt => Some(Settled::Debt),
        Unreachable::Fail => Some(Settled::Failed),
        Unreachable::Wait => None,
    }
}

/// Why the phase is not simply run, if it is not.
pub(super) fn note(rollout: &Rollout, phase: &Phase, is_for: bool, guarded: bool) -> Option<Note> {
    if is_for {
        invariant::asks_first(rollout, phase, guarded).then_some(Note::Asks)
    } else {
        Some(Note::PassedOver)
    }
}

/// Where the rollout's app stands on the host.
pub(crate) fn standing(rollout: &Rollout, host: &Host) -> Standing {
    host.standings
        .get(&rollout.app)
        .cloned()
        .unwrap_or_else(|| Standing::initial(&rollout.playbook.machine))
}

/// The phases from where the host stands to the goal, through the states that it must still pass.
fn path(rollout: &Rollout, run: &Run, standing: &Standing, operation: &Operation) -> Option<Vec<PhaseName>> {
    let on_target = operation.release == ReleaseGoal::Same || standing.release.as_ref() == Some(&rollout.release);
    let passed = run.steps.iter().map(|step| &step.from.state).chain([&standing.state]);
    let rest = way::rest(operation, passed);
    let machine = &rollout.playbook.machine;
    let path = machine.path(&standing.state, on_target, &rest)?;
    Some(match standby::stays_out(run, standing) {
        true => standby::before_service(machine, path),
        false => path,
    })
}
