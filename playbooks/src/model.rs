//! A playbook that has passed the linter: every name in it is defined, every goal can be reached, every limit is within
//! its bounds. The engine works on this and never on text.

mod action;
mod canary;
mod classic;
mod gate;
mod invariant;
mod machine;
mod param;
mod stage;
pub(crate) mod window;

use std::collections::BTreeMap;

use echelon_proto::{Datacenter, Digest, GateName, ParamName, PlaybookName, WaveName};
use serde::{Deserialize, Serialize};

pub use action::{
    Action, ArtifactVerb, Balance, BalancerVerb, Content, FileSpec, HttpCheck, Limits, Poll, Repeat, Run, SystemdVerb,
    TcpCheck, WhichRelease,
};
pub use canary::{Canary, Doubt, Harm, Metric, MetricKind};
pub use classic::{Classic, Effect, Nan, Outliers, Score};
pub use gate::{Gate, GateKind, Rule};
pub use invariant::{Ask, Invariant};
pub use machine::{
    Leftovers, Machine, Monitor, OnTimeout, Operation, Phase, Place, ReleaseGoal, Retry, State, Traffic,
};
pub use param::{Param, ParamKind};
pub use stage::{Amount, Budget, BudgetScope, Deploy, Grouping, HostKey, Override, Stage, Wave, Waves};
pub use window::{Ajar, Day, Opening, Window};

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
    /// The playbook that it extends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Base>,
    /// What can be set when it is used, by name, with the values that it was read with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<ParamName, Param>,
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
    /// What must hold before a host may leave service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub invariants: Vec<Invariant>,
}

impl Playbook {
    /// The parameters that have no value: without one for each of them it can be looked at, but not used.
    pub fn unset(&self) -> impl Iterator<Item = (&ParamName, &Param)> {
        self.params.iter().filter(|(_, param)| param.value.is_none())
    }
}

/// The playbook that another one extends: its machine, and all that the other does not say itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// It came with Echelon: `library/systemd-rolling@1`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub library: bool,
    /// Its name.
    pub name: PlaybookName,
    /// Which version.
    pub version: u32,
    /// Of its text.
    pub digest: Digest,
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
    /// What becomes of a host that cannot be reached when its turn comes.
    #[serde(default)]
    pub unreachable: Unreachable,
}

/// What becomes of a host that has been out of reach for longer than is patient when its turn comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unreachable {
    /// The rollout goes on without it; somebody owes it a visit.
    #[default]
    Debt,
    /// Its wave waits for it.
    Wait,
    /// It has failed, and counts against the failure budget.
    Fail,
}

/// The lanes of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lanes {
    /// `None`: each datacenter that has a selected host.
    pub datacenters: Option<Vec<Datacenter>>,
    /// What the other lanes do when one fails.
    pub on_lane_failure: OnLaneFailure,
    /// Whether lanes wait for one another.
    #[serde(default)]
    pub coupling: Coupling,
}

/// Whether lanes wait for one another.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Coupling {
    /// Each goes at its own pace.
    #[default]
    Free,
    /// A wave opens in a lane when every lane has passed the waves before it that have the same names.
    Lockstep,
    /// One datacenter goes first: the others open nothing before it has passed this wave.
    Lead {
        /// Which goes first.
        datacenter: Datacenter,
        /// The wave that it must have passed.
        lag: WaveName,
    },
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
