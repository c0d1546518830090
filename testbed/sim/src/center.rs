//! The coordinator's process around its real driver: what waits to be decided, which connection is a host's, and what each
//! host is owed, as `runner::dispatch` keeps it. Deliberately no policy and no time of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use echelon_coordinator::{
    driver::{Change, Driver, Retention},
    journal::{self, Disk, Journal, MemoryStore},
};
use echelon_engine::{
    Config, Event,
    effect::{Effect, Key},
};
use echelon_proto::{HostId, Time};

use crate::clock::Clock;

/// Entries between two snapshots: few, so that snapshots and trimming happen in every seed.
const SNAPSHOT_EVERY: u64 = 150;
/// And so many more for each host: a snapshot is as big as the fleet.
const SNAPSHOT_EACH: u64 = 3;
/// Entries beside it.
const HISTORY: u64 = 20;

/// Who waits for an event's answer.
#[derive(Debug, Clone)]
pub(crate) enum To {
    Nobody,
    /// An agent that attaches.
    Attach {
        link: u64,
        session: u64,
    },
    /// An agent whose report it is.
    Report {
        link: u64,
        sequence: u64,
    },
    /// A person.
    Person,
}

/// A process.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) driver: Driver,
    pub(crate) clock: Clock,
    pub(crate) inbox: Vec<(Event, To)>,
    /// Session and connection of each host that is here.
    pub(crate) live: BTreeMap<HostId, (u64, u64)>,
    owed: BTreeMap<HostId, BTreeMap<Key, Arc<Effect>>>,
    pub(crate) sessions: u64,
    /// What canary gates compare.
    pub(crate) compared: BTreeMap<Key, Arc<Effect>>,
    /// Of these, what nobody looks at yet.
    pub(crate) unlooked: Vec<Key>,
    /// Word to the outside that is owed.
    pub(crate) unsent: Vec<u64>,
    /// A turn is foreseen for then.
    pub(crate) turn_at: Option<Time>,
}

/// The coordinator, whether it runs or not.
#[derive(Debug)]
pub(crate) struct Center {
    pub(crate) disk: Disk,
    pub(crate) config: Config,
    retention: Retention,
    pub(crate) process: Option<Process>,
    /// By how much its wall clock is off.
    pub(crate) off: i64,
    /// Processes so far.
    pub(crate) generation: u64,
}

/// Something for a host.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    Owed(Arc<Effect>),
    Unwatch(String),
}

impl Center {
    pub(crate) fn new(config: Config, hosts: usize) -> Self {
        Self {
            retention: Retention {
                snapshot_every: SNAPSHOT_EVERY + SNAPSHOT_EACH * hosts as u64,
                history: HISTORY,
            },
            disk: Disk::default(),
            config,
            process: None,
            off: 0,
            generation: 0,
        }
    }

    /// Nothing of the journal is let go.
    pub(crate) fn keep_all(&mut self) {
        self.retention = Retention {
            snapshot_every: u64::MAX,
            history: u64::MAX,
        };
    }

    /// Opens the journal and begins a term.
    pub(crate) fn start(&mut self, now: Time, wall: Time) -> Result<(), journal::Error> {
        let journal = Journal::on(Box::new(MemoryStore::on(&self.disk)));
        let driver = Driver::open(journal, self.config, self.retention, wall)?;
        self.generation += 1;
        self.process = Some(Process {
            clock: Clock::at(driver.now(), now),
            driver,
            inbox: Vec::new(),
            live: BTreeMap::new(),
            owed: BTreeMap::new(),
            sessions: 0,
            compared: BTreeMap::new(),
            unlooked: Vec::new(),
            unsent: Vec::new(),
            turn_at: None,
        });
        Ok(())
    }
}

impl Process {
    /// What is owed differently, as what is to be sent to whom.
    pub(crate) fn changed(&mut self, changes: Vec<Change>) -> Vec<(HostId, Item)> {
        let mut items = Vec::new();
        for (key, effect) in changes {
            let host = match &key {
                Key::Order(host, _) | Key::Watch(host, _) | Key::Monitor(host, _) => host.clone(),
                Key::Canary(..) => {
                    match effect {
                        Some(effect) => {
                            self.compared.insert(key.clone(), effect);
                            self.unlooked.push(key);
                        }
                        None => drop(self.compared.remove(&key)),
                    }
                    continue;
                }
                Key::Notify(number) => {
                    self.unsent.extend(effect.is_some().then_some(*number));
                    continue;
                }
            };
            let owed = self.owed.entry(host.clone()).or_default();
            let before = match &effect {
                Some(effect) => owed.insert(key, effect.clone()),
                None => owed.remove(&key),
            };
            if before == effect {
                continue;
            }
            let gone = before.as_deref().and_then(watch_of);
            let kept = effect.as_deref().and_then(watch_of);
            if let Some(gone) = gone.filter(|gone| kept.as_ref() != Some(gone)) {
                items.push((host.clone(), Item::Unwatch(gone)));
            }
            items.extend(effect.map(|effect| (host, Item::Owed(effect))));
        }
        items
    }

    /// Sessions whose end is known and has yet to be decided on.
    pub(crate) fn leaving(&self) -> BTreeSet<(&HostId, u64)> {
        let ends = self.inbox.iter().filter_map(|(event, _)| match event {
            Event::HostDetached { host, session } => Some((host, *session)),
            _ => None,
        });
        ends.collect()
    }

    /// All that the host is owed: it has attached.
    pub(crate) fn all_owed(&self, host: &HostId) -> Vec<Item> {
        let owed = self.owed.get(host).into_iter().flat_map(BTreeMap::values);
        owed.map(|effect| Item::Owed(effect.clone())).collect()
    }
}

fn watch_of(effect: &Effect) -> Option<String> {
    match effect {
        Effect::Watch(watch) => Some(watch.id.clone()),
        Effect::Order(_) | Effect::Notify(_) | Effect::Canary(_) => None,
    }
}
