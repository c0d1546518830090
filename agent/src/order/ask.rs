//! What people may ask about a host from afar, and what they are answered. Nothing changes by it. Deliberately no behaviour.

use std::path::PathBuf;

use echelon_proto::{App, Time};

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// What is wrong with this host?
    Doctor {
        /// The coordinator's clock when it asked.
        now: Time,
    },
    /// What runs of this app?
    Processes(App),
    /// Which releases are on the disk, of this app or of all?
    Releases(Option<App>),
    /// What are the last lines of this file?
    Tail(Tail),
}

/// The end of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
    /// Which.
    pub path: PathBuf,
    /// At most so many.
    pub lines: usize,
    /// What is written later too, for a while.
    pub follow: bool,
}

/// An answer, or a piece of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Why there is none, one line.
    Refused(String),
    /// Of the doctor.
    Findings(Vec<Finding>),
    /// Ordered by their numbers.
    Processes(Vec<Process>),
    /// Ordered by app and name.
    Releases(Vec<OnDisk>),
    /// The next bytes of the file.
    Data(Vec<u8>),
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What: `clock`, `certificate`, ...
    pub check: &'static str,
    /// How it is.
    pub health: Health,
    /// What was seen, one line.
    pub seen: String,
    /// What to do about it; empty when it is well.
    pub mend: String,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// As it should be.
    Well,
    /// It works, and will not for ever or for everything.
    Warning,
    /// It does not work.
    Fault,
}

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Of the one that started it.
    pub parent: u32,
    /// Its user's name, or number.
    pub user: String,
    /// As the kernel says it: `R`, `S`, `D`, `Z`, ...
    pub state: char,
    /// When it began.
    pub started: Time,
    /// Processor time it took, in milliseconds.
    pub cpu_ms: u64,
    /// Resident, in bytes.
    pub memory_bytes: u64,
    /// Its cgroup: the unit that it belongs to.
    pub unit: String,
    /// Its command line, cut short.
    pub command: String,
}

/// A release on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnDisk {
    /// Of which app.
    pub app: String,
    /// Its name.
    pub release: String,
    /// `current` leads to it.
    pub current: bool,
    /// When it was unpacked.
    pub installed: Option<Time>,
}
