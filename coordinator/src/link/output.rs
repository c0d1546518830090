//! Output of phases as agents send it: piece by piece into the store, each acknowledged. One piece at a time, so that
//! what an agent may have under way is bounded by its stream's window.

use std::sync::Arc;

use echelon_proto::{
    Fence, HostId, limits,
    wire::link::{OutputAck, OutputChunk},
};
use futures::Stream;
use tonic::{Status, Streaming};

use super::{bound, hear, order};
use crate::{driver::Reader, output::Output};

pub(super) struct Receiver {
    pub(super) host: HostId,
    pub(super) outputs: Arc<Output>,
    pub(super) reader: Reader,
    pub(super) inbound: Streaming<OutputChunk>,
}

impl Receiver {
    pub(super) fn acks(self) -> impl Stream<Item = Result<OutputAck, Status>> {
        futures::stream::try_unfold(self, Self::next)
    }

    async fn next(mut self) -> Result<Option<(OutputAck, Self)>, Status> {
        let Some(chunk) = self.inbound.message().await? else {
            return Ok(None);
        };
        let fence = hear::fence(&self.host, chunk.fence.clone())?;
        bound::bytes("output.data", &chunk.data, limits::OUTPUT_CHUNK_BYTES_MAX)?;
        let ack = OutputAck {
            fence: Some(order::fence(&fence)),
            offset: self.take(fence, chunk).await?,
        };
        Ok(Some((ack, self)))
    }

    /// Output of what was never ordered is let go: an agent cannot fill the store with it, and need not keep it either.
    async fn take(&self, fence: Fence, chunk: OutputChunk) -> Result<u64, Status> {
        if !self.is_ordered(&fence) {
            return Ok(chunk.offset.saturating_add(chunk.data.len() as u64));
        }
        let outputs = self.outputs.clone();
        let appended =
            tokio::task::spawn_blocking(move || outputs.append(&fence, chunk.offset, &chunk.data, chunk.last)).await;
        appended
            .map_err(|error| Status::internal(format!("writing output ended early: {error}")))?
            .map_err(|error| {
                tracing::warn!(host = %self.host, %error, "output is not kept for the moment");
                Status::unavailable(error.to_string())
            })
    }

    fn is_ordered(&self, fence: &Fence) -> bool {
        let latest = self.reader.latest();
        let run = latest
            .state
            .rollouts
            .get(&fence.rollout)
            .and_then(|rollout| rollout.runs.get(&fence.host));
        run.is_some_and(|run| (1..=run.attempts).contains(&fence.attempt))
    }
}
