//! Questions of people that only a host can answer: each is sent in the host's session, and its answers go to the one who
//! asked. In memory: an answer that nobody waits for any more is of no use. What was asked is in the journal before it is sent
//! (`api/asks`). What an answer is does not matter here: nothing is done with it on the way.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use echelon_proto::{App, HostId};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};

use crate::sessions::{Item, Session, Sessions};

/// Of one host; its agent takes no more either.
const PER_HOST_MAX: usize = 8;
/// Of all hosts. Each may have `PIECES` waiting: 64 MiB, though everybody reads slowly.
const ASKS_MAX: usize = 64;
/// Pieces of answers, at most 64 KiB each and usually 16, that wait for a person's terminal.
const PIECES: usize = 16;
/// A question that is answered at once, is.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// What is followed ends by itself on the host, a minute before.
const FOLLOW_WITHIN: Duration = Duration::from_secs(660);
/// How often it is looked whether the host is still there.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// What is wrong with the host?
    Doctor,
    /// What runs of this app?
    Processes(App),
    /// Which releases are on its disk?
    Releases(Option<App>),
    /// The end of a file.
    Tail {
        /// Which.
        path: PathBuf,
        /// At most so many.
        lines: u32,
        /// And what is written later.
        follow: bool,
    },
}

/// Why there is no answer, or no more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It has no session.
    #[error("host {0} is not reachable: ask again when `echelon host get {0}` says that it is attached")]
    Away(HostId),
    /// Its session ended in the meantime.
    #[error("host {0} has gone in the middle of its answer; ask again when it is back")]
    Gone(HostId),
    /// The host says why.
    #[error("host {host}: {why}")]
    Refused {
        /// Who.
        host: HostId,
        /// One line.
        why: String,
    },
    /// Nothing came.
    #[error("host {0} did not answer in time")]
    Silent(HostId),
    /// Too much is asked at once.
    #[error("{0}; ask again in a moment")]
    Busy(&'static str),
    /// Answers were not read.
    #[error("host {0} answers faster than this reads; ask again for less")]
    Slow(HostId),
}

/// One piece, as it came, or why there is none.
pub type Piece<A> = Result<A, String>;

/// All questions that are open.
#[derive(Debug)]
pub struct Asks<A> {
    sessions: Arc<Sessions>,
    open: Mutex<HashMap<u64, Open<A>>>,
    asked: AtomicU64,
}

#[derive(Debug)]
struct Open<A> {
    host: HostId,
    session: u64,
    pieces: mpsc::Sender<Piece<A>>,
    /// The last piece has come.
    done: Arc<AtomicU64>,
}

/// One question, until it is dropped: then the host hears that nobody wants it any more.
#[derive(Debug)]
pub struct Asking<A> {
    asks: Arc<Asks<A>>,
    session: Arc<Session>,
    number: u64,
    pieces: mpsc::Receiver<Piece<A>>,
    done: Arc<AtomicU64>,
    until: Instant,
}

impl<A> Asks<A> {
    /// For these sessions.
    #[must_use]
    pub fn new(sessions: Arc<Sessions>) -> Arc<Self> {
        Arc::new(Self {
            sessions,
            open: Mutex::default(),
            asked: AtomicU64::new(0),
        })
    }

    /// Asks a host.
    ///
    /// # Errors
    /// It is away, or too much is asked at once.
    pub fn ask(self: &Arc<Self>, host: &HostId, what: Ask) -> Result<Asking<A>, Error> {
        let session = self.sessions.of(host).ok_or_else(|| Error::Away(host.clone()))?;
        let number = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let (sender, pieces) = mpsc::channel(PIECES);
        let done = Arc::new(AtomicU64::new(0));
        {
            let mut open = self.lock();
            if open.len() >= ASKS_MAX {
                return Err(Error::Busy("too much is asked of hosts at once"));
            }
            if open.values().filter(|one| one.host == *host).count() >= PER_HOST_MAX {
                return Err(Error::Busy("too much is asked of this host at once"));
            }
            let one = Open {
                host: host.clone(),
                session: session.number(),
                pieces: sender,
                done: done.clone(),
            };
            open.insert(number, one);
        }
        let follows = matches!(what, Ask::Tail { follow: true, .. });
        let asking = Asking {
            asks: self.clone(),
            session: session.clone(),
            number,
            pieces,
            done,
            until: Instant::now() + if follows { FOLLOW_WITHIN } else { ANSWER_WITHIN },
        };
        if !session.send(Item::Ask(number, Arc::new(what))) {
            return Err(Error::Gone(host.clone()));
        }
        Ok(asking)
    }

