//! What canary gates were decided by, kept in files for `echelon rollout explain --gate`: the newest look of each gate of each
//! wave, at `decisions/ROLLOUT/DATACENTER/WAVE/GATE.json`. Not the record of what was decided, which is in the journal; and
//! not in the journal, whose every entry is read again at a start: a look is megabytes where a verdict is a line.
//!
//! A file is whole and on the disk before the engine hears of its look, so whatever was decided can be explained. Killed
//! in between, the look was in vain and is made again. Beyond the bound of all files the oldest rollout's go.
//!
//! Calls do blocking IO.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use echelon_failpoint as failpoint;
use echelon_proto::{Datacenter, GateName, RolloutId};

use crate::output::{Error, room::Room};

/// Of all files: some hundred decisions over 2,000 hosts.
pub const BYTES_MAX: u64 = 1 << 30;

/// Which gate of which wave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Of which rollout.
    pub rollout: RolloutId,
    /// In which lane.
    pub datacenter: Datacenter,
    /// Index of the wave.
    pub wave: usize,
    /// Which gate.
    pub gate: GateName,
}

/// All that is kept.
#[derive(Debug)]
pub struct Decisions {
    folder: PathBuf,
    room: Mutex<Room>,
}

impl Decisions {
    /// Opens the folder, made where there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(folder: &Path, bytes_max: u64) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(io("make the folder", folder))?;
        let room = Room::measure(folder, bytes_max).map_err(io("read", folder))?;
        Ok(Self {
            folder: folder.to_owned(),
            room: Mutex::new(room),
        })
    }

    /// Puts a look in the place of the one before. False: there is no room for it, and nothing was written.
    ///
    /// # Errors
    /// The disk's; the look before is still there.
    pub fn keep(&self, place: &Place, bytes: &[u8]) -> Result<bool, Error> {
        // One at a time: it is a file a minute and gate.
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        let (rollout, wanted) = (&place.rollout, bytes.len() as u64);
        while let Some(oldest) = room.take_oldest_for(rollout, wanted) {
            let folder = self.folder.join(oldest.as_str());
            match fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io("remove", &folder)(error)),
                _ => tracing::info!(rollout = %oldest, "removed what its gates were decided by to make room"),
            }
        }
        let taken = room.take(rollout, wanted);
        if taken < wanted {
            room.give_back(rollout, taken);
            return Ok(false);
        }
        let path = self.path(place);
        let before = fs::metadata(&path).map_or(0, |file| file.len());
        let written = write(&path, bytes);
        room.give_back(rollout, if written.is_ok() { before } else { wanted });
        written.map(|()| true)
    }

    /// The newest look of a gate, in the lane and wave that are named or in any; `None`: there is none.
    ///
    /// # Errors
    /// The disk's.
    pub fn newest(
        &self,
        rollout: &RolloutId,
        gate: &GateName,
        datacenter: Option<&Datacenter>,
        wave: Option<usize>,
    ) -> Result<Option<Vec<u8>>, Error> {
        let file = format!("{gate}.json");
        let mut newest = None;
        for lane in entries(&self.folder.join(rollout.as_str()))? {
            if datacenter.is_some_and(|only| !lane.ends_with(only.as_str())) {
                continue;
            }
            for at in entries(&lane)? {
                if wave.is_some_and(|only| !at.ends_with(only.to_string())) {
                    continue;
                }
                let path = at.join(&file);
                let Ok(written) = fs::metadata(&path).and_then(|file| file.modified()) else {
                    continue;
                };
                if newest.as_ref().is_none_or(|(time, _)| written >= *time) {
                    newest = Some((written, path));
                }
            }
        }
        let Some((_, path)) = newest else { return Ok(None) };
        match fs::read(&path) {
            // Removed since to make room.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some).map_err(io("read", &path)),
        }
    }

    /// The parts are names, and names hold nothing that leads out of a folder.
    fn path(&self, place: &Place) -> PathBuf {
        let mut path = self.folder.join(place.rollout.as_str());
        path.push(place.datacenter.as_str());
        path.push(place.wave.to_string());
        path.push(format!("{}.json", place.gate));
        path
    }
}

/// Whole or not at all, and on the disk when it returns.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(io("make the folder", folder))?;
    let new = path.with_extension("new");
    let mut file = File::create(&new).map_err(io("make", &new))?;
    file.write_all(bytes).map_err(io("write", &new))?;
    failpoint::pass("decision", "written");
    file.sync_all().map_err(io("write", &new))?;
    failpoint::pass("decision", "synced");
    fs::rename(&new, path).map_err(io("put in its place", path))?;
    failpoint::pass("decision", "renamed");
    let folder_itself = File::open(folder).and_then(|folder| folder.sync_all());
    folder_itself.map_err(io("write", folder))
}

/// What is in a folder; nothing when it is not there.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let listed = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.map_err(io("list", folder))?,
    };
    let paths = listed.map(|entry| Ok(entry?.path()));
    paths.collect::<io::Result<_>>().map_err(io("list", folder))
}

fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error { doing, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(rollout: &str, datacenter: &str, wave: usize) -> Place {
        Place {
            rollout: RolloutId::new(rollout).unwrap(),
            datacenter: Datacenter::new(datacenter).unwrap(),
            wave,
            gate: GateName::new("compare").unwrap(),
        }
    }

    fn newest(decisions: &Decisions, of: &Place, wave: Option<usize>) -> Option<String> {
        let found = decisions.newest(&of.rollout, &of.gate, Some(&of.datacenter), wave);
        found.unwrap().map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn the_newest_look_stands_in_the_place_of_the_one_before_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let decisions = Decisions::open(folder.path(), 1000).unwrap();
        let (one, other) = (place("r1", "dc1", 0), place("r1", "dc2", 0));
        for text in ["first", "second"] {
            assert!(decisions.keep(&one, text.as_bytes()).unwrap());
        }
        assert!(decisions.keep(&other, b"other").unwrap());
        let decisions = Decisions::open(folder.path(), 1000).unwrap();
        assert_eq!(newest(&decisions, &one, None).as_deref(), Some("second"));
        assert_eq!(newest(&decisions, &one, Some(1)), None);
        assert_eq!(newest(&decisions, &other, Some(0)).as_deref(), Some("other"));
        assert_eq!(newest(&decisions, &place("r2", "dc1", 0), None), None);
    }

    #[test]
    fn the_oldest_rollout_makes_room_and_what_is_replaced_is_counted_once() {
        let folder = tempfile::tempdir().unwrap();
        let decisions = Decisions::open(folder.path(), 100).unwrap();
        let (old, new) = (place("r9", "dc1", 0), place("r10", "dc1", 0));
        for _ in 0..10 {
            assert!(decisions.keep(&old, &[b'x'; 40]).unwrap(), "as many bytes as before");
        }
        assert!(decisions.keep(&new, &[b'y'; 90]).unwrap());
        assert_eq!(newest(&decisions, &old, None), None);
        assert!(newest(&decisions, &new, None).is_some());
        assert!(!decisions.keep(&new, &[b'z'; 101]).unwrap(), "more than there ever is");
        assert!(newest(&decisions, &new, None).unwrap().starts_with('y'));
    }
}
