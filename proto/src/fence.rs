//! The fence on every order: what makes a message that comes late, twice, or from a deposed coordinator harmless.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{HostId, PhaseName, RolloutId};

/// (term, rollout, host, phase, attempt). `term` is that of the coordinator that speaks; the other four name the attempt
/// whatever the term, so an order sent again by a coordinator that restarted is known to be the same attempt.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fence {
    /// Grows with each start of a coordinator. An agent refuses less than the highest it has seen.
    pub term: u64,
    /// The rollout that ordered it.
    pub rollout: RolloutId,
    /// The host it is for.
    pub host: HostId,
    /// The phase or compensation.
    pub phase: PhaseName,
    /// Counts all orders of this rollout on this host, from 1: an older attempt is always a smaller number.
    pub attempt: u32,
}

impl Fence {
    /// The same attempt, whatever the term.
    #[must_use]
    pub fn same_attempt(&self, other: &Self) -> bool {
        self.rollout == other.rollout
            && self.host == other.host
            && self.phase == other.phase
            && self.attempt == other.attempt
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}/{}/{} (term {})",
            self.rollout, self.host, self.phase, self.attempt, self.term
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_term_does_not_change_which_attempt_it_is() {
        let first = Fence {
            term: 1,
            rollout: RolloutId::new("r1").unwrap(),
            host: HostId::new("h1").unwrap(),
            phase: PhaseName::new("install").unwrap(),
            attempt: 1,
        };
        assert!(first.same_attempt(&Fence {
            term: 2,
            ..first.clone()
        }));
        assert!(!first.same_attempt(&Fence {
            attempt: 2,
            ..first.clone()
        }));
    }
}
