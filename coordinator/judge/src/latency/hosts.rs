//! Latencies whose host is known. Requests of one host hang together, for hosts differ: over so many samples the two
//! distributions are apart however harmless the release is, and more samples do not help. So the unit is the host here too:
//! of each its part of samples above a bound, against its own part before, for a few bounds; and these parts are compared as
//! gauges are, with their looks. Deliberately no distance of whole distributions: of that no host has enough samples.
//!
//! The bounds are quantiles of the control, of its window before where there is one. Harm above any of them fails, for which
//! alpha is divided among them; a pass takes all. Example: a tenth of the control's requests take more than 0.5 s, and of
//! the canary's a fifth: 0.1. Edges: a bound that all samples of both arms are on one side of says nothing, and the others
//! decide; samples that are all one value are no distribution.

use super::Settings;
use crate::{
    gauge::{self, Gauge, Series},
    moments,
    quantile::{self, of_sorted},
    spending::Budget,
    verdict::{Direction, Outcome, Verdict, finite},
};

/// Where the bounds lie. Further out the parts of a host are too few to be compared as means.
const BOUNDS: [f64; 6] = [0.1, 0.25, 0.5, 0.75, 0.9, 0.95];
/// Looks, at most: the parts into which each host's samples are split in their order.
const LOOKS_MAX: usize = 60;

/// Samples of each host in the order in which they came.
#[derive(Debug, Clone, Copy)]
pub struct Hosts<'a> {
    /// Since the deploy, and before it.
    pub samples: Gauge<'a>,
    /// Samples of each host in the whole window, where they are told at intervals: then what stands at the same place was
    /// told at the same time. `None`: all are there, of each host as many as it has.
    pub intervals: Option<usize>,
}

/// One bound, judged.
struct Bounded {
    bound: f64,
    verdict: Verdict,
}

/// By the parts of each host's samples that are above bounds.
#[must_use]
pub fn judge_hosts(hosts: &Hosts<'_>, settings: &Settings) -> Verdict {
    let samples = &hosts.samples;
    let [control, canary] = [samples.control, samples.canary].map(all);
    if control.is_empty() || canary.is_empty() {
        return Verdict::no_data("an arm has no sample");
    }
    let counted = |verdict: Verdict| verdict.counted(control.len(), canary.len());
    if moments::is_constant(&control) || moments::is_constant(&canary) {
        let reason = "all samples of an arm are one value: that is no distribution";
        return counted(Verdict::inconclusive(reason).looked(1));
    }
    let past = samples.control_before.map(all).filter(|past| !past.is_empty());
    let judged: Vec<Bounded> = bounds(past.as_ref().unwrap_or(&control))
        .into_iter()
        .filter(|bound| is_crossed(&control, *bound) || is_crossed(&canary, *bound))
        .map(|bound| Bounded {
            bound,
            verdict: judge_bound(hosts, bound, settings),
        })
        .collect();
    let Some(mut verdict) = put_together(judged, settings.direction) else {
        let reason = "no bound lies between the samples: that is no distribution";
        return counted(Verdict::inconclusive(reason).looked(1));
    };
    verdict.deviation = finite(quantile::median(&canary) / quantile::median(&control));
    counted(verdict)
}

fn all(series: &Series) -> Vec<f64> {
    let told = series.values().flatten().flatten().copied();
    told.filter(|sample| sample.is_finite()).collect()
}

/// Each once, from the lowest up.
fn bounds(samples: &[f64]) -> Vec<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mut bounds: Vec<f64> = BOUNDS.iter().map(|part| of_sorted(&sorted, *part)).collect();
    bounds.dedup();
    bounds
}

fn is_crossed(samples: &[f64], bound: f64) -> bool {
    let first = samples[0] > bound;
    samples.iter().any(|sample| (*sample > bound) != first)
}

