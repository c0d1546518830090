//! A whole ring in one thread and no time at all: the coordinator's real driver, engine and journal, and each agent's real
//! machine and ledger, over a clock, a network and disks that are made up. Everything that happens is drawn from a seed;
//! what must always hold is checked after every event, and at the end, the world healed, every rollout must have ended.
//!
//! ```text
//! chance -> trouble, people -> world (agenda: one thing at a time) -> center (driver + journal on a made-up disk)
//!                                    |                                   |
//!                                    +-> host (machine + ledger) <- net -+
//!                              after each: watch (a mirror takes every record; the thirteen are asked)
//! ```
//!
//! Deliberately not here: sockets, TLS, files, programs. They are tried by the real-stack simulation, the crash sweep and
//! the demo.

mod center;
mod chance;
mod clock;
mod fault;
#[cfg(feature = "planted")]
pub mod garden;
mod heal;
mod host;
mod net;
mod older;
mod people;
mod playbook;
mod reach;
mod set;
mod size;
mod story;
mod trouble;
mod watch;
mod world;

pub use chance::Chance;
pub use fault::Fault;
pub use older::Older;
pub use playbook::fill;
pub use reach::TRANSITIONS;
pub use set::{Set, Sum, guarded};
pub use story::{Held, Story, Violation, must};
pub use watch::Watch;
pub use world::{Ran, Setup, leave, run};
