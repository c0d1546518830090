//! A rollout and its story, as the engine knows them, in the words of the wire. The coordinator answers with it and the
//! command line shows a rehearsal with it, so that both look alike. Deliberately no policy and no text of its own.

use std::fmt::Display;

use echelon_engine::{
    State,
    outcome::Outcome,
    view::{self, EventView, FailureView, GateView, LaneView, RolloutState, WaveView},
};
use echelon_proto::{RolloutId, Time, wire::control as wire};
use prost_types::Timestamp;

/// A point of time.
#[must_use]
pub fn stamp(time: Time) -> Timestamp {
    Timestamp {
        seconds: i64::try_from(time.0 / 1000).unwrap_or(i64::MAX),
        nanos: i32::try_from(time.0 % 1000 * 1_000_000).unwrap_or(0),
    }
}

/// A name; empty where there is none.
#[must_use]
pub fn text(name: Option<&impl Display>) -> String {
    name.map(ToString::to_string).unwrap_or_default()
}

/// The rollout as it is at this time; `None` when the state has no such rollout.
#[must_use]
pub fn rollout(state: &State, id: &RolloutId, now: Time) -> Option<wire::Rollout> {
    let rollout = state.rollouts.get(id)?;
    let seen = view::rollout(state, id, now)?;
    Some(wire::Rollout {
        name: format!("apps/{}/rollouts/{id}", rollout.app),
        app: rollout.app.to_string(),
        release: rollout.release.to_string(),
        playbook: format!("{}@{}", rollout.playbook.name, rollout.playbook.version),
        plan: format!("plans/{}", rollout.plan_id()),
        state: status(seen.state).into(),
        state_reason: seen.reason,
        etag: rollout.etag.to_string(),
        lanes: seen.lanes.into_iter().map(lane).collect(),
        create_time: Some(stamp(rollout.created)),
        start_time: rollout.started.map(stamp),
        end_time: rollout.ended.map(stamp),
        created_by: rollout.by.to_string(),
        reason: rollout.reason.clone(),
        request_id: text(rollout.request_id.as_ref()),
        waiting: seen.waiting,
        failures: seen.failures.into_iter().map(failure).collect(),
        schedule_time: rollout.scheduled.map(stamp),
        ahead: None,
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
        open_time: wave.opened.map(stamp),
        bake_end_time: wave.bake_end.map(stamp),
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
        time: Some(stamp(failure.at)),
    }
}

/// A line of the rollout's story; `sequence` is the number under which it is kept.
#[must_use]
pub fn event(sequence: u64, seen: &EventView) -> wire::Event {
    wire::Event {
        sequence,
        time: Some(stamp(seen.at)),
        kind: seen.kind.to_owned(),
        datacenter: text(seen.datacenter.as_ref()),
        wave: text(seen.wave.as_ref()),
        host: text(seen.host.as_ref()),
        phase: text(seen.phase.as_ref()),
        text: seen.text.clone(),
        actor: text(seen.actor.as_ref()),
    }
}
