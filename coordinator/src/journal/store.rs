//! What a journal needs of the thing that keeps it: entries as bytes in one numbered row, one snapshot, one term. It
//! says nothing of what the bytes mean.
//!
//! Two forms are meant: sled (embedded, one process by a lock) and etcd (several coordinators; an append is one
//! transaction that compares the term's key). [`MemoryStore`](super::MemoryStore) is the simulation's disk.

use std::{fmt, ops::ControlFlow};

use super::Error;

/// Keeps a journal. One writer at a time: the last that called [`Store::begin_term`].
///
/// A call that failed to write or to make durable breaks the store: every later call is [`Error::Broken`].
pub trait Store: Send + fmt::Debug {
    /// The term before plus one, durable when this returns. Whoever held the one before can append no more.
    fn begin_term(&mut self) -> Result<u64, Error>;

    /// Writes these entries after the last one, all or (after a crash before the commit) a beginning of them. They
    /// count from then on in [`Store::last`], but may be lost until [`Store::commit`].
    fn append(&mut self, entries: &[Vec<u8>]) -> Result<(), Error>;

    /// Makes durable all that was appended. Without anything appended it does nothing.
    fn commit(&mut self) -> Result<(), Error>;

    /// First sequence kept; `last() + 1` when none is.
    fn first(&self) -> u64;

    /// Last sequence written; 0 when there never was one.
    fn last(&self) -> u64;

    /// Hands over entries from `from` (`first()` to `last() + 1`) in order until `each` breaks.
    fn read(&self, from: u64, each: &mut dyn FnMut(u64, &[u8]) -> ControlFlow<()>) -> Result<(), Error>;

    /// Replaces the snapshot; durable and current at once. `sequence` is at most the last committed one.
    fn save_snapshot(&mut self, sequence: u64, bytes: &[u8]) -> Result<(), Error>;

    /// The current snapshot.
    fn load_snapshot(&self) -> Result<Option<(u64, Vec<u8>)>, Error>;

    /// Lets go of entries up to and with `up_to`, as far as the snapshot covers them.
    fn trim(&mut self, up_to: u64) -> Result<(), Error>;

    /// Bytes it takes on its disk.
    fn bytes(&self) -> Result<u64, Error>;
}
