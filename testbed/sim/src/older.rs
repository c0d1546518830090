//! A ring as an older version left it: the coordinator's journal and the ledgers of its hosts, in the middle of rollouts. One
//! seed in so many begins there, as after an upgrade of everything at once, with every host rebooted.
//!
//! `older/` holds them, named by the commit that wrote them; `cargo run -p echelon-sim --example leave` leaves another.
//! Deliberately whole journals without a snapshot: what looks on must have seen every record.

use std::collections::BTreeMap;

use echelon_agent::ledger::{Attempt, Ledger, Progress};
use echelon_coordinator::journal::{Disk, Journal, MemoryStore, Store as _};
use echelon_proto::{HostId, Time};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::host::{self, Host, Program, key};

/// Of so many seeds one begins in a ring that was left.
const EVERY: u64 = 20;
const LEFT: [&str; 2] = [
    include_str!("../older/3592c54-a.json"),
    include_str!("../older/3592c54-b.json"),
];

/// What lies on the disks.
#[derive(Debug, Serialize, Deserialize)]
pub struct Older {
    /// When it was left.
    pub(crate) at: Time,
    /// The journal's, from the first.
    entries: Vec<Value>,
    /// By host.
    pub(crate) ledgers: BTreeMap<HostId, Ledger>,
}

impl Older {
    /// Hosts of each of them, the first of any fleet.
    pub(crate) const HOSTS: usize = 8;

    /// In which the seed begins, if it is one of those.
    pub(crate) fn of(seed: u64, hosts: usize) -> Option<Self> {
        if !seed.is_multiple_of(EVERY) || hosts < Self::HOSTS {
            return None;
        }
        let turn = usize::try_from(seed / EVERY).unwrap_or(0);
        let left = LEFT[turn % LEFT.len()];
        Some(serde_json::from_str(left).expect("a ring that was left can be read by every later version"))
    }

    /// What these disks hold.
    pub(crate) fn on(at: Time, disk: &Disk, hosts: &[Host]) -> Self {
        let journal: Journal<Value> = Journal::on(Box::new(MemoryStore::on(disk)));
        let mut entries = Vec::new();
        journal
            .replay(1, |_, entry| entries.push(entry))
            .expect("a journal of which nothing was trimmed");
        let joined = hosts.iter().filter(|host| host.joined);
        Self {
            at,
            entries,
            ledgers: joined.map(|host| (host.id.clone(), host.ledger.clone())).collect(),
        }
    }

    /// The number of the last entry.
    pub(crate) fn last(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Puts the journal on this disk.
    pub(crate) fn write(&self, disk: &Disk) {
        let mut store = MemoryStore::on(disk);
        let records = self.entries.iter().filter_map(|entry| entry.get("records")?.as_array());
        let terms = records.flatten().filter(|record| record.get("term_began").is_some());
        let whole = "a disk that is new takes everything";
        for _ in terms {
            store.begin_term().expect(whole);
        }
        let entries: Vec<_> = self
            .entries
            .iter()
            .map(|entry| entry.to_string().into_bytes())
            .collect();
        store.append(&entries).and_then(|()| store.commit()).expect(whole);
    }

    /// Gives the hosts that were there their ledgers. What ran on them is gone.
    pub(crate) fn furnish(&self, hosts: &mut [Host]) {
        for host in hosts {
            let Some(ledger) = self.ledgers.get(&host.id) else {
                continue;
            };
            host.joined = true;
            host.ledger = ledger.clone();
            let running = ledger.attempts.iter().filter_map(running);
            host.programs = running.collect();
        }
    }
}

fn running(attempt: &Attempt) -> Option<(host::Key, Program)> {
    let Progress::Running(order) = &attempt.progress else {
        return None;
    };
    let program = Program {
        order: (**order).clone().into(),
        progress: host::Progress::Lost,
        watched: false,
    };
    Some((key(&attempt.fence), program))
}

#[cfg(test)]
mod tests {
    use echelon_engine::{Config, Engine, Entry, State};

    use super::*;

    fn state(older: &Older) -> State {
        let mut engine = Engine::new(Config::default(), State::default());
        for entry in &older.entries {
            let entry: Entry = serde_json::from_value(entry.clone()).unwrap();
            entry.records.iter().for_each(|record| engine.apply(entry.at, record));
        }
        engine.state().clone()
    }

    #[test]
    fn what_was_left_was_left_in_the_middle_of_rollouts() {
        for turn in 0..LEFT.len() as u64 {
            let older = Older::of(turn * EVERY, Older::HOSTS).unwrap();
            assert!(
                older
                    .ledgers
                    .values()
                    .flat_map(|ledger| &ledger.attempts)
                    .filter_map(running)
                    .count()
                    > 0,
                "nothing ran on its hosts"
            );
            let state = state(&older);
            assert!(state.hosts.values().filter(|host| host.busy.is_some()).count() > 1);
            assert!(!state.active.is_empty());
        }
    }

    #[test]
    fn a_ring_that_is_left_lies_on_other_disks_as_it_did() {
        let (left, _) = crate::leave(3, 300);
        let disk = Disk::default();
        left.write(&disk);
        let again = Older::on(left.at, &disk, &[]);
        assert!(!again.entries.is_empty());
        assert_eq!(again.entries, left.entries);
        assert_eq!(disk.flushed(), left.last());
    }
}
