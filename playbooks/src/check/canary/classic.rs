//! What the classic judge is told: its keys of a metric, and how the metrics of a gate are scored. By its own words and with
//! its own defaults, so that who moves over need not think anew; but a group that no metric is in is a mistake here.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
};

use echelon_proto::{GroupName, MetricName};

use super::{
    super::{
        Lint,
        fields::{Fields, Shape},
        value::cut,
    },
    NUMBERS, decimal,
};
use crate::{
    fault::code,
    model::{Classic, Effect, Metric, MetricKind, Nan, Outliers, Score},
    text::tree::Node,
};

/// In percent.
pub(super) const TOLERANCE: u8 = 25;
const CONFIDENCE: u8 = 98;
const GROUPS_MAX: usize = 12;
/// As far as the judge goes.
const FACTORS: RangeInclusive<f64> = 1e-9..=1e9;

pub(super) const KAYENTA: Shape = Shape {
    what: "a kayenta of a canary gate",
    required: &[
        ("kind", "kind: kayenta"),
        ("query", "query: \"avg by (instance) (...)\""),
    ],
    optional: &[
        "direction",
        "tolerance",
        "confidence",
        "nan",
        "outliers",
        "outlier_factor",
        "effect",
        "allowed_increase",
        "allowed_decrease",
        "critical_increase",
        "critical_decrease",
        "critical",
        "data_required",
        "groups",
    ],
    later: &[],
    elsewhere: &[
        ("margin", "the classic judge passes what it does not call high or low"),
        ("weight", "groups have weights: { score: { weights: { errors: 60% } } }"),
        ("group", "a metric may be in several: groups: [errors]"),
    ],
};

const SCORE: Shape = Shape {
    what: "`score`",
    required: &[],
    optional: &["pass", "marginal", "weights"],
    later: &[],
    elsewhere: &[],
};

pub(super) fn kayenta(lint: &mut Lint<'_>, fields: &Fields<'_>) -> Option<MetricKind> {
    let confidence = fields.or("confidence", CONFIDENCE, |node| confidence(lint, node));
    let nan = fields.or("nan", Nan::Remove, |node| lint.choice(node, "nan", &Nan::ALL, &[]));
    let outliers = fields.or("outliers", Outliers::Keep, |node| {
        lint.choice(node, "outliers", &Outliers::ALL, &[])
    });
    let outlier_factor = fields.or("outlier_factor", None, |node| {
        decimal(lint, node, "outlier_factor", FACTORS).map(Some)
    });
    let effect = fields.or("effect", Effect::MeanRatio, |node| {
        lint.choice(node, "effect", &Effect::ALL, &[])
    });
    let mut number = |key: &str| fields.or(key, None, |node| decimal(lint, node, key, NUMBERS).map(Some));
    let allowed = (number("allowed_increase"), number("allowed_decrease"));
    let limits = (number("critical_increase"), number("critical_decrease"));
    let critical = fields.or("critical", false, |node| lint.truth(node, "critical"));
    let data_required = fields.or("data_required", false, |node| lint.truth(node, "data_required"));
    let groups = fields.or("groups", Vec::new(), |node| {
        let items = lint.list(node, "`groups`", GROUPS_MAX)?;
        lint.twice(items, "`groups`");
        lint.each(items, |lint, item| lint.name(item, "groups"))
    });
    Some(MetricKind::Kayenta(Box::new(Classic {
        confidence: confidence?,
        nan: nan?,
        outliers: outliers?,
        outlier_factor: outlier_factor?,
        effect: effect?,
        allowed_increase: allowed.0?,
        allowed_decrease: allowed.1?,
        critical_increase: limits.0?,
        critical_decrease: limits.1?,
        critical: critical?,
        data_required: data_required?,
        groups: groups?,
    })))
}

fn confidence(lint: &mut Lint<'_>, node: &Node) -> Option<u8> {
    let percent = lint.percent(node, "confidence")?;
    if percent < 100 {
        return Some(percent);
    }
    let help = "no interval holds all there is: write 98%";
    lint.fault(code::AMOUNT, node.at, "confidence: nothing is 100% sure", help);
    None
}

/// Where the metrics could not be read, nothing is said of the groups that they are in.
pub(super) fn score(
    lint: &mut Lint<'_>,
    node: Option<&Node>,
    metrics: Option<&BTreeMap<MetricName, Metric>>,
) -> Option<Score> {
    let standard = Score::default();
    let Some(node) = node else { return Some(standard) };
    let fields = lint.fields(node, &SCORE)?;
    let mut points = |key: &str, usual: u8, range: RangeInclusive<u32>| {
        fields.or(key, usual, |node| {
            let number = lint.number(node, key, range)?;
            u8::try_from(number).ok()
        })
    };
    let pass = points("pass", standard.pass, 1..=100);
    let marginal = points("marginal", standard.marginal.min(pass.unwrap_or(100)), 0..=100);
    let known = metrics.map(groups);
    let weights = fields.or("weights", BTreeMap::new(), |node| weights(lint, node, known.as_ref()));
    if known.as_ref().is_some_and(Option::is_none) {
        let help = "only kayenta weighs metrics: take it away, or write { kind: kayenta } in a metric";
        lint.fault(
            code::MISPLACED,
            node.at,
            "a score, but no metric of the kind `kayenta`",
            help,
        );
        return None;
    }
    let score = Score {
        pass: pass?,
        marginal: marginal?,
        weights: weights?,
    };
    if score.marginal > score.pass {
        let message = format!("marginal is {}, which is above pass, {}", score.marginal, score.pass);
        let help = "from `pass` on it passes, from `marginal` on it is in doubt, below it fails";
        lint.fault(code::NUMBER, fields.get("marginal").unwrap_or(node).at, message, help);
        return None;
    }
    Some(score)
}

/// Of the metrics that are scored; `None`: there are none.
fn groups(metrics: &BTreeMap<MetricName, Metric>) -> Option<BTreeSet<GroupName>> {
    let scored = metrics.values().filter_map(|metric| match &metric.kind {
        MetricKind::Kayenta(classic) => Some(&classic.groups),
        MetricKind::Gauge
        | MetricKind::Count
        | MetricKind::Ratio { .. }
        | MetricKind::Latency
        | MetricKind::Guard { .. }
        | MetricKind::Forecast { .. } => None,
    });
    let scored: Vec<_> = scored.collect();
    (!scored.is_empty()).then(|| scored.into_iter().flatten().cloned().collect())
}

fn weights(
    lint: &mut Lint<'_>,
    node: &Node,
    known: Option<&Option<BTreeSet<GroupName>>>,
) -> Option<BTreeMap<GroupName, u8>> {
    let entries = lint.entries(node, "`weights`", GROUPS_MAX)?;
    let mut weights = BTreeMap::new();
    for (key, node) in entries {
        let group: Option<GroupName> = lint.key_name(key, "group");
        let weight = lint.percent(node, "weight");
        let (Some(group), Some(weight)) = (group, weight) else {
            continue;
        };
        if let Some(Some(known)) = known
            && !known.contains(&group)
        {
            let message = format!("no metric is in the group `{}`", cut(&key.text));
            lint.fault(
                code::EMPTY,
                key.at,
                message,
                format!("name it in a metric: groups: [{group}]"),
            );
            continue;
        }
        weights.insert(group, weight);
    }
    let sum: u32 = weights.values().map(|weight| u32::from(*weight)).sum();
    if sum > 100 {
        let message = format!("the weights are {sum}% together");
        lint.fault(code::AMOUNT, node.at, message, "they are parts of 100%");
        return None;
    }
    (weights.len() == entries.len()).then_some(weights)
}
