//! Phases and compensations.

use std::collections::BTreeSet;

use echelon_proto::{PhaseName, StateName};

use super::{
    Lint,
    fields::{Fields, Shape},
    machine::{Names, PHASES_MAX, STATE, VIA_MAX},
    step::{Step, step},
    value::{Kind, Known, cut},
};
use crate::{
    fault::code,
    model::{Action, ArtifactVerb, Phase, WhichRelease},
    text::{
        Mark,
        tree::{Node, Value},
    },
};

const UNDO: Kind = Kind {
    noun: "phase or compensation",
    code: code::UNKNOWN_PHASE,
};

const PHASE: Shape = Shape {
    what: "a phase",
    required: &[
        ("name", "name: start"),
        ("from", "from: [stopped, installed]"),
        ("to", "to: running"),
        ("timeout", "timeout: 2m"),
    ],
    optional: &[
        "run",
        "http",
        "tcp",
        "systemd",
        "poll",
        "file",
        "uses",
        "with",
        "sets",
        "when",
        "retry",
        "verify",
        "undo",
        "read_only",
        "on",
        "on_timeout",
        "leftovers",
    ],
    later: &[],
    elsewhere: &[
        ("argv", "it belongs into `run`: { run: { argv: [...] } }"),
        ("user", "it belongs into `run`"),
        ("env", "it belongs into `run`"),
        ("cwd", "it belongs into `run`"),
        ("limits", "it belongs into `run`"),
        ("secrets", "it belongs into `run`"),
        ("until", "it belongs into `poll`: { poll: { http: ..., until: ... } }"),
        (
            "every",
            "it belongs into `poll`: { poll: { http: ..., every: 2s, until: ... } }",
        ),
        (
            "monitor",
            "it belongs to a state: what is asked as long as a host stands there",
        ),
        (
            "expr",
            "what must hold before a host leaves service belongs into `invariants` of the playbook",
        ),
        (
            "invariants",
            "they belong to the playbook, and hold for every phase that takes a host out of service",
        ),
        ("command", "write `run: { argv: [program, argument] }`"),
        ("shell", "write `run: { argv: [sh, -c, ...] }`"),
    ],
};

const COMPENSATION: Shape = Shape {
    what: "a compensation",
    required: &[("name", "name: reinstate"), ("timeout", "timeout: 30s")],
    optional: &[
        "run",
        "http",
        "tcp",
        "systemd",
        "poll",
        "file",
        "uses",
        "with",
        "when",
        "retry",
        "verify",
        "on",
        "on_timeout",
        "leftovers",
    ],
    later: &[],
    elsewhere: &[
        (
            "from",
            "a compensation puts a host back where the undone phase came from",
        ),
        ("to", "a compensation puts a host back where the undone phase came from"),
        (
            "sets",
            "a compensation puts the release back that the undone phase changed",
        ),
        ("undo", "a compensation is itself an undo"),
        ("read_only", "a compensation is itself an undo"),
        ("user", "it belongs into `run`"),
        ("env", "it belongs into `run`"),
        ("cwd", "it belongs into `run`"),
        ("limits", "it belongs into `run`"),
        ("secrets", "it belongs into `run`"),
        ("until", "it belongs into `poll`: { poll: { http: ..., until: ... } }"),
    ],
};

/// A phase as far as it could be read.
pub(super) struct Draft {
    /// Its name.
    pub(super) at: Mark,
    pub(super) name: Option<PhaseName>,
    pub(super) from: Vec<StateName>,
    pub(super) to: Option<StateName>,
    /// Whether it says how it is taken back, or that it need not be.
    pub(super) taken_back: bool,
    pub(super) phase: Option<Phase>,
}

/// What an undo may name.
pub(super) fn names(phases: Option<&Node>, compensations: Option<&Node>) -> Known {
    let is_list = |node: &Node| matches!(node.value, Value::List(_));
    let readable = phases.is_some_and(is_list) && compensations.is_none_or(is_list);
    let names = named(phases)
        .chain(named(compensations))
        .map(|(name, _)| name.to_owned());
    readable.then(|| names.collect())
}

pub(super) fn phases(lint: &mut Lint<'_>, node: &Node, names: &Names) -> Option<Vec<Draft>> {
    let items = lint.list(node, "`phases`", PHASES_MAX)?;
    if items.is_empty() {
        lint.fault(
            code::EMPTY,
            node.at,
            "`phases` is empty",
            "without phases no host can move",
        );
        return None;
    }
    lint.each(items, |lint, item| draft(lint, item, names))
}

pub(super) fn compensations(lint: &mut Lint<'_>, node: &Node) -> Option<Vec<Phase>> {
    let items = lint.list(node, "`compensations`", PHASES_MAX)?;
    lint.each(items, |lint, item| {
        let fields = lint.fields(item, &COMPENSATION)?;
        let name = fields.get("name").and_then(|node| lint.name(node, "name"));
        let step = step(lint, &fields, "the compensation");
        let (name, step) = (name?, step?);
        Some(phase(name, step))
    })
}

