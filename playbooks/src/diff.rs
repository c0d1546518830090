//! What is different between two playbooks, by what they mean and not by how they are written: states, phases, operations,
//! gates, waves and limits, each with its old and its new value, and what that means for a rollout where it can be said
//! (`meaning`). Comments, order of keys and defaults that are written out make no difference; neither do name and version,
//! which say which playbook it is and not what it does.
//!
//! Both are compared as `render` writes them, so every key of the language is looked at, and a new one by itself.

mod meaning;

use std::fmt;

use serde::Serialize;

use crate::{
    model::Playbook,
    render::{declared, item::Item, written},
};

/// One thing that is different.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Where: `stages.roll.deploy.max_unavailable`; entries of a list go by their name.
    pub path: String,
    /// What became of it.
    pub turn: Turn,
    /// As YAML on one line; `None` where there was none.
    pub old: Option<String>,
    /// As YAML on one line; `None` where there is none any more.
    pub new: Option<String>,
    /// What it means for a rollout, in one line.
    pub means: Option<&'static str>,
}

/// What became of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// A number, a percentage or a length of time that has grown.
    More,
    /// One that has shrunk.
    Less,
    /// Another value, of which neither is the larger.
    Other,
    /// The same entries of a list in another order.
    Reordered,
}

/// Everything that is different, in the order of the old playbook, then what is new.
#[must_use]
pub fn diff(old: &Playbook, new: &Playbook) -> Vec<Change> {
    let mut changes = Vec::new();
    entries(&mut Vec::new(), &parts(old), &parts(new), &mut changes);
    changes
}

/// The parts of a playbook, without what says only which one it is. What it extends and its parameters stand beside what
/// has come of them.
fn parts(playbook: &Playbook) -> Vec<(String, Item)> {
    let Item::Map(mut parts) = written(playbook) else {
        return Vec::new();
    };
    parts.retain(|(key, _)| key != "name" && key != "version");
    let extends = playbook.base.as_ref().map(|base| {
        let library = if base.library { "library/" } else { "" };
        Item::bare(format_args!("{library}{}@{}", base.name, base.version))
    });
    let more = [("extends", extends), ("params", declared(&playbook.params).filled())];
    parts.extend(more.into_iter().filter_map(|(key, item)| Some((key.to_owned(), item?))));
    parts
}

fn compare(path: &mut Vec<String>, old: &Item, new: &Item, changes: &mut Vec<Change>) {
    match (old, new) {
        (Item::Map(old), Item::Map(new)) => entries(path, old, new, changes),
        (Item::List(before), Item::List(after)) => match (by_name(before), by_name(after)) {
            (Some(old), Some(new)) => {
                entries(path, &old, &new, changes);
                order(path, &old, &new, changes);
            }
            _ => value(path, old, new, changes),
        },
        _ => value(path, old, new, changes),
    }
}

fn entries(path: &mut Vec<String>, old: &[(String, Item)], new: &[(String, Item)], changes: &mut Vec<Change>) {
    for (key, before) in old {
        path.push(key.clone());
        match get(new, key) {
            Some(after) => compare(path, before, after, changes),
            None => changes.push(change(path, Turn::Removed, Some(before), None)),
        }
        path.pop();
    }
    for (key, after) in new.iter().filter(|(key, _)| get(old, key).is_none()) {
        path.push(key.clone());
        changes.push(change(path, Turn::Added, None, Some(after)));
        path.pop();
    }
}

fn get<'i>(entries: &'i [(String, Item)], key: &str) -> Option<&'i Item> {
    entries.iter().find(|(at, _)| at == key).map(|(_, item)| item)
}

/// The entries of a list of things with a name, without it.
fn by_name(items: &[Item]) -> Option<Vec<(String, Item)>> {
    let named = items.iter().map(|item| match item {
        Item::Map(entries) => {
            let name = get(entries, "name")?.line();
            let rest = entries.iter().filter(|(key, _)| key != "name").cloned();
            Some((name, Item::Map(rest.collect())))
        }
        Item::Scalar(_) | Item::List(_) => None,
    });
    named.collect()
}

/// Of two equally short ways the one written first is taken, and waves follow one another: the order has a meaning.
fn order(path: &[String], old: &[(String, Item)], new: &[(String, Item)], changes: &mut Vec<Change>) {
    let kept = |entries: &[(String, Item)], other: &[(String, Item)]| -> Vec<Item> {
        let kept = entries.iter().filter(|(name, _)| get(other, name).is_some());
        kept.map(|(name, _)| Item::Scalar(name.clone())).collect()
    };
    let (before, after) = (Item::List(kept(old, new)), Item::List(kept(new, old)));
    if before != after {
        changes.push(change(path, Turn::Reordered, Some(&before), Some(&after)));
    }
}

fn value(path: &[String], old: &Item, new: &Item, changes: &mut Vec<Change>) {
    if old == new {
        return;
    }
    let turn = match (Size::of(old), Size::of(new)) {
        (Some(Size::Count(old)), Some(Size::Count(new)))
        | (Some(Size::Percent(old)), Some(Size::Percent(new)))
        | (Some(Size::Time(old)), Some(Size::Time(new))) => {
            if new > old {
                Turn::More
            } else {
                Turn::Less
            }
        }
        _ => Turn::Other,
    };
    changes.push(change(path, turn, Some(old), Some(new)));
}

