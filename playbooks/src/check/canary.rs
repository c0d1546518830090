//! Canary gates: what is compared, where its samples come from, and for how long. What the query says is the source's own
//! language and is not read here.

use std::collections::BTreeMap;

use echelon_proto::{MetricName, Span};

use super::{
    Lint,
    fields::{Fields, Shape},
    gates::WAIT_MAX,
    groups::key,
    hosts::RULES,
    range,
    value::{cut, resolved},
};
use crate::{
    fault::code,
    model::{Canary, Doubt, Gate, GateKind, Harm, Metric, MetricKind, Rule},
    text::{
        scalar::Plain,
        tree::{Node, Value},
    },
};

const EVERY: Span = Span::secs(60);
const EVERY_MIN: Span = Span::secs(1);
const EVERY_MAX: Span = Span::secs(3600);
const BEFORE: Span = Span::secs(30 * 60);
const BEFORE_MAX: Span = Span::secs(24 * 3600);
const EXTEND_MAX: u32 = 10;
const CONTROL: u32 = 200;
/// An arm of fewer hosts is never judged.
const CONTROL_MIN: u32 = 5;
const CONTROL_MAX: u32 = 2_000;
const ALIKE_MAX: usize = 8;
/// The judge passes nothing earlier.
const INTERVALS_MIN: u64 = 5;
/// Of each host, before and since: what a source gives in one answer, and what can be kept of a decision.
const INTERVALS_MAX: u64 = 2_000;

const CANARY: Shape = Shape {
    what: "a canary gate",
    required: &[
        ("kind", "kind: canary"),
        ("source", "source: prometheus"),
        ("label", "label: instance"),
        ("host", "host: \"${{ host.name }}:9100\""),
        ("for", "for: 30m"),
        ("metrics", "metrics: { latency: { kind: gauge, query: \"...\" } }"),
    ],
    optional: &[
        "every",
        "before",
        "warm_up",
        "extend",
        "control",
        "match",
        "on_fail",
        "on_inconclusive",
        "on_no_data",
        "on_expire",
    ],
    later: &[],
    elsewhere: &[
        (
            "query",
            "it belongs to a metric: { metrics: { latency: { kind: gauge, query: ... } } }",
        ),
        (
            "deadline",
            "a canary gate ends by itself after `for`, or after what `extend` adds to it",
        ),
        ("interval", "between two samples of a gate is `every`"),
    ],
};

