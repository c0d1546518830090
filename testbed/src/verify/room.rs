//! Where the steps work: a folder for temporary files that is theirs alone, so that what they leave behind is seen, and
//! the folder of their logs. Deliberately nothing that outlives the run but the logs.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use tokio::time;

use crate::{
    place::Place,
    reaper::{Reaper, descendants},
};

/// What was told to end when a step ended may still be at it.
const ENDS_WITHIN: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The room.
#[derive(Debug)]
pub(super) struct Room {
    logs: PathBuf,
    place: Place,
}

impl Room {
    /// With logs in this folder, which is made.
    pub(super) fn new(logs: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir_all(&logs).with_context(|| format!("{} cannot be made", logs.display()))?;
        Ok(Self {
            logs,
            place: Place::new("verify", false)?,
        })
    }

    /// For TMPDIR.
    pub(super) fn temporary(&self) -> &Path {
        self.place.path()
    }

    /// One file a step, of the last run.
    pub(super) fn logs(&self) -> &Path {
        &self.logs
    }

    /// Ends what still runs and removes what still lies about, and names it.
    pub(super) async fn clear(&self) -> Vec<String> {
        let mut left = processes().await;
        left.extend(self.files());
        left
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.temporary()).into_iter().flatten().flatten();
        let removed = entries.map(|entry| {
            let path = entry.path();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let gone = if is_folder {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            };
            let how = gone.err().map(|error| format!(", which cannot be removed: {error}"));
            format!("file {}{}", path.display(), how.unwrap_or_default())
        });
        removed.collect()
    }
}

async fn processes() -> Vec<String> {
    let _ = time::timeout(ENDS_WITHIN, async {
        while !descendants().is_empty() {
            time::sleep(LOOK_EVERY).await;
        }
    })
    .await;
    let left = descendants();
    // Also takes the ends of those who became our children when their parents ended.
    let _ = tokio::task::spawn_blocking(Reaper::sweep).await;
    left.into_iter()
        .map(|process| format!("process {} ({})", process.pid, process.command))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_about_is_named_once_and_what_a_link_points_to_stays() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("kept"), "").unwrap();
        let room = Room::new(outside.path().join("logs")).unwrap();
        fs::create_dir_all(room.temporary().join("folder/inside")).unwrap();
        fs::write(room.temporary().join("it"), "").unwrap();
        std::os::unix::fs::symlink(outside.path(), room.temporary().join("link")).unwrap();
        let left = room.files();
        assert_eq!(left.len(), 3, "{left:?}");
        assert!(left.iter().any(|line| line.ends_with("/folder")), "{left:?}");
        assert!(room.files().is_empty() && outside.path().join("kept").exists());
    }
}
