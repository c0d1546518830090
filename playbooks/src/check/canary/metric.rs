//! Metrics of canary gates: which kind, what is asked of the source, how much harm is tolerated. What the query says is the
//! source's own language and is not read here.

use std::collections::BTreeMap;

use echelon_proto::{MetricName, Span};

use super::{
    super::{
        Lint,
        fields::{Fields, Shape},
    },
    NUMBERS, Times, classic, decimal,
};
use crate::{
    fault::code,
    model::{Canary, Harm, Metric, MetricKind},
    text::tree::Node,
};

/// The past is asked for at once, and a source gives no more of a series.
const PAST_MAX: u64 = 10_000;
/// The judge holds a run of points against so many runs of the past.
const RUNS_MIN: u64 = 8;
const PAST_SPAN_MAX: Span = Span::secs(400 * 24 * 3600);

const ELSEWHERE: &[(&str, &str)] = &[
    ("past", "only a forecast has one: { kind: forecast, past: 7d }"),
    (
        "season",
        "only a forecast has one: { kind: forecast, past: 7d, season: 1d }",
    ),
    (
        "critical",
        "only kayenta weighs metrics: of all others each that fails is the end",
    ),
    (
        "groups",
        "only kayenta weighs metrics: of all others each that fails is the end",
    ),
    ("of", "only a ratio is a part `of` something"),
    ("above", "only a guard has a bound: { kind: guard, above: 0.5 }"),
    ("below", "only a guard has a bound: { kind: guard, below: 0.5 }"),
];

const GAUGE: Shape = Shape {
    what: "a gauge of a canary gate",
    required: &[("kind", "kind: gauge"), ("query", "query: \"avg by (instance) (...)\"")],
    optional: &["direction", "tolerance", "margin"],
    later: &[],
    elsewhere: ELSEWHERE,
};
const COUNT: Shape = Shape {
    what: "a count of a canary gate",
    ..GAUGE
};
const LATENCY: Shape = Shape {
    what: "a latency of a canary gate",
    ..GAUGE
};
const RATIO: Shape = Shape {
    what: "a ratio of a canary gate",
    required: &[
        ("kind", "kind: ratio"),
        ("query", "query: \"sum by (instance) (increase(...))\""),
        ("of", "of: \"sum by (instance) (increase(...))\""),
    ],
    optional: &["direction", "tolerance", "margin", "pass_below_rate"],
    ..GAUGE
};
const GUARD: Shape = Shape {
    what: "a guard of a canary gate",
    required: &[("kind", "kind: guard"), ("query", "query: \"avg by (instance) (...)\"")],
    optional: &["above", "below"],
    later: &[],
    elsewhere: &[
        ("direction", "`above` and `below` say which way is harm"),
        ("tolerance", "a guard has a bound: { above: 0.5 }"),
        ("margin", "a guard has a bound: { above: 0.5 }"),
    ],
};

const FORECAST: Shape = Shape {
    what: "a forecast of a canary gate",
    required: &[
        ("kind", "kind: forecast"),
        ("query", "query: \"avg by (instance) (...)\""),
        ("past", "past: 7d"),
    ],
    optional: &["season", "direction", "tolerance", "margin"],
    later: &[],
    elsewhere: &[("before", "how much of the past is asked for is `past`")],
};

#[derive(Clone, Copy)]
enum Sort {
    Gauge,
    Count,
    Ratio,
    Latency,
    Guard,
    Forecast,
    Kayenta,
}

const SORTS: [(&str, Sort); 7] = [
    ("gauge", Sort::Gauge),
    ("count", Sort::Count),
    ("ratio", Sort::Ratio),
    ("latency", Sort::Latency),
    ("guard", Sort::Guard),
    ("forecast", Sort::Forecast),
    ("kayenta", Sort::Kayenta),
];

pub(super) fn metrics(lint: &mut Lint<'_>, node: &Node, times: Option<&Times>) -> Option<BTreeMap<MetricName, Metric>> {
    let entries = lint.entries(node, "`metrics`", Canary::METRICS_MAX)?;
    if entries.is_empty() {
        let help = "name one, or take the gate away";
        lint.fault(code::EMPTY, node.at, "a canary gate that compares nothing", help);
        return None;
    }
    let mut metrics = BTreeMap::new();
    for (key, node) in entries {
        let name: Option<MetricName> = lint.key_name(key, "metric");
        let metric = metric(lint, node, times);
        if let (Some(name), Some(metric)) = (name, metric) {
            metrics.insert(name, metric);
        }
    }
    (metrics.len() == entries.len()).then_some(metrics)
}

