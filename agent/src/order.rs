//! What the agent is asked to do and what it answers, in its own types: checked names, units in the types, no wire.
//! Deliberately no behaviour: `machine` decides on orders, an `Executor` carries them out.

use std::{collections::BTreeMap, fmt};

use echelon_proto::{App, Digest, Fence, ReleaseName, Span, StateName, Time};
use serde::{Deserialize, Serialize};

/// One phase to run on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Which attempt this is.
    pub fence: Fence,
    /// The app it works on; orders for one app run one at a time.
    pub app: App,
    /// The release it works with, if the app has one.
    pub release: Option<Release>,
    /// What to do.
    pub action: Action,
    /// From begin to end, both verifies included.
    pub timeout: Span,
    /// Asked before (true: nothing runs) and after (false: failed).
    pub verify: Option<Action>,
    /// What stands once the phase is done.
    pub after: Standing,
    /// Where the app must stand for the order to make sense. None: anywhere.
    pub from_state: Option<StateName>,
}

/// A version of an app and where its artifact is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Its name, and that of its folder on the host.
    pub name: ReleaseName,
    /// None: configuration only, nothing to fetch.
    pub artifact: Option<Source>,
}

/// Where an artifact is had, and how it is known to be the right one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// http or https.
    pub url: String,
    /// Of the artifact's bytes.
    pub sha256: Digest,
    /// In bytes, when known.
    pub size: Option<u64>,
}

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

/// One app on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The app.
    pub app: App,
    /// Where it stands in its machine. None: nobody said yet.
    pub state: Option<StateName>,
    /// The release that stands. None: none.
    pub release: Option<ReleaseName>,
    /// The release before it.
    pub previous: Option<ReleaseName>,
    /// Why the last phase failed; empty when it did not.
    #[serde(default)]
    pub error: String,
}

impl Standing {
    /// An app of which nothing is known.
    #[must_use]
    pub const fn unknown(app: App) -> Self {
        Self {
            app,
            state: None,
            release: None,
            previous: None,
            error: String::new(),
        }
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseResult {
    /// It ran and its verify holds.
    Done,
    /// Its verify held before; nothing ran.
    AlreadyDone,
    /// It ran, or tried to, and did not succeed.
    Failed,
    /// Its time was over.
    TimedOut,
    /// It was not begun.
    Refused,
    /// It was begun and its end is not known.
    Lost,
}

impl PhaseResult {
    /// The app now stands where the order wanted it.
    #[must_use]
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Done | Self::AlreadyDone)
    }
}

impl fmt::Display for PhaseResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Done => "done",
            Self::AlreadyDone => "already done",
            Self::Failed => "failed",
            Self::TimedOut => "timed out",
            Self::Refused => "refused",
            Self::Lost => "lost",
        })
    }
}

/// What an `Executor` says at the end of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// How it ended.
    pub result: PhaseResult,
    /// Of the program, when one ran and ended by itself.
    pub exit_code: Option<i32>,
    /// That ended the program.
    pub signal: Option<i32>,
    /// One line: what went wrong, where, how to mend. Empty on success.
    pub message: String,
    /// The last lines of the output.
    pub tail: String,
}

impl Outcome {
    /// Success, nothing to tell.
    #[must_use]
    pub const fn done() -> Self {
        Self::of(PhaseResult::Done, String::new())
    }

    /// Failed, and why.
    #[must_use]
    pub fn failed(message: impl Into<String>) -> Self {
        Self::of(PhaseResult::Failed, message.into())
    }

    /// A result and its message; no program ran.
    #[must_use]
    pub const fn of(result: PhaseResult, message: String) -> Self {
        Self {
            result,
            exit_code: None,
            signal: None,
            message,
            tail: String::new(),
        }
    }

    /// The same with this as the last lines of its output.
    #[must_use]
    pub fn with_tail(self, tail: String) -> Self {
        Self { tail, ..self }
    }
}

/// The end of an attempt as the coordinator hears of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Grows by one with each report of this agent.
    pub sequence: u64,
    /// The attempt.
    pub fence: Fence,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// This host's clock at the begin.
    pub started: Time,
    /// This host's clock at the end.
    pub ended: Time,
    /// What stands now.
    pub standing: Standing,
}

/// A probe that is asked over and over while a session lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// The coordinator's name for it.
    pub name: String,
    /// What is asked.
    pub probe: Action,
    /// Between two questions.
    pub every: Span,
    /// Failures in a row before the host is called unhealthy; at least 1.
    pub unhealthy_after: u32,
}

/// What one question of a probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// It holds.
    pub healthy: bool,
    /// What was seen, one line.
    pub message: String,
}
