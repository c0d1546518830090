//! What the world still owes the state: computed from state, never emitted and forgotten. Runners hold the set that is
//! owed against what they have in flight; that is the only start and stop of anything outside.

use std::collections::BTreeMap;

use echelon_playbooks::model::{Action, Canary, Leftovers, Place};
use echelon_proto::{App, Datacenter, Fence, GateName, HostId, ReleaseName, RolloutId, Span, StateName, Time};
use serde::{Deserialize, Serialize};

use crate::{command::Artifact, host::Standing, notice::Occasion};

/// Which effect: at most one of a key is owed at a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A phase on a host.
    Order(HostId, RolloutId),
    /// A probe on a host, for a gate.
    Watch(HostId, RolloutId),
    /// A probe on a host, for the state in which the app stands there.
    Monitor(HostId, App),
    /// Looks of a canary gate.
    Canary(RolloutId, Datacenter, GateName),
    /// Word to the outside.
    Notify(u64),
}

/// Something owed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "it is always held behind an Arc")]
pub enum Effect {
    /// A phase is to be run and its report is awaited.
    Order(Order),
    /// A probe is to be asked over and over.
    Watch(Watch),
    /// Hosts are to be compared over and over.
    Canary(Comparison),
    /// Word is to be sent.
    Notify(Notification),
}

/// One phase for one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Which attempt.
    pub fence: Fence,
    /// Of which app.
    pub app: App,
    /// What the phase works with.
    pub release: Option<Artifact>,
    /// What to do. `None`: nothing is run; the agent's ledger takes down where the host now stands.
    pub action: Option<Action<String>>,
    /// From begin to end.
    pub timeout: Span,
    /// Asked before and after.
    pub verify: Option<Action<String>>,
    /// Where the host must stand.
    pub from: StateName,
    /// Where it stands when the phase is done.
    pub after: Standing,
    /// Who carries it out.
    pub on: Place,
    /// By name; asked on the host before anything else.
    pub guards: Vec<(String, Action<String>)>,
    /// What becomes of processes that its program leaves running.
    pub leftovers: Leftovers,
    /// What template files of the order may name: `host.name`, `host.labels.port`, ...
    pub variables: BTreeMap<String, String>,
}

/// A probe on one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// Its name on the link: `r7/health`.
    pub id: String,
    /// Where.
    pub host: HostId,
    /// What to ask.
    pub probe: Action<String>,
    /// Between two.
    pub every: Span,
    /// Failures in a row before a host counts as unhealthy.
    pub unhealthy_after: u32,
}

/// What a canary gate compares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// Of which rollout.
    pub rollout: RolloutId,
    /// In which lane.
    pub datacenter: Datacenter,
    /// Index of the wave.
    pub wave: usize,
    /// Which gate.
    pub gate: GateName,
    /// What the playbook says of it.
    pub canary: Canary,
    /// Of all canary gates of the wave together, those that share what may be falsely called harm; at least 1.
    pub metrics: u32,
    /// Hosts with the new release, by what the source calls them.
    pub treated: BTreeMap<String, HostId>,
    /// Hosts without it.
    pub control: BTreeMap<String, HostId>,
    /// When the first host of the wave could go: what is before it is the window before.
    pub opened: Time,
    /// From when on samples count.
    pub since: Time,
}

/// Word to the outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// One of a kind; a receiver that sees it twice may drop the second.
    pub number: u64,
    /// Of what.
    pub rollout: RolloutId,
    /// Of which app.
    pub app: App,
    /// To which version.
    pub release: ReleaseName,
    /// On what occasion.
    pub kind: Occasion,
    /// One line.
    pub text: String,
}
