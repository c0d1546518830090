//! False alarms: canaries to which nothing was done, from one seed, are failed no more often than alpha allows; and harm
//! at the margin passes no more often than beta does. Few canaries, so the bounds are those that a binomial count of them
//! stays within in 999 of 1,000 seeds; `echelon-testbed judge` has the figures of many.

use echelon_judge::{
    Budget, Direction, Outcome,
    count::{self, Counts},
    gauge::{self, Gauge, Series},
    latency,
    ratio::{self, Ratios, Tally},
};
use rand::{SeedableRng as _, rngs::StdRng};
use rand_distr::{Binomial, Distribution as _, Poisson, StandardNormal};

const CANARIES: u64 = 400;
/// Large, so that few canaries show whether it is kept.
const BUDGET: Budget = Budget {
    alpha: 0.1,
    beta: 0.1,
    metrics: 1,
};
/// A tenth of 400 is 40; P(more than 60) is below 0.001.
const MOST: usize = 60;

fn drawn(of: impl Fn(&mut StdRng) -> Outcome) -> (usize, usize) {
    let outcomes: Vec<_> = (0..CANARIES)
        .map(|canary| of(&mut StdRng::seed_from_u64(canary)))
        .collect();
    let count = |wanted: Outcome| outcomes.iter().filter(|outcome| **outcome == wanted).count();
    (count(Outcome::Fail), count(Outcome::Pass))
}

fn normal(chance: &mut StdRng) -> f64 {
    StandardNormal.sample(chance)
}

/// Hosts that differ, and points that depend on the one before by `rho`.
fn hosts(count: usize, rho: f64, change: f64, chance: &mut StdRng) -> (Series, Series) {
    let (mut before, mut since) = (Series::new(), Series::new());
    for host in 0..count {
        let level = 0.2 * normal(chance);
        let mut own = 0.1 * normal(chance);
        let mut point = |change: f64| {
            own = rho * own + 0.1 * (1.0 - rho * rho).sqrt() * normal(chance);
            Some((level + own + change).exp())
        };
        before.insert(format!("{host}"), (0..30).map(|_| point(0.0)).collect());
        since.insert(format!("{host}"), (0..30).map(|_| point(change)).collect());
    }
    (before, since)
}

fn gauge(control: usize, canary: usize, rho: f64, change: f64) -> impl Fn(&mut StdRng) -> Outcome {
    move |chance| {
        let (control_before, control) = hosts(control, rho, 0.0, chance);
        let (canary_before, canary) = hosts(canary, rho, change, chance);
        let gauge = Gauge {
            control: &control,
            canary: &canary,
            control_before: Some(&control_before),
            canary_before: Some(&canary_before),
        };
        let settings = gauge::Settings {
            direction: Direction::Increase,
            tolerance: 0.0,
            margin: 0.1,
            intervals: None,
            is_matched: true,
            budget: BUDGET,
        };
        gauge::judge(&gauge, &settings).outcome
    }
}

#[test]
fn harmless_gauges_are_failed_no_more_often_than_alpha_allows() {
    for (control, canary, rho) in [(20, 20, 0.0), (20, 20, 0.8), (10, 10, 0.5), (12, 6, 0.8)] {
        let (failed, _) = drawn(gauge(control, canary, rho, 0.0));
        assert!(failed <= MOST, "{control} v {canary} at {rho}: {failed} of {CANARIES}");
    }
}

#[test]
fn a_gauge_that_harms_by_the_margin_passes_no_more_often_than_beta_allows() {
    let (failed, passed) = drawn(gauge(40, 20, 0.5, 0.1f64.ln_1p()));
    assert!(passed <= MOST && failed >= 300, "{passed} passed, {failed} failed");
}

#[test]
fn harmless_counts_are_failed_no_more_often_than_alpha_allows() {
    let judged = |times: f64| {
        move |chance: &mut StdRng| {
            let mut arm = |rate: f64| -> Vec<Option<f64>> {
                (0..60)
                    .map(|_| Some(Poisson::new(rate).unwrap().sample(chance)))
                    .collect()
            };
            let (control, canary) = (arm(20.0), arm(5.0 * times));
            let settings = count::Settings {
                direction: Direction::Increase,
                share: 0.2,
                tolerance: 0.0,
                margin: 1.0,
                budget: BUDGET,
            };
            let counts = Counts {
                control: &control,
                canary: &canary,
            };
            count::judge(&counts, &settings).outcome
        }
    };
    let ((failed, passed), (found, wrong)) = (drawn(judged(1.0)), drawn(judged(2.0)));
    assert!(failed <= MOST && passed >= 300, "{failed} failed, {passed} passed");
    assert!(found >= 390 && wrong <= 10, "{found} found, {wrong} passed");
}

#[test]
fn harmless_ratios_are_failed_no_more_often_than_alpha_allows() {
    let judged = |times: f64| {
        move |chance: &mut StdRng| {
            let mut arm = |total: u64, rate: f64| -> Vec<Option<Tally>> {
                let mut bad = || Binomial::new(total, rate).unwrap().sample(chance) as f64;
                (0..60)
                    .map(|_| {
                        Some(Tally {
                            bad: bad(),
                            total: total as f64,
                        })
                    })
                    .collect()
            };
            let (control, canary) = (arm(3000, 0.01), arm(300, 0.01 * times));
            let settings = ratio::Settings {
                direction: Direction::Increase,
                tolerance: 0.0,
                margin: 1.0,
                pass_below_rate: None,
                budget: BUDGET,
            };
            let ratios = Ratios {
                control: &control,
                canary: &canary,
            };
            ratio::judge(&ratios, &settings).outcome
        }
    };
    let ((failed, passed), (found, wrong)) = (drawn(judged(1.0)), drawn(judged(2.0)));
    assert!(failed <= MOST && passed >= 300, "{failed} failed, {passed} passed");
    assert!(found >= 350 && wrong <= MOST, "{found} found, {wrong} passed");
}

#[test]
fn harmless_latencies_are_failed_no_more_often_than_alpha_allows() {
    let judged = |change: f64| {
        move |chance: &mut StdRng| {
            let mut arm = |change: f64| -> Vec<Option<f64>> {
                (0..2000).map(|_| Some((0.5 * normal(chance) + change).exp())).collect()
            };
            let (control, canary) = (arm(0.0), arm(change));
            let settings = latency::Settings {
                direction: Direction::Increase,
                tolerance: 0.0,
                margin: 0.2,
                budget: BUDGET,
            };
            latency::judge(&control, &canary, &settings).outcome
        }
    };
    let ((failed, passed), (found, _)) = (drawn(judged(0.0)), drawn(judged(0.3)));
    assert!(failed <= MOST && passed >= 300, "{failed} failed, {passed} passed");
    assert!(found >= 390, "{found} found");
}
