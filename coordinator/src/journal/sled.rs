//! The journal's store on sled 0.34, and the only file that names it.
//!
//! sled's `flush()` ends, on Linux, in `sync_file_range`: no durability barrier. So [`SledStore`] makes its own: after
//! `flush()` an `fdatasync` of sled's `db` file on a handle of its own, and at open an `fsync` of its `db`, `conf` and
//! folders. Values stay so small that sled never writes one into a file of its own (see [`piece`]).

use std::{
    fs::{self, File},
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use echelon_failpoint as failpoint;
use nix::fcntl::Flock;
use sled::{Batch, Db, IVec};

use super::{
    Error, Store, io_error,
    key::{ENTRY, FIRST, FORMAT, Pointer, SNAPSHOT, SNAPSHOT_NOW, TERM, entry_key, numbers, snapshot_key, split},
    lock::lock,
    piece::{self, Piece},
};

/// The newest format this program reads, and the one it writes.
const KNOWN: u64 = 1;

/// Keys in one batch where no atomicity is needed: bounds the memory of a big snapshot or a long trim.
const BATCH_KEYS: usize = 256;
/// sled keeps what it read or wrote in memory; its own default is a gigabyte.
const CACHE_BYTES: u64 = 32 * 1024 * 1024;

/// The journal's store in one folder on this machine's disk.
#[derive(Debug)]
pub struct SledStore {
    // Before the lock, so that it is closed before the lock is let go.
    db: Db,
    /// Our own handle on sled's `db` file, for the barrier.
    barrier: File,
    barrier_path: PathBuf,
    _lock: Flock<File>,
    term: Option<u64>,
    first: u64,
    last: u64,
    committed: u64,
    snapshot: Option<Pointer>,
    broken: Option<String>,
}

impl SledStore {
    /// Opens the store in this folder, made where there is none.
    ///
    /// # Errors
    /// See [`super::Journal::open`].
    pub fn open(folder: &Path) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(io_error("make the folder", folder))?;
        let lock = lock(folder)?;
        let inner = folder.join("sled");
        let db = open_db(&inner)?;
        let barrier_path = inner.join("db");
        let barrier = File::open(&barrier_path).map_err(io_error("open", &barrier_path))?;
        let mut store = Self {
            db,
            barrier,
            barrier_path,
            _lock: lock,
            term: None,
            first: 1,
            last: 0,
            committed: 0,
            snapshot: None,
            broken: None,
        };
        store.check_format(folder)?;
        store.recover()?;
        store.barrier()?;
        for path in [inner.join("conf"), inner.join("blobs"), inner] {
            sync(&path)?;
        }
        // The folder and the way to it, which may be as new. What this user may not even read was not made by us.
        let folder = folder.canonicalize().map_err(io_error("find", folder))?;
        for path in folder.ancestors() {
            match sync(path) {
                Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => break,
                synced => synced?,
            }
        }
        Ok(store)
    }

    fn check_format(&self, folder: &Path) -> Result<(), Error> {
        match self.number(FORMAT)? {
            Some(KNOWN) => Ok(()),
            Some(found) => Err(Error::Newer { found, known: KNOWN }),
            None if self.db.is_empty() => self.put(FORMAT, &KNOWN.to_be_bytes()),
            None => Err(Error::Foreign {
                folder: folder.to_owned(),
            }),
        }
    }

    /// Finds both ends, and drops what a crash left half done: a torn tail, a snapshot that never became current, a
    /// trim that was cut short.
    fn recover(&mut self) -> Result<(), Error> {
        self.first = self.number(FIRST)?.unwrap_or(1);
        self.remove(&[ENTRY], &entry_key(self.first, 0))?;
        self.snapshot = self.pointer()?;
        let current = self.snapshot.map_or(0, |pointer| pointer.generation);
        self.remove(&[SNAPSHOT], &snapshot_key(current, 0))?;
        self.remove(&snapshot_key(current + 1, 0), &[SNAPSHOT + 1])?;

        let covered = self.snapshot.map_or(0, |pointer| pointer.sequence);
        self.last = covered.max(self.first - 1);
        if let Some((key, value)) = self.newest()? {
            let (sequence, _) = split(&key);
            let newest = piece::decode(&key, &value).ok_or(Error::Checksum { sequence })?;
            let good = self.torn_after(newest.mark.max(self.first - 1))?;
            if good < sequence {
                tracing::warn!(
                    from = good + 1,
                    to = sequence,
                    "dropped entries torn by a crash, never acknowledged"
                );
                self.remove(&entry_key(good + 1, 0), &[ENTRY + 1])?;
            }
            self.last = self.last.max(good);
        }
        self.committed = self.last;
        Ok(())
    }

    /// The last whole entry, when all up to `durable` are known to be.
    fn torn_after(&self, durable: u64) -> Result<u64, Error> {
        let mut good = durable;
        for entry in self.entries(durable + 1) {
            match entry {
                Ok((sequence, _)) => good = sequence,
                Err(Error::Gap { .. }) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(good)
    }

    fn newest(&self) -> Result<Option<(IVec, IVec)>, Error> {
        self.db
            .range::<&[u8], _>(&[ENTRY][..]..&[ENTRY + 1][..])
            .next_back()
            .transpose()
            .map_err(database("read the last entry"))
    }

    fn entries(&self, from: u64) -> Entries {
        Entries {
            row: self.db.range::<&[u8], _>(&entry_key(from, 0)[..]..&[ENTRY + 1][..]),
            next: from,
        }
    }

    fn number(&self, key: &[u8]) -> Result<Option<u64>, Error> {
        let value = self.db.get(key).map_err(database("read"))?;
        value.map(|value| numbers::<1>(&value).map(|[n]| n)).transpose()
    }

    fn pointer(&self) -> Result<Option<Pointer>, Error> {
        let value = self.db.get(SNAPSHOT_NOW).map_err(database("read"))?;
        let Some(value) = value else { return Ok(None) };
        Pointer::decode(&value).map(Some)
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        self.db.insert(key, value).map_err(database("write"))?;
        Ok(())
    }

    /// Removes the keys from `from` up to and without `to`.
    fn remove(&self, from: &[u8], to: &[u8]) -> Result<(), Error> {
        loop {
            let mut batch = Batch::default();
            let mut count = 0;
            for key in self.db.range(from..to).keys().take(BATCH_KEYS) {
                batch.remove(key.map_err(database("read"))?);
                count += 1;
            }
            if count == 0 {
                return Ok(());
            }
            self.db.apply_batch(batch).map_err(database("remove"))?;
        }
    }

    /// All that was written so far is on the disk when this returns.
    fn barrier(&self) -> Result<(), Error> {
        self.db.flush().map_err(database("flush"))?;
        self.barrier
            .sync_data()
            .map_err(io_error("make durable", &self.barrier_path))
    }

    fn sound(&self) -> Result<(), Error> {
        match &self.broken {
            Some(cause) => Err(Error::Broken { cause: cause.clone() }),
            None => Ok(()),
        }
    }

    /// Runs what writes; its failure breaks the store.
    fn write<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        self.sound()?;
        let result = work(self);
        if let Err(error) = &result {
            self.broken = Some(error.to_string());
        }
        result
    }

    fn in_term(&self) -> Result<(), Error> {
        // The lock lets nobody else in while this handle lives, so its own term is the newest.
        self.term.map(|_| ()).ok_or(Error::NoTerm)
    }

    fn write_snapshot(&mut self, sequence: u64, bytes: &[u8]) -> Result<(), Error> {
        let old = self.snapshot.map_or(0, |pointer| pointer.generation);
        let parts = piece::parts(bytes);
        let pointer = Pointer {
            generation: old + 1,
            sequence,
            pieces: parts.len() as u64,
            bytes: bytes.len() as u64,
        };
        let mut batch = Batch::default();
        let mut waiting = 0;
        for (index, part) in (0_u32..).zip(parts) {
            let key = snapshot_key(pointer.generation, index);
            batch.insert(&key, encode(&key, pointer.pieces as u32, sequence, part));
            waiting += 1;
            if waiting == BATCH_KEYS {
                self.db
                    .apply_batch(std::mem::take(&mut batch))
                    .map_err(database("write a snapshot"))?;
                waiting = 0;
            }
        }
        self.db.apply_batch(batch).map_err(database("write a snapshot"))?;
        // The pieces first, then what makes them current: between the two a crash leaves the old snapshot.
        failpoint::pass("snapshot", "written");
        self.barrier()?;
        failpoint::pass("snapshot", "synced");
        self.put(SNAPSHOT_NOW, &pointer.encode())?;
        failpoint::pass("snapshot", "named");
        self.barrier()?;
        failpoint::pass("snapshot", "kept");
        self.snapshot = Some(pointer);
        self.remove(&[SNAPSHOT], &snapshot_key(pointer.generation, 0))
    }
}

impl Store for SledStore {
    fn begin_term(&mut self) -> Result<u64, Error> {
        self.write(|store| {
            let term = store.number(TERM)?.unwrap_or(0) + 1;
            store.put(TERM, &term.to_be_bytes())?;
            failpoint::pass("term", "written");
            store.barrier()?;
            failpoint::pass("term", "kept");
            store.term = Some(term);
            Ok(term)
        })
    }

    fn append(&mut self, entries: &[Vec<u8>]) -> Result<(), Error> {
        self.in_term()?;
        self.write(|store| {
            let mut batch = Batch::default();
            for (sequence, entry) in (store.last + 1..).zip(entries) {
                let parts = piece::parts(entry);
                let pieces = parts.len() as u32;
                for (index, part) in (0..).zip(parts) {
                    let key = entry_key(sequence, index);
                    batch.insert(&key, encode(&key, pieces, store.committed, part));
                }
            }
            failpoint::pass("entry", "due");
            store.db.apply_batch(batch).map_err(database("append"))?;
            failpoint::pass("entry", "written");
            store.last += entries.len() as u64;
            Ok(())
        })
    }

    fn commit(&mut self) -> Result<(), Error> {
        if self.committed == self.last {
            return self.sound();
        }
        self.write(|store| {
            store.barrier()?;
            failpoint::pass("entry", "kept");
            store.committed = store.last;
            Ok(())
        })
    }

    fn first(&self) -> u64 {
        self.first
    }

    fn last(&self) -> u64 {
        self.last
    }

    fn read(&self, from: u64, each: &mut dyn FnMut(u64, &[u8]) -> ControlFlow<()>) -> Result<(), Error> {
        self.sound()?;
        if from < self.first {
            return Err(Error::Trimmed {
                asked: from,
                first: self.first,
            });
        }
        let mut next = from;
        for entry in self.entries(from) {
            let (sequence, bytes) = entry?;
            if each(sequence, &bytes).is_break() {
                return Ok(());
            }
            next = sequence + 1;
        }
        if next <= self.last {
            return Err(Error::Gap { sequence: next });
        }
        Ok(())
    }

    fn save_snapshot(&mut self, sequence: u64, bytes: &[u8]) -> Result<(), Error> {
        self.in_term()?;
        if sequence > self.committed {
            return Err(Error::Ahead {
                asked: sequence,
                last: self.committed,
            });
        }
        self.write(|store| store.write_snapshot(sequence, bytes))
    }

    fn load_snapshot(&self) -> Result<Option<(u64, Vec<u8>)>, Error> {
        self.sound()?;
        let Some(pointer) = self.snapshot else { return Ok(None) };
        let damaged = |what: &str| Error::Snapshot {
            sequence: pointer.sequence,
            what: what.to_owned(),
        };
        let mut bytes = Vec::new();
        for index in 0..pointer.pieces as u32 {
            let key = snapshot_key(pointer.generation, index);
            let value = self.db.get(key).map_err(database("read the snapshot"))?;
            let value = value.ok_or_else(|| damaged("a piece is missing"))?;
            let piece = piece::decode(&key, &value).ok_or_else(|| damaged("checksum"))?;
            bytes.extend_from_slice(piece.part);
        }
        if bytes.len() as u64 != pointer.bytes {
            return Err(damaged("its length is not the one written"));
        }
        Ok(Some((pointer.sequence, bytes)))
    }

    fn trim(&mut self, up_to: u64) -> Result<(), Error> {
        self.in_term()?;
        let covered = self.snapshot.map_or(0, |pointer| pointer.sequence);
        let bound = up_to.min(covered);
        if bound < self.first {
            return self.sound();
        }
        self.write(|store| {
            // The new beginning first: what a crash leaves below it is removed at the next open.
            store.put(FIRST, &(bound + 1).to_be_bytes())?;
            store.barrier()?;
            store.first = bound + 1;
            store.remove(&[ENTRY], &entry_key(bound + 1, 0))
        })
    }

    fn bytes(&self) -> Result<u64, Error> {
        self.db.size_on_disk().map_err(database("measure its files"))
    }
}

/// Whole entries from a sequence on, until the first that is not whole.
struct Entries {
    row: sled::Iter,
    next: u64,
}

impl Iterator for Entries {
    type Item = Result<(u64, Vec<u8>), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let first = self.row.next()?;
        let entry = self.whole(first);
        self.next += 1;
        Some(entry)
    }
}

