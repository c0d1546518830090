//! What was decided: the only thing the journal holds and the only thing that changes state. A record says everything
//! that follows from it, so that applying it needs no policy: a later version of the policy must not change the past.

use std::collections::BTreeMap;

use echelon_playbooks::{
    Playbook,
    model::{OnTimeout, Rule},
};
use echelon_proto::{
    App, Datacenter, Digest, GateName, HostId, Label, Person, PhaseName, PlanId, ReleaseName, RequestId, RolloutId,
    Time,
};
use serde::{Deserialize, Serialize};

use crate::{
    command::{Artifact, Grant, PlanRequest},
    desired::Standby,
    effect::Notification,
    event::{Hello, PhaseResult},
    gate::canary::Look,
    host::Standing,
    outcome::Outcome,
    plan::Plan,
    rollout::{Asked, Direction, HoldKind, LaneEnd, Note, Settled},
};

/// One step of the journal: what followed from one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When. Never before the entry that precedes it.
    pub at: Time,
    /// In order.
    pub records: Vec<Record>,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// A process became the coordinator; every session is gone.
    TermBegan { term: u64 },

    /// A host may join.
    TokenCreated { token: Digest, grant: Grant, by: Person },
    /// It has, and the token is used up.
    HostJoined { token: Digest, host: HostId },
    /// Its session began.
    HostAttached { host: HostId, session: u64, hello: Hello },
    /// Its session ended.
    HostDetached { host: HostId },
    /// Somebody asked it something: its processes, the end of a file.
    HostAsked { host: HostId, what: String, by: Person },
    /// It has these labels, or (`None`) has them no longer.
    HostLabelled {
        host: HostId,
        labels: BTreeMap<Label, Option<String>>,
        by: Person,
    },

    /// A release is known.
    ReleaseCreated { artifact: Artifact, by: Person },
    /// A playbook is known.
    PlaybookPushed {
        playbook: Box<Playbook>,
        text: String,
        /// The text of the playbook that it extends.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base: Option<String>,
        by: Person,
    },
    /// A plan is known.
    PlanMade { plan: Box<Plan> },

    /// A rollout is known; it is scheduled (`at` given) or queued.
    RolloutCreated {
        rollout: RolloutId,
        number: u64,
        plan: PlanId,
        /// Plan again when it starts: nobody has looked at the plan.
        replan: Option<PlanRequest>,
        at: Option<Time>,
        by: Person,
        reason: String,
        request_id: Option<RequestId>,
    },
    /// Its time has come; it waits for its turn.
    RolloutQueued { rollout: RolloutId },
    /// It runs, by this plan.
    RolloutStarted { rollout: RolloutId, plan: PlanId },
    /// It starts nothing new until somebody acts.
    RolloutHeld {
        rollout: RolloutId,
        kind: HoldKind,
        text: String,
        by: Option<Person>,
    },
    /// It goes on.
    RolloutResumed {
        rollout: RolloutId,
        by: Person,
        reason: String,
    },
    /// What was asked for by this id is done; asked again, it is not done again.
    ActServed {
        rollout: RolloutId,
        request: RequestId,
        asked: Asked,
    },
    /// It stops where it is.
    AbortBegan {
        rollout: RolloutId,
        by: Option<Person>,
        text: String,
    },
    /// These lanes go back.
    RollbackBegan {
        rollout: RolloutId,
        lanes: Vec<Datacenter>,
        by: Option<Person>,
        text: String,
    },
    /// It is over.
    RolloutEnded {
        rollout: RolloutId,
        outcome: Outcome,
        text: String,
    },
    /// What should stand where changed with its end.
    DesireChanged {
        rollout: RolloutId,
        /// Its goal is what every host should have that its playbook selects in these datacenters (empty: in all).
        standard: Option<Vec<Datacenter>>,
        /// Its goal is what these hosts should have, by the release that they should have it on.
        hosts: Vec<(Option<ReleaseName>, Vec<HostId>)>,
        /// What these hosts, which were out of service on purpose, should have.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        standby: Vec<Standby>,
    },
    /// It ended long ago and is dropped.
    RolloutForgotten { rollout: RolloutId },

    /// Hosts of the wave may go.
    WaveOpened {
        rollout: RolloutId,
        datacenter: Datacenter,
        wave: usize,
    },
    /// Its last host has settled; the bake begins.
    WaveRolled {
        rollout: RolloutId,
        datacenter: Datacenter,
        wave: usize,
    },
    /// An approval gate now waits for people.
    ApprovalAsked {
        rollout: RolloutId,
        datacenter: Datacenter,
        wave: usize,
        gate: GateName,
    },
    /// One person approved.
    GateApproved {
        rollout: RolloutId,
        datacenter: Datacenter,
        wave: usize,
        gate: GateName,
        by: Person,
        reason: String,
    },
    /// The judge of a canary gate has looked.
    CanaryLooked {
        rollout: RolloutId,
        datacenter: Datacenter,
        wave: usize,
        gate: GateName,
        look: Look,
    },
    /// A gate is decided. `rule` is what a verdict other than pass leads to.
    GateDecided {
        rollout: RolloutId,
        datacenter: Datacenter,
        wave: usize,
        gate: GateName,
        verdict: Verdict,
        rule: Option<Rule>,
        evidence: String,
        by: Option<Person>,
    },
    /// A gate that failed is looked at again.
    GateReopened {
        rollout: RolloutId,
        datacenter: Datacenter,
        wave: usize,
        gate: GateName,
    },
    /// A person cut the bake short.
    BakeCut {
        rollout: RolloutId,
        datacenter: Datacenter,
        wave: usize,
        by: Person,
    },
    /// Bake and gates are behind it.
    WavePassed {
        rollout: RolloutId,
        datacenter: Datacenter,
        wave: usize,
    },
    /// The lane opens nothing more and waits for its phases in flight.
    LaneStopping {
        rollout: RolloutId,
        datacenter: Datacenter,
        text: String,
    },
    /// The lane is over.
    LaneEnded {
        rollout: RolloutId,
        datacenter: Datacenter,
        end: LaneEnd,
    },
    /// Failures up to now no longer count against the budget.
    BudgetForgiven { rollout: RolloutId, by: Person },

    /// A phase runs on a host until its end is recorded.
    PhaseStarted {
        rollout: RolloutId,
        host: HostId,
        phase: PhaseName,
        attempt: u32,
        direction: Direction,
        /// What the phase works with.
        release: Option<ReleaseName>,
        from: Standing,
        after: Standing,
        /// Nothing is run, because.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<Note>,
        /// It takes the host out of service: what the playbook asks of the host is asked before.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        guarded: bool,
    },
    /// It ended.
    PhaseEnded {
        rollout: RolloutId,
        host: HostId,
        phase: PhaseName,
        attempt: u32,
        result: PhaseResult,
        exit_code: Option<i32>,
        signal: Option<i32>,
        message: String,
        tail: String,
        /// What its program left running, by number and name.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        leftovers: Vec<String>,
        /// Where the host stands now.
        standing: Standing,
        /// What the host does next about a failure: nothing (`None`), or try again from then on.
        again: Option<Again>,
        /// What it leads to that the phase did not end in time, where it did not.
        #[serde(default)]
        on_timeout: OnTimeout,
    },
    /// A step back that needs no phase: what was done had changed nothing.
    StepDropped { rollout: RolloutId, host: HostId },
    /// The host is done with, one way or the other.
    HostSettled {
        rollout: RolloutId,
        host: HostId,
        settled: Settled,
        text: String,
        by: Option<Person>,
    },
    /// A failed host goes again.
    HostReopened {
        rollout: RolloutId,
        host: HostId,
        by: Person,
        reason: String,
    },
    /// What the monitor of a state says of a host changed.
    MonitorChanged {
        host: HostId,
        app: App,
        healthy: bool,
        message: String,
    },
    /// A probe's answer changed.
    HealthChanged {
        rollout: RolloutId,
        host: HostId,
        healthy: bool,
        message: String,
    },

    /// Word is owed.
    NotificationRaised { notification: Notification },
    /// It was delivered, or given up.
    NotificationSettled { number: u64, delivered: bool },
}

