//! What must always hold, said from the outside and a second time: a mirror of the engine takes every record from the
//! journal's own bytes, and is asked before and after each; what hosts begin, and what people are told, is held against it.
//! The names are those of the house's thirteen. Deliberately not the engine's own arithmetic: capacity, gates and what was
//! touched are counted and remembered here.

mod capacity;
mod gates;
mod memory;
mod rules;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

use echelon_agent::{
    ledger::{Attempt, Ledger, Progress},
    order::PhaseResult,
};
use echelon_coordinator::{
    driver::Driver,
    journal::{Disk, Journal, MemoryStore},
};
use echelon_engine::{Config, Engine, Entry, Record, State};
use echelon_proto::{Fence, HostId, Time};

use crate::{
    center::Process,
    older::Older,
    reach,
    story::{Held, Story, must},
};

/// Fleets up to this size are small: what costs a look at all hosts is asked of each record.
const SMALL_FLEET: usize = 200;
/// Beyond it, of one in so many.
const SAMPLE: u64 = 16;

/// The state of every playbook here in which nothing is installed.
const ABSENT: &str = "absent";

/// Turns between two whole comparisons, and one more for each two hosts.
const COMPARE_EVERY: u64 = 10;

/// What looks on.
#[derive(Debug)]
pub struct Watch {
    mirror: Engine,
    /// Last entry in the mirror.
    taken: u64,
    /// The newest entry that somebody was told of.
    told: u64,
    /// When the newest entry was written, by the coordinator's clock.
    at: Time,
    memory: memory::Memory,
    turns: u64,
    records: u64,
    /// Entries up to this one were written before it looked.
    unseen: u64,
}

impl Default for Watch {
    /// Nothing is known.
    fn default() -> Self {
        Self {
            mirror: Engine::new(Config::default(), State::default()),
            taken: 0,
            told: 0,
            at: Time::default(),
            memory: memory::Memory::default(),
            turns: 0,
            records: 0,
            unseen: 0,
        }
    }
}

impl Watch {
    /// The ring has a past: what ended there, and how, must be believed.
    pub(crate) fn comes_late(&mut self, older: &Older) {
        self.unseen = older.last();
        let attempts = older.ledgers.values().flat_map(|ledger| &ledger.attempts);
        for attempt in attempts {
            match &attempt.progress {
                Progress::Running(_) => self.memory.begins(&attempt.fence),
                Progress::Ended(report) | Progress::Acknowledged(report) => {
                    self.memory.ends(&attempt.fence, report.outcome.result);
                }
            }
        }
    }

    /// Last entry that was taken.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// All that is durable.
    #[must_use]
    pub fn state(&self) -> &State {
        self.mirror.state()
    }

    /// Takes what the journal has got since, and asks of each record whether it may be. Of the state that these records
    /// are about, what is live must be what they give.
    ///
    /// # Errors
    /// What does not hold.
    pub fn follow(&mut self, disk: &Disk, live: Option<&State>, story: &mut Story) -> Held {
        self.follow_to(u64::MAX, disk, live, story)
    }

    /// The same, but nothing after this entry: what is written and not synced may be gone after a crash.
    ///
    /// # Errors
    /// What does not hold.
    pub fn follow_to(&mut self, last: u64, disk: &Disk, live: Option<&State>, story: &mut Story) -> Held {
        let journal: Journal<Entry> = Journal::on(Box::new(MemoryStore::on(disk)));
        let mut entries = Vec::new();
        let read = journal.read(self.taken + 1, |sequence, entry| {
            if sequence > last {
                return ControlFlow::Break(());
            }
            entries.push((sequence, entry));
            ControlFlow::Continue(())
        });
        must(read.is_ok(), "12 acknowledged", || {
            format!("the journal cannot be read: {read:?}")
        })?;
        for (sequence, entry) in &entries {
            must(entry.at >= self.at, "4 replay", || {
                format!("entry {sequence} is of {}, the one before of {}", entry.at, self.at)
            })?;
            self.at = entry.at;
            self.memory.failed_now.clear();
            for record in &entry.records {
                self.record(entry.at, record, story)?;
            }
            self.taken = *sequence;
        }
        let Some(live) = live else { return Ok(()) };
        let records = entries.iter().flat_map(|(_, entry)| &entry.records);
        records.into_iter().try_for_each(|record| self.same(live, record))
    }

