//! Watching a rollout: as it is, then again after each change, until it has an outcome. Changes that come faster than
//! a person's eye are one message; the last one is always sent. A client that reads slowly skips what lies between and
//! holds nobody up: nothing is queued for it, each message is made when it can be sent.

use std::{sync::Arc, time::Duration};

use echelon_proto::{RolloutId, wire::control as wire};
use tokio::{
    sync::watch::Receiver,
    time::{Instant, sleep_until},
};
use tonic::{Code, Status};

use super::{find, named, shown, told};
use crate::{
    api::{Control, Messages, status},
    driver::{Reader, wall},
    runner::prefetch::Prefetch,
};

/// Between two messages: at most 20 a second.
const MESSAGE_EVERY: Duration = Duration::from_millis(50);

/// Events in one message; more go in the next ones.
const EVENTS_MAX: usize = 1000;

pub(in crate::api) fn watch(
    control: &Control,
    request: &wire::WatchRolloutRequest,
) -> Result<Messages<wire::WatchRolloutResponse>, Status> {
    let (_, _, rollout) = named(control, &request.name)?;
    let watcher = Watcher {
        reader: control.reader.clone(),
        prefetch: control.known.hands.prefetch.clone(),
        stopping: control.stopping.clone(),
        rollout,
        next_sequence: request.from_sequence,
        sent: None,
        sent_at: None,
        over: false,
    };
    Ok(Box::pin(futures::stream::try_unfold(watcher, Watcher::next)))
}

struct Watcher {
    reader: Reader,
    prefetch: Arc<Prefetch>,
    stopping: Receiver<bool>,
    rollout: RolloutId,
    next_sequence: u64,
    /// Etag of what was sent last.
    sent: Option<u64>,
    sent_at: Option<Instant>,
    over: bool,
}

impl Watcher {
    async fn next(mut self) -> Result<Option<(wire::WatchRolloutResponse, Self)>, Status> {
        if self.over {
            return Ok(None);
        }
        if let Some(sent_at) = self.sent_at {
            sleep_until(sent_at + MESSAGE_EVERY).await;
        }
        loop {
            if let Some(message) = self.look()? {
                self.sent_at = Some(Instant::now());
                return Ok(Some((message, self)));
            }
            tokio::select! {
                goes_on = self.reader.changed() => if !goes_on { return Err(stopping()) },
                _ = self.stopping.wait_for(|stopping| *stopping) => return Err(stopping()),
            }
        }
    }

    /// A message, when there is something new.
    fn look(&mut self) -> Result<Option<wire::WatchRolloutResponse>, Status> {
        let latest = self.reader.mark_latest();
        let rollout = find(&latest.state, None, &self.rollout)?;
        // The events are read after the state, so that they are never behind it.
        let page = self.reader.story().page(&self.rollout, self.next_sequence, EVENTS_MAX);
        if self.sent == Some(rollout.etag) && page.lines.is_empty() {
            return Ok(None);
        }
        let now = latest.at.max(wall());
        let message = wire::WatchRolloutResponse {
            rollout: Some(shown(&self.prefetch, &latest.state, rollout, now)?),
            events: page.lines.iter().map(|line| told(line)).collect(),
        };
        self.sent = Some(rollout.etag);
        if let Some(last) = page.lines.last() {
            self.next_sequence = last.sequence + 1;
        }
        self.over = rollout.status.is_over() && page.next.is_none();
        Ok(Some(message))
    }
}

fn stopping() -> Status {
    status::with_reason(
        Code::Unavailable,
        "STOPPING",
        "the coordinator is stopping; watch again from the next event",
    )
}
