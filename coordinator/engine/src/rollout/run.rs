//! One host's part in a rollout: what was done to it, what runs on it, how it ended.

use echelon_proto::{PhaseName, ReleaseName, StateName, Time};
use serde::{Deserialize, Serialize};

use crate::{event::PhaseResult, host::Standing};

/// One host's part in a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Run {
    /// Index of its lane.
    pub lane: usize,
    /// Index of its wave.
    pub wave: usize,
    /// Counts orders of this rollout to this host.
    pub attempts: u32,
    /// Its number among the touched hosts and where it stood before; `None`: not touched.
    pub touched: Option<Touch>,
    /// Where its newest phase left it; `None`: no phase of this rollout has ended on it.
    pub stands: Option<Standing>,
    /// What was done to it and is not taken back, oldest first.
    pub steps: Vec<Step>,
    /// What runs on it.
    pub current: Option<Current>,
    /// Failed tries of the phase that is next.
    pub phase_tries: u32,
    /// Failed tries of the host as a whole.
    pub host_tries: u32,
    /// No phase before.
    pub not_before: Option<Time>,
    /// How it goes back; `None`: it does not.
    pub back: Option<Back>,
    /// What it has left behind on its way back by an operation, oldest first.
    #[serde(default)]
    pub returned: Vec<StateName>,
    /// A phase of its way back has begun.
    pub back_begun: bool,
    /// It is done with.
    pub settled: Option<Settled>,
    /// Why, where there is something to say.
    pub text: String,
    /// Its newest failure.
    pub failure: Option<Failure>,
    /// Attempts that were called lost since one was last heard to have run, oldest first.
    #[serde(default)]
    pub unheard: Vec<u32>,
    /// It is out of service on purpose and is not put back: as in the plan.
    #[serde(default)]
    pub stays_out: bool,
    /// A person wants it tried again, and it has not begun since.
    #[serde(default)]
    pub reopened: bool,
    /// A phase did not end in time, and waits for a person.
    #[serde(default)]
    pub timed_out: Option<PhaseName>,
    /// What must hold on the host before its next phase does not.
    #[serde(default)]
    pub held_back: Option<HeldBack>,
    /// What its probe says.
    pub health: Option<Health>,
    /// How long phases took: name and milliseconds, oldest first.
    pub timings: Vec<(PhaseName, u64)>,
}

/// A host touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touch {
    /// From 1 in the order of their first phases; the way back takes them from the highest.
    pub number: u64,
    /// Where the host stood before.
    pub origin: Standing,
    /// When.
    pub at: Time,
}

/// A host that its guards hold back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBack {
    /// How often in a row.
    pub times: u32,
    /// Which guard, and what it said.
    pub by: String,
}

/// A phase that was done to a host, or begun and failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Which.
    pub phase: PhaseName,
    /// Where the host stood before it.
    pub from: Standing,
    /// Nothing was run: there is nothing to take back but the word.
    #[serde(default)]
    pub passed_over: bool,
}

/// Why nothing of a phase is run on the host: its agent only takes down where it now stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    /// Its `when` is false for the host; or it was, and the host goes back.
    PassedOver,
    /// It was run, did not end in time, and counts as done.
    CountsAsDone,
    /// The coordinator is to do its part of it, and what must hold on the host is asked before. It moves nobody on.
    Asks,
}

/// A phase that runs on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Current {
    /// Which.
    pub phase: PhaseName,
    /// Which attempt.
    pub attempt: u32,
    /// Since when.
    pub started: Time,
    /// Which way.
    pub direction: Direction,
    /// What it works with.
    pub release: Option<ReleaseName>,
    /// Where the host stands.
    pub from: Standing,
    /// Where it will.
    pub after: Standing,
    /// Nothing is run, because.
    #[serde(default)]
    pub note: Option<Note>,
    /// It takes the host out of service: what the playbook asks of the host is asked before.
    #[serde(default)]
    pub guarded: bool,
}

/// Which way a phase moves a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// To the goal.
    Forward,
    /// Taking back the newest step.
    Undo,
    /// From the goal to the previous release, by an operation.
    Return,
}

/// How a host goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Back {
    /// Step by step, newest first.
    Undo,
    /// By an operation: it had arrived.
    Return,
    /// By phases to where it stood before: what undid a step led elsewhere than to where that step began.
    Onward,
}

/// A host is done with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Settled {
    /// It arrived.
    Done,
    /// A phase failed for good.
    Failed,
    /// It was left out: by a person, or because the operation keeps a release and it has none.
    Skipped,
    /// It was out of reach, or could not be brought back: somebody owes it a visit.
    Debt,
    /// It is back where it was.
    RolledBack,
}

impl Settled {
    /// `rolled_back`
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Debt => "debt",
            Self::RolledBack => "rolled_back",
        }
    }
}

/// A phase that went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// When.
    pub at: Time,
    /// Which phase.
    pub phase: PhaseName,
    /// Which attempt.
    pub attempt: u32,
    /// How.
    pub result: PhaseResult,
    /// Of the program.
    pub exit_code: Option<i32>,
    /// That ended it.
    pub signal: Option<i32>,
    /// What went wrong.
    pub message: String,
    /// The last lines of its output.
    pub tail: String,
}

/// What a probe says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// It holds.
    pub healthy: bool,
    /// Since when.
    pub since: Time,
    /// What it saw.
    pub message: String,
}

impl Run {
    /// Begun in this rollout and not done with. One that is to be tried again has yet to begin.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.touched.is_some() && self.settled.is_none() && !self.reopened
    }

    /// done, failed, skipped, debt, rolled_back; unfinished when it was begun and left there, untouched when it was not.
    #[must_use]
    pub fn outcome_name(&self) -> &'static str {
        match self.settled {
            Some(settled) => settled.name(),
            None if self.touched.is_some() => "unfinished",
            None => "untouched",
        }
    }
}
