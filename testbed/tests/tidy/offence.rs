//! What breaks a rule: where, which, and how to mend it. All of them are told at once.

use std::fmt;

/// One place that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offence {
    /// From the top of the repository.
    pub(crate) file: String,
    /// From 1.
    pub(crate) line: usize,
    /// What is wrong.
    pub(crate) rule: String,
    /// How to mend it.
    pub(crate) mend: &'static str,
}

impl Offence {
    pub(crate) fn new(file: &str, line: usize, rule: impl Into<String>, mend: &'static str) -> Self {
        Self {
            file: file.to_owned(),
            line,
            rule: rule.into(),
            mend,
        }
    }
}

impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}\n    mend: {}", self.file, self.line, self.rule, self.mend)
    }
}

/// Fails with the whole list, if there is anything in it.
pub(crate) fn none(offences: impl IntoIterator<Item = Offence>) {
    let told: Vec<_> = offences.into_iter().map(|offence| offence.to_string()).collect();
    assert!(
        told.is_empty(),
        "{} offences against the house:\n{}",
        told.len(),
        told.join("\n")
    );
}
