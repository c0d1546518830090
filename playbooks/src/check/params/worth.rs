//! Whether a value is one that its parameter takes.

use echelon_proto::Span;

use super::super::{
    Lint,
    amount::as_percent,
    value::{TEXT_CHARS_MAX, cut, resolved},
};
use crate::{
    fault::code,
    model::ParamKind,
    text::{
        Mark,
        scalar::{Plain, resolve},
        tree::{Node, Value},
    },
};

/// A value as it is written for a parameter of this kind.
pub(in crate::check) fn written(lint: &mut Lint<'_>, node: &Node, what: &str, kind: &ParamKind) -> Option<String> {
    let scalar = match (&node.value, kind) {
        (Value::Scalar(scalar), _) if resolved(scalar) != Plain::Nothing => scalar,
        _ => {
            lint.wrong_type(node, what, &kind.to_string(), "write one value");
            return None;
        }
    };
    match kind {
        ParamKind::Text | ParamKind::Choice(_) => lint.text(node, what).map(str::to_owned),
        ParamKind::Number { .. } | ParamKind::Truth | ParamKind::Span | ParamKind::Amount => Some(scalar.text.clone()),
    }
}

/// Whether a parameter of this kind takes the value; reported.
pub(super) fn fits(lint: &mut Lint<'_>, name: &str, kind: &ParamKind, text: &str, at: Mark) -> Option<()> {
    let wrong = if text.contains("${{") {
        "has a variable in it, which no value can".to_owned()
    } else if text.chars().any(char::is_control) {
        "is not one line of plain characters".to_owned()
    } else if text.chars().nth(TEXT_CHARS_MAX).is_some() {
        format!("has more than {TEXT_CHARS_MAX} characters")
    } else if !takes(kind, text) {
        format!("is not {kind}")
    } else {
        return Some(());
    };
    let message = format!("parameter `{}`: {:?} {wrong}", cut(name), cut(text));
    lint.fault(code::PARAM_VALUE, at, message, format!("give it {kind}"));
    None
}

pub(super) fn takes(kind: &ParamKind, text: &str) -> bool {
    match kind {
        ParamKind::Text => true,
        ParamKind::Choice(words) => words.iter().any(|word| word == text),
        ParamKind::Number { min, max } => text.parse::<i64>().is_ok_and(|number| (*min..=*max).contains(&number)),
        ParamKind::Truth => matches!(resolve(text), Plain::Truth(_)),
        ParamKind::Span => text.parse::<Span>().is_ok(),
        ParamKind::Amount => as_percent(text).is_some() || text.parse::<u32>().is_ok_and(|hosts| hosts > 0),
    }
}
