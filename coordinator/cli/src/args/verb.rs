//! Arguments of the verbs for the night of the release.

use std::{collections::HashMap, path::PathBuf};

use clap::{ArgGroup, Args, ValueEnum};
use echelon_proto::{
    App, Datacenter, HostId, OperationName, ReleaseName, Span,
    wire::control::{CreatePlanRequest, IfRunning},
};

use super::{
    Output,
    param::{Setting, by_name},
};
use crate::{error::Error, name::RolloutName};

/// `plan`
#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// The app
    pub app: App,
    /// The release to go to
    #[arg(long)]
    pub release: ReleaseName,
    /// The playbook: `web` for its newest version, or `web@3`
    #[arg(long)]
    pub playbook: String,
    /// The playbook's operation [default: deploy]
    #[arg(long)]
    pub operation: Option<OperationName>,
    /// Only this datacenter; may be given again
    #[arg(long = "dc", value_name = "DATACENTER")]
    pub datacenters: Vec<Datacenter>,
    /// Only this of the hosts that the playbook selects; may be given again
    #[arg(long = "host", value_name = "HOST")]
    pub hosts: Vec<HostId>,
    /// A value for a parameter of the playbook; may be given again
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub params: Vec<Setting>,
    /// Write the plan as JSON to this file too
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Exit 10 instead of 0 when the plan has changes
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// How to show it
    #[command(flatten)]
    pub output: Output,
}

/// What to do when the app has a rollout already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Policy {
    /// Wait for its end
    Queue,
    /// Take its place
    Supersede,
    /// Start nothing: exit 7
    Refuse,
    /// Start nothing, follow that one
    Attach,
}

impl From<Policy> for IfRunning {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::Queue => Self::Queue,
            Policy::Supersede => Self::Supersede,
            Policy::Refuse => Self::Refuse,
            Policy::Attach => Self::Attach,
        }
    }
}

/// `start`
#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("what").required(true).args(["app", "plan"])),
    after_help = "Without --wait, --watch or --detach: as --watch on a terminal, as --wait elsewhere."
)]
pub(crate) struct Start {
    /// The app
    #[arg(requires_all = ["release", "playbook"])]
    pub app: Option<App>,
    /// The release to go to
    #[arg(long, conflicts_with = "plan")]
    pub release: Option<ReleaseName>,
    /// The playbook: `web` for its newest version, or `web@3`
    #[arg(long, conflicts_with = "plan")]
    pub playbook: Option<String>,
    /// The playbook's operation [default: deploy]
    #[arg(long, conflicts_with = "plan")]
    pub operation: Option<OperationName>,
    /// Only this datacenter; may be given again
    #[arg(long = "dc", value_name = "DATACENTER", conflicts_with = "plan")]
    pub datacenters: Vec<Datacenter>,
    /// Only this of the hosts that the playbook selects; may be given again
    #[arg(long = "host", value_name = "HOST", conflicts_with = "plan")]
    pub hosts: Vec<HostId>,
    /// A value for a parameter of the playbook; may be given again
    #[arg(long = "param", value_name = "NAME=VALUE", conflicts_with = "plan")]
    pub params: Vec<Setting>,
    /// A plan made before; refused when what it rests on has changed
    #[arg(long, value_name = "ID")]
    pub plan: Option<String>,
    /// When: 2026-11-21T14:00:00Z, "2026-11-21 14:00" (local) or +10m
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub at: Option<String>,
    /// Until it has an outcome or waits for a person (exit 6), one line a change
    #[arg(long, group = "how")]
    pub wait: bool,
    /// Until it has an outcome, as a live tree on a terminal
    #[arg(long, group = "how")]
    pub watch: bool,
    /// Not at all: say its name and leave
    #[arg(long, group = "how", conflicts_with = "timeout")]
    pub detach: bool,
    /// Stop waiting after this long (exit 8); the rollout goes on
    #[arg(long, value_name = "TIME")]
    pub timeout: Option<Span>,
    /// The same id gives the same rollout however often it is asked; Jenkins: $BUILD_TAG
    #[arg(long, value_name = "ID")]
    pub request_id: Option<String>,
    /// What to do when the app has a rollout already [default: queue]
    #[arg(long, value_enum, value_name = "POLICY")]
    pub if_running: Option<Policy>,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Check everything, start nothing
    #[arg(long)]
    pub dry_run: bool,
    /// How to show it
    #[command(flatten)]
    pub output: Output,
}

