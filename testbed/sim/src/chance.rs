//! All that is left to chance in one seed, drawn in turn from one generator: the same seed draws the same, so a run can be
//! had again. Deliberately no other source of chance is in this crate, and no clock.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

/// One seed's chance.
#[derive(Debug)]
pub struct Chance(StdRng);

impl Chance {
    /// That of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// From 0 to below `bound`; 0 when that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        if bound == 0 { 0 } else { self.0.random_range(0..bound) }
    }

    /// From `from` to `to`, both included.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        self.0.random_range(from..=to.max(from))
    }

    /// True in so many of a thousand cases.
    pub fn permille(&mut self, share: u32) -> bool {
        self.0.random_range(0..1000) < share
    }

    /// One of these; `None` of none.
    pub fn of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        all.get(self.below(all.len()))
    }

    /// One of these, of which there is at least one.
    pub fn one<'a, T, const N: usize>(&mut self, all: &'a [T; N]) -> &'a T {
        const { assert!(N > 0) };
        &all[self.below(N)]
    }

    /// One of these, the heavier the more often. Something must have a weight.
    pub fn weighted<T: Copy>(&mut self, all: &[(u32, T)]) -> Option<T> {
        let total: u32 = all.iter().map(|(weight, _)| weight).sum();
        if total == 0 {
            return None;
        }
        let mut at = self.0.random_range(0..total);
        for (weight, thing) in all {
            if at < *weight {
                return Some(*thing);
            }
            at -= weight;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_again_and_another_one_something_else() {
        let draw = |seed| {
            let mut chance = Chance::new(seed);
            (0..50).map(|_| chance.between(0, 1_000_000)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn what_weighs_nothing_is_never_drawn() {
        let mut chance = Chance::new(1);
        assert!((0..200).all(|_| chance.weighted(&[(0, 'a'), (3, 'b')]) == Some('b')));
        assert_eq!(chance.weighted::<char>(&[(0, 'a')]), None);
    }
}
