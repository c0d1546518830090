//! Counts: errors, restarts, what an arm did in each interval. Is the canary's share of all events larger than its share
//! of the hosts? The sequential multinomial test of Lindon and Malek (2022), which may be looked at after every interval
//! at no cost: two numbers of state.
//!
//! With x events in an arm, theta the canary's share by the hypothesis and a Dirichlet prior a = 10 theta0,
//! log BF = lnG(sum a) - sum lnG(a) + sum lnG(a + x) - lnG(sum a + n) - sum x ln theta, against which P(BF >= 1/alpha ever)
//! <= alpha. Fail: BF of the share at the tolerance >= 1/alpha, and the canary's is beyond it. Pass: the same at the margin
//! by beta, from the other side. Example: 200 control and 20 canary hosts, theta0 = 1/11; 600 and 120 errors: fail.
//!
//! It presumes arms that vary together: what is bad for all is bad for both. Edge: an interval that one arm did not tell,
//! or whose counter went back, is left out of both; no event at all is nothing to compare.

use statrs::function::gamma::ln_gamma;

use crate::{
    interval::{self, Interval, PASS_INTERVALS_MIN},
    limits::{self, Limits},
    spending::Budget,
    verdict::{Direction, Needed, Outcome, Verdict, finite},
};

/// Weight of the prior: as if so many events had been seen with the shares expected.
const PRIOR: f64 = 10.0;

/// Events of each interval in each arm; `None` or a negative number (a counter that went back) is not known.
#[derive(Debug, Clone, Copy)]
pub struct Counts<'a> {
    /// Of the control hosts together.
    pub control: &'a [Option<f64>],
    /// Of the canary hosts together.
    pub canary: &'a [Option<f64>],
}

/// How it is judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Which way is harm.
    pub direction: Direction,
    /// The canary's part of all hosts, or of all requests, in 0..1.
    pub share: f64,
    /// Harm up to this relative change is tolerated.
    pub tolerance: f64,
    /// Pass when harm beyond this relative change is ruled out.
    pub margin: f64,
    /// What may go wrong.
    pub budget: Budget,
}

/// `log BF` of counts against shares, with a Dirichlet prior.
#[must_use]
pub fn log_bayes_factor(counts: &[f64], shares: &[f64], prior: &[f64]) -> f64 {
    let (weight, total): (f64, f64) = (prior.iter().sum(), counts.iter().sum());
    let terms = counts.iter().zip(shares).zip(prior).map(|((count, share), prior)| {
        // Nothing counted says nothing, also of a share of nothing.
        let expected = if *count == 0.0 { 0.0 } else { count * share.ln() };
        ln_gamma(prior + count) - ln_gamma(*prior) - expected
    });
    ln_gamma(weight) - ln_gamma(weight + total) + terms.sum::<f64>()
}

/// Hosts that had at least `least` events in an interval, counted: for events that come in bursts on single hosts, where
/// the arms do not vary together. Each host's intervals; an interval that no host tells is `None`.
#[must_use]
pub fn host_intervals<'a>(
    hosts: impl IntoIterator<Item = &'a [Option<f64>]>,
    intervals: usize,
    least: f64,
) -> Vec<Option<f64>> {
    let mut counted = vec![None; intervals];
    for host in hosts {
        for (sum, value) in counted.iter_mut().zip(host) {
            if let Some(value) = value.filter(|value| value.is_finite() && *value >= 0.0) {
                *sum = Some(sum.unwrap_or(0.0) + f64::from(u8::from(value >= least)));
            }
        }
    }
    counted
}

