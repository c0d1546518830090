//! Everything that can be wrong, as a gRPC status with `google.rpc.ErrorInfo`: the one table.

use std::collections::HashMap;

use echelon_engine::{Reason, Refusal};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::driver::Unmet;

/// In `google.rpc.ErrorInfo.domain`.
pub const DOMAIN: &str = "echelon";

/// A wish that was not granted.
#[must_use]
pub fn of(unmet: &Unmet) -> Status {
    match unmet {
        Unmet::Refused(refusal) => refused(refusal),
        Unmet::Broken => with_reason(Code::Unavailable, "JOURNAL_BROKEN", &unmet.to_string()),
        Unmet::Stopping => with_reason(Code::Unavailable, "STOPPING", &unmet.to_string()),
    }
}

/// A refusal of the engine.
#[must_use]
pub fn refused(refusal: &Refusal) -> Status {
    with_reason(code(refusal.reason), refusal.reason.name(), &refusal.text)
}

fn code(reason: Reason) -> Code {
    match reason {
        Reason::Invalid => Code::InvalidArgument,
        Reason::NotFound => Code::NotFound,
        Reason::AlreadyExists => Code::AlreadyExists,
        Reason::WrongState | Reason::NothingToDo | Reason::StalePlan | Reason::RolloutConflict => {
            Code::FailedPrecondition
        }
        Reason::EtagMismatch => Code::Aborted,
        Reason::TwoPersons | Reason::BadToken => Code::PermissionDenied,
    }
}

/// With a reason of its own in `ErrorInfo`.
#[must_use]
pub fn with_reason(code: Code, reason: &str, text: &str) -> Status {
    let details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::<String, String>::new());
    Status::with_error_details(code, text, details)
}

/// What was asked for is not there.
#[must_use]
pub fn not_found(text: &str) -> Status {
    with_reason(Code::NotFound, Reason::NotFound.name(), text)
}

/// A field that cannot be taken as it is.
#[must_use]
pub fn invalid(field: &str, text: &str) -> Status {
    invalid_fields(&format!("{field}: {text}"), [(field.to_owned(), text.to_owned())])
}

/// Fields that cannot be taken as they are, with a text for people.
#[must_use]
pub fn invalid_fields(text: &str, violations: impl IntoIterator<Item = (String, String)>) -> Status {
    let mut details = ErrorDetails::with_error_info(Reason::Invalid.name(), DOMAIN, HashMap::<String, String>::new());
    for (field, description) in violations {
        details.add_bad_request_violation(field, description);
    }
    Status::with_error_details(Code::InvalidArgument, text, details)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_its_reason_and_its_text() {
        let status = refused(&Reason::EtagMismatch.refusal("r7 has changed"));
        assert_eq!((status.code(), status.message()), (Code::Aborted, "r7 has changed"));
        let info = status.get_error_details().error_info().unwrap().clone();
        assert_eq!(
            (info.reason.as_str(), info.domain.as_str()),
            ("ETAG_MISMATCH", "echelon")
        );
    }

    #[test]
    fn an_invalid_field_is_named_for_programs_too() {
        let status = invalid("app", "is empty");
        let details = status.get_error_details();
        let violation = &details.bad_request().unwrap().field_violations[0];
        assert_eq!(
            (violation.field.as_str(), violation.description.as_str()),
            ("app", "is empty")
        );
    }
}
