//! What can happen to the coordinator.

use std::collections::BTreeMap;

use echelon_proto::{App, Datacenter, Digest, Fence, GateName, HostId, Label, Person, RolloutId, Time};
use serde::{Deserialize, Serialize};

use crate::{command::Command, gate::canary::Look, host::Standing};

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A person or a CI job wishes something.
    Commanded {
        /// Who, by the certificate.
        by: Person,
        /// What.
        command: Command,
    },
    /// This process has begun to be the coordinator. First event after a replay: every session is gone.
    TermBegan {
        /// Higher than every one before.
        term: u64,
    },
    /// A host showed a token.
    HostJoining {
        /// The name it asks for.
        host: HostId,
        /// Of what it showed.
        token: Digest,
    },
    /// An agent opened its session and said hello.
    HostAttached {
        /// By its certificate.
        host: HostId,
        /// Grows with each session of this process.
        session: u64,
        /// What it said.
        hello: Hello,
    },
    /// A session ended. One that is not the host's newest means nothing.
    HostDetached {
        /// Whose.
        host: HostId,
        /// Which.
        session: u64,
    },
    /// A phase ended on a host.
    HostReported(Report),
    /// A probe's answer changed.
    HealthReported {
        /// Where.
        host: HostId,
        /// Which probe.
        watch: String,
        /// What it said.
        healthy: bool,
        /// What it saw.
        message: String,
    },
    /// The judge of a canary gate has looked.
    CanaryLooked {
        /// Of which rollout.
        rollout: RolloutId,
        /// In which lane.
        datacenter: Datacenter,
        /// Which gate.
        gate: GateName,
        /// For the window that begins then.
        since: Time,
        /// What it said.
        look: Look,
    },
    /// The runner has done with a notification.
    NotificationSettled {
        /// Which.
        number: u64,
        /// Whether it arrived.
        delivered: bool,
    },
}

/// What an agent says when it attaches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Of the agent.
    pub version: String,
    /// Laid over those of the join token.
    pub labels: BTreeMap<Label, String>,
    /// os, kernel, architecture, cores, memory_bytes.
    pub facts: BTreeMap<String, String>,
    /// What stands on the host by its ledger.
    pub standings: BTreeMap<App, Standing>,
}

/// How a phase ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Of which attempt.
    pub fence: Fence,
    /// How it ended.
    pub result: PhaseResult,
    /// Of the program.
    pub exit_code: Option<i32>,
    /// That ended the program.
    pub signal: Option<i32>,
    /// What went wrong.
    pub message: String,
    /// The last lines of its output.
    pub tail: String,
    /// What it left running, by number and name.
    #[serde(default)]
    pub leftovers: Vec<String>,
    /// Where the host stands now, by its ledger; `None` when it does not say.
    pub standing: Option<Standing>,
}

/// How a phase ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseResult {
    /// It was run and its verify, if it has one, held.
    Done,
    /// Its verify held before it was run.
    AlreadyDone,
    /// It was run and went wrong.
    Failed,
    /// It did not end in time.
    TimedOut,
    /// The agent did not begin it.
    Refused,
    /// How it ended is not known.
    Lost,
    /// Something that must hold before it does not: nothing was run, and it is asked again.
    HeldBack,
}

impl PhaseResult {
    /// Whether the host now stands where the phase leads.
    #[must_use]
    pub fn is_good(self) -> bool {
        match self {
            Self::Done | Self::AlreadyDone => true,
            Self::Failed | Self::TimedOut | Self::Refused | Self::Lost | Self::HeldBack => false,
        }
    }

    /// `timed_out`
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::AlreadyDone => "already_done",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Refused => "refused",
            Self::Lost => "lost",
            Self::HeldBack => "held_back",
        }
    }
}
