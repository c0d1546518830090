//! The short parts of a playbook: which hosts, what a failure leads to, how it goes back.

use super::{Lint, fields::Shape};
use crate::{
    fault::code,
    model::{HostRule, OnFailure, Rollback, Rule, Selection, Unreachable},
    selector::Selector,
    text::tree::Node,
};

/// Hosts of one rollout: ten times the fleet that this is made for.
pub(super) const HOSTS_MAX: u32 = 100_000;
const HOST_RETRIES_MAX: u32 = 100;

/// What a verdict or a spent budget can lead to.
pub(super) const RULES: &[(&str, Rule)] = &[
    ("proceed", Rule::Proceed),
    ("hold", Rule::Hold),
    ("rollback", Rule::Rollback),
    ("abort", Rule::Abort),
];

const SELECTION: Shape = Shape {
    what: "`hosts`",
    required: &[("selector", "selector: \"app=storefront\"")],
    optional: &["exclude", "expect", "unreachable"],
    later: &[],
    elsewhere: &[],
};

const EXPECT: Shape = Shape {
    what: "`expect`",
    required: &[],
    optional: &["min", "max"],
    later: &[],
    elsewhere: &[],
};

pub(super) fn selection(lint: &mut Lint<'_>, node: &Node) -> Option<Selection> {
    let fields = lint.fields(node, &SELECTION)?;
    let selector = fields.get("selector").and_then(|node| selector(lint, node, "selector"));
    let exclude = fields.or("exclude", None, |node| exclude(lint, node).map(Some));
    let expect = fields.or("expect", (None, None), |node| expect(lint, node));
    let words = [
        ("debt", Unreachable::Debt),
        ("wait", Unreachable::Wait),
        ("fail", Unreachable::Fail),
    ];
    let unreachable = fields.or("unreachable", Unreachable::Debt, |node| {
        lint.choice(node, "unreachable", &words, &[])
    });
    let (expect_min, expect_max) = expect?;
    Some(Selection {
        selector: selector?,
        exclude: exclude?,
        expect_min,
        expect_max,
        unreachable: unreachable?,
    })
}

pub(super) fn selector(lint: &mut Lint<'_>, node: &Node, what: &str) -> Option<Selector> {
    let text = lint.text(node, what)?;
    if text.contains("${{") {
        let help = "write the value itself, or a parameter: ${{ params.x }}";
        lint.fault(
            code::SELECTOR,
            node.at,
            format!("{what}: variables have no value yet when hosts are chosen"),
            help,
        );
        return None;
    }
    if text.contains("==") {
        let message = format!("{what}: `==` would look for a value that begins with `=`");
        lint.fault(code::SELECTOR, node.at, message, "write one: app=storefront");
        return None;
    }
    match text.parse() {
        Ok(selector) => Some(selector),
        Err(error) => {
            let help = "all terms must hold; there are no wildcards and no alternatives";
            lint.fault(code::SELECTOR, node.at, format!("{what}: {error}"), help);
            None
        }
    }
}

fn exclude(lint: &mut Lint<'_>, node: &Node) -> Option<Selector> {
    let exclude = selector(lint, node, "exclude")?;
    if exclude == Selector::default() {
        let help = "name what the hosts have in common, or take the key away";
        lint.fault(
            code::SELECTOR,
            node.at,
            "an empty `exclude` matches every host, so none is left",
            help,
        );
        return None;
    }
    Some(exclude)
}

fn expect(lint: &mut Lint<'_>, node: &Node) -> Option<(Option<u32>, Option<u32>)> {
    let fields = lint.fields(node, &EXPECT)?;
    let bound = |lint: &mut Lint<'_>, key, least| {
        fields.or(key, None, |node| lint.number(node, key, least..=HOSTS_MAX).map(Some))
    };
    let (min, max) = (bound(lint, "min", 0), bound(lint, "max", 1));
    let (min, max) = (min?, max?);
    if let (Some(least), Some(most), Some(at)) = (min, max, fields.key("max"))
        && least > most
    {
        let message = format!("no plan can find at least {least} and at most {most} hosts");
        lint.fault(code::NUMBER, at, message, "`max` must not be less than `min`");
        return None;
    }
    Some((min, max))
}

