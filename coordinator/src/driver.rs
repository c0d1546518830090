//! The body of the loop around the engine, synchronous and without threads, clock or sockets: one turn takes events,
//! lets the engine decide, makes durable what was decided, and only then gives the answers. The process drives it from
//! [`run`], the simulation by hand.
//!
//! What it is not: it starts no effect (the runners do, from [`Driver::take_changes`]) and it judges nothing.
//!
//! The rules it keeps: a refusal writes nothing; one commit a turn; nothing is answered, published or owed to the world
//! before that commit; after a journal error nothing is decided any more.

mod inbox;
mod run;
mod story;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use echelon_engine::{
    Config, Engine, Entry, Event, Record, Refusal, Reply, State,
    effect::{Effect, Key},
};
use echelon_proto::{
    Time,
    planted::{self, Plant},
};
use serde_json::value::RawValue;

use crate::journal::{self, Journal};

pub use inbox::{Answer, Inbox, Letter, Then, Unmet};
pub use run::{Published, Reader, Running, start, wall};
pub use story::{Line, Page, Story};

/// What is owed now, or (`None`) no longer.
pub type Change = (Key, Option<Arc<Effect>>);

/// How the driver keeps its journal small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// A snapshot each so many entries.
    pub snapshot_every: u64,
    /// Entries that stay readable as history though a snapshot covers them.
    pub history: u64,
}

/// One turn's answers, in the order of its events. They may be sent: what they tell of is durable.
#[derive(Debug)]
pub struct Turn<T> {
    /// To whom, and what.
    pub answers: Vec<(T, Result<Reply, Refusal>)>,
    /// Whether anything was written.
    pub wrote: bool,
}

/// The journal failed in a turn. None of the turn's events may be called done.
#[derive(Debug)]
pub struct Stopped<T> {
    /// Why.
    pub error: journal::Error,
    /// Everybody who waits for an answer.
    pub waiting: Vec<T>,
}

/// A state on its way into a snapshot.
#[derive(Debug, Clone)]
pub struct Due {
    /// The last entry it contains.
    pub sequence: u64,
    /// The state after it.
    pub state: State,
}

/// A snapshot as text.
#[derive(Debug)]
pub struct Snapshot {
    /// The last entry it contains.
    pub sequence: u64,
    /// The state, or why it could not be written as JSON.
    pub json: Result<Box<RawValue>, serde_json::Error>,
}

impl Due {
    /// Writes it as JSON: the slow part, to be done away from the driver.
    #[must_use]
    pub fn encode(mut self) -> Snapshot {
        if planted::is(Plant::SnapshotForgetsRequests) {
            self.state.requests = Default::default();
        }
        Snapshot {
            sequence: self.sequence + u64::from(planted::is(Plant::SnapshotAhead)),
            json: serde_json::value::to_raw_value(&self.state),
        }
    }
}

/// Engine and journal.
#[derive(Debug)]
pub struct Driver {
    engine: Engine,
    journal: Journal<Entry>,
    retention: Retention,
    story: Arc<Story>,
    /// Of the newest turn. Time does not go back.
    now: Time,
    /// Last committed entry.
    sequence: u64,
    /// Last entry that a snapshot contains.
    snapshot: u64,
    /// One is being written.
    snapshot_begun: bool,
}

impl Driver {
    /// Replays the journal and begins a new term, durably.
    ///
    /// # Errors
    /// The journal's.
    pub fn open(
        mut journal: Journal<Entry>,
        config: Config,
        retention: Retention,
        wall: Time,
    ) -> Result<Self, journal::Error> {
        let story = Arc::new(Story::default());
        let restored = restore(&journal, config, &story)?;
        let term = journal.begin_term()? - u64::from(planted::is(Plant::TermNotRaised) && restored.sequence > 0);
        let mut driver = Self {
            engine: restored.engine,
            journal,
            retention,
            story,
            now: restored.now,
            sequence: restored.sequence,
            snapshot: restored.snapshot,
            snapshot_begun: false,
        };
        let began = driver
            .turn(wall, [(Event::TermBegan { term }, ())])
            .map_err(|stopped| stopped.error)?;
        for (_, answer) in began.answers {
            if let Err(refusal) = answer {
                tracing::error!(%refusal, term, "the engine refused the new term");
            }
        }
        Ok(driver)
    }

    /// One turn: events in order, then everything that follows by itself. `now` before the last turn's counts as the
    /// last turn's.
    ///
    /// # Errors
    /// [`Stopped`] when the journal failed; every later turn fails too, for the journal stays broken.
    pub fn turn<T>(
        &mut self,
        now: Time,
        events: impl IntoIterator<Item = (Event, T)>,
    ) -> Result<Turn<T>, Box<Stopped<T>>> {
        self.now = self.now.max(now);
        let mut events = events.into_iter();
        let mut answers = Vec::new();
        let mut told = Vec::new();
        let written = self
            .decide(&mut events, &mut answers, &mut told)
            .and_then(|()| self.finish(&mut told));
        match written {
            Ok(wrote) => {
                self.story.tell(told, &self.engine.state().rollouts);
                Ok(Turn { answers, wrote })
            }
            Err(_) if planted::is(Plant::AnswerAfterFailedWrite) => Ok(Turn { answers, wrote: true }),
            Err(error) => {
                let asked = answers.into_iter().map(|(to, _)| to);
                Err(Box::new(Stopped {
                    error,
                    waiting: asked.chain(events.map(|(_, to)| to)).collect(),
                }))
            }
        }
    }

