//! What can be set when a playbook is used: `${{ params.port }}`.

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
