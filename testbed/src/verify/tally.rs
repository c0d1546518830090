//! What passed and what failed, and how it is read from what `cargo test` prints. Deliberately no third kind: a test that
//! is not run is no test of this house.

use std::{
    fmt,
    ops::{Add, AddAssign},
};

/// How many of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) passed: usize,
    pub(super) failed: usize,
}

impl Tally {
    /// One thing that passed.
    pub(super) const PASSED: Self = Self { passed: 1, failed: 0 };
    /// One thing that failed.
    pub(super) const FAILED: Self = Self { passed: 0, failed: 1 };

    /// The sum of all suites, and how many there were.
    pub(super) fn of_tests(said: &str) -> (Self, usize) {
        let suites = said.lines().filter_map(suite);
        suites.fold((Self::default(), 0), |(sum, count), suite| (sum + suite, count + 1))
    }
}

/// `test result: ok. 12 passed; 0 failed; 0 ignored; ...`
fn suite(line: &str) -> Option<Tally> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count = |what: &str| {
        let mut counts = counts.split("; ").filter_map(|count| count.split_once(' '));
        counts.find(|(_, name)| *name == what)?.0.parse().ok()
    };
    Some(Tally {
        passed: count("passed")?,
        failed: count("failed")?,
    })
}

impl Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
        }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "     Running unittests src/lib.rs (target/debug/deps/it-1)
test that::it_is ... ok
test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; finished in 0.00s
thread 'other' panicked: test result: ok. 99 passed; 0 failed
test result: FAILED. 3 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1.20s
test result: unheard of
";

    #[test]
    fn every_suite_counts_and_nothing_that_only_looks_like_one() {
        assert_eq!(Tally::of_tests(SAID), (Tally { passed: 15, failed: 2 }, 2));
        assert_eq!(Tally::of_tests("error: could not compile"), (Tally::default(), 0));
    }

    #[test]
    fn the_last_line_is_as_every_reader_of_it_wants_it() {
        assert_eq!(
            (Tally::of_tests(SAID).0 + Tally::FAILED).to_string(),
            "15 passed, 3 failed"
        );
    }
}