/// Another try of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Again {
    /// Not before.
    pub at: Time,
    /// It is a whole new try of the host, not of the phase.
    pub host: bool,
}

/// What a gate said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// On.
    Pass,
    /// Bad.
    Fail,
    /// Its deadline passed without a verdict.
    Expired,
    /// Neither good nor bad was shown.
    Inconclusive,
    /// There was nothing to judge.
    NoData,
}

impl Verdict {
    /// `expired`
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Expired => "expired",
            Self::Inconclusive => "inconclusive",
            Self::NoData => "no_data",
        }
    }
}

impl Record {
    /// The rollout it belongs to.
    #[must_use]
    pub fn rollout(&self) -> Option<&RolloutId> {
        match self {
            Self::TermBegan { .. }
            | Self::TokenCreated { .. }
            | Self::HostJoined { .. }
            | Self::HostAttached { .. }
            | Self::HostDetached { .. }
            | Self::HostAsked { .. }
            | Self::HostLabelled { .. }
            | Self::MonitorChanged { .. }
            | Self::ReleaseCreated { .. }
            | Self::PlaybookPushed { .. }
            | Self::PlanMade { .. }
            | Self::NotificationSettled { .. } => None,
            Self::RolloutCreated { rollout, .. }
            | Self::RolloutQueued { rollout }
            | Self::RolloutStarted { rollout, .. }
            | Self::RolloutHeld { rollout, .. }
            | Self::RolloutResumed { rollout, .. }
            | Self::ActServed { rollout, .. }
            | Self::AbortBegan { rollout, .. }
            | Self::RollbackBegan { rollout, .. }
            | Self::RolloutEnded { rollout, .. }
            | Self::DesireChanged { rollout, .. }
            | Self::RolloutForgotten { rollout }
            | Self::WaveOpened { rollout, .. }
            | Self::WaveRolled { rollout, .. }
            | Self::ApprovalAsked { rollout, .. }
            | Self::GateApproved { rollout, .. }
            | Self::CanaryLooked { rollout, .. }
            | Self::GateDecided { rollout, .. }
            | Self::GateReopened { rollout, .. }
            | Self::BakeCut { rollout, .. }
            | Self::WavePassed { rollout, .. }
            | Self::LaneStopping { rollout, .. }
            | Self::LaneEnded { rollout, .. }
            | Self::BudgetForgiven { rollout, .. }
            | Self::PhaseStarted { rollout, .. }
            | Self::PhaseEnded { rollout, .. }
            | Self::StepDropped { rollout, .. }
            | Self::HostSettled { rollout, .. }
            | Self::HostReopened { rollout, .. }
            | Self::HealthChanged { rollout, .. } => Some(rollout),
            Self::NotificationRaised { notification } => Some(&notification.rollout),
        }
    }
}
