//! The agent's own upgrade, side by side with the version that the package brought. That one stays where it is, and it alone
//! writes the record: it puts new versions beside itself, decides at each start which of them runs, and guards a new one
//! until it has shown that it can be reached. What survives a power cut is the record, replaced whole:
//!
//! ```text
//! STATE/versions/SHA256/echelon-agent   a version that was staged
//! STATE/upgrade.json                    who runs: the one on trial, else the one committed, else the package's own
//! STATE/proven                          the binary that was last welcomed by the coordinator with its ledger read
//!
//! stage    copied beside, and seen to run on this host
//! switch   on trial; the unit is restarted
//! start    of the unit: the package's binary becomes the one that the record names; on trial only under a guard
//! guard    a unit of its own: a trial that is not proven in its time is taken back, whoever can be reached
//! commit   a trial that is proven stays
//! return   what was on trial or committed gives way to what ran before it
//! another version of the package is installed: that one runs, whatever was committed over the one before
//! ```
//!
//! Deliberately nothing of what an upgrade is for a fleet: that is the playbook's, and the coordinator's.

mod guard;
mod record;
mod service;

use std::{
    env,
    ffi::OsString,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _},
    os::unix::{
        fs::{DirBuilderExt as _, OpenOptionsExt as _},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use echelon_failpoint as failpoint;
use echelon_proto::{Digest, Span};
use sha2::{Digest as _, Sha256};

use self::{
    record::{Record, Returned, Trial, Version},
    service::Service,
};
use crate::ledger::{replace, sync_folder};

/// The app under which agents upgrade themselves: on every host the same, because its orders run alone.
pub const APP: &str = "echelon-agent";
const BINARY: &str = "echelon-agent";
/// Of `--version` of a binary that is to be staged.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
const READ_BYTES: usize = 64 * 1024;
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Why a step was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the upgrade.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The new binary does not run on this host.
    #[error("{path} is no agent for this host: {why}")]
    Useless {
        /// Which.
        path: PathBuf,
        /// What it did instead.
        why: String,
    },
    /// systemd does not do what it is asked.
    #[error("{0}")]
    Service(String),
    /// The step makes no sense as things stand.
    #[error("{0}")]
    Misplaced(String),
}

/// One agent's upgrades.
#[derive(Debug, Clone)]
pub struct Upgrade {
    state_dir: PathBuf,
    service: Service,
    /// Of the package's binary.
    version: String,
}

impl Upgrade {
    /// Of the agent with this state folder and this config; `version` is that of the binary that calls.
    #[must_use]
    pub fn new(state_dir: PathBuf, config: PathBuf, version: &str) -> Self {
        Self {
            state_dir,
            service: Service::new(config),
            version: version.to_owned(),
        }
    }

    /// Puts this binary beside the one that runs. Gives its version.
    ///
    /// # Errors
    /// It cannot be copied, or does not run here.
    pub fn stage(&self, from: &Path) -> Result<String, Error> {
        let digest = digest(from)?;
        let to = self.binary(&digest);
        if !to.exists() {
            copy(from, &to)?;
        }
        let version = version_of(&to)?;
        self.changed(|record| {
            record.staged = Some(Version {
                digest,
                version: version.clone(),
            });
            Ok(())
        })?;
        Ok(version)
    }

    /// Puts what was staged on trial and has the unit restarted; the caller must not be of that unit.
    ///
    /// # Errors
    /// It was not staged, or systemd does not restart the unit.
    pub fn switch(&self, from: &Path, within: Span) -> Result<String, Error> {
        let digest = digest(from)?;
        let staged = self.changed(|record| {
            let staged = record.staged.clone().filter(|staged| staged.digest == digest);
            let staged = staged.ok_or_else(|| Error::Misplaced(format!("{} was not staged", from.display())))?;
            if record.committed.as_ref() != Some(&staged) {
                // What it may have shown in an earlier trial says nothing of this one.
                remove(&self.proven())?;
                record.returned = None;
                record.trial = Some(Trial {
                    of: staged.clone(),
                    within,
                });
                record.restart_owed = true;
            }
            Ok(staged)
        })?;
        self.restart_if_owed()?;
        Ok(staged.version)
    }

