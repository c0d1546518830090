//! The exact permutation test of Fisher and Pitman for few hosts: had the release done nothing, any of the hosts could as
//! well have been the canaries; how many choices give a sum at least as large? Deliberately no drawn permutations: the same
//! values give the same answer, and 1 in 100,000 must be told from 1 in 1,000.
//!
//! Few choices are looked at one by one. Where there are more, values become whole scores on an even grid, and subsets are
//! counted by their sums (Pagano and Tritchler 1983): exact for the scores, which depend on nothing but all values together.

/// Up to so many choices are looked at one by one.
const CHOICES_MAX: f64 = 200_000.0;
/// Steps of the counting; some milliseconds.
const STEPS_MAX: f64 = 4e6;
/// Grids finer than this gain nothing.
const GRID_MAX: f64 = 4095.0;
const GRID_MIN: f64 = 63.0;
/// Sums that differ by rounding alone are one; of the largest value.
const ROUNDING: f64 = 1e-12;

/// Ways to choose `k` of `n`.
#[must_use]
pub fn choices(n: usize, k: usize) -> f64 {
    let k = k.min(n.saturating_sub(k));
    (0..k)
        .fold(1.0, |ways, i| ways * (n - i) as f64 / (i + 1) as f64)
        .round()
}

/// How likely a choice of the first arm's size has a mean at least as far above the other's as the first arm's.
#[must_use]
pub fn upper_tail(first: &[f64], second: &[f64]) -> f64 {
    let all: Vec<f64> = first.iter().chain(second).copied().collect();
    let (n, k) = (all.len(), first.len());
    if k == 0 || k == n {
        return 1.0;
    }
    if choices(n, k) <= CHOICES_MAX {
        one_by_one(&all, k)
    } else {
        by_counting(&all, k)
    }
}

/// The least that `upper_tail` can be.
#[must_use]
pub fn least_tail(first: usize, second: usize) -> f64 {
    1.0 / choices(first + second, first)
}

fn one_by_one(all: &[f64], k: usize) -> f64 {
    let observed: f64 = all[..k].iter().sum();
    let largest = all.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
    let bound = observed - ROUNDING * largest;
    let mut chosen: Vec<usize> = (0..k).collect();
    // Of the first so many chosen: most choices differ from the one before in the last place only.
    let mut sums = vec![0.0; k + 1];
    let (mut at_least, mut total, mut changed) = (0u64, 0u64, 0);
    loop {
        for place in changed..k {
            sums[place + 1] = sums[place] + all[chosen[place]];
        }
        at_least += u64::from(sums[k] >= bound);
        total += 1;
        // The last place that can still move up, and those after it right behind.
        let Some(place) = (0..k).rev().find(|place| chosen[*place] < all.len() - k + place) else {
            break;
        };
        chosen[place] += 1;
        for after in place + 1..k {
            chosen[after] = chosen[after - 1] + 1;
        }
        changed = place;
    }
    at_least as f64 / total as f64
}

fn by_counting(all: &[f64], k: usize) -> f64 {
    let low = all.iter().copied().fold(f64::INFINITY, f64::min);
    let high = all.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if low >= high {
        return 1.0;
    }
    let (n, count) = (all.len() as f64, k as f64);
    let grid = (STEPS_MAX / (n * count * count)).clamp(GRID_MIN, GRID_MAX).floor();
    let score = |value: f64| ((value - low) / (high - low) * grid).round() as usize;
    let scores: Vec<usize> = all.iter().map(|value| score(*value)).collect();
    let top = grid as usize * k;
    // Of subsets of each size, how many have each sum; as a share of all subsets of that size in the end.
    let mut ways = vec![vec![0.0f64; top + 1]; k + 1];
    ways[0][0] = 1.0;
    for (seen, score) in scores.iter().enumerate() {
        for size in (1..=k.min(seen + 1)).rev() {
            let (smaller, larger) = ways.split_at_mut(size);
            let (from, into) = (&smaller[size - 1], &mut larger[0]);
            for (sum, more) in into[*score..].iter_mut().zip(from) {
                *sum += more;
            }
        }
    }
    let observed: usize = scores[..k].iter().sum();
    let (at_least, total): (f64, f64) = (ways[k][observed..].iter().sum(), ways[k].iter().sum());
    at_least / total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_counted() {
        assert_eq!(choices(10, 5), 252.0);
        assert_eq!(choices(5, 0), 1.0);
        assert_eq!(choices(16, 8), 12_870.0);
        assert_eq!(least_tail(5, 5), 1.0 / 252.0);
    }

    #[test]
    fn the_highest_choice_is_one_of_all() {
        let tail = upper_tail(&[9.0, 8.0, 7.0], &[1.0, 2.0, 3.0]);
        assert!((tail - 1.0 / 20.0).abs() < 1e-15);
        assert_eq!(upper_tail(&[1.0, 1.0], &[1.0, 1.0]), 1.0);
        assert_eq!(upper_tail(&[1.0, 2.0, 3.0], &[9.0, 8.0, 7.0]), 1.0);
    }

    #[test]
    fn counting_agrees_with_looking_at_each() {
        // On the grid already, so that both see the same values.
        let all: Vec<f64> = [0, 4095, 17, 900, 2048, 33, 33, 1500, 3999, 42, 7, 1234]
            .map(f64::from)
            .to_vec();
        for k in [3, 5, 6] {
            assert!((one_by_one(&all, k) - by_counting(&all, k)).abs() < 1e-12, "{k}");
        }
    }

    #[test]
    fn many_control_hosts_are_counted_in_bounded_time() {
        let first: Vec<f64> = (0..9).map(|i| 3.0 + f64::from(i) / 10.0).collect();
        let second: Vec<f64> = (0..2000).map(|i| f64::from(i % 100) / 50.0).collect();
        let tail = upper_tail(&first, &second);
        assert!(tail > 0.0 && tail < 1e-20, "{tail}");
    }
}