impl Start {
    /// What to plan; `None` with `--plan`.
    pub(crate) fn what(&self) -> Result<Option<CreatePlanRequest>, Error> {
        let Some(app) = &self.app else { return Ok(None) };
        let text = |name: Option<&dyn ToString>| name.map(ToString::to_string).unwrap_or_default();
        Ok(Some(CreatePlanRequest {
            app: app.to_string(),
            release: text(self.release.as_ref().map(|name| name as &dyn ToString)),
            playbook: self.playbook.clone().unwrap_or_default(),
            operation: text(self.operation.as_ref().map(|name| name as &dyn ToString)),
            datacenters: self.datacenters.iter().map(ToString::to_string).collect(),
            hosts: self.hosts.iter().map(ToString::to_string).collect(),
            params: wire(&self.params)?,
            ..CreatePlanRequest::default()
        }))
    }
}

fn wire(params: &[Setting]) -> Result<HashMap<String, String>, Error> {
    let params = by_name(params)?.into_iter();
    Ok(params.map(|(name, value)| (name.to_string(), value)).collect())
}

impl Plan {
    /// What to plan.
    pub(crate) fn what(&self) -> Result<CreatePlanRequest, Error> {
        Ok(CreatePlanRequest {
            app: self.app.to_string(),
            release: self.release.to_string(),
            playbook: self.playbook.clone(),
            operation: self.operation.as_ref().map(ToString::to_string).unwrap_or_default(),
            datacenters: self.datacenters.iter().map(ToString::to_string).collect(),
            hosts: self.hosts.iter().map(ToString::to_string).collect(),
            params: wire(&self.params)?,
            ..CreatePlanRequest::default()
        })
    }
}

/// `status`
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// The rollout; without it all that are active or wait for a person
    pub rollout: Option<RolloutName>,
    /// Stay until it has an outcome; the exit code tells which. Needs ROLLOUT unless exactly one is active
    #[arg(long, short)]
    pub watch: bool,
    /// Only what failed
    #[arg(long)]
    pub failed: bool,
    /// Only what waits for a person
    #[arg(long)]
    pub waiting: bool,
    /// How to show it
    #[command(flatten)]
    pub output: Output,
}

/// `approve`, `pause` and all the other verbs that act on a rollout.
#[derive(Debug, Args)]
pub(crate) struct Act {
    /// The rollout: r7
    pub rollout: RolloutName,
    /// Only in this datacenter
    #[arg(long = "dc", value_name = "DATACENTER")]
    pub datacenter: Option<Datacenter>,
    /// Only this host
    #[arg(long)]
    pub host: Option<HostId>,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Refuse (exit 7) when the rollout has changed since it had this etag
    #[arg(long)]
    pub etag: Option<String>,
    /// The same id does it once however often it is asked
    #[arg(long, value_name = "ID")]
    pub request_id: Option<String>,
    /// Check everything, change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// How to show it
    #[command(flatten)]
    pub output: Output,
}

/// In what shape a report is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum ReportFormat {
    /// For the eye.
    #[default]
    Text,
    /// One object.
    Json,
}

/// `report`
#[derive(Debug, Args)]
pub(crate) struct Report {
    /// The rollout: r7
    pub rollout: RolloutName,
    /// How to show it
    #[arg(long, short, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: ReportFormat,
}