fn judge_bound(hosts: &Hosts<'_>, bound: f64, settings: &Settings) -> Verdict {
    let samples = &hosts.samples;
    let told = |series: &Series| series.values().map(Vec::len).max().unwrap_or(0);
    let longest = told(samples.control).max(told(samples.canary));
    // As many looks as the host with the fewest samples has some for, or as there are intervals.
    let looks = match hosts.intervals {
        Some(planned) => planned.max(longest).min(LOOKS_MAX),
        None => fewest(samples).clamp(1, LOOKS_MAX),
    };
    let parts = |series: &Series| -> Series {
        let host = |points: &Vec<Option<f64>>| match hosts.intervals {
            Some(planned) => aligned(points, planned.max(longest), looks, bound),
            None => (0..looks)
                .map(|look| {
                    part(
                        &points[points.len() * look / looks..points.len() * (look + 1) / looks],
                        bound,
                    )
                })
                .collect(),
        };
        series
            .iter()
            .map(|(name, points)| (name.clone(), host(points)))
            .collect()
    };
    // As many samples to a point as since, so that one says as much as the other.
    let size = |told: Option<&Vec<Option<f64>>>| match (hosts.intervals, told) {
        (Some(planned), _) => planned.max(longest) / looks,
        (None, Some(told)) => told.len() / looks,
        (None, None) => 1,
    };
    let before = |series: &Series, since: &Series| -> Series {
        let host = |(name, points): (&String, &Vec<Option<f64>>)| {
            let points = points.chunks(size(since.get(name)).max(1));
            (name.clone(), points.map(|points| part(points, bound)).collect())
        };
        series.iter().map(host).collect()
    };
    let (control, canary) = (parts(samples.control), parts(samples.canary));
    let befores = [
        samples.control_before.map(|series| before(series, samples.control)),
        samples.canary_before.map(|series| before(series, samples.canary)),
    ];
    let budget = Budget {
        alpha: settings.budget.alpha / BOUNDS.len() as f64,
        ..settings.budget
    };
    let shares = Gauge {
        control: &control,
        canary: &canary,
        control_before: befores[0].as_ref(),
        canary_before: befores[1].as_ref(),
    };
    // Slower is more above a bound.
    let settings = gauge::Settings {
        direction: settings.direction,
        tolerance: settings.tolerance,
        margin: settings.margin,
        intervals: hosts.intervals.map(|_| looks),
        is_matched: false,
        budget,
    };
    gauge::judge_shares(&shares, &settings)
}

fn fewest(samples: &Gauge<'_>) -> usize {
    let hosts = samples.control.values().chain(samples.canary.values());
    hosts.map(Vec::len).filter(|count| *count > 0).min().unwrap_or(0)
}

/// The looks that are over, of so many in all.
fn aligned(points: &[Option<f64>], planned: usize, looks: usize, bound: f64) -> Vec<Option<f64>> {
    let cut = |look: usize| planned * look / looks;
    let over = (1..=looks).take_while(|look| cut(*look) <= points.len());
    over.map(|look| part(&points[cut(look - 1)..cut(look)], bound))
        .collect()
}

/// The part of these that is above; `None`: there is none.
fn part(samples: &[Option<f64>], bound: f64) -> Option<f64> {
    let known: Vec<f64> = samples
        .iter()
        .flatten()
        .copied()
        .filter(|sample| sample.is_finite())
        .collect();
    let above = known.iter().filter(|sample| **sample > bound).count();
    (!known.is_empty()).then(|| above as f64 / known.len() as f64)
}

/// Harm at one bound is harm, at the earliest look that shows it; a pass is one at all of them, at the last. The figures are
/// those of the bound that decided, or else of that with the most harm.
fn put_together(mut judged: Vec<Bounded>, direction: Direction) -> Option<Verdict> {
    let harm = |one: &Bounded| match (one.verdict.estimate, direction) {
        (None, _) => f64::NEG_INFINITY,
        (Some(more), Direction::Increase) => more,
        (Some(more), Direction::Decrease) => -more,
        (Some(more), Direction::Either) => more.abs(),
    };
    judged.sort_by(|one, other| harm(other).total_cmp(&harm(one)));
    let failed = judged.iter().filter(|one| one.verdict.outcome == Outcome::Fail);
    if let Some(first) = failed.min_by_key(|one| one.verdict.looks) {
        return Some(worded(first));
    }
    if let Some(open) = judged.iter().find(|one| one.verdict.outcome != Outcome::Pass) {
        return Some(worded(open));
    }
    let looks = judged.iter().map(|one| one.verdict.looks).max();
    let mut passed = worded(judged.first()?);
    passed.looks = looks.unwrap_or(passed.looks);
    Some(passed)
}

fn worded(one: &Bounded) -> Verdict {
    let mut verdict = one.verdict.clone();
    // What is said of parts in per cent is said of the requests.
    verdict.reason = format!("{} (the part of samples above {:.4})", verdict.reason, one.bound);
    verdict
}

#[cfg(test)]
mod tests;
