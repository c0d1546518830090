//! A tree of values -> YAML, one value a line. Deliberately no keeping of comments or of the author's way of writing: the
//! text is made to be read again, and gives the same values then.

use std::{collections::BTreeSet, fmt::Write as _};

use super::{
    scalar::{Plain, is_ambiguous, resolve},
    tree::{Key, Node, Scalar, Value},
};

/// The text of a mapping's entries. `as_text`: places of values that look like something else and were read as text.
pub(crate) fn emit(entries: &[&(Key, Node)], as_text: &BTreeSet<usize>) -> String {
    let mut emitter = Emitter {
        out: String::new(),
        as_text,
    };
    for (key, node) in entries {
        emitter.entry(key, node, 0);
    }
    emitter.out
}

struct Emitter<'a> {
    out: String,
    as_text: &'a BTreeSet<usize>,
}

impl Emitter<'_> {
    fn entry(&mut self, key: &Key, node: &Node, depth: usize) {
        self.out.push_str(&word(&key.text, key.plain));
        self.out.push(':');
        self.value(node, depth);
    }

    /// What stands after `key:` or `-`, and the end of the line.
    fn value(&mut self, node: &Node, depth: usize) {
        match &node.value {
            Value::Scalar(scalar) => {
                let text = self.scalar(scalar, node.at.start);
                let space = if text.is_empty() { "" } else { " " };
                self.out.push_str(&format!("{space}{text}\n"));
            }
            Value::Broken => self.out.push('\n'),
            Value::List(items) if items.is_empty() => self.out.push_str(" []\n"),
            Value::Map(entries) if entries.is_empty() => self.out.push_str(" {}\n"),
            Value::List(items) => {
                self.out.push('\n');
                for item in items {
                    self.item(item, depth + 1);
                }
            }
            Value::Map(entries) => {
                self.out.push('\n');
                for (key, node) in entries {
                    self.indent(depth + 1);
                    self.entry(key, node, depth + 1);
                }
            }
        }
    }

    /// The first entry of a mapping stands on the line of its dash.
    fn item(&mut self, item: &Node, depth: usize) {
        self.indent(depth);
        self.out.push('-');
        let Value::Map(entries) = &item.value else {
            return self.value(item, depth);
        };
        if entries.is_empty() {
            return self.value(item, depth);
        }
        for (at, (key, node)) in entries.iter().enumerate() {
            if at == 0 {
                self.out.push(' ');
            } else {
                self.indent(depth + 1);
            }
            self.entry(key, node, depth + 1);
        }
    }

    fn indent(&mut self, depth: usize) {
        (0..depth).for_each(|_| self.out.push_str("  "));
    }

    fn scalar(&self, scalar: &Scalar, at: usize) -> String {
        let is_text = !scalar.plain || resolve(&scalar.text) == Plain::Text || self.as_text.contains(&at);
        match is_text {
            true => word(&scalar.text, false),
            false => scalar.text.clone(),
        }
    }
}

/// A text, in quotes where it could be taken for anything else. A plain key needs none: it had none.
fn word(text: &str, plain: bool) -> String {
    let safe = text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-+/%@".contains(&b))
        && resolve(text) == Plain::Text
        && !is_ambiguous(text);
    match safe || plain {
        true => text.to_owned(),
        false => quoted(text),
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            // What ends a line or is not shown.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                write!(out, "\\u{:04x}", u32::from(c)).expect("a string takes all");
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Source, tree},
        *,
    };

    fn again(text: &str) -> String {
        let (root, faults) = tree::parse(&Source::new(text));
        assert!(faults.is_empty(), "{faults:?} of {text}");
        let Some(Node {
            value: Value::Map(entries),
            ..
        }) = root
        else {
            panic!("no mapping: {text}")
        };
        emit(&entries.iter().collect::<Vec<_>>(), &BTreeSet::new())
    }

    #[test]
    fn what_is_written_is_read_as_the_same_and_written_the_same() {
        let text = "a: { b: [1, two, \"3\", [], {}, [x, [z]]], \"on\": {c: \"yes: # no\", d: \"l1\\nl2\\u0085\\\"\\\\\"} }\n\
                    e:\n  - { f: 10%, g: true }\n  - ~\n  - \"${{ host.name }}\"\n";
        let once = again(text);
        let want = "a:\n  b:\n    - 1\n    - two\n    - \"3\"\n    - []\n    - {}\n    -\n      - x\n      -\n        - z\n  \
                    on:\n    c: \"yes: # no\"\n    d: \"l1\\nl2\\u0085\\\"\\\\\"\ne:\n  - f: 10%\n    g: true\n  - ~\n  \
                    - \"${{ host.name }}\"\n";
        assert_eq!(once, want.replace("  on:", "  \"on\":"));
        assert_eq!(again(&once), once);
    }
}
