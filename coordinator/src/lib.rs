//! The shell around the engine: everything that touches a disk, a socket or a clock. No policy is decided here.

pub mod journal;
