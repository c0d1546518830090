//! One session: what is to be sent in it, what of it is under way to the driver, when it was last heard. Deliberately
//! not a channel: a row that starts empty keeps an idle agent small, and acks and heartbeats need no room in it.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use echelon_engine::{command::Artifact, effect::Effect};
use echelon_proto::HostId;
use tokio::{sync::Notify, time::Instant};

use crate::asks::Ask;

/// Messages that may wait to be sent. A host is owed one order and one watch a rollout; an agent that lets this many
/// wait reads nothing.
const WAITING_MAX: usize = 64;

/// Reports and answers of probes that may be on their way to the driver: beyond it nothing more is read from the agent,
/// so that one that floods waits for itself and for nobody else.
pub const IN_FLIGHT_MAX: usize = 64;

/// Something to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// The first message of every session.
    Welcome {
        /// Of this coordinator.
        term: u64,
    },
    /// An order or a watch.
    Owed(Arc<Effect>),
    /// A release that the host may fetch ahead.
    Prefetch(Arc<Artifact>),
    /// A question of a person, by its number.
    Ask(u64, Arc<Ask>),
    /// Nobody waits for its answers any more.
    NoMore(u64),
    /// A watch, by its name on the link, is owed no longer.
    Unwatch(String),
    /// The reports up to this one are durable.
    Ack(u64),
    /// Still here.
    Heartbeat,
}

impl Item {
    /// What kind it is.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Welcome { .. } => "welcome",
            Self::Owed(_) => "owed",
            Self::Prefetch(_) => "prefetch",
            Self::Ask(..) => "ask",
            Self::NoMore(_) => "no more",
            Self::Unwatch(_) => "unwatch",
            Self::Ack(_) => "acknowledgement",
            Self::Heartbeat => "heartbeat",
        }
    }
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// The same host has begun a newer one.
    #[error("another session of this host has begun; two agents with one certificate?")]
    Superseded,
    /// Nothing was heard for three heartbeats.
    #[error("nothing was heard for three heartbeats")]
    Silent,
    /// The agent does not read what it is sent.
    #[error("the agent does not read what it is sent")]
    Slow,
    /// The stream is gone.
    #[error("the stream has ended")]
    Gone,
    /// The coordinator stops.
    #[error("the coordinator is stopping; attach again")]
    Stopping,
}

/// One session.
#[derive(Debug)]
pub struct Session {
    host: HostId,
    number: u64,
    outbox: Mutex<Outbox>,
    /// Something can be sent or read again, or it is closed. One task waits: the stream's.
    wake: Notify,
    opened: Instant,
    /// Milliseconds from `opened` to when something was last heard.
    heard_ms: AtomicU64,
}

#[derive(Debug, Default)]
struct Outbox {
    row: VecDeque<Item>,
    ack: Option<u64>,
    heartbeat: bool,
    in_flight: usize,
    closed: Option<Closed>,
    left: bool,
}

impl Session {
    pub(super) fn new(host: HostId, number: u64) -> Self {
        Self {
            host,
            number,
            outbox: Mutex::default(),
            wake: Notify::new(),
            opened: Instant::now(),
            heard_ms: AtomicU64::new(0),
        }
    }

    /// Whose.
    #[must_use]
    pub fn host(&self) -> &HostId {
        &self.host
    }

    /// Grows with each session of this process.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// To be sent. `false`: the agent does not read, or it is closed; nothing was taken.
    #[must_use]
    pub fn send(&self, item: Item) -> bool {
        let mut outbox = self.lock();
        if outbox.closed.is_some() || outbox.row.len() >= WAITING_MAX {
            return false;
        }
        outbox.row.push_back(item);
        drop(outbox);
        self.wake.notify_one();
        true
    }

    /// A heartbeat, unless something else waits to be sent anyway.
    pub fn beat(&self) {
        let mut outbox = self.lock();
        outbox.heartbeat = outbox.row.is_empty() && outbox.ack.is_none();
        drop(outbox);
        self.wake.notify_one();
    }

    /// One more event of this session is on its way to the driver.
    pub fn depart(&self) {
        self.lock().in_flight += 1;
    }

    /// It is durable, or means nothing. Given a report's sequence, that is acknowledged.
    pub fn arrive(&self, report: Option<u64>) {
        let mut outbox = self.lock();
        outbox.in_flight = outbox.in_flight.saturating_sub(1);
        outbox.ack = outbox.ack.max(report);
        drop(outbox);
        self.wake.notify_one();
    }

    /// Whether more may be read from the agent.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.lock().in_flight < IN_FLIGHT_MAX
    }

    /// Something came from the agent.
    pub fn hear(&self) {
        let ms = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.heard_ms.store(ms, Ordering::Relaxed);
    }

    /// How long nothing was heard.
    #[must_use]
    pub fn silence(&self) -> Duration {
        self.opened
            .elapsed()
            .saturating_sub(Duration::from_millis(self.heard_ms.load(Ordering::Relaxed)))
    }

    /// The first reason stays.
    pub fn close(&self, why: Closed) {
        self.lock().closed.get_or_insert(why);
        self.wake.notify_one();
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.lock().closed.is_some()
    }

    /// The engine is to be told that it has ended: `true` once.
    pub(super) fn leave(&self) -> bool {
        !std::mem::replace(&mut self.lock().left, true)
    }

    /// What to send next, if there is something now.
    ///
    /// # Errors
    /// Why it is closed; what still waited is not sent any more.
    pub fn poll(&self) -> Result<Option<Item>, Closed> {
        let mut outbox = self.lock();
        if let Some(closed) = outbox.closed {
            return Err(closed);
        }
        // An agent hears that it may forget before it is told to do more. (The Welcome is before all acks: nothing is
        // read from the agent before it.)
        if let Some(sequence) = outbox.ack.take() {
            return Ok(Some(Item::Ack(sequence)));
        }
        if let Some(item) = outbox.row.pop_front() {
            return Ok(Some(item));
        }
        Ok(std::mem::take(&mut outbox.heartbeat).then_some(Item::Heartbeat))
    }

    /// Returns when something may have changed since the last call: room to read, something to send, its end.
    pub async fn stirred(&self) {
        self.wake.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        Session::new(HostId::new("h1").unwrap(), 1)
    }

    #[test]
    fn acks_of_many_reports_become_one_and_need_no_room() {
        let session = session();
        for _ in 0..WAITING_MAX {
            assert!(session.send(Item::Heartbeat));
        }
        assert!(!session.send(Item::Heartbeat), "a full row takes nothing more");
        for sequence in 1..=5 {
            session.depart();
            session.arrive(Some(sequence));
        }
        assert_eq!(session.poll(), Ok(Some(Item::Ack(5))));
        for _ in 0..WAITING_MAX {
            assert_eq!(session.poll(), Ok(Some(Item::Heartbeat)));
        }
        assert_eq!(session.poll(), Ok(None));
    }

    #[tokio::test]
    async fn an_agent_that_floods_is_not_read_until_its_reports_are_durable() {
        let session = session();
        for _ in 0..IN_FLIGHT_MAX {
            assert!(session.has_room());
            session.depart();
        }
        assert!(!session.has_room());
        session.arrive(None);
        assert!(session.has_room());
        tokio::time::timeout(Duration::from_secs(5), session.stirred())
            .await
            .expect("it is told that there is room");
    }

    #[test]
    fn a_closed_session_says_why_and_takes_nothing() {
        let session = session();
        session.close(Closed::Slow);
        session.close(Closed::Gone);
        assert!(!session.send(Item::Heartbeat));
        assert_eq!(session.poll(), Err(Closed::Slow));
    }
}
