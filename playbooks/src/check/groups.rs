//! How hosts of one wave are spread and grouped: `spread_by`, `group_by` and what goes with it.

use echelon_proto::Label;

use super::{
    Lint,
    fields::Fields,
    hosts::{HOSTS_MAX, selector},
    value::cut,
};
use crate::{
    fault::code,
    model::{Grouping, HostKey},
    selector::Selector,
    text::tree::Node,
};

const KEYS_MAX: usize = 8;
const RANKS_MAX: usize = 16;

pub(super) fn spread_by(lint: &mut Lint<'_>, node: &Node) -> Option<Vec<HostKey>> {
    let items = lint.list(node, "`spread_by`", KEYS_MAX)?;
    if items.is_empty() {
        let help = "name what neighbours should differ in: [labels.rack]; or take the key away";
        lint.fault(code::EMPTY, node.at, "`spread_by` is empty", help);
        return None;
    }
    lint.twice(items, "`spread_by`");
    lint.each(items, |lint, item| key(lint, item, "spread_by"))
}

/// `group_by`, and the keys that mean nothing without it.
pub(super) fn grouping(lint: &mut Lint<'_>, fields: &Fields<'_>) -> Option<Option<Grouping>> {
    let parallel = fields.or("groups_parallel", 1, |node| {
        lint.number(node, "groups_parallel", 1..=HOSTS_MAX)
    });
    let order = fields.or("order_within_group", Vec::new(), |node| order(lint, node));
    let Some(node) = fields.get("group_by") else {
        for key in ["groups_parallel", "order_within_group"] {
            if let Some(at) = fields.key(key) {
                let help = "add `group_by: labels.shard`, or take it away";
                lint.fault(
                    code::NO_GROUPS,
                    at,
                    format!("`{key}` says how groups go, but there are none"),
                    help,
                );
            }
        }
        return (parallel.is_some() && order.is_some()).then_some(None);
    };
    let by = key(lint, node, "group_by");
    Some(Some(Grouping {
        by: by?,
        parallel: parallel?,
        order: order?,
    }))
}

/// Neighbours cannot differ in what makes them a group.
pub(super) fn report_spread_in_group(lint: &mut Lint<'_>, node: &Node, spread_by: &[HostKey], group: &Grouping) {
    if spread_by.contains(&group.by) {
        let message = "hosts of a group are all the same in what they are grouped by: it spreads nothing";
        let help = "name something else that they differ in, such as labels.rack";
        lint.fault(code::SPREAD_IN_GROUP, node.at, message, help);
    }
}

pub(super) fn key(lint: &mut Lint<'_>, node: &Node, what: &str) -> Option<HostKey> {
    let text = lint.words(node, what)?;
    if text == "pool" {
        return Some(HostKey::Pool);
    }
    let label = text.strip_prefix("labels.").and_then(|label| Label::new(label).ok());
    if label.is_none() {
        let help = match text {
            "host" | "name" | "host.name" => "every host has another name: write `pool`, or `labels.` and a label",
            "dc" | "datacenter" => "a lane is in one datacenter: write `pool`, or `labels.` and a label",
            _ => "write `pool`, or `labels.` and the name of a label: labels.rack",
        };
        lint.fault(code::CHOICE, node.at, format!("{what} cannot be {:?}", cut(text)), help);
    }
    label.map(HostKey::Label)
}

fn order(lint: &mut Lint<'_>, node: &Node) -> Option<Vec<Selector>> {
    let items = lint.list(node, "`order_within_group`", RANKS_MAX)?;
    lint.twice(items, "`order_within_group`");
    lint.each(items, |lint, item| {
        let rank = selector(lint, item, "order_within_group")?;
        if rank == Selector::default() {
            let help = "write which hosts: \"role=replica\"; those that match none go last by themselves";
            lint.fault(
                code::SELECTOR,
                item.at,
                "an empty rank matches every host, so none comes after it",
                help,
            );
            return None;
        }
        Some(rank)
    })
}
