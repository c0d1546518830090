//! What a playbook declares under `params`: one parameter, in its short or its long form.

use echelon_proto::Span;

use super::{
    super::{
        Lint,
        amount::as_percent,
        fields::{Fields, Shape},
        value::{cut, resolved},
    },
    worth::{fits, written},
};
use crate::{
    fault::code,
    model::{Param, ParamKind},
    text::{
        Mark,
        scalar::Plain,
        tree::{Key, Node, Scalar, Value},
    },
};

const WORDS_MAX: usize = 64;

const PARAM: Shape = Shape {
    what: "a parameter",
    required: &[],
    optional: &["type", "default", "about", "min", "max", "of"],
    later: &[],
    elsewhere: &[(
        "value",
        "values are given when it is used; what it has without is its `default`",
    )],
};

/// What `type` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Text,
    Choice,
    Number,
    Truth,
    Span,
    Amount,
}

const TYPES: &[(&str, Type)] = &[
    ("text", Type::Text),
    ("number", Type::Number),
    ("truth", Type::Truth),
    ("choice", Type::Choice),
    ("span", Type::Span),
    ("amount", Type::Amount),
];

pub(super) fn param(lint: &mut Lint<'_>, key: &Key, node: &Node) -> Option<Param> {
    let (kind, default, about) = match &node.value {
        Value::Map(_) => long(lint, key, node)?,
        Value::Scalar(scalar) => {
            let kind = kind_of(lint, node, scalar)?;
            (kind, Some((scalar.text.clone(), node.at)), String::new())
        }
        Value::List(_) | Value::Broken => {
            let help = "write `port: 8080`, or `port: { type: number, default: 8080 }`";
            lint.wrong_type(node, "a parameter", "its default or a mapping", help);
            return None;
        }
    };
    if let Some((text, at)) = &default {
        fits(lint, &key.text, &kind, text, *at)?;
    }
    Some(Param {
        kind,
        default: default.map(|(text, _)| text),
        value: None,
        about,
    })
}

type Long = (ParamKind, Option<(String, Mark)>, String);

fn long(lint: &mut Lint<'_>, key: &Key, node: &Node) -> Option<Long> {
    let fields = lint.fields(node, &PARAM)?;
    let about = fields.or("about", String::new(), |node| {
        let text = lint.words(node, "about")?;
        if text.contains('\n') {
            lint.fault(code::TEXT, node.at, "`about` is more than one line", "say it in one");
            return None;
        }
        Some(text.to_owned())
    });
    let kind = kind(lint, key, &fields)?;
    let default = fields.or("default", None, |node| {
        let text = written(lint, node, "default", &kind)?;
        Some(Some((text, node.at)))
    })?;
    Some((kind, default, about?))
}

/// The type that is said, or that the default shows.
fn kind(lint: &mut Lint<'_>, key: &Key, fields: &Fields<'_>) -> Option<ParamKind> {
    let said = match (fields.get("type"), fields.get("of"), fields.get("default")) {
        (Some(node), ..) => lint.choice(node, "type", TYPES, &[])?,
        (None, Some(_), _) => Type::Choice,
        (None, None, Some(node)) => {
            let Value::Scalar(scalar) = &node.value else {
                lint.wrong_type(node, "default", "one value", "write one number, text or length of time");
                return None;
            };
            match kind_of(lint, node, scalar)? {
                ParamKind::Number { .. } => Type::Number,
                ParamKind::Truth => Type::Truth,
                ParamKind::Span => Type::Span,
                ParamKind::Amount => Type::Amount,
                ParamKind::Text | ParamKind::Choice(_) => Type::Text,
            }
        }
        (None, None, None) => {
            let message = format!("parameter `{}` needs `type` or `default`", cut(&key.text));
            let help = "add `type: text`; there are text, number, truth, choice, span and amount";
            lint.fault(code::MISSING_KEY, key.at, message, help);
            return None;
        }
    };
    for (key, of) in [("min", Type::Number), ("max", Type::Number), ("of", Type::Choice)] {
        if let Some(at) = fields.key(key).filter(|_| said != of) {
            let what = if of == Type::Number { "number" } else { "choice" };
            let help = format!("take it away, or write `type: {what}`");
            lint.fault(code::MISPLACED, at, format!("`{key}` is of a {what} only"), help);
        }
    }
    match said {
        Type::Text => Some(ParamKind::Text),
        Type::Choice => words(lint, fields).map(ParamKind::Choice),
        Type::Number => bounds(lint, fields),
        Type::Truth => Some(ParamKind::Truth),
        Type::Span => Some(ParamKind::Span),
        Type::Amount => Some(ParamKind::Amount),
    }
}

fn words(lint: &mut Lint<'_>, fields: &Fields<'_>) -> Option<Vec<String>> {
    let Some(node) = fields.get("of") else {
        let help = "add `of: [gold, silver]`";
        lint.fault(code::MISSING_KEY, fields.at, "a choice needs `of`", help);
        return None;
    };
    let items = lint.list(node, "`of`", WORDS_MAX)?;
    if items.is_empty() {
        lint.fault(code::EMPTY, node.at, "`of` is empty", "name the words to choose from");
        return None;
    }
    lint.twice(items, "`of`");
    lint.each(items, |lint, item| {
        let word = lint.words(item, "of")?;
        fits(lint, "of", &ParamKind::Text, word, item.at)?;
        Some(word.to_owned())
    })
}

fn bounds(lint: &mut Lint<'_>, fields: &Fields<'_>) -> Option<ParamKind> {
    let min = fields.or("min", i64::MIN, |node| whole(lint, node, "min"));
    let max = fields.or("max", i64::MAX, |node| whole(lint, node, "max"));
    let (min, max) = (min?, max?);
    if let Some(at) = fields.key("max").filter(|_| min > max) {
        let message = format!("no number is at least {min} and at most {max}");
        lint.fault(code::NUMBER, at, message, "`max` must not be less than `min`");
        return None;
    }
    Some(ParamKind::Number { min, max })
}

fn whole(lint: &mut Lint<'_>, node: &Node, what: &str) -> Option<i64> {
    let number = node.scalar().and_then(|text| text.parse().ok());
    if number.is_none() {
        lint.wrong_type(
            node,
            what,
            "a whole number",
            "write a number without quotes and without a point",
        );
    }
    number
}

/// The type of a value, by how it is written.
fn kind_of(lint: &mut Lint<'_>, node: &Node, scalar: &Scalar) -> Option<ParamKind> {
    match resolved(scalar) {
        Plain::Number => Some(ParamKind::Number {
            min: i64::MIN,
            max: i64::MAX,
        }),
        Plain::Truth(_) => Some(ParamKind::Truth),
        Plain::Text if scalar.plain && scalar.text.parse::<Span>().is_ok() => Some(ParamKind::Span),
        Plain::Text if scalar.plain && as_percent(&scalar.text).is_some() => Some(ParamKind::Amount),
        Plain::Text | Plain::Fraction | Plain::Nothing => lint.text(node, "a parameter").map(|_| ParamKind::Text),
    }
}
