//! One look: each host's level so far less what before foretold, and the two arms compared. Deliberately no memory: what
//! earlier looks cost is the purse's.

use super::{
    HOSTS_MIN, Settings, WELCH_HOSTS_MIN,
    history::{History, Scale},
};
use crate::{
    moments::{mean, squares, variance},
    permutation,
    verdict::{Direction, Outcome, Verdict, finite},
    welch::{Welch, critical},
};

/// A spread of hosts smaller than this part of their level is rounding.
const SPREAD_MIN: f64 = 1e-9;
/// Halvings when a bound of the permutation test is looked for: to a millionth of where it may be.
const HALVINGS: usize = 20;

/// Two arms at one time.
#[derive(Debug)]
pub(super) struct Look {
    arms: Arms,
    control: Vec<f64>,
    canary: Vec<f64>,
    welch: Welch,
    is_exact: bool,
    scale: Scale,
    settings: Settings,
}

/// Of each host: before, and since.
#[derive(Debug)]
struct Arms {
    canary: Vec<(f64, f64)>,
    control: Vec<(f64, f64)>,
}

impl Look {
    /// `None`: too few hosts, or no spread.
    pub(super) fn at(history: &History, intervals: usize, settings: &Settings) -> Option<Self> {
        let arm = |is_canary: bool| -> Vec<(f64, f64)> {
            let hosts = history.hosts.iter().filter(|host| host.is_canary == is_canary);
            hosts
                .filter_map(|host| Some((host.before, host.level(intervals, history.rho)?)))
                .collect()
        };
        let arms = Arms {
            canary: arm(true),
            control: arm(false),
        };
        if arms.canary.len().min(arms.control.len()) < HOSTS_MIN {
            return None;
        }
        let is_exact = arms.canary.len().min(arms.control.len()) < WELCH_HOSTS_MIN;
        let (theta, spread) = arms.slope(is_exact);
        let middle = arms.middle();
        let (canary, control) = arms.left(theta);
        let extra = if is_exact || spread <= 0.0 {
            0.0
        } else {
            let apart = mean(
                &arms
                    .canary
                    .iter()
                    .map(|(before, _)| before - middle)
                    .collect::<Vec<_>>(),
            );
            variance(&control) * apart * apart / spread
        };
        let welch = Welch::with_extra(&canary, &control, extra)?;
        let is_rounding = variance(&canary).max(variance(&control)).sqrt() < SPREAD_MIN;
        (!is_rounding).then_some(Self {
            arms,
            control,
            canary,
            welch,
            is_exact,
            scale: history.scale,
            settings: *settings,
        })
    }

    pub(super) fn canary_hosts(&self) -> usize {
        self.canary.len()
    }

    /// The smallest share of alpha with which harm could be shown. Twice the least of all tails, or a look would wait for
    /// the one choice of all.
    pub(super) fn least_share(&self) -> f64 {
        if !self.is_exact {
            return 0.0;
        }
        let least = 2.0 * permutation::least_tail(self.canary.len(), self.control.len());
        // More than there is: never, but the last look is for passing too.
        (least / self.alpha(1.0)).min(1.0 - 1e-9)
    }

    /// What a look with this share of the budget shows.
    pub(super) fn shown(&self, share: f64, may_pass: bool) -> Option<Outcome> {
        let (up, down) = self.limits(self.settings.tolerance);
        let alpha = self.alpha(share);
        let is_harm = up.is_some_and(|up| self.upper_tail(up) <= alpha)
            || down.is_some_and(|down| self.lower_tail(down) <= alpha);
        if is_harm {
            return Some(Outcome::Fail);
        }
        if !may_pass {
            return None;
        }
        let beta = self.settings.budget.beta * share;
        let (up, down) = self.limits(self.settings.margin.max(self.settings.tolerance));
        let is_clear =
            up.is_none_or(|up| self.lower_tail(up) <= beta) && down.is_none_or(|down| self.upper_tail(down) <= beta);
        is_clear.then_some(Outcome::Pass)
    }

    /// Whether it would, with the same difference and an error so many times this one.
    pub(super) fn would_show(&self, times: f64, share: f64) -> bool {
        let error = self.welch.error * times;
        let (difference, freedom) = (self.welch.difference, self.welch.freedom);
        let (up, down) = self.limits(self.settings.tolerance);
        let harm = error * critical(self.alpha(share), freedom);
        if up.is_some_and(|up| difference - harm > up) || down.is_some_and(|down| difference + harm < down) {
            return true;
        }
        let clear = error * critical(self.settings.budget.beta * share, freedom);
        let (up, down) = self.limits(self.settings.margin.max(self.settings.tolerance));
        up.is_none_or(|up| difference + clear <= up) && down.is_none_or(|down| difference - clear >= down)
    }

    /// With all figures; bounds are at what this look may spend of alpha.
    pub(super) fn verdict(&self, outcome: Outcome, reason: &str, share: f64) -> Verdict {
        let (low, high) = self.bounds(self.alpha(share));
        let estimate = self.relative(self.welch.difference);
        let (test, statistic) = if self.is_exact {
            ("exact permutation of", self.welch.difference)
        } else {
            ("Welch's t over", self.welch.t(0.0))
        };
        let (canary, control) = (self.canary.len(), self.control.len());
        let change = 100.0 * estimate;
        let reason =
            format!("{reason}: {change:+.2} % on the canary, by {test} {canary} canary and {control} control hosts");
        let mut verdict =
            Verdict::new(outcome, reason).figures(statistic, self.relative(low), estimate, self.relative(high));
        verdict.deviation = finite(1.0 + estimate);
        verdict.hosts.canary = canary as u64;
        verdict.hosts.control = control as u64;
        verdict
    }

