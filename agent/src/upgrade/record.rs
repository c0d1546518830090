//! What is written down of an agent's upgrades. Deliberately no files: the whole of it is written and read by its owner.

use std::fmt;

use echelon_proto::{Digest, Span};
use serde::{Deserialize, Serialize};

/// A binary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Version {
    pub(super) digest: Digest,
    /// As it says itself.
    pub(super) version: String,
}

/// A version that has to show that it can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Trial {
    pub(super) of: Version,
    /// From its first start, or the host's.
    pub(super) within: Span,
}

/// A trial that ended badly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Returned {
    pub(super) of: Version,
    pub(super) why: String,
}

impl fmt::Display for Returned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "version {} was taken back: {}", self.of.version, self.why)
    }
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Record {
    /// The version that the package had when this was begun.
    pub(super) package: String,
    pub(super) staged: Option<Version>,
    pub(super) trial: Option<Trial>,
    /// None: the package's own runs when there is no trial.
    pub(super) committed: Option<Version>,
    /// Was committed before it. None: the package's own ran.
    pub(super) previous: Option<Version>,
    /// The last one.
    pub(super) returned: Option<Returned>,
    /// Another one is chosen than runs.
    pub(super) restart_owed: bool,
}

impl Record {
    /// Which version is to run; None: the package's own.
    pub(super) fn chosen(&self) -> Option<&Version> {
        let trial = self.trial.as_ref().map(|trial| &trial.of);
        trial.or(self.committed.as_ref())
    }

    /// Ends the trial.
    pub(super) fn take_back(&mut self, why: String) {
        self.returned = self.trial.take().map(|trial| Returned { of: trial.of, why });
    }

    /// Whether a version that was taken back still runs, as far as is known.
    pub(super) fn is_return_owed(&self) -> bool {
        self.restart_owed && self.returned.is_some()
    }

    /// Whether this is so of a version that may run again.
    pub(super) fn names(&self, is_so: impl Fn(&Version) -> bool) -> bool {
        let trial = self.trial.as_ref().map(|trial| &trial.of);
        [trial, self.committed.as_ref(), self.previous.as_ref()]
            .into_iter()
            .flatten()
            .any(is_so)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(name: &str) -> Version {
        Version {
            digest: Digest::of(name.as_bytes()),
            version: name.to_owned(),
        }
    }

    #[test]
    fn who_is_on_trial_runs_and_then_who_was_committed() {
        let trial = Trial {
            of: version("3"),
            within: Span::secs(1),
        };
        let mut record = Record {
            trial: Some(trial),
            committed: Some(version("2")),
            ..Record::default()
        };
        assert_eq!(record.chosen(), Some(&version("3")));
        record.take_back("it hangs".to_owned());
        assert_eq!(record.chosen(), Some(&version("2")));
        let said = record.returned.unwrap().to_string();
        assert_eq!(said, "version 3 was taken back: it hangs");
    }

    #[test]
    fn only_what_was_taken_back_is_owed_by_a_guard() {
        let mut record = Record {
            trial: Some(Trial {
                of: version("3"),
                within: Span::secs(1),
            }),
            restart_owed: true,
            ..Record::default()
        };
        assert!(!record.is_return_owed(), "who orders it asks for it");
        record.take_back("it hangs".to_owned());
        assert!(record.is_return_owed());
    }

    /// The package may be newer or older than what has written it.
    #[test]
    fn a_record_of_another_version_is_read() {
        let record: Record = serde_json::from_str(r#"{"package":"0.1.0","later":{"x":1}}"#).unwrap();
        assert_eq!((record.package.as_str(), record.chosen()), ("0.1.0", None));
    }
}
