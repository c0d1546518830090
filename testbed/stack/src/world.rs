//! What all of one seed share: its chance, its disks, the record of what really began on hosts, and the watch that holds it
//! against the journal. Turmoil runs every host in one thread, so whoever has the lock has the world. Deliberately no
//! sockets and no waiting.

use std::{
    collections::BTreeMap,
    fmt,
    ops::ControlFlow,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use echelon_coordinator::{
    driver::Reader,
    journal::{Disk, MemoryStore, Store as _},
};
use echelon_proto::Time;
use echelon_sim::{Chance, Held, Story, Violation, Watch, must};

use crate::{
    fault::{Fault, Faults},
    host::Host,
    promise::Promises,
};

/// Looks at new entries between two whole comparisons of what is published with what the journal gives.
const COMPARE_EVERY: u64 = 20;

/// How far a seed is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Hosts get their certificates, one after the other.
    Joining,
    /// People wish, and things go wrong.
    Troubled,
    /// Nothing goes wrong any more, and people answer what they are asked.
    Healed,
}

/// All of it.
pub(crate) struct World {
    pub(crate) stage: Stage,
    pub(crate) chance: Chance,
    pub(crate) faults: Faults,
    pub(crate) counts: BTreeMap<Fault, u64>,
    pub(crate) hosts: Vec<Host>,
    /// The journal's.
    pub(crate) disk: Disk,
    /// The coordinator's data folder, for what is no journal.
    pub(crate) data: PathBuf,
    /// What the running coordinator publishes.
    pub(crate) reader: Option<Reader>,
    /// Its process has ended by itself.
    pub(crate) coordinator_ended: bool,
    pub(crate) watch: Watch,
    pub(crate) promises: Promises,
    pub(crate) story: Story,
    /// The first one.
    pub(crate) violation: Option<Violation>,
    looks: u64,
}

/// The world, and whoever has a clone of this can look at it.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Mutex<World>>);

impl Shared {
    pub(crate) fn new(world: World) -> Self {
        Self(Arc::new(Mutex::new(world)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Since the world began, as every host's clock says.
pub(crate) fn now() -> Time {
    let elapsed = turmoil::sim_elapsed().unwrap_or_default();
    Time(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}

impl World {
    pub(crate) fn new(seed: u64, hosts: usize, data: PathBuf, told: bool) -> Self {
        let mut chance = Chance::new(seed);
        let hosts = (0..hosts).map(|at| Host::draw(at, seed, &mut chance)).collect();
        Self {
            stage: Stage::Joining,
            faults: Faults::draw(&mut chance),
            chance,
            counts: BTreeMap::new(),
            hosts,
            disk: Disk::default(),
            data,
            reader: None,
            coordinator_ended: false,
            watch: Watch::default(),
            promises: Promises::default(),
            story: Story::new(told),
            violation: None,
            looks: 0,
        }
    }

    /// Whether this kind of trouble strikes where it could.
    pub(crate) fn strikes(&mut self, fault: Fault) -> bool {
        self.faults.strikes(fault, &mut self.chance)
    }

    /// A trouble struck.
    pub(crate) fn struck(&mut self, at: Time, fault: Fault, whom: impl fmt::Display) {
        *self.counts.entry(fault).or_default() += 1;
        self.happens(at, || format!("fault {fault} {whom}"));
    }

    /// Something happened: it counts, is part of the hash, and is told.
    pub(crate) fn happens(&mut self, at: Time, line: impl Fn() -> String) {
        self.story.event(at);
        self.story.mark(line());
        self.story.tell(at, line);
    }

    /// It must hold; the first thing that does not ends the seed.
    pub(crate) fn hold(&mut self, at: Time, held: Held) {
        if let Err(violation) = held
            && self.violation.is_none()
        {
            self.story.tell(at, || format!("VIOLATION {violation}"));
            self.violation = Some(violation);
        }
    }

    /// Takes what the journal has got since and is durable, and asks of each record whether it may be.
    pub(crate) fn follow(&mut self, at: Time) {
        let (flushed, before) = (self.disk.flushed(), self.watch.taken());
        let store = MemoryStore::on(&self.disk);
        if flushed <= before {
            return;
        }
        let mut entries = 0;
        let story = &mut self.story;
        let read = store.read(before + 1, &mut |sequence, bytes| {
            if sequence > flushed {
                return ControlFlow::Break(());
            }
            entries += 1;
            story.event(at);
            story.mark((sequence, bytes));
            ControlFlow::Continue(())
        });
        let held = must(read.is_ok() && entries == flushed - before, "12 acknowledged", || {
            format!("the journal from {before} to {flushed} gives {entries} entries: {read:?}")
        });
        let held = held.and_then(|()| self.watch.follow_to(flushed, &self.disk, None, &mut self.story));
        self.hold(at, held);
        self.looks += 1;
        if self.looks.is_multiple_of(COMPARE_EVERY) {
            self.compare(at);
        }
    }

    /// What the coordinator publishes is what its journal gives, and holds everything that somebody was promised.
    pub(crate) fn compare(&mut self, at: Time) {
        let Some(published) = self.reader.as_ref().map(Reader::latest) else {
            return;
        };
        if published.sequence == self.watch.taken() {
            let held = must(published.state == *self.watch.state(), "4 replay", || {
                format!(
                    "at entry {} what the journal gives differs from what is published",
                    published.sequence
                )
            });
            self.hold(at, held);
        }
        let held = self.promises.kept(&published.state);
        self.hold(at, held);
    }
}
