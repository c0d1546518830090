//! What a playbook extends: the base's text is found, read into a tree, given the values of `with`, and what the extending
//! playbook says is laid over it. One level: a base extends nothing. The machine is the base's and cannot be changed, or
//! the two would no longer be of one kind.

use std::collections::BTreeMap;

use echelon_proto::{Digest, limits::PLAYBOOK_BYTES_MAX};

use super::{
    Lint, bind,
    fields::nearest,
    params::{self, Offer, Owner, PARAMS_MAX, Section, Stands},
    value::cut,
};
use crate::{
    LIBRARY,
    fault::code,
    given::{BaseName, Given},
    model::Base,
    text::{
        Source,
        tree::{self, Key, Node, Value},
    },
};

type Entry = (Key, Node);

/// Keys that are the extending playbook's alone.
const OWN: [&str; 5] = ["name", "version", "params", "extends", "with"];
/// Mappings of which each key by itself takes the place of the base's.
const OVERLAID: [&str; 5] = ["hosts", "lanes", "gates", "on_failure", "rollback"];

/// A playbook that has been laid over its base.
pub(super) struct Extended {
    pub(super) root: Node,
    pub(super) base: Option<(Base, String)>,
}

/// Lays a playbook over what it extends, if it extends anything. `None`: something is wrong with that, which has been
/// reported.
pub(super) fn extend(lint: &mut Lint<'_>, root: Node, given: &Given<'_>, stands: &Stands) -> Option<Extended> {
    let Some(node) = root.get("extends") else {
        if let Some(with) = root.get("with") {
            let help = "add `extends: NAME@VERSION`; values of this playbook's own parameters are their `default`";
            let message = "`with` gives values to what a playbook extends, and this one extends nothing";
            lint.fault(code::MISPLACED, with.at, message, help);
        }
        return Some(Extended { root, base: None });
    };
    let at = node.at;
    let name = name(lint, node)?;
    let text = find(lint, node, &name, given)?;
    let digest = Digest::of(text.as_bytes());
    let mut base = parse(lint, &name, text.clone())?;
    check(lint, node, &name, &base)?;
    let mut section = params::declared(lint, &base, Owner::Base);
    let offers = with(lint, &root, &section);
    report_needed(lint, &root, &section, &offers, &name);
    let values = section.values(lint, offers, stands);
    bind::put(lint, &mut base, &values, Owner::Base);
    if name.library && root.get("hosts").is_none() {
        let message = format!("a playbook that extends {name} needs `hosts`: the library's are an example");
        lint.fault(
            code::MISSING_KEY,
            at,
            message,
            "add `hosts: { selector: \"app=storefront\" }`",
        );
    }
    let root = lay(lint, root, base, &name);
    let base = Base {
        library: name.library,
        name: name.name,
        version: name.version,
        digest,
    };
    Some(Extended {
        root,
        base: Some((base, text)),
    })
}

fn name(lint: &mut Lint<'_>, node: &Node) -> Option<BaseName> {
    let text = lint.words(node, "extends")?;
    match text.parse() {
        Ok(name) => Some(name),
        Err(error) => {
            let help = "write `extends: library/systemd-rolling@1`, or `web-base@3` for a playbook that was pushed";
            lint.fault(code::BASE, node.at, format!("extends: {:?} {error}", cut(text)), help);
            None
        }
    }
}

fn find(lint: &mut Lint<'_>, node: &Node, name: &BaseName, given: &Given<'_>) -> Option<String> {
    let shipped = || {
        LIBRARY
            .iter()
            .find(|(known, _)| name.library && *known == name.name.as_str())
    };
    let found = given.bases.and_then(|bases| bases(name));
    let text = found.or_else(|| shipped().map(|(_, text)| (*text).to_owned()));
    let Some(text) = text else {
        let help = match nearest(name.name.as_str(), LIBRARY.iter().map(|(name, _)| *name)) {
            Some(near) => format!("did you mean `library/{near}@1`?"),
            None if name.library => {
                let names: Vec<&str> = LIBRARY.iter().map(|(name, _)| *name).collect();
                format!("the library has {}", names.join(", "))
            }
            None => "push that one first (`echelon playbook list` shows what there is); `lint --base FILE` reads it from a file"
                .to_owned(),
        };
        lint.fault(
            code::BASE,
            node.at,
            format!("there is no playbook {name} to extend"),
            help,
        );
        return None;
    };
    if text.len() > PLAYBOOK_BYTES_MAX {
        let message = format!("{name} has more than the {PLAYBOOK_BYTES_MAX} bytes that a playbook may have");
        lint.fault(code::BASE, node.at, message, "extend another one");
        return None;
    }
    Some(text)
}

