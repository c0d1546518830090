//! Arguments of `playbook ...`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{Limit, Output, Reading, Simulate};

/// `playbook ...`
#[derive(Debug, Subcommand)]
pub(crate) enum PlaybookVerb {
    /// Show every fault of playbooks on this machine; needs no coordinator
    Lint(Lint),
    /// Say what the code of a fault means, and how to mend it
    Explain {
        /// E041; without it all codes are listed
        code: Option<String>,
    },
    /// Rehearse a rollout in virtual time: how it goes, how long it takes, what stays in service; starts nothing
    Simulate(Box<Simulate>),
    /// Make a playbook known. The same text again is the same version
    Push {
        /// The file
        file: PathBuf,
        /// Check everything, store nothing
        #[arg(long)]
        dry_run: bool,
        /// How to show it
        #[command(flatten)]
        output: Output,
    },
    /// List playbooks
    List {
        /// How many
        #[command(flatten)]
        limit: Limit,
        /// How to show it
        #[command(flatten)]
        output: Output,
    },
    /// Print the text of a playbook
    Get {
        /// `web` for its newest version, or `web@3`
        playbook: String,
        /// How to show it
        #[command(flatten)]
        output: Output,
    },
}

/// `playbook lint`
#[derive(Debug, Args)]
pub(crate) struct Lint {
    /// The files; `-` for what is piped in
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// What they are read with
    #[command(flatten)]
    pub reading: Reading,
    /// How to show it
    #[arg(
        long,
        short = 'o',
        alias = "output",
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    pub format: LintFormat,
    /// Let a warning be as bad as an error
    #[arg(long)]
    pub deny_warnings: bool,
}

/// How faults of playbooks are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum LintFormat {
    /// For the eye.
    #[default]
    Text,
    /// One array.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
}
