//! The unit of measure: whoever counts in seconds, milliseconds or bytes gets the same verdict. All kinds of our own; the
//! compatible judge is known not to.

use echelon_judge::{
    Budget, Direction, Outcome,
    case::Points,
    count, forecast,
    gauge::{self, Gauge, Series},
    guard, latency,
};
use proptest::prelude::*;

/// 1e-9 to 1e9, and what lies between the powers of ten.
fn scales() -> impl Strategy<Value = f64> {
    (-9i32..=9, 1.0f64..10.0)
        .prop_map(|(power, times)| times * 10f64.powi(power))
        .prop_filter("", |scale| *scale <= 1e9)
}

fn directions() -> impl Strategy<Value = Direction> {
    prop_oneof![
        Just(Direction::Increase),
        Just(Direction::Decrease),
        Just(Direction::Either)
    ]
}

fn times(points: &Points, scale: f64) -> Points {
    points.iter().map(|point| point.map(|value| value * scale)).collect()
}

fn arm(hosts: std::ops::Range<usize>, from: f64, to: f64) -> impl Strategy<Value = Series> {
    let point = prop_oneof![9 => (from..to).prop_map(Some), 1 => Just(None)];
    let points = prop::collection::vec(point, 8);
    prop::collection::vec(points, hosts).prop_map(|hosts| {
        hosts
            .into_iter()
            .enumerate()
            .map(|(at, points)| (format!("h{at}"), points))
            .collect()
    })
}

fn scaled(series: &Series, scale: f64) -> Series {
    series
        .iter()
        .map(|(host, points)| (host.clone(), times(points, scale)))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_gauge_is_the_same_in_any_unit(
        control in arm(5..30, 0.5, 2.0),
        canary in arm(5..16, 0.5, 3.0),
        has_zero in any::<bool>(),
        direction in directions(),
        scale in scales(),
    ) {
        let mut control = control;
        if has_zero {
            control.values_mut().next().unwrap()[0] = Some(0.0);
        }
        let settings = gauge::Settings {
            direction,
            tolerance: 0.05,
            margin: 0.3,
            intervals: None,
            is_matched: true,
            budget: Budget::default(),
        };
        let judge = |scale: f64| {
            let (control, canary) = (scaled(&control, scale), scaled(&canary, scale));
            let gauge = Gauge {
                control: &control,
                canary: &canary,
                control_before: Some(&control),
                canary_before: Some(&control),
            };
            let without = Gauge { control_before: None, ..gauge };
            [gauge::judge(&gauge, &settings), gauge::judge(&without, &settings)]
        };
        for (one, other) in judge(1.0).into_iter().zip(judge(scale)) {
            prop_assert_eq!((one.outcome, one.looks), (other.outcome, other.looks), "{} {}", one.reason, other.reason);
        }
    }

    #[test]
    fn a_latency_is_the_same_in_any_unit(
        control in prop::collection::vec(0.01f64..1.0, 1..400),
        canary in prop::collection::vec(0.5f64..2.0, 1..400),
        direction in directions(),
        scale in scales(),
    ) {
        let settings = latency::Settings { direction, tolerance: 0.0, margin: 0.1, budget: Budget::default() };
        let [control, canary]: [Points; 2] = [control, canary].map(|arm| arm.into_iter().map(Some).collect());
        let judge = |scale: f64| latency::judge(&times(&control, scale), &times(&canary, scale), &settings);
        let (one, other) = (judge(1.0), judge(scale));
        prop_assert_eq!((one.outcome, one.estimate), (other.outcome, other.estimate));
    }

    #[test]
    fn a_latency_by_host_is_the_same_in_any_unit(
        control in arm(10..30, 0.5, 2.0),
        canary in arm(10..16, 0.5, 4.0),
        is_aligned in any::<bool>(),
        direction in directions(),
        scale in scales(),
    ) {
        let settings = latency::Settings { direction, tolerance: 0.0, margin: 0.5, budget: Budget::default() };
        let judge = |scale: f64| {
            let (control, canary) = (scaled(&control, scale), scaled(&canary, scale));
            let samples = Gauge { control: &control, canary: &canary, control_before: Some(&control), canary_before: Some(&control) };
            let hosts = latency::Hosts { samples, intervals: is_aligned.then_some(8) };
            latency::judge_hosts(&hosts, &settings)
        };
        let (one, other) = (judge(1.0), judge(scale));
        prop_assert_eq!((one.outcome, one.looks), (other.outcome, other.looks), "{} {}", one.reason, other.reason);
    }

    #[test]
    fn more_of_the_same_counts_never_turns_a_verdict_round(control in prop::collection::vec(0u32..90, 5..40), times in 1u32..4) {
        // Twice the hosts and twice the events in both arms: the share is the same, and more is known, never the opposite.
        let settings = count::Settings { direction: Direction::Increase, share: 0.5, tolerance: 0.0, margin: 1.0, budget: Budget::default() };
        let judge = |factor: u32| {
            let arm = |times: u32| -> Points { control.iter().map(|count| Some(f64::from(count * times * factor))).collect() };
            count::judge(&count::Counts { control: &arm(1), canary: &arm(times) }, &settings).outcome
        };
        let (few, many) = (judge(1), judge(8));
        prop_assert!(few == many || few == Outcome::Inconclusive, "{few:?} {many:?}");
    }

    #[test]
    fn a_guard_is_the_same_in_any_unit(values in prop::collection::vec(0.0f64..2.0, 1..60), scale in scales()) {
        let canary: Points = values.into_iter().map(Some).collect();
        let judge = |scale: f64| {
            let settings = guard::Settings {
                above: Some(1.5 * scale),
                below: None,
                in_a_row: 3,
                intervals: None,
                budget: Budget::default(),
            };
            guard::judge(&times(&canary, scale), &settings).outcome
        };
        prop_assert_eq!(judge(1.0), judge(scale));
    }

    #[test]
    fn a_forecast_is_the_same_in_any_unit(
        past in prop::collection::vec(1.0f64..2.0, 100..300),
        now in prop::collection::vec(1.0f64..3.0, 1..12),
        direction in directions(),
        scale in scales(),
    ) {
        let settings = forecast::Settings {
            direction,
            tolerance: 0.0,
            margin: 0.25,
            season: 24,
            intervals: None,
            budget: Budget::default(),
        };
        let [past, now]: [Points; 2] = [past, now].map(|arm| arm.into_iter().map(Some).collect());
        let judge = |scale: f64| forecast::judge(&times(&past, scale), &times(&now, scale), &settings);
        let (one, other) = (judge(1.0), judge(scale));
        prop_assert_eq!((one.outcome, one.looks), (other.outcome, other.looks), "{} {}", one.reason, other.reason);
    }

    #[test]
    fn the_same_samples_give_the_same_verdict_to_the_bit(control in arm(5..30, 0.5, 2.0), canary in arm(5..16, 0.5, 3.0)) {
        let settings = gauge::Settings {
            direction: Direction::Increase,
            tolerance: 0.0,
            margin: 0.1,
            intervals: Some(60),
            is_matched: true,
            budget: Budget::default(),
        };
        let gauge = Gauge { control: &control, canary: &canary, control_before: None, canary_before: None };
        let first = gauge::judge(&gauge, &settings);
        prop_assert_eq!(format!("{first:?}"), format!("{:?}", gauge::judge(&gauge, &settings)));
        prop_assert!(first.outcome != Outcome::High && first.outcome != Outcome::Low);
    }
}
