//! A condition of a playbook: a CEL expression that is true or false. It is bounded and type-checked when it is written,
//! and evaluated by the very same code in the coordinator (`when`, invariants) and in agents (`until`), which must not
//! come to different answers. Deliberately no knowledge of playbooks: which variables there are is said by the [`Place`].
//!
//! Of CEL it takes what has no loops: no macros but `has`, no types of one's own, no regular expressions. So the time
//! that an evaluation takes is bounded by the length of its text.

mod check;
mod facts;
mod place;

use std::{
    fmt,
    sync::{Arc, LazyLock, OnceLock},
};

use cel::{Context, Env, Program, Value};
use serde::{Deserialize, Serialize};

pub use facts::{Answer, Facts, Host, Lane, Pool, Release, Rollout, Site, Wave};
pub use place::Place;

/// Characters of a condition. The parser goes deeper for each term of a chain: 400 terms and it is at the end of a small
/// stack.
pub const CHARS_MAX: usize = 500;
/// Brackets within brackets, and `?` of one condition: the parser goes some ten calls deeper for each.
const NESTING_MAX: usize = 12;

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// A CEL expression that is true or false.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Condition {
    text: Arc<str>,
    /// Parsed when it is first asked.
    program: Arc<OnceLock<Program>>,
}

/// A text that is no condition of its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    /// The byte of the text at which it is wrong.
    pub at: usize,
    /// What is wrong, in one line.
    pub message: String,
    /// How to mend it, in one line.
    pub help: String,
}

/// It can be told neither to be true nor to be false, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unknown(String);

impl Condition {
    /// A condition for this place.
    ///
    /// # Errors
    ///
    /// Where it is too long or too deep, is no CEL, names what is not there, or mixes types.
    pub fn new(text: &str, place: Place) -> Result<Self, Invalid> {
        let program = parse(text)?;
        check::check(&program, place)?;
        let condition = Self {
            text: text.into(),
            program: Arc::default(),
        };
        let _first = condition.program.set(program);
        Ok(condition)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it holds.
    ///
    /// # Errors
    ///
    /// What it asks for is not there (a label, a field of a JSON body), or is of another type than it is taken for.
    pub fn holds(&self, facts: &impl Facts) -> Result<bool, Unknown> {
        let mut context = Context::with_env(ENV.clone());
        // What the text does not even contain it does not read.
        for (name, value) in facts.variables(&|name| self.text.contains(name)) {
            context.add_variable_from_value(name, value);
        }
        let program = match self.program.get() {
            Some(program) => program,
            None => {
                let program = parse(&self.text).map_err(|invalid| Unknown(invalid.message))?;
                self.program.get_or_init(|| program)
            }
        };
        match program.execute(&context) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(_) => Err(Unknown(format!("`{}` is neither true nor false", self.text))),
            Err(error) => Err(Unknown(format!("`{}`: {error}", self.text))),
        }
    }
}

/// Brackets are counted before the parser sees them: it would come to the end of its stack.
fn parse(text: &str) -> Result<Program, Invalid> {
    let invalid = |at, message: &str, help: &str| Invalid {
        at,
        message: message.to_owned(),
        help: help.to_owned(),
    };
    if text.trim().is_empty() {
        return Err(invalid(0, "a condition is empty", "write one, as `status == 200`"));
    }
    if text.chars().count() > CHARS_MAX {
        let message = format!("a condition has more than {CHARS_MAX} characters");
        return Err(invalid(0, &message, "let a program of your own decide that"));
    }
    if let Some(at) = too_deep(text) {
        return Err(invalid(at, "a condition is nested too deeply", "write it flatter"));
    }
    Program::compile(text).map_err(|errors| {
        let first = errors.errors.first();
        let (line, column) = first.map_or((1, 1), |error| error.pos);
        let message = first.map_or("it cannot be read", |error| error.msg.as_str());
        let help = "conditions are CEL: `a == 1 && b != \"x\"`; text goes in quotes";
        invalid(
            byte_at(text, line, column),
            &format!("no condition: {}", message.lines().next().unwrap_or_default()),
            help,
        )
    })
}

/// The byte at which brackets or `?` are too many.
fn too_deep(text: &str) -> Option<usize> {
    let (mut depth, mut choices, mut quote, mut escaped) = (0_usize, 0_usize, None, false);
    for (at, byte) in text.bytes().enumerate() {
        if let Some(end) = quote {
            if escaped {
                escaped = false;
            } else if byte == b'\\' {
                escaped = true;
            } else if byte == end {
                quote = None;
            }
            continue;
        }
        match byte {
            b'"' | b'\'' => quote = Some(byte),
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b'?' => choices += 1,
            _ => {}
        }
        if depth > NESTING_MAX || choices > NESTING_MAX {
            return Some(at);
        }
    }
    None
}

/// The parser counts lines and columns from 1.
fn byte_at(text: &str, line: isize, column: isize) -> usize {
    let from = |number: isize| usize::try_from(number).unwrap_or(1).max(1) - 1;
    let before: usize = text.split_inclusive('\n').take(from(line)).map(str::len).sum();
    (before + from(column)).min(text.len().saturating_sub(1))
}

impl TryFrom<String> for Condition {
    type Error = Invalid;
    /// For what was checked when it was written: what it may name is not looked at again.
    fn try_from(text: String) -> Result<Self, Invalid> {
        let program = parse(&text)?;
        let condition = Self {
            text: text.into(),
            program: Arc::default(),
        };
        let _first = condition.program.set(program);
        Ok(condition)
    }
}

impl From<Condition> for String {
    fn from(condition: Condition) -> Self {
        condition.text.as_ref().into()
    }
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Condition {}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests;
