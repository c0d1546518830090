//! All that the coordinator knows. Maps are persistent (shared structure): a clone costs a few counters, so the read
//! view published after each turn is simply a clone, and a reader can never see half a turn.

use std::{collections::BTreeMap, sync::Arc};

use echelon_playbooks::Playbook;
use echelon_proto::{App, Digest, HostId, Person, PlanId, PlaybookName, ReleaseName, RequestId, RolloutId, Time};
use rpds::RedBlackTreeMapSync;
use serde::{Deserialize, Serialize};

use crate::{
    command::{Artifact, Grant},
    desired::Desired,
    effect::Notification,
    host::Host,
    plan::Plan,
    rollout::Rollout,
};

/// A map whose clones share structure.
pub type Map<K, V> = RedBlackTreeMapSync<K, V>;

/// All that the coordinator knows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Of the process that is the coordinator.
    pub term: u64,
    /// Every host that ever joined.
    pub hosts: Map<HostId, Host>,
    /// Tokens not yet used, by their digest.
    pub tokens: Map<Digest, Grant>,
    /// By app, then release.
    pub releases: Map<App, BTreeMap<ReleaseName, Release>>,
    /// By name, then version.
    pub playbooks: Map<PlaybookName, BTreeMap<u32, Arc<Pushed>>>,
    /// The newest ones and those that a rollout has.
    pub plans: Map<PlanId, Arc<Plan>>,
    /// All that are not forgotten.
    pub rollouts: Map<RolloutId, Rollout>,
    /// Those without an outcome, in the order they were created.
    pub active: BTreeMap<u64, RolloutId>,
    /// What was asked for by these ids.
    pub requests: Map<RequestId, RolloutId>,
    /// Number of the newest rollout.
    pub rollouts_made: u64,
    /// Owed to the outside.
    pub notifications: Map<u64, Notification>,
    /// Number of the newest notification.
    pub notifications_made: u64,
    /// What should stand where, by app. One that no rollout has ended for yet is not in it.
    #[serde(default)]
    pub desired: Map<App, Desired>,
}

/// A release as it was made known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// What.
    pub artifact: Artifact,
    /// When.
    pub at: Time,
    /// By whom.
    pub by: Person,
}

/// A playbook as it was made known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pushed {
    /// Checked.
    pub playbook: Playbook,
    /// What it was read from.
    pub text: String,
    /// The text of the playbook that it extends, as it was then: with it this one can be read again whatever becomes of
    /// that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// When.
    pub at: Time,
    /// By whom.
    pub by: Person,
}

impl State {
    /// A release by its name.
    #[must_use]
    pub fn release(&self, app: &App, release: &ReleaseName) -> Option<&Release> {
        self.releases.get(app)?.get(release)
    }

    /// A playbook, its newest version where none is named.
    #[must_use]
    pub fn playbook(&self, name: &PlaybookName, version: Option<u32>) -> Option<&Arc<Pushed>> {
        let versions = self.playbooks.get(name)?;
        match version {
            Some(version) => versions.get(&version),
            None => versions.last_key_value().map(|(_, pushed)| pushed),
        }
    }

    /// Rollouts without an outcome, oldest first.
    pub fn active(&self) -> impl Iterator<Item = &Rollout> {
        self.active.values().filter_map(|id| self.rollouts.get(id))
    }

    /// Whether a phase of this app runs on the host, as far as is known.
    #[must_use]
    pub fn is_worked_on(&self, host: &Host, app: &App) -> bool {
        let by = host.busy.as_ref().and_then(|busy| self.rollouts.get(&busy.rollout));
        by.is_some_and(|rollout| rollout.app == *app)
    }

    /// The rollout of the app that has begun and has no outcome yet.
    #[must_use]
    pub fn running(&self, app: &App) -> Option<&Rollout> {
        self.active()
            .find(|rollout| rollout.app == *app && rollout.status.has_begun())
    }
}
