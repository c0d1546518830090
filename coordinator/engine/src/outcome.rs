//! How a rollout ended.

use serde::{Deserialize, Serialize};

/// How a rollout ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every host arrived.
    Succeeded,
    /// Every lane arrived, but some hosts did not: failed within the budget, skipped, or not reachable.
    SucceededWithDebt,
    /// A lane stopped and did not go back.
    Failed,
    /// A person stopped it.
    Aborted,
    /// Every touched host is on its previous release, or named as debt.
    RolledBack,
    /// Dropped before it began.
    Expired,
}

impl Outcome {
    /// `succeeded_with_debt`
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::SucceededWithDebt => "succeeded_with_debt",
            Self::Failed => "failed",
            Self::Aborted => "aborted",
            Self::RolledBack => "rolled_back",
            Self::Expired => "expired",
        }
    }
}
