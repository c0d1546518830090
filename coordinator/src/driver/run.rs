//! The driver on its own thread: takes what waits, lets the body turn, hands on what follows. Here are the clock, the
//! snapshot's thread and the published view; no policy. In the real-stack simulation, where a thread would be a second
//! clock, the same loop is a task.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use echelon_engine::{Config, Event, State};
use echelon_failpoint as failpoint;
use echelon_proto::Time;
use tokio::sync::{mpsc, oneshot, watch};

use super::{Change, Driver, Inbox, Letter, Stopped, Story, Then, Unmet};
use crate::{ground::Ground, journal};

/// Events of one turn. One commit serves them all; more would let the first of them wait longer for little gain.
const TURN_EVENTS_MAX: usize = 1024;

/// While something is due the clock is looked at so often: a wall clock that is put forward, or a machine that slept,
/// makes it due earlier than was thought.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// All that is known, as of one turn.
#[derive(Debug, Clone)]
pub struct Published {
    /// A clone: shares its structure with the engine's.
    pub state: State,
    /// Last entry in it.
    pub sequence: u64,
    /// When that turn was.
    pub at: Time,
}

/// All reads go here, never to the engine.
#[derive(Debug, Clone)]
pub struct Reader {
    newest: watch::Receiver<Arc<Published>>,
    story: Arc<Story>,
    config: Config,
}

impl Reader {
    /// All that is known and durable.
    #[must_use]
    pub fn latest(&self) -> Arc<Published> {
        self.newest.borrow().clone()
    }

    /// As [`Reader::latest`], and [`Reader::changed`] counts from here.
    pub fn mark_latest(&mut self) -> Arc<Published> {
        self.newest.borrow_and_update().clone()
    }

    /// Returns after the next change since the last call of this or of [`Reader::mark_latest`]; `false` when the driver
    /// has ended.
    pub async fn changed(&mut self) -> bool {
        self.newest.changed().await.is_ok()
    }

    /// What happened in the rollouts that are kept.
    #[must_use]
    pub fn story(&self) -> &Story {
        &self.story
    }

    /// As the engine has it.
    #[must_use]
    pub fn config(&self) -> Config {
        self.config
    }
}

/// A driver on its thread.
#[derive(Debug)]
pub struct Running {
    /// Where all reads go.
    pub reader: Reader,
    /// Of this process.
    pub term: u64,
    /// How it ended: after [`Inbox::stop`], or because the journal failed.
    pub ended: oneshot::Receiver<Result<(), journal::Error>>,
}

/// Starts the driver. `runners` is called where the driver runs, after each commit, and must not block. To be called
/// within the runtime.
///
/// # Errors
/// No thread could be had.
pub fn start(
    ground: Ground,
    driver: Driver,
    config: Config,
    inbox: &Inbox,
    letters: mpsc::Receiver<Letter>,
    runners: impl FnMut(Vec<Change>) + Send + 'static,
) -> io::Result<Running> {
    let (publish, newest) = watch::channel(Arc::new(published(&driver)));
    let reader = Reader {
        newest,
        story: driver.story().clone(),
        config,
    };
    let term = driver.state().term;
    let (end, ended) = oneshot::channel();
    let clock = Clock::at(driver.now());
    let body = Loop {
        driver,
        letters,
        runners,
        publish,
        clock,
        inbox: inbox.clone(),
        ground,
    };
    let life = async move {
        // Nobody may be left to hear how it ended.
        let _heard = end.send(body.run().await);
    };
    ground.settle("driver", life)?;
    Ok(Running { reader, term, ended })
}

fn published(driver: &Driver) -> Published {
    Published {
        state: driver.state().clone(),
        sequence: driver.sequence(),
        at: driver.now(),
    }
}

struct Loop<R> {
    driver: Driver,
    letters: mpsc::Receiver<Letter>,
    runners: R,
    publish: watch::Sender<Arc<Published>>,
    clock: Clock,
    inbox: Inbox,
    ground: Ground,
}

