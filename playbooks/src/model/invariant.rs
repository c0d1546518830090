//! What must hold before a host may leave service. False or unknown holds the host back; it does not fail it.

use echelon_condition::Condition;
use serde::{Deserialize, Serialize};

use super::Action;

/// What must hold before a host may leave service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invariant {
    /// Its name, for people.
    pub name: String,
    /// What is asked.
    pub ask: Ask,
}

/// What an invariant asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// What the coordinator knows of the host, its pool and its lane.
    Expr(Condition),
    /// The host itself, just before the phase: http, tcp or run.
    Host(Action),
}
