//! How much room output takes, by rollout, and which rollout has to go when there is none left. It removes nothing
//! itself.

use std::{collections::BTreeMap, fs, io, path::Path};

use echelon_proto::RolloutId;

/// Rollouts in the order they were made: `r9` before `r10`.
type Key = (u64, RolloutId);

#[derive(Debug)]
pub(crate) struct Room {
    rollouts: BTreeMap<Key, u64>,
    bytes: u64,
    bytes_max: u64,
    /// The newest rollout that had to go: it and all before it take nothing any more. So an attempt that still runs is
    /// not begun anew in the middle.
    gone: Option<Key>,
}

impl Room {
    pub(crate) fn measure(folder: &Path, bytes_max: u64) -> io::Result<Self> {
        let mut room = Self {
            rollouts: BTreeMap::new(),
            bytes: 0,
            bytes_max,
            gone: None,
        };
        for rollout in fs::read_dir(folder)? {
            let rollout = rollout?;
            let Ok(id) = RolloutId::new(rollout.file_name().to_string_lossy()) else {
                continue;
            };
            let bytes = size(&rollout.path())?;
            room.rollouts.insert(key(&id), bytes);
            room.bytes += bytes;
        }
        Ok(room)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn is_gone(&self, rollout: &RolloutId) -> bool {
        self.gone.as_ref().is_some_and(|gone| key(rollout) <= *gone)
    }

    /// A rollout older than this one that has to go so that it gets what it wants; none when there is room, or when
    /// this is the oldest itself.
    pub(crate) fn take_oldest_for(&mut self, rollout: &RolloutId, wanted: u64) -> Option<RolloutId> {
        if self.bytes.saturating_add(wanted) <= self.bytes_max {
            return None;
        }
        let (oldest, _) = self.rollouts.first_key_value()?;
        if *oldest >= key(rollout) {
            return None;
        }
        let (oldest, bytes) = self.rollouts.pop_first()?;
        self.bytes -= bytes;
        self.gone = self.gone.take().max(Some(oldest.clone()));
        Some(oldest.1)
    }

    /// Counts what is about to be written: as much of what is wanted as there is room for.
    pub(crate) fn take(&mut self, rollout: &RolloutId, wanted: u64) -> u64 {
        let taken = wanted.min(self.bytes_max.saturating_sub(self.bytes));
        if taken > 0 {
            *self.rollouts.entry(key(rollout)).or_default() += taken;
            self.bytes += taken;
        }
        taken
    }

    /// Of what was counted, so much was not written after all.
    pub(crate) fn give_back(&mut self, rollout: &RolloutId, bytes: u64) {
        if let Some(counted) = self.rollouts.get_mut(&key(rollout)) {
            let bytes = bytes.min(*counted);
            *counted -= bytes;
            self.bytes -= bytes;
        }
    }
}

fn key(rollout: &RolloutId) -> Key {
    let number = rollout.as_str().trim_start_matches(|c: char| !c.is_ascii_digit());
    (number.parse().unwrap_or(0), rollout.clone())
}

fn size(path: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() {
            size(&entry.path())?
        } else {
            metadata.len()
        };
    }
    Ok(bytes)
}