    /// Waits until the trial of this binary is decided: gives its version when it has shown that it can be reached.
    ///
    /// # Errors
    /// It was taken back, and why; or it is not on trial.
    pub fn probe(&self, from: &Path) -> Result<String, Error> {
        let digest = digest(from)?;
        loop {
            let record = self.record()?;
            if let Some(committed) = record.committed.filter(|committed| committed.digest == digest) {
                return Ok(committed.version);
            }
            if let Some(returned) = record.returned.filter(|returned| returned.of.digest == digest) {
                return Err(Error::Misplaced(returned.to_string()));
            }
            match record.trial.filter(|trial| trial.of.digest == digest) {
                Some(trial) if self.is_proven(&trial.of) => return Ok(trial.of.version),
                Some(_) => thread::sleep(LOOK_EVERY),
                None => return Err(Error::Misplaced(format!("{} is not on trial", from.display()))),
            }
        }
    }

    /// Makes the version on trial the one that stays, and takes away what no way leads back to.
    ///
    /// # Errors
    /// It is not on trial, or has not shown that it can be reached.
    pub fn commit(&self, from: &Path) -> Result<String, Error> {
        let digest = digest(from)?;
        let version = self.changed(|record| {
            if let Some(committed) = record.committed.as_ref().filter(|one| one.digest == digest) {
                return Ok(committed.version.clone());
            }
            let trial = record.trial.take().filter(|trial| trial.of.digest == digest);
            let of = trial.map(|trial| trial.of).filter(|of| self.is_proven(of));
            let of = of.ok_or_else(|| Error::Misplaced(format!("{} has not stood its trial", from.display())))?;
            record.previous = record.committed.replace(of.clone());
            Ok(of.version)
        })?;
        self.prune();
        Ok(version)
    }

    /// Goes back to what ran before this binary, if that is on trial or committed; the unit is then restarted.
    ///
    /// # Errors
    /// The record cannot be written, or systemd does not restart the unit.
    pub fn give_way(&self, from: &Path) -> Result<bool, Error> {
        // Without a binary nothing of this release can have been staged.
        let Ok(digest) = digest(from) else { return Ok(false) };
        let gives_way = self.changed(|record| {
            let is_trial = record.trial.as_ref().is_some_and(|trial| trial.of.digest == digest);
            let is_committed = record.committed.as_ref().is_some_and(|one| one.digest == digest);
            if is_trial {
                record.trial = None;
            } else if is_committed {
                record.committed = record.previous.take();
            }
            record.restart_owed |= is_trial || is_committed;
            Ok(is_trial || is_committed)
        })?;
        self.restart_if_owed()?;
        Ok(gives_way)
    }

    /// At the start of the unit: becomes the version that is to run. Comes back when that is the binary that calls.
    ///
    /// # Errors
    /// The record cannot be read or written: then the caller runs, which the package brought.
    pub fn become_chosen(&self, arguments: impl Iterator<Item = OsString>) -> Result<(), Error> {
        let own = env::current_exe().map_err(|source| of_file(Path::new("/proc/self/exe"), source))?;
        // One below this folder has been chosen already.
        if !self.record_file().exists() || own.starts_with(self.versions()) {
            return Ok(());
        }
        let arguments: Vec<_> = arguments.collect();
        // A second time at most: of what cannot be run the record has then been told.
        while let Some(chosen) = self.chosen(&own)? {
            let binary = self.binary(&chosen.digest);
            let error = Command::new(&binary).arg0(BINARY).args(&arguments).exec();
            self.give_up(&chosen, &format!("{} cannot be started: {error}", binary.display()))?;
        }
        Ok(())
    }

    /// Which version is to run; None: the package's own.
    fn chosen(&self, own: &Path) -> Result<Option<Version>, Error> {
        self.changed(|record| {
            // The unit is being started: with that nothing more is owed.
            record.restart_owed = false;
            if record.package != self.version {
                let why = format!("version {} of the package was installed", self.version);
                *record = Record {
                    package: self.version.clone(),
                    returned: record.trial.take().map(|trial| Returned { of: trial.of, why }),
                    ..Record::default()
                };
            }
            if let Some(trial) = &record.trial
                && !self.is_proven(&trial.of)
                && let Err(why) = self.service.guard(own)
            {
                record.take_back(format!("nobody guards it: {why}"));
            }
            Ok(record.chosen().cloned())
        })
    }

    /// What was chosen cannot be run.
    fn give_up(&self, version: &Version, why: &str) -> Result<(), Error> {
        self.changed(|record| {
            if record.trial.as_ref().is_some_and(|trial| trial.of == *version) {
                record.take_back(why.to_owned());
            } else {
                record.committed = record.previous.take().filter(|previous| previous != version);
            }
            Ok(())
        })
    }

    fn restart_if_owed(&self) -> Result<(), Error> {
        if self.record()?.restart_owed {
            self.service.restart()?;
        }
        Ok(())
    }

    fn versions(&self) -> PathBuf {
        self.state_dir.join("versions")
    }

