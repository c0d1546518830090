//! The real agent binary and the real host, against a small real coordinator and small real servers.

mod archives;
mod artifacts;
mod coordinator;
mod diagnostics;
mod disk;
mod files;
mod guards;
mod host;
mod hostile;
mod joining;
mod library;
mod limits;
mod phases;
mod polls;
mod prefetch;
mod sandbox;
mod secrets;
mod servers;
mod sessions;
mod supervisors;
mod upgrades;
