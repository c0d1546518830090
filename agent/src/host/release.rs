//! One app's releases on the disk: `releases/NAME`, and `current`, a link to the one that stands. A release comes to be by
//! one rename and carries a mark of what it was made from; `current` changes by one rename. So a kill at any line leaves
//! either the old or the new, and at most a folder to sweep. Deliberately no network.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    time::{Instant, SystemTime},
};

use echelon_failpoint as failpoint;
use echelon_proto::{Digest, ReleaseName};
use nix::unistd::syncfs;
use serde::{Deserialize, Serialize};

use super::unpack::{self, Limits, unpack};
use crate::ledger::{replace, sync_folder};

/// In each release: what it was made from.
pub(super) const MARK: &str = ".echelon-release";
/// Begin of the names of folders on their way in or out.
const SCRAP: &str = ".echelon-scrap-";

/// Why releases could not be changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// A release of this name is there and was made from something else.
    #[error(
        "release {name} is on the disk already, made from {there}, but the order says {wanted}: a release's name means \
         one artifact; give the new one another name"
    )]
    Differs {
        name: ReleaseName,
        there: String,
        wanted: String,
    },
    /// There is none of this name.
    #[error("release {0} is not on the disk of this host: install it first")]
    Absent(ReleaseName),
    /// `current` is no link of ours.
    #[error("{0} is there and is no link: the agent did not make it; move it away")]
    NotOurs(PathBuf),
    /// The archive.
    #[error(transparent)]
    Unpack(#[from] unpack::Error),
    /// The disk.
    #[error("{path}: {source}")]
    Disk { path: PathBuf, source: io::Error },
}

#[derive(Debug, Serialize, Deserialize)]
struct Mark {
    /// None: a release without an artifact.
    sha256: Option<Digest>,
}

/// The folder of one app.
#[derive(Debug, Clone)]
pub(super) struct Releases {
    app: PathBuf,
}

impl Releases {
    pub(super) fn of(app: PathBuf) -> Self {
        Self { app }
    }

    /// The app's own folder.
    pub(super) fn app(&self) -> &Path {
        &self.app
    }

    /// Where a release lies.
    pub(super) fn folder(&self, name: &ReleaseName) -> PathBuf {
        self.app.join("releases").join(name.as_str())
    }

    /// The link.
    pub(super) fn current(&self) -> PathBuf {
        self.app.join("current")
    }

    fn disk(&self, source: io::Error) -> Error {
        Error::Disk {
            path: self.app.clone(),
            source,
        }
    }

    /// Whether this release is here, made from just this.
    pub(super) fn has(&self, name: &ReleaseName, wanted: Option<Digest>) -> Result<bool, Error> {
        let folder = self.folder(name);
        if !folder.exists() {
            return Ok(false);
        }
        let mark = fs::read(folder.join(MARK))
            .ok()
            .and_then(|text| serde_json::from_slice::<Mark>(&text).ok());
        let words = |digest: Option<Digest>| digest.map_or("no artifact".to_owned(), |d| format!("sha256 {d}"));
        match mark {
            Some(mark) if mark.sha256 == wanted => Ok(true),
            there => Err(Error::Differs {
                name: name.clone(),
                there: there.map_or("something unknown (it has no mark)".to_owned(), |mark| {
                    words(mark.sha256)
                }),
                wanted: words(wanted),
            }),
        }
    }

    /// Makes a release from an archive, or an empty one. Blocks.
    pub(super) fn add(
        &self,
        name: &ReleaseName,
        archive: Option<(&Path, Digest)>,
        limits: Limits,
        deadline: Instant,
    ) -> Result<(), Error> {
        let releases = self.app.join("releases");
        fs::create_dir_all(&releases).map_err(|error| self.disk(error))?;
        let scrap = self.scrap().map_err(|error| self.disk(error))?;
        let fresh = scrap.join("release");
        let made = (|| {
            DirBuilder::new()
                .mode(0o700)
                .create(&fresh)
                .map_err(|error| self.disk(error))?;
            if let Some((archive, _)) = archive {
                unpack(archive, &fresh, limits, deadline)?;
            }
            self.seal(&fresh, archive.map(|(_, digest)| digest), &self.folder(name))
                .map_err(|error| self.disk(error))
        })();
        let _ = fs::remove_dir_all(&scrap);
        made
    }

