//! The one table from what came out to the number the shell sees. Nothing else in this crate writes such a number.

use std::fmt::Write as _;

use echelon_proto::wire::control::{Rollout, RolloutState};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::client;

/// How the command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done; a rollout that succeeded, with debt or without.
    Done = 0,
    /// Anything that has no number of its own.
    Error = 1,
    /// Wrong arguments, a field the coordinator would not take, or a playbook with faults.
    Usage = 2,
    /// The rollout failed, was aborted or expired.
    Failed = 3,
    /// The certificate is not known or its role may not do this.
    NotAllowed = 4,
    /// The rollout went back.
    RolledBack = 5,
    /// `--wait`, or a rehearsal, stopped because the rollout waits for a person.
    WaitsForPerson = 6,
    /// A stale plan or etag, or another rollout in the way.
    Conflict = 7,
    /// `--timeout` ran out; the rollout goes on.
    TimedOut = 8,
    /// `--detailed-exitcode`: there is something to do, or the playbooks differ.
    HasChanges = 10,
    /// No answer from the coordinator.
    Unreachable = 11,
    /// Ctrl-C while watching; the rollout goes on.
    Detached = 130,
}

/// Every number with its meaning, as `help exit-codes` shows them.
const MEANINGS: [(Exit, &str); 12] = [
    (
        Exit::Done,
        "done; a rollout succeeded (with debt: a warning is printed)",
    ),
    (Exit::Error, "error"),
    (
        Exit::Usage,
        "usage, a value that was not accepted, or an invalid playbook",
    ),
    (Exit::Failed, "the rollout failed, was aborted or expired"),
    (
        Exit::NotAllowed,
        "not allowed: unknown certificate, or its role may not do this",
    ),
    (Exit::RolledBack, "the rollout was rolled back"),
    (
        Exit::WaitsForPerson,
        "the rollout waits for a person (`start --wait`, `playbook simulate`)",
    ),
    (
        Exit::Conflict,
        "stale plan, changed since --etag, or a conflicting rollout",
    ),
    (
        Exit::TimedOut,
        "--timeout ran out; the rollout goes on (a rehearsal: 60 days have passed)",
    ),
    (
        Exit::HasChanges,
        "the plan has changes, playbooks differ, or there is drift (`--detailed-exitcode` only)",
    ),
    (Exit::Unreachable, "the coordinator could not be reached"),
    (Exit::Detached, "detached by Ctrl-C; the rollout goes on"),
];

/// Reasons (`google.rpc.ErrorInfo`) by which a FAILED_PRECONDITION is a conflict and not an error.
const CONFLICTS: [&str; 2] = ["STALE_PLAN", "ROLLOUT_CONFLICT"];

impl Exit {
    /// The number for the shell.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Of what the coordinator, or the way to it, answered.
    #[must_use]
    pub fn of_status(status: &Status) -> Self {
        if client::is_shut_out(status) {
            return Self::NotAllowed;
        }
        if client::is_unreachable(status) {
            return Self::Unreachable;
        }
        match status.code() {
            Code::InvalidArgument | Code::OutOfRange => Self::Usage,
            Code::PermissionDenied | Code::Unauthenticated => Self::NotAllowed,
            Code::Aborted => Self::Conflict,
            Code::FailedPrecondition => {
                let conflict = status
                    .get_details_error_info()
                    .is_some_and(|info| CONFLICTS.contains(&info.reason.as_str()));
                if conflict { Self::Conflict } else { Self::Error }
            }
            _ => Self::Error,
        }
    }

    /// Of a rollout's outcome; `None` while it has none.
    #[must_use]
    pub fn of_rollout(rollout: &Rollout) -> Option<Self> {
        match rollout.state() {
            RolloutState::Succeeded | RolloutState::SucceededWithDebt => Some(Self::Done),
            RolloutState::Failed | RolloutState::Aborted | RolloutState::Expired => Some(Self::Failed),
            RolloutState::RolledBack => Some(Self::RolledBack),
            RolloutState::Unspecified
            | RolloutState::Scheduled
            | RolloutState::Queued
            | RolloutState::AwaitingApproval
            | RolloutState::Running
            | RolloutState::Held
            | RolloutState::RollingBack => None,
        }
    }
}

/// The help topic.
#[must_use]
pub fn table() -> String {
    MEANINGS.iter().fold(String::new(), |mut text, (exit, meaning)| {
        let _ = writeln!(text, "{:>5}  {meaning}", exit.code());
        text
    })
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    fn precondition(reason: &str) -> Status {
        let details = ErrorDetails::with_error_info(reason, "echelon", []);
        Status::with_error_details(Code::FailedPrecondition, "no", details)
    }

    #[test]
    fn every_outcome_and_every_refusal_has_its_number() {
        for (state, exit) in [
            (RolloutState::Succeeded, Some(Exit::Done)),
            (RolloutState::SucceededWithDebt, Some(Exit::Done)),
            (RolloutState::Failed, Some(Exit::Failed)),
            (RolloutState::Aborted, Some(Exit::Failed)),
            (RolloutState::Expired, Some(Exit::Failed)),
            (RolloutState::RolledBack, Some(Exit::RolledBack)),
            (RolloutState::Held, None),
            (RolloutState::AwaitingApproval, None),
        ] {
            let rollout = Rollout {
                state: state.into(),
                ..Rollout::default()
            };
            assert_eq!(Exit::of_rollout(&rollout), exit, "{state:?}");
        }
        for (status, exit) in [
            (Status::permission_denied(""), Exit::NotAllowed),
            (Status::unauthenticated(""), Exit::NotAllowed),
            (Status::invalid_argument(""), Exit::Usage),
            (Status::aborted(""), Exit::Conflict),
            (Status::unavailable(""), Exit::Unreachable),
            (Status::not_found(""), Exit::Error),
            (precondition("STALE_PLAN"), Exit::Conflict),
            (precondition("ROLLOUT_CONFLICT"), Exit::Conflict),
            (precondition("NOT_HELD"), Exit::Error),
        ] {
            assert_eq!(Exit::of_status(&status), exit, "{status:?}");
        }
    }

    #[test]
    fn the_help_topic_lists_every_number_once() {
        insta::assert_snapshot!(table());
    }
}
