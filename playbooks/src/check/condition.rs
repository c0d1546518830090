//! Conditions: `when`, `until`, `expr`. What a condition may say is the language's own (`echelon-condition`); here its
//! faults get their place in the file, and what is the same for every host is found.

use echelon_condition::Condition;

use super::Lint;
use crate::{
    fault::code,
    text::{Mark, tree::Node},
};

/// Where a condition stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    When,
    Until,
    Invariant,
}

pub(super) fn condition(lint: &mut Lint<'_>, node: &Node, what: &str, _place: Place) -> Option<Condition> {
    let text = lint.words(node, what)?;
    if let Some(at) = text.find("${{") {
        let at = place_of(lint, node, text, at);
        let help = "a condition names what it means without `${{ }}`: host.labels.tier";
        lint.fault(
            code::CONDITION,
            at,
            format!("{what}: `${{{{ }}}}` has no place in a condition"),
            help,
        );
        return None;
    }
    let condition = match Condition::try_from(text.to_owned()) {
        Ok(condition) => condition,
        Err(error) => {
            lint.fault(code::CONDITION, node.at, format!("{what}: {error}"), "mend it");
            return None;
        }
    };
    if !names_something(text) {
        let help = "let it name what it depends on, or take it away";
        lint.fault(
            code::ALWAYS_THE_SAME,
            node.at,
            format!("{what} names nothing, so it is always the same"),
            help,
        );
        return None;
    }
    Some(condition)
}

/// Where in the file a byte of a condition is; the whole of it where it is written in more than one line or with escapes.
fn place_of(lint: &Lint<'_>, node: &Node, text: &str, byte: usize) -> Mark {
    let written = lint.source.text().get(node.at.start..node.at.end).unwrap_or_default();
    let quoted = written.len() == text.len() + 2 && written.get(1..=text.len()) == Some(text);
    if written != text && !quoted {
        return node.at;
    }
    let start = node.at.start + usize::from(quoted) + byte;
    Mark {
        start,
        end: (start + 1).min(node.at.end).max(start),
    }
}

/// Whether there is any name in it: one that is neither a word of the language nor a function's, outside of texts.
fn names_something(text: &str) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c == '"' || c == '\'' {
            rest = after_text(&rest[1..], c);
        } else if is_name(c) {
            let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            let names = !c.is_ascii_digit()
                && !matches!(word, "true" | "false" | "null" | "in")
                && !after.starts_with(['(', '"', '\'']);
            if names {
                return true;
            }
            rest = after;
        } else {
            rest = &rest[c.len_utf8()..];
        }
    }
    false
}

/// What comes after a text whose opening quote has been passed.
fn after_text(inside: &str, quote: char) -> &str {
    let mut escaped = false;
    for (at, c) in inside.char_indices() {
        if c == quote && !escaped {
            return &inside[at + 1..];
        }
        escaped = c == '\\' && !escaped;
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_without_a_name_is_always_the_same() {
        for same in [
            "true",
            "1 < 2",
            "'host' == \"pool\"",
            "size('host') > 3",
            "1e3 > 0.5",
            "'it\\'s' != ''",
        ] {
            assert!(!names_something(same), "{same}");
        }
        for names in ["host.pool == 'a'", "'a' in host.labels", "size(body) > 0", "!ok"] {
            assert!(names_something(names), "{names}");
        }
    }
}
