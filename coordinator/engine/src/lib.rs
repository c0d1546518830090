//! The pure heart of Echelon: state and event go in, records come out; records are applied; what the world is owed is
//! computed. No IO, no clock, no async, no randomness: the crate depends on nothing that has any, and a test holds it.
//!
//! - [`Engine::decide`]: all policy on one event. Pure.
//! - [`Engine::advance`]: all policy on what follows by itself: the next phase, the next wave, a gate, a deadline.
//! - [`Engine::apply`]: no policy, cannot fail; the same code live and in replay.
//! - [`Engine::owed`]: level-triggered effects, kept incrementally; [`Engine::owed_from_scratch`] is the same by definition.

mod advance;
mod apply;
mod canary;
pub mod capacity;
pub mod command;
pub mod converge;
mod decide;
pub mod desired;
pub mod drift;
pub mod effect;
mod engine;
pub mod event;
pub mod gate;
pub mod host;
mod invariant;
mod monitor;
mod muster;
pub mod notice;
pub mod outcome;
mod owed;
pub mod plan;
pub mod record;
pub mod refusal;
pub mod rollback;
pub mod rollout;
mod site;
pub mod state;
pub mod view;
mod way;

pub use engine::{Config, Decision, Engine, Reply};
pub use event::Event;
pub use record::{Entry, Record};
pub use refusal::{Reason, Refusal};
pub use state::State;
