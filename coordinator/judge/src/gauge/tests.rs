//! Hosts compared: what is found, what is not enough, and who is left out.

use super::*;

fn settings() -> Settings {
    Settings {
        direction: Direction::Increase,
        tolerance: 0.0,
        margin: 0.1,
        intervals: None,
        is_matched: true,
        budget: Budget::default(),
    }
}

/// Even and in no order.
fn noise(host: usize, at: usize) -> f64 {
    ((host * 7919 + at * 104_729) as f64 * 0.618_033_988_749_894_9).fract() - 0.5
}

/// Hosts that differ by tens of per cent, with some per cent of noise.
fn hosts(prefix: &str, count: usize, from: usize, points: usize, times: f64) -> Series {
    let level = |host: usize| 50.0 * (1.0 + 0.2 * (host % 7) as f64);
    let point = |host: usize, at: usize| {
        Some(level(host) * times * (1.0 + 0.06 * noise(host + prefix.len() * 1000, from + at)))
    };
    (0..count)
        .map(|host| {
            (
                format!("{prefix}{host:03}"),
                (0..points).map(|at| point(host, at)).collect(),
            )
        })
        .collect()
}

struct Arms {
    control: Series,
    canary: Series,
    control_before: Series,
    canary_before: Series,
}

impl Arms {
    fn new(control: usize, canary: usize, points: usize, times: f64) -> Self {
        Self {
            control: hosts("a", control, 30, points, 1.0),
            canary: hosts("bb", canary, 30, points, times),
            control_before: hosts("a", control, 0, 30, 1.0),
            canary_before: hosts("bb", canary, 0, 30, 1.0),
        }
    }

    fn judge(&self, settings: &Settings) -> Verdict {
        let gauge = Gauge {
            control: &self.control,
            canary: &self.canary,
            control_before: Some(&self.control_before),
            canary_before: Some(&self.canary_before),
        };
        judge(&gauge, settings)
    }
}

#[test]
fn a_tenth_more_is_found_among_hosts_that_differ_by_more() {
    let verdict = Arms::new(60, 12, 20, 1.1).judge(&settings());
    assert_eq!(verdict.outcome, Outcome::Fail, "{verdict:?}");
    assert!(verdict.looks <= 3, "{verdict:?}");
    assert!(
        (verdict.estimate.unwrap() - 0.1).abs() < 0.03 && verdict.low.unwrap() > 0.0,
        "{verdict:?}"
    );
    let arms = Arms::new(60, 12, 20, 1.1);
    let without_before = Gauge {
        control: &arms.control,
        canary: &arms.canary,
        control_before: None,
        canary_before: None,
    };
    assert_eq!(
        judge(&without_before, &settings()).outcome,
        Outcome::Inconclusive,
        "it takes the window before"
    );
}

#[test]
fn the_same_level_passes_when_a_tenth_is_ruled_out_but_never_at_once() {
    let verdict = Arms::new(60, 12, 20, 1.0).judge(&settings());
    assert_eq!(verdict.outcome, Outcome::Pass, "{verdict:?}");
    assert!(
        verdict.looks as usize >= PASS_INTERVALS_MIN && verdict.high.unwrap() < 0.1,
        "{verdict:?}"
    );
    assert_eq!(
        Arms::new(60, 12, 4, 1.0).judge(&settings()).outcome,
        Outcome::Inconclusive
    );
}

#[test]
fn less_is_harm_where_less_is_worse() {
    let arms = Arms::new(60, 12, 20, 0.8);
    for (direction, wanted) in [
        (Direction::Increase, Outcome::Pass),
        (Direction::Decrease, Outcome::Fail),
        (Direction::Either, Outcome::Fail),
    ] {
        let verdict = arms.judge(&Settings {
            direction,
            ..settings()
        });
        assert_eq!(verdict.outcome, wanted, "{verdict:?}");
    }
}

#[test]
fn a_change_within_the_tolerance_is_no_harm() {
    let tolerant = Settings {
        tolerance: 0.25,
        ..settings()
    };
    assert_eq!(Arms::new(60, 12, 20, 1.1).judge(&tolerant).outcome, Outcome::Pass);
    assert_eq!(Arms::new(60, 12, 20, 1.5).judge(&tolerant).outcome, Outcome::Fail);
}

#[test]
fn under_five_hosts_an_arm_nothing_is_said_however_bad_it_is() {
    for (control, canary) in [(4, 60), (60, 4), (1, 1)] {
        let verdict = Arms::new(control, canary, 20, 9.0).judge(&settings());
        assert_eq!(verdict.outcome, Outcome::Inconclusive, "{verdict:?}");
        assert_eq!(verdict.needed.unwrap().hosts, Some(5));
    }
}

#[test]
fn from_five_hosts_on_each_choice_of_them_is_counted() {
    let verdict = Arms::new(40, 6, 20, 1.5).judge(&settings());
    assert_eq!(verdict.outcome, Outcome::Fail, "{verdict:?}");
    assert!(
        verdict.reason.contains("permutation") && verdict.low.unwrap() > 0.3,
        "{verdict:?}"
    );
    let same = Arms::new(40, 6, 20, 1.0).judge(&settings());
    assert_ne!(same.outcome, Outcome::Fail, "{same:?}");
}

#[test]
fn five_against_five_cannot_show_harm_at_a_small_alpha() {
    let strict = Settings {
        budget: Budget {
            metrics: 12,
            ..Budget::default()
        },
        ..settings()
    };
    assert_ne!(
        Arms::new(5, 5, 20, 9.0).judge(&strict).outcome,
        Outcome::Fail,
        "1 of 252 choices is too many"
    );
    let lax = Settings {
        budget: Budget {
            alpha: 0.05,
            ..Budget::default()
        },
        ..settings()
    };
    assert_eq!(Arms::new(5, 5, 20, 9.0).judge(&lax).outcome, Outcome::Fail);
}

