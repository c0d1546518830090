//! The testbed: the demo, the verification of the whole repository, a simulated fleet and the benches over it.
//!
//! Everything here looks at Echelon from the outside: real processes, real sockets, the real command line, clocks and
//! /proc. Deliberately nothing that the product needs: nobody depends on this crate.

pub mod bench;
pub mod binaries;
pub mod bundle;
pub mod canary;
pub mod cli;
pub mod coordinator;
pub mod crash;
pub mod demo;
pub mod fleet;
pub mod fuzz;
pub mod graphite;
pub mod haproxy;
pub mod host;
pub mod hosts;
pub mod judge;
pub mod origin;
pub mod place;
pub mod ports;
pub mod process;
pub mod prometheus;
pub mod reaper;
pub mod sample;
pub mod screen;
pub mod sim;
pub mod verify;
pub mod visit;
