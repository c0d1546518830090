//! Canary gates: what is compared, where its samples come from, and for how long. What the query says is the source's own
//! language and is not read here.

mod classic;
mod metric;

use std::ops::RangeInclusive;

use echelon_proto::Span;

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
    model::{Canary, Doubt, Gate, GateKind, Rule},
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

/// Every number that is one.
const NUMBERS: RangeInclusive<f64> = f64::MIN..=f64::MAX;
/// Less finds nothing in any time; more is chance.
const ALPHA: RangeInclusive<f64> = 0.000_1..=0.2;

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
        "alpha",
        "score",
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
        (
            "weights",
            "they belong to the score: { score: { weights: { errors: 60% } } }",
        ),
    ],
};

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
    let alpha = fields.or("alpha", None, |node| decimal(lint, node, "alpha", ALPHA).map(Some));
    let metrics = (fields.get("metrics")).and_then(|node| metric::metrics(lint, node, times.as_ref()));
    let score = classic::score(lint, fields.get("score"), metrics.as_ref());
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
            alpha: alpha?,
            score: score?,
            metrics: metrics?,
            on_inconclusive: on_inconclusive?,
            on_no_data: on_no_data?,
        })),
        deadline: None,
        on_fail: on_fail?,
        on_expire: on_expire?,
    })
}

/// When it looks.
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

/// A number within these bounds, as it is written.
fn decimal(lint: &mut Lint<'_>, node: &Node, what: &str, range: RangeInclusive<f64>) -> Option<String> {
    let text = match &node.value {
        Value::Scalar(scalar) if matches!(resolved(scalar), Plain::Number | Plain::Fraction) => scalar.text.as_str(),
        _ => {
            lint.wrong_type(node, what, "a number", "write a number without quotes: 0.5");
            return None;
        }
    };
    if !text.parse::<f64>().is_ok_and(|number| range.contains(&number)) {
        let message = format!("{what} is {}, which is out of its bounds", cut(text));
        let help = match range == NUMBERS {
            true => "write a number like 0.5 or 1e-3".to_owned(),
            false => format!("write a number from {} to {}", range.start(), range.end()),
        };
        lint.fault(code::NUMBER, node.at, message, help);
        return None;
    }
    Some(text.to_owned())
}
