//! How a host goes back, and where a phase leaves it.
//!
//! A host in the middle unwinds from the very phase it is in: the newest step first, each by its `undo`, to the standing
//! it had before that step. Where an undo is a phase that starts where the host stands, it leads where that phase leads:
//! what is started again has to warm up again. If that is not where the step began, no older step can be undone from
//! there, and the host goes on by the fewest phases to where it stood before, checks and all. A host that had arrived
//! returns by an operation: `rollback` where the playbook has one, else the rollout's own if that sets a release, to the
//! release it had before, through the states that the operation passes. Otherwise (it was parked, removed, restarted, or
//! had no release) it returns by the fewest phases to the state it had before; if none lead there it unwinds too. A host
//! that is out of service on purpose always unwinds: an operation would put it into service. One that stood on no release,
//! though not in the initial state, unwinds as far as that takes the release away, for no operation does. A phase that was
//! passed over ran nothing, so nothing runs to take it back: the host's agent only takes down where it stands again. Hosts
//! never touched are left alone.

use echelon_playbooks::model::{Machine, Operation, Phase, ReleaseGoal, Traffic};
use echelon_proto::{OperationName, PhaseName, ReleaseName, StateName};

use crate::{
    host::{Serving, Standing},
    plan::standby::stays_out,
    rollout::{Back, Direction, Note, Rollout, Run},
    way,
};

/// The next move of a host that goes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// It is back.
    Arrived,
    /// The newest step needs no phase.
    Drop,
    /// This phase.
    Phase(Stride),
    /// There is no way, because.
    Stuck(String),
}

/// A phase that is to begin on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stride {
    /// Which.
    pub phase: PhaseName,
    /// Which way.
    pub direction: Direction,
    /// What it works with.
    pub release: Option<ReleaseName>,
    /// Where it leaves the host.
    pub after: Standing,
    /// It is not simply run, because.
    pub note: Option<Note>,
}

/// The next move back of a host that stands there.
#[must_use]
pub fn next(rollout: &Rollout, run: &Run, standing: &Standing) -> Move {
    match run.back {
        Some(Back::Return) if stays_out(run, standing) => by_undo(rollout, run, standing),
        Some(Back::Return) => match by_operation(rollout, run, standing) {
            Some(next) => next,
            None => by_undo(rollout, run, standing),
        },
        Some(Back::Onward) if !stays_out(run, standing) => match onward(rollout, run, standing) {
            Some(next) => next,
            None => by_undo(rollout, run, standing),
        },
        Some(Back::Undo | Back::Onward) => by_undo(rollout, run, standing),
        None => Move::Arrived,
    }
}

fn by_operation(rollout: &Rollout, run: &Run, standing: &Standing) -> Option<Move> {
    let machine = &rollout.playbook.machine;
    let origin = &run.touched.as_ref()?.origin;
    let own = &rollout.plan.body.operation;
    let named = OperationName::new("rollback")
        .ok()
        .filter(|name| machine.operations.contains_key(name));
    let moves = machine.operations.get(own)?.release == ReleaseGoal::Target;
    let operation = machine.operations.get(named.as_ref().unwrap_or(own))?;
    let goal = match &origin.release {
        // What took a host away, or only restarted it, does not lead back.
        Some(_) if !moves && named.is_none() => Operation {
            to: origin.state.clone(),
            release: ReleaseGoal::Target,
            via: Vec::new(),
        },
        Some(release) => {
            let moved = moves && *release != rollout.release;
            let left = way::rest(operation, run.returned.iter().chain([&standing.state]));
            Operation {
                release: ReleaseGoal::Target,
                // What kept its release has nothing to go back through.
                via: if moved { left.via } else { Vec::new() },
                ..left
            }
        }
        None => Operation {
            to: origin.state.clone(),
            release: ReleaseGoal::Same,
            via: Vec::new(),
        },
    };
    by_path(rollout, origin, standing, &goal)
}

/// Where an undo has led elsewhere, no step is left that began here: the host goes where it stood before by the machine.
fn onward(rollout: &Rollout, run: &Run, standing: &Standing) -> Option<Move> {
    let origin = &run.touched.as_ref()?.origin;
    let goal = Operation {
        to: origin.state.clone(),
        release: match origin.release {
            Some(_) => ReleaseGoal::Target,
            None => ReleaseGoal::Same,
        },
        via: Vec::new(),
    };
    by_path(rollout, origin, standing, &goal)
}