    fn record(&mut self, at: Time, record: &Record, story: &mut Story) -> Held {
        let is_past = self.taken < self.unseen;
        if is_past {
            self.memory.hears(record);
        }
        let state = self.mirror.state();
        rules::before(state, &self.memory, at, record)?;
        gates::before(state, at, record)?;
        self.records += 1;
        if state.hosts.size() <= SMALL_FLEET || self.records.is_multiple_of(SAMPLE) {
            rules::host_begins(state, &self.memory, record)?;
        }
        let out = capacity::leaving(state, record);
        self.mirror.apply(at, record);
        self.memory.takes(record);
        if let Some((rollout, host)) = out {
            capacity::left(self.mirror.state(), rollout, host)?;
        }
        rules::after(self.mirror.state(), &self.memory, record)?;
        if !is_past {
            let reached = reach::of(record);
            story.mark((at, &reached));
            story.reached.extend(reached);
        }
        if story.is_told() {
            let line = serde_json::to_string(record).unwrap_or_default();
            let line: String = line.chars().take(400).collect();
            story.tell(at, || format!("record {line}"));
        }
        Ok(())
    }

    /// What the record is about is the same live as in the mirror.
    fn same(&self, live: &State, record: &Record) -> Held {
        let (host, rollout) = about(record);
        let ours = self.mirror.state();
        let same_host = host.is_none_or(|host| ours.hosts.get(host) == live.hosts.get(host));
        let same_rollout = rollout.is_none_or(|id| match (ours.rollouts.get(id), live.rollouts.get(id)) {
            (Some(ours), Some(live)) => {
                let same_run = host.is_none_or(|host| ours.runs.get(host) == live.runs.get(host));
                same_run
                    && (ours.etag, ours.status, &ours.hold, &ours.lanes)
                        == (live.etag, live.status, &live.hold, &live.lanes)
            }
            (ours, live) => ours.is_none() == live.is_none(),
        });
        must(same_host && same_rollout, "4 replay", || {
            format!("{record:?}: what the journal gives differs from the live state")
        })
    }

    /// After a turn: what is live is what the journal gives. The whole of it after so many turns that its cost is shared
    /// by as many as there are hosts.
    pub(crate) fn compare(&mut self, process: &Process, now: Time) -> Held {
        self.turns += 1;
        let driver = &process.driver;
        must(self.taken == driver.sequence(), "4 replay", || {
            format!(
                "the journal ends at {}, the driver at {}",
                self.taken,
                driver.sequence()
            )
        })?;
        let every = self.compare_every();
        if self.turns.is_multiple_of(every) {
            self.compare_all(driver)?;
            sessions(process)?;
            let due = driver.engine().due(now);
            must(due.is_empty(), "13 liveness", || {
                format!("after a turn this is due, and nothing will do it: {due:?}")
            })?;
        }
        Ok(())
    }

    fn compare_every(&self) -> u64 {
        self.mirror.state().hosts.size() as u64 / 2 + COMPARE_EVERY
    }

    /// Whether the next whole comparison is close: what is as dear goes with it.
    pub(crate) fn is_due(&self) -> bool {
        let every = self.compare_every();
        (self.turns + 1).is_multiple_of(every)
    }

    /// The same, whole: for after a crash, too.
    pub(crate) fn compare_all(&self, driver: &Driver) -> Held {
        must(self.mirror.state() == driver.state(), "4 replay", || {
            "what the journal gives differs from the live state".to_owned()
        })?;
        must(driver.engine().is_consistent(), "5 owed", || {
            let (kept, given) = (driver.engine().owed(), driver.engine().owed_from_scratch());
            let keys = kept.keys().chain(given.keys());
            let differ: BTreeSet<_> = keys.filter(|key| kept.get(*key) != given.get(*key)).collect();
            format!("what is owed, or the muster, differs from what the state gives: {differ:?}")
        })
    }

    /// Just before a turn, when time has passed: what is due without a wake would not have been done.
    pub(crate) fn sleeps(&self, driver: &Driver, now: Time) -> Held {
        if driver.wake_at().is_some_and(|at| at <= now) {
            return Ok(());
        }
        let due = driver.engine().due(now);
        must(due.is_empty(), "13 liveness", || {
            format!("due at {now}, with a wake at {:?}: {due:?}", driver.wake_at())
        })
    }

    /// Somebody is told that this entry is done.
    pub(crate) fn tell(&mut self, sequence: u64, disk: &Disk) -> Held {
        self.told = self.told.max(sequence);
        must(disk.flushed() >= sequence, "3 durable first", || {
            format!("entry {sequence} is told of and durable is only {}", disk.flushed())
        })
    }

    /// The coordinator is back and knows this much.
    pub(crate) fn back(&self, sequence: u64) -> Held {
        must(sequence >= self.told, "12 acknowledged", || {
            format!(
                "entry {} was told of; after the crash the last is {sequence}",
                self.told
            )
        })
    }