#[test]
fn hosts_with_gaps_are_counted_and_those_that_are_mostly_gap_are_named() {
    let mut arms = Arms::new(60, 12, 20, 1.1);
    for points in arms.control.values_mut().take(30) {
        points[3] = None;
        points[9] = Some(f64::NAN);
    }
    arms.canary.get_mut("bb003").unwrap()[5..].fill(None);
    arms.canary_before.remove("bb004");
    let verdict = arms.judge(&Settings {
        tolerance: 0.5,
        margin: 0.5,
        ..settings()
    });
    assert_eq!(verdict.outcome, Outcome::Pass, "{verdict:?}");
    let names: Vec<_> = verdict.left_out.iter().map(|left| left.host.as_str()).collect();
    assert_eq!(names, ["bb003", "bb004"]);
}

#[test]
fn values_that_are_not_positive_are_compared_on_their_own_scale() {
    let mut arms = Arms::new(60, 12, 20, 1.3);
    arms.control.get_mut("a000").unwrap()[0] = Some(0.0);
    let verdict = arms.judge(&settings());
    assert_eq!(verdict.outcome, Outcome::Fail, "{verdict:?}");
    let mut stopped = Arms::new(60, 12, 20, 1.0);
    for (at, points) in stopped.canary.values_mut().enumerate() {
        points.fill(Some(if at == 0 { 1.0 } else { 0.0 }));
    }
    let verdict = stopped.judge(&Settings {
        direction: Direction::Decrease,
        ..settings()
    });
    assert_eq!(verdict.outcome, Outcome::Fail, "{verdict:?}");
    assert!(verdict.deviation.unwrap() < 0.2, "{verdict:?}");
}

#[test]
fn what_is_still_needed_is_said_in_intervals_or_in_hosts() {
    let far = Settings {
        intervals: Some(60),
        margin: 0.007,
        ..settings()
    };
    let verdict = Arms::new(60, 12, 10, 1.004).judge(&far);
    assert_eq!(verdict.outcome, Outcome::Inconclusive, "{verdict:?}");
    let needed = verdict.needed.unwrap();
    assert!(
        needed.samples.is_some() || needed.hosts.is_some_and(|hosts| hosts > 12),
        "{verdict:?}"
    );
}

#[test]
fn control_hosts_at_a_level_that_no_canary_host_is_near_are_left_out_and_named() {
    let mut arms = Arms::new(90, 12, 20, 1.0);
    // Every canary host is among the hottest there are: only such control hosts say how these behave.
    for (at, series) in [&mut arms.canary, &mut arms.canary_before].into_iter().enumerate() {
        *series = hosts("bb", 12, 30 * (1 - at), if at == 0 { 20 } else { 30 }, 1.0);
        for (host, points) in series.iter_mut() {
            let level = 1.0 + 0.2 * (host[2..].parse::<usize>().unwrap() % 7) as f64;
            let level_of = 2.0 + 0.2 * (host[2..].parse::<usize>().unwrap() % 2) as f64;
            points.iter_mut().flatten().for_each(|value| *value *= level_of / level);
        }
    }
    let verdict = arms.judge(&settings());
    assert!(verdict.hosts.control < 40 && verdict.hosts.control >= 10, "{verdict:?}");
    assert_eq!(verdict.left_out.len() as u64 + verdict.hosts.control, 90);
    assert!(
        verdict.left_out[0].why.contains("no canary host was near"),
        "{verdict:?}"
    );
    let all = Settings {
        is_matched: false,
        ..settings()
    };
    assert_eq!(arms.judge(&all).hosts.control, 90);
    // Fewer than the t test takes are not left: then all of them are.
    arms.control = arms.control.into_iter().take(20).collect();
    assert_eq!(arms.judge(&settings()).hosts.control, 20);
}

#[test]
fn harm_is_not_taken_for_what_a_slightly_other_past_foretold() {
    // Hosts that are much alike, canaries a fifth of a per cent above the others before.
    let arm = |prefix: &str, count: usize, from: usize, level: f64| -> Series {
        let point = |host: usize, at: usize| Some(level * (1.0 + 0.002 * noise(host + prefix.len() * 1000, from + at)));
        (0..count)
            .map(|host| (format!("{prefix}{host}"), (0..8).map(|at| point(host, at)).collect()))
            .collect()
    };
    let arms = |times: f64, past: f64| Arms {
        control: arm("a", 12, 8, 50.0),
        canary: arm("bb", 6, 8, 50.0 * times),
        control_before: arm("a", 12, 0, 50.0),
        canary_before: arm("bb", 6, 0, 50.0 * past),
    };
    let settings = Settings {
        tolerance: 0.1,
        margin: 0.2,
        ..settings()
    };
    for past in [0.95, 0.998, 1.0, 1.002, 1.01, 1.05] {
        let verdict = arms(1.19 * past, past).judge(&settings);
        assert_eq!(verdict.outcome, Outcome::Fail, "past {past}: {verdict:?}");
        assert!(
            (verdict.estimate.unwrap() - 0.19).abs() < 0.07,
            "past {past}: {verdict:?}"
        );
        let verdict = arms(past, past).judge(&settings);
        assert_eq!(verdict.outcome, Outcome::Pass, "past {past}: {verdict:?}");
    }
}