    /// Of one side.
    fn alpha(&self, share: f64) -> f64 {
        let sides = if self.settings.direction == Direction::Either {
            2.0
        } else {
            1.0
        };
        self.settings.budget.alpha_of_metric() * share / sides
    }

    /// A relative change, up and down, on the scale of the values.
    fn limits(&self, change: f64) -> (Option<f64>, Option<f64>) {
        let (up, down) = match self.scale {
            Scale::Logarithm => (change.ln_1p(), -change.ln_1p()),
            Scale::Part(_) => (change, 1.0 / (1.0 + change) - 1.0),
            Scale::Share => (change, -change),
        };
        match self.settings.direction {
            Direction::Increase => (Some(up), None),
            Direction::Decrease => (None, Some(down)),
            Direction::Either => (Some(up), Some(down)),
        }
    }

    fn relative(&self, difference: f64) -> f64 {
        match self.scale {
            Scale::Logarithm => difference.exp_m1(),
            Scale::Part(_) | Scale::Share => difference,
        }
    }

    fn upper_tail(&self, shift: f64) -> f64 {
        if self.is_exact {
            let (canary, control) = self.arms.less(shift);
            permutation::upper_tail(&canary, &control)
        } else {
            self.welch.upper_tail(shift)
        }
    }

    fn lower_tail(&self, shift: f64) -> f64 {
        if self.is_exact {
            let (canary, control) = self.arms.less(shift);
            permutation::upper_tail(&turned(&canary), &turned(&control))
        } else {
            self.welch.lower_tail(shift)
        }
    }

    /// Differences that are not refuted at this level. Beyond the reach of all values together there is no bound.
    fn bounds(&self, level: f64) -> (f64, f64) {
        if !self.is_exact {
            let reach = self.welch.reach(level);
            return (self.welch.difference - reach, self.welch.difference + reach);
        }
        let all = || self.canary.iter().chain(&self.control).copied();
        let range = all().fold(f64::NEG_INFINITY, f64::max) - all().fold(f64::INFINITY, f64::min);
        let edge = |sign: f64| {
            let refuted = |shift: f64| {
                let tail = if sign < 0.0 {
                    self.upper_tail(shift)
                } else {
                    self.lower_tail(shift)
                };
                tail <= level
            };
            let (mut inside, mut outside) = (self.welch.difference, self.welch.difference + sign * 2.0 * range);
            if !refuted(outside) {
                return sign * f64::INFINITY;
            }
            for _ in 0..HALVINGS {
                let middle = f64::midpoint(inside, outside);
                if refuted(middle) {
                    outside = middle;
                } else {
                    inside = middle;
                }
            }
            inside
        };
        (edge(-1.0), edge(1.0))
    }
}

impl Arms {
    /// Of the control hosts before.
    fn middle(&self) -> f64 {
        mean(&self.control.iter().map(|(before, _)| *before).collect::<Vec<_>>())
    }

    /// Canary and control without what before foretold.
    fn left(&self, theta: f64) -> (Vec<f64>, Vec<f64>) {
        let middle = self.middle();
        let left = |arm: &[(f64, f64)]| {
            arm.iter()
                .map(|(before, since)| since - theta * (before - middle))
                .collect()
        };
        (left(&self.canary), left(&self.control))
    }

    /// The same had the release done this much: then canary hosts without it are as control hosts are, theta included.
    fn less(&self, shift: f64) -> (Vec<f64>, Vec<f64>) {
        let canary = self.canary.iter().map(|(before, since)| (*before, since - shift));
        let arms = Self {
            canary: canary.collect(),
            control: self.control.clone(),
        };
        let (theta, _) = arms.slope(true);
        arms.left(theta)
    }

    /// theta, and the sum of squares of before that it was taken from.
    fn slope(&self, within_both: bool) -> (f64, f64) {
        // Around the means of both arms together it is the same whoever the canaries are.
        let canary: &[(f64, f64)] = if within_both { &self.canary } else { &[] };
        let (before, since): (Vec<f64>, Vec<f64>) = canary.iter().chain(&self.control).copied().unzip();
        let (middle, level) = (mean(&before), mean(&since));
        let pairs = before.iter().zip(&since);
        let together: f64 = pairs.map(|(before, since)| (before - middle) * (since - level)).sum();
        let spread = squares(&before, middle);
        // No host has a window before, or all had the same level in it.
        let theta = if spread > SPREAD_MIN * SPREAD_MIN {
            together / spread
        } else {
            0.0
        };
        // Over both arms the harm itself is in theta as soon as they were not the same before, and hosts that are much alike
        // would let it explain all of it. No level foretells more than itself, and none the contrary.
        let theta = if within_both { theta.clamp(0.0, 1.0) } else { theta };
        (theta, spread)
    }
}

fn turned(values: &[f64]) -> Vec<f64> {
    values.iter().map(|value| -value).collect()
}
