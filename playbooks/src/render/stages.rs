//! Stages, waves and gates, written out.

use std::collections::BTreeMap;

use echelon_proto::{GateName, Span};

use super::{action, canary, item::Item, rule};
use crate::model::{
    Amount, Budget, BudgetScope, Deploy, Gate, GateKind, Grouping, HostKey, Opening, Override, Stage, Wave, Waves,
    Window,
};

pub(super) fn stage(stage: &Stage) -> Item {
    let Stage { name, deploy } = stage;
    let Deploy {
        operation,
        waves: of,
        max_unavailable,
        max_parallel,
        stagger,
        failure_budget,
        spread_by,
        group,
        overrides,
    } = deploy;
    let overrides = overrides
        .iter()
        .fold(Item::map(), |map, (name, of)| map.with(name.as_str(), other(*of)));
    let deploy = Item::map()
        .with("operation", Item::text(operation))
        .with("waves", waves(of))
        .with("max_unavailable", amount(*max_unavailable))
        .with("max_parallel", Item::bare(max_parallel))
        .with("stagger", Item::span(*stagger))
        .with("failure_budget", budget(*failure_budget))
        .with_some("spread_by", Item::List(spread_by.iter().map(key).collect()).filled());
    let deploy = grouped(deploy, group.as_ref()).with_some("overrides", overrides.filled());
    Item::map().with("name", Item::text(name)).with("deploy", deploy)
}

fn grouped(map: Item, group: Option<&Grouping>) -> Item {
    let Some(Grouping { by, parallel, order }) = group else {
        return map;
    };
    let order = Item::List(order.iter().map(Item::text).collect());
    map.with("group_by", key(by))
        .with("groups_parallel", Item::bare(parallel))
        .with_some("order_within_group", order.filled())
}

pub(super) fn key(key: &HostKey) -> Item {
    match key {
        HostKey::Pool => Item::bare("pool"),
        HostKey::Label(label) => Item::text(format_args!("labels.{label}")),
    }
}

/// What is otherwise in one datacenter.
fn other(other: Override) -> Item {
    let Override {
        max_unavailable,
        max_parallel,
        stagger,
        failure_budget,
    } = other;
    Item::map()
        .with_some("max_unavailable", max_unavailable.map(amount))
        .with_some("max_parallel", max_parallel.map(Item::bare))
        .with_some("stagger", stagger.map(Item::span))
        .with_some("failure_budget", failure_budget.map(budget))
}

fn waves(waves: &Waves) -> Item {
    match waves {
        Waves::Listed(waves) => Item::List(waves.iter().map(wave).collect()),
        Waves::Ladder { bake, gates } => Item::map().with("ladder", waited(Item::map(), *bake, gates)),
    }
}

fn wave(wave: &Wave) -> Item {
    let Wave {
        name,
        size,
        bake,
        gates,
    } = wave;
    let map = Item::map().with("name", Item::text(name)).with("size", amount(*size));
    waited(map, *bake, gates)
}

fn waited(map: Item, bake: Span, gates: &[GateName]) -> Item {
    map.with("bake", Item::span(bake))
        .with("gates", Item::List(gates.iter().map(Item::text).collect()))
}

fn amount(amount: Amount) -> Item {
    match amount {
        Amount::Hosts(hosts) => Item::bare(hosts),
        Amount::Percent(percent) => Item::bare(format_args!("{percent}%")),
    }
}

fn budget(budget: Budget) -> Item {
    let Budget { hosts, percent, scope } = budget;
    let scope = match scope {
        BudgetScope::Datacenter => "datacenter",
        BudgetScope::Rollout => "rollout",
    };
    Item::map()
        .with_some("hosts", hosts.map(Item::bare))
        .with_some("percent", percent.map(|percent| amount(Amount::Percent(percent))))
        .with("scope", Item::bare(scope))
}

pub(super) fn gates(gates: &BTreeMap<GateName, Gate>) -> Option<Item> {
    let map = gates
        .iter()
        .fold(Item::map(), |map, (name, of)| map.with(name.as_str(), gate(of)));
    map.filled()
}

fn gate(gate: &Gate) -> Item {
    let Gate {
        kind,
        deadline,
        on_fail,
        on_expire,
    } = gate;
    let ruled = |map: Item| {
        map.with_some("deadline", deadline.map(Item::span))
            .with("on_fail", rule(*on_fail))
            .with("on_expire", rule(*on_expire))
    };
    match kind {
        GateKind::Health {
            probe,
            every,
            share,
            hold_for,
            unhealthy_after,
        } => ruled(
            Item::map()
                .with("kind", Item::bare("health"))
                .with("probe", action::action(probe))
                .with("every", Item::span(*every))
                .with("share", amount(Amount::Percent(*share)))
                .with("for", Item::span(*hold_for))
                .with("unhealthy_after", Item::bare(unhealthy_after)),
        ),
        GateKind::Approval { count } => ruled(
            Item::map()
                .with("kind", Item::bare("approval"))
                .with("count", Item::bare(count)),
        ),
        // It cannot fail and has no deadline, so there are no rules to write.
        GateKind::Soak { hold_for } => Item::map()
            .with("kind", Item::bare("soak"))
            .with("for", Item::span(*hold_for)),
        GateKind::Canary(of) => canary::canary(of)
            .with("on_fail", rule(*on_fail))
            .with("on_expire", rule(*on_expire)),
        GateKind::Window(window) => hours(window),
    }
}

fn hours(window: &Window) -> Item {
    let Window { open, except, zone } = window;
    let open = open.iter().map(|Opening { days, from, to }| {
        let days = days.iter().map(|day| Item::bare(day.name())).collect();
        let clock = |minute: u16| Item::text(format!("{:02}:{:02}", minute / 60, minute % 60));
        Item::map()
            .with("days", Item::List(days))
            .with("from", clock(*from))
            .with("to", clock(*to))
    });
    let except = except.iter().map(Item::text).collect::<Vec<_>>();
    Item::map()
        .with("kind", Item::bare("window"))
        .with("open", Item::List(open.collect()))
        .with_some("except", Item::List(except).filled())
        .with("zone", Item::text(zone))
}
