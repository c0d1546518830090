//! Latencies by host: hosts that differ are no harm, slower hosts are, and what is no distribution says nothing.

use super::*;

fn settings(direction: Direction) -> Settings {
    Settings {
        direction,
        tolerance: 0.0,
        margin: 0.1,
        budget: Budget::default(),
    }
}

/// Samples of hosts that differ by tens of per cent; even, and in no order.
fn arm(hosts: usize, samples: usize, from: usize, times: f64) -> Series {
    let even =
        |host: usize, at: usize| ((host * 7919 + (from + at) * 104_729) as f64 * 0.618_033_988_749_894_9).fract();
    let level = |host: usize| 1.0 + 0.4 * (host % 5) as f64;
    let sample = |host: usize, at: usize| Some(level(host) * times * (0.5 + even(host, at)));
    (0..hosts)
        .map(|host| (format!("h{host}"), (0..samples).map(|at| sample(host, at)).collect()))
        .collect()
}

/// The canary hosts are of the slow kind alone, as they were before.
fn slow_kind(series: Series) -> Series {
    let slow = |(at, (name, points)): (usize, (String, Vec<Option<f64>>))| {
        let level = 1.0 + 0.4 * (name[1..].parse::<usize>().unwrap() % 5) as f64;
        let points = points
            .into_iter()
            .map(|point| point.map(|value| value / level * (2.4 + 0.05 * (at % 3) as f64)));
        (name, points.collect())
    };
    series.into_iter().enumerate().map(slow).collect()
}

struct Drawn {
    control: Series,
    canary: Series,
    control_before: Series,
    canary_before: Series,
}

impl Drawn {
    fn new(samples: usize, times: f64) -> Self {
        Self {
            control: arm(60, samples, 1000, 1.0),
            canary: slow_kind(arm(12, samples, 2000, times)),
            control_before: arm(60, samples, 0, 1.0),
            canary_before: slow_kind(arm(12, samples, 0, 1.0)),
        }
    }

    fn judge(&self, intervals: Option<usize>, settings: &Settings) -> Verdict {
        let hosts = Hosts {
            samples: Gauge {
                control: &self.control,
                canary: &self.canary,
                control_before: Some(&self.control_before),
                canary_before: Some(&self.canary_before),
            },
            intervals,
        };
        judge_hosts(&hosts, settings)
    }
}

#[test]
fn hosts_that_were_slow_before_are_no_harm_and_hosts_that_became_slower_are() {
    let same = Drawn::new(300, 1.0);
    let verdict = same.judge(None, &settings(Direction::Increase));
    assert_eq!(verdict.outcome, Outcome::Pass, "{verdict:?}");
    assert!(
        verdict.deviation.unwrap() > 1.2,
        "they are slower, and were: {verdict:?}"
    );
    assert_eq!((verdict.hosts.canary, verdict.hosts.control), (12, 60));
    let flat: Vec<_> = [&same.control, &same.canary]
        .map(|series| series.values().flatten().copied().collect::<Vec<_>>())
        .into();
    let pooled = super::super::judge(&flat[0], &flat[1], &settings(Direction::Increase));
    assert_eq!(pooled.outcome, Outcome::Fail, "as one heap they are apart: {pooled:?}");

    let verdict = Drawn::new(300, 1.3).judge(None, &settings(Direction::Increase));
    assert_eq!(verdict.outcome, Outcome::Fail, "{verdict:?}");
    assert!(verdict.low.unwrap() > 0.0 && verdict.looks < 30, "{verdict:?}");
    for (direction, wanted) in [(Direction::Decrease, Outcome::Pass), (Direction::Either, Outcome::Fail)] {
        let verdict = Drawn::new(300, 1.3).judge(None, &settings(direction));
        assert_eq!(verdict.outcome, wanted, "{verdict:?}");
    }
}

#[test]
fn a_release_that_is_many_times_slower_fails_though_every_sample_is_beyond_every_bound() {
    let verdict = Drawn::new(40, 50.0).judge(Some(60), &settings(Direction::Increase));
    assert_eq!(verdict.outcome, Outcome::Fail, "{verdict:?}");
}

#[test]
fn looks_of_a_window_that_is_not_over_leave_what_is_to_come_its_part() {
    let judged = |intervals: usize| Drawn::new(60, 1.3).judge(Some(intervals), &settings(Direction::Increase));
    let (over, begun) = (judged(60), judged(6000));
    assert_eq!(over.outcome, Outcome::Fail, "{over:?}");
    assert_ne!(
        begun.outcome,
        Outcome::Fail,
        "a hundredth of the window has passed: {begun:?}"
    );
    assert_ne!(begun.outcome, Outcome::Pass);
}

#[test]
fn few_hosts_and_samples_of_one_value_are_inconclusive_and_no_samples_are_no_data() {
    let mut few = Drawn::new(100, 9.0);
    few.canary = few.canary.into_iter().take(4).collect();
    assert_eq!(
        few.judge(None, &settings(Direction::Increase)).outcome,
        Outcome::Inconclusive
    );
    let mut dead = Drawn::new(100, 1.0);
    for points in dead.canary.values_mut() {
        points.fill(Some(3.0));
    }
    assert_eq!(
        dead.judge(None, &settings(Direction::Increase)).outcome,
        Outcome::Inconclusive
    );
    let mut silent = Drawn::new(100, 1.0);
    for points in silent.canary.values_mut() {
        points.fill(None);
    }
    assert_eq!(
        silent.judge(None, &settings(Direction::Increase)).outcome,
        Outcome::NoData
    );
}
