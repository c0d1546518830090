//! Single values: text, names, numbers, lengths of time, words of a list (amounts are in `amount`). Each reader takes the key under which the
//! value stands, for the message.

use std::{collections::BTreeSet, ops::RangeInclusive, str::FromStr};

use echelon_proto::{Span, id};

use super::{Lint, fields::nearest};
use crate::{
    fault::code,
    template::Template,
    text::{
        Mark,
        scalar::{Plain, resolve},
        tree::{Key, Node, Scalar, Value},
    },
};

/// Characters of one text: an argument, a URL, a selector.
pub(super) const TEXT_CHARS_MAX: usize = 4096;
/// Names that a help lists.
const LISTED_MAX: usize = 12;

/// Names that a reference may use; `None` where they could not be read, so that nothing can be said of a reference.
pub(super) type Known = Option<BTreeSet<String>>;

/// What a reference refers to.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    /// `state`
    pub(super) noun: &'static str,
    pub(super) code: &'static str,
}

impl Lint<'_> {
    /// Says that a value is not what belongs here, unless it has been found wrong already.
    pub(super) fn wrong_type(&mut self, node: &Node, what: &str, wanted: &str, help: &str) {
        let found = match &node.value {
            Value::Broken => return,
            Value::Map(_) => "a mapping".to_owned(),
            Value::List(_) => "a list".to_owned(),
            Value::Scalar(scalar) => match resolved(scalar) {
                Plain::Nothing => {
                    let help = "give it a value, or take the key away";
                    return self.fault(code::EMPTY, node.at, format!("{what} is empty"), help);
                }
                Plain::Truth(_) => format!("{} (true or false)", scalar.text),
                Plain::Number | Plain::Fraction => format!("the number {}", scalar.text),
                Plain::Text => format!("the text {:?}", cut(&scalar.text)),
            },
        };
        self.fault(
            code::WRONG_TYPE,
            node.at,
            format!("{what} must be {wanted}, not {found}"),
            help,
        );
    }

    pub(super) fn text<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        let text = self.long_text(node, what)?;
        if text.chars().nth(TEXT_CHARS_MAX).is_some() {
            let message = format!("{what} has more than {TEXT_CHARS_MAX} characters");
            self.fault(code::TEXT, node.at, message, "put it into a file of the artifact");
            return None;
        }
        Some(text)
    }

    /// Text of any length.
    pub(super) fn long_text<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        let Value::Scalar(scalar) = &node.value else {
            self.wrong_type(node, what, "text", "write one text");
            return None;
        };
        match resolved(scalar) {
            Plain::Text => {}
            Plain::Nothing => {
                self.wrong_type(node, what, "text", "");
                return None;
            }
            // Its author cannot put quotes round the value.
            Plain::Truth(_) | Plain::Number | Plain::Fraction if scalar.given => {
                self.given.as_text.insert(node.at.start);
            }
            found @ (Plain::Truth(_) | Plain::Number | Plain::Fraction) => {
                let text = &scalar.text;
                let read = if matches!(found, Plain::Truth(_)) {
                    "true or false"
                } else {
                    "a number"
                };
                let message = format!("{what} must be text, but YAML reads {} as {read}", cut(text));
                self.fault(code::QUOTES, node.at, message, format!("put it in quotes: \"{text}\""));
                return None;
            }
        }
        if scalar.text.contains('\0') {
            self.fault(
                code::TEXT,
                node.at,
                format!("{what} has a zero byte in it"),
                "take `\\0` away",
            );
            return None;
        }
        Some(&scalar.text)
    }

    /// Text that says something.
    pub(super) fn words<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        let text = self.text(node, what)?;
        if text.trim().is_empty() {
            let help = "give it a value, or take the key away";
            self.fault(code::EMPTY, node.at, format!("{what} is empty"), help);
            return None;
        }
        Some(text)
    }

    pub(super) fn template(&mut self, node: &Node, what: &str) -> Option<Template> {
        let text = self.text(node, what)?;
        self.template_of(text, node.at, what)
    }

    pub(super) fn template_of(&mut self, text: &str, at: Mark, what: &str) -> Option<Template> {
        if let Some(written) = almost_variable(text) {
            let message = format!("{what}: `{written}` is no variable and stays as it is written");
            let help = "a variable is written `${{ host.labels.port }}`, with a dollar and two brackets";
            self.fault(code::ALMOST_VARIABLE, at, message, help);
        }
        match text.parse() {
            Ok(template) => Some(template),
            Err(error) => {
                let help = "write `${{ host.labels.port }}` for a label of the host; no functions, no nesting";
                self.fault(code::TEMPLATE, at, format!("{what}: {error}"), help);
                None
            }
        }
    }

    pub(super) fn name<T: FromStr<Err = id::Invalid>>(&mut self, node: &Node, what: &str) -> Option<T> {
        let text = self.text(node, what)?;
        self.name_of(text, node.at, what)
    }

    pub(super) fn key_name<T: FromStr<Err = id::Invalid>>(&mut self, key: &Key, what: &str) -> Option<T> {
        self.name_of(&key.text, key.at, what)
    }

    fn name_of<T: FromStr<Err = id::Invalid>>(&mut self, text: &str, at: Mark, what: &str) -> Option<T> {
        let name = text.parse();
        if name.is_err() {
            let help = "1 to 128 characters of A-Z a-z 0-9 . _ - +, the first a letter or digit";
            self.fault(code::NAME, at, format!("{what}: {:?} is not a name", cut(text)), help);
        }
        name.ok()
    }

    /// A name that must be one of the known.
    pub(super) fn reference<T>(&mut self, node: &Node, what: &str, kind: Kind, known: &Known) -> Option<T>
    where
        T: FromStr<Err = id::Invalid>,
    {
        let text = self.text(node, what)?;
        self.reference_of(text, node.at, what, kind, known)
    }

    pub(super) fn key_reference<T>(&mut self, key: &Key, what: &str, kind: Kind, known: &Known) -> Option<T>
    where
        T: FromStr<Err = id::Invalid>,
    {
        self.reference_of(&key.text, key.at, what, kind, known)
    }

    fn reference_of<T>(&mut self, text: &str, at: Mark, what: &str, kind: Kind, known: &Known) -> Option<T>
    where
        T: FromStr<Err = id::Invalid>,
    {
        let name = self.name_of(text, at, what)?;
        let Some(known) = known else { return Some(name) };
        if known.contains(text) {
            return Some(name);
        }
        let noun = kind.noun;
        let help = match nearest(text, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => format!("there is none: define the {noun} first"),
            None => format!("define it, or use one of these: {}", listed(known)),
        };
        self.fault(kind.code, at, format!("{what}: there is no {noun} `{text}`"), help);
        None
    }

    pub(super) fn number(&mut self, node: &Node, what: &str, range: RangeInclusive<u32>) -> Option<u32> {
        let (min, max) = (*range.start(), *range.end());
        let scalar = match &node.value {
            Value::Scalar(scalar) if resolved(scalar) == Plain::Number => scalar,
            _ => {
                self.wrong_type(
                    node,
                    what,
                    "a whole number",
                    "write a number without quotes and without a point",
                );
                return None;
            }
        };
        let number = scalar.text.parse().ok().filter(|number| range.contains(number));
        if number.is_none() {
            let message = format!("{what} is {}, which is out of its bounds", cut(&scalar.text));
            self.fault(
                code::NUMBER,
                node.at,
                message,
                format!("write a number from {min} to {max}"),
            );
        }
        number
    }

    pub(super) fn truth(&mut self, node: &Node, what: &str) -> Option<bool> {
        match &node.value {
            Value::Scalar(scalar) => match resolved(scalar) {
                Plain::Truth(truth) => return Some(truth),
                _ => self.wrong_type(node, what, "true or false", "write `true` or `false`, without quotes"),
            },
            _ => self.wrong_type(node, what, "true or false", "write `true` or `false`"),
        }
        None
    }

    pub(super) fn span(&mut self, node: &Node, what: &str, range: RangeInclusive<Span>) -> Option<Span> {
        if let Value::Scalar(scalar) = &node.value
            && matches!(resolved(scalar), Plain::Number | Plain::Fraction)
        {
            let message = format!("{what} is {}, but of what?", cut(&scalar.text));
            self.fault(
                code::SPAN,
                node.at,
                message,
                "write a length of time with its unit: 500ms, 30s, 10m, 1h30m",
            );
            return None;
        }
        if let Value::List(_) | Value::Map(_) = node.value {
            self.wrong_type(node, what, "a length of time", "write it as 500ms, 30s, 10m or 1h30m");
            return None;
        }
        let text = self.text(node, what)?;
        let Ok(span) = text.parse::<Span>() else {
            let message = format!("{what}: {:?} is not a length of time", cut(text));
            self.fault(code::SPAN, node.at, message, "write it as 500ms, 30s, 10m or 1h30m");
            return None;
        };
        if range.contains(&span) {
            return Some(span);
        }
        let (min, max) = (range.start(), range.end());
        let message = format!("{what} is {span}, which is out of its bounds");
        self.fault(
            code::SPAN,
            node.at,
            message,
            format!("write a length of time from {min} to {max}"),
        );
        None
    }

    /// One of these words. `later` are words of the language that this version lacks.
    pub(super) fn choice<T: Copy>(
        &mut self,
        node: &Node,
        what: &str,
        words: &[(&str, T)],
        later: &[&str],
    ) -> Option<T> {
        let text = self.text(node, what)?;
        if let Some((_, choice)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*choice);
        }
        if later.contains(&text) {
            let message = format!("not yet: this version has no `{what}: {text}`");
            self.fault(code::NOT_YET, node.at, message, format!("it has {}", any_of(words)));
        } else {
            let message = format!("{what} cannot be {:?}", cut(text));
            self.fault(code::CHOICE, node.at, message, format!("write {}", any_of(words)));
        }
        None
    }

    pub(super) fn list<'n>(&mut self, node: &'n Node, what: &str, max: usize) -> Option<&'n [Node]> {
        let Value::List(items) = &node.value else {
            self.wrong_type(node, what, "a list", "write it as `[a, b]`");
            return None;
        };
        if let Some(beyond) = items.get(max) {
            let message = format!("{what} has {} entries, more than {max}", items.len());
            self.fault(code::TOO_LARGE, beyond.at, message, "is all of it needed?");
            return None;
        }
        Some(items)
    }

    /// Every item of a list; `None` if one of them could not be read.
    pub(super) fn each<T>(
        &mut self,
        items: &[Node],
        mut read: impl FnMut(&mut Self, &Node) -> Option<T>,
    ) -> Option<Vec<T>> {
        let read: Vec<Option<T>> = items.iter().map(|item| read(self, item)).collect();
        read.into_iter().collect()
    }

    /// Reports names that come a second time in a list.
    pub(super) fn twice(&mut self, items: &[Node], what: &str) {
        let mut seen = BTreeSet::new();
        for item in items {
            if let Value::Scalar(scalar) = &item.value
                && !seen.insert(&scalar.text)
            {
                let message = format!("`{}` is in {what} twice", cut(&scalar.text));
                self.fault(code::DUPLICATE_NAME, item.at, message, "keep one of them");
            }
        }
    }
}

