//! What phases and compensations have in common: what is done, who does it, how long it may take, and what then.

use echelon_condition::{Condition, Place::When};
use echelon_proto::Span;

use super::{
    Lint, action, condition,
    fields::{Fields, Shape},
    packs::OF_COORDINATOR,
};
use crate::{
    fault::code,
    model::{Action, Leftovers, OnTimeout, Place, Repeat, Retry},
    text::{Mark, tree::Node},
};

/// A phase that takes longer is not one step of a rollout; it should hold for a person.
const TIMEOUT_MAX: Span = Span::secs(7 * 24 * 3600);
const RETRIES_MAX: u32 = 100;
const BACKOFF: Span = Span::secs(1);
const BACKOFF_MAX: Span = Span::secs(24 * 3600);

/// What phases and compensations have in common.
pub(super) struct Step {
    pub(super) on: Place,
    pub(super) action: Action,
    pub(super) when: Option<Condition>,
    pub(super) timeout: Span,
    pub(super) on_timeout: OnTimeout,
    pub(super) retry: Retry,
    pub(super) verify: Option<Action>,
    pub(super) leftovers: Leftovers,
}

pub(super) fn step(lint: &mut Lint<'_>, fields: &Fields<'_>, what: &str) -> Option<Step> {
    let words = [("host", Place::Host), ("coordinator", Place::Coordinator)];
    let on = fields.or("on", Place::Host, |node| lint.choice(node, "on", &words, &[]));
    let action = action::action(lint, fields, what, action::Place::Phase);
    let when = fields.or("when", None, |node| {
        condition::condition(lint, node, "when", When).map(Some)
    });
    let timeout = fields
        .get("timeout")
        .and_then(|node| lint.span(node, "timeout", Span(1)..=TIMEOUT_MAX));
    let words = [
        ("fail", OnTimeout::Fail),
        ("continue", OnTimeout::Continue),
        ("hold", OnTimeout::Hold),
    ];
    let on_timeout = fields.or("on_timeout", OnTimeout::Fail, |node| {
        lint.choice(node, "on_timeout", &words, &[])
    });
    let retry = fields.or("retry", Retry::default(), |node| retry(lint, node));
    let leftovers = leftovers(lint, fields, action.as_ref());
    let verify = fields.or("verify", None, |node| action::verify(lint, node).map(Some));
    if let (Some(timeout), Some(at)) = (timeout, fields.key("timeout")) {
        for check in action.iter().chain(verify.iter().flatten()) {
            report_never_in_time(lint, at, check, timeout);
        }
    }
    if let (Some(on), Some(action)) = (on, &action) {
        report_wrong_runner(lint, fields, on, action);
    }
    Some(Step {
        on: on?,
        action: action?,
        when: when?,
        timeout: timeout?,
        on_timeout: on_timeout?,
        retry: retry?,
        verify: verify?,
        leftovers: leftovers?,
    })
}

/// Only a program of the playbook's own leaves processes behind.
fn leftovers(lint: &mut Lint<'_>, fields: &Fields<'_>, action: Option<&Action>) -> Option<Leftovers> {
    let words = [
        ("leave", Leftovers::Leave),
        ("end", Leftovers::End),
        ("fail", Leftovers::Fail),
    ];
    let rule = fields.or("leftovers", Leftovers::Leave, |node| {
        lint.choice(node, "leftovers", &words, &[])
    });
    if let (Some(action), Some(at)) = (action, fields.key("leftovers"))
        && !matches!(action, Action::Run(_))
    {
        let message = "`leftovers` is about processes that a program left running, and this runs none";
        lint.fault(code::MISPLACED, at, message, "take it away, or do it by `run`");
    }
    rule
}

/// The coordinator speaks to load balancers and does nothing else; hosts do everything else.
fn report_wrong_runner(lint: &mut Lint<'_>, fields: &Fields<'_>, on: Place, action: &Action) {
    let of_coordinator = matches!(action, Action::Balancer(_));
    match on {
        Place::Host if of_coordinator => {
            let at = fields.get("uses").map_or(fields.at, |node| node.at);
            let message = "a host does not speak to load balancers: the coordinator does";
            lint.fault(code::WRONG_RUNNER, at, message, "add `on: coordinator`");
        }
        Place::Coordinator if !of_coordinator => {
            let at = fields.get("on").map_or(fields.at, |node| node.at);
            let message = "the coordinator does not do this itself: hosts do";
            let help = format!("take `on` away; only {OF_COORDINATOR} are done by the coordinator");
            lint.fault(code::WRONG_RUNNER, at, message, help);
        }
        Place::Coordinator => {
            let asks = "the balancer itself is asked whether it is so: take it away, or make a phase of its own of it";
            let sets = "the release is changed by a phase of the host: say it there";
            for (key, help) in [("verify", asks), ("sets", sets)] {
                if let Some(at) = fields.key(key) {
                    let message = format!("`{key}` is of phases that the host does");
                    lint.fault(code::WRONG_RUNNER, at, message, help);
                }
            }
        }
        Place::Host => {}
    }
}

/// How often an action asks.
fn repeated(action: &Action) -> Option<Repeat> {
    match action {
        Action::Http(check) => Some(check.repeat),
        Action::Tcp(check) => Some(check.repeat),
        Action::Poll(poll) => repeated(&poll.ask),
        Action::Run(_) | Action::Systemd { .. } | Action::Artifact { .. } | Action::File(_) | Action::Balancer(_) => {
            None
        }
    }
}

fn report_never_in_time(lint: &mut Lint<'_>, at: Mark, action: &Action, timeout: Span) {
    if let Action::Poll(poll) = action
        && poll.every >= timeout
    {
        let message = format!("a poll every {} asks only once within {timeout}", poll.every);
        let help = "allow more time, or ask more often: what is asked only once waits for nothing";
        lint.fault(code::NEVER_IN_TIME, at, message, help);
    }
    let Some(Repeat { consecutive, interval }) = repeated(action) else {
        return;
    };
    let least = Span(interval.0.saturating_mul(u64::from(consecutive) - 1));
    if least >= timeout {
        let message = format!(
            "{consecutive} checks with {interval} between them take at least {least}: never done within {timeout}"
        );
        lint.fault(
            code::NEVER_IN_TIME,
            at,
            message,
            "allow more time, or ask for fewer checks or a shorter interval",
        );
    }
}

const RETRY: Shape = Shape {
    what: "`retry`",
    required: &[("max", "max: 2")],
    optional: &["backoff"],
    later: &[],
    elsewhere: &[],
};

fn retry(lint: &mut Lint<'_>, node: &Node) -> Option<Retry> {
    let fields = lint.fields(node, &RETRY)?;
    let max = fields
        .get("max")
        .and_then(|node| lint.number(node, "max", 0..=RETRIES_MAX));
    let backoff = fields.or("backoff", BACKOFF, |node| {
        lint.span(node, "backoff", Span::ZERO..=BACKOFF_MAX)
    });
    Some(Retry {
        max: max?,
        backoff: backoff?,
    })
}
