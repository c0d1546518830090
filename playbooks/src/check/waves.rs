//! Waves: a list, or the ladder.

use std::collections::BTreeSet;

use echelon_proto::Span;

use super::{
    Lint,
    fields::Shape,
    gates::{self, Section, WAIT_MAX},
    phases::{named, report_same_names},
    value::Known,
};
use crate::{
    fault::code,
    model::{Amount, Wave, Waves},
    text::{
        Mark,
        tree::{Node, Value},
    },
};

pub(super) const WAVES_MAX: usize = 64;
/// What the waves of the longest ladder are called.
const LADDER_NAMES: [&str; 4] = ["w1", "w2", "w3", "w4"];

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

/// The names of the waves, for what refers to them before the stages are read; of a ladder those that it gives itself.
pub(super) fn names(stages: Option<&Node>) -> Known {
    let Value::List(items) = &stages?.value else {
        return None;
    };
    let waves = items.iter().filter_map(|item| item.get("deploy")?.get("waves"));
    let mut names = BTreeSet::new();
    for waves in waves {
        match &waves.value {
            Value::List(_) => names.extend(named(Some(waves)).map(|(name, _)| name.to_owned())),
            Value::Map(_) | Value::Scalar(_) => names.extend(LADDER_NAMES.map(str::to_owned)),
            Value::Broken => return None,
        }
    }
    (!names.is_empty()).then_some(names)
}

pub(super) fn waves(lint: &mut Lint<'_>, node: &Node, gates: &Section) -> Option<Waves> {
    match &node.value {
        Value::List(_) => listed(lint, node, gates).map(Waves::Listed),
        Value::Map(_) => {
            let fields = lint.fields(node, &WAVES)?;
            let ladder = lint.fields(fields.get("ladder")?, &LADDER)?;
            let bake = ladder.or("bake", Span::ZERO, |node| bake(lint, node));
            let names = ladder.or("gates", Vec::new(), |node| gates::references(lint, node, gates));
            if let Some(node) = ladder.get("gates") {
                gates.report_no_control(lint, "the last wave of a ladder", node);
            }
            Some(Waves::Ladder {
                bake: bake?,
                gates: names?,
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
    report_same_names(lint, node, "wave");
    let mut sizes = Vec::new();
    let waves = lint.each(items, |lint, item| wave(lint, item, gates, &mut sizes));
    report_sizes(lint, &sizes);
    if let (Some(last), Some(node)) = (waves.as_ref().and_then(|waves| waves.last()), items.last()) {
        report_idle_bake(lint, last, node);
    }
    if let Some(node) = items.last().and_then(|last| last.get("gates")) {
        gates.report_no_control(lint, "the last wave", node);
    }
    waves
}

/// After the last wave comes nothing but its gates.
fn report_idle_bake(lint: &mut Lint<'_>, last: &Wave, node: &Node) {
    if let Some(bake) = node.get("bake")
        && last.bake > Span::ZERO
        && last.gates.is_empty()
    {
        let message = format!(
            "nothing is asked after the bake of the last wave: the rollout only ends {} later",
            last.bake
        );
        let help = "give the wave a gate, or take its `bake` away";
        lint.fault(code::IDLE_BAKE, bake.at, message, help);
    }
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
