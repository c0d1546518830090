//! The agent's command line. Deliberately only its shape: what a verb does is in `main`. The manual is made of it.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use echelon_proto::Span;

/// The agent of Echelon on this host.
#[derive(Debug, Parser)]
#[command(name = "echelon-agent", version)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Its verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a key and get a certificate for it with a one-time token.
    Join {
        /// The agent's config.
        #[arg(long, default_value = "/etc/echelon/agent.toml")]
        config: PathBuf,
        /// From `echelon host token HOST`; used once.
        #[arg(long, env = "ECHELON_JOIN_TOKEN", hide_env_values = true)]
        token: String,
    },
    /// Attach to the coordinator and do what it orders, until told to stop.
    Run {
        /// The agent's config.
        #[arg(long, default_value = "/etc/echelon/agent.toml")]
        config: PathBuf,
    },
    /// Print what stands on this host, from the ledger.
    Status {
        /// The agent's config.
        #[arg(long, default_value = "/etc/echelon/agent.toml")]
        config: PathBuf,
    },
    /// Put another version of the agent in the place of this one; called by phases of the playbook agent-upgrade.
    Upgrade {
        /// The agent's config.
        #[arg(long, global = true, default_value = "/etc/echelon/agent.toml")]
        config: PathBuf,
        /// What to do.
        #[command(subcommand)]
        step: Step,
    },
    /// Look what is wrong with this host, with or without a running agent, and say how to mend it.
    Doctor {
        /// The agent's config.
        #[arg(long, default_value = "/etc/echelon/agent.toml")]
        config: PathBuf,
    },
    /// Run one program for the agent; not for people.
    #[command(hide = true)]
    Supervise {
        /// As the first process of a unit of systemd's.
        #[arg(long)]
        unit: bool,
        /// The folder of the run.
        dir: PathBuf,
    },
}

/// The steps of an upgrade.
#[derive(Debug, Subcommand)]
pub enum Step {
    /// Copy the new binary beside the one that runs, and see that it runs on this host.
    Stage(Binary),
    /// Put it on trial: restart the agent as the new one, which is taken back by itself if it does not reach the coordinator.
    Switch {
        /// Which.
        #[command(flatten)]
        binary: Binary,
        /// Within which it must be welcomed, with its ledger read.
        #[arg(long, default_value = "2m", value_name = "TIME")]
        within: Span,
    },
    /// Wait until its trial is decided.
    Probe(Binary),
    /// Make it the one that stays.
    Commit(Binary),
    /// Go back to the one that ran before it.
    Return(Binary),
    /// Take the new one back when its time is over; not for people.
    #[command(hide = true)]
    Guard,
}

/// The new agent.
#[derive(Debug, clap::Args)]
pub struct Binary {
    /// Its binary.
    #[arg(long, default_value = "current/bin/echelon-agent", value_name = "FILE")]
    pub from: PathBuf,
}