const ON_FAILURE: Shape = Shape {
    what: "`on_failure`",
    required: &[],
    optional: &["host", "gate", "budget"],
    later: &[],
    elsewhere: &[
        ("retry", "it belongs into `host`: { host: { retry: 1 } }"),
        ("then", "it belongs into `host`: { host: { then: quarantine } }"),
    ],
};

const HOST_FAILURE: Shape = Shape {
    what: "`on_failure.host`",
    required: &[],
    optional: &["retry", "then"],
    later: &[],
    elsewhere: &[],
};

pub(super) fn on_failure(lint: &mut Lint<'_>, node: Option<&Node>) -> Option<OnFailure> {
    let mut on_failure = OnFailure {
        host_retry: 0,
        host_then: HostRule::Quarantine,
        gate: Rule::Hold,
        budget: Rule::Rollback,
    };
    let Some(node) = node else { return Some(on_failure) };
    let fields = lint.fields(node, &ON_FAILURE)?;
    let host = fields.or("host", (0, HostRule::Quarantine), |node| host_failure(lint, node));
    let gate = fields.or("gate", on_failure.gate, |node| {
        lint.choice(node, "on_failure.gate", RULES, &["extend"])
    });
    // To proceed past a spent budget is to have none: `proceed` is no choice here.
    let budget = fields.or("budget", on_failure.budget, |node| {
        lint.choice(node, "on_failure.budget", &RULES[1..], &["extend"])
    });
    (on_failure.host_retry, on_failure.host_then) = host?;
    (on_failure.gate, on_failure.budget) = (gate?, budget?);
    Some(on_failure)
}

fn host_failure(lint: &mut Lint<'_>, node: &Node) -> Option<(u32, HostRule)> {
    let fields = lint.fields(node, &HOST_FAILURE)?;
    let retry = fields.or("retry", 0, |node| lint.number(node, "retry", 0..=HOST_RETRIES_MAX));
    let words = [
        ("quarantine", HostRule::Quarantine),
        ("hold", HostRule::Hold),
        ("rollback", HostRule::Rollback),
    ];
    let then = fields.or("then", HostRule::Quarantine, |node| {
        lint.choice(node, "then", &words, &[])
    });
    Some((retry?, then?))
}

const ROLLBACK: Shape = Shape {
    what: "`rollback`",
    required: &[],
    optional: &["pace", "order", "keep_max_unavailable"],
    later: &[],
    elsewhere: &[("max_parallel", "it belongs into `pace`: { pace: { max_parallel: 50 } }")],
};

const PACE: Shape = Shape {
    what: "`pace`",
    required: &[("max_parallel", "max_parallel: 50")],
    optional: &[],
    later: &[],
    elsewhere: &[],
};

pub(super) fn rollback(lint: &mut Lint<'_>, node: Option<&Node>) -> Option<Rollback> {
    let Some(node) = node else {
        return Some(Rollback {
            max_parallel: None,
            keep_max_unavailable: true,
        });
    };
    let fields = lint.fields(node, &ROLLBACK)?;
    let max_parallel = match fields.get("pace") {
        Some(node) => lint.fields(node, &PACE).and_then(|pace| {
            let node = pace.get("max_parallel")?;
            lint.number(node, "max_parallel", 1..=HOSTS_MAX).map(Some)
        }),
        None => Some(None),
    };
    let order = fields.or("order", (), |node| lint.choice(node, "order", &[("reverse", ())], &[]));
    let keep_max_unavailable = fields.or("keep_max_unavailable", true, |node| {
        lint.truth(node, "keep_max_unavailable")
    });
    order?;
    Some(Rollback {
        max_parallel: max_parallel?,
        keep_max_unavailable: keep_max_unavailable?,
    })
}
