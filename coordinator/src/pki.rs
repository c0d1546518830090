//! The coordinator's own certificate authority: who is a host, who is a person and with which role. Every key is ECDSA
//! on P-256. It holds no list of hosts, tokens or revocations: that is state, and state is the engine's.
//!
//! What a certificate says is in URIs of its subject alternative name, written and read only here:
//!
//! | URI | on |
//! |---|---|
//! | `echelon://host/NAME` | a host's certificate, 24 h |
//! | `echelon://person/NAME` and `echelon://role/ROLE` | a person's certificate |

mod authority;
mod file;
mod identity;
mod role;
mod token;

use std::{io, path::PathBuf};

pub use self::{
    authority::{Authority, HostCertificate, Issued, ServerIdentity},
    file::write_private,
    identity::{Identity, Peer},
    role::{Role, UnknownRole},
    token::Token,
};

/// What can go wrong with certificates.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `init` where an authority is already.
    #[error(
        "{} exists already: hosts and people hold certificates of the authority in it; name another folder, or remove it \
         yourself if nothing does",
        folder.display()
    )]
    Exists {
        /// The folder.
        folder: PathBuf,
    },
    /// No authority in this folder.
    #[error("no certificate authority in {}: make one with `echelon-coordinator init`", folder.display())]
    Missing {
        /// The folder.
        folder: PathBuf,
    },
    /// A file could not be read or written.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file that does not hold what it must.
    #[error("{} does not hold {what}: restore it from a copy", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// A name the server's certificate cannot bear.
    #[error("{name:?} is neither a DNS name nor an IP address")]
    ServerName {
        /// As given.
        name: String,
    },
    /// A certificate signing request that is none.
    #[error("the certificate signing request is refused: {why}")]
    Request {
        /// Why.
        why: String,
    },
    /// A peer's certificate that names nobody this coordinator knows of.
    #[error("the certificate names no host and no person of this coordinator: {why}")]
    Nobody {
        /// What is missing or too much.
        why: String,
    },
    /// The certificate could not be made: a fault of ours.
    #[error("the certificate could not be made: {0}")]
    Make(#[from] rcgen::Error),
}