/// Looks after every interval until something is shown.
#[must_use]
pub fn judge(counts: &Counts<'_>, settings: &Settings) -> Verdict {
    let told = interval::both(counts.control, counts.canary, known);
    if told.is_empty() {
        return Verdict::no_data("no interval was told by both arms");
    }
    let mut sums = Sums {
        settings,
        limits: Limits::new(settings.direction, settings.tolerance, settings.margin),
        control: 0.0,
        canary: 0.0,
    };
    for (at, interval) in told.iter().enumerate() {
        sums.control += interval.control;
        sums.canary += interval.canary;
        let seen = &told[..=at];
        let may_pass = seen.len() >= PASS_INTERVALS_MIN && !interval::is_stuck(seen);
        let reason = match sums.shown() {
            Some(Outcome::Fail) => "harm beyond the tolerance is shown",
            Some(Outcome::Pass) if may_pass => "harm beyond the margin is ruled out",
            _ => continue,
        };
        let outcome = sums.shown().unwrap_or(Outcome::Inconclusive);
        return sums
            .with_figures(Verdict::new(outcome, sums.tells(reason)))
            .looked(interval.look);
    }
    sums.open(&told).looked(counts.control.len().max(counts.canary.len()))
}

fn known(value: f64) -> Option<f64> {
    (value.is_finite() && value >= 0.0).then_some(value)
}

/// What is known of both arms.
struct Sums<'a> {
    settings: &'a Settings,
    limits: Limits,
    control: f64,
    canary: f64,
}

