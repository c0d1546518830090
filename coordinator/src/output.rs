//! What phases print, kept in files for `echelon rollout logs`: `output/ROLLOUT/HOST/ATTEMPT.PHASE.log`. Not the
//! record of what happened: result, message and last lines of every attempt are in the journal.
//!
//! Therefore nothing here is fsynced. Output comes in pieces from 2,000 hosts at once; a barrier for each would take
//! the disk from the journal, whose barrier every order waits for, and what a power cut may take is the end of a log.
//!
//! A file's length is what is held of its attempt: a chunk that comes twice is known by its offset, after a restart
//! too. A file that takes no more (ended, or cut because a bound was reached) is read-only; what comes for it is
//! acknowledged and let go, so that an agent never waits for room here.
//!
//! Calls do short blocking IO on the page cache. No file stays open between calls.

pub(crate) mod room;

use std::{
    collections::hash_map::RandomState,
    fs::{self, File, OpenOptions},
    hash::BuildHasher as _,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use echelon_failpoint as failpoint;
use echelon_proto::{Fence, HostId, PhaseName, RolloutId, limits::OUTPUT_BYTES_MAX};
use tokio::sync::watch;

use self::room::Room;

/// Appends to different attempts at once. As many as a small machine can use.
const STRIPES: usize = 16;
/// At the end of what was cut.
const CUT: &str = "\n[echelon: the coordinator keeps no more of this output]\n";

/// A file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}: {source}", path.display())]
pub struct Error {
    /// What was being done.
    pub doing: &'static str,
    /// To which file.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

/// One attempt's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// On which host.
    pub host: HostId,
    /// Counts all orders of the rollout on the host.
    pub attempt: u32,
    /// Which phase.
    pub phase: PhaseName,
    /// Bytes held.
    pub bytes: u64,
    /// No more will come.
    pub ended: bool,
}

/// All output that is kept.
#[derive(Debug)]
pub struct Output {
    folder: PathBuf,
    attempt_bytes_max: u64,
    room: Mutex<Room>,
    stripes: [Mutex<()>; STRIPES],
    hasher: RandomState,
    changes: watch::Sender<u64>,
}

impl Output {
    /// Opens the folder, made where there is none. Beyond `bytes_max` of all output the oldest rollouts' is removed.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn open(folder: &Path, bytes_max: u64) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(io("make the folder", folder))?;
        let room = Room::measure(folder, bytes_max).map_err(io("read", folder))?;
        Ok(Self {
            folder: folder.to_owned(),
            attempt_bytes_max: OUTPUT_BYTES_MAX,
            room: Mutex::new(room),
            stripes: Default::default(),
            hasher: RandomState::new(),
            changes: watch::Sender::new(0),
        })
    }

    /// Takes a chunk that starts at `offset` of the attempt's output, and gives the offset below which all is held (or
    /// let go for good): what the agent is told. A chunk that was held already changes nothing; one that leaves a gap
    /// is ignored. With `last` the attempt has ended, and nothing is added to it any more.
    ///
    /// # Errors
    /// The disk's. Nothing is lost: the agent sends again what was not acknowledged.
    pub fn append(&self, fence: &Fence, offset: u64, bytes: &[u8], last: bool) -> Result<u64, Error> {
        let path = self.path(&fence.rollout, &fence.host, fence.attempt, &fence.phase);
        let stripe = self.hasher.hash_one(&path) as usize % STRIPES;
        let _one_at_a_time = self.stripes[stripe].lock().unwrap_or_else(PoisonError::into_inner);
        let end = offset.saturating_add(bytes.len() as u64);
        let (held, sealed) = match fs::metadata(&path) {
            Ok(file) => (file.len(), file.permissions().readonly()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (0, self.room().is_gone(&fence.rollout)),
            Err(error) => return Err(io("read", &path)(error)),
        };
        if sealed {
            return Ok(end);
        }
        if offset > held {
            return Ok(held);
        }
        let new = usize::try_from(held - offset).ok().and_then(|seen| bytes.get(seen..));
        let new = new.unwrap_or_default();
        let wanted = (new.len() as u64).min(self.attempt_bytes_max.saturating_sub(held));
        let taken = self.make_room(&fence.rollout, wanted)?;
        let cut = taken < new.len() as u64;
        if taken > 0 || last || cut {
            let written = write(&path, &new[..taken as usize], cut, last || cut);
            if written.is_err() {
                // Counted before it was written; a disk that is full is asked again and again for the same bytes.
                let reached = fs::metadata(&path).map_or(0, |file| file.len().saturating_sub(held));
                self.room().give_back(&fence.rollout, taken.saturating_sub(reached));
            }
            written?;
            failpoint::pass("output", "written");
            self.changes.send_modify(|count| *count += 1);
        }
        Ok(end.max(held))
    }

    /// What there is of a rollout, of one host or one phase only where named; by host, then oldest attempt first.
    ///
    /// # Errors
    /// The disk's. A rollout without output has none: no error.
    pub fn attempts(
        &self,
        rollout: &RolloutId,
        host: Option<&HostId>,
        phase: Option<&PhaseName>,
    ) -> Result<Vec<Attempt>, Error> {
        let folder = self.folder.join(rollout.as_str());
        let hosts = match host {
            Some(host) => vec![host.clone()],
            None => names(&folder)?
                .iter()
                .filter_map(|name| HostId::new(name).ok())
                .collect(),
        };
        let mut attempts = Vec::new();
        for host in hosts {
            let folder = folder.join(host.as_str());
            for name in names(&folder)? {
                let Some((attempt, named)) = parse(&name) else { continue };
                if phase.is_some_and(|phase| *phase != named) {
                    continue;
                }
                // Removed since it was listed: there is nothing to tell of it.
                let Ok(file) = fs::metadata(folder.join(&name)) else {
                    continue;
                };
                attempts.push(Attempt {
                    host: host.clone(),
                    attempt,
                    phase: named,
                    bytes: file.len(),
                    ended: file.permissions().readonly(),
                });
            }
        }
        attempts.sort_by(|a, b| (&a.host, a.attempt).cmp(&(&b.host, b.attempt)));
        Ok(attempts)
    }

    /// At most `bytes_max` bytes of an attempt's output from `offset` on; none at its end, or when it is gone.
    ///
    /// # Errors
    /// The disk's.
    pub fn read(
        &self,
        rollout: &RolloutId,
        attempt: &Attempt,
        offset: u64,
        bytes_max: usize,
    ) -> Result<Vec<u8>, Error> {
        let path = self.path(rollout, &attempt.host, attempt.attempt, &attempt.phase);
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            file => file.map_err(io("open", &path))?,
        };
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(offset))
            .and_then(|_| file.take(bytes_max as u64).read_to_end(&mut bytes))
            .map_err(io("read", &path))?;
        Ok(bytes)
    }

    /// Changes whenever something was added anywhere: a follower looks again then.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Bytes held of all rollouts.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.room().bytes()
    }

    /// How much of `wanted` there is room for, once older rollouts had to go.
    fn make_room(&self, rollout: &RolloutId, wanted: u64) -> Result<u64, Error> {
        let mut room = self.room();
        while let Some(oldest) = room.take_oldest_for(rollout, wanted) {
            let folder = self.folder.join(oldest.as_str());
            tracing::info!(rollout = %oldest, "removed its output to make room");
            match fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io("remove", &folder)(error)),
                _ => {}
            }
        }
        Ok(room.take(rollout, wanted))
    }

    fn room(&self) -> std::sync::MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The parts are names, and names hold nothing that leads out of a folder.
    fn path(&self, rollout: &RolloutId, host: &HostId, attempt: u32, phase: &PhaseName) -> PathBuf {
        let mut path = self.folder.join(rollout.as_str());
        path.push(host.as_str());
        path.push(format!("{attempt}.{phase}.log"));
        path
    }
}

fn write(path: &Path, bytes: &[u8], cut: bool, seal: bool) -> Result<(), Error> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(io("make the folder", folder))?;
    }
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(io("open", path))?;
    file.write_all(bytes).map_err(io("write", path))?;
    if cut {
        file.write_all(CUT.as_bytes()).map_err(io("write", path))?;
    }
    if seal {
        let mut permissions = file.metadata().map_err(io("read", path))?.permissions();
        permissions.set_readonly(true);
        file.set_permissions(permissions).map_err(io("seal", path))?;
    }
    Ok(())
}

/// `3.in.stall.log` is attempt 3 of phase `in.stall`.
fn parse(name: &str) -> Option<(u32, PhaseName)> {
    let (attempt, phase) = name.strip_suffix(".log")?.split_once('.')?;
    Some((attempt.parse().ok()?, PhaseName::new(phase).ok()?))
}

/// Names in a folder; none when it is not there.
fn names(folder: &Path) -> Result<Vec<String>, Error> {
    let listed = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.map_err(io("list", folder))?,
    };
    listed
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<_>>()
        .map_err(io("list", folder))
}

fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error { doing, path, source }
}

#[cfg(test)]
mod tests;
