//! Monitors of states: a probe that is asked of every host as long as it stands there.

use echelon_proto::{Span, StateName};

use super::{Lint, action, fields::Shape, machine::Places};
use crate::{fault::code, model::Monitor, text::tree::Node};

const EVERY_MIN: Span = Span::secs(1);
const EVERY_MAX: Span = Span::secs(3600);
const EVERY: Span = Span::secs(15);
const UNHEALTHY_AFTER: u32 = 3;
const UNHEALTHY_AFTER_MAX: u32 = 1000;

const MONITOR: Shape = Shape {
    what: "`monitor`",
    required: &[],
    optional: &["run", "http", "tcp", "every", "unhealthy_after"],
    later: &[],
    elsewhere: &[
        ("probe", "a monitor is itself the probe: { monitor: { http: ... } }"),
        ("interval", "between two probes of a monitor is `every`"),
        ("for", "a monitor goes on as long as a host stands in the state"),
        ("timeout", "for one request write `request_timeout` into `http`"),
        ("poll", "a monitor asks by run, http or tcp"),
        ("systemd", "a monitor asks by run, http or tcp"),
        ("uses", "a monitor asks by run, http or tcp"),
        ("file", "a monitor asks by run, http or tcp"),
    ],
};

pub(super) fn monitor(lint: &mut Lint<'_>, node: &Node) -> Option<Monitor> {
    let fields = lint.fields(node, &MONITOR)?;
    let probe = action::action(lint, &fields, "`monitor`", action::Place::Probe);
    let every = fields.or("every", EVERY, |node| lint.span(node, "every", EVERY_MIN..=EVERY_MAX));
    let unhealthy_after = fields.or("unhealthy_after", UNHEALTHY_AFTER, |node| {
        lint.number(node, "unhealthy_after", 1..=UNHEALTHY_AFTER_MAX)
    });
    Some(Monitor {
        probe: probe?,
        every: every?,
        unhealthy_after: unhealthy_after?,
    })
}

/// A host that never heard of the app has no agent's ledger of it, and so nobody who asks.
pub(super) fn report_of_initial(lint: &mut Lint<'_>, initial: &StateName, places: &Places) {
    if let Some(at) = places.monitors.get(initial) {
        let message = format!("nobody asks this monitor: a host that has never heard of the app stands in `{initial}`");
        let help = "give it to a state in which something of the app can be asked";
        lint.fault(code::MONITOR_OF_INITIAL, *at, message, help);
    }
}
