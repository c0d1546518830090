//! Gates, and which of them are used.

use std::collections::{BTreeMap, BTreeSet};

use echelon_proto::{GateName, Span};

use super::{
    Lint, action,
    canary::canary,
    fields::{Fields, Shape},
    hosts::RULES,
    machine::keys,
    value::{Kind, Known, cut},
    window::window,
};
use crate::{
    fault::code,
    model::{Canary, Gate, GateKind, OnFailure, Rule, Stage, Waves},
    text::{
        Mark,
        tree::{Node, Value},
    },
};

const GATES_MAX: usize = 64;
const GATES_OF_WAVE_MAX: usize = 16;
const APPROVERS_MAX: u32 = 100;
const UNHEALTHY_AFTER_MAX: u32 = 1000;
/// Nobody watches a rollout that waits longer.
pub(super) const WAIT_MAX: Span = Span::secs(30 * 24 * 3600);
const EVERY_MAX: Span = Span::secs(3600);
const EVERY: Span = Span::secs(2);
const SHARE_PERCENT: u8 = 100;
const HOLD_FOR: Span = Span::secs(10);
const UNHEALTHY_AFTER: u32 = 3;
/// A host that does not answer gives no verdict: without a deadline such a gate would wait for ever.
const HEALTH_DEADLINE: Span = Span::secs(10 * 60);

const GATE: Kind = Kind {
    noun: "gate",
    code: code::UNKNOWN_GATE,
};

/// What was read of the gates.
pub(super) struct Section {
    pub(super) gates: Option<BTreeMap<GateName, Gate>>,
    /// What a wave may name.
    pub(super) names: Known,
    /// Those of kind `health`, also where something else is wrong with one.
    health: BTreeSet<String>,
    /// Those of kind `canary`, also where something else is wrong with one.
    canaries: BTreeMap<String, Compared>,
    places: BTreeMap<GateName, Mark>,
}

/// What a canary gate compares.
#[derive(Clone, Copy)]
struct Compared {
    metrics: usize,
    /// Some metric takes hosts to compare with, or may do so: it could not be read.
    with_others: bool,
}

#[derive(Clone, Copy)]
enum Sort {
    Health,
    Approval,
    Soak,
    Canary,
    Window,
}

const HEALTH: Shape = Shape {
    what: "a health gate",
    required: &[
        ("kind", "kind: health"),
        ("probe", "probe: { http: { url: \"http://127.0.0.1:8080/health\" } }"),
    ],
    optional: &[
        "every",
        "share",
        "for",
        "unhealthy_after",
        "deadline",
        "on_fail",
        "on_expire",
    ],
    later: &["on_inconclusive", "on_no_data"],
    elsewhere: &[
        ("invariants", "they belong to the playbook, beside `gates`"),
        ("http", "it belongs into `probe`: { probe: { http: ... } }"),
        ("tcp", "it belongs into `probe`: { probe: { tcp: ... } }"),
        ("run", "it belongs into `probe`: { probe: { run: ... } }"),
        ("interval", "between two probes of a gate is `every`"),
    ],
};

const APPROVAL: Shape = Shape {
    what: "an approval gate",
    required: &[("kind", "kind: approval")],
    optional: &["count", "deadline", "on_fail", "on_expire"],
    later: &["who", "groups", "on_inconclusive", "on_no_data"],
    elsewhere: &[],
};

const SOAK: Shape = Shape {
    what: "a soak gate",
    required: &[("kind", "kind: soak"), ("for", "for: 10m")],
    optional: &[],
    later: &[],
    elsewhere: &[
        ("deadline", "a soak gate ends by itself after `for`"),
        ("on_fail", "a soak gate cannot fail: it only waits"),
        ("on_expire", "a soak gate cannot expire: it only waits"),
    ],
};

/// Where the kind of a gate is not known, only its absence can be said.
const KIND_ONLY: Shape = Shape {
    what: "a gate",
    required: &[("kind", "kind: health")],
    ..HEALTH
};

