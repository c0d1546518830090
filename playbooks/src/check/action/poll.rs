//! A question asked over and over until a condition over its answer holds.

use echelon_proto::Span;

use super::{
    super::{Lint, condition, condition::Place as ConditionPlace, fields::Shape},
    Place, action,
};
use crate::{model::Poll, text::tree::Node};

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
    ],
};

pub(super) fn poll(lint: &mut Lint<'_>, node: &Node) -> Option<Poll> {
    let fields = lint.fields(node, &POLL)?;
    let ask = action(lint, &fields, "`poll`", Place::Probe);
    let every = fields.or("every", EVERY, |node| lint.span(node, "every", EVERY_MIN..=EVERY_MAX));
    let until = fields
        .get("until")
        .and_then(|node| condition::condition(lint, node, "until", ConditionPlace::Until));
    Some(Poll {
        ask: Box::new(ask?),
        every: every?,
        until: until?,
    })
}