impl Sums<'_> {
    /// Against the canary's rate being `ratio` times the control's.
    fn log_factor(&self, ratio: f64) -> f64 {
        let share = self.settings.share;
        let expected = ratio * share / ratio.mul_add(share, 1.0 - share);
        let prior = [PRIOR * (1.0 - share), PRIOR * share];
        log_bayes_factor(&[self.control, self.canary], &[1.0 - expected, expected], &prior)
    }

    /// Canary's rate over control's.
    fn ratio(&self) -> f64 {
        let share = self.settings.share;
        self.canary * (1.0 - share) / (self.control * share)
    }

    /// What is shown by now. One level serves both directions: ratios that were ever refuted leave out the true one with
    /// that chance in all.
    fn shown(&self) -> Option<Outcome> {
        if self.control + self.canary == 0.0 {
            return None;
        }
        let ratio = self.ratio();
        let refuted = |limit: f64, level: f64| self.log_factor(limit) >= -level.ln();
        let above = |level: f64| move |limit: f64| ratio > limit && refuted(limit, level);
        let below = |level: f64| move |limit: f64| ratio < limit && refuted(limit, level);
        let (alpha, beta) = (self.settings.budget.alpha_of_metric(), self.settings.budget.beta);
        if self.limits.is_harm(above(alpha), below(alpha)) {
            return Some(Outcome::Fail);
        }
        self.limits.is_clear(above(beta), below(beta)).then_some(Outcome::Pass)
    }

    /// Ratios that are not refuted at this level: the factor is convex in the share, and least at the one observed.
    fn bounds(&self, level: f64) -> (f64, f64) {
        let refuted = |ratio: f64| self.log_factor(ratio) >= -level.ln();
        let low = limits::edge(self.ratio(), limits::LEAST, refuted);
        (low, limits::edge(self.ratio(), limits::MOST, refuted))
    }

    fn tells(&self, what: &str) -> String {
        let all = self.control + self.canary;
        let expected = self.settings.share * all;
        format!(
            "{what}: {} of {all} events are the canary's, {expected:.1} were to be expected",
            self.canary
        )
    }

    fn with_figures(&self, verdict: Verdict) -> Verdict {
        let ratio = self.ratio();
        let (low, high) = self.bounds(self.settings.budget.alpha_of_metric());
        let mut verdict = verdict
            .figures(self.log_factor(1.0), low - 1.0, ratio - 1.0, high - 1.0)
            .counted(self.control as usize, self.canary as usize);
        verdict.deviation = finite(ratio);
        verdict
    }

    /// Nothing is shown yet.
    fn open(&self, told: &[Interval<f64>]) -> Verdict {
        let seen = told.len();
        if self.control + self.canary == 0.0 {
            return Verdict::inconclusive(format!("no event in {seen} intervals of both arms: nothing to compare"));
        }
        let is_stuck = interval::is_stuck(told);
        let reason = if is_stuck {
            "an arm tells the same number in every interval: does its source live?".to_owned()
        } else {
            self.tells("neither harm nor its absence is shown")
        };
        let samples = interval::needed(seen, |factor| {
            let more = Sums {
                settings: self.settings,
                limits: self.limits,
                control: self.control * factor,
                canary: self.canary * factor,
            };
            more.shown().is_some()
        });
        let mut verdict = self.with_figures(Verdict::inconclusive(reason));
        verdict.needed = (!is_stuck).then_some(Needed { samples, hosts: None });
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(share: f64) -> Settings {
        Settings {
            direction: Direction::Increase,
            share,
            tolerance: 0.0,
            margin: 1.0,
            budget: Budget::default(),
        }
    }

    fn judged(control: &[f64], canary: &[f64], settings: &Settings) -> Verdict {
        let [control, canary] = [control, canary].map(|arm| arm.iter().copied().map(Some).collect::<Vec<_>>());
        judge(
            &Counts {
                control: &control,
                canary: &canary,
            },
            settings,
        )
    }

    #[test]
    fn the_factor_is_that_of_the_paper() {
        // By scipy.special.gammaln of the same formula.
        let factor = log_bayes_factor(
            &[600.0, 120.0],
            &[10.0 / 11.0, 1.0 / 11.0],
            &[100.0 / 11.0, 10.0 / 11.0],
        );
        assert!((factor - 17.80117836887655).abs() < 1e-9, "{factor}");
    }

    #[test]
    fn twice_the_errors_of_ten_times_fewer_hosts_fail_at_once() {
        let verdict = judged(&[600.0], &[120.0], &settings(1.0 / 11.0));
        assert_eq!((verdict.outcome, verdict.looks), (Outcome::Fail, 1));
        assert!(verdict.low.unwrap() > 0.0 && verdict.high.unwrap() < 2.0, "{verdict:?}");
        assert_eq!(verdict.estimate, Some(1.0));
    }

    #[test]
    fn the_same_rate_passes_when_twice_is_ruled_out() {
        let (control, canary) = ([601.0, 598.0, 603.0, 600.0, 599.0], [61.0, 58.0, 60.0, 62.0, 59.0]);
        let verdict = judged(&control, &canary, &settings(1.0 / 11.0));
        assert_eq!((verdict.outcome, verdict.looks), (Outcome::Pass, 5), "{verdict:?}");
    }

    #[test]
    fn few_events_are_inconclusive_and_say_how_many_more_it_takes() {
        let verdict = judged(&[1.0, 0.0, 2.0], &[0.0, 1.0, 0.0], &settings(0.5));
        assert_eq!(verdict.outcome, Outcome::Inconclusive);
        assert!(verdict.needed.unwrap().samples.unwrap() > 3, "{verdict:?}");
    }

    #[test]
    fn a_counter_that_goes_back_is_left_out_of_both_arms() {
        let with_reset = judged(&[10.0, 11.0, -500.0], &[10.0, 12.0, 900.0], &settings(0.5));
        let without = judged(&[10.0, 11.0], &[10.0, 12.0], &settings(0.5));
        assert_eq!(with_reset.samples, without.samples);
        assert_eq!(with_reset.outcome, Outcome::Inconclusive);
    }

    #[test]
    fn less_of_it_is_harm_only_where_that_is_the_direction() {
        let canary = [3.0, 2.0, 4.0, 1.0, 2.0, 3.0];
        let control = [30.0, 29.0, 31.0, 28.0, 33.0, 32.0];
        assert_ne!(judged(&control, &canary, &settings(0.5)).outcome, Outcome::Fail);
        for direction in [Direction::Decrease, Direction::Either] {
            let settings = Settings {
                direction,
                ..settings(0.5)
            };
            assert_eq!(judged(&control, &canary, &settings).outcome, Outcome::Fail);
        }
    }

    #[test]
    fn hosts_with_errors_are_counted_instead_of_errors() {
        let hosts: [&[Option<f64>]; 3] = [
            &[Some(0.0), Some(100.0), None],
            &[Some(1.0), Some(3.0)],
            &[None, Some(-1.0), None],
        ];
        assert_eq!(host_intervals(hosts, 3, 1.0), [Some(1.0), Some(2.0), None]);
    }
}
