//! A value that is to be written: text, a list, a mapping in the order given. Deliberately not the tree that is read: that
//! one has places, and this one none.

use std::fmt::{Display, Write as _};

use crate::text::scalar::{Plain, is_ambiguous, resolve};

/// A value that is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    /// As it stands in YAML, quotes included.
    Scalar(String),
    List(Vec<Item>),
    /// In the order written.
    Map(Vec<(String, Item)>),
}

impl Item {
    /// A number, a word of the language, a length of time: what needs no quotes.
    pub(crate) fn bare(value: impl Display) -> Self {
        Self::Scalar(value.to_string())
    }

    /// Text of the author's.
    pub(crate) fn text(value: impl Display) -> Self {
        Self::Scalar(quoted(&value.to_string()))
    }

    /// A length of time, without the blanks between its units.
    pub(crate) fn span(span: echelon_proto::Span) -> Self {
        Self::Scalar(span.to_string().replace(' ', ""))
    }

    pub(crate) fn map() -> Self {
        Self::Map(Vec::new())
    }

    /// With an entry more; only of a mapping.
    pub(crate) fn with(mut self, key: impl Into<String>, value: Self) -> Self {
        if let Self::Map(entries) = &mut self {
            entries.push((key.into(), value));
        }
        self
    }

    pub(crate) fn with_some(self, key: &str, value: Option<Self>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// Itself, unless it is a collection with nothing in it.
    pub(crate) fn filled(self) -> Option<Self> {
        let empty = match &self {
            Self::Scalar(_) => false,
            Self::List(items) => items.is_empty(),
            Self::Map(entries) => entries.is_empty(),
        };
        (!empty).then_some(self)
    }

    /// As YAML, with a line break at the end.
    pub(crate) fn yaml(&self) -> String {
        let mut text = String::new();
        self.block(0, &mut text);
        text
    }

    /// On one line.
    pub(crate) fn line(&self) -> String {
        match self {
            Self::Scalar(text) => text.clone(),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::line).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Map(entries) if entries.is_empty() => "{}".to_owned(),
            Self::Map(entries) => {
                let entries: Vec<String> = entries
                    .iter()
                    .map(|(key, value)| format!("{}: {}", quoted_key(key), value.line()))
                    .collect();
                format!("{{ {} }}", entries.join(", "))
            }
        }
    }

    /// Mappings in lines of their own; lists of plain values on one line.
    fn block(&self, indent: usize, text: &mut String) {
        let pad = " ".repeat(indent);
        match self {
            Self::Map(entries) if !entries.is_empty() => {
                for (key, value) in entries {
                    let _ = write!(text, "{pad}{}:", quoted_key(key));
                    value.after_key(indent, text);
                }
            }
            Self::List(items) if items.iter().any(|item| matches!(item, Self::Map(_))) => {
                for item in items {
                    let start = text.len();
                    item.block(indent + 2, text);
                    // The mark of the item takes the place of its indentation.
                    text.replace_range(start..start + indent + 2, &format!("{pad}- "));
                }
            }
            other => {
                let _ = writeln!(text, "{pad}{}", other.line());
            }
        }
    }

    fn after_key(&self, indent: usize, text: &mut String) {
        let nested = match self {
            Self::Scalar(_) => false,
            Self::List(items) => items.iter().any(|item| matches!(item, Self::Map(_))),
            Self::Map(entries) => !entries.is_empty(),
        };
        if nested {
            text.push('\n');
            self.block(indent + 2, text);
        } else {
            let _ = writeln!(text, " {}", self.line());
        }
    }
}

/// A key of the language is never quoted, not even `on`; a name of the author's as any text.
fn quoted_key(key: &str) -> String {
    if key == "on" { key.to_owned() } else { quoted(key) }
}

/// In double quotes, unless YAML reads it as this very text without them, on a line of its own and inside brackets.
fn quoted(text: &str) -> String {
    // No comma: inside brackets it ends a value.
    let usual = |c: char| c.is_ascii_alphanumeric() || "._-/@+=!%".contains(c);
    let plain = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '.' || c == '/')
        && text.chars().all(usual)
        && resolve(text) == Plain::Text
        && !is_ambiguous(text);
    if plain {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if u32::from(c) < 0x100 && c.is_control() => {
                let _ = write!(quoted, "\\x{:02X}", u32::from(c));
            }
            // Line breaks of Unicode, and what turns the direction of writing.
            c if matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}') => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}
