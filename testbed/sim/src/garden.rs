//! Known mistakes, one after the other, and the first seed that finds each: who shows that something holds must show that
//! he would have seen it fail. Only with the feature `planted`; see `proto/src/planted.rs`.

use echelon_proto::planted::{Plant, plant};

use crate::{Ran, Set, Setup, Violation, run};

/// The first seed that found a mistake, and by what.
#[derive(Debug, Clone)]
pub struct Found {
    /// Which mistake.
    pub plant: Plant,
    /// `None`: none of the set's seeds found it.
    pub by: Option<(u64, Violation)>,
}

/// One seed with the mistake made.
#[must_use]
pub fn run_with(setup: Setup, mistake: Plant) -> Ran {
    plant(Some(mistake));
    let ran = run(setup);
    plant(None);
    ran
}

/// Looks for the mistake in the set's seeds, lowest first.
#[must_use]
pub fn look(set: Set, mistake: Plant) -> Found {
    let set = Set {
        only_first: true,
        ..set
    };
    let mut sum = set.run_by(|setup| run_with(setup, mistake));
    Found {
        plant: mistake,
        by: sum.broken.pop_first(),
    }
}
