//! One rollout: its lanes, its waves, and where each of its hosts is in it. What it may do next is policy and lives in
//! [`crate::advance`]; here is only what it is.

mod run;

use std::{collections::BTreeMap, sync::Arc};

use echelon_playbooks::{Playbook, model::Rule};
use echelon_proto::{App, Datacenter, GateName, HostId, Person, PlanId, ReleaseName, RequestId, RolloutId, Time};
use serde::{Deserialize, Serialize};

pub use run::{Back, Current, Direction, Failure, Health, HeldBack, Note, Run, Settled, Step, Touch};

use crate::{
    command::{PlanRequest, Verb},
    gate::canary::Look,
    outcome::Outcome,
    plan::{Pace, Plan},
    record::Verdict,
    state::Map,
};

/// One rollout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rollout {
    /// `r7`
    pub id: RolloutId,
    /// 7
    pub number: u64,
    /// Of what.
    pub app: App,
    /// To which version.
    pub release: ReleaseName,
    /// By which playbook, with the values of its parameters: the plan's.
    pub playbook: Arc<Playbook>,
    /// By which plan.
    pub plan: Arc<Plan>,
    /// Plan again when it starts: nobody has looked at the plan.
    pub replan: Option<PlanRequest>,
    /// Who started it.
    pub by: Person,
    /// Why.
    pub reason: String,
    /// By which it was asked for.
    pub request_id: Option<RequestId>,
    /// When it was created.
    pub created: Time,
    /// When it is to start, where a time was given.
    pub scheduled: Option<Time>,
    /// When it began.
    pub started: Option<Time>,
    /// When it ended.
    pub ended: Option<Time>,
    /// Where it is.
    pub status: Status,
    /// It starts nothing new, because.
    pub hold: Option<Hold>,
    /// It stops where it is, because.
    pub aborting: Option<String>,
    /// Why it goes or went back.
    pub rollback: Option<String>,
    /// How it ended, one line.
    pub ending: String,
    /// In the order of the plan.
    pub lanes: Vec<Lane>,
    /// Each pinned host's part in it.
    pub runs: Map<HostId, Run>,
    /// Hosts touched so far.
    pub touched: u64,
    /// Grows with every record of the rollout.
    pub etag: u64,
    /// What it did, when it began to: for the time account.
    pub activities: Vec<(Time, Activity)>,
    /// Gates decided, by itself or by people, oldest first.
    pub decisions: Vec<Decision>,
    /// What people asked for by an id, and got.
    pub served: Map<RequestId, Asked>,
}

/// What somebody asked for, as far as two requests with one id must agree. The reason may be told in other words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// What.
    pub verb: Verb,
    /// Only in this lane.
    pub datacenter: Option<Datacenter>,
    /// Only this host.
    pub host: Option<HostId>,
    /// Who.
    pub by: Person,
}

/// Where a rollout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Its time has not come.
    Scheduled,
    /// It waits for its turn.
    Queued,
    /// It has begun.
    Running,
    /// It is over.
    Ended(Outcome),
}

impl Status {
    /// Begun and not over.
    #[must_use]
    pub fn has_begun(self) -> bool {
        self == Self::Running
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_over(self) -> bool {
        match self {
            Self::Scheduled | Self::Queued | Self::Running => false,
            Self::Ended(_) => true,
        }
    }
}

/// Why a rollout starts nothing new.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Which kind.
    pub kind: HoldKind,
    /// In words.
    pub text: String,
    /// Since when.
    pub since: Time,
}

/// Kinds of hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldKind {
    /// A person wished it.
    Paused,
    /// A gate's rule.
    Gate,
    /// The budget's rule.
    Budget,
    /// A host's rule.
    Host,
    /// The plan that somebody looked at no longer fits the fleet.
    StalePlan,
    /// It would go back past a point of no return.
    NoReturn,
    /// A phase did not end in time, and its rule is to hold.
    Timeout,
}

/// What a rollout does, for the time account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// Before its turn.
    Queued,
    /// Hosts move forward.
    Working,
    /// No host moves; bakes and gates that decide by themselves.
    Baking,
    /// No host moves; only people can help.
    WaitingForPeople,
    /// Held.
    Held,
    /// Hosts move back.
    RollingBack,
}

impl Activity {
    /// `waiting_for_people`
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Working => "working",
            Self::Baking => "baking",
            Self::WaitingForPeople => "waiting_for_people",
            Self::Held => "held",
            Self::RollingBack => "rolling_back",
        }
    }
}

/// The part of a rollout in one datacenter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lane {
    /// Where.
    pub datacenter: Datacenter,
    /// What it does.
    pub stage: LaneStage,
    /// The wave it is in.
    pub wave: usize,
    /// Why it stops or went back; empty otherwise.
    pub text: String,
    /// When the last host began.
    pub last_start: Option<Time>,
    /// Failures that no longer count.
    pub forgiven: u32,
    /// As in the plan.
    pub waves: Vec<Wave>,
}

