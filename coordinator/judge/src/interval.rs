//! Intervals as both arms tell them, for the kinds that count. Deliberately no filling of gaps: what was not told by both
//! is compared with nothing.

/// A metric that was looked at for fewer intervals never passes: what a release breaks may take minutes to show.
pub const PASS_INTERVALS_MIN: usize = 5;
/// Forecasts of how much more is needed end here: so many times what there is.
const FURTHEST: f64 = 1000.0;

/// One that both arms tell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Interval<T> {
    /// From 1.
    pub(crate) look: usize,
    pub(crate) control: T,
    pub(crate) canary: T,
}

/// Those that both tell. Where one arm's list is shorter its samples are late, and the rest waits for them.
pub(crate) fn both<S: Copy, T>(
    control: &[Option<S>],
    canary: &[Option<S>],
    known: impl Fn(S) -> Option<T>,
) -> Vec<Interval<T>> {
    let pairs = control.iter().zip(canary).enumerate();
    let told = pairs.filter_map(|(at, (control, canary))| {
        Some(Interval {
            look: at + 1,
            control: known((*control)?)?,
            canary: known((*canary)?)?,
        })
    });
    told.collect()
}

/// Whether an arm says the same in every interval: such a source may be dead. Fewer than a verdict needs are not held
/// against it.
pub(crate) fn is_stuck<T: PartialEq>(told: &[Interval<T>]) -> bool {
    told.len() >= PASS_INTERVALS_MIN
        && (told.windows(2).all(|pair| pair[0].control == pair[1].control)
            || told.windows(2).all(|pair| pair[0].canary == pair[1].canary))
}

/// More intervals until something is shown, when `decides` says whether so many times what was seen would do.
pub(crate) fn needed(seen: usize, decides: impl Fn(f64) -> bool) -> Option<u64> {
    let (mut short, mut enough) = (1.0, FURTHEST);
    if seen == 0 || !decides(enough) {
        return None;
    }
    for _ in 0..30 {
        let middle = f64::midpoint(short, enough);
        if decides(middle) {
            enough = middle;
        } else {
            short = middle;
        }
    }
    // `enough` lies above by what the halving left.
    Some(((enough - 1.0) * seen as f64 - 1e-3).ceil().max(1.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_and_late_samples_are_left_out_of_both_arms() {
        let told = both(
            &[Some(1.0), None, Some(3.0), Some(4.0)],
            &[Some(5.0), Some(6.0), Some(-7.0)],
            |value: f64| (value >= 0.0).then_some(value),
        );
        assert_eq!(
            told,
            [Interval {
                look: 1,
                control: 1.0,
                canary: 5.0
            }]
        );
    }

    #[test]
    fn what_is_needed_is_found_where_it_begins() {
        assert_eq!(needed(10, |factor| factor >= 2.5), Some(15));
        assert_eq!(needed(10, |_| false), None);
    }
}