    /// At the end, when every rollout is over: nothing runs by the host's ledger, and it stands where it is believed to.
    ///
    /// # Errors
    /// What does not hold.
    pub fn agrees(&self, host: &HostId, ledger: &Ledger) -> Held {
        let is_running = |attempt: &&Attempt| matches!(attempt.progress, Progress::Running(_));
        let runs = ledger.attempts.iter().find(is_running);
        must(runs.is_none(), "13 liveness", || {
            let runs = runs.map(|attempt| &attempt.fence);
            format!("{host} runs {runs:?} by its ledger, and every rollout is over")
        })?;
        let known = self.state().hosts.get(host);
        for standing in ledger.apps.values() {
            let believed = known.and_then(|known| known.standings.get(&standing.app));
            let same = match believed {
                Some(believed) => {
                    Some(&believed.state) == standing.state.as_ref() && believed.release == standing.release
                }
                // All that a rollout left of an installation that failed, and the rollout is forgotten.
                None => standing.state.as_ref().is_some_and(|state| state.as_str() == ABSENT),
            };
            must(same || standing.state.is_none(), "7 once", || {
                format!("{host} says of itself {standing:?}, the coordinator believes {believed:?}")
            })?;
        }
        Ok(())
    }

    /// The host obeys this term, and its disk says which. That an agent forgets a term shows only if it dies at once and a
    /// coordinator that is over has an order left for it, so the disk is looked at.
    pub fn obeys(&mut self, host: &HostId, term: u64, on_disk: u64) -> Held {
        let known = self.memory.terms.entry(host.clone()).or_default();
        *known = term.max(*known);
        must(on_disk >= *known, "3 durable first", || {
            format!("{host} obeys term {known}, and its ledger says {on_disk}")
        })
    }

    /// Whether the host would have to refuse this one: of a term that is over, or begun before.
    pub(crate) fn is_stale(&self, fence: &Fence) -> bool {
        let newest = self
            .memory
            .of(&fence.rollout)
            .and_then(|seen| seen.begun.get(&fence.host));
        newest.is_some_and(|newest| fence.attempt <= *newest)
            || self
                .memory
                .terms
                .get(&fence.host)
                .is_some_and(|term| fence.term < *term)
    }

    /// A host begins to run a program. `alone`: no other of the app's runs there.
    ///
    /// # Errors
    /// What does not hold.
    pub fn begins(&mut self, fence: &Fence, alone: bool) -> Held {
        must(alone, "7 once", || {
            format!("{fence} begins beside another phase of its app")
        })?;
        let term = self.memory.terms.get(&fence.host).copied().unwrap_or_default();
        must(fence.term >= term, "6 attempt", || {
            format!("{fence} begins though its host obeys term {term}")
        })?;
        if let Some(seen) = self.memory.of(&fence.rollout) {
            must(!seen.is_done(&fence.host, fence.attempt), "7 once", || {
                format!("{fence} begins again, after it was reported done")
            })?;
            let newest = seen.begun.get(&fence.host).copied().unwrap_or_default();
            must(fence.attempt > newest, "7 once", || {
                format!("{fence} begins, and attempt {newest} was begun before")
            })?;
        }
        self.memory.begins(fence);
        let Some(rollout) = self.mirror.state().rollouts.get(&fence.rollout) else {
            // It ended and was forgotten while the order was on its way.
            return Ok(());
        };
        let run = rollout.runs.get(&fence.host);
        must(
            run.is_some_and(|run| run.attempts >= fence.attempt),
            "3 durable first",
            || format!("{fence} begins and is in no journal"),
        )
    }

    /// A program ended.
    pub fn ended(&mut self, fence: &Fence, result: PhaseResult) {
        self.memory.ends(fence, result);
    }
}

/// A host that is taken for attached holds the session that it is taken to hold.
fn sessions(process: &Process) -> Held {
    let leaving = process.leaving();
    let live: BTreeMap<_, _> = process
        .live
        .iter()
        .map(|(host, (session, _))| (host, *session))
        .collect();
    for (id, host) in process.driver.state().hosts.iter() {
        let Some(session) = host.session else { continue };
        must(
            live.get(id) == Some(&session) || leaving.contains(&(id, session)),
            "12 acknowledged",
            || format!("{id} is taken for attached by session {session}, which is not there"),
        )?;
    }
    Ok(())
}

/// The host and the rollout that a record names.
fn about(record: &Record) -> (Option<&HostId>, Option<&echelon_proto::RolloutId>) {
    let host = match record {
        Record::PhaseStarted { host, .. }
        | Record::PhaseEnded { host, .. }
        | Record::StepDropped { host, .. }
        | Record::HostSettled { host, .. }
        | Record::HostReopened { host, .. }
        | Record::HealthChanged { host, .. }
        | Record::HostJoined { host, .. }
        | Record::HostAttached { host, .. }
        | Record::HostDetached { host }
        | Record::HostLabelled { host, .. }
        | Record::MonitorChanged { host, .. } => Some(host),
        _ => None,
    };
    (host, record.rollout())
}
