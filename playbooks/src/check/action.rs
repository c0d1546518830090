//! What a phase, a verify or a probe does: exactly one of `run`, `http`, `tcp`, `systemd`, `poll`, `file`, `uses`, as far as
//! its place allows. Who does it, host or coordinator, is the phase's own (`step`).

mod ask;
mod file;
mod limits;
mod literal;
mod poll;
mod run;
mod secrets;
mod systemd;

use super::{
    Lint,
    fields::{Fields, Shape},
    packs,
};
use crate::{fault::code, model::Action, text::tree::Node};

/// Where an action stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Phase,
    /// It asks and changes nothing.
    Verify,
    /// Of a health gate, a monitor or an invariant: it asks and changes nothing.
    Probe,
    /// It asks, and a condition judges the answer.
    Poll,
}

/// Keys of a mapping that say what is done.
const ACTIONS: [&str; 7] = ["run", "http", "tcp", "systemd", "poll", "file", "uses"];

impl Place {
    const fn actions(self) -> &'static [&'static str] {
        match self {
            Self::Phase => &ACTIONS,
            Self::Verify => &["run", "http", "tcp", "systemd"],
            Self::Probe | Self::Poll => &["run", "http", "tcp"],
        }
    }
}

const VERIFY: Shape = Shape {
    what: "`verify`",
    required: &[],
    optional: &["run", "http", "tcp", "systemd"],
    later: &[],
    elsewhere: &[
        (
            "uses",
            "a verify only asks: run, http, tcp, or systemd with `verb: is-active`",
        ),
        ("poll", "a verify asks once: write here what `poll` asks"),
        ("file", "a verify only asks: let a `run` compare the file"),
        (
            "expr",
            "a verify only asks: run, http, tcp, or systemd with `verb: is-active`",
        ),
    ],
};

const PROBE: Shape = Shape {
    what: "`probe`",
    required: &[],
    optional: &["run", "http", "tcp"],
    later: &[],
    elsewhere: &[
        ("uses", "a probe only asks: run, http or tcp"),
        ("systemd", "a probe is run, http or tcp"),
        (
            "poll",
            "a probe is asked over and over as it is: write here what `poll` asks",
        ),
        ("file", "a probe only asks: run, http or tcp"),
        ("expr", "a probe is run, http or tcp"),
    ],
};

pub(super) fn verify(lint: &mut Lint<'_>, node: &Node) -> Option<Action> {
    let fields = lint.fields(node, &VERIFY)?;
    action(lint, &fields, "`verify`", Place::Verify)
}

pub(super) fn probe(lint: &mut Lint<'_>, node: &Node) -> Option<Action> {
    let fields = lint.fields(node, &PROBE)?;
    action(lint, &fields, "`probe`", Place::Probe)
}

/// The one action among the keys of a mapping.
pub(super) fn action(lint: &mut Lint<'_>, fields: &Fields<'_>, what: &str, place: Place) -> Option<Action> {
    let key = one(lint, fields, what, place)?;
    if let Some(at) = fields.key("with").filter(|_| key != "uses") {
        let help = format!("`{key}` has its own keys; take `with` away");
        lint.fault(code::MISPLACED, at, "`with` belongs to `uses`", help);
    }
    let node = fields.get(key)?;
    match key {
        "run" => run::run(lint, node).map(Action::Run),
        "http" => ask::http(lint, node, place).map(Action::Http),
        "tcp" => ask::tcp(lint, node, place).map(Action::Tcp),
        "systemd" => systemd::systemd(lint, node, place),
        "poll" => poll::poll(lint, node).map(Action::Poll),
        "file" => file::file(lint, node).map(Action::File),
        _ => packs::uses(lint, node, fields.get("with")),
    }
}

/// The key that says what is done; reported where there is none, or more than one.
fn one(lint: &mut Lint<'_>, fields: &Fields<'_>, what: &str, place: Place) -> Option<&'static str> {
    let keys = place.actions().iter().copied();
    let mut there = keys.filter(|key| fields.get(key).is_some());
    let Some(first) = there.next() else {
        // One that cannot stand here has been reported as that.
        if ACTIONS.iter().all(|key| fields.get(key).is_none()) {
            let help = format!("give it one of {}", place.actions().join(", "));
            lint.fault(code::ONE_ACTION, fields.at, format!("{what} does nothing"), help);
        }
        return None;
    };
    for second in there {
        let message = format!("{what} does both `{first}` and `{second}`");
        let at = fields.key(second).unwrap_or(fields.at);
        lint.fault(
            code::ONE_ACTION,
            at,
            message,
            "it does one thing: make two of it, or take one away",
        );
    }
    Some(first)
}