fn metric(lint: &mut Lint<'_>, node: &Node, times: Option<&Times>) -> Option<Metric> {
    let Some(kind) = node.get("kind") else {
        lint.fields(node, &GAUGE);
        return None;
    };
    let sort = lint.choice(kind, "kind", &SORTS, &[])?;
    let shape = match sort {
        Sort::Gauge => &GAUGE,
        Sort::Count => &COUNT,
        Sort::Ratio => &RATIO,
        Sort::Latency => &LATENCY,
        Sort::Guard => &GUARD,
        Sort::Forecast => &FORECAST,
        Sort::Kayenta => &classic::KAYENTA,
    };
    let fields = lint.fields(node, shape)?;
    let kind = match sort {
        Sort::Gauge => Some(MetricKind::Gauge),
        Sort::Count => Some(MetricKind::Count),
        Sort::Latency => Some(MetricKind::Latency),
        Sort::Ratio => ratio(lint, &fields),
        Sort::Guard => guard(lint, &fields),
        Sort::Forecast => forecast(lint, &fields, times),
        Sort::Kayenta => classic::kayenta(lint, &fields),
    };
    let (usual, tolerated) = match sort {
        Sort::Gauge | Sort::Count | Sort::Ratio | Sort::Latency | Sort::Guard | Sort::Forecast => (Harm::Increase, 0),
        Sort::Kayenta => (Harm::Either, classic::TOLERANCE),
    };
    let query = fields.get("query").and_then(|node| query(lint, node, "query"));
    let direction = fields.or("direction", usual, |node| {
        lint.choice(node, "direction", &Harm::ALL, &[])
    });
    let tolerance = fields.or("tolerance", tolerated, |node| lint.percent(node, "tolerance"));
    let margin = fields.or("margin", None, |node| lint.percent(node, "margin").map(Some));
    Some(Metric {
        kind: kind?,
        query: query?,
        direction: direction?,
        tolerance: tolerance?,
        margin: margin?,
    })
}

/// Without the times of the gate nothing is said of how much past they take.
fn forecast(lint: &mut Lint<'_>, fields: &Fields<'_>, times: Option<&Times>) -> Option<MetricKind> {
    let season = fields.or("season", Span::ZERO, |node| {
        lint.span(node, "season", Span(1)..=PAST_SPAN_MAX)
    });
    let node = fields.get("past")?;
    let past = lint.span(node, "past", Span(1)..=PAST_SPAN_MAX)?;
    let (times, season) = (times?, season?);
    let (samples, least) = (past.0 / times.every.0, Span(times.hold_for.0.saturating_mul(RUNS_MIN)));
    let (message, help) = if samples > PAST_MAX {
        let message = format!("past is {past}, which is {samples} samples of each host");
        (
            message,
            format!("{PAST_MAX} are asked for: write a longer `every`, or a shorter past"),
        )
    } else if past < least {
        let message = format!(
            "past is {past}, which says too little of a window of {}",
            times.hold_for
        );
        (message, format!("it takes {RUNS_MIN} times `for`: {least}"))
    } else if past.0 < season.0.saturating_mul(2) {
        let message = format!("past is {past}, which has not two seasons of {season}");
        (message, format!("write at least {}", Span(season.0.saturating_mul(2))))
    } else if season.0 > 0 && season.0 < times.every.0.saturating_mul(2) {
        let message = format!("season is {season}, of which there are not two samples");
        (message, "write a shorter `every`, or take the season away".to_owned())
    } else {
        return Some(MetricKind::Forecast { past, season });
    };
    lint.fault(code::SPAN, node.at, message, help);
    None
}

fn ratio(lint: &mut Lint<'_>, fields: &Fields<'_>) -> Option<MetricKind> {
    let of = fields.get("of").and_then(|node| query(lint, node, "of"));
    let pass_below_rate = fields.or("pass_below_rate", None, |node| {
        lint.percent(node, "pass_below_rate").map(Some)
    });
    Some(MetricKind::Ratio {
        of: of?,
        pass_below_rate: pass_below_rate?,
    })
}

fn guard(lint: &mut Lint<'_>, fields: &Fields<'_>) -> Option<MetricKind> {
    let above = fields.or("above", None, |node| decimal(lint, node, "above", NUMBERS).map(Some));
    let below = fields.or("below", None, |node| decimal(lint, node, "below", NUMBERS).map(Some));
    let (above, below) = (above?, below?);
    if above.is_none() && below.is_none() {
        lint.fault(
            code::MISSING_KEY,
            fields.at,
            "a guard without a bound",
            "add `above: 0.5`",
        );
        return None;
    }
    Some(MetricKind::Guard { above, below })
}

/// What the source is asked. It is the same for all hosts, so it has no variables.
fn query(lint: &mut Lint<'_>, node: &Node, what: &str) -> Option<String> {
    let text = lint.words(node, what)?;
    if text.contains("${{") {
        let help = "a query gives one series a host: `label` and `host` say which is whose";
        lint.fault(
            code::TEMPLATE,
            node.at,
            format!("{what}: a query has no variables"),
            help,
        );
        return None;
    }
    Some(text.to_owned())
}
