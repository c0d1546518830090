//! A store in memory for the simulation and for tests: a [`Disk`] outlives the process that is simulated, loses its
//! unflushed tail when told to, and fails when told to. It is never durable.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Error, Store};

/// What survives a simulated crash. Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub struct Disk(Arc<Mutex<Platter>>);

#[derive(Debug, Default)]
struct Platter {
    entries: BTreeMap<u64, Vec<u8>>,
    /// Last sequence ever written, and the last that is flushed.
    last: u64,
    flushed: u64,
    trimmed: u64,
    snapshot: Option<(u64, Vec<u8>)>,
    term: u64,
    /// Writes that still succeed; none: all.
    writes_left: Option<u64>,
}

impl Disk {
    /// The power fails: what was appended and not committed is gone.
    pub fn lose_unflushed(&self) {
        let mut platter = self.lock();
        let flushed = platter.flushed;
        platter.entries.retain(|sequence, _| *sequence <= flushed);
        platter.last = flushed;
    }

    /// After this many more writes (appends, commits, snapshots, terms, trims) every one fails; none: no longer.
    pub fn fail_after(&self, writes: Option<u64>) {
        self.lock().writes_left = writes;
    }

    /// Last sequence that no loss of power takes away.
    #[must_use]
    pub fn flushed(&self) -> u64 {
        self.lock().flushed
    }

    fn lock(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Platter {
    fn write(&mut self) -> Result<(), Error> {
        match &mut self.writes_left {
            None => Ok(()),
            Some(0) => Err(Error::Database {
                doing: "write",
                text: "the simulated disk fails".into(),
            }),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }
}

/// One process's hold on a [`Disk`].
#[derive(Debug)]
pub struct MemoryStore {
    disk: Disk,
    term: Option<u64>,
    broken: Option<String>,
}

impl MemoryStore {
    /// Opens the disk. Unlike a real store it may be opened twice: that is how a deposed writer is simulated.
    #[must_use]
    pub fn on(disk: &Disk) -> Self {
        Self {
            disk: disk.clone(),
            term: None,
            broken: None,
        }
    }

    fn sound(&self) -> Result<MutexGuard<'_, Platter>, Error> {
        match &self.broken {
            Some(cause) => Err(Error::Broken { cause: cause.clone() }),
            None => Ok(self.disk.lock()),
        }
    }

    fn write<T>(&mut self, work: impl FnOnce(&mut Platter) -> T) -> Result<T, Error> {
        let mut platter = self.sound()?;
        match platter.write() {
            Ok(()) => Ok(work(&mut platter)),
            Err(error) => {
                drop(platter);
                self.broken = Some(error.to_string());
                Err(error)
            }
        }
    }

    fn in_term(&self) -> Result<(), Error> {
        let mine = self.term.ok_or(Error::NoTerm)?;
        let current = self.sound()?.term;
        if mine == current {
            Ok(())
        } else {
            Err(Error::Deposed { mine, current })
        }
    }
}

impl Store for MemoryStore {
    fn begin_term(&mut self) -> Result<u64, Error> {
        let term = self.write(|platter| {
            platter.term += 1;
            platter.term
        })?;
        self.term = Some(term);
        Ok(term)
    }

    fn append(&mut self, entries: &[Vec<u8>]) -> Result<(), Error> {
        self.in_term()?;
        self.write(|platter| {
            for entry in entries {
                platter.last += 1;
                platter.entries.insert(platter.last, entry.clone());
            }
        })
    }

    fn commit(&mut self) -> Result<(), Error> {
        let clean = {
            let platter = self.sound()?;
            platter.flushed == platter.last
        };
        if clean {
            return Ok(());
        }
        self.in_term()?;
        self.write(|platter| platter.flushed = platter.last)
    }

    fn first(&self) -> u64 {
        self.disk.lock().trimmed + 1
    }

    fn last(&self) -> u64 {
        self.disk.lock().last
    }

    fn read(&self, from: u64, each: &mut dyn FnMut(u64, &[u8]) -> ControlFlow<()>) -> Result<(), Error> {
        let platter = self.sound()?;
        let first = platter.trimmed + 1;
        if from < first {
            return Err(Error::Trimmed { asked: from, first });
        }
        for (sequence, entry) in platter.entries.range(from..) {
            if each(*sequence, entry).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn save_snapshot(&mut self, sequence: u64, bytes: &[u8]) -> Result<(), Error> {
        self.in_term()?;
        let last = self.sound()?.flushed;
        if sequence > last {
            return Err(Error::Ahead { asked: sequence, last });
        }
        self.write(|platter| platter.snapshot = Some((sequence, bytes.to_vec())))
    }

    fn load_snapshot(&self) -> Result<Option<(u64, Vec<u8>)>, Error> {
        Ok(self.sound()?.snapshot.clone())
    }

    fn trim(&mut self, up_to: u64) -> Result<(), Error> {
        self.in_term()?;
        self.write(|platter| {
            let covered = platter.snapshot.as_ref().map_or(0, |(sequence, _)| *sequence);
            platter.trimmed = platter.trimmed.max(up_to.min(covered));
            platter.entries = platter.entries.split_off(&(platter.trimmed + 1));
        })
    }

    fn bytes(&self) -> Result<u64, Error> {
        let platter = self.sound()?;
        let entries: usize = platter.entries.values().map(Vec::len).sum();
        let snapshot = platter.snapshot.as_ref().map_or(0, |(_, bytes)| bytes.len());
        Ok((entries + snapshot) as u64)
    }
}