    fn binary(&self, digest: &Digest) -> PathBuf {
        self.versions().join(digest.to_string()).join(BINARY)
    }

    fn record_file(&self) -> PathBuf {
        self.state_dir.join("upgrade.json")
    }

    fn proven(&self) -> PathBuf {
        proven(&self.state_dir)
    }

    fn is_proven(&self, version: &Version) -> bool {
        let told = fs::read_to_string(self.proven()).unwrap_or_default();
        Path::new(&told) == self.binary(&version.digest)
    }

    fn record(&self) -> Result<Record, Error> {
        let path = self.record_file();
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| of_file(&path, error.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Record {
                package: self.version.clone(),
                ..Record::default()
            }),
            Err(error) => Err(of_file(&path, error)),
        }
    }

    /// Changes the record, durably, and nobody else meanwhile. Nothing is written when `how` says why not, or changes nothing.
    fn changed<T>(&self, how: impl FnOnce(&mut Record) -> Result<T, Error>) -> Result<T, Error> {
        let path = self.state_dir.join("upgrade.lock");
        let lock = File::create(&path).map_err(|source| of_file(&path, source))?;
        lock.lock().map_err(|source| of_file(&path, source))?;
        let before = self.record()?;
        let mut record = before.clone();
        let told = how(&mut record)?;
        if record != before {
            let path = self.record_file();
            let text = serde_json::to_vec_pretty(&record).map_err(|error| of_file(&path, error.into()))?;
            replace(&path, &text, 0o600).map_err(|source| of_file(&path, source))?;
        }
        Ok(told)
    }

    /// Takes away versions that the record does not name. One that stays by mistake is only room on the disk.
    fn prune(&self) {
        let Ok(record) = self.record() else { return };
        for entry in fs::read_dir(self.versions()).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if !record.names(|version| name.to_str() == Some(&version.digest.to_string())) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// Says that the binary that calls can be reached: it has read its ledger, was welcomed, and has heard the coordinator's
/// heart. Writes only where an upgrade has ever been staged.
///
/// # Errors
/// It cannot be written; then a trial ends as if it had not been said.
pub fn prove(state_dir: &Path) -> io::Result<()> {
    if !state_dir.join("upgrade.json").exists() {
        return Ok(());
    }
    let own = env::current_exe()?;
    let (path, own) = (proven(state_dir), own.as_os_str().as_encoded_bytes());
    if fs::read(&path).is_ok_and(|told| told == own) {
        return Ok(());
    }
    replace(&path, own, 0o600)
}

fn proven(state_dir: &Path) -> PathBuf {
    state_dir.join("proven")
}

fn of_file(path: &Path, source: io::Error) -> Error {
    Error::Io {
        path: path.to_owned(),
        source,
    }
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(of_file(path, error)),
        _ => Ok(()),
    }
}

fn digest(path: &Path) -> Result<Digest, Error> {
    let mut file = File::open(path).map_err(|source| of_file(path, source))?;
    let mut sum = Sha256::new();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match file.read(&mut buffer).map_err(|source| of_file(path, source))? {
            0 => break,
            read => sum.update(&buffer[..read]),
        }
    }
    Ok(Digest::from_bytes(sum.finalize().into()))
}

/// Whole and durable, or not there.
fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    let folder = to.parent().unwrap_or(to);
    let fresh = folder.join("new");
    let put = || {
        DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
        let _ = fs::remove_file(&fresh);
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o755).open(&fresh)?;
        io::copy(&mut File::open(from)?, &mut file)?;
        failpoint::pass("version", "written");
        file.sync_all()?;
        failpoint::pass("version", "synced");
        fs::rename(&fresh, to)?;
        failpoint::pass("version", "renamed");
        sync_folder(folder)?;
        folder.parent().map_or(Ok(()), sync_folder)?;
        failpoint::pass("version", "kept");
        Ok(())
    };
    put().map_err(|source| {
        // On a full disk half a binary would only take room from others.
        let _ = fs::remove_dir_all(folder);
        of_file(to, source)
    })
}

/// What a binary says of itself.
fn version_of(binary: &Path) -> Result<String, Error> {
    let useless = |why: String| Error::Useless {
        path: binary.to_owned(),
        why,
    };
    let mut command = Command::new(binary);
    command.arg("--version");
    let said = service::said(&mut command, ANSWERS_WITHIN).map_err(useless)?;
    let version = said
        .trim()
        .strip_prefix("echelon-agent ")
        .filter(|version| !version.is_empty());
    version.map(str::to_owned).ok_or_else(|| {
        useless(format!(
            "asked for its version it says {:?}",
            said.chars().take(80).collect::<String>()
        ))
    })
}