/// The tree of the base, its places behind those of the text that extends it.
fn parse(lint: &mut Lint<'_>, name: &BaseName, text: String) -> Option<Node> {
    let from = lint.source.base_from();
    let (root, faults) = {
        let (root, mut faults) = tree::parse(&Source::new(&text));
        faults
            .iter_mut()
            .for_each(|fault| fault.source = Some(name.to_string()));
        (root, faults)
    };
    lint.source.extend(name.to_string(), text);
    lint.found(faults);
    let mut root = root?;
    root.shift(from);
    Some(root)
}

/// Whether it is the one that was named, and extends nothing itself.
fn check(lint: &mut Lint<'_>, node: &Node, name: &BaseName, base: &Node) -> Option<()> {
    let said = |key| base.get(key).and_then(Node::scalar).unwrap_or_default();
    let (is, version) = (said("name"), said("version"));
    if is != name.name.as_str() || version.parse() != Ok(name.version) {
        let message = format!(
            "there is no playbook {name} to extend: the one there is {}@{}",
            cut(is),
            cut(version)
        );
        let help = format!(
            "write `{}{}@{}`",
            if name.library { "library/" } else { "" },
            cut(is),
            cut(version)
        );
        lint.fault(code::BASE, node.at, message, help);
        return None;
    }
    if base.get("extends").is_some() {
        let message = format!("{name} extends another playbook itself, and there is only one level");
        let help = "extend that other one, or begin with a copy: `echelon playbook new --from`";
        lint.fault(code::BASE, node.at, message, help);
        return None;
    }
    Some(())
}

/// What `with` gives to the base's parameters.
fn with(lint: &mut Lint<'_>, root: &Node, section: &Section) -> BTreeMap<String, Offer> {
    let mut offers = BTreeMap::new();
    let Some(node) = root.get("with") else { return offers };
    for (key, node) in lint.entries(node, "`with`", PARAMS_MAX).unwrap_or_default() {
        let kind = section.all.get(&key.text).map(|declared| declared.param.as_ref());
        let uses = lint.given.uses.get(&node.at.start);
        let stands_in = uses.is_some_and(|uses| uses.iter().any(|used| used.stand_in.is_some()));
        let (at, text) = match kind {
            None => (key.at, None),
            Some(None) => (node.at, None),
            Some(Some(param)) => (node.at, params::written(lint, node, &key.text, &param.kind)),
        };
        let at = Some(at);
        offers.insert(key.text.clone(), Offer { at, text, stands_in });
    }
    offers
}

fn report_needed(
    lint: &mut Lint<'_>,
    root: &Node,
    section: &Section,
    offers: &BTreeMap<String, Offer>,
    base: &BaseName,
) {
    let at = root.get("with").or(root.get("extends")).map_or(root.at, |node| node.at);
    for (name, declared) in &section.all {
        let Some(param) = &declared.param else { continue };
        if param.default.is_none() && !offers.contains_key(name) {
            let message = format!("{base} needs a value for its parameter `{name}`");
            let help = format!("add `with: {{ {name}: ... }}`: {}", param.wanted());
            lint.fault(code::PARAM_NEEDED, at, message, help);
        }
    }
}

