//! What people and CI may wish for. Whether their role allows it is asked at the door (the coordinator's `api`); whether
//! it can be done now is decided here.

use std::collections::BTreeMap;

use echelon_playbooks::Playbook;
use echelon_proto::{
    App, Datacenter, Digest, HostId, Label, OperationName, ParamName, PlanId, PlaybookName, Pool, ReleaseName,
    RequestId, RolloutId, Time,
};
use serde::{Deserialize, Serialize};

/// A wish.
#[derive(Debug, Clone)]
pub enum Command {
    /// Make a release known.
    CreateRelease(Artifact),
    /// Make a playbook known.
    PushPlaybook {
        /// Checked.
        playbook: Box<Playbook>,
        /// What it was read from.
        text: String,
        /// The text of the playbook that it extends.
        base: Option<String>,
    },
    /// Work out which hosts would go when.
    CreatePlan(PlanRequest),
    /// Roll.
    StartRollout(Start),
    /// Do something to a rollout.
    Act(Act),
    /// Let a host join.
    CreateToken {
        /// Of the token; the token itself is never kept.
        token: Digest,
        /// What it grants.
        grant: Grant,
    },
    /// Ask a host something: nothing changes by it, but that it is written down.
    AskHost {
        /// Which.
        host: HostId,
        /// In words.
        what: String,
    },
    /// Give a host labels, or (`None`) take them away.
    LabelHost {
        /// Which.
        host: HostId,
        /// What changes; others stay as they are.
        labels: BTreeMap<Label, Option<String>>,
    },
}

/// One version of an app, and where its files are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Of what.
    pub app: App,
    /// Which version.
    pub release: ReleaseName,
    /// http(s). Empty: no files (configuration only).
    pub url: String,
    /// Of the files' archive; `None` exactly when `url` is empty.
    pub sha256: Option<Digest>,
    /// 0: not known.
    pub size_bytes: u64,
}

/// What to plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRequest {
    /// Of what.
    pub app: App,
    /// To which version.
    pub release: ReleaseName,
    /// By which playbook.
    pub playbook: PlaybookName,
    /// `None`: the newest.
    pub version: Option<u32>,
    /// `None`: the one that the playbook's stage names.
    pub operation: Option<OperationName>,
    /// Only these. Empty: all that the playbook names.
    pub datacenters: Vec<Datacenter>,
    /// Only these of the hosts that the playbook selects. Empty: all of them.
    #[serde(default)]
    pub hosts: Vec<HostId>,
    /// Values for the playbook's parameters; those left out have their defaults.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<ParamName, String>,
}

/// Start a rollout.
#[derive(Debug, Clone)]
pub struct Start {
    /// Which.
    pub what: What,
    /// `None`: now.
    pub at: Option<Time>,
    /// The same id gives the same rollout however often it is asked.
    pub request_id: Option<RequestId>,
    /// When the app has an active rollout.
    pub if_running: IfRunning,
    /// Why.
    pub reason: String,
}

/// What to roll.
#[derive(Debug, Clone)]
pub enum What {
    /// A plan that somebody has looked at.
    Plan(PlanId),
    /// Planned when it starts.
    Request(PlanRequest),
}

/// What to do when the app has an active rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IfRunning {
    /// Wait for one's turn.
    #[default]
    Queue,
    /// Abort the active one, drop the waiting ones, then go.
    Supersede,
    /// Do not start.
    Refuse,
    /// Answer with the active one.
    Attach,
}

/// Do something to a rollout.
#[derive(Debug, Clone)]
pub struct Act {
    /// What.
    pub verb: Verb,
    /// To which.
    pub rollout: RolloutId,
    /// Only this lane.
    pub datacenter: Option<Datacenter>,
    /// Only this host.
    pub host: Option<HostId>,
    /// Why.
    pub reason: String,
    /// Refused when the rollout has changed since.
    pub etag: Option<u64>,
    /// The same id does it to this rollout once, however often it is asked.
    pub request_id: Option<RequestId>,
}

/// What can be done to a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Give an approval gate one approval.
    Approve,
    /// Fail an approval gate.
    Reject,
    /// Start nothing new.
    Pause,
    /// Go on after a hold; a gate that failed is looked at again.
    Resume,
    /// Pass the gates that a lane waits at, approvals excepted, and cut its bake short.
    Promote,
    /// Try failed hosts again from where they stand.
    Retry,
    /// Leave a host out.
    Skip,
    /// Stop; leave hosts where they are when their phase in flight has ended.
    Abort,
    /// Go back.
    Rollback,
}

/// What a join token grants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The only host that may use it.
    pub host: HostId,
    /// Where that host is.
    pub datacenter: Datacenter,
    /// What it stands in for.
    pub pool: Pool,
    /// The agent's own labels are laid over these.
    pub labels: BTreeMap<Label, String>,
    /// Of no use from then on. The engine sets it when the token is made, whatever the wish says.
    pub expires: Time,
}
