//! Gauges: what each host says of itself at each interval, such as processor, memory, mean latency. Is the canary hosts'
//! level above the control hosts'? The unit is the host, for hosts differ and a series depends on its own past: sixty
//! points of one host are not sixty witnesses.
//!
//! b is a host's mean logarithm in the window before, s since the deploy; where a point depends on the one before it, with
//! the weights that are best then (`spending`). What before foretells is taken out (CUPED; Deng,
//! Xu, Kohavi and Walker 2013): r = s - theta (b - mean b of control), theta = cov(b, s) / var(b) over control hosts. Then
//! canary r against control r: Welch's t from 10 hosts an arm up, with the variance that theta itself brings (as in an
//! analysis of covariance); the exact permutation test below, where theta is taken within both arms together, since only
//! then are the hosts exchangeable, anew for each difference that is tested, and from 0 to 1, or harm would pass for what an
//! arm's slightly other past foretold. Under 5 hosts an arm: inconclusive, never fail.
//!
//! Looks and what each may cost: `spending`. The part of all information that a look has is known from how much a point
//! depends on the one before it in the window before; without that window it is the time that has passed.
//!
//! Example: 20 canary and 200 control hosts that differ by 20 %, points by 10 %; + 10 % is found in minutes. Edges: a value
//! that is not positive has no logarithm, so that metric is compared on its own scale, in units of the control's mean; a
//! host with fewer than half of the points is left out; an arm that says one and the same number everywhere is a source that
//! has died.

mod history;
mod look;

use std::collections::BTreeMap;

use crate::{
    interval::PASS_INTERVALS_MIN,
    spending::{Budget, Purse},
    verdict::{Direction, LeftOut, Needed, Outcome, Verdict},
};
use history::{History, Scale};
use look::Look;

/// With fewer hosts in an arm nothing can be said.
pub const HOSTS_MIN: usize = 5;
/// From so many hosts in each arm the t test is good enough.
pub const WELCH_HOSTS_MIN: usize = 10;

/// Each host's points; `None` is not known.
pub type Series = BTreeMap<String, Vec<Option<f64>>>;

/// What is compared.
#[derive(Debug, Clone, Copy)]
pub struct Gauge<'a> {
    /// Since the deploy and warm-up, an interval a point.
    pub control: &'a Series,
    /// The same of the canary hosts.
    pub canary: &'a Series,
    /// In the window before.
    pub control_before: Option<&'a Series>,
    /// The same of the canary hosts.
    pub canary_before: Option<&'a Series>,
}

/// How it is judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Which way is harm.
    pub direction: Direction,
    /// Harm up to this relative change is tolerated.
    pub tolerance: f64,
    /// Pass when harm beyond this relative change is ruled out.
    pub margin: f64,
    /// Intervals of the whole window; `None`: as many as there are points.
    pub intervals: Option<usize>,
    /// Whether control hosts are left out whose level before no canary host was near.
    pub is_matched: bool,
    /// What may go wrong.
    pub budget: Budget,
}

/// Looks after every interval until something is shown.
#[must_use]
pub fn judge(gauge: &Gauge<'_>, settings: &Settings) -> Verdict {
    on_scale(gauge, None, settings)
}

/// The same where values are parts of something: tolerance, margin and effect are differences of these.
pub(crate) fn judge_shares(gauge: &Gauge<'_>, settings: &Settings) -> Verdict {
    on_scale(gauge, Some(Scale::Share), settings)
}

fn on_scale(gauge: &Gauge<'_>, scale: Option<Scale>, settings: &Settings) -> Verdict {
    let history = match History::read(gauge, scale, settings.is_matched) {
        Ok(history) => history,
        Err(verdict) => return *verdict,
    };
    let planned = settings.intervals.unwrap_or(history.intervals).max(history.intervals);
    let mut purse = Purse::default();
    let mut last = None;
    for interval in 1..=history.intervals {
        let Some(look) = Look::at(&history, interval, settings) else {
            continue;
        };
        let Some(share) = purse.take(history.information(interval, planned), look.least_share()) else {
            continue;
        };
        let is_shown = look.shown(share, interval >= PASS_INTERVALS_MIN).is_some();
        last = Some((look, share, interval));
        if is_shown {
            break;
        }
    }
    let verdict = match last {
        Some((look, share, interval)) => told(&look, share, interval, planned, &history),
        None => history.too_little(settings),
    };
    closed(verdict, &history)
}

/// What the last look showed.
fn told(look: &Look, share: f64, interval: usize, planned: usize, history: &History) -> Verdict {
    let may_pass = interval >= PASS_INTERVALS_MIN;
    match look.shown(share, may_pass) {
        Some(Outcome::Fail) => look
            .verdict(Outcome::Fail, "harm beyond the tolerance is shown", share)
            .looked(interval),
        Some(outcome) => look
            .verdict(outcome, "harm beyond the margin is ruled out", share)
            .looked(interval),
        None => {
            let reason = "neither harm nor its absence is shown";
            let mut verdict = look
                .verdict(Outcome::Inconclusive, reason, share)
                .looked(history.intervals);
            verdict.needed = Some(needed(look, share, interval, planned, history));
            verdict
        }
    }
}

/// With the effect as it is now and the same share for the look, the first interval whose error would be small enough;
/// failing that, hosts.
fn needed(look: &Look, share: f64, interval: usize, planned: usize, history: &History) -> Needed {
    let now = history.information(interval, planned);
    // Without a window before, how hosts differ is most of the error, and time does not mend that.
    let times = |later: usize| match history.before {
        0 => 1.0,
        _ => (now / history.information(later, planned)).sqrt(),
    };
    let later = (interval + 1..=planned).find(|later| look.would_show(times(*later), share));
    let samples = later.map(|later| (later - history.intervals.min(later)) as u64);
    let hosts = (samples.is_none())
        .then(|| {
            let factors = (0..80).map(|step| 1.1f64.powi(step));
            let mut enough = factors.filter(|factor| look.would_show(times(planned) / factor.sqrt(), share));
            enough
                .next()
                .map(|factor| (look.canary_hosts() as f64 * factor).ceil() as u64)
        })
        .flatten();
    Needed { samples, hosts }
}

fn closed(mut verdict: Verdict, history: &History) -> Verdict {
    verdict = verdict.counted(history.samples.0, history.samples.1);
    verdict.left_out = history
        .left_out
        .iter()
        .map(|(host, why)| LeftOut {
            host: host.clone(),
            why: (*why).to_owned(),
        })
        .collect();
    verdict
}

#[cfg(test)]
mod tests;
