//! One rollout: its lanes, its waves, and where each of its hosts is in it. What it may do next is policy and lives in
//! [`crate::advance`]; here is only what it is.

use std::{collections::BTreeMap, sync::Arc};

use echelon_playbooks::{Playbook, model::Rule};
use echelon_proto::{
    App, Datacenter, GateName, HostId, Person, PhaseName, PlanId, ReleaseName, RequestId, RolloutId, StateName, Time,
};
use serde::{Deserialize, Serialize};

use crate::{
    command::{PlanRequest, Verb},
    event::PhaseResult,
    host::Standing,
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
        !self.overruled && matches!(self.verdict, Some(Verdict::Fail | Verdict::Expired))
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
    /// A person left it out.
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
