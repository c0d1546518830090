//! Units of the host's systemd.

use super::{
    super::{Lint, fields::Shape, value::cut},
    Place,
};
use crate::{
    fault::code,
    model::{Action, SystemdVerb},
    template::Template,
    text::tree::Node,
};

const SYSTEMD: Shape = Shape {
    what: "`systemd`",
    required: &[("unit", "unit: app.service"), ("verb", "verb: start")],
    optional: &[],
    later: &[],
    elsewhere: &[("timeout", "it belongs beside `systemd`")],
};

const VERBS: [(&str, SystemdVerb); 7] = [
    ("start", SystemdVerb::Start),
    ("stop", SystemdVerb::Stop),
    ("restart", SystemdVerb::Restart),
    ("reload", SystemdVerb::Reload),
    ("enable", SystemdVerb::Enable),
    ("disable", SystemdVerb::Disable),
    ("is-active", SystemdVerb::IsActive),
];

pub(super) fn systemd(lint: &mut Lint<'_>, node: &Node, place: Place) -> Option<Action> {
    let fields = lint.fields(node, &SYSTEMD)?;
    let unit = fields.get("unit").and_then(|node| unit(lint, node));
    let verb = fields.get("verb").and_then(|node| {
        let verb = lint.choice(node, "verb", &VERBS, &[])?;
        if place != Place::Phase && verb != SystemdVerb::IsActive {
            lint.fault(code::CHOICE, node.at, "a verify only asks", "write `verb: is-active`");
            return None;
        }
        Some(verb)
    });
    Some(Action::Systemd {
        unit: unit?,
        verb: verb?,
    })
}

fn unit(lint: &mut Lint<'_>, node: &Node) -> Option<Template> {
    let text = lint.words(node, "unit")?;
    let template = lint.template(node, "unit")?;
    // With the variables aside, what is left must be usual in a unit's name.
    let literal: String = text
        .split("${{")
        .map(|piece| piece.rsplit("}}").next().unwrap_or(piece))
        .collect();
    if text.starts_with('-')
        || !literal
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b":-_.\\@".contains(&b))
    {
        let message = format!("unit: {:?} is no name of a unit", cut(text));
        lint.fault(code::TEXT, node.at, message, "write it as app.service");
        return None;
    }
    Some(template)
}
