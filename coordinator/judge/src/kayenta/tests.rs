//! The classic judge by its formulas, its options, and its faults where they are kept.

use super::*;

fn values(from: f64, step: f64, count: u32) -> Vec<Option<f64>> {
    (0..count).map(|i| Some(from + step * f64::from(i))).collect()
}

fn label(control: &[Option<f64>], canary: &[Option<f64>], settings: &Settings) -> Label {
    judge(control, canary, settings).label
}

#[test]
fn a_shift_is_estimated_with_its_interval() {
    let (control, canary) = (values(10.0, 0.1, 30), values(12.0, 0.1, 30));
    let judged = judge(&control, &canary, &Settings::default());
    assert_eq!((judged.label, judged.verdict.outcome), (Label::High, Outcome::High));
    assert!((judged.verdict.estimate.unwrap() - 2.0).abs() < 0.1, "{judged:?}");
    assert!(
        judged.verdict.low.unwrap() > 1.0 && judged.verdict.high.unwrap() < 3.0,
        "{judged:?}"
    );
    assert_eq!(judged.verdict.statistic, Some(850.0));
    assert_eq!(label(&canary, &control, &Settings::default()), Label::Low);
}

#[test]
fn a_direction_hears_only_its_own_side() {
    let (control, canary) = (values(10.0, 0.1, 30), values(12.0, 0.1, 30));
    for (direction, wanted) in [(Direction::Increase, Label::High), (Direction::Decrease, Label::Pass)] {
        let settings = Settings {
            direction,
            ..Settings::default()
        };
        assert_eq!(label(&control, &canary, &settings), wanted);
    }
}

#[test]
fn an_effect_that_is_allowed_passes() {
    let (control, canary) = (values(10.0, 0.1, 30), values(12.0, 0.1, 30));
    let allowed = |effect, allowed_increase| Settings {
        effect,
        allowed_increase: Some(allowed_increase),
        ..Settings::default()
    };
    assert_eq!(label(&control, &canary, &allowed(Effect::MeanRatio, 1.2)), Label::Pass);
    assert_eq!(label(&control, &canary, &allowed(Effect::MeanRatio, 1.1)), Label::High);
    assert_eq!(label(&control, &canary, &allowed(Effect::Cles, 0.95)), Label::Pass);
    assert_eq!(label(&control, &canary, &allowed(Effect::Cles, 0.85)), Label::High);
}

#[test]
fn a_critical_metric_is_critical_only_from_its_own_effect_on() {
    let (control, canary) = (values(10.0, 0.1, 30), values(12.0, 0.1, 30));
    let critical = |critical_increase| Settings {
        critical: true,
        critical_increase,
        ..Settings::default()
    };
    assert!(judge(&control, &canary, &critical(None)).critical);
    let judged = judge(&control, &canary, &critical(Some(1.5)));
    assert!(!judged.critical && judged.label == Label::High);
    assert!(judge(&[], &canary, &critical(None)).critical);
}

#[test]
fn without_data_it_goes_by_what_is_required() {
    let canary = values(12.0, 0.1, 30);
    let required = Settings {
        data_required: true,
        ..Settings::default()
    };
    assert_eq!(label(&[], &canary, &Settings::default()), Label::NoData);
    assert_eq!(
        label(&[None, Some(f64::NAN)], &canary, &Settings::default()),
        Label::NoData
    );
    assert_eq!(label(&canary, &[], &required), Label::NoDataFail);
    let replaced = Settings {
        nan: Nan::Replace,
        ..Settings::default()
    };
    assert_eq!(label(&[], &canary, &replaced), Label::Pass, "as there");
    assert_eq!(label(&[None, None], &canary, &replaced), Label::High, "two zeros");
}

#[test]
fn outliers_are_left_out_when_that_is_asked_for() {
    let mut control = values(10.0, 0.01, 60);
    control.push(Some(1e6));
    let removed = Settings {
        outliers: Outliers::Remove,
        ..Settings::default()
    };
    let counted = |settings: &Settings| {
        judge(&control, &values(10.0, 0.01, 60), settings)
            .verdict
            .samples
            .control
    };
    assert_eq!((counted(&Settings::default()), counted(&removed)), (61, 60));
    let wide = Settings {
        outlier_factor: 1e9,
        ..removed
    };
    assert_eq!(counted(&wide), 61);
}

#[test]
fn one_point_against_one_is_an_error_that_is_not_counted() {
    let judged = judge(&[Some(1.0)], &[Some(2.0)], &Settings::default());
    assert_eq!(
        (judged.label, judged.verdict.outcome),
        (Label::Error, Outcome::Inconclusive)
    );
}

#[test]
fn arms_that_are_constant_each_for_itself_are_told_apart_and_always_alike() {
    let (control, canary) = (vec![Some(5.0); 30], vec![Some(6.0); 30]);
    let judged = judge(&control, &canary, &Settings::default());
    assert_eq!(judged.label, Label::High);
    assert_eq!(judged, judge(&control, &canary, &Settings::default()));
    assert_eq!(
        label(&control, &control, &Settings::default()),
        Label::Pass,
        "identical"
    );
}

#[test]
fn the_unit_of_measure_matters_as_there() {
    let scaled = |scale: f64| {
        let arm = |from: f64| -> Vec<_> {
            values(from, 0.1, 30)
                .iter()
                .map(|value| value.map(|value| value * scale))
                .collect()
        };
        let judged = judge(&arm(10.0), &arm(12.0), &Settings::default());
        judged.verdict.estimate.unwrap() / scale
    };
    assert!((scaled(1.0) - 2.0).abs() < 0.1);
    assert!((scaled(1e-7) - 2.0).abs() > 1.0, "{}", scaled(1e-7));
}
