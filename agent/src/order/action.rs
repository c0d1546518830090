//! What an order, a verify, a guard or a watch does: exactly one of these. Deliberately no behaviour, and nothing of how
//! it looks on the wire.

use std::collections::BTreeMap;

use echelon_proto::Span;
use serde::{Deserialize, Serialize};

/// What an order or a verify does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A program of the user's own.
    Run(Run),
    /// Ask a URL until it answers as wanted.
    Http(HttpCheck),
    /// Connect to a port until it answers.
    Tcp(TcpCheck),
    /// Act on a systemd unit.
    Systemd(Systemd),
    /// Act on the order's release.
    Artifact(Artifact),
    /// Ask until a condition over the answer holds.
    Poll(Poll),
    /// Write a file.
    File(File),
    /// Nothing is run; the ledger takes down what stands after it.
    Note,
}

/// Asks over and over until a condition over the answer holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Poll {
    /// `Http`, `Tcp` or `Run`.
    pub ask: Box<Action>,
    /// Between two questions.
    pub every: Span,
    /// CEL over the answer. A text and not a condition, because a ledger must be read by agents of other versions too,
    /// whatever conditions they know.
    pub until: String,
}

/// A file, written whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Absolute, or from the app's folder; without `..`.
    pub path: String,
    /// What is in it.
    pub content: Content,
    /// Permission bits, at most 0o777.
    pub mode: u32,
    /// None: the agent's own user.
    pub owner: Option<String>,
    /// None: the owner's.
    pub group: Option<String>,
}

/// What is in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// This text.
    Text(String),
    /// That of another file, its `${{ }}` replaced: absolute, or from the app's folder.
    Template(String),
}

/// A program: argv, never a shell string.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Never empty.
    pub argv: Vec<String>,
    /// Added to the agent's own `ECHELON_*` variables.
    pub env: BTreeMap<String, String>,
    /// None: the app's folder.
    pub cwd: Option<String>,
    /// None: the agent's own user.
    pub user: Option<String>,
    /// What it may use.
    #[serde(default)]
    pub limits: Limits,
    /// File name in `$CREDENTIALS_DIRECTORY` -> where the secret is below the agent's folder of secrets.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
}

/// What a program may use. None: as the agent may.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Of one core.
    pub cpu_percent: Option<u32>,
    /// Of memory.
    pub memory_bytes: Option<u64>,
    /// Files and sockets open at once, in one process.
    pub open_files: Option<u64>,
}

/// Holds when the URL answers as wanted this many times in a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpCheck {
    /// http or https.
    pub url: String,
    /// Wanted status.
    pub status: u16,
    /// At least 1.
    pub consecutive: u32,
    /// Between two requests.
    pub interval: Span,
    /// Of one request.
    pub request_timeout: Span,
    /// Wanted in the body. None: any body.
    pub contains: Option<String>,
}

/// Holds when the address accepts a connection this many times in a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpCheck {
    /// `host:port`
    pub address: String,
    /// At least 1.
    pub consecutive: u32,
    /// Between two connections.
    pub interval: Span,
}

/// One verb on one unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Systemd {
    /// As systemctl takes it.
    pub unit: String,
    /// What to do with it.
    pub verb: SystemdVerb,
}

/// What systemctl is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SystemdVerb {
    /// Start it and see that it is up.
    Start,
    /// Stop it.
    Stop,
    /// Restart it and see that it is up.
    Restart,
    /// Reload its configuration.
    Reload,
    /// Start it at boot.
    Enable,
    /// Do not start it at boot.
    Disable,
    /// True when it is active: for verify and watches.
    IsActive,
}

impl SystemdVerb {
    /// The word systemctl knows.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Reload => "reload",
            Self::Enable => "enable",
            Self::Disable => "disable",
            Self::IsActive => "is-active",
        }
    }
}

/// What to do with the order's release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// What to do.
    pub verb: ArtifactVerb,
    /// Releases kept besides the running and the previous one. None: the agent's default.
    pub keep: Option<u32>,
}

/// What is done with a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArtifactVerb {
    /// Into the store, checked.
    Fetch,
    /// Fetch where needed, unpack, swap `current`.
    Install,
    /// Swap `current` to a release on the disk.
    Activate,
    /// Take away `current` and every release.
    Remove,
    /// Take away old releases.
    Prune,
}