/// The playbook laid over its base: keys in its own order, then what it does not say.
fn lay(lint: &mut Lint<'_>, root: Node, base: Node, name: &BaseName) -> Node {
    let at = root.at;
    let (Value::Map(own), Value::Map(base)) = (root.value, base.value) else {
        unreachable!("both have been asked for their keys")
    };
    let mut base: Vec<Entry> = base
        .into_iter()
        .filter(|(key, _)| !OWN.contains(&key.text.as_str()))
        .collect();
    let mut entries = Vec::new();
    for (key, node) in own {
        if key.text == "machine" {
            let message = format!("a playbook that extends another has its machine: this one has that of {name}");
            let help = format!("take it away; for another machine copy the base: `echelon playbook new --from {name}`");
            lint.fault(code::NOT_EXTENDED, key.at, message, help);
            continue;
        }
        let under = base.iter().position(|(known, _)| known.text == key.text);
        let node = match (under.map(|at| base.remove(at).1), key.text.as_str()) {
            (None, _) => node,
            (Some(under), "stages") => stages(lint, node, under, name),
            (Some(under), "invariants") => invariants(node, under),
            (Some(under), mapping) if OVERLAID.contains(&mapping) => overlay(node, under),
            (Some(_), _) => node,
        };
        entries.push((key, node));
    }
    entries.append(&mut base);
    Node {
        at,
        value: Value::Map(entries),
    }
}

/// Each key of the one takes the place of the other's.
fn overlay(over: Node, under: Node) -> Node {
    overlay_with(over, under, |_, over, _| over)
}

fn overlay_with(over: Node, under: Node, same: impl Fn(&str, Node, Node) -> Node) -> Node {
    let at = over.at;
    let (over, mut under) = match (over.value, under.value) {
        (Value::Map(over), Value::Map(under)) => (over, under),
        (value, _) => return Node { at, value },
    };
    let mut entries = Vec::new();
    for (key, node) in over {
        let found = under.iter().position(|(known, _)| known.text == key.text);
        let node = match found.map(|at| under.remove(at).1) {
            Some(under) => same(&key.text, node, under),
            None => node,
        };
        entries.push((key, node));
    }
    entries.append(&mut under);
    Node {
        at,
        value: Value::Map(entries),
    }
}

/// Stages of the same name are one; keys of its `deploy` take the base's place one by one. A stage that the base lacks is
/// a fault: it would be rolled after all others, which hardly anybody means.
fn stages(lint: &mut Lint<'_>, over: Node, under: Node, name: &BaseName) -> Node {
    let at = over.at;
    let (over, mut under) = match (over.value, under.value) {
        (Value::List(over), Value::List(under)) => (over, under),
        (value, _) => return Node { at, value },
    };
    for stage in over {
        let named = stage.get("name").and_then(Node::scalar).map(str::to_owned);
        let found = under
            .iter_mut()
            .find(|known| named.is_some() && known.get("name").and_then(Node::scalar) == named.as_deref());
        match (found, named) {
            (Some(known), _) => {
                let base = std::mem::replace(known, broken(at));
                *known = overlay_with(stage, base, |key, over, under| match key {
                    "deploy" => overlay(over, under),
                    _ => over,
                });
            }
            (None, Some(wanted)) => {
                let at = stage.get("name").map_or(stage.at, |node| node.at);
                let names: Vec<&str> = under.iter().filter_map(|stage| stage.get("name")?.scalar()).collect();
                let help = format!("its stages are {}", names.join(", "));
                let message = format!("{name} has no stage `{}`", cut(&wanted));
                lint.fault(code::NOT_EXTENDED, at, message, help);
            }
            // Its reader says that the name is missing.
            (None, None) => under.push(stage),
        }
    }
    Node {
        at,
        value: Value::List(under),
    }
}

/// Invariants of the same name are one; others come besides the base's, so that none of its is lost by accident.
fn invariants(over: Node, under: Node) -> Node {
    let at = over.at;
    let (over, mut under) = match (over.value, under.value) {
        (Value::List(over), Value::List(under)) => (over, under),
        (value, _) => return Node { at, value },
    };
    let named = |node: &Node| node.get("name").and_then(Node::scalar).map(str::to_owned);
    for one in over {
        let name = named(&one);
        match under.iter_mut().find(|known| name.is_some() && named(known) == name) {
            Some(known) => *known = one,
            None => under.push(one),
        }
    }
    Node {
        at,
        value: Value::List(under),
    }
}

fn broken(at: crate::text::Mark) -> Node {
    Node {
        at,
        value: Value::Broken,
    }
}
