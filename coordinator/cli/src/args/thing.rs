//! Arguments of the noun-verb commands.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use echelon_proto::{App, Datacenter, Digest, GateName, HostId, PhaseName, Pool, ReleaseName, WaveName};

use super::{Limit, Output};
use crate::name::RolloutName;

/// `rollout ...`
#[derive(Debug, Subcommand)]
pub(crate) enum RolloutVerb {
    /// List rollouts, newest first
    List {
        /// Only of this app
        app: Option<App>,
        /// Only those without an outcome yet
        #[arg(long)]
        active: bool,
        /// How many
        #[command(flatten)]
        limit: Limit,
        /// How to show it
        #[command(flatten)]
        output: Output,
    },
    /// Show one rollout
    Get {
        /// The rollout: r7
        rollout: RolloutName,
        /// How to show it
        #[command(flatten)]
        output: Output,
    },
    /// List what happened, oldest first
    Events {
        /// The rollout: r7
        rollout: RolloutName,
        /// Stay, and show what happens until it has an outcome
        #[arg(long, short)]
        follow: bool,
        /// From this sequence on
        #[arg(long, value_name = "SEQUENCE", default_value_t = 0)]
        from: u64,
        /// How to show it
        #[command(flatten)]
        output: Output,
    },
    /// Show the output of phases
    Logs(Logs),
    /// Say why it stands still or what it does, and who can act
    Explain {
        /// The rollout: r7
        rollout: RolloutName,
        /// What this canary gate was decided by, and its verdict computed again
        #[arg(long)]
        gate: Option<GateName>,
        /// Of the gate: in this datacenter [default: where it was looked at last]
        #[arg(long, value_name = "DATACENTER", requires = "gate")]
        dc: Option<Datacenter>,
        /// Of the gate: of this wave
        #[arg(long, requires = "gate")]
        wave: Option<WaveName>,
        /// How to show it
        #[command(flatten)]
        output: Output,
    },
}

/// `rollout logs`
#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// The rollout: r7
    pub rollout: RolloutName,
    /// Only of this host
    #[arg(long)]
    pub host: Option<HostId>,
    /// Only of this phase
    #[arg(long)]
    pub phase: Option<PhaseName>,
    /// Stay, and show what comes until the rollout has an outcome
    #[arg(long, short)]
    pub follow: bool,
}

/// `release ...`
#[derive(Debug, Subcommand)]
pub(crate) enum ReleaseVerb {
    /// Make a release known
    Create(CreateRelease),
    /// List releases
    List {
        /// Only of this app
        app: Option<App>,
        /// How many
        #[command(flatten)]
        limit: Limit,
        /// How to show it
        #[command(flatten)]
        output: Output,
    },
    /// Show one release
    Get {
        /// The app
        app: App,
        /// The release
        release: ReleaseName,
        /// How to show it
        #[command(flatten)]
        output: Output,
    },
}

/// `release create`
#[derive(Debug, Args)]
#[command(after_help = "Without --url: a release without an artifact.")]
pub(crate) struct CreateRelease {
    /// The app
    pub app: App,
    /// The release
    pub release: ReleaseName,
    /// Where agents fetch the artifact: http or https. Needs --sha256 or --file
    #[arg(long, requires = "content")]
    pub url: Option<String>,
    /// Its SHA-256, as `sha256sum` prints it
    #[arg(long, group = "content", requires = "url", value_name = "HEX")]
    pub sha256: Option<Digest>,
    /// A local copy of the artifact, from which SHA-256 and size are taken
    #[arg(long, group = "content", requires = "url")]
    pub file: Option<PathBuf>,
    /// Its size in bytes, where it is known without --file
    #[arg(long, value_name = "BYTES", conflicts_with = "file", requires = "sha256")]
    pub size: Option<u64>,
    /// The same id does it once however often it is asked
    #[arg(long, value_name = "ID")]
    pub request_id: Option<String>,
    /// Check everything, create nothing
    #[arg(long)]
    pub dry_run: bool,
    /// How to show it
    #[command(flatten)]
    pub output: Output,
}

/// `host ...`
#[derive(Debug, Subcommand)]
pub(crate) enum HostVerb {
    /// List hosts
    List {
        /// Only these: app=web,env!=test,dc=dc1
        #[arg(long, short = 'l', default_value = "", hide_default_value = true)]
        selector: String,
        /// How many
        #[command(flatten)]
        limit: Limit,
        /// How to show it
        #[command(flatten)]
        output: Output,
    },
    /// Show one host
    Get {
        /// The host
        host: HostId,
        /// How to show it
        #[command(flatten)]
        output: Output,
    },
    /// Say what is wrong with a host, and how to mend it
    Doctor {
        /// The host
        host: HostId,
        /// How to show it
        #[command(flatten)]
        output: Output,
    },
    /// List the processes of an app on a host
    Processes {
        /// The host
        host: HostId,
        /// The app
        app: App,
        /// How to show it
        #[command(flatten)]
        output: Output,
    },
    /// List the releases that are on a host's disk
    Releases {
        /// The host
        host: HostId,
        /// Only of this app
        app: Option<App>,
        /// How to show it
        #[command(flatten)]
        output: Output,
    },
    /// Show the end of a file of a host, one of those that its agent's config shows
    Tail {
        /// The host
        host: HostId,
        /// The file's whole path
        file: String,
        /// At most so many lines
        #[arg(long, short = 'n', value_name = "N", default_value_t = 10)]
        lines: u32,
        /// Stay, and show what is written, for ten minutes
        #[arg(long, short)]
        follow: bool,
    },
    /// Give a host labels, or take them away
    Label {
        /// The host
        host: HostId,
        /// KEY=VALUE gives it, KEY- takes it away
        #[arg(required = true, value_name = "KEY=VALUE", value_parser = relabel)]
        labels: Vec<(String, Option<String>)>,
        /// Check everything, change nothing
        #[arg(long)]
        dry_run: bool,
        /// How to show it
        #[command(flatten)]
        output: Output,
    },
    /// Make a one-time token with which a new host joins within ten minutes
    Token {
        /// The host
        host: HostId,
        /// Where it stands
        #[arg(long = "dc", value_name = "DATACENTER")]
        datacenter: Datacenter,
        /// Its pool
        #[arg(long)]
        pool: Pool,
        /// A label; may be given again
        #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
        labels: Vec<(String, String)>,
        /// How to show it
        #[command(flatten)]
        output: Output,
    },
}

/// `context ...`
#[derive(Debug, Subcommand)]
pub(crate) enum ContextVerb {
    /// Show what would be used now, and all contexts
    Show,
    /// Make or change a context from --coordinator, --ca, --cert, --key and --server-name
    Set {
        /// Its name; the first one made becomes the current
        name: String,
    },
    /// Make a context the current one
    Use {
        /// Its name
        name: String,
    },
}

fn relabel(text: &str) -> Result<(String, Option<String>), String> {
    if let Some(key) = text.strip_suffix('-').filter(|key| !key.contains('=')) {
        let key: echelon_proto::Label = key.parse().map_err(|error: echelon_proto::Invalid| error.to_string())?;
        return Ok((key.to_string(), None));
    }
    label(text).map(|(key, value)| (key, Some(value)))
}

fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or_else(|| format!("{text:?} is no label: write key=value"))?;
    let key: echelon_proto::Label = key.parse().map_err(|error: echelon_proto::Invalid| error.to_string())?;
    Ok((key.to_string(), value.to_owned()))
}