    /// A piece of an answer came in this session. One that nobody waits for is dropped.
    pub fn answered(&self, session: &Session, number: u64, piece: Option<Piece<A>>, last: bool) {
        let mut open = self.lock();
        let Some(one) = open.get(&number).filter(|one| one.session == session.number()) else {
            return;
        };
        let taken = piece.is_none_or(|piece| one.pieces.try_send(piece).is_ok());
        if last && taken {
            one.done.store(1, Ordering::Release);
        }
        // Dropped, its row ends when it is read to its end.
        if last || !taken {
            open.remove(&number);
        }
        if !taken {
            let _gone = session.send(Item::NoMore(number));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Open<A>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A> Asking<A> {
    /// The next piece; `None`: that was all.
    ///
    /// # Errors
    /// Why there is no more.
    pub async fn next(&mut self) -> Result<Option<A>, Error> {
        let host = self.session.host().clone();
        loop {
            tokio::select! {
                biased;
                piece = self.pieces.recv() => return match piece {
                    Some(Ok(piece)) => Ok(Some(piece)),
                    Some(Err(why)) => Err(Error::Refused { host, why }),
                    None if self.done.load(Ordering::Acquire) == 1 => Ok(None),
                    None => Err(Error::Slow(host)),
                },
                () = sleep_until(self.until) => return Err(Error::Silent(host)),
                () = sleep(LOOK_EVERY) => if self.session.is_closed() {
                    return Err(Error::Gone(host));
                },
            }
        }
    }
}

impl<A> Drop for Asking<A> {
    fn drop(&mut self) {
        if self.asks.lock().remove(&self.number).is_some() {
            // A session that takes nothing any more ends the question by itself.
            let _gone = self.session.send(Item::NoMore(self.number));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{driver::Inbox, sessions::Guard};

    fn house() -> (Arc<Asks<String>>, Guard) {
        let (inbox, _letters) = Inbox::new();
        let sessions = Sessions::new(inbox, Duration::from_secs(5));
        let guard = sessions.begin(HostId::new("h1").unwrap());
        assert!(sessions.enter(guard.session()));
        (Asks::new(sessions), guard)
    }

    fn data(text: &str) -> Option<Piece<String>> {
        Some(Ok(text.to_owned()))
    }

    fn sent(guard: &Guard) -> Vec<Item> {
        std::iter::from_fn(|| guard.session().poll().unwrap()).collect()
    }

    #[tokio::test]
    async fn an_answer_comes_whole_and_to_the_one_who_asked() {
        let (asks, guard) = house();
        let host = guard.session().host().clone();
        let mut one = asks.ask(&host, Ask::Doctor).unwrap();
        let mut two = asks.ask(&host, Ask::Releases(None)).unwrap();
        assert_eq!(sent(&guard).len(), 2);
        asks.answered(guard.session(), two.number, data("two"), false);
        asks.answered(guard.session(), one.number, data("one"), false);
        asks.answered(guard.session(), one.number, None, true);
        asks.answered(guard.session(), 99, data("nobody's"), true);
        assert_eq!(one.next().await.unwrap(), data("one").unwrap().ok());
        assert_eq!(one.next().await, Ok(None));
        asks.answered(guard.session(), two.number, Some(Err("not shown".into())), true);
        assert_eq!(two.next().await.unwrap(), data("two").unwrap().ok());
        assert!(matches!(two.next().await, Err(Error::Refused { why, .. }) if why == "not shown"));
        drop((one, two));
        assert_eq!(sent(&guard), [], "what has ended is not called back");
    }

    #[tokio::test]
    async fn who_goes_away_and_who_reads_too_slowly_ends_it_on_the_host() {
        let (asks, guard) = house();
        let host = guard.session().host().clone();
        let gone = asks.ask(&host, Ask::Doctor).unwrap();
        let number = gone.number;
        drop(gone);
        assert!(sent(&guard).contains(&Item::NoMore(number)));
        let mut slow = asks.ask(&host, Ask::Doctor).unwrap();
        for _ in 0..=PIECES {
            asks.answered(guard.session(), slow.number, data("x"), false);
        }
        assert!(sent(&guard).contains(&Item::NoMore(slow.number)));
        for _ in 0..PIECES {
            slow.next().await.unwrap().unwrap();
        }
        assert_eq!(slow.next().await, Err(Error::Slow(host)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_is_away_goes_or_says_nothing_is_told() {
        let (asks, guard) = house();
        let (host, other) = (guard.session().host().clone(), HostId::new("h2").unwrap());
        assert_eq!(asks.ask(&other, Ask::Doctor).map(drop), Err(Error::Away(other)));
        let mut silent = asks.ask(&host, Ask::Doctor).unwrap();
        assert_eq!(silent.next().await, Err(Error::Silent(host.clone())));
        let mut cut = asks.ask(&host, Ask::Doctor).unwrap();
        drop(guard);
        assert_eq!(cut.next().await, Err(Error::Gone(host)));
    }

    #[tokio::test]
    async fn no_more_is_asked_of_a_host_than_it_may_be() {
        let (asks, guard) = house();
        let host = guard.session().host().clone();
        let open: Vec<_> = (0..PER_HOST_MAX)
            .map(|_| asks.ask(&host, Ask::Doctor).unwrap())
            .collect();
        assert!(matches!(asks.ask(&host, Ask::Doctor), Err(Error::Busy(_))));
        drop(open);
        assert!(asks.ask(&host, Ask::Doctor).is_ok());
    }
}
