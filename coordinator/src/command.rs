//! What `echelon-coordinator` does when it is not serving: one file for each subcommand. Flags and bodies; `main` only
//! chooses.

pub mod certificate;
pub mod init;

use std::{
    io,
    time::{SystemTime, UNIX_EPOCH},
};

use echelon_proto::Time;

use crate::pki;

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
    /// Standard output is closed.
    #[error("cannot write to standard output: {0}")]
    Out(#[from] io::Error),
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
