//! Phases whose report does not come. The agent ends a phase at its timeout and says so; if even that is not heard some
//! slack later, the phase is lost: what became of it is not known. Time counts from when the host could last have been
//! given the order, so neither a coordinator's restart nor a cut line makes a phase look overdue.

use echelon_proto::{HostId, RolloutId, Time};

use super::Turn;
use crate::{
    decide,
    engine::Engine,
    event::{PhaseResult, Report},
    record::Record,
    rollout::{Rollout, Run},
};

pub(super) fn pass(turn: &mut Turn<'_>, id: &RolloutId) {
    let Some(rollout) = turn.rollout(id) else { return };
    let ranks = turn.engine.muster.ranks(id).into_iter();
    let late = ranks.flat_map(|ranks| ranks.timed(rollout)).filter(|(host, run)| {
        run.current.is_some() && deadline(turn.engine, rollout, host, run).is_some_and(|deadline| deadline <= turn.now)
    });
    let late: Vec<HostId> = late.map(|(host, _)| host.clone()).collect();
    for host in late {
        for record in lost(turn, id, &host) {
            turn.emit(record);
        }
    }
}

fn lost(turn: &Turn<'_>, id: &RolloutId, host: &HostId) -> Vec<Record> {
    let Some(run) = turn.rollout(id).and_then(|rollout| rollout.runs.get(host)) else {
        return Vec::new();
    };
    let Some(current) = &run.current else { return Vec::new() };
    let attached = turn.state().hosts.get(host).is_some_and(|host| host.is_attached());
    let why = if attached {
        "its agent is there but has not reported"
    } else {
        "the host is not reachable"
    };
    let report = Report {
        fence: echelon_proto::Fence {
            term: turn.state().term,
            rollout: id.clone(),
            host: host.clone(),
            phase: current.phase.clone(),
            attempt: current.attempt,
        },
        result: PhaseResult::Lost,
        exit_code: None,
        signal: None,
        message: format!("no report in time: {why}"),
        tail: String::new(),
        leftovers: Vec::new(),
        standing: None,
    };
    decide::report::decide(turn.engine, turn.now, &report)
}

/// When the report of the phase in flight is overdue.
pub(super) fn deadline(engine: &Engine, rollout: &Rollout, host: &HostId, run: &Run) -> Option<Time> {
    let current = run.current.as_ref()?;
    let phase = rollout.playbook.machine.phase(&current.phase)?;
    let patience = phase.timeout + engine.config.report_slack;
    let host = engine.state.hosts.get(host)?;
    let by_phase = current.started.max(host.since) + patience;
    let by_host = if host.is_attached() {
        by_phase
    } else {
        host.since + engine.config.unreachable_after
    };
    Some(by_phase.max(by_host))
}
