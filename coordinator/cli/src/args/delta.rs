//! Arguments of `drift` and `converge`.

use std::path::PathBuf;

use clap::Args;
use echelon_proto::{
    App, Datacenter, HostId, OperationName, PlaybookName, ReleaseName,
    wire::control::{CreatePlanRequest, ListDriftRequest},
};

use super::{Limit, Output};

/// `drift`
#[derive(Debug, Args)]
pub(crate) struct Drift {
    /// The app; without it all of them
    pub app: Option<App>,
    /// Only in this datacenter
    #[arg(long = "dc", value_name = "DATACENTER")]
    pub datacenter: Option<Datacenter>,
    /// Only on this host
    #[arg(long)]
    pub host: Option<HostId>,
    /// Show what is in line too
    #[arg(long)]
    pub all: bool,
    /// Exit 10 instead of 0 when there is drift
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// How many hosts
    #[command(flatten)]
    pub limit: Limit,
    /// How to show it
    #[command(flatten)]
    pub output: Output,
}

/// `converge`
#[derive(Debug, Args)]
#[command(
    after_help = "The plan goes by the playbook, version and operation by which the other hosts came there. Hosts that should \
                  come to different releases need a plan each: --release."
)]
pub(crate) struct Converge {
    /// The app
    pub app: App,
    /// Only hosts that should stand on this release
    #[arg(long)]
    pub release: Option<ReleaseName>,
    /// Only hosts that should come there by this playbook
    #[arg(long)]
    pub playbook: Option<PlaybookName>,
    /// Only hosts that should come there by this operation
    #[arg(long)]
    pub operation: Option<OperationName>,
    /// Only in this datacenter; may be given again
    #[arg(long = "dc", value_name = "DATACENTER")]
    pub datacenters: Vec<Datacenter>,
    /// Only this host; may be given again
    #[arg(long = "host", value_name = "HOST")]
    pub hosts: Vec<HostId>,
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

impl Drift {
    /// What to list, whatever the page.
    #[must_use]
    pub(crate) fn what(&self) -> ListDriftRequest {
        ListDriftRequest {
            app: text(self.app.as_ref()),
            datacenter: text(self.datacenter.as_ref()),
            host: text(self.host.as_ref()),
            all: self.all,
            ..ListDriftRequest::default()
        }
    }
}

impl Converge {
    /// What to plan.
    #[must_use]
    pub(crate) fn what(&self) -> CreatePlanRequest {
        CreatePlanRequest {
            app: self.app.to_string(),
            release: text(self.release.as_ref()),
            playbook: text(self.playbook.as_ref()),
            operation: text(self.operation.as_ref()),
            datacenters: self.datacenters.iter().map(ToString::to_string).collect(),
            hosts: self.hosts.iter().map(ToString::to_string).collect(),
            converge: true,
            ..CreatePlanRequest::default()
        }
    }
}

/// Empty where there is none.
fn text(name: Option<&impl ToString>) -> String {
    name.map(ToString::to_string).unwrap_or_default()
}