pub(super) fn gates(lint: &mut Lint<'_>, node: Option<&Node>, on_failure: Option<&OnFailure>) -> Section {
    let mut section = Section {
        gates: None,
        names: if node.is_some() {
            keys(node)
        } else {
            Some(BTreeSet::new())
        },
        health: BTreeSet::new(),
        canaries: BTreeMap::new(),
        places: BTreeMap::new(),
    };
    let Some(node) = node else {
        section.gates = Some(BTreeMap::new());
        return section;
    };
    let Some(entries) = lint.entries(node, "`gates`", GATES_MAX) else {
        return section;
    };
    let on_fail = on_failure.map_or(Rule::Hold, |on_failure| on_failure.gate);
    let mut gates = BTreeMap::new();
    for (key, node) in entries {
        let name: Option<GateName> = lint.key_name(key, "gate");
        if is_kind(node, "health") {
            section.health.insert(key.text.clone());
        }
        if is_kind(node, "canary") {
            section.canaries.insert(key.text.clone(), Compared::of(node));
        }
        let gate = gate(lint, node, on_fail);
        if let (Some(name), Some(gate)) = (name, gate) {
            section.places.insert(name.clone(), key.at);
            gates.insert(name, gate);
        }
    }
    section.gates = (gates.len() == entries.len()).then_some(gates);
    section
}

impl Compared {
    fn of(gate: &Node) -> Self {
        let metrics = match gate.get("metrics").map(|metrics| &metrics.value) {
            Some(Value::Map(metrics)) => metrics.as_slice(),
            Some(Value::List(_) | Value::Scalar(_) | Value::Broken) | None => &[],
        };
        let is_own = |metric: &Node| is_kind(metric, "guard") || is_kind(metric, "forecast");
        Self {
            metrics: metrics.len(),
            with_others: metrics.is_empty() || metrics.iter().any(|(_, metric)| !is_own(metric)),
        }
    }
}

fn is_kind(node: &Node, word: &str) -> bool {
    node.get("kind")
        .is_some_and(|kind| matches!(&kind.value, Value::Scalar(scalar) if scalar.text == word))
}

fn gate(lint: &mut Lint<'_>, node: &Node, on_fail: Rule) -> Option<Gate> {
    let Some(kind) = node.get("kind") else {
        lint.fields(node, &KIND_ONLY);
        return None;
    };
    let words = [
        ("health", Sort::Health),
        ("approval", Sort::Approval),
        ("soak", Sort::Soak),
        ("canary", Sort::Canary),
        ("window", Sort::Window),
    ];
    let later = ["evidence", "webhook", "invariant"];
    match lint.choice(kind, "kind", &words, &later)? {
        Sort::Health => health(lint, node, on_fail),
        Sort::Approval => approval(lint, node, on_fail),
        Sort::Soak => soak(lint, node, on_fail),
        Sort::Canary => canary(lint, node, on_fail),
        Sort::Window => Some(Gate {
            kind: GateKind::Window(window(lint, node)?),
            deadline: None,
            on_fail,
            on_expire: Rule::Hold,
        }),
    }
}

fn health(lint: &mut Lint<'_>, node: &Node, on_fail: Rule) -> Option<Gate> {
    let fields = lint.fields(node, &HEALTH)?;
    let probe = fields.get("probe").and_then(|node| action::probe(lint, node));
    let every = fields.or("every", EVERY, |node| lint.span(node, "every", Span(100)..=EVERY_MAX));
    let share = fields.or("share", SHARE_PERCENT, |node| lint.percent(node, "share"));
    let hold_for = fields.or("for", HOLD_FOR, |node| lint.span(node, "for", Span::ZERO..=WAIT_MAX));
    let unhealthy_after = fields.or("unhealthy_after", UNHEALTHY_AFTER, |node| {
        lint.number(node, "unhealthy_after", 1..=UNHEALTHY_AFTER_MAX)
    });
    let kind = || {
        Some(GateKind::Health {
            probe: probe?,
            every: every?,
            share: share?,
            hold_for: hold_for?,
            unhealthy_after: unhealthy_after?,
        })
    };
    ruled(lint, &fields, kind(), on_fail, Some(HEALTH_DEADLINE))
}

fn approval(lint: &mut Lint<'_>, node: &Node, on_fail: Rule) -> Option<Gate> {
    let fields = lint.fields(node, &APPROVAL)?;
    let count = fields.or("count", 1, |node| lint.number(node, "count", 1..=APPROVERS_MAX));
    let kind = count.map(|count| GateKind::Approval { count });
    ruled(lint, &fields, kind, on_fail, None)
}

fn soak(lint: &mut Lint<'_>, node: &Node, on_fail: Rule) -> Option<Gate> {
    let fields = lint.fields(node, &SOAK)?;
    let hold_for = fields
        .get("for")
        .and_then(|node| lint.span(node, "for", Span(1)..=WAIT_MAX));
    Some(Gate {
        kind: GateKind::Soak { hold_for: hold_for? },
        deadline: None,
        on_fail,
        on_expire: Rule::Hold,
    })
}

