//! A question asked over and over until a condition over its answer holds.

use echelon_condition::{Condition, Place::Until};
use echelon_proto::Span;

use super::{
    super::{
        Lint,
        condition::{condition, names, place_of},
        fields::Shape,
    },
    Place, action,
};
use crate::{
    fault::code,
    model::{Action, Poll},
    text::tree::Node,
};

const EVERY_MIN: Span = Span(100);
const EVERY_MAX: Span = Span::secs(3600);
const EVERY: Span = Span::secs(2);

const POLL: Shape = Shape {
    what: "`poll`",
    required: &[("until", "until: \"status == 200\"")],
    optional: &["run", "http", "tcp", "every"],
    later: &[],
    elsewhere: &[
        (
            "url",
            "it belongs into `http`: { poll: { http: { url: ... }, until: ... } }",
        ),
        (
            "argv",
            "it belongs into `run`: { poll: { run: { argv: [...] }, until: ... } }",
        ),
        (
            "address",
            "it belongs into `tcp`: { poll: { tcp: { address: ... }, until: ... } }",
        ),
        ("timeout", "how long it may take at all stands beside `poll`"),
        ("interval", "between two questions is `every`"),
        ("systemd", "a poll asks by run, http or tcp"),
        ("uses", "a poll asks by run, http or tcp"),
        ("file", "a poll asks by run, http or tcp"),
        ("poll", "a poll asks by run, http or tcp"),
        ("when", "what it waits for is `until`"),
        ("status", "write it into `until`: status == 200"),
        ("contains", "write it into `until`: body.contains(\"ready\")"),
    ],
};

pub(super) fn poll(lint: &mut Lint<'_>, node: &Node) -> Option<Poll> {
    let fields = lint.fields(node, &POLL)?;
    let ask = action(lint, &fields, "`poll`", Place::Poll);
    let every = fields.or("every", EVERY, |node| lint.span(node, "every", EVERY_MIN..=EVERY_MAX));
    let until = fields
        .get("until")
        .and_then(|node| condition(lint, node, "until", Until));
    if let (Some(ask), Some(until), Some(node)) = (&ask, &until, fields.get("until")) {
        report_never_answered(lint, ask, until, node);
    }
    Some(Poll {
        ask: Box::new(ask?),
        every: every?,
        until: until?,
    })
}

/// What an answer does not have is the same every time: the poll would end at once, or never.
fn report_never_answered(lint: &mut Lint<'_>, ask: &Action, until: &Condition, node: &Node) {
    let (kind, answers): (&str, &[&str]) = match ask {
        Action::Http(_) => ("http", &["status", "body", "json", "error"]),
        Action::Run(_) => ("run", &["exit_code", "output", "error"]),
        Action::Tcp(_) => ("tcp", &["error"]),
        Action::Systemd { .. } | Action::Artifact { .. } | Action::Poll(_) | Action::File(_) | Action::Balancer(_) => {
            return;
        }
    };
    let text = until.as_str();
    for (at, name) in names(text).into_iter().filter(|(_, name)| !answers.contains(name)) {
        let at = place_of(lint, node, text, at);
        let message = format!("until: the answer of `{kind}` has no `{name}`, so there is nothing to wait for");
        let help = format!(
            "it has {}; `error` is empty when there was an answer",
            answers.join(", ")
        );
        lint.fault(code::NEVER_ANSWERED, at, message, help);
    }
}