/// Reports names that are not one of a kind among phases and compensations.
pub(super) fn report_twice(lint: &mut Lint<'_>, phases: Option<&Node>, compensations: Option<&Node>) {
    let mut seen = BTreeSet::new();
    for (name, at) in named(phases).chain(named(compensations)) {
        if !seen.insert(name) {
            let help = "a name is one of a kind among phases and compensations: rename one of them";
            lint.fault(
                code::DUPLICATE_NAME,
                at,
                format!("the name `{}` is given twice", cut(name)),
                help,
            );
        }
    }
}

/// Reports names that are given twice in one list.
pub(super) fn report_same_names(lint: &mut Lint<'_>, list: &Node, noun: &str) {
    let mut seen = BTreeSet::new();
    for (name, at) in named(Some(list)) {
        if !seen.insert(name) {
            let message = format!("the {noun} `{}` is here twice", cut(name));
            lint.fault(code::DUPLICATE_NAME, at, message, "rename one of them");
        }
    }
}

/// The names written in a list of mappings, right or wrong.
pub(super) fn named(list: Option<&Node>) -> impl Iterator<Item = (&str, Mark)> {
    let items = match list.map(|node| &node.value) {
        Some(Value::List(items)) => items.as_slice(),
        _ => &[],
    };
    let names = items.iter().filter_map(|item| match &item.value {
        Value::Map(entries) => entries.iter().find(|(key, _)| key.text == "name"),
        _ => None,
    });
    names.filter_map(|(_, node)| match &node.value {
        Value::Scalar(scalar) => Some((scalar.text.as_str(), node.at)),
        _ => None,
    })
}

fn draft(lint: &mut Lint<'_>, node: &Node, names: &Names) -> Option<Draft> {
    let fields = lint.fields(node, &PHASE)?;
    let name: Option<PhaseName> = fields.get("name").and_then(|node| lint.name(node, "name"));
    let what = match &name {
        Some(name) => format!("the phase `{name}`"),
        None => "the phase".to_owned(),
    };
    let from = fields.get("from").and_then(|node| from(lint, node, names));
    let to = fields
        .get("to")
        .and_then(|node| lint.reference(node, "to", STATE, &names.states));
    let sets = fields.or("sets", false, |node| {
        lint.choice(node, "sets", &[("release", true)], &[])
    });
    let (undo, read_only) = undone(lint, &fields, &what, names);
    let step = step(lint, &fields, &what);
    if let (Some(step), Some(false)) = (&step, sets) {
        report_release_not_set(lint, fields.key("uses"), &what, &step.action);
    }
    let draft = Draft {
        at: fields.get("name").map_or(fields.at, |node| node.at),
        name: name.clone(),
        from: from.clone().unwrap_or_default(),
        to: to.clone(),
        taken_back: fields.get("undo").is_some() || read_only != Some(false),
        phase: None,
    };
    let whole = || {
        Some(Phase {
            from: from?,
            to: Some(to?),
            sets_release: sets?,
            undo: undo?,
            read_only: read_only?,
            ..phase(name?, step?)
        })
    };
    Some(Draft {
        phase: whole(),
        ..draft
    })
}

/// A phase that leads nowhere: what a compensation is.
fn phase(name: PhaseName, step: Step) -> Phase {
    Phase {
        name,
        from: Vec::new(),
        to: None,
        sets_release: false,
        on: step.on,
        action: step.action,
        when: step.when,
        timeout: step.timeout,
        on_timeout: step.on_timeout,
        retry: step.retry,
        verify: step.verify,
        undo: None,
        read_only: false,
        leftovers: step.leftovers,
    }
}

/// Its `undo` and `read_only`, of which it has one.
fn undone(
    lint: &mut Lint<'_>,
    fields: &Fields<'_>,
    what: &str,
    names: &Names,
) -> (Option<Option<PhaseName>>, Option<bool>) {
    let undo = fields.or("undo", None, |node| {
        lint.reference(node, "undo", UNDO, &names.phases).map(Some)
    });
    let read_only = fields.or("read_only", false, |node| lint.truth(node, "read_only"));
    if let (Some(true), Some(at)) = (read_only, fields.key("undo")) {
        let help = "keep `undo` if it changes the host, `read_only: true` if it does not";
        let message = format!("{what} is read only, so there is nothing to undo");
        lint.fault(code::MISPLACED, at, message, help);
    }
    (undo, read_only)
}

fn report_release_not_set(lint: &mut Lint<'_>, at: Option<Mark>, what: &str, action: &Action) {
    let changes = matches!(
        action,
        Action::Artifact {
            verb: ArtifactVerb::Install | ArtifactVerb::Activate,
            release: WhichRelease::Target,
            ..
        }
    );
    if let (true, Some(at)) = (changes, at) {
        let message = format!("{what} puts the target release in place, but does not say `sets: release`");
        lint.fault(code::RELEASE_NOT_SET, at, message, "add `sets: release`");
    }
}

fn from(lint: &mut Lint<'_>, node: &Node, names: &Names) -> Option<Vec<StateName>> {
    if let Value::Scalar(_) = node.value {
        return lint
            .reference(node, "from", STATE, &names.states)
            .map(|state| vec![state]);
    }
    let items = lint.list(node, "from", VIA_MAX)?;
    if items.is_empty() {
        lint.fault(
            code::EMPTY,
            node.at,
            "`from` is empty",
            "name the states that it starts from",
        );
        return None;
    }
    lint.twice(items, "`from`");
    lint.each(items, |lint, item| lint.reference(item, "from", STATE, &names.states))
}
