//! What `echelon-coordinator` does: one file for each subcommand. Flags and bodies; `main` only chooses.

pub mod certificate;
pub mod init;
pub mod journal;
pub mod serve;

use std::{
    io,
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use clap::{Parser, Subcommand};
use echelon_proto::Time;

use self::{certificate::Certificate, init::Init, journal::Look, serve::Serve};
use crate::{config, pki};

/// Rolls software out over a fleet of hosts, and takes it back when it is bad
#[derive(Debug, Parser)]
#[command(name = "echelon-coordinator", version)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Its verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    Init(Init),
    Serve(Serve),
    #[command(subcommand)]
    Certificate(Certificate),
    #[command(subcommand)]
    Journal(Look),
}

/// A subcommand failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// With certificates.
    #[error(transparent)]
    Pki(#[from] pki::Error),
    /// A time to live that makes no sense.
    #[error("--ttl {given} is not possible: make it 1m to 366d")]
    Ttl {
        /// As given.
        given: echelon_proto::Span,
    },
    /// With the config.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// With the journal.
    #[error(transparent)]
    Journal(#[from] crate::journal::Error),
    /// There is none to look into.
    #[error("there is no journal in {}: name the coordinator's folder with --data", folder.display())]
    NoJournal {
        /// Where one was looked for.
        folder: PathBuf,
    },
    /// The journal is whole, but what it leads to is not right.
    #[error("the journal does not hold together: {0}; keep a copy of the folder and report it")]
    Check(&'static str),
    /// In the coordinator itself.
    #[error(transparent)]
    Serve(#[from] crate::serve::Error),
    /// Standard output is closed, or the runtime could not be had.
    #[error("input or output failed: {0}")]
    Out(#[from] io::Error),
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
