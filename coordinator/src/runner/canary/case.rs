//! Samples of hosts made into the judge's cases. Deliberately no statistics: only who belongs to which arm, what is put
//! together, and what counts as not known.
//!
//! | kind | of the samples |
//! |---|---|
//! | gauge | each host's own, before and since |
//! | count | the sum of an arm; not known while a tenth of its hosts that ever told anything is silent |
//! | ratio | each host's bad and all, put together over the arm; a host with traffic of which no bad is told has none, as long as the query tells of any host |
//! | latency | each host's own, before and since |
//! | guard | the mean of the canary |
//! | forecast | the series of all hosts, or the mean of the canary hosts that told both then and now |
//! | kayenta | the mean of each arm |

mod classic;
mod forecast;

use std::collections::BTreeMap;

use echelon_engine::effect::Comparison;
use echelon_playbooks::model::{Doubt, Metric, MetricKind};
use echelon_proto::HostId;
use serde_json::{Map, Value, json};

use crate::source::Samples;

type Hosts = BTreeMap<String, HostId>;

/// Of the hosts of an arm that ever told anything, so many must tell of an interval.
const TELLING: f64 = 0.9;

/// What was had of one metric.
#[derive(Debug, Clone, Copy)]
pub(super) struct Had<'a> {
    /// Since the deploy.
    pub(super) since: &'a Samples,
    /// The window before; of a forecast: the past.
    pub(super) before: Option<&'a Samples>,
    /// Of a ratio: all.
    pub(super) of: Option<&'a Samples>,
}

/// How many intervals a metric is judged by, of so many that are over; `None`: it is not time yet.
pub(super) fn judged_upto(comparison: &Comparison, metric: &Metric, count: usize) -> Option<usize> {
    match metric.kind {
        MetricKind::Kayenta(_) => classic::upto(comparison, count),
        MetricKind::Gauge
        | MetricKind::Count
        | MetricKind::Ratio { .. }
        | MetricKind::Latency
        | MetricKind::Guard { .. }
        | MetricKind::Forecast { .. } => Some(count),
    }
}

/// Whether an arm that is compared told nothing at all. The classic judge may take that for zeros.
pub(super) fn is_silent(comparison: &Comparison, samples: &Samples) -> bool {
    let arms = [&comparison.treated, &comparison.control];
    arms.into_iter().any(|arm| telling(samples, arm) == 0)
}

/// The case as text.
pub(super) fn case(comparison: &Comparison, name: &str, metric: &Metric, had: Had<'_>, looks: usize) -> String {
    let (canary, control) = (&comparison.treated, &comparison.control);
    let mut case = Map::new();
    case.insert("name".to_owned(), name.into());
    case.insert("kind".to_owned(), metric.kind.name().into());
    if metric.kind.spends() {
        case.insert("metrics".to_owned(), comparison.metrics.into());
        if let Some(alpha) = &comparison.canary.alpha {
            case.insert("alpha".to_owned(), number(alpha));
        }
    }
    let mut put = |key: &str, value: Value| drop(case.insert(key.to_owned(), value));
    match &metric.kind {
        MetricKind::Guard { above, below } => {
            put("above", above.as_deref().map_or(Value::Null, number));
            put("below", below.as_deref().map_or(Value::Null, number));
            put("canary", means(had.since, canary, looks));
            put("intervals", planned(comparison).into());
            return Value::Object(case).to_string();
        }
        MetricKind::Gauge | MetricKind::Latency => {
            put("control", by_host(had.since, control, looks));
            put("canary", by_host(had.since, canary, looks));
            if let Some(before) = had.before {
                put("control_before", by_host(before, control, 0));
                put("canary_before", by_host(before, canary, 0));
            }
            put("intervals", planned(comparison).into());
        }
        MetricKind::Count => {
            let (told, kept) = (telling(had.since, canary), telling(had.since, control));
            put("share", share(told, kept).into());
            put("control", sums(had.since, control, looks));
            put("canary", sums(had.since, canary, looks));
        }
        MetricKind::Ratio { pass_below_rate, .. } => {
            let nothing = Samples::new();
            let of = had.of.unwrap_or(&nothing);
            let is_told = [canary, control].iter().any(|arm| telling(had.since, arm) > 0);
            put("control", pairs(had.since, of, control, looks, is_told));
            put("canary", pairs(had.since, of, canary, looks, is_told));
            if let Some(rate) = pass_below_rate {
                put("pass_below_rate", (f64::from(*rate) / 100.0).into());
            }
        }
        MetricKind::Forecast { season, .. } => forecast::put(comparison, *season, had, &mut put),
        MetricKind::Kayenta(of) => {
            put("control", means(had.since, control, looks));
            put("canary", means(had.since, canary, looks));
            classic::put(of, &mut put);
        }
    }
    put("direction", metric.direction.name().into());
    put("tolerance", (f64::from(metric.tolerance) / 100.0).into());
    if let Some(margin) = metric.margin {
        put("margin", (f64::from(margin) / 100.0).into());
    }
    Value::Object(case).to_string()
}

