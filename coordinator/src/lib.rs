//! The shell around the engine: everything that touches a disk, a socket or a clock. No policy is decided here.

pub mod api;
pub mod asks;
pub mod balancer;
pub mod command;
pub mod config;
pub mod decisions;
pub mod driver;
pub mod ground;
pub mod journal;
pub mod link;
pub mod listen;
pub mod output;
pub mod pki;
pub mod runner;
pub mod samples;
pub mod serve;
pub mod sessions;
pub mod source;
mod web;