fn by_path(rollout: &Rollout, origin: &Standing, standing: &Standing, goal: &Operation) -> Option<Move> {
    let machine = &rollout.playbook.machine;
    // Only where nothing is installed no release is left: to stand without one elsewhere, what set it is undone.
    if origin.release.is_none() && standing.release.is_some() && origin.state != machine.initial {
        return None;
    }
    let on_target = goal.release == ReleaseGoal::Same || standing.release == origin.release;
    let path = machine.path(&standing.state, on_target, goal)?;
    let Some(name) = path.first() else {
        return Some(Move::Arrived);
    };
    let release = origin.release.clone().or_else(|| standing.release.clone());
    let phase = machine.phase(name)?;
    let after = standing_after(machine, phase, standing, release.as_ref());
    Some(Move::Phase(Stride {
        phase: name.clone(),
        direction: Direction::Return,
        release,
        after,
        note: None,
    }))
}

fn by_undo(rollout: &Rollout, run: &Run, standing: &Standing) -> Move {
    let machine = &rollout.playbook.machine;
    let Some(step) = run.steps.last() else {
        let origin = run.touched.as_ref().map(|touch| touch.origin.place());
        return match origin {
            Some(origin) if origin != standing.place() => {
                Move::Stuck(format!("no phase leads back to where it stood, {origin}"))
            }
            Some(_) | None => Move::Arrived,
        };
    };
    let Some(phase) = machine.phase(&step.phase) else {
        return Move::Stuck(format!("the playbook has no phase {}", step.phase));
    };
    if step.passed_over {
        return Move::Phase(Stride {
            phase: step.phase.clone(),
            direction: Direction::Undo,
            release: standing.release.clone(),
            after: step.from.clone(),
            note: Some(Note::PassedOver),
        });
    }
    match phase.undo.as_ref().and_then(|undo| machine.phase(undo)) {
        Some(undo) => {
            let release = match undo.sets_release {
                true => step.from.release.clone(),
                false => standing.release.clone(),
            };
            Move::Phase(Stride {
                phase: undo.name.clone(),
                direction: Direction::Undo,
                after: match undo.from.contains(&standing.state) && undo.to.is_some() {
                    true => standing_after(machine, undo, standing, release.as_ref()),
                    false => step.from.clone(),
                },
                release,
                note: None,
            })
        }
        None if phase.read_only => Move::Drop,
        None => Move::Stuck(format!("phase {} has no undo", phase.name)),
    }
}

/// The first state on the run's way that nothing goes back from by itself.
#[must_use]
pub fn point_of_no_return<'a>(rollout: &'a Rollout, run: &'a Run, standing: &'a Standing) -> Option<&'a StateName> {
    let is_one = |state: &&StateName| {
        rollout
            .playbook
            .machine
            .states
            .get(*state)
            .is_some_and(|s| s.point_of_no_return)
    };
    let touched = run.touched.as_ref()?;
    let passed = run.steps.iter().map(|step| &step.from.state).chain([&standing.state]);
    passed.filter(|state| **state != touched.origin.state).find(is_one)
}

/// Where a phase leaves a host that stands there. Arriving in the machine's initial state leaves no release.
#[must_use]
pub fn standing_after(
    machine: &Machine,
    phase: &Phase,
    standing: &Standing,
    release: Option<&ReleaseName>,
) -> Standing {
    let state = phase.to.clone().unwrap_or_else(|| standing.state.clone());
    if state == machine.initial {
        return Standing::initial(machine);
    }
    let mut after = Standing {
        traffic: serving(machine, &state),
        state,
        error: None,
        ..standing.clone()
    };
    if phase.sets_release && after.release.as_ref() != release {
        after.previous = std::mem::replace(&mut after.release, release.cloned());
    }
    after
}

/// What a state of this machine means for traffic.
#[must_use]
pub fn serving(machine: &Machine, state: &StateName) -> Serving {
    match machine.traffic(state) {
        Traffic::Full => Serving::Full,
        Traffic::None | Traffic::Leaving if *state == machine.initial => Serving::Absent,
        Traffic::None | Traffic::Leaving => Serving::Out,
    }
}
