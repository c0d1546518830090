//! A rollout and its events in the words of the wire.

use echelon_engine::{
    State,
    outcome::Outcome,
    rollout::Rollout,
    view::{self, FailureView, GateView, LaneView, RolloutState, WaveView},
};
use echelon_proto::{Time, wire::control as wire};
use tonic::Status;

use crate::{api::convert, driver::Line};

pub(super) fn rollout(state: &State, rollout: &Rollout, now: Time) -> Result<wire::Rollout, Status> {
    let id = &rollout.id;
    let seen = view::rollout(state, id, now).ok_or_else(|| Status::internal(format!("{id} has no view")))?;
    Ok(wire::Rollout {
        name: format!("apps/{}/rollouts/{id}", rollout.app),
        app: rollout.app.to_string(),
        release: rollout.release.to_string(),
        playbook: format!("{}@{}", rollout.playbook.name, rollout.playbook.version),
        plan: format!("plans/{}", rollout.plan_id()),
        state: status(seen.state).into(),
        state_reason: seen.reason,
        etag: rollout.etag.to_string(),
        lanes: seen.lanes.into_iter().map(lane).collect(),
        create_time: Some(convert::stamp(rollout.created)),
        start_time: rollout.started.map(convert::stamp),
        end_time: rollout.ended.map(convert::stamp),
        created_by: rollout.by.to_string(),
        reason: rollout.reason.clone(),
        request_id: convert::text(rollout.request_id.as_ref()),
        waiting: seen.waiting,
        failures: seen.failures.into_iter().map(failure).collect(),
        schedule_time: rollout.scheduled.map(convert::stamp),
    })
}

fn status(state: RolloutState) -> wire::RolloutState {
    match state {
        RolloutState::Scheduled => wire::RolloutState::Scheduled,
        RolloutState::Queued => wire::RolloutState::Queued,
        RolloutState::AwaitingApproval => wire::RolloutState::AwaitingApproval,
        RolloutState::Running => wire::RolloutState::Running,
        RolloutState::Held => wire::RolloutState::Held,
        RolloutState::RollingBack => wire::RolloutState::RollingBack,
        RolloutState::Ended(outcome) => match outcome {
            Outcome::Succeeded => wire::RolloutState::Succeeded,
            Outcome::SucceededWithDebt => wire::RolloutState::SucceededWithDebt,
            Outcome::Failed => wire::RolloutState::Failed,
            Outcome::Aborted => wire::RolloutState::Aborted,
            Outcome::RolledBack => wire::RolloutState::RolledBack,
            Outcome::Expired => wire::RolloutState::Expired,
        },
    }
}

fn lane(lane: LaneView) -> wire::Lane {
    wire::Lane {
        datacenter: lane.datacenter.to_string(),
        state: lane.state.to_owned(),
        waves: lane.waves.into_iter().map(wave).collect(),
    }
}

fn wave(wave: WaveView) -> wire::Wave {
    wire::Wave {
        wave: wave.wave.to_string(),
        state: wave.state.to_owned(),
        hosts: wave.hosts,
        done: wave.done,
        running: wave.running,
        failed: wave.failed,
        skipped: wave.skipped,
        rolled_back: wave.rolled_back,
        debt: wave.debt,
        gates: wave.gates.into_iter().map(gate).collect(),
        phases: wave
            .phases
            .into_iter()
            .map(|(phase, hosts)| (phase.to_string(), hosts))
            .collect(),
        open_time: wave.opened.map(convert::stamp),
        bake_end_time: wave.bake_end.map(convert::stamp),
    }
}

fn gate(gate: GateView) -> wire::Gate {
    wire::Gate {
        gate: gate.gate.to_string(),
        kind: gate.kind.to_owned(),
        state: gate.state.to_owned(),
        detail: gate.detail,
    }
}

fn failure(failed: FailureView) -> wire::HostFailure {
    let failure = failed.failure;
    wire::HostFailure {
        host: failed.host.to_string(),
        datacenter: failed.datacenter.to_string(),
        phase: failure.phase.to_string(),
        attempt: failure.attempt,
        result: failure.result.name().to_owned(),
        exit_code: failure.exit_code,
        signal: failure.signal,
        message: failure.message,
        tail: failure.tail,
        time: Some(convert::stamp(failure.at)),
    }
}

pub(super) fn event(line: &Line) -> wire::Event {
    let seen = &line.view;
    wire::Event {
        sequence: line.sequence,
        time: Some(convert::stamp(seen.at)),
        kind: seen.kind.to_owned(),
        datacenter: convert::text(seen.datacenter.as_ref()),
        wave: convert::text(seen.wave.as_ref()),
        host: convert::text(seen.host.as_ref()),
        phase: convert::text(seen.phase.as_ref()),
        text: seen.text.clone(),
        actor: convert::text(seen.actor.as_ref()),
    }
}
