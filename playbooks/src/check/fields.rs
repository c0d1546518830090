//! Which keys a mapping may have, and what is said of the ones it may not: a typing mistake gets the nearest known key, a
//! key of the language that this version lacks says so, a key in the wrong place says where it belongs.

use super::{Lint, value::cut};
use crate::{
    fault::code,
    text::{
        Mark, scalar,
        tree::{Key, Node, Value},
    },
};

/// The keys of one kind of mapping.
pub(super) struct Shape {
    /// `a phase`
    pub(super) what: &'static str,
    /// Each with an example, which becomes the help when it is missing.
    pub(super) required: &'static [(&'static str, &'static str)],
    pub(super) optional: &'static [&'static str],
    /// Of the language, but not of this version.
    pub(super) later: &'static [&'static str],
    /// What people write here by mistake, and the help.
    pub(super) elsewhere: &'static [(&'static str, &'static str)],
}

impl Shape {
    pub(super) fn keys(&self) -> impl Iterator<Item = &'static str> {
        let required = self.required.iter().map(|(key, _)| *key);
        required.chain(self.optional.iter().copied())
    }
}

/// The entries of a mapping whose keys have been checked.
#[derive(Clone, Copy)]
pub(super) struct Fields<'n> {
    pub(super) at: Mark,
    entries: &'n [(Key, Node)],
}

impl<'n> Fields<'n> {
    pub(super) fn get(&self, key: &str) -> Option<&'n Node> {
        self.entry(key).map(|(_, node)| node)
    }

    /// The value of a key, or what it is when the key is not there.
    pub(super) fn or<T>(&self, key: &str, default: T, read: impl FnOnce(&'n Node) -> Option<T>) -> Option<T> {
        self.get(key).map_or(Some(default), read)
    }

    pub(super) fn key(&self, key: &str) -> Option<Mark> {
        self.entry(key).map(|(key, _)| key.at)
    }

    fn entry(&self, key: &str) -> Option<&'n (Key, Node)> {
        self.entries.iter().find(|(at, _)| at.text == key)
    }
}

impl Lint<'_> {
    /// The entries of a mapping of this shape; `None` if it is no mapping. Wrong and missing keys are reported.
    pub(super) fn fields<'n>(&mut self, node: &'n Node, shape: &Shape) -> Option<Fields<'n>> {
        #[cfg(all(test, feature = "schema"))]
        super::met::note(shape);
        let entries = self.mapping(node, shape.what)?;
        let mut meant = Vec::new();
        for (key, _) in entries {
            if !shape.keys().any(|known| known == key.text) {
                meant.extend(self.stray(key, shape));
            }
        }
        for (key, example) in shape.required {
            if !meant.contains(key) && !entries.iter().any(|(at, _)| at.text == *key) {
                let message = format!("{} needs `{key}`", shape.what);
                self.fault(code::MISSING_KEY, node.at, message, format!("add `{example}`"));
            }
        }
        Some(Fields { at: node.at, entries })
    }

    /// Reports a key that cannot be here; gives the one that was meant, if it is only a typing mistake.
    fn stray(&mut self, key: &Key, shape: &Shape) -> Option<&'static str> {
        let (name, what) = (&key.text, shape.what);
        if self.ambiguous(key) {
            return None;
        }
        if shape.later.contains(&name.as_str()) {
            let message = format!("not yet: this version has no `{name}` in {what}");
            let help = "take it away, or wait for a version that has it";
            self.fault(code::NOT_YET, key.at, message, help);
            return None;
        }
        if let Some((_, help)) = shape.elsewhere.iter().find(|(key, _)| key == name) {
            self.fault(code::MISPLACED, key.at, format!("`{name}` is no key of {what}"), help);
            return None;
        }
        let meant = nearest(name, shape.keys());
        let help = match meant {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("its keys are {}", shape.keys().collect::<Vec<_>>().join(", ")),
        };
        self.fault(
            code::UNKNOWN_KEY,
            key.at,
            format!("`{}` is no key of {what}", cut(name)),
            help,
        );
        meant
    }

    /// Whether other tools would read a key as true or false; reported.
    fn ambiguous(&mut self, key: &Key) -> bool {
        let ambiguous = key.plain && scalar::is_ambiguous(&key.text);
        if ambiguous {
            let message = format!("the key `{}` is true or false to older YAML tools", key.text);
            self.fault(
                code::AMBIGUOUS_KEY,
                key.at,
                message,
                "choose another name, or put it in quotes",
            );
        }
        ambiguous
    }

    /// The entries of a mapping whose keys are names that the user chooses; `None` if it is none or too large.
    pub(super) fn entries<'n>(&mut self, node: &'n Node, what: &str, max: usize) -> Option<&'n [(Key, Node)]> {
        let entries = self.mapping(node, what)?;
        for (key, _) in entries {
            self.ambiguous(key);
        }
        if let Some((key, _)) = entries.get(max) {
            let message = format!("{what} has {} entries, more than {max}", entries.len());
            self.fault(code::TOO_LARGE, key.at, message, "is all of it needed?");
            return None;
        }
        Some(entries)
    }

    fn mapping<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [(Key, Node)]> {
        match &node.value {
            Value::Map(entries) => Some(entries),
            _ => {
                self.wrong_type(
                    node,
                    what,
                    "a mapping of keys and values",
                    "write it as `{ key: value }`",
                );
                None
            }
        }
    }
}

/// The known word that was probably meant.
pub(super) fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    // Words are compared in time that grows with both lengths.
    if word.len() > 128 {
        return None;
    }
    let written = word.to_lowercase();
    let length = written.chars().count();
    let worth = |known: &str| {
        let limit = (known.len().max(word.len()) / 3).max(1);
        let known = known.to_lowercase();
        // Each character that one has more is a step. Most words of a text that is no playbook are told apart by that.
        if length.abs_diff(known.chars().count()) > limit {
            return None;
        }
        let distance = strsim::damerau_levenshtein(&written, &known);
        (distance <= limit).then_some(distance)
    };
    known
        .filter_map(|known| Some((worth(known)?, known)))
        .min()
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_mistake_finds_the_word_that_was_meant() {
        let known = ["timeout", "retry", "to", "from"];
        assert_eq!(nearest("timout", known.into_iter()), Some("timeout"));
        assert_eq!(nearest("Form", known.into_iter()), Some("from"));
        assert_eq!(nearest("banana", known.into_iter()), None);
        assert_eq!(nearest(&"x".repeat(1000), known.into_iter()), None);
    }
}
