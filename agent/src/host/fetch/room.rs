//! Whether a disk has room for what is to come, asked before it comes: a disk that is full in the middle of a download takes
//! everything else on it along. Only an early word: who writes still has to bear a disk that is full.

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use nix::sys::statvfs::statvfs;

/// There is not enough.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::host) struct Shortage {
    path: PathBuf,
    free: u64,
    needed: u64,
    kept: u64,
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            free,
            needed,
            kept,
        } = self;
        let path = path.display();
        write!(
            f,
            "the disk of {path} has {free} bytes free, this needs {needed} and {kept} are kept free; make room, or prune \
             old releases"
        )
    }
}

/// Whether each folder's disk can take its bytes and keep `kept` free. Folders on one disk need their bytes together.
pub(super) fn look(claims: &[(&Path, u64)], kept: u64) -> Result<(), Shortage> {
    let mut disks: BTreeMap<u64, (PathBuf, u64)> = BTreeMap::new();
    for (folder, bytes) in claims {
        // What cannot be looked at says so itself when it is written to.
        let Ok((there, device)) = standing(folder) else {
            continue;
        };
        let (_, needed) = disks.entry(device).or_insert((there, 0));
        *needed = needed.saturating_add(*bytes);
    }
    for (path, needed) in disks.into_values() {
        let Ok(disk) = statvfs(&path) else { continue };
        let free = disk.blocks_available().saturating_mul(disk.fragment_size());
        if free < needed.saturating_add(kept) {
            return Err(Shortage {
                path,
                free,
                needed,
                kept,
            });
        }
    }
    Ok(())
}

/// The folder, or the first above it that is there.
fn standing(folder: &Path) -> io::Result<(PathBuf, u64)> {
    let there = folder.ancestors().find(|above| above.exists());
    let there = there.ok_or(io::ErrorKind::NotFound)?;
    Ok((there.to_owned(), fs::metadata(there)?.dev()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_one_disk_is_needed_together_and_a_folder_need_not_be_there_yet() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one/deep"), folder.path().join("two"));
        assert_eq!(look(&[(&one, 1), (&two, 1)], 0), Ok(()));
        let short = look(&[(&one, u64::MAX / 2), (&two, 7)], 5).unwrap_err();
        assert_eq!((short.needed, short.kept), (u64::MAX / 2 + 7, 5));
        let text = short.to_string();
        assert!(text.contains("bytes free") && text.contains("prune"), "{text}");
        assert!(look(&[(&one, 0)], u64::MAX).is_err(), "what is kept free counts too");
    }
}
