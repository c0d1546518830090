//! Conditions: `when`, `until`, `expr`. What a condition may say is the language's own (`echelon-condition`); here its
//! faults get their place in the file, and what is the same for every host is found.

use echelon_condition::{Condition, Place};

use super::{Lint, value::resolved};
use crate::{
    fault::code,
    text::{
        Mark,
        scalar::Plain,
        tree::{Node, Value},
    },
};

pub(super) fn condition(lint: &mut Lint<'_>, node: &Node, what: &str, place: Place) -> Option<Condition> {
    if let Value::Scalar(scalar) = &node.value
        && let Plain::Truth(truth) = resolved(scalar)
    {
        always(lint, node, format!("{what} is always {truth}"));
        return None;
    }
    let text = lint.words(node, what)?;
    if let Some(at) = text.find("${{") {
        let message = format!("{what}: `${{{{ }}}}` has no place in a condition");
        let help = "a condition names what it means without it: host.labels.tier == \"gold\"";
        lint.fault(code::CONDITION, place_of(lint, node, text, at), message, help);
        return None;
    }
    let condition = match Condition::new(text, place) {
        Ok(condition) => condition,
        Err(invalid) => {
            let at = place_of(lint, node, text, invalid.at);
            lint.fault(
                code::CONDITION,
                at,
                format!("{what}: {}", invalid.message),
                invalid.help,
            );
            return None;
        }
    };
    if names(text).is_empty() {
        always(lint, node, format!("{what} names nothing, so it is always the same"));
        return None;
    }
    Some(condition)
}

fn always(lint: &mut Lint<'_>, node: &Node, message: String) {
    let help = "let it name what it depends on, or take it away";
    lint.fault(code::ALWAYS_THE_SAME, node.at, message, help);
}

/// Where in the file a piece of a condition is that begins at this byte; the whole condition where it is written in more
/// than one line or with escapes.
pub(super) fn place_of(lint: &Lint<'_>, node: &Node, text: &str, byte: usize) -> Mark {
    let written = lint.source.text().get(node.at.start..node.at.end).unwrap_or_default();
    let quoted = written.len() == text.len() + 2 && written.get(1..=text.len()) == Some(text);
    if written != text && !quoted {
        return node.at;
    }
    let word = text
        .get(byte..)
        .map_or(0, |rest| rest.find(|c| !is_name(c)).unwrap_or(rest.len()));
    let start = node.at.start + usize::from(quoted) + byte.min(text.len());
    Mark {
        start,
        end: start + word.max(1),
    }
}

const fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The variables that a condition names, and where: neither words of the language, nor functions, nor what comes after a
/// point or stands in a text.
pub(super) fn names(text: &str) -> Vec<(usize, &str)> {
    let (mut names, mut rest, mut before) = (Vec::new(), text, ' ');
    while let Some(c) = rest.chars().next() {
        let at = text.len() - rest.len();
        if c == '"' || c == '\'' {
            rest = after_text(&rest[1..], c);
        } else if is_name(c) {
            let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            let plain = c.is_ascii_digit() || matches!(word, "true" | "false" | "null" | "in");
            if !plain && before != '.' && !after.starts_with(['(', '"', '\'']) {
                names.push((at, word));
            }
            rest = after;
        } else {
            rest = &rest[c.len_utf8()..];
        }
        before = c;
    }
    names
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
    fn what_a_condition_names_is_found_in_it() {
        for same in [
            "true",
            "1 < 2",
            "'host' == \"pool\"",
            "size('host') > 3",
            "1e3 > 0.5",
            "'it\\'s' != ''",
        ] {
            assert_eq!(names(same), [], "{same}");
        }
        assert_eq!(names("host.pool == 'a' && x"), [(0, "host"), (20, "x")]);
        assert_eq!(names("'a' in host.labels"), [(7, "host")]);
        assert_eq!(names("!has(json.ready) || size(body) > 0"), [(5, "json"), (25, "body")]);
    }
}
