//! Messages that tests send.

use echelon_proto::wire::control::*;
use futures::{StreamExt as _, stream};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::fake::Updates;

pub(crate) fn rollout(state: RolloutState) -> Rollout {
    let over = state as i32 >= RolloutState::Succeeded as i32;
    Rollout {
        end_time: over.then(Default::default),
        name: "apps/web/rollouts/r7".into(),
        app: "web".into(),
        release: "1.1.0".into(),
        playbook: "web@3".into(),
        state: state.into(),
        etag: "e1".into(),
        lanes: vec![Lane {
            datacenter: "dc1".into(),
            state: "rolling".into(),
            waves: vec![Wave {
                wave: "canary".into(),
                state: "rolling".into(),
                hosts: 2,
                done: 1,
                ..Wave::default()
            }],
        }],
        ..Rollout::default()
    }
}

pub(crate) fn event(sequence: u64, text: &str) -> Event {
    Event {
        sequence,
        kind: "wave_opened".into(),
        datacenter: "dc1".into(),
        text: text.into(),
        ..Event::default()
    }
}

pub(crate) fn update(rollout: Rollout, events: Vec<Event>) -> WatchRolloutResponse {
    WatchRolloutResponse {
        rollout: Some(rollout),
        events,
    }
}

/// These, then the end of the stream.
pub(crate) fn ending(updates: Vec<WatchRolloutResponse>) -> Updates {
    stream::iter(updates.into_iter().map(Ok)).boxed()
}

/// These, then nothing more.
pub(crate) fn staying(updates: Vec<WatchRolloutResponse>) -> Updates {
    stream::iter(updates.into_iter().map(Ok))
        .chain(stream::pending())
        .boxed()
}

pub(crate) fn refusal(code: Code, message: &str, reason: &str) -> Status {
    Status::with_error_details(code, message, ErrorDetails::with_error_info(reason, "echelon", []))
}
