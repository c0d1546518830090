//! The folders of attempts: made, found again by a later agent, and taken away when there are enough. A folder is taken
//! away only when its attempt is over for this agent and its supervisor is gone.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use echelon_proto::{Digest, Fence};

use super::program::Program;
use crate::output::{Outputs, sent_mark, written};

/// Folders whose output the coordinator holds, kept for a person who looks: at 8 MiB of output at most, 256 MiB.
const SENT_MAX: usize = 32;
/// Folders in all; beyond it the oldest go although their output was not sent.
const ALL_MAX: usize = 128;
/// Readable part of a name.
const READABLE_CHARS: usize = 64;

/// All of them.
#[derive(Debug)]
pub(super) struct Runs {
    folder: PathBuf,
    outputs: Arc<Outputs>,
    /// Of attempts under way in this agent.
    active: Mutex<BTreeSet<PathBuf>>,
}

impl Runs {
    /// Opens the folder and offers the output that an earlier agent had not sent.
    pub(super) fn open(folder: PathBuf) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let runs = Self {
            folder,
            outputs: Arc::default(),
            active: Mutex::default(),
        };
        for dir in runs.folders() {
            if dir
                .file_name()
                .is_some_and(|name| name.as_encoded_bytes().starts_with(PROBE.as_bytes()))
            {
                let _ = fs::remove_dir_all(dir);
                continue;
            }
            let main = Program::new(dir.join("main"));
            let (Some(fence), false) = (main.fence(), sent_mark(&main.output()).exists()) else {
                continue;
            };
            runs.outputs.begin(fence.clone(), main.output());
            if !main.is_supervised() {
                let bytes = main
                    .exit()
                    .map_or_else(|| written(&main.output()), |exit| exit.output_bytes);
                runs.outputs.end(&fence, bytes);
            }
        }
        runs.prune();
        Ok(runs)
    }

    pub(super) fn outputs(&self) -> Arc<Outputs> {
        self.outputs.clone()
    }

    /// The folder of an attempt, as its earlier agent left it when resumed and empty when not.
    pub(super) fn begin(self: &Arc<Self>, fence: &Fence, resumed: bool) -> Active {
        let dir = self.folder.join(key(fence));
        self.active().insert(dir.clone());
        // Of an attempt that the ledger does not know: a ledger taken away by hand. What still runs is taken up.
        if !resumed && !Program::new(dir.join("main")).is_supervised() {
            self.outputs.forget(fence);
            let _ = fs::remove_dir_all(&dir);
        }
        Active {
            dir,
            runs: self.clone(),
            is_scratch: false,
        }
    }

    /// A folder for one answer.
    pub(super) fn scratch(self: &Arc<Self>, number: u64) -> Active {
        // Of this process: one that an earlier agent asked may still run, and clears up after itself.
        let dir = self.folder.join(format!("{PROBE}{}-{number}", std::process::id()));
        self.active().insert(dir.clone());
        Active {
            dir,
            runs: self.clone(),
            is_scratch: true,
        }
    }

    fn active(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn folders(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    }

    fn prune(&self) {
        let mut over: Vec<_> = self
            .folders()
            .into_iter()
            .filter(|dir| !self.active().contains(dir))
            .filter_map(|dir| Some((fs::metadata(&dir).ok()?.modified().ok()?, dir)))
            .collect();
        over.sort();
        over.reverse();
        let mut sent = 0;
        for (at, (_, dir)) in over.iter().enumerate() {
            let main = Program::new(dir.join("main"));
            let is_sent = main.fence().is_none() || sent_mark(&main.output()).exists();
            sent += usize::from(is_sent);
            if (at < ALL_MAX && !(is_sent && sent > SENT_MAX)) || main.is_supervised() {
                continue;
            }
            if let Some(fence) = main.fence() {
                self.outputs.forget(&fence);
            }
            let _ = fs::remove_dir_all(dir);
        }
    }
}

/// Begin of the names of folders for probes: no name of a rollout begins so.
const PROBE: &str = "~probe-";

/// Readable, unique whatever the names, and short enough for any file system.
fn key(fence: &Fence) -> String {
    let whole = format!("{}/{}/{}/{}", fence.rollout, fence.host, fence.phase, fence.attempt);
    let readable = format!("{}.{}.{}", fence.rollout, fence.attempt, fence.phase);
    let readable: String = readable.chars().take(READABLE_CHARS).collect();
    format!("{readable}~{}", Digest::of(whole.as_bytes()).short())
}

/// A folder in use; given back when dropped.
#[derive(Debug)]
pub(super) struct Active {
    dir: PathBuf,
    runs: Arc<Runs>,
    is_scratch: bool,
}

impl Active {
    pub(super) fn path(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.runs.active().remove(&self.dir);
        if self.is_scratch {
            let _ = fs::remove_dir_all(&self.dir);
        } else {
            self.runs.prune();
        }
    }
}

#[cfg(test)]
mod tests {
    use echelon_proto::{HostId, PhaseName, RolloutId};

    use super::*;

    fn fence(attempt: u32) -> Fence {
        Fence {
            term: 1,
            rollout: RolloutId::new("r".repeat(128)).unwrap(),
            host: HostId::new("h1").unwrap(),
            phase: PhaseName::new("p".repeat(128)).unwrap(),
            attempt,
        }
    }

    #[test]
    fn names_are_short_and_of_one_attempt_each() {
        assert_ne!(key(&fence(1)), key(&fence(2)));
        assert!(key(&fence(1)).len() < 100);
        let newer = Fence { term: 9, ..fence(1) };
        assert_eq!(key(&newer), key(&fence(1)), "the term is not part of the attempt");
    }

    #[test]
    fn old_folders_go_and_those_in_use_stay() {
        let folder = tempfile::tempdir().unwrap();
        let runs = Arc::new(Runs::open(folder.path().join("runs")).unwrap());
        let used = runs.begin(&fence(0), false);
        fs::create_dir_all(used.path().join("main")).unwrap();
        for attempt in 1..=SENT_MAX as u32 + 10 {
            let run = runs.begin(&fence(attempt), false);
            fs::create_dir_all(run.path().join("main")).unwrap();
        }
        assert_eq!(runs.folders().len(), SENT_MAX + 1);
        assert!(used.path().exists());
    }
}