/// Looks in the whole window, with all that it may be prolonged by: what may be falsely called harm is spent over them.
pub(super) fn planned(comparison: &Comparison) -> u64 {
    let canary = &comparison.canary;
    let extends = canary.on_inconclusive == Doubt::Extend || canary.on_no_data == Doubt::Extend;
    let window = if extends { canary.longest() } else { canary.hold_for };
    window.0.div_ceil(canary.every.0.max(1))
}

/// The canary's part of the hosts that told anything.
fn share(canary: usize, control: usize) -> f64 {
    match (canary, control) {
        (0, _) | (_, 0) => 0.5,
        (canary, control) => canary as f64 / (canary + control) as f64,
    }
}

/// Hosts of an arm that told anything at all.
fn telling(samples: &Samples, arm: &Hosts) -> usize {
    let told = arm.keys().filter_map(|host| samples.get(host));
    told.filter(|points| points.iter().any(Option::is_some)).count()
}

/// Each host's points; of one that told nothing, nothing at every time.
fn by_host(samples: &Samples, arm: &Hosts, looks: usize) -> Value {
    let points = |host: &String| match samples.get(host) {
        Some(points) => json!(points),
        None => json!(vec![None::<f64>; looks]),
    };
    Value::Object(arm.keys().map(|host| (host.clone(), points(host))).collect())
}

/// A number of a playbook.
fn number(text: &str) -> Value {
    text.parse::<f64>().map_or(Value::Null, Value::from)
}

fn sums(samples: &Samples, arm: &Hosts, looks: usize) -> Value {
    let told = telling(samples, arm) as f64;
    let sum = |at: usize| {
        let values: Vec<f64> = column(samples, arm, at).collect();
        let enough = !values.is_empty() && values.len() as f64 >= TELLING * told;
        enough.then(|| values.iter().sum::<f64>())
    };
    json!((0..looks).map(sum).collect::<Vec<_>>())
}

fn means(samples: &Samples, arm: &Hosts, looks: usize) -> Value {
    let mean = |at: usize| {
        let values: Vec<f64> = column(samples, arm, at).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    json!((0..looks).map(mean).collect::<Vec<_>>())
}

fn pairs(bad: &Samples, of: &Samples, arm: &Hosts, looks: usize, is_told: bool) -> Value {
    let pair = |at: usize| {
        let hosts = arm.keys().filter_map(|host| {
            let total = point(of, host, at)?;
            Some((point(bad, host, at), total))
        });
        let mut both = (0.0, 0.0);
        let mut any = false;
        for (bad, total) in hosts.filter(|_| is_told) {
            both = (both.0 + bad.unwrap_or(0.0), both.1 + total);
            any = true;
        }
        any.then_some(both)
    };
    json!((0..looks).map(pair).collect::<Vec<_>>())
}

fn column<'a>(samples: &'a Samples, arm: &'a Hosts, at: usize) -> impl Iterator<Item = f64> + 'a {
    arm.keys().filter_map(move |host| point(samples, host, at))
}

fn point(samples: &Samples, host: &str, at: usize) -> Option<f64> {
    samples.get(host)?.get(at).copied().flatten()
}
