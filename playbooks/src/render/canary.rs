//! Canary gates, written out.

use super::{item::Item, rule, stages::key};
use crate::model::{Canary, Classic, Doubt, Metric, MetricKind, Score};

pub(super) fn canary(canary: &Canary) -> Item {
    let Canary {
        source,
        label,
        host,
        every,
        before,
        warm_up,
        hold_for,
        extend,
        control_max,
        alike,
        alpha,
        score,
        metrics,
        on_inconclusive,
        on_no_data,
    } = canary;
    let metrics = metrics
        .iter()
        .fold(Item::map(), |map, (name, of)| map.with(name.as_str(), metric(of)));
    Item::map()
        .with("kind", Item::bare("canary"))
        .with("source", Item::text(source))
        .with("label", Item::text(label))
        .with("host", Item::text(host))
        .with("every", Item::span(*every))
        .with("before", Item::span(*before))
        .with("warm_up", Item::span(*warm_up))
        .with("for", Item::span(*hold_for))
        .with("extend", Item::bare(extend))
        .with("control", Item::bare(control_max))
        .with_some("match", Item::List(alike.iter().map(key).collect()).filled())
        .with_some("alpha", alpha.as_ref().map(Item::bare))
        .with("metrics", metrics)
        .with_some("score", (*score != Score::default()).then(|| of_score(score)))
        .with("on_inconclusive", doubt(*on_inconclusive))
        .with("on_no_data", doubt(*on_no_data))
}

fn doubt(doubt: Doubt) -> Item {
    match doubt {
        Doubt::Extend => Item::bare("extend"),
        Doubt::Rule(of) => rule(of),
    }
}

fn of_score(score: &Score) -> Item {
    let weights = score.weights.iter().fold(Item::map(), |map, (group, weight)| {
        map.with(group.as_str(), percent(*weight))
    });
    Item::map()
        .with("pass", Item::bare(score.pass))
        .with("marginal", Item::bare(score.marginal))
        .with_some("weights", weights.filled())
}

fn percent(percent: u8) -> Item {
    Item::bare(format_args!("{percent}%"))
}

fn metric(metric: &Metric) -> Item {
    let Metric {
        kind,
        query,
        direction,
        tolerance,
        margin,
    } = metric;
    let map = Item::map()
        .with("kind", Item::bare(kind.name()))
        .with("query", Item::text(query));
    let map = match kind {
        MetricKind::Gauge | MetricKind::Count | MetricKind::Latency => map,
        MetricKind::Ratio { of, pass_below_rate } => map
            .with("of", Item::text(of))
            .with_some("pass_below_rate", pass_below_rate.map(percent)),
        MetricKind::Guard { above, below } => {
            return map
                .with_some("above", above.as_ref().map(Item::bare))
                .with_some("below", below.as_ref().map(Item::bare));
        }
        MetricKind::Forecast { past, season } => map
            .with("past", Item::span(*past))
            .with_some("season", (season.0 > 0).then(|| Item::span(*season))),
        MetricKind::Kayenta(of) => classic(of, map),
    };
    map.with("direction", Item::bare(direction.name()))
        .with_some("tolerance", (*tolerance > 0).then(|| percent(*tolerance)))
        .with_some("margin", margin.map(percent))
}

fn classic(classic: &Classic, map: Item) -> Item {
    let Classic {
        confidence,
        nan,
        outliers,
        outlier_factor,
        effect,
        allowed_increase,
        allowed_decrease,
        critical_increase,
        critical_decrease,
        critical,
        data_required,
        groups,
    } = classic;
    let number = |number: &Option<String>| number.as_ref().map(Item::bare);
    let groups = Item::List(groups.iter().map(Item::text).collect());
    map.with("confidence", percent(*confidence))
        .with("nan", Item::bare(nan.name()))
        .with("outliers", Item::bare(outliers.name()))
        .with_some("outlier_factor", number(outlier_factor))
        .with("effect", Item::bare(effect.name()))
        .with_some("allowed_increase", number(allowed_increase))
        .with_some("allowed_decrease", number(allowed_decrease))
        .with_some("critical_increase", number(critical_increase))
        .with_some("critical_decrease", number(critical_decrease))
        .with("critical", Item::bare(critical))
        .with("data_required", Item::bare(data_required))
        .with_some("groups", groups.filled())
}