/// A gate of this kind with the rules that all kinds have.
fn ruled(
    lint: &mut Lint<'_>,
    fields: &Fields<'_>,
    kind: Option<GateKind>,
    on_fail: Rule,
    deadline: Option<Span>,
) -> Option<Gate> {
    let deadline = fields.or("deadline", deadline, |node| {
        lint.span(node, "deadline", Span(1)..=WAIT_MAX).map(Some)
    });
    let on_fail = fields.or("on_fail", on_fail, |node| {
        lint.choice(node, "on_fail", RULES, &["extend"])
    });
    let on_expire = fields.or("on_expire", Rule::Hold, |node| {
        lint.choice(node, "on_expire", RULES, &["extend"])
    });
    Some(Gate {
        kind: kind?,
        deadline: deadline?,
        on_fail: on_fail?,
        on_expire: on_expire?,
    })
}

/// The `gates` of a wave.
pub(super) fn references(lint: &mut Lint<'_>, node: &Node, section: &Section) -> Option<Vec<GateName>> {
    let items = lint.list(node, "`gates` of a wave", GATES_OF_WAVE_MAX)?;
    lint.twice(items, "`gates`");
    section.report_second_health(lint, items);
    section.report_too_many_metrics(lint, items);
    lint.each(items, |lint, item| lint.reference(item, "gates", GATE, &section.names))
}

impl Section {
    /// A host is asked by one probe at a time: of the health gates of a wave only one could be answered.
    fn report_second_health(&self, lint: &mut Lint<'_>, items: &[Node]) {
        let mut first = None;
        for item in items {
            let Value::Scalar(scalar) = &item.value else { continue };
            let name = &scalar.text;
            if !self.health.contains(name) || *first.get_or_insert(name) == name {
                continue;
            }
            let asked = first.unwrap_or(name);
            let message = format!(
                "`{}` is a second health gate: this wave asks `{}` already",
                cut(name),
                cut(asked)
            );
            let help = format!(
                "a wave has at most one: let a `run` probe ask for both, or take `{}` out here",
                cut(name)
            );
            lint.fault(code::ONE_HEALTH_GATE, item.at, message, help);
        }
    }

    /// What may be falsely called harm is divided among all metrics of a wave.
    fn report_too_many_metrics(&self, lint: &mut Lint<'_>, items: &[Node]) {
        let mut metrics = 0;
        for item in items {
            let Value::Scalar(scalar) = &item.value else { continue };
            metrics += self.canaries.get(&scalar.text).map_or(0, |canary| canary.metrics);
            if metrics > Canary::METRICS_MAX {
                let message = format!("with `{}` this wave compares {metrics} metrics", cut(&scalar.text));
                let help = format!(
                    "a wave has at most {}: with more of them little would be found",
                    Canary::METRICS_MAX
                );
                lint.fault(code::TOO_LARGE, item.at, message, help);
                return;
            }
        }
    }

    /// A canary gate of the last wave: no host is left that the release has not reached. One whose metrics are all the canary's
    /// own, bounds and forecasts, needs none.
    pub(super) fn report_no_control(&self, lint: &mut Lint<'_>, last: &str, gates: &Node) {
        let Value::List(items) = &gates.value else { return };
        for item in items {
            let Value::Scalar(scalar) = &item.value else { continue };
            if self.canaries.get(&scalar.text).is_some_and(|canary| canary.with_others) {
                let message = format!(
                    "{last} asks the canary gate `{}`, but no host is left to compare with",
                    cut(&scalar.text)
                );
                let help = "ask it in the waves before the last, which are written as a list";
                lint.fault(code::NO_CONTROL, item.at, message, help);
            }
        }
    }

    /// Where a gate is written.
    pub(super) fn place(&self, name: &GateName) -> Option<Mark> {
        self.places.get(name).copied()
    }

    /// Gates that no wave names; nothing is said while the stages could not be read.
    pub(super) fn report_unused(&self, lint: &mut Lint<'_>, stages: Option<&[Stage]>) {
        let Some(stages) = stages else { return };
        let mut used = BTreeSet::new();
        for stage in stages {
            match &stage.deploy.waves {
                Waves::Listed(waves) => used.extend(waves.iter().flat_map(|wave| &wave.gates)),
                Waves::Ladder { gates, .. } => used.extend(gates),
            }
        }
        for (name, at) in self.places.iter().filter(|(name, _)| !used.contains(name)) {
            let help = format!("name it in a wave: gates: [{name}]");
            lint.fault(code::UNUSED_GATE, *at, format!("no wave asks the gate `{name}`"), help);
        }
    }
}
