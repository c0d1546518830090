//! The agent's durable truth: where each app stands, and of each attempt how it ended, until the coordinator holds it.
//! One record, replaced whole: written new, fsynced, renamed, folder fsynced, so a crash leaves the old or the new one and
//! never a mixture. Deliberately no decisions: `machine` makes them.

mod memory;

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use echelon_failpoint as failpoint;
use echelon_proto::{App, Digest, Fence, Time};
use serde::{Deserialize, Serialize};

pub use self::memory::Disk;
use crate::order::{Order, Report, Standing};

/// The first word of a ledger file; the number is the layout's version.
const MAGIC: &str = "echelon-ledger 1";

/// Everything the agent must not forget.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// The highest term obeyed.
    pub term: u64,
    /// Of the last report made.
    pub sequence: u64,
    /// Where each app stands.
    pub apps: BTreeMap<App, Standing>,
    /// Oldest first.
    pub attempts: Vec<Attempt>,
}

/// One attempt that was begun, or refused for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Which.
    pub fence: Fence,
    /// Of which app.
    pub app: App,
    /// When it was begun, by this host's clock.
    pub started: Time,
    /// How far it is.
    pub progress: Progress,
}

/// How far an attempt is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// Begun; the order is kept so that a restarted agent can take it up.
    Running(Box<Order>),
    /// Ended; the coordinator does not hold the report yet.
    Ended(Box<Report>),
    /// Ended and acknowledged; kept, without its tail, to recognise the order when it comes again.
    Acknowledged(Box<Report>),
}

/// What can be wrong with a ledger.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refuses.
    #[error("the ledger {path} cannot be {doing}: {source}; make room or mend the file system")]
    Io {
        /// The file.
        path: PathBuf,
        /// `read` or `written`.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The file is there and is not what was written.
    #[error(
        "the ledger {path} is damaged ({why}); compare the host with the coordinator, then move the file away and the \
         agent starts with an empty one"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// In which way.
        why: String,
    },
}

/// Where a ledger is kept.
#[derive(Debug, Clone)]
pub enum Store {
    /// On disk: the real one.
    File(PathBuf),
    /// Nowhere: agents of the testbed's fleet, which die with their process.
    Memory,
    /// On a made-up disk, which outlives the agent: the real-stack simulation.
    Disk(Disk),
}

impl Store {
    /// Reads the ledger; an absent file is an empty ledger.
    pub fn load(&self) -> Result<Ledger, Error> {
        let path = match self {
            Self::File(path) => path,
            Self::Memory => return Ok(Ledger::default()),
            Self::Disk(disk) => return disk.load(),
        };
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Ledger::default()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(damaged(path, "not a text".to_owned()));
            }
            Err(source) => {
                return Err(Error::Io {
                    path: path.clone(),
                    doing: "read",
                    source,
                });
            }
        };
        decode(&text).map_err(|why| damaged(path, why))
    }

    /// Makes the ledger durable. On an error the old one stands.
    pub async fn save(&self, ledger: &Ledger) -> Result<(), Error> {
        let path = match self {
            Self::File(path) => path,
            Self::Memory => return Ok(()),
            Self::Disk(disk) => return disk.save(ledger).await,
        };
        let (path, text) = (path.clone(), encode(ledger));
        // A disk may take long; the session's other work must not wait on this thread.
        let written = tokio::task::spawn_blocking(move || {
            replace(&path, text.as_bytes(), 0o600).map_err(|source| Error::Io {
                path,
                doing: "written",
                source,
            })
        });
        match written.await {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
}

fn damaged(path: &Path, why: String) -> Error {
    Error::Damaged {
        path: path.to_owned(),
        why,
    }
}

fn encode(ledger: &Ledger) -> String {
    let body = serde_json::to_string(ledger).expect("a ledger has no map keys but names and no floats");
    format!("{MAGIC} {}\n{body}\n", Digest::of(body.as_bytes()))
}

fn decode(text: &str) -> Result<Ledger, String> {
    let (head, body) = text.split_once('\n').ok_or("it has no first line")?;
    let body = body.strip_suffix('\n').ok_or("its end is missing")?;
    let sum = head
        .strip_prefix(MAGIC)
        .ok_or_else(|| format!("it does not begin with {MAGIC:?}"))?;
    if sum.trim() != Digest::of(body.as_bytes()).to_string() {
        return Err("its checksum does not match".to_owned());
    }
    serde_json::from_str(body).map_err(|error| error.to_string())
}

/// Replaces a small file whole and durably: a reader finds the old or the new content, also after a power cut.
pub(crate) fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let folder = path.parent().ok_or_else(|| io::Error::other("a file needs a folder"))?;
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    failpoint::pass(&name, "begun");
    // A file left by a crash may have other rights.
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let put = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&fresh)?;
        file.write_all(content)?;
        failpoint::pass(&name, "written");
        file.sync_all()?;
        failpoint::pass(&name, "synced");
        fs::rename(&fresh, path)
    };
    // Half a file on a full disk would only take room from others.
    put().inspect_err(|_| {
        let _ = fs::remove_file(&fresh);
    })?;
    failpoint::pass(&name, "renamed");
    sync_folder(folder)?;
    failpoint::pass(&name, "kept");
    Ok(())
}

/// Makes names made or taken away in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