    /// Events in order, until the journal fails.
    fn decide<T>(
        &mut self,
        events: &mut impl Iterator<Item = (Event, T)>,
        answers: &mut Vec<(T, Result<Reply, Refusal>)>,
        told: &mut Vec<Line>,
    ) -> Result<(), journal::Error> {
        for (event, to) in events {
            match self.engine.step(self.now, &event) {
                Ok(decision) => {
                    answers.push((to, Ok(decision.reply)));
                    self.write(decision.records, told)?;
                }
                Err(refusal) => answers.push((to, Err(refusal))),
            }
        }
        Ok(())
    }

    /// What follows by itself, then the turn's one commit.
    fn finish(&mut self, told: &mut Vec<Line>) -> Result<bool, journal::Error> {
        let records = self.engine.advance(self.now);
        self.write(records, told)?;
        let before = self.sequence;
        self.sequence = self.journal.commit()?;
        Ok(self.sequence > before)
    }

    fn write(&mut self, records: Vec<Record>, told: &mut Vec<Line>) -> Result<(), journal::Error> {
        if records.is_empty() {
            return Ok(());
        }
        let entry = Entry { at: self.now, records };
        let sequence = self.journal.append(&entry)?;
        told.extend(story::lines(self.engine.state(), sequence, &entry));
        Ok(())
    }

    /// What is owed to the world differently since this was last asked. To be handed to the runners after each turn.
    pub fn take_changes(&mut self) -> Vec<Change> {
        self.engine.take_changes()
    }

    /// When a turn is due though nothing happens.
    #[must_use]
    pub fn wake_at(&self) -> Option<Time> {
        self.engine.wake_at()
    }

    /// The newest turn's time.
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// Last committed entry.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// All that is known.
    #[must_use]
    pub fn state(&self) -> &State {
        self.engine.state()
    }

    /// The engine, to be looked at.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What happened in the rollouts that are kept.
    #[must_use]
    pub fn story(&self) -> &Arc<Story> {
        &self.story
    }

    /// A snapshot is due: encode it elsewhere, then hand it to [`Driver::save`]. `None` while one is on its way.
    pub fn snapshot_due(&mut self) -> Option<Due> {
        if self.snapshot_begun || self.sequence - self.snapshot < self.retention.snapshot_every {
            return None;
        }
        self.snapshot_begun = true;
        Some(Due {
            sequence: self.sequence,
            state: self.engine.state().clone(),
        })
    }

    /// The one on its way will not come: the next turn begins another.
    pub fn snapshot_failed(&mut self) {
        self.snapshot_begun = false;
    }

    /// Makes a snapshot durable and lets go of the entries that are not worth keeping beside it.
    ///
    /// # Errors
    /// The journal's, which is broken then.
    pub fn save(&mut self, snapshot: Snapshot) -> Result<(), journal::Error> {
        let json = snapshot.json.map_err(journal::Error::Encode)?;
        self.journal.save_snapshot(snapshot.sequence, &json)?;
        self.snapshot = snapshot.sequence;
        self.snapshot_begun = false;
        self.journal.trim(self.retention.history)
    }
}

/// What a journal holds, replayed.
#[derive(Debug)]
pub struct Restored {
    /// With everything applied.
    pub engine: Engine,
    /// Of the last entry, or of nothing.
    pub now: Time,
    /// Last entry; 0 when there is none.
    pub sequence: u64,
    /// Last entry that the snapshot contains; 0 when there is none.
    pub snapshot: u64,
}

/// Replays a journal: the snapshot, then what came after. Nothing is written. Entries that the snapshot contains already
/// are only told, as far as they are kept.
///
/// # Errors
/// The journal's.
pub fn restore(journal: &Journal<Entry>, config: Config, story: &Story) -> Result<Restored, journal::Error> {
    let (snapshot, state) = journal.load_snapshot::<State>()?.unwrap_or_default();
    let mut engine = Engine::new(config, state);
    let (first, last) = journal.span();
    let mut now = Time::default();
    journal.replay(first.min(snapshot + 1), |sequence, entry: Entry| {
        if !planted::is(Plant::TimeGoesBack) {
            now = now.max(entry.at);
        }
        let kept = sequence < last || last == 1 || !planted::is(Plant::TailForgotten);
        if sequence > snapshot && kept {
            for record in &entry.records {
                engine.apply(entry.at, record);
            }
        }
        story.tell(
            story::lines(engine.state(), sequence, &entry).collect(),
            &engine.state().rollouts,
        );
    })?;
    Ok(Restored {
        engine,
        now,
        sequence: last.max(snapshot),
        snapshot,
    })
}
