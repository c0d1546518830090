//! What is otherwise in one datacenter: `overrides: { dc4: { max_unavailable: 5% } }`.

use std::collections::BTreeMap;

use echelon_proto::{Datacenter, Span};

use super::{
    Lint,
    fields::Shape,
    hosts::HOSTS_MAX,
    lanes::{DATACENTER, DATACENTERS_MAX},
    stages::{STAGGER_MAX, budget},
    value::Known,
};
use crate::{
    fault::code,
    model::{Budget, BudgetScope, Override},
    text::tree::Node,
};

const OVERRIDE: Shape = Shape {
    what: "an override",
    required: &[],
    optional: &["max_unavailable", "max_parallel", "stagger", "failure_budget"],
    later: &[],
    elsewhere: &[
        ("waves", "waves are the same in every datacenter"),
        ("operation", "the operation is the same in every datacenter"),
        ("gates", "gates are the same in every datacenter"),
        ("group_by", "groups are made the same way in every datacenter"),
        ("spread_by", "hosts are spread the same way in every datacenter"),
    ],
};

pub(super) fn overrides(
    lint: &mut Lint<'_>,
    node: &Node,
    datacenters: &Known,
) -> Option<BTreeMap<Datacenter, Override>> {
    let entries = lint.entries(node, "`overrides`", DATACENTERS_MAX)?;
    let mut overrides = BTreeMap::new();
    for (key, node) in entries {
        let name = lint.key_reference(key, "overrides", DATACENTER, datacenters);
        let read = one(lint, node);
        if let (Some(name), Some(read)) = (name, read) {
            overrides.insert(name, read);
        }
    }
    (overrides.len() == entries.len()).then_some(overrides)
}

fn one(lint: &mut Lint<'_>, node: &Node) -> Option<Override> {
    let fields = lint.fields(node, &OVERRIDE)?;
    let max_unavailable = fields.or("max_unavailable", None, |node| {
        lint.amount(node, "max_unavailable").map(Some)
    });
    let max_parallel = fields.or("max_parallel", None, |node| {
        lint.number(node, "max_parallel", 1..=HOSTS_MAX).map(Some)
    });
    let stagger = fields.or("stagger", None, |node| {
        lint.span(node, "stagger", Span::ZERO..=STAGGER_MAX).map(Some)
    });
    let failure_budget = fields.or("failure_budget", None, |node| own_budget(lint, node).map(Some));
    if OVERRIDE.optional.iter().all(|key| fields.get(key).is_none()) {
        let help = "say what is otherwise there: max_unavailable, max_parallel, stagger or failure_budget";
        lint.fault(code::EMPTY, fields.at, "the override changes nothing", help);
        return None;
    }
    Some(Override {
        max_unavailable: max_unavailable?,
        max_parallel: max_parallel?,
        stagger: stagger?,
        failure_budget: failure_budget?,
    })
}

/// A budget of one datacenter is counted there.
fn own_budget(lint: &mut Lint<'_>, node: &Node) -> Option<Budget> {
    let budget = budget(lint, node)?;
    if budget.scope == BudgetScope::Rollout {
        let at = node.get("scope").map_or(node.at, |scope| scope.at);
        let help = "write it in `deploy` itself, or take `scope` away";
        lint.fault(
            code::CHOICE,
            at,
            "a budget of one datacenter cannot be that of all",
            help,
        );
        return None;
    }
    Some(budget)
}
