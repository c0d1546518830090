//! What people read: pure functions from state (or a record) to plain values. The edges turn these into wire types;
//! nothing else of the engine's types leaves the coordinator.

mod account;
mod event;
mod explain;
mod rollout;
mod symptom;

pub use account::{HostRow, PhaseTimes, ReportView, report};
pub use event::{EventView, event, rule_name};
pub use explain::{Explanation, explain};
pub use rollout::{FailureView, GateView, LaneView, RolloutState, RolloutView, WaveView, rollout};
pub use symptom::{Symptoms, symptoms};
