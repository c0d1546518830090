//! Ratios: the bad among all, such as requests that failed. Is the canary's rate above the control's? The two-sample
//! Bernoulli e-process of Turner, Ly and Gruenwald (2024), with estimates from earlier intervals only: after each one the
//! wealth of somebody who bets against the hypothesis grows by
//!
//! e = prod over arms of (p/q)^bad ((1-p)/(1-q))^good,
//!
//! where p is what earlier intervals let expect of each arm, and q those rates that the hypothesis allows and that are
//! nearest to p. While the hypothesis holds, wealth >= 1/level happens at any time with a chance of at most the level. The
//! hypotheses here: the canary's rate is at most, or at least, r times the control's; both are convex, so it holds for them
//! too (their theorem 1). Example: 200 of 100,000 against 30 of 5,000 in every interval: fail in the second.
//!
//! Edge: an interval that an arm did not tell, or of more bad than all, is left out; without traffic there is no data.

use crate::{
    interval::{self, Interval, PASS_INTERVALS_MIN},
    limits::{self, Limits},
    spending::Budget,
    verdict::{Direction, Needed, Outcome, Verdict, finite},
};

/// What is counted before anything was seen, of bad and of good: what Turner, Ly and Gruenwald found to bet best.
const PRIOR: f64 = 0.18;

/// Of one arm in one interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tally {
    /// How many were bad.
    pub bad: f64,
    /// Of how many.
    pub total: f64,
}

impl Tally {
    fn is_possible(self) -> bool {
        self.bad.is_finite() && self.total.is_finite() && 0.0 <= self.bad && self.bad <= self.total
    }

    fn add(&mut self, more: Self) {
        self.bad += more.bad;
        self.total += more.total;
    }

    fn rate(self) -> f64 {
        self.bad / self.total
    }

    /// What is to be expected of the next one.
    fn expected(self) -> f64 {
        (self.bad + PRIOR) / (self.total + 2.0 * PRIOR)
    }
}

/// Each interval of each arm; `None` is not known.
#[derive(Debug, Clone, Copy)]
pub struct Ratios<'a> {
    /// Of the control hosts together.
    pub control: &'a [Option<Tally>],
    /// Of the canary hosts together.
    pub canary: &'a [Option<Tally>],
}

/// How it is judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Which way is harm.
    pub direction: Direction,
    /// Harm up to this relative change of the rate is tolerated.
    pub tolerance: f64,
    /// Pass when harm beyond this relative change is ruled out.
    pub margin: f64,
    /// Pass too when the canary's rate is shown to be below this, whatever the control's: where nothing is bad on either
    /// side there is nothing to compare.
    pub pass_below_rate: Option<f64>,
    /// What may go wrong.
    pub budget: Budget,
}

/// What is doubted: that the canary's rate is so many times the control's,
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// at the most;
    AtMost,
    /// at the least.
    AtLeast,
}

/// Looks after every interval until something is shown.
#[must_use]
pub fn judge(ratios: &Ratios<'_>, settings: &Settings) -> Verdict {
    let told = interval::both(ratios.control, ratios.canary, |tally: Tally| {
        (tally.is_possible() && tally.total > 0.0).then_some(tally)
    });
    if told.is_empty() {
        return Verdict::no_data("in no interval had both arms traffic");
    }
    let doubts = Doubts::new(settings);
    let looks = ratios.control.len().max(ratios.canary.len());
    match doubts.first(&told) {
        Some((outcome, at, reason)) => {
            let seen = &told[..=at];
            let verdict = doubts.with_figures(Verdict::new(outcome, reason), seen);
            verdict.looked(seen[at].look)
        }
        None => doubts.open(&told).looked(looks),
    }
}

/// Everything that is looked for.
struct Doubts<'a> {
    settings: &'a Settings,
    limits: Limits,
    /// Of one side.
    alpha: f64,
}

impl<'a> Doubts<'a> {
    fn new(settings: &'a Settings) -> Self {
        let sides = if settings.direction == Direction::Either {
            2.0
        } else {
            1.0
        };
        Self {
            settings,
            limits: Limits::new(settings.direction, settings.tolerance, settings.margin),
            alpha: settings.budget.alpha_of_metric() / sides,
        }
    }

