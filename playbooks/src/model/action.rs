//! What a phase, a verify or a probe does: exactly one of these.

use std::collections::BTreeMap;

use echelon_proto::Span;
use serde::{Deserialize, Serialize};

use crate::template::Template;

/// What a phase, a verify or a probe does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A program of the user's own.
    Run(Run),
    /// A request and what must come back.
    Http(HttpCheck),
    /// A connection that must open.
    Tcp(TcpCheck),
    /// A unit of the host's systemd.
    Systemd {
        /// `app.service`
        unit: Template,
        /// What to do with it.
        verb: SystemdVerb,
    },
    /// The release's files on the host.
    Artifact {
        /// What to do with them.
        verb: ArtifactVerb,
        /// Of which release.
        release: WhichRelease,
        /// Releases kept besides the running and the previous one; `None`: the agent's default.
        keep: Option<u32>,
    },
}

/// A program: argv, never a shell string.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Program and arguments, at least one.
    pub argv: Vec<Template>,
    /// Beside the `ECHELON_...` variables that the agent sets.
    pub env: BTreeMap<String, Template>,
    /// `None`: the app's folder on the host.
    pub cwd: Option<Template>,
    /// `None`: the agent's own.
    pub user: Option<String>,
}

/// An HTTP request and what must come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpCheck {
    /// http or https.
    pub url: Template,
    /// The status that must come.
    pub status: u16,
    /// A text that must be in the body.
    pub contains: Option<Template>,
    /// How often.
    pub repeat: Repeat,
    /// Of one request.
    pub request_timeout: Span,
}

/// A TCP connection that must open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpCheck {
    /// host:port
    pub address: Template,
    /// How often.
    pub repeat: Repeat,
}

/// How often a check must hold, and how long between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeat {
    /// This many times in a row, at least 1.
    pub consecutive: u32,
    /// Between two.
    pub interval: Span,
}

/// What to do with a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SystemdVerb {
    /// `systemctl start`
    Start,
    /// `systemctl stop`
    Stop,
    /// `systemctl restart`
    Restart,
    /// `systemctl reload`
    Reload,
    /// `systemctl enable`
    Enable,
    /// `systemctl disable`
    Disable,
    /// `systemctl is-active`: for verify.
    IsActive,
}

/// What to do with a release's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArtifactVerb {
    /// Into the store, checked.
    Fetch,
    /// Fetch where needed, unpack, swap `current`.
    Install,
    /// Swap `current` to a release that is on the disk.
    Activate,
    /// Take all of the app away.
    Remove,
    /// Remove old releases.
    Prune,
}

/// Of which release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhichRelease {
    /// The one that the path leads to.
    Target,
    /// The one that stood on the host before the rollout.
    Previous,
}
