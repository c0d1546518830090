//! What the person reads when something did not work: what was wrong, where, and the next command to type. The exit
//! number comes from `exit`; this file only words it.

use std::io;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    client,
    exit::Exit,
    line::{Line, Style},
};

/// A command that did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub(crate) struct Error {
    /// The number for the shell.
    pub exit: Exit,
    /// What was wrong and where, one line; empty: say nothing (the reader of our pipe has gone, or it was said already).
    pub what: String,
    /// Further lines: each bad field, each changed thing.
    pub details: Vec<String>,
    /// The command to type next.
    pub next: Option<String>,
}

impl Error {
    /// With nothing but the line.
    #[must_use]
    pub(crate) fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self {
            exit,
            what: what.into(),
            details: Vec::new(),
            next: None,
        }
    }

    /// Wrong arguments.
    #[must_use]
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::new(Exit::Usage, what)
    }

    /// Ends with this number; everything was said already.
    #[must_use]
    pub(crate) fn silent(exit: Exit) -> Self {
        Self::new(exit, "")
    }

    /// With the command to type next.
    #[must_use]
    pub(crate) fn next(mut self, command: impl Into<String>) -> Self {
        self.next = Some(command.into());
        self
    }

    /// With the command to type next, where there is not one yet.
    #[must_use]
    pub(crate) fn or_next(mut self, command: impl Into<String>) -> Self {
        if self.next.is_none() {
            self.next = Some(command.into());
        }
        self
    }

    /// With one line more.
    #[must_use]
    pub(crate) fn detail(mut self, line: impl Into<String>) -> Self {
        self.details.push(line.into());
        self
    }

    /// As it is shown.
    #[must_use]
    pub(crate) fn lines(&self) -> Vec<Line> {
        if self.what.is_empty() {
            return Vec::new();
        }
        let mut lines = vec![Line::new().push(Style::Bad, "✖ error: ").plain(&self.what)];
        lines.extend(self.details.iter().map(|line| Line::new().plain("    ").plain(line)));
        lines.extend(
            self.next
                .iter()
                .map(|next| Line::new().push(Style::Dim, "  next: ").push(Style::Bold, next)),
        );
        lines
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        if client::is_shut_out(&status) {
            let what = "the coordinator does not accept our certificate: expired, or of another CA";
            return Self::new(Exit::NotAllowed, what).next("echelon context show");
        }
        let exit = Exit::of_status(&status);
        if exit == Exit::Unreachable {
            let why = client::why_unreachable(&status);
            return Self::new(exit, format!("no answer from the coordinator: {why}")).next("echelon context show");
        }
        let mut error = Self::new(exit, what(&status));
        if let Some(bad) = status.get_details_bad_request() {
            // What the message says already is not said again.
            let further = bad
                .field_violations
                .iter()
                .filter(|violation| !error.what.contains(&violation.description));
            error.details.extend(further.map(|violation| {
                if violation.field.is_empty() {
                    violation.description.clone()
                } else {
                    format!("{}: {}", violation.field, violation.description)
                }
            }));
        }
        if let Some(failure) = status.get_details_precondition_failure() {
            error.details.extend(failure.violations.iter().map(|violation| {
                let subject = &violation.subject;
                format!("{subject}: {}", violation.description)
            }));
        }
        error.next = next(&status);
        error
    }
}

/// Why, as programs read it; empty where the answer does not say.
#[must_use]
pub(crate) fn reason(status: &Status) -> String {
    status
        .get_details_error_info()
        .map(|info| info.reason)
        .unwrap_or_default()
}

fn what(status: &Status) -> String {
    let text = if status.message().is_empty() {
        status.code().description()
    } else {
        status.message()
    };
    match reason(status).as_str() {
        "" => text.into(),
        reason => format!("{text} [{reason}]"),
    }
}

/// What the coordinator says to type (`next` in the metadata of its ErrorInfo); otherwise what its code suggests.
fn next(status: &Status) -> Option<String> {
    let info = status.get_details_error_info();
    let said = info.as_ref().and_then(|info| info.metadata.get("next"));
    if let Some(said) = said.filter(|said| !said.is_empty()) {
        return Some(said.clone());
    }
    let reason = info.map(|info| info.reason).unwrap_or_default();
    // It says itself what to type.
    if status.message().contains("`echelon ") {
        return None;
    }
    match (status.code(), reason.as_str()) {
        (_, "STALE_PLAN") => Some("echelon plan APP --release R --playbook P".into()),
        (_, "ROLLOUT_CONFLICT") => Some("echelon status".into()),
        (Code::PermissionDenied | Code::Unauthenticated, _) => Some("echelon context show".into()),
        _ => None,
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::silent(Exit::Error);
        }
        Self::new(Exit::Error, format!("cannot write the output: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::{ErrorDetails, FieldViolation};

    use super::*;

    fn shown(error: &Error) -> String {
        error.lines().iter().map(|line| line.text() + "\n").collect()
    }

    #[test]
    fn a_refusal_says_what_which_fields_and_what_to_type() {
        let mut details = ErrorDetails::with_error_info("FIELD_INVALID", "echelon", []);
        details.set_bad_request(vec![
            FieldViolation::new("sha256", "\"abc\" is not 64 hex digits"),
            FieldViolation::new("url", "must be http or https"),
        ]);
        let bad = Status::with_error_details(Code::InvalidArgument, "release 1.1.0 was not taken", details);
        let metadata = [("next".to_owned(), "echelon plan web --release 2".to_owned())];
        let stale = Status::with_error_details(
            Code::FailedPrecondition,
            "plan p1 is stale: host web-3 has left pool front",
            ErrorDetails::with_error_info("STALE_PLAN", "echelon", metadata),
        );
        let denied = Status::permission_denied("ann is a viewer; this needs deployer");
        let gone = Status::unavailable("connection refused");
        let all = [bad, stale, denied, gone].map(|status| shown(&Error::from(status)));
        insta::assert_snapshot!(all.join("\n"));
    }

    #[test]
    fn a_reader_that_went_away_is_not_complained_about() {
        let error = Error::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(error.lines().is_empty());
        assert_eq!(error.exit, Exit::Error);
    }
}
