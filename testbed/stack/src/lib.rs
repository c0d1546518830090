//! The real stack in made-up time: the coordinator's house with gRPC, mutual TLS, driver and runners, real agents with their
//! sessions, machine and ledger, and people as real clients, all under turmoil, whose network, clocks and chance are a
//! seed's. Anything may fail; what must hold is asked of the journal's bytes and of what really began on hosts.
//!
//! ```text
//! people ----- gRPC, mTLS ----- coordinator (journal on a made-up disk) ----- gRPC, mTLS ----- agents (ledgers likewise)
//!                                   |                                                            |
//!      trouble, between ticks       +------------------ world: watch, promises, story -----------+ programs
//! ```
//!
//! mad-turmoil takes the place of `clock_gettime` and `getrandom` in whatever links it, so nothing but this crate's own
//! binary may: the testbed runs that, a process a seed. Deliberately not here: sled, real disks, real programs, several
//! coordinators.

mod center;
mod fault;
mod host;
mod net;
mod people;
mod playbook;
mod program;
mod promise;
mod run;
mod trouble;
mod world;

pub use fault::Fault;
pub use run::{Error, Ran, Setup, deterministic, run};