/// What a lane does.
///
/// ```text
/// Pending -> Rolling -> Gating -> Rolling (next wave) ... -> Done
///    any but the ended -> Stopping -> Stopped
///    any (Done and Stopped included, while the rollout is not over) -> RollingBack -> RolledBack
///    Gating -> Rolling (a failed host goes again)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LaneStage {
    /// Nothing opened yet.
    Pending,
    /// Hosts of the wave go.
    Rolling,
    /// They have gone; bake and gates.
    Gating,
    /// Nothing new; phases in flight end.
    Stopping,
    /// Touched hosts go back.
    RollingBack,
    /// Over.
    Ended(LaneEnd),
}

/// How a lane ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LaneEnd {
    /// Every wave passed.
    Done,
    /// It stopped on the way.
    Stopped,
    /// It went back.
    RolledBack,
}

/// One wave of a lane.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Wave {
    /// When its hosts could go.
    pub opened: Option<Time>,
    /// When its last host had settled.
    pub rolled: Option<Time>,
    /// A person cut its bake short.
    pub cut: bool,
    /// When bake and gates were behind it.
    pub passed: Option<Time>,
    /// By name; filled when it has rolled.
    pub gates: BTreeMap<GateName, GateState>,
}

/// One gate of one wave.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GateState {
    /// When an approval gate began to wait for people.
    pub asked: Option<Time>,
    /// Who approved.
    pub approvals: Vec<Person>,
    /// What it said, in the end.
    pub verdict: Option<Verdict>,
    /// What a verdict other than pass leads to.
    pub rule: Option<Rule>,
    /// What a bad verdict leads to was `proceed`, or a person passed it.
    pub overruled: bool,
    /// What it saw.
    pub evidence: String,
    /// The newest look of a canary gate.
    #[serde(default)]
    pub look: Option<Look>,
}

impl GateState {
    /// Whether the wave may go on as far as this gate is concerned.
    #[must_use]
    pub fn is_passed(&self) -> bool {
        self.overruled || self.verdict == Some(Verdict::Pass)
    }

    /// Whether it said no and nobody overruled it.
    #[must_use]
    pub fn is_bad(&self) -> bool {
        let verdict_is_bad = match self.verdict {
            None | Some(Verdict::Pass) => false,
            Some(Verdict::Fail | Verdict::Expired | Verdict::Inconclusive | Verdict::NoData) => true,
        };
        !self.overruled && verdict_is_bad
    }
}

impl LaneEnd {
    /// `rolled back`
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Stopped => "stopped",
            Self::RolledBack => "rolled back",
        }
    }
}

/// A gate decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// When.
    pub at: Time,
    /// In which lane.
    pub datacenter: Datacenter,
    /// After which wave.
    pub wave: usize,
    /// Which.
    pub gate: GateName,
    /// What it said.
    pub verdict: Verdict,
    /// What that led to, where it was not a pass.
    pub rule: Option<Rule>,
    /// What it saw.
    pub evidence: String,
    /// Who, when a person decided.
    pub by: Option<Person>,
}

impl Rollout {
    /// The plan's id.
    #[must_use]
    pub fn plan_id(&self) -> &PlanId {
        &self.plan.id
    }

    /// Index of a lane.
    #[must_use]
    pub fn lane_of(&self, datacenter: &Datacenter) -> Option<usize> {
        self.lanes.iter().position(|lane| lane.datacenter == *datacenter)
    }

    /// Hosts of a lane with their runs, in the order of the plan.
    pub fn lane_runs(&self, lane: usize) -> impl Iterator<Item = (&HostId, &Run)> {
        let waves = self.plan.lanes.get(lane).map_or(&[][..], |lane| &lane.waves[..]);
        waves.iter().flat_map(|wave| &wave.hosts).filter_map(|planned| {
            let run = self.runs.get(&planned.host)?;
            Some((&planned.host, run))
        })
    }

    /// How fast a lane may go, and what it may lose: as its plan says, or the playbook's stage. `None`: there is no such
    /// lane.
    #[must_use]
    pub fn pace(&self, lane: usize) -> Option<Pace> {
        let planned = self.plan.lanes.get(lane)?;
        let deploy = &self.playbook.stages.first()?.deploy;
        Some(planned.pace.unwrap_or(Pace {
            max_parallel: deploy.max_parallel,
            stagger: deploy.stagger,
            failure_budget: deploy.failure_budget,
        }))
    }

    /// Whether a phase runs on any host of the lane.
    #[must_use]
    pub fn lane_in_flight(&self, lane: usize) -> bool {
        self.lane_runs(lane).any(|(_, run)| run.current.is_some())
    }

    /// Hosts of one wave with their runs, in the order of the plan.
    pub fn wave_runs(&self, lane: usize, wave: usize) -> impl Iterator<Item = (&HostId, &Run)> {
        let hosts = self
            .plan
            .lanes
            .get(lane)
            .and_then(|lane| lane.waves.get(wave))
            .map_or(&[][..], |w| &w.hosts[..]);
        hosts
            .iter()
            .filter_map(|planned| Some((&planned.host, self.runs.get(&planned.host)?)))
    }
}