    /// The first interval at which something is shown, by its index.
    fn first(&self, told: &[Interval<Tally>]) -> Option<(Outcome, usize, &'static str)> {
        let reached = |limit: Option<f64>, side, level: f64| {
            let limit = limit?;
            wealth(told, limit, side).position(|wealth| wealth >= -level.ln())
        };
        let above = reached(self.limits.fail_above, Side::AtMost, self.alpha);
        let below = reached(self.limits.fail_below, Side::AtLeast, self.alpha);
        let harm = above.into_iter().chain(below).min();
        let beta = self.settings.budget.beta;
        // Shown at any time is shown; both sides must be.
        let no_more = self
            .limits
            .pass_below
            .map(|limit| reached(Some(limit), Side::AtLeast, beta));
        let no_less = self
            .limits
            .pass_above
            .map(|limit| reached(Some(limit), Side::AtMost, beta));
        let clear = no_more.unwrap_or(Some(0)).zip(no_less.unwrap_or(Some(0)));
        let clear = clear.map(|(one, other)| (one.max(other), "harm beyond the margin is ruled out"));
        let low = self.settings.pass_below_rate.and_then(|rate| {
            let at = wealth_against_rate(told, rate, Side::AtLeast).position(|wealth| wealth >= -beta.ln())?;
            Some((at, "the canary's rate is shown to be as low as it must be"))
        });
        let pass = clear
            .into_iter()
            .chain(low)
            .filter_map(|(at, reason)| Some((self.calm(told, at)?, reason)));
        let pass = pass.min_by_key(|(at, _)| *at);
        match (harm, pass) {
            (Some(at), pass) if pass.is_none_or(|(pass, _)| at <= pass) => {
                Some((Outcome::Fail, at, "harm beyond the tolerance is shown"))
            }
            (_, Some((at, reason))) => Some((Outcome::Pass, at, reason)),
            (_, None) => None,
        }
    }

    /// The first index from here on at which a pass is allowed.
    fn calm(&self, told: &[Interval<Tally>], from: usize) -> Option<usize> {
        let may = |at: usize| {
            let seen = &told[..=at];
            let has_bad = seen.iter().any(|one| one.control.bad + one.canary.bad > 0.0);
            seen.len() >= PASS_INTERVALS_MIN && !(has_bad && interval::is_stuck(seen))
        };
        (from.max(PASS_INTERVALS_MIN - 1)..told.len()).find(|at| may(*at))
    }

    /// Ratios of the rates that are not refuted with the metric's alpha.
    fn bounds(&self, told: &[Interval<Tally>]) -> (f64, f64) {
        let refuted = |side| move |ratio: f64| wealth(told, ratio, side).any(|wealth| wealth >= -self.alpha.ln());
        let (control, canary) = sums(told);
        let middle = canary.rate() / control.rate();
        let middle = if middle.is_nan() { 1.0 } else { middle };
        (
            limits::edge(middle, limits::LEAST, refuted(Side::AtMost)),
            limits::edge(middle, limits::MOST, refuted(Side::AtLeast)),
        )
    }

    fn with_figures(&self, verdict: Verdict, told: &[Interval<Tally>]) -> Verdict {
        let (control, canary) = sums(told);
        let ratio = canary.rate() / control.rate();
        let (low, high) = self.bounds(told);
        let side = if self.settings.direction == Direction::Decrease {
            Side::AtLeast
        } else {
            Side::AtMost
        };
        let most = wealth(told, 1.0, side).fold(0.0, f64::max);
        let mut verdict = verdict
            .figures(most, low - 1.0, ratio - 1.0, high - 1.0)
            .counted(control.total as usize, canary.total as usize);
        verdict.deviation = finite(ratio);
        verdict.reason = format!(
            "{}: {:.0} of {:.0} on the canary, {:.0} of {:.0} on the control",
            verdict.reason, canary.bad, canary.total, control.bad, control.total
        );
        verdict
    }

    /// Nothing is shown yet.
    fn open(&self, told: &[Interval<Tally>]) -> Verdict {
        let (control, canary) = sums(told);
        if control.bad + canary.bad == 0.0 {
            let reason = "nothing was bad on either side, so there is nothing to compare; a rate that is low enough can be \
                          said by pass_below_rate";
            return self.with_figures(Verdict::inconclusive(reason), told);
        }
        if interval::is_stuck(told) {
            let reason = "an arm tells the same in every interval: does its source live?";
            return self.with_figures(Verdict::inconclusive(reason), told);
        }
        let reason = "neither harm nor its absence is shown";
        let mut verdict = self.with_figures(Verdict::inconclusive(reason), told);
        verdict.needed = Some(Needed {
            samples: self.needed(told),
            hosts: None,
        });
        verdict
    }

