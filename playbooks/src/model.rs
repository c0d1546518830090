//! A playbook that has passed the linter: every name in it is defined, every goal can be reached, every limit is within
//! its bounds. The engine works on this and never on text.

mod action;
mod gate;
mod machine;
mod stage;

use std::collections::BTreeMap;

use echelon_proto::{Datacenter, Digest, GateName, PlaybookName};
use serde::{Deserialize, Serialize};

pub use action::{Action, ArtifactVerb, HttpCheck, Repeat, Run, SystemdVerb, TcpCheck, WhichRelease};
pub use gate::{Gate, GateKind, Rule};
pub use machine::{Machine, Operation, Phase, ReleaseGoal, Retry, State, Traffic};
pub use stage::{Amount, Budget, BudgetScope, Deploy, Stage, Wave, Waves};

use crate::selector::Selector;

/// How one kind of software is rolled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Playbook {
    /// Its name.
    pub name: PlaybookName,
    /// From 1. (name, version) is never given to another text.
    pub version: u32,
    /// Of the text it was read from.
    pub digest: Digest,
    /// Which hosts it is for.
    pub hosts: Selection,
    /// Where a host can stand, and what moves it.
    pub machine: Machine,
    /// One lane a datacenter.
    pub lanes: Lanes,
    /// In what order hosts go. At least one.
    pub stages: Vec<Stage>,
    /// By the names that waves use.
    pub gates: BTreeMap<GateName, Gate>,
    /// What a failure leads to.
    pub on_failure: OnFailure,
    /// How it goes back.
    pub rollback: Rollback,
}

/// Which hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// A host must match it.
    pub selector: Selector,
    /// And must not match this.
    pub exclude: Option<Selector>,
    /// How many a plan must find at the least.
    pub expect_min: Option<u32>,
    /// And at the most.
    pub expect_max: Option<u32>,
}

/// The lanes of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lanes {
    /// `None`: each datacenter that has a selected host.
    pub datacenters: Option<Vec<Datacenter>>,
    /// What the other lanes do when one fails.
    pub on_lane_failure: OnLaneFailure,
}

/// What the other lanes do when one fails. The failed lane itself does what the rule of its gate or budget says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLaneFailure {
    /// They go on.
    StopLane,
    /// They finish the phases in flight and open nothing more.
    StopAll,
    /// They go back too, finished ones included.
    RollbackAll,
}

/// What a failure leads to, where nothing nearer says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnFailure {
    /// Whole new tries of a host, planned from where it then stands, after a phase has used up its own retries.
    pub host_retry: u32,
    /// Then.
    pub host_then: HostRule,
    /// A gate's `on_fail` where it has none of its own.
    pub gate: Rule,
    /// A spent failure budget.
    pub budget: Rule,
}

/// What becomes of a rollout when a host has failed for good. The host counts against the failure budget in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostRule {
    /// The host stays out of traffic, counted; the wave goes on.
    Quarantine,
    /// The rollout holds for a person.
    Hold,
    /// The lane goes back.
    Rollback,
}

/// How a rollout goes back: newest host first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    /// Hosts at once in a lane; `None`: as forward.
    pub max_parallel: Option<u32>,
    /// Whether the in-service floor holds on the way back too.
    pub keep_max_unavailable: bool,
}
