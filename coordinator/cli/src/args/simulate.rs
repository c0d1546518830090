//! Arguments of `playbook simulate`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use echelon_proto::{App, OperationName, ReleaseName, Span};
use echelon_rehearsal::{Fail, Slow};

use super::Reading;

/// `playbook simulate`
#[derive(Debug, Args)]
#[command(
    after_help = "Without --hosts-from the hosts are made up: dc1-01, dc1-02 ... in 2 datacenters, with the labels that the \
                  playbook asks for, serving release `old`. The same arguments give the same rehearsal. Exit codes as of \
                  `start --wait`: 0 it succeeded, 3 it failed, 5 it went back, 6 it waits for a person."
)]
pub(crate) struct Simulate {
    /// The file
    pub file: PathBuf,
    /// What it is read with
    #[command(flatten)]
    pub reading: Reading,
    /// Datacenters to make up [default: 2, or those that the playbook names]
    #[arg(long, value_name = "N", conflicts_with = "hosts_from")]
    pub datacenters: Option<u32>,
    /// Hosts to make up in each datacenter [default: 20, or as many as the playbook expects]
    #[arg(long, value_name = "N", conflicts_with = "hosts_from")]
    pub hosts: Option<u32>,
    /// Pools to make up in each datacenter [default: 1]
    #[arg(long, value_name = "N", conflicts_with = "hosts_from", value_parser = clap::value_parser!(u32).range(1..))]
    pub pools: Option<u32>,
    /// Nothing stands on the hosts yet
    #[arg(long, conflicts_with = "hosts_from")]
    pub fresh: bool,
    /// Real hosts: `coordinator`, or a file that `echelon host list --output json` wrote
    #[arg(long, value_name = "coordinator|FILE")]
    pub hosts_from: Option<PathBuf>,
    /// The app [default: the one that the playbook's selector names, or the playbook's own name]
    #[arg(long)]
    pub app: Option<App>,
    /// The release to go to
    #[arg(long, default_value = "new")]
    pub release: ReleaseName,
    /// The playbook's operation [default: the one of its stage]
    #[arg(long)]
    pub operation: Option<OperationName>,
    /// A phase that fails: HOST:PHASE, HOST:PHASE:TIMES, or HOST:gate for its health gate; * is every host. May be given
    /// again
    #[arg(long = "fail", value_name = "HOST:PHASE")]
    pub fails: Vec<Fail>,
    /// How long a phase takes: PHASE=DURATION or HOST:PHASE=DURATION. May be given again
    #[arg(long = "slow", value_name = "PHASE=DURATION")]
    pub slows: Vec<Slow>,
    /// When it begins, for gates that ask for the time of day: 2026-11-21T14:00:00Z, "2026-11-21 14:00" (local) or +10m
    /// [default: Saturday, 2000-01-01T00:00:00Z]
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// How long made-up people think before they approve
    #[arg(long, value_name = "TIME", default_value = "5m")]
    pub think: Span,
    /// Everything that is left to chance is drawn from it
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Tell what happened, oldest first, before the rest
    #[arg(long)]
    pub events: bool,
    /// How to show it
    #[arg(long, short, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: SimulateFormat,
}

/// What stands for the coordinator where a file's name could.
const COORDINATOR: &str = "coordinator";

impl Simulate {
    /// Whether its hosts are the coordinator's.
    #[must_use]
    pub(crate) fn asks_coordinator(&self) -> bool {
        self.hosts_from
            .as_ref()
            .is_some_and(|from| from.as_os_str() == COORDINATOR)
    }
}

/// How a rehearsal is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum SimulateFormat {
    /// The tree of `status`, then the forecast
    #[default]
    Table,
    /// One object: rollout, end, approvals, forecast and events
    Json,
}
