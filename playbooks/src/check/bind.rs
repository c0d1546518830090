//! Puts the values of parameters where `${{ params.x }}` stands, in the tree, before anything in it is checked: a scalar
//! that is nothing else becomes the value as if it had been written there, any other gets it as a piece of its text.
//! Places stay, so that what is wrong with a value is shown where it is used. A value never becomes more than a piece of
//! one scalar; nor does it become a variable, or a term of a selector or condition that has other terms.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Lint,
    params::{self, Bound, Owner, Values},
    value::cut,
};
use crate::{
    fault::code,
    text::{
        Mark,
        tree::{Key, Node, Scalar, Value},
    },
};

/// What all values together may add to a text: a small text could otherwise become a huge one.
const GROWTH_BYTES_MAX: usize = 1 << 20;
/// Keys of a playbook where a parameter has no place: they say what the text is, before it is used.
const FIXED: [&str; 3] = ["name", "version", "extends"];
/// Keys whose texts have a grammar of their own.
const GRAMMAR: [&str; 6] = ["selector", "exclude", "order_within_group", "when", "until", "expr"];

/// Which values were put in, by the start of their places, so that faults can say where a value comes from.
#[derive(Debug, Default)]
pub(super) struct GivenAt {
    pub(super) uses: BTreeMap<usize, Vec<Use>>,
    /// Places where a value that looks like something else was read as text.
    pub(super) as_text: BTreeSet<usize>,
}

/// A value that was put somewhere.
#[derive(Debug, Clone)]
pub(super) struct Use {
    pub(super) owner: Owner,
    pub(super) param: String,
    /// What was put in, where it only stands for a value.
    pub(super) stand_in: Option<String>,
}

/// Puts the values in; gives the names of the parameters that are used.
pub(super) fn put(lint: &mut Lint<'_>, root: &mut Node, values: &Values, owner: Owner) -> BTreeSet<String> {
    let mut binder = Binder {
        lint,
        values,
        owner,
        used: BTreeSet::new(),
        grown: 0,
    };
    let Value::Map(entries) = &mut root.value else {
        return binder.used;
    };
    for (key, node) in entries {
        binder.key(key);
        match key.text.as_str() {
            "params" => {}
            fixed if FIXED.contains(&fixed) => binder.fixed(fixed, node),
            name => binder.node(node, GRAMMAR.contains(&name)),
        }
    }
    binder.used
}

struct Binder<'a, 't> {
    lint: &'a mut Lint<'t>,
    values: &'a Values,
    owner: Owner,
    used: BTreeSet<String>,
    grown: usize,
}

