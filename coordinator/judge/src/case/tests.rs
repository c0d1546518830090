//! Cases as people write them: each kind, and what is said of faults.

use super::*;

fn outcome(text: &str) -> Outcome {
    Case::read(text)
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .judge()
        .verdict
        .outcome
}

fn fault(text: &str) -> String {
    Case::read(text).unwrap_err().to_string()
}

/// Hosts whose points depend on the host and on the minute, some per cent of noise.
fn hosts(prefix: &str, count: u32, points: u32, times: f64) -> String {
    let point = |host: u32, at: u32| {
        let noise = (f64::from(host * 31 + at * 17) * 0.618_033_988_749_894_9).fract() - 0.5;
        let level = 100.0 + 7.0 * f64::from(host % 5);
        (level * (1.0 + 0.04 * noise) * times).to_string()
    };
    let host = |host: u32| {
        let points: Vec<_> = (0..points).map(|at| point(host, at)).collect();
        format!("\"{prefix}{host}\": [{}]", points.join(","))
    };
    format!("{{{}}}", (0..count).map(host).collect::<Vec<_>>().join(","))
}

fn gauge(times: f64, more: &str) -> String {
    format!(
        "{{\"name\": \"cpu\", \"kind\": \"gauge\", \"control\": {}, \"canary\": {}, \"control_before\": {}, \"canary_before\": {}{more}}}",
        hosts("a", 40, 20, 1.0),
        hosts("b", 12, 20, times),
        hosts("a", 40, 30, 1.0),
        hosts("b", 12, 30, 1.0)
    )
}

#[test]
fn each_kind_is_judged_from_its_own_form() {
    assert_eq!(outcome(&gauge(1.1, "")), Outcome::Fail);
    assert_eq!(outcome(&gauge(1.0, "")), Outcome::Pass);
    assert_eq!(
        outcome(&gauge(1.1, ", \"tolerance\": 0.2")),
        Outcome::Pass,
        "within the tolerance is within the margin"
    );
    for (text, wanted) in [
        (
            r#"{"kind": "count", "control": [60, 61, null], "canary": [190, 180, 200], "direction": "increase"}"#,
            Outcome::Fail,
        ),
        (
            r#"{"kind": "count", "share": 0.5, "at_least": 1, "control": {"a": [0, 1]}, "canary": {"b": [1, 0]}}"#,
            Outcome::Inconclusive,
        ),
        (
            r#"{"kind": "ratio", "control": [[1, 1000], [2, 1000]], "canary": [[90, 1000], [80, 1000]]}"#,
            Outcome::Fail,
        ),
        (
            r#"{"kind": "ratio", "control": [null], "canary": [[90, 1000]]}"#,
            Outcome::NoData,
        ),
        (
            r#"{"kind": "latency", "control": [1, 2, 3], "canary": [1, 2, null]}"#,
            Outcome::Inconclusive,
        ),
        (
            r#"{"kind": "latency", "buckets": true, "control": [90000, 10], "canary": [10, 90000]}"#,
            Outcome::Fail,
        ),
        (
            r#"{"kind": "guard", "above": 0.5, "canary": [1, 1, 1], "control": [1]}"#,
            Outcome::Fail,
        ),
        (
            r#"{"kind": "guard", "above": 0.01, "canary": [null, [90, 1000], [90, 1000]]}"#,
            Outcome::Fail,
        ),
        (r#"{"kind": "forecast", "history": [], "canary": [1]}"#, Outcome::NoData),
        (
            r#"{"kind": "kayenta", "control": [1, 2, 3, 2, 1, 3, 2], "canary": [7, 8, 9, 8, 7, 9, 8], "nan": "remove"}"#,
            Outcome::High,
        ),
        (
            r#"{"kind": "kayenta", "control": null, "canary": [7]}"#,
            Outcome::NoData,
        ),
    ] {
        assert_eq!(outcome(text), wanted, "{text}");
    }
}

#[test]
fn samples_above_a_bound_are_judged_as_a_ratio() {
    let list = |slow: u32| -> String {
        let sample = |i: u32| if i % 100 < slow { "900" } else { "100" };
        (0..6_000).map(sample).collect::<Vec<_>>().join(",")
    };
    let text = format!(
        "{{\"kind\": \"latency\", \"above\": 500, \"control\": [{}], \"canary\": [{}]}}",
        list(1),
        list(9)
    );
    let case = Case::read(&text).unwrap();
    assert!(matches!(case.metric, Metric::Ratio { .. }));
    assert_eq!(case.judge().verdict.outcome, Outcome::Fail);
}

#[test]
fn a_fault_says_where_and_what_there_would_be() {
    assert!(fault("[1]").contains("no object"), "{}", fault("[1]"));
    assert_eq!(fault("{}"), "`kind` is missing");
    assert!(
        fault(r#"{"kind": "gage"}"#).contains("gauge"),
        "{}",
        fault(r#"{"kind": "gage"}"#)
    );
    assert_eq!(fault(r#"{"kind": "count", "control": []}"#), "`canary` is missing");
    let text = r#"{"kind": "count", "control": [], "canary": [], "tolerence": 1}"#;
    assert!(
        fault(text).starts_with("`tolerence` is no field of a count; there are"),
        "{}",
        fault(text)
    );
    assert!(fault(text).contains("tolerance"), "{}", fault(text));
    let text = r#"{"kind": "count", "control": ["x"], "canary": []}"#;
    assert!(
        fault(text).starts_with("`control`: invalid type: string"),
        "{}",
        fault(text)
    );
    let text = r#"{"kind": "ratio", "control": [], "canary": [], "metrics": 13}"#;
    assert_eq!(fault(text), "`metrics`: 13 is not within 1 and 12");
    assert_eq!(fault(r#"{"kind": "guard", "canary": [1]}"#), "`above` is missing");
}

#[test]
fn a_critical_metric_that_is_not_shown_to_be_well_is_a_failure_of_the_score() {
    let text = r#"{"name": "x", "kind": "count", "control": [1], "canary": [1], "critical": true, "group": "errors"}"#;
    let case = Case::read(text).unwrap();
    let scored = case.scored(&case.judge());
    assert!(scored.critical && scored.groups == ["errors"]);
}
