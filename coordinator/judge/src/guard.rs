//! A guard: a bound on the canary alone, such as an SLO, beside the comparison, since both arms may be bad together.
//! Deliberately no statistics for plain values: a bound is a promise, and a point beyond it breaks it; only that one point
//! is not yet a fact. For ratios the e-process against the bound, which needs no count of points.
//!
//! Values: fail when so many in a row are beyond the bound; pass at the end of the window. A gap breaks no row and fills
//! none. Example: p99 at most 0.5 s, `in_a_row` 3: the third minute above it fails.

use crate::{
    interval::PASS_INTERVALS_MIN,
    ratio::{Tally, wealth_of_one},
    spending::Budget,
    verdict::{Outcome, Verdict, finite},
};

/// What must hold. At least one of both bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// At most this much.
    pub above: Option<f64>,
    /// At least this much.
    pub below: Option<f64>,
    /// Intervals beyond it that fail.
    pub in_a_row: usize,
    /// Intervals of the whole window; `None`: as many as there are.
    pub intervals: Option<usize>,
    /// What may go wrong, for ratios.
    pub budget: Budget,
}

/// Judges values of the canary, an interval each.
#[must_use]
pub fn judge(canary: &[Option<f64>], settings: &Settings) -> Verdict {
    let known: Vec<(usize, f64)> = told(canary, |value| value.is_finite().then_some(value));
    if known.is_empty() {
        return Verdict::no_data("the canary told nothing");
    }
    let is_beyond = |value: f64| {
        settings.above.is_some_and(|most| value > most) || settings.below.is_some_and(|least| value < least)
    };
    let worst = |values: &[(usize, f64)]| {
        let values = values.iter().map(|(_, value)| *value);
        match settings.above {
            Some(_) => values.fold(f64::NEG_INFINITY, f64::max),
            None => values.fold(f64::INFINITY, f64::min),
        }
    };
    let mut row = 0;
    for (at, (look, value)) in known.iter().enumerate() {
        row = if is_beyond(*value) { row + 1 } else { 0 };
        if row >= settings.in_a_row.max(1) {
            let reason = format!("{row} intervals in a row are beyond the bound, the last with {value}");
            return figures(Verdict::new(Outcome::Fail, reason), worst(&known[..=at]))
                .counted(0, at + 1)
                .looked(*look);
        }
    }
    let (reason, is_clear) = rest(known.len(), canary.len(), settings);
    let outcome = if is_clear && row == 0 {
        Outcome::Pass
    } else {
        Outcome::Inconclusive
    };
    figures(Verdict::new(outcome, reason), worst(&known))
        .counted(0, known.len())
        .looked(canary.len())
}

/// Judges tallies of the canary, an interval each: its rate against the upper bound.
#[must_use]
pub fn judge_ratio(canary: &[Option<Tally>], settings: &Settings) -> Verdict {
    let known = told(canary, |tally: Tally| {
        (tally.total > 0.0 && (0.0..=tally.total).contains(&tally.bad)).then_some(tally)
    });
    let Some(bound) = settings.above.filter(|_| !known.is_empty()) else {
        return Verdict::no_data("the canary had no traffic");
    };
    let tallies: Vec<Tally> = known.iter().map(|(_, tally)| *tally).collect();
    let (bad, total) = tallies
        .iter()
        .fold((0.0, 0.0), |(bad, total), tally| (bad + tally.bad, total + tally.total));
    let wealth = wealth_of_one(&tallies, bound);
    let need = -settings.budget.alpha_of_metric().ln();
    let most = wealth.iter().copied().fold(0.0, f64::max);
    let verdict = match wealth.iter().position(|wealth| *wealth >= need) {
        Some(at) => {
            let reason = format!("the canary's rate is above {bound}: {bad} of {total} were bad");
            Verdict::new(Outcome::Fail, reason).looked(known[at].0)
        }
        None => {
            let (reason, is_clear) = rest(known.len(), canary.len(), settings);
            let is_clear = is_clear && bad / total <= bound;
            let outcome = if is_clear { Outcome::Pass } else { Outcome::Inconclusive };
            Verdict::new(outcome, format!("{reason}: {bad} of {total} were bad")).looked(canary.len())
        }
    };
    let mut verdict = verdict
        .figures(most, f64::NAN, bad / total, f64::NAN)
        .counted(0, total as usize);
    verdict.deviation = finite(bad / total / bound);
    verdict
}

