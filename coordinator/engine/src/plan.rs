//! A plan: which hosts go when, in which lane and wave. Nothing is left to choose at run time, so what was looked at is
//! what will happen, and the same inputs give the same plan to the byte.

mod arms;
mod bind;
mod groups;
mod make;
mod spread;
mod stale;
pub mod standby;
mod waves;

use std::{collections::BTreeMap, sync::Arc};

use echelon_playbooks::{Playbook, model::Budget};
use echelon_proto::{
    App, Datacenter, Digest, GateName, HostId, OperationName, ParamName, Person, PhaseName, PlanId, PlaybookName, Pool,
    ReleaseName, Span, StateName, Time, WaveName,
};
use serde::{Deserialize, Serialize};

use crate::command::PlanRequest;

pub use arms::Arms;
pub use make::make;
pub use stale::changes;

/// A plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// `p-` and the beginning of the fingerprint.
    pub id: PlanId,
    /// Of everything but id, time and person.
    pub fingerprint: Digest,
    /// When it was made.
    pub at: Time,
    /// By whom.
    pub by: Person,
    /// What it rests on.
    pub body: Body,
    /// Which hosts go when.
    pub lanes: Vec<LanePlan>,
    /// The playbook with the values of its parameters; `None` where it has none, so that the pushed one is all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub playbook: Option<Arc<Playbook>>,
}

impl Plan {
    /// The host at a place of a lane: wave, and place in it.
    #[must_use]
    pub fn seated(&self, lane: usize, seat: (usize, usize)) -> Option<&HostId> {
        self.lanes.get(lane)?.seated(seat).map(|planned| &planned.host)
    }

    /// The request that gives this plan again, as long as nothing has changed.
    #[must_use]
    pub fn request(&self) -> PlanRequest {
        PlanRequest {
            app: self.body.app.clone(),
            release: self.body.release.clone(),
            playbook: self.body.playbook.clone(),
            version: Some(self.body.version),
            operation: Some(self.body.operation.clone()),
            datacenters: self.body.datacenters.clone(),
            hosts: self.body.hosts.clone(),
            params: self.body.params.clone(),
        }
    }
}

/// What a plan rests on, lanes apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// Of what.
    pub app: App,
    /// To which version.
    pub release: ReleaseName,
    /// Of its archive.
    pub sha256: Option<Digest>,
    /// By which playbook.
    pub playbook: PlaybookName,
    /// Which version of it.
    pub version: u32,
    /// Of its text.
    pub playbook_digest: Digest,
    /// To do what.
    pub operation: OperationName,
    /// Asked for; empty: all.
    pub datacenters: Vec<Datacenter>,
    /// Asked for; empty: all. (Not written when empty: plans made before there was a choice keep their fingerprint.)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<HostId>,
    /// Hosts that stand at the goal already.
    pub skipped: Vec<HostId>,
    /// Hosts that are out of service on purpose, and that nothing can be done to without putting them back; and those that
    /// have no release, where the operation keeps the one that there is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<HostId>,
    /// The value of each parameter of the playbook, given or default.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<ParamName, String>,
}

/// One lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LanePlan {
    /// Where.
    pub datacenter: Datacenter,
    /// In order; none is empty.
    pub waves: Vec<WavePlan>,
    /// Of each pool that the lane's hosts are in.
    pub capacity: Vec<PoolPlan>,
    /// Where it is otherwise here than in the playbook's stage; `None`: as there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pace: Option<Pace>,
    /// Groups at once; `None`: hosts do not go by groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups_parallel: Option<u32>,
}

impl LanePlan {
    /// The host at a place: wave, and place in it.
    #[must_use]
    pub fn seated(&self, (wave, place): (usize, usize)) -> Option<&HostPlan> {
        self.waves.get(wave)?.hosts.get(place)
    }
}

/// How fast a lane may go, and what it may lose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// Hosts at once.
    pub max_parallel: u32,
    /// Between two hosts' first phases.
    pub stagger: Span,
    /// How many hosts may fail.
    pub failure_budget: Budget,
}

/// One wave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WavePlan {
    /// Its name.
    pub name: WaveName,
    /// Wait after its last host.
    pub bake: Span,
    /// What must pass.
    pub gates: Vec<GateName>,
    /// In the order they go.
    pub hosts: Vec<HostPlan>,
    /// Who is compared with whom, by each canary gate.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub arms: BTreeMap<GateName, Arms>,
}

/// One host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostPlan {
    /// Which.
    pub host: HostId,
    /// What it stands in for.
    pub pool: Pool,
    /// Where it stands.
    pub state: StateName,
    /// On which release.
    pub release: Option<ReleaseName>,
    /// From there to the goal.
    pub phases: Vec<PhaseName>,
    /// Its place in its group, where hosts go by groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupPlace>,
    /// It is out of service on purpose: it goes no further than to where the next phase would put it back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stop_before_service: bool,
}

/// A host's place in its group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupPlace {
    /// What the hosts of the group have in common: a shard's number, say.
    pub name: String,
    /// From 0. It begins when every lower rank of its group has settled.
    pub rank: u32,
}

/// The in-service floor of one pool in one lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolPlan {
    /// Which.
    pub pool: Pool,
    /// All its hosts here that the playbook selects, those at the goal included; in the order of their names.
    pub hosts: Vec<HostId>,
    /// So many of them may be out of service.
    pub max_unavailable: u32,
}

impl PoolPlan {
    /// Whether the host is one of its hosts.
    #[must_use]
    pub fn has(&self, host: &HostId) -> bool {
        self.hosts.binary_search(host).is_ok()
    }
}