impl Entries {
    fn whole(&mut self, first: sled::Result<(IVec, IVec)>) -> Result<(u64, Vec<u8>), Error> {
        let sequence = self.next;
        let mut bytes = Vec::new();
        let mut item = Some(first);
        let mut index = 0;
        loop {
            let (key, value) = item
                .ok_or(Error::Gap { sequence })?
                .map_err(database("read an entry"))?;
            if split(&key) != (sequence, index) {
                return Err(Error::Gap { sequence });
            }
            let piece = piece::decode(&key, &value).ok_or(Error::Checksum { sequence })?;
            bytes.extend_from_slice(piece.part);
            index += 1;
            if index == piece.pieces {
                return Ok((sequence, bytes));
            }
            item = self.row.next();
        }
    }
}

fn encode(key: &[u8], pieces: u32, mark: u64, part: &[u8]) -> Vec<u8> {
    piece::encode(key, &Piece { pieces, mark, part })
}

/// sled closes its file on a thread of its own, some milliseconds after its last handle is dropped; until then it
/// refuses to open it again in the same process. With our lock held that is the only reason there can be.
fn open_db(path: &Path) -> Result<Db, Error> {
    let config = sled::Config::new().path(path).cache_capacity(CACHE_BYTES);
    let mut tries = 100;
    loop {
        match config.open() {
            Err(sled::Error::Io(error)) if error.to_string().contains("could not acquire lock") && tries > 0 => {
                tries -= 1;
                thread::sleep(Duration::from_millis(20));
            }
            result => return result.map_err(database("open its database")),
        }
    }
}

fn sync(path: &Path) -> Result<(), Error> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(io_error("make durable", path))
}

fn database(doing: &'static str) -> impl FnOnce(sled::Error) -> Error {
    move |error| Error::Database {
        doing,
        text: error.to_string(),
    }
}

#[cfg(test)]
mod tests;