fn told<S: Copy, T>(values: &[Option<S>], known: impl Fn(S) -> Option<T>) -> Vec<(usize, T)> {
    let values = values.iter().enumerate();
    values
        .filter_map(|(at, value)| Some((at + 1, known((*value)?)?)))
        .collect()
}

/// What is said where nothing was beyond it, and whether that is enough.
fn rest(known: usize, seen: usize, settings: &Settings) -> (String, bool) {
    let planned = settings.intervals.unwrap_or(seen).max(seen);
    if seen < planned {
        return (
            format!("{seen} of {planned} intervals have passed within the bound"),
            false,
        );
    }
    // Half of a window says nothing of the other half.
    let is_told = known >= PASS_INTERVALS_MIN && 2 * known > planned;
    let reason = if is_told {
        "the whole window was within the bound"
    } else {
        "too few intervals were told"
    };
    (format!("{reason}: {known} of {planned}"), is_told)
}

fn figures(verdict: Verdict, worst: f64) -> Verdict {
    verdict.figures(worst, f64::NAN, worst, f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            above: Some(0.5),
            below: None,
            in_a_row: 3,
            intervals: None,
            budget: Budget::default(),
        }
    }

    fn outcome(values: &[f64], settings: &Settings) -> (Outcome, u32) {
        let values: Vec<_> = values.iter().copied().map(Some).collect();
        let verdict = judge(&values, settings);
        (verdict.outcome, verdict.looks)
    }

    #[test]
    fn so_many_in_a_row_fail_and_fewer_do_not() {
        assert_eq!(outcome(&[0.1, 0.6, 0.7, 0.8, 0.1], &settings()), (Outcome::Fail, 4));
        assert_eq!(
            outcome(&[0.6, 0.6, 0.1, 0.6, 0.6, 0.1], &settings()),
            (Outcome::Pass, 6)
        );
        assert_eq!(
            outcome(&[0.1, 0.1, 0.1, 0.1, 0.6], &settings()).0,
            Outcome::Inconclusive,
            "it ends beyond"
        );
    }

    #[test]
    fn a_gap_breaks_no_row() {
        let values = [Some(0.6), None, Some(0.6), Some(f64::NAN), Some(0.6)];
        assert_eq!(judge(&values, &settings()).outcome, Outcome::Fail);
        assert_eq!(judge(&[None, None], &settings()).outcome, Outcome::NoData);
    }

    #[test]
    fn a_window_that_is_not_over_or_not_told_does_not_pass() {
        let half = Settings {
            intervals: Some(10),
            ..settings()
        };
        assert_eq!(outcome(&[0.1; 9], &half).0, Outcome::Inconclusive);
        assert_eq!(outcome(&[0.1; 10], &half).0, Outcome::Pass);
        let gaps: Vec<_> = (0..20).map(|i| (i % 4 == 0).then_some(0.1)).collect();
        assert_eq!(judge(&gaps, &settings()).outcome, Outcome::Inconclusive);
        assert_eq!(outcome(&[0.1], &settings()).0, Outcome::Inconclusive);
    }

    #[test]
    fn a_rate_above_its_bound_fails() {
        let tallies = |bad: f64| vec![Some(Tally { bad, total: 1000.0 }); 10];
        let settings = Settings {
            above: Some(0.01),
            ..settings()
        };
        assert_eq!(judge_ratio(&tallies(30.0), &settings).outcome, Outcome::Fail);
        assert_eq!(judge_ratio(&tallies(5.0), &settings).outcome, Outcome::Pass);
        assert_eq!(judge_ratio(&tallies(11.0), &settings).outcome, Outcome::Inconclusive);
        assert_eq!(judge_ratio(&[None], &settings).outcome, Outcome::NoData);
    }
}
