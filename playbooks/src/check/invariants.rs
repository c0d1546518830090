//! Invariants: what must hold before a host may leave service.

use echelon_condition::Place;
use echelon_proto::WaveName;

use super::{
    Lint, action, condition,
    fields::{Fields, Shape},
    phases::report_same_names,
};
use crate::{
    fault::code,
    model::{Ask, Invariant},
    text::tree::Node,
};

/// Each is asked of each host, before the first phase that takes it out of service.
const INVARIANTS_MAX: usize = 32;

const INVARIANT: Shape = Shape {
    what: "an invariant",
    required: &[("name", "name: quorum")],
    optional: &["expr", "run", "http", "tcp"],
    later: &[],
    elsewhere: &[
        ("when", "what must hold is `expr`"),
        ("until", "what must hold is `expr`"),
        ("condition", "what must hold is `expr`"),
        (
            "poll",
            "it is asked again by itself as long as it does not hold: write here what `poll` asks",
        ),
        ("systemd", "an invariant is expr, run, http or tcp"),
        ("uses", "an invariant is expr, run, http or tcp"),
        ("file", "an invariant is expr, run, http or tcp"),
        ("timeout", "for one request write `request_timeout` into `http`"),
    ],
};

pub(super) fn invariants(lint: &mut Lint<'_>, node: Option<&Node>) -> Option<Vec<Invariant>> {
    let Some(node) = node else { return Some(Vec::new()) };
    let items = lint.list(node, "`invariants`", INVARIANTS_MAX)?;
    report_same_names(lint, node, "invariant");
    lint.each(items, invariant)
}

fn invariant(lint: &mut Lint<'_>, node: &Node) -> Option<Invariant> {
    let fields = lint.fields(node, &INVARIANT)?;
    // It has the alphabet of a wave's name.
    let name = fields.get("name").and_then(|node| lint.name::<WaveName>(node, "name"));
    let ask = ask(lint, &fields);
    Some(Invariant {
        name: name?.to_string(),
        ask: ask?,
    })
}

fn ask(lint: &mut Lint<'_>, fields: &Fields<'_>) -> Option<Ask> {
    let of_host = ["run", "http", "tcp"].into_iter().find(|key| fields.get(key).is_some());
    match (fields.get("expr"), of_host) {
        // One that cannot stand here has been reported as that.
        (None, None)
            if ["poll", "systemd", "uses", "file"]
                .iter()
                .any(|key| fields.get(key).is_some()) =>
        {
            None
        }
        (None, None) => {
            let help = "give it one of expr, run, http, tcp";
            lint.fault(code::ONE_ACTION, fields.at, "the invariant asks nothing", help);
            None
        }
        (None, Some(_)) => action::action(lint, fields, "the invariant", action::Place::Probe).map(Ask::Host),
        (Some(node), None) => condition::condition(lint, node, "expr", Place::Invariant).map(Ask::Expr),
        (Some(_), Some(key)) => {
            let at = fields.key(key).unwrap_or(fields.at);
            let message = format!("the invariant asks both `expr` and `{key}`");
            let help = "make two of it: each must hold";
            lint.fault(code::ONE_ACTION, at, message, help);
            None
        }
    }
}
