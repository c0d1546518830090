//! What is no evidence: each kind, over arms that are empty, unknown, constant, of one point, all zero, or with gaps and
//! resets. Never a pass, and never a failure either where nothing was told.

use echelon_judge::{Case, Outcome};
use serde_json::{Value, json};

fn judged(kind: &str, control: &Value, canary: &Value, more: &Value) -> Outcome {
    let mut case = json!({"kind": kind, "control": control, "canary": canary});
    for (field, value) in more.as_object().unwrap() {
        case[field] = value.clone();
    }
    Case::read(&case.to_string())
        .unwrap_or_else(|error| panic!("{case}: {error}"))
        .judge()
        .verdict
        .outcome
}

/// The same points on so many hosts.
fn hosts(count: usize, points: &Value) -> Value {
    Value::Object((0..count).map(|host| (format!("h{host}"), points.clone())).collect())
}

fn repeated(value: &Value, count: usize) -> Value {
    vec![value.clone(); count].into()
}

/// An arm of that kind that says this in every interval.
fn arm(kind: &str, value: &Value, points: usize) -> Value {
    match kind {
        "gauge" => hosts(20, &repeated(value, points)),
        "ratio" => repeated(&json!([value, value]), points),
        _ => repeated(value, points),
    }
}

const KINDS: [&str; 4] = ["gauge", "count", "ratio", "latency"];

#[test]
fn nothing_told_is_no_data() {
    for kind in KINDS.iter().chain(&["kayenta"]) {
        for (control, canary) in [(0, 0), (60, 0), (0, 60)] {
            let told = arm(kind, &json!(null), control);
            let empty = arm(kind, &json!(5), canary);
            assert_eq!(
                judged(kind, &told, &empty, &json!({})),
                Outcome::NoData,
                "{kind} {control} {canary}"
            );
        }
        let unknown = arm(kind, &json!(null), 60);
        assert_eq!(judged(kind, &unknown, &unknown, &json!({})), Outcome::NoData, "{kind}");
        assert_eq!(
            judged(kind, &json!(null), &json!(null), &json!({})),
            Outcome::NoData,
            "{kind}"
        );
    }
    let hosts_without = hosts(20, &json!([]));
    assert_eq!(
        judged("gauge", &hosts_without, &hosts_without, &json!({})),
        Outcome::NoData
    );
}

#[test]
fn constant_arms_are_inconclusive_in_any_direction() {
    for kind in ["gauge", "count", "latency"] {
        for direction in ["increase", "decrease", "either"] {
            for value in [0.0, 1.0, 5.0, 1e9] {
                let constant = arm(kind, &json!(value), 60);
                let outcome = judged(kind, &constant, &constant, &json!({"direction": direction}));
                assert_eq!(outcome, Outcome::Inconclusive, "{kind} {direction} {value}");
            }
        }
    }
}

#[test]
fn no_traffic_is_no_data_and_nothing_bad_is_inconclusive() {
    let none = repeated(&json!([0, 0]), 60);
    assert_eq!(judged("ratio", &none, &none, &json!({})), Outcome::NoData);
    let nothing_bad = repeated(&json!([0, 100_000]), 60);
    assert_eq!(
        judged("ratio", &nothing_bad, &nothing_bad, &json!({})),
        Outcome::Inconclusive
    );
    let zeros = arm("count", &json!(0), 60);
    assert_eq!(judged("count", &zeros, &zeros, &json!({})), Outcome::Inconclusive);
}

#[test]
fn one_point_is_never_enough() {
    for kind in KINDS {
        for (control, canary) in [(1, 1), (60, 1), (1, 60)] {
            let (control, canary) = (arm(kind, &json!(5), control), arm(kind, &json!(5), canary));
            let outcome = judged(kind, &control, &canary, &json!({}));
            assert_eq!(outcome, Outcome::Inconclusive, "{kind} {control} {canary}");
        }
    }
    for (control, canary) in [(json!([1]), json!([100])), (json!([[1, 9]]), json!([[9, 9]]))] {
        let kind = if control[0].is_array() { "ratio" } else { "latency" };
        assert_eq!(judged(kind, &control, &canary, &json!({})), Outcome::Inconclusive);
    }
    let one = |value: f64| json!({"a": [value]});
    assert_eq!(
        judged("gauge", &one(1.0), &one(100.0), &json!({})),
        Outcome::Inconclusive
    );
}

#[test]
fn a_good_start_is_no_pass() {
    // Enough of everything, but for a few minutes only.
    let count = json!([6000, 6010, 5990, 6005]);
    assert_eq!(judged("count", &count, &count, &json!({})), Outcome::Inconclusive);
    let ratio = json!([[600, 60_000], [601, 60_100], [599, 59_900], [600, 60_050]]);
    assert_eq!(judged("ratio", &ratio, &ratio, &json!({})), Outcome::Inconclusive);
}

#[test]
fn counter_resets_and_gaps_are_left_out_and_late_samples_waited_for() {
    let control = json!([6000, null, 6010, 5990, -3, 6005, 6011, 5999]);
    let canary = json!([6001, 9_000_000, 6012, 5991, 9_000_000, null, 6010, 6002]);
    let outcome = judged("count", &control, &canary, &json!({}));
    assert_eq!(outcome, Outcome::Pass, "five intervals are told by both");
    let late = json!([6001, 9_000_000, 6012, 5991]);
    assert_eq!(judged("count", &control, &late, &json!({})), Outcome::Inconclusive);
    let resets = json!([[5, 900], [6, 3], [7, 800], [-1, 700], null]);
    assert_eq!(judged("ratio", &resets, &resets, &json!({})), Outcome::Inconclusive);
}