enum Piece<'t> {
    Text(&'t str),
    Param(&'t str),
}

enum Wrong {
    /// A variable within another.
    Nested,
    /// `${{` without `}}`.
    Open,
}

impl Binder<'_, '_> {
    fn node(&mut self, node: &mut Node, grammar: bool) {
        match &mut node.value {
            Value::Broken => {}
            Value::List(items) => items.iter_mut().for_each(|item| self.node(item, grammar)),
            Value::Map(entries) => {
                for (key, node) in entries {
                    self.key(key);
                    self.node(node, GRAMMAR.contains(&key.text.as_str()));
                }
            }
            Value::Scalar(scalar) => {
                if self.scalar(scalar, node.at, grammar).is_none() {
                    node.value = Value::Broken;
                }
            }
        }
    }

    fn key(&mut self, key: &Key) {
        if has_params(&key.text) {
            let help = "write the key itself: only values have parameters in them";
            self.lint.fault(code::PARAM_PLACE, key.at, "a parameter in a key", help);
        }
    }

    fn fixed(&mut self, what: &str, node: &mut Node) {
        if node.scalar().is_some_and(has_params) {
            let help = "write the value itself: it says which text this is, whatever is given";
            let message = format!("a parameter in `{what}`");
            self.lint.fault(code::PARAM_PLACE, node.at, message, help);
            node.value = Value::Broken;
        }
    }

    /// `None`: something is wrong with it, which has been reported.
    fn scalar(&mut self, scalar: &mut Scalar, at: Mark, grammar: bool) -> Option<()> {
        let pieces = match pieces(&scalar.text) {
            Ok(None) => return Some(()),
            Ok(Some(pieces)) => pieces,
            Err(wrong) => {
                self.wrong(&wrong, at);
                return None;
            }
        };
        let whole = matches!(pieces.as_slice(), [Piece::Param(_)]);
        let (mut text, mut plain, mut variables, mut right) = (String::new(), scalar.plain, 0, true);
        for piece in pieces {
            let name = match piece {
                Piece::Text(piece) => {
                    variables += piece.matches("${{").count();
                    text.push_str(piece);
                    continue;
                }
                Piece::Param(name) => name,
            };
            match self.value(name, at, grammar && !whole) {
                None => right = false,
                Some(bound) => {
                    plain = bound.plain;
                    text.push_str(&bound.text);
                }
            }
        }
        if !right {
            return None;
        }
        // A value that begins with `{{` behind a `$`.
        if text.matches("${{").count() != variables {
            let help = "keep `$` and `{` apart, in the playbook or in the value";
            self.lint
                .fault(code::PARAM_VALUE, at, "the value makes a variable of its place", help);
            return None;
        }
        scalar.text = text;
        scalar.plain = whole && plain;
        scalar.given = whole;
        Some(())
    }

    fn wrong(&mut self, wrong: &Wrong, at: Mark) {
        let (message, help) = match wrong {
            Wrong::Nested => ("a variable within another", "write one after the other: no nesting"),
            Wrong::Open => ("`${{` is not closed by `}}`", "write `${{ params.x }}`"),
        };
        self.lint.fault(code::PARAM_PLACE, at, message, help);
    }

    /// The value of a parameter that stands at this place.
    fn value(&mut self, name: &str, at: Mark, one_word: bool) -> Option<&Bound> {
        let values = self.values;
        self.used.insert(name.to_owned());
        let Some(bound) = values.get(name) else {
            params::unknown(self.lint, name, at, self.owner, values.keys().map(String::as_str));
            return None;
        };
        let bound = bound.as_ref()?;
        self.grown += bound.text.len();
        if self.grown > GROWTH_BYTES_MAX {
            if self.grown - bound.text.len() <= GROWTH_BYTES_MAX {
                let message = format!("the values of parameters add more than {GROWTH_BYTES_MAX} bytes");
                self.lint.fault(
                    code::TOO_LARGE,
                    at,
                    message,
                    "give shorter values, or use them less often",
                );
            }
            return None;
        }
        self.lint.given.uses.entry(at.start).or_default().push(Use {
            owner: self.owner,
            param: name.to_owned(),
            stand_in: bound.stands_in.then(|| bound.text.clone()),
        });
        if one_word && !bound.text.chars().all(is_of_word) {
            let message = format!(
                "{:?} is more than one word of a selector or condition",
                cut(&bound.text)
            );
            let help = "such a value has only A-Z a-z 0-9 and . _ - + : / @ %";
            self.lint.fault(code::PARAM_VALUE, at, message, help);
            return None;
        }
        Some(bound)
    }
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._-+:/@%".contains(c)
}

fn has_params(text: &str) -> bool {
    !matches!(pieces(text), Ok(None))
}

/// The pieces of a text that has parameters in it; `None` if it has none.
fn pieces(text: &str) -> Result<Option<Vec<Piece<'_>>>, Wrong> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find("${{") {
        let inside = &rest[open + 3..];
        let Some(close) = inside.find("}}") else {
            // Other variables are read where they stand.
            if param(inside.trim()).is_some() {
                return Err(Wrong::Open);
            }
            break;
        };
        let (name, behind) = (inside[..close].trim(), &inside[close + 2..]);
        if name.contains("${{") && name.contains("params") {
            return Err(Wrong::Nested);
        }
        match param(name) {
            Some(name) => {
                pieces.extend((open > 0).then_some(Piece::Text(&rest[..open])));
                pieces.push(Piece::Param(name));
            }
            None => pieces.push(Piece::Text(&rest[..rest.len() - behind.len()])),
        }
        rest = behind;
    }
    pieces.extend((!rest.is_empty()).then_some(Piece::Text(rest)));
    let any = pieces.iter().any(|piece| matches!(piece, Piece::Param(_)));
    Ok(any.then_some(pieces))
}

/// `port` of `params.port`.
fn param(variable: &str) -> Option<&str> {
    match variable.strip_prefix("params") {
        Some("") => Some(""),
        Some(rest) => rest.strip_prefix('.').map(str::trim),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match pieces(text) {
            Ok(None) => "none".into(),
            Err(Wrong::Nested) => "nested".into(),
            Err(Wrong::Open) => "open".into(),
            Ok(Some(pieces)) => pieces
                .iter()
                .map(|piece| match piece {
                    Piece::Text(text) => format!("[{text}]"),
                    Piece::Param(name) => format!("<{name}>"),
                })
                .collect(),
        }
    }

    #[test]
    fn a_text_is_cut_where_parameters_stand() {
        for (text, want) in [
            ("plain", "none"),
            ("${{ host.name }}", "none"),
            ("${{ parameters.x }}", "none"),
            ("${{params.a}}", "<a>"),
            ("x${{ params.a }}${{ host.name }}y", "[x]<a>[${{ host.name }}][y]"),
            ("${{ params.a }}${{ params.b }} ${{", "<a><b>[ ${{]"),
            ("${{ params.a | upper }}", "<a | upper>"),
            ("${{ host.${{ params.a }} }}", "nested"),
            ("${{ params.${{ params.a }} }}", "nested"),
            ("${{ params.a", "open"),
            ("${{ params }}", "<>"),
        ] {
            assert_eq!(shown(text), want, "{text}");
        }
    }
}
