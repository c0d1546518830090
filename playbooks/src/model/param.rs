//! What can be set when a playbook is used: `${{ params.port }}`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What can be set when a playbook is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Param {
    /// What values it takes.
    pub kind: ParamKind,
    /// What it is used with where nothing is given; `None`: it must be given.
    pub default: Option<String>,
    /// What it is read with here; `None`: nothing was given, and the playbook can only be looked at.
    pub value: Option<String>,
    /// For people, one line.
    pub about: String,
}

/// What values a parameter takes. Each is written as it would stand in the playbook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParamKind {
    /// Any text of one line.
    Text,
    /// One of these words.
    Choice(Vec<String>),
    /// A whole number within these bounds.
    Number {
        /// At least.
        min: i64,
        /// At most.
        max: i64,
    },
    /// true or false.
    Truth,
    /// A length of time: `10m`.
    Span,
    /// So many hosts: `3` or `10%`.
    Amount,
}

impl Param {
    /// What is to be given and what for, in one line.
    #[must_use]
    pub fn wanted(&self) -> String {
        match self.about.as_str() {
            "" => self.kind.to_string(),
            about => format!("{}; {about}", self.kind),
        }
    }
}

/// What is to be given, for people: `a whole number from 1 to 65535`.
impl fmt::Display for ParamKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("one line of text"),
            Self::Choice(words) => match words.as_slice() {
                [one] => write!(f, "the word {one}"),
                words => write!(f, "one of the words {}", words.join(", ")),
            },
            Self::Number { min, max } => match (*min > i64::MIN, *max < i64::MAX) {
                (true, true) => write!(f, "a whole number from {min} to {max}"),
                (true, false) => write!(f, "a whole number from {min}"),
                (false, true) => write!(f, "a whole number up to {max}"),
                (false, false) => f.write_str("a whole number"),
            },
            Self::Truth => f.write_str("true or false"),
            Self::Span => f.write_str("a length of time (500ms, 30s, 10m, 1h30m)"),
            Self::Amount => f.write_str("a number of hosts or a percentage (3, 10%)"),
        }
    }
}