    /// Marks what was unpacked, makes all of it durable, and gives it its name.
    fn seal(&self, fresh: &Path, sha256: Option<Digest>, folder: &Path) -> io::Result<()> {
        replace(&fresh.join(MARK), &serde_json::to_vec(&Mark { sha256 })?, 0o644)?;
        fs::set_permissions(fresh, fs::Permissions::from_mode(0o755))?;
        // One call for a tree of any size; it reports what could not be written.
        syncfs(File::open(fresh)?)?;
        failpoint::pass("release", "synced");
        fs::rename(fresh, folder)?;
        failpoint::pass("release", "renamed");
        sync_folder(&self.app.join("releases"))
    }

    /// Makes this release the one that stands.
    pub(super) fn activate(&self, name: &ReleaseName) -> Result<(), Error> {
        if !self.folder(name).is_dir() {
            return Err(Error::Absent(name.clone()));
        }
        let current = self.current();
        if fs::symlink_metadata(&current).is_ok_and(|meta| !meta.is_symlink()) {
            return Err(Error::NotOurs(current));
        }
        let swap = || {
            let fresh = self.scrap()?.join("current");
            symlink(Path::new("releases").join(name.as_str()), &fresh)?;
            failpoint::pass("current", "made");
            fs::rename(&fresh, &current)?;
            failpoint::pass("current", "renamed");
            sync_folder(&self.app)
        };
        let swapped = swap().map_err(|error| self.disk(error));
        self.sweep();
        swapped
    }

    /// Takes `current` and every release away. What else lies in the app's folder is the app's.
    pub(super) fn remove(&self) -> Result<(), Error> {
        self.deactivate()?;
        self.discard(&self.app.join("releases"))
            .map_err(|error| self.disk(error))
    }

    /// Takes `current` away and leaves the releases: nothing stands any more.
    pub(super) fn deactivate(&self) -> Result<(), Error> {
        let current = self.current();
        let take = || {
            if fs::symlink_metadata(&current).is_ok_and(|meta| meta.is_symlink()) {
                fs::remove_file(&current)?;
                sync_folder(&self.app)?;
            }
            Ok(())
        };
        take().map_err(|error| self.disk(error))
    }

    /// Takes old releases away: all but the newest `keep` of those that are neither current nor named in `spared`.
    pub(super) fn prune(&self, spared: &[&ReleaseName], keep: usize) -> Result<(), Error> {
        let current = fs::read_link(self.current()).ok();
        let current = current.as_deref().and_then(Path::file_name);
        let mut old: Vec<(SystemTime, PathBuf)> = fs::read_dir(self.app.join("releases"))
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| {
                let name = entry.file_name();
                Some(name.as_os_str()) != current && !spared.iter().any(|spare| spare.as_str() == name)
            })
            .filter_map(|entry| {
                Some((
                    fs::metadata(entry.path().join(MARK)).ok()?.modified().ok()?,
                    entry.path(),
                ))
            })
            .collect();
        old.sort();
        let surplus = old.len().saturating_sub(keep);
        for (_, folder) in old.into_iter().take(surplus) {
            self.discard(&folder).map_err(|error| self.disk(error))?;
        }
        Ok(())
    }

    /// Out of the way by one rename first: half a release must never have a release's name.
    fn discard(&self, folder: &Path) -> io::Result<()> {
        if !folder.exists() {
            return Ok(());
        }
        let scrap = self.scrap()?;
        fs::rename(folder, scrap.join("gone"))?;
        failpoint::pass("release", "gone");
        fs::remove_dir_all(scrap)
    }

    /// A fresh folder that only this call uses.
    fn scrap(&self) -> io::Result<PathBuf> {
        DirBuilder::new().recursive(true).mode(0o755).create(&self.app)?;
        let scrap = self.app.join(format!("{SCRAP}{:016x}", rand::random::<u64>()));
        DirBuilder::new().mode(0o700).create(&scrap)?;
        Ok(scrap)
    }

    /// Takes away what a kill left behind. Only while no other order for this app runs.
    pub(super) fn sweep(&self) {
        for entry in fs::read_dir(&self.app).into_iter().flatten().flatten() {
            if entry.file_name().as_encoded_bytes().starts_with(SCRAP.as_bytes()) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}
