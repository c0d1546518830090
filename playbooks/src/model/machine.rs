//! States, phases, operations: where a host can stand and what moves it.

use std::collections::BTreeMap;

use echelon_condition::Condition;
use echelon_proto::{OperationName, PhaseName, Span, StateName};
use serde::{Deserialize, Serialize};

use super::Action;

/// A state machine that hosts go through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Where a host stands that has never heard of the app.
    pub initial: StateName,
    /// All states.
    pub states: BTreeMap<StateName, State>,
    /// In the order written: ties of the planner go to the first.
    pub phases: Vec<Phase>,
    /// What an `undo` may name besides a phase. They have no `from` and no `to`.
    pub compensations: Vec<Phase>,
    /// What a rollout can be asked to do.
    pub operations: BTreeMap<OperationName, Operation>,
}

/// One state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Whether a host that stands here serves.
    pub traffic: Traffic,
    /// Nothing goes back by itself from here on.
    pub point_of_no_return: bool,
    /// Asked of every host as long as it stands here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitor: Option<Monitor>,
}

/// A probe that goes on as long as a host stands in a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Monitor {
    /// Http, tcp or run.
    pub probe: Action,
    /// Between two.
    pub every: Span,
    /// Failures in a row before the host's state counts as an error, at least 1.
    pub unhealthy_after: u32,
}

/// Whether a host serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Traffic {
    /// Out of service.
    None,
    /// Being drained: out of service for capacity.
    Leaving,
    /// In service.
    Full,
}

/// What moves a host from one state to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phase {
    /// Its name, one of a kind among phases and compensations.
    pub name: PhaseName,
    /// States it starts from. Empty for a compensation.
    pub from: Vec<StateName>,
    /// Where it leads. `None` for a compensation: the engine puts the host where the undone phase came from.
    pub to: Option<StateName>,
    /// The one kind of phase that changes the release.
    pub sets_release: bool,
    /// Who runs it.
    #[serde(default)]
    pub on: Place,
    /// What it does.
    pub action: Action,
    /// Where this is false the host is moved on without anything being run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Condition>,
    /// From begin to end of one attempt, verify included.
    pub timeout: Span,
    /// What a timeout leads to.
    #[serde(default)]
    pub on_timeout: OnTimeout,
    /// Tries again after a failure.
    pub retry: Retry,
    /// A post-condition, asked before (true: nothing runs) and after (false: failed).
    pub verify: Option<Action>,
    /// The phase or compensation that takes it back.
    pub undo: Option<PhaseName>,
    /// Changes nothing on the host, so there is nothing to take back.
    pub read_only: bool,
    /// What becomes of processes that its program left running.
    #[serde(default, skip_serializing_if = "Leftovers::are_left")]
    pub leftovers: Leftovers,
}

/// Who runs a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The host's agent.
    #[default]
    Host,
    /// The coordinator: load balancers and the like.
    Coordinator,
}

/// What a timeout leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnTimeout {
    /// The phase has failed.
    #[default]
    Fail,
    /// The phase counts as done.
    Continue,
    /// The rollout holds for a person.
    Hold,
}

/// What becomes of processes that a phase's program left running when it ended. They are named in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leftovers {
    /// They go on.
    #[default]
    Leave,
    /// They are ended, and the phase is as its program's exit says.
    End,
    /// They are ended, and the phase has failed.
    Fail,
}

impl Leftovers {
    fn are_left(&self) -> bool {
        *self == Self::Leave
    }
}

/// Tries again after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Retry {
    /// How many besides the first.
    pub max: u32,
    /// Wait before each.
    pub backoff: Span,
}

/// Where to arrive, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// The state to arrive in.
    pub to: StateName,
    /// With which release.
    pub release: ReleaseGoal,
    /// States to pass on the way, in order.
    pub via: Vec<StateName>,
}

/// With which release a host arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseGoal {
    /// The rollout's.
    Target,
    /// The one it has, whichever (`restart`, `remove`).
    Same,
}

impl Machine {
    /// A phase or compensation by its name.
    #[must_use]
    pub fn phase(&self, name: &PhaseName) -> Option<&Phase> {
        self.phases
            .iter()
            .chain(&self.compensations)
            .find(|phase| phase.name == *name)
    }

    /// Whether a host that stands there serves; a state that the machine does not know does not.
    #[must_use]
    pub fn traffic(&self, state: &StateName) -> Traffic {
        self.states.get(state).map_or(Traffic::None, |state| state.traffic)
    }
}
