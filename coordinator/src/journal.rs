//! The journal: what the engine decided, in order, as entries numbered from 1, and now and then a snapshot of the state
//! they lead to. It knows neither engine nor policy: an entry is whatever serde can write.
//!
//! The rules: nothing is acknowledged before [`Journal::commit`] has returned; what was committed is there after any
//! crash; a write that failed leaves the journal broken for good, because after a failed fsync nobody can say what the
//! disk holds (the process ends and replays).

mod key;
mod lock;
mod memory;
mod piece;
mod sled;
mod store;

use std::{fmt, io, marker::PhantomData, ops::ControlFlow, path::Path, path::PathBuf};

use echelon_proto::planted::{self, Plant};
use serde::{Serialize, de::DeserializeOwned};

pub use self::{
    memory::{Disk, MemoryStore},
    sled::SledStore,
    store::Store,
};

/// One entry as bytes. The biggest is the start of a rollout over 20,000 hosts, about 3 MiB; what is twenty times that
/// is a fault of ours, told before it fills the disk.
pub const ENTRY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What can go wrong with a journal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else has it open.
    #[error(
        "the journal in {} is in use by process {holder}: one coordinator at a time; stop that one first",
        folder.display()
    )]
    Locked {
        /// The journal's folder.
        folder: PathBuf,
        /// Process id of the other, or `unknown`.
        holder: String,
    },
    /// Written by a later version of this program.
    #[error(
        "the journal has format {found}, and this program reads up to {known}: start the newer coordinator that wrote it"
    )]
    Newer {
        /// Format on the disk.
        found: u64,
        /// Newest format this program knows.
        known: u64,
    },
    /// A database, but none of ours.
    #[error("{} holds a database that is no journal: name another folder", folder.display())]
    Foreign {
        /// The journal's folder.
        folder: PathBuf,
    },
    /// A file could not be opened, written or made durable.
    #[error("the journal could not {doing} {}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The database below failed.
    #[error("the journal could not {doing}: {text}")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// The database's own words.
        text: String,
    },
    /// An entry that was committed is missing.
    #[error("entry {sequence} of the journal is missing or incomplete: restore the folder from a copy")]
    Gap {
        /// The first one missing.
        sequence: u64,
    },
    /// An entry's bytes are not those that were written.
    #[error("entry {sequence} of the journal is damaged (checksum): restore the folder from a copy")]
    Checksum {
        /// Which entry.
        sequence: u64,
    },
    /// The snapshot's bytes are not those that were written.
    #[error("the snapshot at entry {sequence} is damaged ({what}): restore the folder from a copy")]
    Snapshot {
        /// Which snapshot.
        sequence: u64,
        /// What is wrong with it.
        what: String,
    },
    /// Whole, but not what this program's entries look like.
    #[error("entry {sequence} of the journal cannot be read by this version: {source}")]
    Entry {
        /// Which entry.
        sequence: u64,
        /// Where in its text and why.
        source: serde_json::Error,
    },
    /// Could not be turned into bytes: a fault of ours.
    #[error("an entry could not be written as JSON: {0}")]
    Encode(serde_json::Error),
    /// Beyond [`ENTRY_BYTES_MAX`].
    #[error("an entry of {bytes} bytes is beyond the bound of {ENTRY_BYTES_MAX}")]
    TooBig {
        /// Its size.
        bytes: usize,
    },
    /// Entries asked for are no longer kept.
    #[error("entry {asked} is no longer kept: the first one is {first}")]
    Trimmed {
        /// The one asked for.
        asked: u64,
        /// The oldest one there is.
        first: u64,
    },
    /// A snapshot of what is not durable yet.
    #[error("a snapshot at entry {asked} is not possible: the last committed one is {last}")]
    Ahead {
        /// Where the snapshot would stand.
        asked: u64,
        /// Last committed entry.
        last: u64,
    },
    /// A writer that never began its term.
    #[error("nothing may be written before a term has begun")]
    NoTerm,
    /// Another coordinator has begun a later term.
    #[error("this coordinator's term {mine} is over: term {current} has begun elsewhere")]
    Deposed {
        /// This writer's term.
        mine: u64,
        /// The one that now holds.
        current: u64,
    },
    /// An earlier write failed; see the module's rules.
    #[error("the journal takes nothing more since an earlier failure ({cause}): restart the coordinator")]
    Broken {
        /// The first failure.
        cause: String,
    },
}

/// How big the journal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes {
    /// On the disk now, snapshot included.
    pub on_disk: u64,
    /// Of entries committed through this handle.
    pub committed: u64,
}

/// A journal of entries `E`, written as JSON.
pub struct Journal<E> {
    store: Box<dyn Store>,
    /// Appended and not yet committed.
    staged: Vec<Vec<u8>>,
    committed_bytes: u64,
    entry: PhantomData<fn(&E) -> E>,
}

impl<E> fmt::Debug for Journal<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal")
            .field("store", &self.store)
            .field("staged", &self.staged.len())
            .finish_non_exhaustive()
    }
}

