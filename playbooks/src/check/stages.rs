//! Stages: what is done, how many hosts at once, how many may fail. In what order hosts go is in `waves` and `groups`.

use std::collections::BTreeMap;

use echelon_proto::{Span, WaveName};

use super::{
    Lint,
    fields::Shape,
    gates::Section,
    groups,
    hosts::HOSTS_MAX,
    overrides::overrides,
    value::{Kind, Known},
    waves::{WAVES_MAX, waves},
};
use crate::{
    fault::code,
    model::{Budget, BudgetScope, Deploy, Stage},
    text::tree::Node,
};

pub(super) const STAGGER_MAX: Span = Span::secs(24 * 3600);

const OPERATION: Kind = Kind {
    noun: "operation",
    code: code::UNKNOWN_OPERATION,
};

const STAGE: Shape = Shape {
    what: "a stage",
    required: &[
        ("name", "name: roll"),
        ("deploy", "deploy: { operation: deploy, waves: ladder, ... }"),
    ],
    optional: &[],
    later: &["run", "uses", "http", "when", "gate", "notify", "on"],
    elsewhere: &[
        ("operation", "it belongs into `deploy`"),
        ("waves", "it belongs into `deploy`"),
        ("max_unavailable", "it belongs into `deploy`"),
        ("max_parallel", "it belongs into `deploy`"),
    ],
};

const DEPLOY: Shape = Shape {
    what: "`deploy`",
    required: &[
        ("operation", "operation: deploy"),
        ("waves", "waves: ladder"),
        ("max_unavailable", "max_unavailable: 10%"),
        ("max_parallel", "max_parallel: 25"),
    ],
    optional: &[
        "stagger",
        "failure_budget",
        "spread_by",
        "group_by",
        "groups_parallel",
        "order_within_group",
        "overrides",
    ],
    later: &[],
    elsewhere: &[
        ("invariants", "they belong to the playbook, beside `stages`"),
        ("coupling", "it belongs into `lanes` of the playbook"),
        ("when", "conditions are of phases"),
        (
            "gates",
            "gates are named by each wave, or by `waves: { ladder: { gates: [...] } }`",
        ),
        (
            "bake",
            "a bake is of each wave, or of `waves: { ladder: { bake: 1m } }`",
        ),
    ],
};

/// What a stage may refer to.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    pub(super) operations: &'a Known,
    pub(super) gates: &'a Section,
    pub(super) datacenters: &'a Known,
}

pub(super) fn stages(lint: &mut Lint<'_>, node: Option<&Node>, around: Around<'_>) -> Option<Vec<Stage>> {
    let node = node?;
    let items = lint.list(node, "`stages`", WAVES_MAX)?;
    if items.is_empty() {
        lint.fault(
            code::EMPTY,
            node.at,
            "`stages` is empty",
            "add `- { name: roll, deploy: ... }`",
        );
        return None;
    }
    if let Some(second) = items.get(1) {
        let help = "make one stage of it, with more waves";
        lint.fault(
            code::NOT_YET,
            second.at,
            "not yet: this version has one stage a playbook",
            help,
        );
    }
    lint.each(items, |lint, item| stage(lint, item, around))
}

fn stage(lint: &mut Lint<'_>, node: &Node, around: Around<'_>) -> Option<Stage> {
    let fields = lint.fields(node, &STAGE)?;
    // A stage's name has the alphabet of a wave's.
    let name = fields.get("name").and_then(|node| lint.name::<WaveName>(node, "name"));
    let deploy = fields.get("deploy").and_then(|node| deploy(lint, node, around));
    Some(Stage {
        name: name?.to_string(),
        deploy: deploy?,
    })
}

fn deploy(lint: &mut Lint<'_>, node: &Node, around: Around<'_>) -> Option<Deploy> {
    let fields = lint.fields(node, &DEPLOY)?;
    let operation = fields
        .get("operation")
        .and_then(|node| lint.reference(node, "operation", OPERATION, around.operations));
    let waves = fields.get("waves").and_then(|node| waves(lint, node, around.gates));
    let max_unavailable = fields
        .get("max_unavailable")
        .and_then(|node| lint.amount(node, "max_unavailable"));
    let max_parallel = fields
        .get("max_parallel")
        .and_then(|node| lint.number(node, "max_parallel", 1..=HOSTS_MAX));
    let stagger = fields.or("stagger", Span::ZERO, |node| {
        lint.span(node, "stagger", Span::ZERO..=STAGGER_MAX)
    });
    let none = Budget {
        hosts: None,
        percent: None,
        scope: BudgetScope::Datacenter,
    };
    let failure_budget = fields.or("failure_budget", none, |node| budget(lint, node));
    let spread_by = fields.or("spread_by", Vec::new(), |node| groups::spread_by(lint, node));
    let group = groups::grouping(lint, &fields);
    if let (Some(node), Some(keys), Some(Some(group))) = (fields.get("spread_by"), &spread_by, &group) {
        groups::report_spread_in_group(lint, node, keys, group);
    }
    let overrides = fields.or("overrides", BTreeMap::new(), |node| {
        overrides(lint, node, around.datacenters)
    });
    Some(Deploy {
        operation: operation?,
        waves: waves?,
        max_unavailable: max_unavailable?,
        max_parallel: max_parallel?,
        stagger: stagger?,
        failure_budget: failure_budget?,
        spread_by: spread_by?,
        group: group?,
        overrides: overrides?,
    })
}

const BUDGET: Shape = Shape {
    what: "`failure_budget`",
    required: &[],
    optional: &["hosts", "percent", "scope"],
    later: &[],
    elsewhere: &[],
};

pub(super) fn budget(lint: &mut Lint<'_>, node: &Node) -> Option<Budget> {
    let fields = lint.fields(node, &BUDGET)?;
    let hosts = fields.or("hosts", None, |node| {
        lint.number(node, "hosts", 0..=HOSTS_MAX).map(Some)
    });
    let percent = fields.or("percent", None, |node| lint.percent(node, "percent").map(Some));
    let words = [
        ("datacenter", BudgetScope::Datacenter),
        ("rollout", BudgetScope::Rollout),
    ];
    let scope = fields.or("scope", BudgetScope::Datacenter, |node| {
        lint.choice(node, "scope", &words, &[])
    });
    Some(Budget {
        hosts: hosts?,
        percent: percent?,
        scope: scope?,
    })
}
