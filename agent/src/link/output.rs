//! Sends the output of attempts on a stream of its own, so that it can never delay a report. One piece an attempt is on
//! its way at a time: its acknowledgement says where to go on, be that further on (the coordinator had more than this
//! agent remembers) or back. Ends with its session; the next one begins where the coordinator then is.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use echelon_proto::{
    Fence,
    limits::OUTPUT_CHUNK_BYTES_MAX,
    wire::link::{OutputAck, OutputChunk, link_client::LinkClient},
};
use tokio::{
    sync::mpsc,
    time::{self, Instant},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming, transport::Channel};

use super::wire;
use crate::output::{Outputs, Piece};

/// Pieces on their way and not acknowledged, of all attempts: a quarter MiB. Far below what a connection may have on its
/// way, so that a coordinator that is slow to take output still takes reports on the same connection at once.
const PIECES: usize = 4;
/// How often files are looked at for more.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A piece without an acknowledgement for so long: the stream is opened anew.
const ACK_WITHIN: Duration = Duration::from_secs(15);
/// A coordinator that takes nothing of a piece is not asked again at once.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Sends all there is and comes to be, for as long as the session lasts.
pub(super) async fn send(channel: Channel, outputs: Arc<Outputs>) {
    let mut pause = Duration::from_millis(500);
    loop {
        while outputs.fences().is_empty() {
            outputs.changed().await;
        }
        let begun = Instant::now();
        match stream(&channel, &outputs).await {
            Ok(()) => tracing::debug!("the coordinator ended the output stream"),
            Err(status) => tracing::debug!(%status, "the output stream broke"),
        }
        if begun.elapsed() > PAUSE_MAX {
            pause = Duration::from_millis(500);
        }
        time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// How far an attempt's output is with the coordinator.
#[derive(Debug, Default)]
struct Progress {
    /// Where the next piece begins.
    offset: u64,
    /// The piece on its way: when it left, and whether it is the end.
    sent: Option<(Instant, u64, bool)>,
    /// Not before this.
    not_before: Option<Instant>,
}

async fn stream(channel: &Channel, outputs: &Arc<Outputs>) -> Result<(), Status> {
    let (tx, rx) = mpsc::channel(PIECES);
    let mut progress: BTreeMap<Fence, Progress> = BTreeMap::new();
    let mut client = LinkClient::new(channel.clone());
    // The first pieces go in before the call: a coordinator may answer it only once it has one.
    offer(outputs, &mut progress, &tx).await;
    let acks: Streaming<OutputAck> = client.send_output(ReceiverStream::new(rx)).await?.into_inner();
    follow(outputs, &mut progress, &tx, acks).await
}

async fn follow(
    outputs: &Arc<Outputs>,
    progress: &mut BTreeMap<Fence, Progress>,
    tx: &mpsc::Sender<OutputChunk>,
    mut acks: Streaming<OutputAck>,
) -> Result<(), Status> {
    let mut look = time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            ack = acks.message() => match ack? {
                None => return Ok(()),
                Some(ack) => acknowledged(outputs, progress, ack),
            },
            _ = look.tick() => {}
            () = outputs.changed() => {}
        }
        let overdue = |sent: &Progress| sent.sent.is_some_and(|(at, _, _)| at.elapsed() > ACK_WITHIN);
        if progress.values().any(overdue) {
            return Err(Status::deadline_exceeded("a piece of output was not acknowledged"));
        }
        offer(outputs, progress, tx).await;
    }
}

/// Sends a piece of each attempt that has one and none on its way.
async fn offer(outputs: &Arc<Outputs>, progress: &mut BTreeMap<Fence, Progress>, tx: &mpsc::Sender<OutputChunk>) {
    let fences = outputs.fences();
    progress.retain(|fence, _| fences.contains(fence));
    let mut under_way = progress.values().filter(|state| state.sent.is_some()).count();
    for fence in fences {
        // The rest has its turn when acknowledgements come.
        if under_way >= PIECES {
            return;
        }
        let state = progress.entry(fence.clone()).or_default();
        if state.sent.is_some() || state.not_before.is_some_and(|at| Instant::now() < at) {
            continue;
        }
        let Ok(permit) = tx.try_reserve() else { return };
        let Some(piece) = read(outputs, &fence, state.offset).await else {
            continue;
        };
        under_way += 1;
        state.sent = Some((Instant::now(), state.offset + piece.data.len() as u64, piece.last));
        permit.send(OutputChunk {
            fence: Some(wire::fence_out(&fence)),
            offset: state.offset,
            data: piece.data,
            last: piece.last,
        });
    }
}

/// Files are read apart from the session's thread: a slow disk must not hold up its heartbeats.
async fn read(outputs: &Arc<Outputs>, fence: &Fence, offset: u64) -> Option<Piece> {
    let (outputs, fence) = (outputs.clone(), fence.clone());
    let read = tokio::task::spawn_blocking(move || {
        let piece = outputs.read(&fence, offset, OUTPUT_CHUNK_BYTES_MAX);
        piece.inspect_err(|error| {
            tracing::warn!(%fence, %error, "output cannot be read and is not sent");
            outputs.forget(&fence);
        })
    });
    read.await.ok()?.ok()?
}

fn acknowledged(outputs: &Outputs, progress: &mut BTreeMap<Fence, Progress>, ack: OutputAck) {
    let Ok(fence) = wire::fence_in(ack.fence) else { return };
    // The term on an acknowledgement is the coordinator's of now.
    let Some((fence, state)) = progress.iter_mut().find(|(known, _)| known.same_attempt(&fence)) else {
        return;
    };
    let Some((_, end, last)) = state.sent.take() else {
        return;
    };
    if last && ack.offset >= end {
        return outputs.sent(fence);
    }
    if ack.offset <= state.offset {
        state.not_before = Some(Instant::now() + AGAIN_AFTER);
    } else {
        state.not_before = None;
    }
    state.offset = ack.offset;
}
