//! A host: where it is, who it is, what stands on it.

use std::collections::{BTreeMap, BTreeSet};

use echelon_playbooks::{model::Machine, selector::Subject};
use echelon_proto::{
    App, Datacenter, HostId, Label, Pool, ReleaseName, RolloutId, Span, StateName, Time,
    planted::{self, Plant},
};
use serde::{Deserialize, Serialize};

use crate::rollback::serving;

/// One machine with an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Its name, by its certificate.
    pub id: HostId,
    /// By its join token.
    pub datacenter: Datacenter,
    /// By its join token.
    pub pool: Pool,
    /// By its join token, over them those that people gave it since, over them those of its agent.
    pub labels: BTreeMap<Label, String>,
    /// Those of its join token alone.
    pub granted: BTreeMap<Label, String>,
    /// What people gave it since, or (`None`) took away.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub assigned: BTreeMap<Label, Option<String>>,
    /// Those of its agent's config alone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub told: BTreeMap<Label, String>,
    /// Of its agent; empty before it has attached for the first time.
    pub version: String,
    /// What its agent said of the machine.
    pub facts: BTreeMap<String, String>,
    /// The session it holds; `None`: not reachable.
    pub session: Option<u64>,
    /// Since when it is reachable, or not.
    pub since: Time,
    /// Apps on it.
    pub standings: BTreeMap<App, Standing>,
    /// What runs on it now: one rollout at a time, and until when it is out of traffic.
    pub busy: Option<Busy>,
    /// Rollouts that found something on it and have begun on it, until they have brought it to where it was to go, or are
    /// over: with nothing on it meanwhile it is on its way, not gone.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub taken_by: BTreeSet<RolloutId>,
    /// Apps whose state's monitor fails.
    #[serde(default)]
    pub unwell: BTreeMap<App, Unwell>,
}

/// What the monitor of a state sees on a host that it does not hold on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unwell {
    /// In which state.
    pub state: StateName,
    /// What it saw.
    pub message: String,
    /// Since when.
    pub since: Time,
}

/// A phase that runs on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Busy {
    /// Whose.
    pub rollout: RolloutId,
    /// The phase begins or ends in a state that does not serve.
    pub out_of_service: bool,
}

/// One app on one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Of the playbook's machine.
    pub state: StateName,
    /// What is installed.
    pub release: Option<ReleaseName>,
    /// What was installed before.
    pub previous: Option<ReleaseName>,
    /// Why its last phase failed.
    pub error: Option<String>,
    /// Whether the host serves in that state, and whether it is the state of never having heard of the app; both as the
    /// machine said that moved it. Unknown is out of service.
    #[serde(default)]
    pub traffic: Serving,
}

/// What an app's state means for traffic, kept beside the state so that capacity can be counted without its playbook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Serving {
    /// In service.
    Full,
    /// Not in service, or not known.
    #[default]
    Out,
    /// Not there at all: says nothing about the host.
    Absent,
}

impl Standing {
    /// Where a host stands that has never heard of the app.
    #[must_use]
    pub fn initial(machine: &Machine) -> Self {
        Self {
            state: machine.initial.clone(),
            release: None,
            previous: None,
            error: None,
            traffic: serving(machine, &machine.initial),
        }
    }

    /// `in serving on 1.1`
    #[must_use]
    pub fn place(&self) -> String {
        place(&self.state, self.release.as_ref())
    }

    /// Whether a phase from `from` to here passes through anything but full service.
    #[must_use]
    pub fn leaves_service(&self, from: &Self) -> bool {
        self.traffic != Serving::Full || from.traffic != Serving::Full
    }
}

/// The same of a state and a release.
pub(crate) fn place(state: &StateName, release: Option<&ReleaseName>) -> String {
    match release {
        Some(release) => format!("in {state} on {release}"),
        None => format!("in {state}"),
    }
}

impl Host {
    /// Whether it is reachable.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.session.is_some()
    }

    /// Whether it has been out of reach for longer than is patient.
    #[must_use]
    pub fn is_lost(&self, now: Time, unreachable_after: Span) -> bool {
        !self.is_attached() && now.since(self.since) >= unreachable_after
    }

    /// Its agent says which labels its config has.
    pub(crate) fn tell(&mut self, told: BTreeMap<Label, String>) {
        self.labels = self.granted.clone();
        for (label, given) in &self.assigned {
            match given {
                Some(value) => self.labels.insert(label.clone(), value.clone()),
                None => self.labels.remove(label),
            };
        }
        self.labels.extend(told.clone());
        self.told = told;
    }

    /// A person gives it a label, or takes it away. Only this label changes: what a host had that has not attached since
    /// labels are kept apart stays.
    pub(crate) fn assign(&mut self, label: &Label, given: Option<&String>) {
        self.assigned.insert(label.clone(), given.cloned());
        match self.told.get(label).or(given) {
            Some(value) => self.labels.insert(label.clone(), value.clone()),
            None => self.labels.remove(label),
        };
    }

    /// The app stands elsewhere, or as before. What a monitor saw of a state that it has left is over, also when it is back.
    pub(crate) fn stand(&mut self, app: App, standing: Standing) {
        if self
            .unwell
            .get(&app)
            .is_some_and(|unwell| unwell.state != standing.state)
        {
            self.unwell.remove(&app);
        }
        self.standings.insert(app, standing);
    }

    /// What the app's monitor sees, where it does not hold in the state in which the app stands.
    #[must_use]
    pub fn unwell(&self, app: &App) -> Option<&Unwell> {
        let standing = self.standings.get(app)?;
        self.unwell.get(app).filter(|unwell| unwell.state == standing.state)
    }

    /// Reachable, something is there, and all that is there serves and is well.
    #[must_use]
    pub fn in_service(&self) -> bool {
        let serves = |serving: &Serving| *serving == Serving::Full;
        let mut there = self
            .standings
            .values()
            .map(|standing| standing.traffic)
            .filter(|t| *t != Serving::Absent);
        self.is_attached()
            && (self.standings.keys().all(|app| self.unwell(app).is_none()) || planted::is(Plant::MonitorNotCounted))
            && !self.busy.as_ref().is_some_and(|busy| busy.out_of_service)
            && there
                .next()
                .is_some_and(|first| serves(&first) && there.all(|t| serves(&t)))
    }

    /// Nothing is installed on it, and nothing is on its way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.busy.is_none()
            && (self.taken_by.is_empty() || planted::is(Plant::EmptiedNotCounted))
            && self
                .standings
                .values()
                .all(|standing| standing.traffic == Serving::Absent)
    }

    /// As selectors and templates see it.
    #[must_use]
    pub fn subject(&self) -> Subject<'_> {
        Subject {
            host: &self.id,
            datacenter: &self.datacenter,
            pool: &self.pool,
            labels: &self.labels,
        }
    }
}
