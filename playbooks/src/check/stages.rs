//! Stages and waves: in what order hosts go, how many at once.

use std::collections::BTreeMap;

use echelon_proto::{Span, WaveName};

use super::{
    Lint,
    fields::Shape,
    gates::{self, Section, WAIT_MAX},
    hosts::HOSTS_MAX,
    phases::named,
    value::{Kind, Known, cut},
};
use crate::{
    fault::code,
    model::{Amount, Budget, BudgetScope, Deploy, Stage, Wave, Waves},
    text::{
        Mark,
        tree::{Node, Value},
    },
};

const WAVES_MAX: usize = 64;
const STAGGER_MAX: Span = Span::secs(24 * 3600);

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
    optional: &["stagger", "failure_budget"],
    later: &[
        "spread_by",
        "overrides",
        "group_by",
        "groups_parallel",
        "order_within_group",
        "invariants",
        "when",
        "coupling",
    ],
    elsewhere: &[
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

pub(super) fn stages(
    lint: &mut Lint<'_>,
    node: Option<&Node>,
    operations: &Known,
    gates: &Section,
) -> Option<Vec<Stage>> {
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
    lint.each(items, |lint, item| stage(lint, item, operations, gates))
}

fn stage(lint: &mut Lint<'_>, node: &Node, operations: &Known, gates: &Section) -> Option<Stage> {
    let fields = lint.fields(node, &STAGE)?;
    // A stage's name has the alphabet of a wave's.
    let name = fields.get("name").and_then(|node| lint.name::<WaveName>(node, "name"));
    let deploy = fields
        .get("deploy")
        .and_then(|node| deploy(lint, node, operations, gates));
    Some(Stage {
        name: name?.to_string(),
        deploy: deploy?,
    })
}

fn deploy(lint: &mut Lint<'_>, node: &Node, operations: &Known, gates: &Section) -> Option<Deploy> {
    let fields = lint.fields(node, &DEPLOY)?;
    let operation = fields
        .get("operation")
        .and_then(|node| lint.reference(node, "operation", OPERATION, operations));
    let waves = fields.get("waves").and_then(|node| waves(lint, node, gates));
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
    Some(Deploy {
        operation: operation?,
        waves: waves?,
        max_unavailable: max_unavailable?,
        max_parallel: max_parallel?,
        stagger: stagger?,
        failure_budget: failure_budget?,
        spread_by: Vec::new(),
        group: None,
        overrides: BTreeMap::new(),
    })
}

const BUDGET: Shape = Shape {
    what: "`failure_budget`",
    required: &[],
    optional: &["hosts", "percent", "scope"],
    later: &[],
    elsewhere: &[],
};

fn budget(lint: &mut Lint<'_>, node: &Node) -> Option<Budget> {
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

const LADDER_OR_LIST: &str = "write `ladder`, `{ ladder: { bake: 1m, gates: [health] } }`, or a list of waves";

const WAVES: Shape = Shape {
    what: "`waves`",
    required: &[("ladder", "ladder: { bake: 1m }")],
    optional: &[],
    later: &[],
    elsewhere: &[
        (
            "name",
            "waves are either a ladder or a list: `waves: [{ name: ..., size: ... }]`",
        ),
        (
            "size",
            "waves are either a ladder or a list: `waves: [{ name: ..., size: ... }]`",
        ),
        ("bake", "it belongs into `ladder`: { ladder: { bake: 1m } }"),
        ("gates", "it belongs into `ladder`: { ladder: { gates: [health] } }"),
    ],
};

const LADDER: Shape = Shape {
    what: "`ladder`",
    required: &[],
    optional: &["bake", "gates"],
    later: &[],
    elsewhere: &[("size", "a ladder has its own sizes; for others write a list of waves")],
};

fn waves(lint: &mut Lint<'_>, node: &Node, gates: &Section) -> Option<Waves> {
    match &node.value {
        Value::List(_) => listed(lint, node, gates).map(Waves::Listed),
        Value::Map(_) => {
            let fields = lint.fields(node, &WAVES)?;
            let ladder = lint.fields(fields.get("ladder")?, &LADDER)?;
            let bake = ladder.or("bake", Span::ZERO, |node| bake(lint, node));
            let gates = ladder.or("gates", Vec::new(), |node| gates::references(lint, node, gates));
            Some(Waves::Ladder {
                bake: bake?,
                gates: gates?,
            })
        }
        Value::Scalar(scalar) if scalar.text == "ladder" => Some(Waves::Ladder {
            bake: Span::ZERO,
            gates: Vec::new(),
        }),
        Value::Scalar(_) | Value::Broken => {
            lint.wrong_type(node, "`waves`", "a ladder or a list", LADDER_OR_LIST);
            None
        }
    }
}

fn bake(lint: &mut Lint<'_>, node: &Node) -> Option<Span> {
    lint.span(node, "bake", Span::ZERO..=WAIT_MAX)
}

const WAVE: Shape = Shape {
    what: "a wave",
    required: &[("name", "name: canary"), ("size", "size: 10%")],
    optional: &["bake", "gates"],
    later: &["max_parallel", "max_unavailable", "when", "spread_by", "stagger"],
    elsewhere: &[("ladder", "waves are either a ladder or a list: `waves: ladder`")],
};

fn listed(lint: &mut Lint<'_>, node: &Node, gates: &Section) -> Option<Vec<Wave>> {
    let items = lint.list(node, "`waves`", WAVES_MAX)?;
    if items.is_empty() {
        lint.fault(code::EMPTY, node.at, "`waves` is empty", LADDER_OR_LIST);
        return None;
    }
    let mut names = std::collections::BTreeSet::new();
    for (name, at) in named(Some(node)) {
        if !names.insert(name) {
            let message = format!("the wave `{}` is here twice", cut(name));
            lint.fault(code::DUPLICATE_NAME, at, message, "rename one of them");
        }
    }
    let mut sizes = Vec::new();
    let waves = lint.each(items, |lint, item| wave(lint, item, gates, &mut sizes));
    report_sizes(lint, &sizes);
    waves
}

/// One wave. Its size goes into `sizes` even when something else is wrong with it.
fn wave(lint: &mut Lint<'_>, node: &Node, gates: &Section, sizes: &mut Vec<(Option<Amount>, Mark)>) -> Option<Wave> {
    if let Value::Scalar(scalar) = &node.value
        && scalar.text == "ladder"
    {
        let message = "waves are either a ladder or a list, not both";
        lint.fault(code::WAVES, node.at, message, LADDER_OR_LIST);
        return None;
    }
    let fields = lint.fields(node, &WAVE)?;
    let name = fields.get("name").and_then(|node| lint.name(node, "name"));
    let size = fields.get("size").and_then(|node| lint.amount(node, "size"));
    sizes.push((size, fields.get("size").map_or(node.at, |node| node.at)));
    let bake = fields.or("bake", Span::ZERO, |node| bake(lint, node));
    let gates = fields.or("gates", Vec::new(), |node| gates::references(lint, node, gates));
    Some(Wave {
        name: name?,
        size: size?,
        bake: bake?,
        gates: gates?,
    })
}

/// Sizes are cumulative: each must be more than the one before where the two can be compared, and the last is all hosts.
fn report_sizes(lint: &mut Lint<'_>, sizes: &[(Option<Amount>, Mark)]) {
    let (mut hosts, mut percent) = (0, 0);
    for (size, at) in sizes {
        let grows = match size {
            None => true,
            Some(Amount::Hosts(size)) => percent < 100 && *size > std::mem::replace(&mut hosts, *size),
            Some(Amount::Percent(size)) => *size > std::mem::replace(&mut percent, *size),
        };
        if !grows {
            let help = "sizes are cumulative, how far the lane is after the wave: 1, 10%, 50%, 100%";
            lint.fault(code::WAVES, *at, "this wave is no larger than one before it", help);
        }
    }
    if let Some((Some(_), at)) = sizes.last().filter(|(size, _)| *size != Some(Amount::Percent(100))) {
        lint.fault(
            code::WAVES,
            *at,
            "the last wave leaves hosts behind",
            "let the last wave have `size: 100%`",
        );
    }
}
