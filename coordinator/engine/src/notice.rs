//! What the outside hears of, whoever did it: an operator, a gate, a spent budget. Not a log: the rollout's story is in
//! `view::event`. Who is told, and how, is the shell's.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{effect::Notification, record::Record, state::State};

/// On what occasion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Occasion {
    /// A rollout runs.
    RolloutStarted,
    /// A gate waits for people.
    ApprovalNeeded,
    /// A rollout starts nothing new until somebody acts.
    RolloutHeld,
    /// Lanes go back.
    RollbackBegan,
    /// A rollout has its outcome.
    RolloutEnded,
}

impl Occasion {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::RolloutStarted,
        Self::ApprovalNeeded,
        Self::RolloutHeld,
        Self::RollbackBegan,
        Self::RolloutEnded,
    ];

    /// `rollout_started`
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RolloutStarted => "rollout_started",
            Self::ApprovalNeeded => "approval_needed",
            Self::RolloutHeld => "rollout_held",
            Self::RollbackBegan => "rollback_began",
            Self::RolloutEnded => "rollout_ended",
        }
    }
}

impl fmt::Display for Occasion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that is no occasion.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("nothing is told on {0:?}: write {all}", all = Occasion::ALL.map(Occasion::name).join(", "))]
pub struct UnknownOccasion(String);

impl FromStr for Occasion {
    type Err = UnknownOccasion;

    fn from_str(text: &str) -> Result<Self, UnknownOccasion> {
        let known = Self::ALL.into_iter().find(|occasion| occasion.name() == text);
        known.ok_or_else(|| UnknownOccasion(text.to_owned()))
    }
}

/// The word that this record is worth; the state is the one after it.
pub(crate) fn notice(state: &State, record: &Record) -> Option<Notification> {
    let (kind, text) = match record {
        Record::RolloutStarted { .. } => (Occasion::RolloutStarted, String::new()),
        Record::ApprovalAsked { datacenter, gate, .. } => (
            Occasion::ApprovalNeeded,
            format!("{gate} in {datacenter} waits for approval"),
        ),
        Record::RolloutHeld { text, .. } => (Occasion::RolloutHeld, text.clone()),
        Record::RollbackBegan { text, .. } => (Occasion::RollbackBegan, text.clone()),
        Record::RolloutEnded { outcome, text, .. } => (
            Occasion::RolloutEnded,
            format!("{}: {text}", outcome.name().replace('_', " ")),
        ),
        _ => return None,
    };
    let rollout = state.rollouts.get(record.rollout()?)?;
    Some(Notification {
        number: state.notifications_made + 1,
        rollout: rollout.id.clone(),
        app: rollout.app.clone(),
        release: rollout.release.clone(),
        kind,
        text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_occasion_is_read_as_it_is_written_and_another_word_is_told_all_of_them() {
        for occasion in Occasion::ALL {
            assert_eq!(occasion.name().parse(), Ok(occasion));
            assert_eq!(serde_json::to_value(occasion).unwrap(), occasion.name());
        }
        let error = "wave_opened".parse::<Occasion>().unwrap_err().to_string();
        assert!(
            error.contains("\"wave_opened\"") && error.contains("rollout_held"),
            "{error}"
        );
    }
}