impl<E: Serialize + DeserializeOwned> Journal<E> {
    /// Opens the journal in this folder, made where there is none, and takes it for this process alone.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Newer`], [`Error::Foreign`], [`Error::Checksum`], or the disk's.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        Ok(Self::on(Box::new(SledStore::open(folder)?)))
    }

    /// A journal on a store that is open already.
    #[must_use]
    pub fn on(store: Box<dyn Store>) -> Self {
        Self {
            store,
            staged: Vec::new(),
            committed_bytes: 0,
            entry: PhantomData,
        }
    }

    /// Begins the next term, durably, and gives its number (1, 2, ...). To be called once before the first append.
    ///
    /// # Errors
    /// The disk's; the journal is broken then.
    pub fn begin_term(&mut self) -> Result<u64, Error> {
        self.store.begin_term()
    }

    /// Puts an entry at the end and gives its sequence. It is in memory only until [`Self::commit`].
    ///
    /// # Errors
    /// [`Error::TooBig`], [`Error::Encode`]: nothing was appended.
    pub fn append(&mut self, entry: &E) -> Result<u64, Error> {
        let bytes = serde_json::to_vec(entry).map_err(Error::Encode)?;
        if bytes.len() > ENTRY_BYTES_MAX {
            return Err(Error::TooBig { bytes: bytes.len() });
        }
        self.staged.push(bytes);
        Ok(self.store.last() + self.staged.len() as u64)
    }

    /// Makes all that was appended durable, as one batch: after a crash all of it is there, or a beginning of it.
    /// Gives the last sequence.
    ///
    /// # Errors
    /// [`Error::NoTerm`], [`Error::Deposed`], or the disk's: then nothing of the batch may be acknowledged and the
    /// journal is broken.
    pub fn commit(&mut self) -> Result<u64, Error> {
        if !self.staged.is_empty() {
            self.store.append(&self.staged)?;
        }
        if !planted::is(Plant::CommitWithoutSync) {
            self.store.commit()?;
        }
        self.committed_bytes += self.staged.iter().map(|bytes| bytes.len() as u64).sum::<u64>();
        self.staged.clear();
        Ok(self.store.last())
    }

    /// First and last sequence that can be replayed; (n + 1, n) when none is kept.
    #[must_use]
    pub fn span(&self) -> (u64, u64) {
        (self.store.first(), self.store.last())
    }

    /// Hands over every committed entry from this sequence on, in order. `from` one past the last is allowed and
    /// hands over nothing.
    ///
    /// # Errors
    /// [`Error::Trimmed`], [`Error::Gap`], [`Error::Checksum`], [`Error::Entry`]: all before it were handed over.
    pub fn replay(&self, from: u64, mut each: impl FnMut(u64, E)) -> Result<(), Error> {
        self.read(from, |sequence, entry| {
            each(sequence, entry);
            ControlFlow::Continue(())
        })
    }

    /// As [`Self::replay`], until `each` breaks: for pages of history.
    ///
    /// # Errors
    /// As [`Self::replay`].
    pub fn read(&self, from: u64, mut each: impl FnMut(u64, E) -> ControlFlow<()>) -> Result<(), Error> {
        let mut failed = None;
        self.store
            .read(from, &mut |sequence, bytes| match serde_json::from_slice(bytes) {
                Ok(entry) => each(sequence, entry),
                Err(source) => {
                    failed = Some(Error::Entry { sequence, source });
                    ControlFlow::Break(())
                }
            })?;
        failed.map_or(Ok(()), Err)
    }

    /// Puts a snapshot of the state after this entry in the place of the one before, durably and at once: a crash
    /// leaves the old one or the new one. Trims nothing.
    ///
    /// # Errors
    /// [`Error::Ahead`], [`Error::Encode`], or the disk's (the journal is broken then).
    pub fn save_snapshot<S: Serialize>(&mut self, sequence: u64, state: &S) -> Result<(), Error> {
        let bytes = serde_json::to_vec(state).map_err(Error::Encode)?;
        self.store.save_snapshot(sequence, &bytes)
    }

    /// The newest snapshot and the entry it stands at.
    ///
    /// # Errors
    /// [`Error::Snapshot`] when its bytes are damaged or are not an `S`.
    pub fn load_snapshot<S: DeserializeOwned>(&self) -> Result<Option<(u64, S)>, Error> {
        let Some((sequence, bytes)) = self.store.load_snapshot()? else {
            return Ok(None);
        };
        let state = serde_json::from_slice(&bytes).map_err(|source| Error::Snapshot {
            sequence,
            what: source.to_string(),
        })?;
        Ok(Some((sequence, state)))
    }

    /// Lets go of old entries: only what the snapshot covers, and never the newest `keep_entries`, which stay readable
    /// as history.
    ///
    /// # Errors
    /// The disk's; the journal is broken then.
    pub fn trim(&mut self, keep_entries: u64) -> Result<(), Error> {
        let up_to = self.store.last().saturating_sub(keep_entries);
        self.store.trim(up_to)
    }

    /// How big it is.
    ///
    /// # Errors
    /// The disk's.
    pub fn bytes(&self) -> Result<Bytes, Error> {
        Ok(Bytes {
            on_disk: self.store.bytes()?,
            committed: self.committed_bytes,
        })
    }
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { doing, path, source }
}

#[cfg(test)]
mod tests;