const ELSEWHERE: &[(&str, &str)] = &[
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

#[derive(Clone, Copy)]
enum Sort {
    Gauge,
    Count,
    Ratio,
    Latency,
    Guard,
}

const SORTS: [(&str, Sort); 5] = [
    ("gauge", Sort::Gauge),
    ("count", Sort::Count),
    ("ratio", Sort::Ratio),
    ("latency", Sort::Latency),
    ("guard", Sort::Guard),
];

pub(super) fn canary(lint: &mut Lint<'_>, node: &Node, on_fail: Rule) -> Option<Gate> {
    let fields = lint.fields(node, &CANARY)?;
    let source = fields.get("source").and_then(|node| lint.name(node, "source"));
    let label = fields.get("label").and_then(|node| lint.name(node, "label"));
    let host = fields.get("host").and_then(|node| lint.template(node, "host"));
    let times = times(lint, &fields);
    let control_max = fields.or("control", CONTROL, |node| {
        lint.number(node, "control", CONTROL_MIN..=CONTROL_MAX)
    });
    let alike = fields.or("match", Vec::new(), |node| {
        let items = lint.list(node, "`match`", ALIKE_MAX)?;
        lint.twice(items, "`match`");
        lint.each(items, |lint, item| key(lint, item, "match"))
    });
    let metrics = fields.get("metrics").and_then(|node| metrics(lint, node));
    let doubt = [("extend", Doubt::Extend)].into_iter();
    let doubt = doubt.chain(RULES.iter().map(|(word, rule)| (*word, Doubt::Rule(*rule))));
    let doubt: Vec<_> = doubt.collect();
    let doubtful =
        |lint: &mut Lint<'_>, key| fields.or(key, Doubt::Rule(Rule::Hold), |node| lint.choice(node, key, &doubt, &[]));
    let on_inconclusive = doubtful(lint, "on_inconclusive");
    let on_no_data = doubtful(lint, "on_no_data");
    let on_fail = fields.or("on_fail", on_fail, |node| {
        lint.choice(node, "on_fail", RULES, &["extend"])
    });
    let on_expire = fields.or("on_expire", Rule::Hold, |node| {
        lint.choice(node, "on_expire", RULES, &["extend"])
    });
    if let (Some(times), Some(node)) = (&times, fields.get("metrics")) {
        range::report(lint, node, times.every);
    }
    let times = times?;
    Some(Gate {
        kind: GateKind::Canary(Box::new(Canary {
            source: source?,
            label: label?,
            host: host?,
            every: times.every,
            before: times.before,
            warm_up: times.warm_up,
            hold_for: times.hold_for,
            extend: times.extend,
            control_max: control_max?,
            alike: alike?,
            metrics: metrics?,
            on_inconclusive: on_inconclusive?,
            on_no_data: on_no_data?,
        })),
        deadline: None,
        on_fail: on_fail?,
        on_expire: on_expire?,
    })
}

struct Times {
    every: Span,
    before: Span,
    warm_up: Span,
    hold_for: Span,
    extend: u32,
}

fn times(lint: &mut Lint<'_>, fields: &Fields<'_>) -> Option<Times> {
    let every = fields.or("every", EVERY, |node| lint.span(node, "every", EVERY_MIN..=EVERY_MAX));
    let before = fields.or("before", BEFORE, |node| {
        lint.span(node, "before", Span::ZERO..=BEFORE_MAX)
    });
    let warm_up = fields.or("warm_up", Span::ZERO, |node| {
        lint.span(node, "warm_up", Span::ZERO..=BEFORE_MAX)
    });
    let extend = fields.or("extend", 1, |node| lint.number(node, "extend", 0..=EXTEND_MAX));
    let node = fields.get("for")?;
    let hold_for = lint.span(node, "for", Span(1)..=WAIT_MAX);
    let times = Times {
        every: every?,
        before: before?,
        warm_up: warm_up?,
        hold_for: hold_for?,
        extend: extend?,
    };
    let looks = times.hold_for.0 / times.every.0;
    if looks < INTERVALS_MIN {
        let message = format!("for is {}, which is {looks} looks", times.hold_for);
        let help =
            format!("nothing is judged before {INTERVALS_MIN} of them: write a longer `for` or a shorter `every`");
        lint.fault(code::SPAN, node.at, message, help);
        return None;
    }
    let samples = times.before.0 / times.every.0 + looks.saturating_mul(u64::from(times.extend) + 1);
    if samples > INTERVALS_MAX {
        let message = format!("that is {samples} samples of each host, with `before` and all that `extend` may add");
        let help = format!("{INTERVALS_MAX} are kept: write a longer `every` or a shorter `for`");
        lint.fault(code::SPAN, node.at, message, help);
        return None;
    }
    Some(times)
}

fn metrics(lint: &mut Lint<'_>, node: &Node) -> Option<BTreeMap<MetricName, Metric>> {
    let entries = lint.entries(node, "`metrics`", Canary::METRICS_MAX)?;
    if entries.is_empty() {
        let help = "name one, or take the gate away";
        lint.fault(code::EMPTY, node.at, "a canary gate that compares nothing", help);
        return None;
    }
    let mut metrics = BTreeMap::new();
    for (key, node) in entries {
        let name: Option<MetricName> = lint.key_name(key, "metric");
        let metric = metric(lint, node);
        if let (Some(name), Some(metric)) = (name, metric) {
            metrics.insert(name, metric);
        }
    }
    (metrics.len() == entries.len()).then_some(metrics)
}

fn metric(lint: &mut Lint<'_>, node: &Node) -> Option<Metric> {
    let Some(kind) = node.get("kind") else {
        lint.fields(node, &GAUGE);
        return None;
    };
    let sort = lint.choice(kind, "kind", &SORTS, &["forecast", "kayenta"])?;
    let shape = match sort {
        Sort::Gauge => &GAUGE,
        Sort::Count => &COUNT,
        Sort::Ratio => &RATIO,
        Sort::Latency => &LATENCY,
        Sort::Guard => &GUARD,
    };
    let fields = lint.fields(node, shape)?;
    let kind = match sort {
        Sort::Gauge => Some(MetricKind::Gauge),
        Sort::Count => Some(MetricKind::Count),
        Sort::Latency => Some(MetricKind::Latency),
        Sort::Ratio => ratio(lint, &fields),
        Sort::Guard => guard(lint, &fields),
    };
    let query = fields.get("query").and_then(|node| query(lint, node, "query"));
    let direction = fields.or("direction", Harm::Increase, |node| {
        lint.choice(node, "direction", &Harm::ALL, &[])
    });
    let tolerance = fields.or("tolerance", 0, |node| lint.percent(node, "tolerance"));
    let margin = fields.or("margin", None, |node| lint.percent(node, "margin").map(Some));
    Some(Metric {
        kind: kind?,
        query: query?,
        direction: direction?,
        tolerance: tolerance?,
        margin: margin?,
    })
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
    let above = fields.or("above", None, |node| decimal(lint, node, "above").map(Some));
    let below = fields.or("below", None, |node| decimal(lint, node, "below").map(Some));
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

/// A number, as it is written.
fn decimal(lint: &mut Lint<'_>, node: &Node, what: &str) -> Option<String> {
    let text = match &node.value {
        Value::Scalar(scalar) if matches!(resolved(scalar), Plain::Number | Plain::Fraction) => scalar.text.as_str(),
        _ => {
            lint.wrong_type(node, what, "a number", "write a number without quotes: 0.5");
            return None;
        }
    };
    let finite = text.parse::<f64>().is_ok_and(f64::is_finite);
    if !finite {
        let message = format!("{what} is {}, which is out of its bounds", cut(text));
        lint.fault(code::NUMBER, node.at, message, "write a number like 0.5 or 1e-3");
        return None;
    }
    Some(text.to_owned())
}
