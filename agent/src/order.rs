//! What the agent is asked to do and what it answers, in its own types: checked names, units in the types, no wire.
//! Deliberately no behaviour: `machine` decides on orders, an `Executor` carries them out.

mod action;
mod ask;

use std::{collections::BTreeMap, fmt};

use echelon_proto::{App, Digest, Fence, ReleaseName, Span, StateName, Time};
use serde::{Deserialize, Serialize};

pub use self::action::{
    Action, Artifact, ArtifactVerb, Content, File, HttpCheck, Limits, Poll, Run, Systemd, SystemdVerb, TcpCheck,
};

pub use self::ask::{Answer, Ask, Finding, Health, OnDisk, Process, Tail};

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
    /// Asked before anything is begun; all must hold.
    #[serde(default)]
    pub guards: Vec<Guard>,
    /// What `${{ }}` stands for in a template file.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// What becomes of processes that the program leaves running.
    #[serde(default)]
    pub leftovers: Leftovers,
}

/// What becomes of processes that a program left running when it ended. They are named in the report in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leftovers {
    /// They go on.
    #[default]
    Leave,
    /// They are ended; the attempt is as the program's exit says.
    End,
    /// They are ended, and the attempt has failed.
    Fail,
}

/// What must hold on the host before a phase may begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guard {
    /// Told when it does not hold.
    pub name: String,
    /// `Http`, `Tcp` or `Run`.
    pub ask: Action,
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
    /// A guard does not hold, so nothing was run: not a failure, and ordered again later.
    HeldBack,
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
            Self::HeldBack => "held back",
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
    /// Processes that the program left running, by number and first words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leftovers: Vec<String>,
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
            leftovers: Vec::new(),
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

/// A release whose artifact is wanted before any order is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefetch {
    /// Of which app.
    pub app: App,
    /// Which release.
    pub release: Release,
    /// None: as long as the session lasts.
    pub timeout: Option<Span>,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// An order as ledgers held it before there were guards, variables, limits and secrets.
    #[test]
    fn an_order_of_an_older_ledger_is_still_read() {
        let text = r#"{"fence":{"term":1,"rollout":"r1","host":"h1","phase":"start","attempt":1},"app":"web",
            "release":null,"action":{"run":{"argv":["true"],"env":{},"cwd":null,"user":null}},"timeout":1000,
            "verify":null,"after":{"app":"web","state":"running","release":null,"previous":null},"from_state":null}"#;
        let order: Order = serde_json::from_str(text).unwrap();
        assert!(order.guards.is_empty() && order.variables.is_empty());
        assert_eq!(order.leftovers, Leftovers::Leave);
        let Action::Run(run) = &order.action else {
            panic!("{order:?}")
        };
        assert_eq!((run.limits, run.secrets.len()), (Limits::default(), 0));
        let again: Order = serde_json::from_str(&serde_json::to_string(&order).unwrap()).unwrap();
        assert_eq!(again, order);
    }
}
