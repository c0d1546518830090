//! Output of phases, read as a stream, and followed while the rollout goes on.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use echelon_proto::{HostId, PhaseName, RolloutId, limits::OUTPUT_CHUNK_BYTES_MAX, wire::control as wire};
use tokio::{sync::watch::Receiver, time::sleep};
use tonic::{Code, Status};

use super::{Control, Messages, field, status};
use crate::{
    driver::Reader,
    output::{self, Attempt, Output},
};

/// A follower looks this often at most, however much is written.
const LOOK_EVERY: Duration = Duration::from_millis(200);

pub(super) fn read(control: &Control, request: wire::ReadLogsRequest) -> Result<Messages<wire::LogChunk>, Status> {
    let (_, rollout) = field::rollout(&request.name)?;
    let is_known = control.reader.latest().state.rollouts.contains_key(&rollout);
    if !is_known {
        return Err(status::not_found(&format!(
            "there is no rollout {rollout}, or it is no longer kept"
        )));
    }
    let follower = Follower {
        wanted: Wanted {
            rollout,
            host: field::optional("host", &request.host)?,
            phase: field::optional("phase", &request.phase)?,
        },
        follow: request.follow,
        outputs: control.known.outputs.clone(),
        changes: control.known.outputs.changes(),
        reader: control.reader.clone(),
        stopping: control.stopping.clone(),
        waiting: VecDeque::new(),
        read: BTreeMap::new(),
    };
    Ok(Box::pin(futures::stream::try_unfold(follower, Follower::next)))
}

#[derive(Clone)]
struct Wanted {
    rollout: RolloutId,
    host: Option<HostId>,
    phase: Option<PhaseName>,
}

/// (host, attempt): an attempt has one phase.
type Key = (HostId, u32);

struct Follower {
    wanted: Wanted,
    follow: bool,
    outputs: Arc<Output>,
    changes: Receiver<u64>,
    reader: Reader,
    stopping: Receiver<bool>,
    /// Attempts with something unread.
    waiting: VecDeque<Attempt>,
    /// Up to where.
    read: BTreeMap<Key, u64>,
}

impl Follower {
    async fn next(mut self) -> Result<Option<(wire::LogChunk, Self)>, Status> {
        loop {
            while let Some(attempt) = self.waiting.pop_front() {
                if let Some(chunk) = self.chunk(attempt).await? {
                    return Ok(Some((chunk, self)));
                }
            }
            // Looked at first: what is written before the outcome is read before the end.
            let is_over = self.is_over();
            self.changes.mark_unchanged();
            self.list().await?;
            if self.waiting.is_empty() {
                if is_over || !self.follow {
                    return Ok(None);
                }
                self.wait().await?;
            }
        }
    }

    fn is_over(&mut self) -> bool {
        let latest = self.reader.mark_latest();
        latest
            .state
            .rollouts
            .get(&self.wanted.rollout)
            .is_none_or(|rollout| rollout.status.is_over())
    }

    async fn list(&mut self) -> Result<(), Status> {
        let (outputs, wanted) = (self.outputs.clone(), self.wanted.clone());
        let listed =
            blocking(move || outputs.attempts(&wanted.rollout, wanted.host.as_ref(), wanted.phase.as_ref())).await?;
        let is_unread = |attempt: &Attempt| attempt.bytes > self.offset(attempt);
        self.waiting = listed.into_iter().filter(is_unread).collect();
        Ok(())
    }

    /// The next bytes of an attempt; what is left of it waits as the first.
    async fn chunk(&mut self, attempt: Attempt) -> Result<Option<wire::LogChunk>, Status> {
        let offset = self.offset(&attempt);
        let (outputs, rollout, of) = (self.outputs.clone(), self.wanted.rollout.clone(), attempt.clone());
        let data = blocking(move || outputs.read(&rollout, &of, offset, OUTPUT_CHUNK_BYTES_MAX)).await?;
        if data.is_empty() {
            return Ok(None);
        }
        let end = offset + data.len() as u64;
        self.read.insert((attempt.host.clone(), attempt.attempt), end);
        let chunk = wire::LogChunk {
            host: attempt.host.to_string(),
            phase: attempt.phase.to_string(),
            attempt: attempt.attempt,
            offset,
            data,
        };
        if end < attempt.bytes {
            self.waiting.push_front(attempt);
        }
        Ok(Some(chunk))
    }

    fn offset(&self, attempt: &Attempt) -> u64 {
        self.read
            .get(&(attempt.host.clone(), attempt.attempt))
            .copied()
            .unwrap_or(0)
    }

    async fn wait(&mut self) -> Result<(), Status> {
        sleep(LOOK_EVERY).await;
        tokio::select! {
            _ = self.changes.changed() => Ok(()),
            goes_on = self.reader.changed() => if goes_on { Ok(()) } else { Err(stopping()) },
            _ = self.stopping.wait_for(|stopping| *stopping) => Err(stopping()),
        }
    }
}

fn stopping() -> Status {
    status::with_reason(
        Code::Unavailable,
        "STOPPING",
        "the coordinator is stopping; read again in a moment",
    )
}

/// Runs disk work away from the runtime's threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, output::Error> + Send + 'static,
) -> Result<T, Status> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Status::internal(format!("reading output ended early: {error}")))?
        .map_err(|error| Status::unavailable(error.to_string()))
}
