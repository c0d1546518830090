//! A condition of a playbook: a CEL expression that is true or false. Deliberately no knowledge of playbooks: who may use
//! which variables is said by the [`Place`] that it stands in.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Characters of a condition. The parser goes one call deeper for each term of a chain and each bracket.
const CHARS_MAX: usize = 1000;

/// A CEL expression that is true or false.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Condition(String);

/// A text that is no condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(String);

impl TryFrom<String> for Condition {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        if text.chars().count() > CHARS_MAX {
            return Err(Invalid(format!("a condition has at most {CHARS_MAX} characters")));
        }
        Ok(Self(text))
    }
}

impl From<Condition> for String {
    fn from(condition: Condition) -> Self {
        condition.0
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
