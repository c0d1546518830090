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
//! On purpose is what is desired of the host: a state that does not serve, because the last word on it was an operation
//! that leads there. Of a host of which nothing is desired (its last rollout is older than that is kept), it is what the
//! newest rollout that touched it ended well with.
//!
//! Edge cases: a host left half-way by a rollout that failed or was stopped is not out on purpose: it is brought to the
//! goal. One that has never heard of the app is not out, it is not there yet. One that serves again by
//! the time its turn comes is treated as any other. An operation that keeps the release and passes nothing on the way
//! (`start: { to: serving, release: same }`) can only be meant to put hosts into service, so it does.

use echelon_playbooks::model::{Machine, Operation, ReleaseGoal, Traffic};
use echelon_proto::{App, PhaseName, StateName, WaveName};

use crate::{
    desired::Wishes,
    host::{Host, Serving, Standing},
    rollout::{Run, Settled, Status},
    state::State,
};

/// The last wave of a lane, where there are such hosts. It bakes for no time and has no gates: nothing in it serves.
pub(super) fn wave() -> WaveName {
    WaveName::new("out-of-service").expect("a name")
}

/// Whether somebody wanted the host out of service, as far as this app is concerned.
pub(super) fn is_out_on_purpose(state: &State, wishes: &Wishes<'_>, machine: &Machine, app: &App, host: &Host) -> bool {
    let Some(standing) = host.standings.get(app) else {
        return false;
    };
    is_out(machine, &standing.state)
        && match wishes.on(host) {
            Some(wish) => is_out(&wish.goal.playbook.machine, &wish.state),
            None => standing.error.is_none() && !left_half_way(state, app, host),
        }
}

fn is_out(machine: &Machine, state: &StateName) -> bool {
    match machine.traffic(state) {
        Traffic::Full => false,
        Traffic::None | Traffic::Leaving => *state != machine.initial,
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
