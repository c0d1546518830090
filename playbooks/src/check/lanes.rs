//! The lanes: which datacenters, and whether they wait for one another.

use std::collections::BTreeSet;

use echelon_proto::Datacenter;

use super::{
    Lint,
    fields::Shape,
    value::{Kind, Known, cut},
};
use crate::{
    fault::code,
    model::{Coupling, Lanes, OnLaneFailure},
    text::tree::{Node, Value},
};

pub(super) const DATACENTERS_MAX: usize = 64;

pub(super) const DATACENTER: Kind = Kind {
    noun: "datacenter",
    code: code::UNKNOWN_DATACENTER,
};

const WAVE: Kind = Kind {
    noun: "wave",
    code: code::UNKNOWN_WAVE,
};

const LANES: Shape = Shape {
    what: "`lanes`",
    required: &[],
    optional: &["datacenters", "on_lane_failure", "coupling"],
    later: &[],
    elsewhere: &[
        ("overrides", "they belong into `deploy` of a stage"),
        ("lead", "it belongs into `coupling`: { lead: dc1, lag: early }"),
        ("lag", "it belongs into `coupling`: { lead: dc1, lag: early }"),
    ],
};

/// What was read of the lanes.
pub(super) struct Section {
    pub(super) lanes: Option<Lanes>,
    /// What `lead` and `overrides` may name; nothing is known where it is all datacenters.
    pub(super) datacenters: Known,
}

/// `waves` are the names that `lag` may use.
pub(super) fn lanes(lint: &mut Lint<'_>, node: Option<&Node>, waves: &Known) -> Section {
    let Some(node) = node else {
        return Section {
            lanes: Some(Lanes {
                datacenters: None,
                on_lane_failure: OnLaneFailure::StopAll,
                coupling: Coupling::Free,
            }),
            datacenters: None,
        };
    };
    let Some(fields) = lint.fields(node, &LANES) else {
        return Section {
            lanes: None,
            datacenters: None,
        };
    };
    let datacenters = fields.or("datacenters", None, |node| datacenters(lint, node));
    let known: Known = datacenters
        .iter()
        .flatten()
        .next()
        .map(|listed| listed.iter().map(ToString::to_string).collect());
    let words = [
        ("stop_lane", OnLaneFailure::StopLane),
        ("stop_all", OnLaneFailure::StopAll),
        ("rollback_all", OnLaneFailure::RollbackAll),
    ];
    let on_lane_failure = fields.or("on_lane_failure", OnLaneFailure::StopAll, |node| {
        lint.choice(node, "on_lane_failure", &words, &[])
    });
    let coupling = fields.or("coupling", Coupling::Free, |node| coupling(lint, node, &known, waves));
    let lanes = || {
        Some(Lanes {
            datacenters: datacenters?,
            on_lane_failure: on_lane_failure?,
            coupling: coupling?,
        })
    };
    Section {
        lanes: lanes(),
        datacenters: known,
    }
}

fn datacenters(lint: &mut Lint<'_>, node: &Node) -> Option<Option<Vec<Datacenter>>> {
    if let Value::Scalar(_) = node.value {
        let text = lint.words(node, "datacenters")?;
        if text == "all" {
            return Some(None);
        }
        let message = format!("datacenters cannot be {:?}", cut(text));
        lint.fault(code::CHOICE, node.at, message, "write `all`, or a list: [dc1, dc2]");
        return None;
    }
    let items = lint.list(node, "datacenters", DATACENTERS_MAX)?;
    if items.is_empty() {
        lint.fault(
            code::EMPTY,
            node.at,
            "`datacenters` is empty",
            "write `all`, or name at least one",
        );
        return None;
    }
    lint.twice(items, "`datacenters`");
    lint.each(items, |lint, item| lint.name(item, "datacenters")).map(Some)
}

const COUPLING_HELP: &str = "write `free`, `lockstep`, or `{ lead: dc1, lag: early }`";

const COUPLING: Shape = Shape {
    what: "`coupling`",
    required: &[("lead", "lead: dc1"), ("lag", "lag: early")],
    optional: &[],
    later: &[],
    elsewhere: &[
        ("free", "write `coupling: free`"),
        ("lockstep", "write `coupling: lockstep`"),
    ],
};

fn coupling(lint: &mut Lint<'_>, node: &Node, datacenters: &Known, waves: &Known) -> Option<Coupling> {
    let coupling = match &node.value {
        Value::Map(_) => {
            let fields = lint.fields(node, &COUPLING)?;
            let lead = fields
                .get("lead")
                .and_then(|node| lint.reference(node, "lead", DATACENTER, datacenters));
            let lag = fields
                .get("lag")
                .and_then(|node| lint.reference(node, "lag", WAVE, waves));
            Coupling::Lead {
                datacenter: lead?,
                lag: lag?,
            }
        }
        Value::Scalar(_) => match lint.words(node, "coupling")? {
            "free" => Coupling::Free,
            "lockstep" => Coupling::Lockstep,
            other => {
                let message = format!("coupling cannot be {:?}", cut(other));
                lint.fault(code::CHOICE, node.at, message, COUPLING_HELP);
                return None;
            }
        },
        Value::List(_) | Value::Broken => {
            lint.wrong_type(
                node,
                "coupling",
                "a word, or a mapping with `lead` and `lag`",
                COUPLING_HELP,
            );
            return None;
        }
    };
    if coupling != Coupling::Free && datacenters.as_ref().map(BTreeSet::len) == Some(1) {
        let message = "there is one lane, so there is none that could wait";
        let help = "name more datacenters, or take `coupling` away";
        lint.fault(code::LONELY_LANE, node.at, message, help);
    }
    Some(coupling)
}
