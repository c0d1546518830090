//! The way into the driver: one bounded row of events, each with what is to be done with its answer. What waits when the
//! row is full is the sender, so a flood slows those who flood.

use std::fmt;

use echelon_engine::{Event, Refusal, Reply};
use tokio::sync::{mpsc, oneshot};

use super::Snapshot;

/// Events that may wait. 2,000 agents that attach at once fit; beyond it senders wait, and each has at most a few dozen
/// of its own on the way.
const WAITING_MAX: usize = 4096;

/// What became of an event.
pub type Answer = Result<Reply, Unmet>;

/// What to do with the answer. Called on the driver's thread once the answer is durable: it must not block.
pub type Then = Box<dyn FnOnce(Answer) + Send>;

/// A wish that was not granted.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Unmet {
    /// Not allowed now; nothing was written.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The journal cannot be written: nothing more is decided until the coordinator is started again. Whether the wish was
    /// granted is not known.
    #[error(
        "the coordinator cannot write its journal and stops (its log says why); whether this was done is not known: ask \
         again when it is back"
    )]
    Broken,
    /// The coordinator stops. Whether the wish was granted is not known: ask again with the same request id.
    #[error("the coordinator is stopping; ask again in a moment")]
    Stopping,
}

/// What the driver takes.
pub enum Letter {
    /// Something happened.
    Event(Box<Event>, Then),
    /// A snapshot has been encoded.
    Snapshot(Snapshot),
    /// Take what waits, then end.
    Stop,
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(event, _) => f.debug_tuple("Event").field(event).finish(),
            Self::Snapshot(snapshot) => f.debug_tuple("Snapshot").field(&snapshot.sequence).finish(),
            Self::Stop => f.write_str("Stop"),
        }
    }
}

/// Where events are put in.
#[derive(Debug, Clone)]
pub struct Inbox(mpsc::Sender<Letter>);

impl Inbox {
    /// An inbox, and the end that the driver takes from.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<Letter>) {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        (Self(sender), receiver)
    }

    /// Puts an event in, waiting for room, and waits until its answer is durable.
    ///
    /// # Errors
    /// [`Unmet`]
    pub async fn ask(&self, event: Event) -> Answer {
        let (sender, receiver) = oneshot::channel();
        self.post(event, Box::new(move |answer| drop(sender.send(answer))))
            .await;
        receiver.await.unwrap_or(Err(Unmet::Stopping))
    }

    /// Puts an event in, waiting for room. When the driver has ended, `then` hears [`Unmet::Stopping`].
    pub async fn post(&self, event: Event, then: Then) {
        if let Err(refused) = self.0.send(Letter::Event(Box::new(event), then)).await
            && let Letter::Event(_, then) = refused.0
        {
            then(Err(Unmet::Stopping));
        }
    }

    /// Lets the driver take what waits already and end.
    pub async fn stop(&self) {
        // An error says that it has ended.
        let _ended = self.0.send(Letter::Stop).await;
    }

    /// Hands an encoded snapshot back.
    pub(super) async fn return_snapshot(&self, snapshot: Snapshot) {
        // An error says that the driver has ended: the journal does without this snapshot.
        let _ended = self.0.send(Letter::Snapshot(snapshot)).await;
    }
}
