//! What is packaged, and where it is in the repository. Deliberately nothing of what is in the packages.

use std::path::{Path, PathBuf};

use clap::{CommandFactory as _, ValueEnum};

/// One of the packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Product {
    /// echelon-agent
    Agent,
    /// echelon-coordinator
    Coordinator,
    /// echelon-cli, the command `echelon`
    Cli,
}

/// The repository's top folder.
#[must_use]
pub fn repository() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own).to_owned()
}

impl Product {
    /// Of crate and package.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Agent => "echelon-agent",
            Self::Coordinator => "echelon-coordinator",
            Self::Cli => "echelon-cli",
        }
    }

    /// Its crate's folder.
    #[must_use]
    pub fn folder(self) -> PathBuf {
        repository().join(match self {
            Self::Agent => "agent",
            Self::Coordinator => "coordinator",
            Self::Cli => "coordinator/cli",
        })
    }

    /// Its command line, of which the manual is made.
    #[must_use]
    pub fn command(self) -> clap::Command {
        match self {
            Self::Agent => echelon_agent::arguments::Arguments::command(),
            Self::Coordinator => echelon_coordinator::command::Arguments::command(),
            Self::Cli => echelon_cli::command(),
        }
    }
}
