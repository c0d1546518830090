//! Canary gates, written out.

use super::{item::Item, rule, stages::key};
use crate::model::{Canary, Doubt, Metric, MetricKind};

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
        .with("metrics", metrics)
        .with("on_inconclusive", doubt(*on_inconclusive))
        .with("on_no_data", doubt(*on_no_data))
}

fn doubt(doubt: Doubt) -> Item {
    match doubt {
        Doubt::Extend => Item::bare("extend"),
        Doubt::Rule(of) => rule(of),
    }
}

fn metric(metric: &Metric) -> Item {
    let Metric {
        kind,
        query,
        direction,
        tolerance,
        margin,
    } = metric;
    let percent = |percent: u8| Item::bare(format_args!("{percent}%"));
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
    };
    map.with("direction", Item::bare(direction.name()))
        .with_some("tolerance", (*tolerance > 0).then(|| percent(*tolerance)))
        .with_some("margin", margin.map(percent))
}
