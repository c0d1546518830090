//! Who is here: one session a host, the newest. The table knows no order and no report; what is sent in a session is
//! the dispatch runner's, what is received the link's.
//!
//! There is no task, timer or thread of a session's own: one sweep over all sends heartbeats and ends the silent.

mod session;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use echelon_engine::Event;
use echelon_proto::HostId;
use tokio::{runtime::Handle, time::MissedTickBehavior};

use crate::driver::Inbox;

pub use session::{Closed, IN_FLIGHT_MAX, Item, Session};

/// Heartbeats in silence after which a session is dead.
const SILENT_HEARTBEATS: u32 = 3;

/// A sweep takes this share of the sessions, so that 2,000 heartbeats are not sent at once.
const SWEEPS_PER_HEARTBEAT: u32 = 10;

/// All sessions.
#[derive(Debug)]
pub struct Sessions {
    live: Mutex<HashMap<HostId, Arc<Session>>>,
    /// Sessions of this process so far.
    begun: AtomicU64,
    heartbeat: Duration,
    inbox: Inbox,
    runtime: Handle,
}

/// Ends its session when dropped: a stream that is gone, for whatever reason, is a host out of reach.
#[derive(Debug)]
pub struct Guard {
    sessions: Arc<Sessions>,
    session: Arc<Session>,
}

impl Sessions {
    /// None yet. To be called within the runtime.
    #[must_use]
    pub fn new(inbox: Inbox, heartbeat: Duration) -> Arc<Self> {
        Arc::new(Self {
            live: Mutex::default(),
            begun: AtomicU64::new(0),
            heartbeat,
            inbox,
            runtime: Handle::current(),
        })
    }

    /// Each side sends at least one message in this time.
    #[must_use]
    pub fn heartbeat(&self) -> Duration {
        self.heartbeat
    }

    /// A session that is not yet the host's. It is when its attach is durable: [`Sessions::enter`].
    #[must_use]
    pub fn begin(self: &Arc<Self>, host: HostId) -> Guard {
        let number = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
        Guard {
            sessions: self.clone(),
            session: Arc::new(Session::new(host, number)),
        }
    }

    /// Makes it the host's session; the one before is closed. `false`: it has ended already.
    pub fn enter(&self, session: &Arc<Session>) -> bool {
        let mut live = self.lock();
        if session.is_closed() {
            return false;
        }
        if let Some(before) = live.insert(session.host().clone(), session.clone()) {
            before.close(Closed::Superseded);
        }
        true
    }

    /// The host's session.
    #[must_use]
    pub fn of(&self, host: &HostId) -> Option<Arc<Session>> {
        self.lock().get(host).cloned()
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// Ends a session and lets the engine know. Does not wait.
    pub fn end(&self, session: &Arc<Session>, why: Closed) {
        session.close(why);
        {
            let mut live = self.lock();
            if live
                .get(session.host())
                .is_some_and(|newest| newest.number() == session.number())
            {
                live.remove(session.host());
            }
        }
        if !session.leave() {
            return;
        }
        let event = Event::HostDetached {
            host: session.host().clone(),
            session: session.number(),
        };
        let inbox = self.inbox.clone();
        self.runtime
            .spawn(async move { inbox.post(event, Box::new(drop)).await });
    }

    /// Closes all: the process is about to end. The agents come again.
    pub fn close_all(&self) {
        for session in self.lock().values() {
            session.close(Closed::Stopping);
        }
    }

    /// Sends heartbeats and ends the silent, for ever.
    pub async fn sweep(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(self.heartbeat / SWEEPS_PER_HEARTBEAT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for share in (0..SWEEPS_PER_HEARTBEAT).cycle() {
            ticks.tick().await;
            let due: Vec<_> = {
                let live = self.lock();
                let of_share = |s: &&Arc<Session>| s.number() % u64::from(SWEEPS_PER_HEARTBEAT) == u64::from(share);
                live.values().filter(of_share).cloned().collect()
            };
            for session in due {
                if session.silence() > self.heartbeat * SILENT_HEARTBEATS {
                    tracing::info!(host = %session.host(), "the agent has fallen silent");
                    self.end(&session, Closed::Silent);
                } else {
                    session.beat();
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<HostId, Arc<Session>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guard {
    /// The session.
    #[must_use]
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.sessions.end(&self.session, Closed::Gone);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::driver::Letter;

    fn host(name: &str) -> HostId {
        HostId::new(name).unwrap()
    }

    fn detached(letters: &mut mpsc::Receiver<Letter>) -> Vec<(String, u64)> {
        let mut all = Vec::new();
        while let Ok(letter) = letters.try_recv() {
            let Letter::Event(Event::HostDetached { host, session }, _) = letter else {
                panic!("{letter:?}")
            };
            all.push((host.to_string(), session));
        }
        all
    }

    async fn settle() {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn the_newest_session_of_a_host_wins_and_the_older_is_closed() {
        let (inbox, mut letters) = Inbox::new();
        let sessions = Sessions::new(inbox, Duration::from_secs(5));
        let (first, second) = (sessions.begin(host("h1")), sessions.begin(host("h1")));
        assert!(sessions.enter(first.session()) && sessions.enter(second.session()));
        assert_eq!(first.session().poll(), Err(Closed::Superseded));
        drop(first);
        settle().await;
        assert_eq!(sessions.of(&host("h1")).unwrap().number(), 2);
        assert_eq!(detached(&mut letters), [("h1".to_owned(), 1)]);
    }

    #[tokio::test]
    async fn a_session_that_ended_before_its_attach_was_durable_never_enters() {
        let (inbox, mut letters) = Inbox::new();
        let sessions = Sessions::new(inbox, Duration::from_secs(5));
        let guard = sessions.begin(host("h1"));
        let session = guard.session().clone();
        drop(guard);
        assert!(!sessions.enter(&session));
        settle().await;
        assert_eq!((sessions.count(), detached(&mut letters).len()), (0, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_session_is_ended_once_and_one_that_speaks_is_not() {
        let (inbox, mut letters) = Inbox::new();
        let sessions = Sessions::new(inbox, Duration::from_secs(1));
        let (silent, alive) = (sessions.begin(host("h1")), sessions.begin(host("h2")));
        assert!(sessions.enter(silent.session()) && sessions.enter(alive.session()));
        let sweep = tokio::spawn(sessions.clone().sweep());
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            alive.session().hear();
        }
        assert_eq!(silent.session().poll(), Err(Closed::Silent));
        assert_eq!(alive.session().poll(), Ok(Some(Item::Heartbeat)));
        drop(silent);
        settle().await;
        assert_eq!(detached(&mut letters), [("h1".to_owned(), 1)]);
        assert!(sessions.of(&host("h2")).is_some());
        sweep.abort();
    }
}