impl<R: FnMut(Vec<Change>)> Loop<R> {
    async fn run(mut self) -> Result<(), journal::Error> {
        let mut letters = Vec::with_capacity(TURN_EVENTS_MAX);
        // The first turn is the one of the new term: what it owes goes out though nothing has happened yet.
        self.turn(Vec::new())?;
        loop {
            self.wait(&mut letters).await;
            let mut events = Vec::with_capacity(letters.len());
            let mut stop = false;
            for letter in letters.drain(..) {
                match letter {
                    Letter::Event(event, then) => events.push((*event, then)),
                    Letter::Snapshot(snapshot) => self.driver.save(snapshot)?,
                    Letter::Stop => stop = true,
                }
            }
            self.turn(events)?;
            if stop {
                return self.drain();
            }
            self.snapshot();
        }
    }

    /// Waits for letters, or until something is due by itself.
    async fn wait(&mut self, letters: &mut Vec<Letter>) {
        let due = self.driver.wake_at().map(|at| at.since(self.clock.now()).duration());
        let due = due.map(|due| due.min(LOOK_EVERY));
        let receive = self.letters.recv_many(letters, TURN_EVENTS_MAX);
        match due {
            // Elapsed: nothing came, and the turn is for what is due, if it is.
            Some(due) => drop(tokio::time::timeout(due, receive).await),
            None => drop(receive.await),
        }
    }

    /// The answers come after the view they are to be read in, and the runners before them: who hears of an order
    /// started can count on its being on its way.
    fn turn(&mut self, events: Vec<(Event, Then)>) -> Result<(), journal::Error> {
        let turn = match self.driver.turn(self.clock.now(), events) {
            Ok(turn) => turn,
            Err(stopped) => return Err(refuse_all(*stopped)),
        };
        if turn.wrote {
            self.publish.send_replace(Arc::new(published(&self.driver)));
        }
        let changes = self.driver.take_changes();
        if !changes.is_empty() {
            (self.runners)(changes);
            failpoint::pass("change", "handed on");
        }
        for (then, answer) in turn.answers {
            then(answer.map_err(Unmet::Refused));
            failpoint::pass("answer", "given");
        }
        Ok(())
    }

    /// Takes what waits, then ends. What comes later hears that the coordinator stops.
    fn drain(mut self) -> Result<(), journal::Error> {
        self.letters.close();
        let mut events = Vec::new();
        while let Ok(letter) = self.letters.try_recv() {
            if let Letter::Event(event, then) = letter {
                events.push((*event, then));
            }
        }
        self.turn(events)
    }

    /// Begins a snapshot when one is due. It is encoded beside the driver and comes back as a letter.
    fn snapshot(&mut self) {
        let Some(due) = self.driver.snapshot_due() else { return };
        let inbox = self.inbox.clone();
        let encoded = async move { inbox.return_snapshot(due.encode()).await };
        if let Err(error) = self.ground.settle("snapshot", encoded) {
            tracing::warn!(%error, "no thread for a snapshot; it is tried again");
            self.driver.snapshot_failed();
        }
    }
}

fn refuse_all(stopped: Stopped<Then>) -> journal::Error {
    for then in stopped.waiting {
        then(Err(Unmet::Broken));
    }
    stopped.error
}

/// The wall's time as long as that goes forward; when it is put back, the time goes on from where it was.
#[derive(Debug)]
struct Clock {
    base: Time,
    since: Instant,
}

impl Clock {
    fn at(base: Time) -> Self {
        Self {
            base,
            since: Instant::now(),
        }
    }

    fn now(&mut self) -> Time {
        let elapsed = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let steady = Time(self.base.0.saturating_add(elapsed));
        let wall = wall();
        if wall > steady {
            *self = Self::at(wall);
            return wall;
        }
        steady
    }
}

/// The wall's time.
#[must_use]
pub fn wall() -> Time {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_when_the_wall_s_is_put_back() {
        let ahead = wall() + echelon_proto::Span::secs(3600);
        let mut clock = Clock::at(ahead);
        clock.since -= Duration::from_secs(5);
        let now = clock.now();
        assert!(now >= ahead + echelon_proto::Span::secs(5));
        assert!(clock.now() >= now);
    }

    #[test]
    fn the_wall_s_time_counts_when_it_is_ahead() {
        let mut clock = Clock::at(Time(0));
        assert!(clock.now() >= Time(1_600_000_000_000));
    }
}