fn change(path: &[String], turn: Turn, old: Option<&Item>, new: Option<&Item>) -> Change {
    let (old, new) = (old.map(Item::line), new.map(Item::line));
    let means = meaning::of(path, turn, old.as_deref(), new.as_deref());
    Change {
        path: path.join("."),
        turn,
        old,
        new,
        means,
    }
}

/// What can be larger or smaller. Hosts and percent of hosts cannot be compared before the fleet is known.
enum Size {
    Count(u64),
    Percent(u64),
    /// In milliseconds.
    Time(u64),
}

impl Size {
    fn of(item: &Item) -> Option<Self> {
        let Item::Scalar(text) = item else { return None };
        if let Some(percent) = text.strip_suffix('%') {
            return percent.parse().ok().map(Self::Percent);
        }
        let count = text.parse().ok().map(Self::Count);
        count.or_else(|| text.parse().ok().map(|span: echelon_proto::Span| Self::Time(span.0)))
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (old, new) = (self.old.as_deref(), self.new.as_deref());
        match (old, new) {
            (None, Some(new)) => write!(f, "{}: {new}", self.path),
            (Some(old), None) => write!(f, "{}: {old}", self.path),
            _ => write!(
                f,
                "{}: {} -> {}",
                self.path,
                old.unwrap_or_default(),
                new.unwrap_or_default()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read;

    const OLD: &str = include_str!("../tests/good/everything.yaml");

    /// What is different after each of these was put in the place of the other.
    fn after(edits: &[(&str, &str)]) -> Vec<Change> {
        let mut text = OLD.to_owned();
        for (old, new) in edits {
            assert!(text.contains(old), "{old:?} is not in the playbook");
            text = text.replacen(old, new, 1);
        }
        let read = |text: &str| read(text).unwrap_or_else(|faults| panic!("{faults}")).playbook;
        diff(&read(OLD), &read(&text))
    }

    fn shown(edits: &[(&str, &str)]) -> Vec<String> {
        let line = |change: &Change| match change.means {
            Some(means) => format!("{:?} {change} ({means})", change.turn),
            None => format!("{:?} {change}", change.turn),
        };
        after(edits).iter().map(line).collect()
    }

    #[test]
    fn what_is_only_written_otherwise_is_no_difference() {
        assert_eq!(after(&[]), []);
        assert_eq!(
            after(&[
                ("name: storefront\n", "# a comment\nname: \"other\"\n"),
                ("version: 3", "version: 4")
            ]),
            []
        );
        assert_eq!(after(&[("      stagger: 2s\n", "      stagger: \"2000ms\"\n")]), []);
        assert_eq!(
            after(&[("verb: stop }\n      timeout: 90s", "verb: stop }\n      timeout: 1m30s")]),
            []
        );
    }

    #[test]
    fn a_limit_that_grows_says_what_it_means_for_a_rollout() {
        assert_eq!(
            shown(&[
                ("max_unavailable: 10%", "max_unavailable: 20%"),
                ("stagger: 2s", "stagger: 500ms")
            ]),
            [
                "More stages.roll.deploy.max_unavailable: 10% -> 20% (more hosts out of service at once)",
                "Less stages.roll.deploy.stagger: 2s -> 500ms (hosts begin closer together)",
            ]
        );
        let changes = shown(&[("max_unavailable: 10%", "max_unavailable: 3")]);
        assert!(
            changes[0].starts_with("Other stages.roll.deploy.max_unavailable: 10% -> 3 ("),
            "{changes:?}"
        );
    }

    #[test]
    fn waves_and_gates_are_found_by_their_names_and_not_by_their_lines() {
        let changes = shown(&[
            (
                "        - { name: canary, size: 1, bake: 10m, gates: [health, signoff] }\n",
                "",
            ),
            (
                "        - { name: all, size: 100%, gates: [health] }",
                "        - { name: all, size: 100%, bake: 1m, gates: [health, signoff] }",
            ),
            ("    share: 98%", "    share: 90%"),
        ]);
        let gone = "{ size: 1, bake: 10m, gates: [health, signoff] }";
        assert_eq!(
            changes,
            [
                "Less gates.health.share: 98% -> 90% (fewer of the hosts must be healthy)",
                &format!("Removed stages.roll.deploy.waves.canary: {gone} (one halt fewer on the way)"),
                "More stages.roll.deploy.waves.all.bake: 0s -> 1m (a longer wait before its gates decide)",
                "Other stages.roll.deploy.waves.all.gates: [health] -> [health, signoff] (other gates are asked after this wave)",
            ]
        );
    }

    #[test]
    fn another_order_of_phases_is_a_difference() {
        let wipe = "    - { name: wipe, from: stopped, to: gone, uses: artifact/remove@1, timeout: 2m }\n";
        let first = format!("  phases:\n{wipe}");
        let [order] = after(&[(wipe, ""), ("  phases:\n", &first)]).try_into().unwrap();
        assert_eq!((order.path.as_str(), order.turn), ("machine.phases", Turn::Reordered));
        assert!(order.old.unwrap().ends_with(", wipe]") && order.new.unwrap().starts_with("[wipe, "));
    }

    #[test]
    fn every_change_of_a_number_has_a_direction() {
        let sides = [
            ("timeout: 5m\n", "timeout: 6m\n", Turn::More),
            ("retry: { max: 2,", "retry: { max: 1,", Turn::Less),
        ];
        for (old, new, turn) in sides {
            let changes = after(&[(old, new)]);
            assert_eq!(changes.iter().map(|change| change.turn).collect::<Vec<_>>(), [turn]);
            assert!(changes[0].means.is_some(), "{:?}", changes[0]);
        }
    }
}
