//! The question: is a host out of service on purpose, and how far does a rollout take it?
//!
//! The rule: a host that somebody took out of service before the rollout stays out. It goes last, in a wave of its own,
//! by the phases up to but without the first one that would put it into service: it has the new release then and does not
//! serve. Where there is no such phase nothing is done to it, and the plan says so. When the rollout goes back it goes
//! back to where it was, step by step.
//!
//! Worked example: `stopped` on 1.0 with `install, start, check` before it. It goes `install, start` and stands `running`
//! on 1.1; `check` would have made it serve.
//!
//! Edge cases: a host left half-way by a rollout that failed or was stopped, or with an error, is not out on purpose: it
//! is brought to the goal. One that has never heard of the app is not out, it is not there yet. One that serves again by
//! the time its turn comes is treated as any other. An operation that keeps the release and passes nothing on the way
//! (`start: { to: serving, release: same }`) can only be meant to put hosts into service, so it does.

use echelon_playbooks::model::{Machine, Operation, ReleaseGoal, Traffic};
use echelon_proto::{App, PhaseName, WaveName};

use crate::{
    host::{Host, Serving, Standing},
    rollout::{Run, Settled, Status},
    state::State,
};

/// The last wave of a lane, where there are such hosts. It bakes for no time and has no gates: nothing in it serves.
pub(super) fn wave() -> WaveName {
    WaveName::new("out-of-service").expect("a name")
}

/// Whether somebody wanted the host out of service, as far as this app is concerned.
#[must_use]
pub fn is_out_on_purpose(state: &State, app: &App, machine: &Machine, host: &Host) -> bool {
    let Some(standing) = host.standings.get(app) else {
        return false;
    };
    let is_out = standing.state != machine.initial && !serves(machine, standing);
    is_out && standing.error.is_none() && !left_half_way(state, app, host)
}

fn serves(machine: &Machine, standing: &Standing) -> bool {
    match machine.traffic(&standing.state) {
        Traffic::Full => true,
        Traffic::None | Traffic::Leaving => false,
    }
}

/// Whether the newest rollout that touched the host has not brought it to where it was meant to be.
fn left_half_way(state: &State, app: &App, host: &Host) -> bool {
    let touched = state.rollouts.values().filter(|rollout| {
        let run = rollout.runs.get(&host.id);
        rollout.app == *app && run.is_some_and(|run| run.touched.is_some())
    });
    let newest = touched.max_by_key(|rollout| rollout.number);
    newest.is_some_and(|rollout| {
        let over = match rollout.status {
            Status::Ended(_) => true,
            Status::Scheduled | Status::Queued | Status::Running => false,
        };
        let settled = rollout.runs.get(&host.id).and_then(|run| run.settled);
        !over || !matches!(settled, Some(Settled::Done | Settled::RolledBack))
    })
}

/// Whether an operation puts hosts into service that were taken out on purpose.
pub(super) fn is_meant_to_serve(operation: &Operation) -> bool {
    operation.release == ReleaseGoal::Same && operation.via.is_empty()
}

/// The phases up to but without the first that would put the host into service.
#[must_use]
pub fn before_service(machine: &Machine, mut path: Vec<PhaseName>) -> Vec<PhaseName> {
    let enters = |name: &PhaseName| {
        let to = machine.phase(name).and_then(|phase| phase.to.as_ref());
        to.is_some_and(|to| machine.traffic(to) == Traffic::Full)
    };
    let upto = path.iter().position(enters).unwrap_or(path.len());
    path.truncate(upto);
    path
}

/// Whether the host, which stands there, is kept out of service by this rollout.
#[must_use]
pub fn stays_out(run: &Run, standing: &Standing) -> bool {
    let origin = run.touched.as_ref().map_or(standing, |touch| &touch.origin);
    run.stays_out && origin.traffic != Serving::Full
}
