//! What a run leaves behind: counts, a hash of everything that happened in its order, the lines of its story when they
//! are asked for, and what did not hold. Deliberately cheap without the lines: a million seeds are run without them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    hash::{DefaultHasher, Hash, Hasher as _},
};

use echelon_proto::Time;

use crate::fault::Fault;

/// Something that must always hold did not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{invariant}: {text}")]
pub struct Violation {
    /// Which of the thirteen, as `testbed/sim/README.md` numbers and names them.
    pub invariant: &'static str,
    /// What was found.
    pub text: String,
}

/// It holds, or does not.
pub type Held = Result<(), Violation>;

/// A violation where `holds` is false.
///
/// # Errors
/// The violation.
pub fn must(holds: bool, invariant: &'static str, text: impl FnOnce() -> String) -> Held {
    if holds {
        Ok(())
    } else {
        Err(Violation {
            invariant,
            text: text(),
        })
    }
}

/// What happened.
#[derive(Debug)]
pub struct Story {
    pub(crate) faults: BTreeMap<Fault, u64>,
    /// What of [`crate::TRANSITIONS`] was reached.
    pub reached: BTreeSet<&'static str>,
    /// Things that happened.
    pub events: u64,
    hash: DefaultHasher,
    lines: Option<Vec<String>>,
}

impl Story {
    /// Nothing has happened. `told`: its lines are kept.
    #[must_use]
    pub fn new(told: bool) -> Self {
        Self {
            faults: BTreeMap::new(),
            reached: BTreeSet::new(),
            events: 0,
            hash: DefaultHasher::new(),
            lines: told.then(Vec::new),
        }
    }

    pub(crate) fn fault(&mut self, now: Time, fault: Fault, whom: impl fmt::Display) {
        *self.faults.entry(fault).or_default() += 1;
        fault.hash(&mut self.hash);
        self.tell(now, || format!("fault {fault} {whom}"));
    }

    /// Something happens.
    pub fn event(&mut self, now: Time) {
        self.events += 1;
        (self.events, now).hash(&mut self.hash);
    }

    /// This is part of what makes one run differ from another.
    pub fn mark(&mut self, what: impl Hash) {
        what.hash(&mut self.hash);
    }

    /// A line, made only when lines are kept.
    pub fn tell(&mut self, now: Time, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{} {} {}", self.events, now.0, line()));
        }
    }

    pub(crate) fn is_told(&self) -> bool {
        self.lines.is_some()
    }

    /// The same for the same seed on the same program.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash.finish()
    }

    /// The lines: number of the event, milliseconds, what.
    #[must_use]
    pub fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }
}
