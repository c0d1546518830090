//! The agent's command line. Deliberately only its shape: what a verb does is in `main`. The manual is made of it.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

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