    /// More intervals until the nearest of the bets is won, if it goes on as it did.
    fn needed(&self, told: &[Interval<Tally>]) -> Option<u64> {
        let bets = [
            (self.limits.fail_above, Side::AtMost, self.alpha),
            (self.limits.fail_below, Side::AtLeast, self.alpha),
            (self.limits.pass_below, Side::AtLeast, self.settings.budget.beta),
            (self.limits.pass_above, Side::AtMost, self.settings.budget.beta),
        ];
        let ends = bets.into_iter().filter_map(|(limit, side, level)| {
            let last = wealth(told, limit?, side).last()?;
            interval::needed(told.len(), |factor| last * factor >= -level.ln())
        });
        ends.min()
    }
}

fn sums(told: &[Interval<Tally>]) -> (Tally, Tally) {
    let mut sums = (Tally { bad: 0.0, total: 0.0 }, Tally { bad: 0.0, total: 0.0 });
    for one in told {
        sums.0.add(one.control);
        sums.1.add(one.canary);
    }
    sums
}

/// The logarithm of the wealth after each interval, of a bet against the canary's rate being so many times the control's.
fn wealth(told: &[Interval<Tally>], ratio: f64, side: Side) -> impl Iterator<Item = f64> + '_ {
    let nothing = Tally { bad: 0.0, total: 0.0 };
    let state = (nothing, nothing, 0.0);
    told.iter().scan(state, move |(control, canary, wealth), one| {
        let (p, q) = (canary.expected(), control.expected());
        let is_beyond = match side {
            Side::AtMost => p > ratio * q,
            Side::AtLeast => p < ratio * q,
        };
        // Before anything was seen, and where the hypothesis looks true, nothing is bet.
        if is_beyond && control.total > 0.0 {
            let nearest = nearest(one, p, q, ratio);
            *wealth += gain(one.canary, p, ratio * nearest) + gain(one.control, q, nearest);
        }
        control.add(one.control);
        canary.add(one.canary);
        Some(*wealth)
    })
}

/// The same against the canary's rate itself.
fn wealth_against_rate(told: &[Interval<Tally>], rate: f64, side: Side) -> impl Iterator<Item = f64> + '_ {
    against_rate(told.iter().map(|one| one.canary), rate, side)
}

/// The logarithm of the wealth of a bet against one rate, after each tally.
pub(crate) fn wealth_of_one(tallies: &[Tally], rate: f64) -> Vec<f64> {
    against_rate(tallies.iter().copied(), rate, Side::AtMost).collect()
}

fn against_rate(tallies: impl Iterator<Item = Tally>, rate: f64, side: Side) -> impl Iterator<Item = f64> {
    tallies.scan((Tally { bad: 0.0, total: 0.0 }, 0.0), move |(seen, wealth), one| {
        let p = seen.expected();
        let is_beyond = match side {
            Side::AtMost => p > rate,
            Side::AtLeast => p < rate,
        };
        if is_beyond && seen.total > 0.0 {
            *wealth += gain(one, p, rate);
        }
        seen.add(one);
        Some(*wealth)
    })
}

/// The control's rate on the line canary = ratio x control that is nearest to what is expected of both, by the divergence
/// of Kullback and Leibler weighted with the interval's traffic: the smaller root of
/// n_a (p - r q)(1 - q) + n_b (p_b - q)(1 - r q) = 0.
fn nearest(one: &Interval<Tally>, canary: f64, control: f64, ratio: f64) -> f64 {
    let (a, b) = (one.canary.total, one.control.total);
    let square = ratio * (a + b);
    let linear = a * (canary + ratio) + b * control.mul_add(ratio, 1.0);
    let constant = a * canary + b * control;
    let root = linear.mul_add(linear, -4.0 * square * constant).max(0.0).sqrt();
    2.0 * constant / (linear + root)
}

fn gain(tally: Tally, expected: f64, allowed: f64) -> f64 {
    let part = |count: f64, expected: f64, allowed: f64| {
        if count == 0.0 {
            0.0
        } else {
            count * (expected / allowed).ln()
        }
    };
    part(tally.bad, expected, allowed) + part(tally.total - tally.bad, 1.0 - expected, 1.0 - allowed)
}

#[cfg(test)]
mod tests;
