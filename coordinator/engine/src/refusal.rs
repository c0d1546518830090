//! A wish that cannot be granted now. It is replied and nothing is written. Each says what is wrong, where, and what to
//! do instead.

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Refusal {
    /// Which kind: the edges map it to a gRPC status and an exit code.
    pub reason: Reason,
    /// What is wrong, where, and what to do instead.
    pub text: String,
}

/// Kinds of refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The wish itself makes no sense.
    Invalid,
    /// It names what is not there.
    NotFound,
    /// It names what is there already, and is different.
    AlreadyExists,
    /// Not in this state.
    WrongState,
    /// There is nothing to be done.
    NothingToDo,
    /// The plan rests on what has changed since.
    StalePlan,
    /// Another rollout of the app is active.
    RolloutConflict,
    /// The rollout has changed since the caller looked.
    EtagMismatch,
    /// Not by this person: the two-person rule.
    TwoPersons,
    /// The token is not known, was used, has expired, or is another host's.
    BadToken,
}

impl Reason {
    /// As in `google.rpc.ErrorInfo.reason`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Invalid => "INVALID",
            Self::NotFound => "NOT_FOUND",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::WrongState => "WRONG_STATE",
            Self::NothingToDo => "NOTHING_TO_DO",
            Self::StalePlan => "STALE_PLAN",
            Self::RolloutConflict => "ROLLOUT_CONFLICT",
            Self::EtagMismatch => "ETAG_MISMATCH",
            Self::TwoPersons => "TWO_PERSONS",
            Self::BadToken => "BAD_TOKEN",
        }
    }

    /// With its text.
    #[must_use]
    pub fn refusal(self, text: impl Into<String>) -> Refusal {
        Refusal {
            reason: self,
            text: text.into(),
        }
    }
}
