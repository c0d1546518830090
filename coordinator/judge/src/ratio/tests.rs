//! The bets: fair while the hypothesis holds, won when it does not, and never made on nothing.

use super::*;

fn settings() -> Settings {
    Settings {
        direction: Direction::Increase,
        tolerance: 0.0,
        margin: 1.0,
        pass_below_rate: None,
        budget: Budget::default(),
    }
}

fn tallies(pairs: &[(u32, u32)]) -> Vec<Option<Tally>> {
    let tally = |(bad, total): &(u32, u32)| Tally {
        bad: f64::from(*bad),
        total: f64::from(*total),
    };
    pairs.iter().map(|pair| Some(tally(pair))).collect()
}

fn judged(control: &[(u32, u32)], canary: &[(u32, u32)], settings: &Settings) -> Verdict {
    let (control, canary) = (tallies(control), tallies(canary));
    judge(
        &Ratios {
            control: &control,
            canary: &canary,
        },
        settings,
    )
}

/// By every outcome of an interval and its chance.
fn expected_gain(rates: (f64, f64), bet: (f64, f64), ratio: f64) -> f64 {
    let totals = (3.0, 5.0);
    let one = |control: f64, canary: f64| Interval {
        look: 1,
        control: Tally {
            bad: control,
            total: totals.0,
        },
        canary: Tally {
            bad: canary,
            total: totals.1,
        },
    };
    let chance = |bad: u32, total: u32, rate: f64| {
        let ways = crate::permutation::choices(total as usize, bad as usize);
        ways * rate.powi(bad as i32) * (1.0 - rate).powi((total - bad) as i32)
    };
    let mut sum = 0.0;
    for (control, canary) in (0..=3).flat_map(|control| (0..=5).map(move |canary| (control, canary))) {
        let interval = one(f64::from(control), f64::from(canary));
        let q = nearest(&interval, bet.1, bet.0, ratio);
        let gain = gain(interval.canary, bet.1, ratio * q) + gain(interval.control, bet.0, q);
        sum += chance(control, 3, rates.0) * chance(canary, 5, rates.1) * gain.exp();
    }
    sum
}

#[test]
fn a_bet_is_never_better_than_fair_while_the_hypothesis_holds() {
    for ratio in [0.5, 1.0, 1.1, 2.0] {
        for step in 1..20 {
            let control = f64::from(step) / 40.0;
            for part in [0.2, 0.7, 1.0] {
                let rates = (control, (ratio * control * part).min(1.0));
                let won = expected_gain(rates, (0.1, 0.4), ratio);
                assert!(won <= 1.0 + 1e-12, "{ratio} {rates:?}: {won}");
            }
        }
    }
    assert!(
        expected_gain((0.1, 0.4), (0.1, 0.4), 1.0) > 1.2,
        "and it is won when the canary is worse"
    );
}

#[test]
fn three_times_the_rate_fails_as_soon_as_it_was_seen_twice() {
    let verdict = judged(&[(200, 100_000); 4], &[(30, 5_000); 4], &settings());
    assert_eq!((verdict.outcome, verdict.looks), (Outcome::Fail, 2), "{verdict:?}");
    assert!(verdict.low.unwrap() > 0.0 && verdict.high.unwrap() > 2.0, "{verdict:?}");
}

#[test]
fn the_same_rate_passes_when_twice_is_ruled_out() {
    let control = [
        (200, 100_000),
        (190, 99_000),
        (210, 101_000),
        (205, 100_500),
        (199, 99_500),
    ];
    let canary = [(40, 20_000), (38, 19_900), (43, 20_100), (41, 20_050), (39, 20_000)];
    let verdict = judged(&control, &canary, &settings());
    assert_eq!((verdict.outcome, verdict.looks), (Outcome::Pass, 5), "{verdict:?}");
    let few = judged(&control[..4], &canary[..4], &settings());
    assert_eq!(few.outcome, Outcome::Inconclusive, "never on so few intervals: {few:?}");
}

#[test]
fn no_traffic_is_no_data_and_nothing_bad_is_nothing_to_compare() {
    assert_eq!(judged(&[(0, 0); 9], &[(0, 0); 9], &settings()).outcome, Outcome::NoData);
    assert_eq!(
        judged(&[(1, 100); 9], &[(0, 0); 9], &settings()).outcome,
        Outcome::NoData
    );
    assert_eq!(
        judged(&[(9, 3); 9], &[(1, 3); 9], &settings()).outcome,
        Outcome::NoData,
        "more bad than all"
    );
    let nothing_bad = judged(&[(0, 10_000); 60], &[(0, 10_000); 60], &settings());
    assert_eq!(nothing_bad.outcome, Outcome::Inconclusive);
    assert!(nothing_bad.reason.contains("pass_below_rate"), "{}", nothing_bad.reason);
    let low_enough = Settings {
        pass_below_rate: Some(0.001),
        ..settings()
    };
    let verdict = judged(&[(0, 10_000); 60], &[(0, 10_000); 60], &low_enough);
    assert_eq!((verdict.outcome, verdict.looks), (Outcome::Pass, 5), "{verdict:?}");
}

#[test]
fn a_source_that_says_the_same_for_ever_does_not_pass() {
    let verdict = judged(&[(20, 10_000); 60], &[(20, 10_000); 60], &settings());
    assert_eq!(verdict.outcome, Outcome::Inconclusive, "{verdict:?}");
    assert!(verdict.reason.contains("live"), "{}", verdict.reason);
}

#[test]
fn fewer_successes_are_harm_where_less_is_worse() {
    let settings = Settings {
        direction: Direction::Decrease,
        ..settings()
    };
    let verdict = judged(&[(9_000, 10_000); 5], &[(5_000, 10_000); 5], &settings);
    assert_eq!((verdict.outcome, verdict.looks), (Outcome::Fail, 2), "{verdict:?}");
    assert!((verdict.deviation.unwrap() - 5.0 / 9.0).abs() < 1e-12);
}
