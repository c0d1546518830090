//! Arguments of `judge try` by a source.

use clap::Args;
use echelon_proto::{GateName, HostId, Label, SourceName, Span};

use crate::args::Reading;

/// Hosts, by what a source says of them now.
#[derive(Debug, Args)]
pub(crate) struct Live {
    /// A canary gate of this playbook: a file, `-`, or `web@3` of the coordinator
    #[arg(long, value_name = "PLAYBOOK", requires_all = ["gate", "canary"], conflicts_with = "source")]
    pub playbook: Option<String>,
    /// Which of its gates
    #[arg(long, value_name = "GATE", requires = "playbook")]
    pub gate: Option<GateName>,
    /// What the playbook is read with
    #[command(flatten)]
    pub reading: Reading,
    /// A gate of one's own
    #[command(flatten)]
    pub own: Own,
    /// Who is compared
    #[command(flatten)]
    pub arms: Arms,
}

/// A gate that stands in no playbook, with the keys of one.
#[derive(Debug, Clone, Args)]
pub(crate) struct Own {
    /// A source of the coordinator's, or `agents`
    #[arg(long, value_name = "SOURCE", requires_all = ["label", "host", "ask", "canary"])]
    pub source: Option<SourceName>,
    /// The label of a series that says of which host it is
    #[arg(long, value_name = "LABEL", requires = "source")]
    pub label: Option<Label>,
    /// What stands there for a host: '${{ host.name }}:9100'
    #[arg(long, value_name = "TEXT", requires = "source")]
    pub host: Option<String>,
    /// A metric, as it stands in a playbook. May be given again
    #[arg(long, value_name = "NAME: { kind: KIND, query: QUERY }", requires = "source")]
    pub ask: Vec<String>,
    /// Between two samples [default: 1m]
    #[arg(long, value_name = "TIME", requires = "source")]
    pub every: Option<Span>,
    /// The window before the release [default: 30m]
    #[arg(long, value_name = "TIME", requires = "source")]
    pub before: Option<Span>,
}

/// Who is compared, and up to when.
#[derive(Debug, Args)]
pub(crate) struct Arms {
    /// Hosts with the release, which came at --deployed
    #[arg(long, value_name = "HOST,..", value_delimiter = ',', requires_all = ["control", "deployed"])]
    pub canary: Vec<HostId>,
    /// Hosts without it
    #[arg(long, value_name = "HOST,..", value_delimiter = ',', requires = "canary")]
    pub control: Vec<HostId>,
    /// The last sample [default: now]
    #[arg(long, value_name = "TIME", requires = "canary")]
    pub until: Option<String>,
}