#[test]
fn hosts_that_only_came_late_say_nothing_for_the_others() {
    let told = |from: usize, host: usize| -> Value {
        let point = |at: usize| {
            if at < from {
                json!(null)
            } else {
                json!(10.0 + ((host * 7 + at * 3) % 11) as f64)
            }
        };
        (0..20).map(point).collect::<Vec<_>>().into()
    };
    let arm = |late: usize| -> Value {
        Value::Object(
            (0..20)
                .map(|host| (format!("h{host}"), told(if host < late { 15 } else { 0 }, host)))
                .collect(),
        )
    };
    let outcome = judged("gauge", &arm(0), &arm(17), &json!({"margin": 5.0}));
    assert_eq!(outcome, Outcome::Inconclusive, "three canaries are left");
    assert_eq!(
        judged("gauge", &arm(0), &arm(5), &json!({"margin": 5.0})),
        Outcome::Pass
    );
}

#[test]
fn a_guard_and_a_forecast_do_not_pass_on_nothing_either() {
    let guard = |canary: Value| judged("guard", &json!([]), &canary, &json!({"above": 1.0}));
    assert_eq!(guard(json!([])), Outcome::NoData);
    assert_eq!(guard(json!([null, null])), Outcome::NoData);
    assert_eq!(guard(json!([0.5])), Outcome::Inconclusive);
    assert_eq!(guard(json!([[0, 0], [0, 0]])), Outcome::NoData);
    let forecast = |history: Value, canary: Value| {
        let case = json!({"kind": "forecast", "history": history, "canary": canary});
        Case::read(&case.to_string()).unwrap().judge().verdict.outcome
    };
    assert_eq!(forecast(json!([]), json!([1])), Outcome::NoData);
    assert_eq!(forecast(json!([1, 2, 1]), json!([])), Outcome::NoData);
    assert_eq!(
        forecast(repeated(&json!(3), 900), repeated(&json!(3), 60)),
        Outcome::Inconclusive
    );
}

/// Days of so many points, with something that looks drawn.
fn days(points: usize, level: impl Fn(usize) -> f64) -> Vec<Value> {
    let wobble = |at: usize| 1.0 + 0.02 * (((at * 7919) % 31) as f64 - 15.0) / 15.0;
    (0..points).map(|at| json!(level(at) * wobble(at))).collect()
}

#[test]
fn gaps_and_resets_of_a_forecast_are_left_out_and_mostly_gaps_are_inconclusive() {
    let judged = |history: &[Value], canary: &[Value]| {
        let case = json!({"kind": "forecast", "history": history, "canary": canary, "direction": "either"});
        Case::read(&case.to_string()).unwrap().judge().verdict.outcome
    };
    let (mut past, mut now) = (days(600, |_| 100.0), days(20, |_| 100.0));
    assert_eq!(judged(&past, &now), Outcome::Pass);
    for at in [3, 50, 51, 52, 300] {
        past[at] = json!(null);
    }
    (now[4], now[9]) = (json!(null), json!(null));
    assert_eq!(judged(&past, &now), Outcome::Pass, "a few gaps");
    past.extend(vec![json!(null); 40]);
    assert_eq!(
        judged(&past, &now),
        Outcome::Pass,
        "the time between past and present is open"
    );
    assert_eq!(
        judged(&past, &days(20, |_| 160.0)),
        Outcome::Fail,
        "and harm after it is found"
    );
    let mostly: Vec<Value> = (0..20)
        .map(|at| {
            if at % 4 == 0 {
                json!(100.0 + at as f64)
            } else {
                json!(null)
            }
        })
        .collect();
    assert_eq!(judged(&past, &mostly), Outcome::Inconclusive);
    assert_eq!(judged(&past, &[json!(null), json!(null)]), Outcome::NoData);
    let silent = vec![json!(null); 600];
    assert_eq!(judged(&silent, &now), Outcome::NoData);
    assert_eq!(
        judged(&days(600, |_| 0.0), &vec![json!(0.0); 20]),
        Outcome::Inconclusive,
        "zeros are no evidence"
    );
    assert_eq!(judged(&past, &now[..1]), Outcome::Inconclusive, "one point");
}

#[test]
fn latencies_by_host_say_nothing_of_what_is_none() {
    let nothing = |points: Value| {
        judged(
            "latency",
            &hosts(20, &points),
            &hosts(12, &points),
            &json!({"intervals": 60}),
        )
    };
    assert_eq!(nothing(json!([])), Outcome::NoData);
    assert_eq!(nothing(repeated(&json!(null), 60)), Outcome::NoData);
    for constant in [0.0, 5.0, 1e9] {
        assert_eq!(
            nothing(repeated(&json!(constant), 60)),
            Outcome::Inconclusive,
            "{constant}"
        );
    }
    assert_eq!(nothing(json!([5])), Outcome::Inconclusive);
    let told = |host: usize| -> Value { days(60, |at| 10.0 + ((host * 13 + at * 5) % 17) as f64).into() };
    let arm = |count: usize| Value::Object((0..count).map(|host| (format!("h{host}"), told(host))).collect());
    let few = judged("latency", &arm(20), &arm(4), &json!({}));
    assert_eq!(few, Outcome::Inconclusive, "four hosts");
    assert_ne!(judged("latency", &arm(20), &arm(12), &json!({})), Outcome::Fail);
}
