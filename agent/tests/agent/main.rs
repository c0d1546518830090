//! The real agent binary and the real host, against a small real coordinator and small real servers.

mod artifacts;
mod coordinator;
mod host;
mod joining;
mod library;
mod phases;
mod sandbox;
mod sessions;
