//! Ranks with ties, and the test of Mann and Whitney (1947) by the normal approximation, corrected for ties and
//! continuity. Deliberately no exact table: the compatible judge uses none.

use statrs::distribution::{ContinuousCDF as _, Normal};

/// The first arm against the second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MannWhitney {
    /// Pairs in which the first is larger; a tie counts half.
    pub u: f64,
    /// Standardised, with continuity correction; NaN when all values are tied.
    pub z: f64,
    /// Of u from what is to be expected.
    distance: f64,
    /// Of u, when both are alike.
    deviation: f64,
}

impl MannWhitney {
    /// `None` for an empty arm.
    #[must_use]
    pub fn new(first: &[f64], second: &[f64]) -> Option<Self> {
        let (m, n) = (first.len() as f64, second.len() as f64);
        if first.is_empty() || second.is_empty() {
            return None;
        }
        let all: Vec<f64> = first.iter().chain(second).copied().collect();
        let ranked = Ranked::new(&all);
        let u = ranked.sum_of_first(first.len()) - m * (m + 1.0) / 2.0;
        let distance = u - m * n / 2.0;
        let deviation = spread(m, n, ranked.ties);
        Some(Self {
            u,
            z: (distance - sign(distance) / 2.0) / deviation,
            distance,
            deviation,
        })
    }

    /// Two-sided.
    #[must_use]
    pub fn p(&self) -> f64 {
        (2.0 * Normal::standard().sf(self.z.abs())).min(1.0)
    }

    /// How likely the first is this much larger by chance. The correction goes against that, wherever u lies.
    #[must_use]
    pub fn upper_tail(&self) -> f64 {
        Normal::standard().sf((self.distance - 0.5) / self.deviation)
    }
}

/// The standard deviation of the sum of ranks, where `ties` is the sum of t^3 - t over groups of equal values.
pub(crate) fn spread(m: f64, n: f64, ties: f64) -> f64 {
    (m * n / 12.0 * ((m + n + 1.0) - ties / ((m + n) * (m + n - 1.0)))).sqrt()
}

/// -1, 0 or 1; `f64::signum` knows no 0.
pub(crate) fn sign(number: f64) -> f64 {
    if number == 0.0 { 0.0 } else { number.signum() }
}

/// Average ranks, from 1.
pub(crate) struct Ranked {
    ranks: Vec<f64>,
    pub(crate) ties: f64,
}

impl Ranked {
    pub(crate) fn new(values: &[f64]) -> Self {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
        let mut ranks = vec![0.0; values.len()];
        let mut ties = 0.0;
        let mut begin = 0;
        while begin < order.len() {
            let same = order[begin..]
                .iter()
                .take_while(|at| values[**at] == values[order[begin]]);
            let count = same.count();
            let rank = begin as f64 + (count as f64 + 1.0) / 2.0;
            for at in &order[begin..begin + count] {
                ranks[*at] = rank;
            }
            let count_f = count as f64;
            ties += count_f * count_f * count_f - count_f;
            begin += count;
        }
        Self { ranks, ties }
    }

    pub(crate) fn sum_of_first(&self, count: usize) -> f64 {
        self.ranks[..count].iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_share_their_rank() {
        let ranked = Ranked::new(&[3.0, 1.0, 3.0, 2.0, 3.0]);
        assert_eq!(ranked.ranks, [4.0, 1.0, 4.0, 2.0, 4.0]);
        assert_eq!(ranked.ties, 24.0);
    }

    #[test]
    fn zero_and_minus_zero_are_one_value() {
        assert_eq!(Ranked::new(&[0.0, -0.0]).ranks, [1.5, 1.5]);
    }

    #[test]
    fn half_a_pair_from_the_middle_has_its_tail_too() {
        let test = MannWhitney::new(&[1.0, 2.0], &[1.0, 1.5, 2.0]).unwrap();
        assert_eq!(test.u, 3.0);
        let test = MannWhitney::new(&[1.0, 2.0], &[1.0, 1.5, 1.5]).unwrap();
        assert_eq!((test.u, test.z), (3.5, 0.0));
        assert_eq!((test.p(), test.upper_tail()), (1.0, 0.5));
    }

    #[test]
    fn all_that_is_tied_has_no_z() {
        let test = MannWhitney::new(&[1.0, 1.0], &[1.0]).unwrap();
        assert!(test.z.is_nan() && test.u == 1.0);
        assert_eq!(MannWhitney::new(&[], &[1.0]), None);
    }
}