/// What a variable of a template begins with.
const ROOTS: [&str; 5] = ["host", "lane", "wave", "release", "params"];

pub(super) fn resolved(scalar: &Scalar) -> Plain {
    if scalar.plain {
        resolve(&scalar.text)
    } else {
        Plain::Text
    }
}

/// As much of a text as a message should hold.
pub(super) fn cut(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}

fn listed(known: &BTreeSet<String>) -> String {
    let mut words: Vec<&str> = known.iter().take(LISTED_MAX).map(String::as_str).collect();
    if known.len() > LISTED_MAX {
        words.push("...");
    }
    words.join(", ")
}

fn any_of<T>(words: &[(&str, T)]) -> String {
    match words {
        [] => String::new(),
        [(word, _)] => format!("`{word}`"),
        [first @ .., (last, _)] => {
            let first: Vec<String> = first.iter().map(|(word, _)| format!("`{word}`")).collect();
            format!("{} or `{last}`", first.join(", "))
        }
    }
}

/// The first `${host.` or `{{ host.` that lacks a bracket or the dollar.
fn almost_variable(text: &str) -> Option<&str> {
    let begins = |at: usize| {
        let rest = &text[at..];
        let inside = rest.strip_prefix("${").or_else(|| rest.strip_prefix("{{"))?;
        let inside = inside.trim_start();
        let is_root = |root: &str| inside.strip_prefix(root).is_some_and(|rest| rest.starts_with('.'));
        ROOTS.into_iter().find(|root| is_root(root))?;
        let end = inside.find(['}', ' ']).unwrap_or(inside.len());
        Some(&rest[..rest.len() - inside.len() + end])
    };
    let places = text.char_indices().filter(|(_, c)| matches!(c, '$' | '{'));
    // The brackets of a real variable come after its dollar.
    let mut bare = places.filter(|(at, _)| !text[*at..].starts_with("${{") && !text[..*at].ends_with('$'));
    bare.find_map(|(at, _)| begins(at))
}
