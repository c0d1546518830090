//! The text of a playbook and places in it. Deliberately no knowledge of what a playbook says: the tree of values is in
//! [`tree`], what values are in [`scalar`], and what they mean in `check`.

pub(crate) mod emit;
pub(crate) mod scalar;
pub(crate) mod tree;

use std::borrow::Cow;

use crate::fault::{Fault, Severity};

/// Characters of a line that are shown: more would fill the screen, and a text of one line would be copied whole into
/// each of its faults.
const LINE_CHARS_MAX: usize = 160;
/// Characters shown before the fault in a line that is cut.
const LEAD_CHARS: usize = 40;
/// Characters of a message or help.
const MESSAGE_CHARS_MAX: usize = 1000;

/// A piece of the text: bytes from `start`, up to and without `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Mark {
    pub(crate) fn later(self, bytes: usize) -> Self {
        Self {
            start: self.start + bytes,
            end: self.end + bytes,
        }
    }
}

/// A text whose lines can be found, and the text that it extends: places in that one are counted on from the end of this.
#[derive(Debug)]
pub(crate) struct Source<'t> {
    text: Cow<'t, str>,
    /// The byte at which each line begins.
    lines: Vec<usize>,
    base: Option<Box<Base>>,
}

#[derive(Debug)]
struct Base {
    /// `web-base@3`
    name: String,
    source: Source<'static>,
}

impl<'t> Source<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self::of(Cow::Borrowed(text))
    }

    fn of(text: Cow<'t, str>) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1));
        let lines = lines.collect();
        Self {
            text,
            lines,
            base: None,
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Where the places of a text that this one extends begin. One beyond the end, which is a place of this text.
    pub(crate) fn base_from(&self) -> usize {
        self.text.len() + 1
    }

    /// The text that this one extends, under the name that its faults shall have.
    pub(crate) fn extend(&mut self, name: String, text: String) {
        let source = Source::of(Cow::Owned(text));
        self.base = Some(Box::new(Base { name, source }));
    }

    /// The name and text of what this one extends.
    pub(crate) fn base(&self) -> Option<(&str, &Source<'static>)> {
        self.base.as_deref().map(|base| (base.name.as_str(), &base.source))
    }

    /// Whether a place is of the text that this one extends.
    pub(crate) fn is_of_base(&self, at: Mark) -> bool {
        self.base.is_some() && at.start >= self.base_from()
    }

    /// A fault at a mark. The code's first letter says how bad it is.
    pub(crate) fn fault(&self, code: &'static str, at: Mark, message: &str, help: &str) -> Fault {
        let from = self.base_from();
        match &self.base {
            Some(base) if at.start >= from => {
                let (start, end) = (at.start - from, at.end.saturating_sub(from));
                let mut fault = base.source.fault_here(code, Mark { start, end }, message, help);
                fault.source = Some(base.name.clone());
                fault
            }
            _ => self.fault_here(code, at, message, help),
        }
    }

    fn fault_here(&self, code: &'static str, at: Mark, message: &str, help: &str) -> Fault {
        let start = self.boundary(at.start);
        let index = self.lines.partition_point(|line| *line <= start) - 1;
        let line = self.line(index);
        let before = self.text[self.lines[index]..start].chars().count();
        let wide = self.text[start..self.boundary(at.end.max(start))].lines().next();
        let wide = wide.map_or(0, |text| text.chars().count());
        let skipped = if line.chars().nth(LINE_CHARS_MAX).is_none() {
            0
        } else {
            before.saturating_sub(LEAD_CHARS)
        };
        let shown: String = line.chars().skip(skipped).take(LINE_CHARS_MAX).map(visible).collect();
        // What ends a line is not shown, but can be where a fault is.
        let length = shown.chars().count();
        let caret = (before - skipped).min(length);
        let room = length - caret;
        Fault {
            code,
            source: None,
            severity: Severity::of(code),
            line: index + 1,
            column: before + 1,
            message: message.chars().take(MESSAGE_CHARS_MAX).map(visible).collect(),
            help: help.chars().take(MESSAGE_CHARS_MAX).map(visible).collect(),
            line_text: shown,
            caret,
            width: wide.min(room).max(1),
        }
    }

    fn line(&self, index: usize) -> &str {
        let end = self.lines.get(index + 1).map_or(self.text.len(), |next| next - 1);
        self.text[self.lines[index]..end].trim_end_matches('\r')
    }

    /// The nearest place at or before `byte` where a character begins.
    fn boundary(&self, byte: usize) -> usize {
        self.text.floor_char_boundary(byte.min(self.text.len()))
    }
}

/// A text from outside must not move the cursor or change colours on somebody's terminal.
fn visible(c: char) -> char {
    match c {
        '\t' => ' ',
        // The second kind turns the direction of writing, so that a line shows otherwise than it reads.
        c if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {
            char::REPLACEMENT_CHARACTER
        }
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, start: usize, end: usize) -> Fault {
        Source::new(text).fault("E001", Mark { start, end }, "m", "h")
    }

    #[test]
    fn a_place_is_counted_in_characters_from_one() {
        let fault = at("a: 1\r\näö: wörld\n", 12, 18);
        assert_eq!((fault.line, fault.column), (2, 5));
        assert_eq!(
            (fault.line_text.as_str(), fault.caret, fault.width),
            ("äö: wörld", 4, 5)
        );
    }

    #[test]
    fn places_beyond_the_text_and_inside_a_character_are_bent_to_it() {
        let fault = at("ä", 99, 120);
        assert_eq!((fault.line, fault.column, fault.width), (1, 2, 1));
        assert_eq!(at("ä", 1, 1).column, 1);
        assert_eq!(at("", 0, 0).line, 1);
        let beyond = at("a\r\r\r\n", 3, 4);
        assert_eq!((beyond.column, beyond.caret, beyond.width), (4, 1, 1));
    }

    #[test]
    fn of_a_long_line_only_the_piece_around_the_fault_is_shown() {
        let text = format!("{}{}{}", "a".repeat(5000), "bad", "c".repeat(5000));
        let fault = at(&text, 5000, 5003);
        assert_eq!(fault.column, 5001);
        assert_eq!(fault.line_text.chars().count(), LINE_CHARS_MAX);
        assert!(fault.line_text[fault.caret..].starts_with("badc"));
    }

    #[test]
    fn a_place_beyond_the_text_is_of_the_text_that_it_extends() {
        let mut source = Source::new("a: 1");
        source.extend("base@1".into(), "b: 2\nc: 3\n".into());
        let at = Mark { start: 5, end: 6 }.later(source.base_from());
        assert!(source.is_of_base(at) && !source.is_of_base(Mark { start: 4, end: 4 }));
        let fault = source.fault("E001", at, "m", "h");
        assert_eq!(
            (fault.source.as_deref(), fault.line, fault.column),
            (Some("base@1"), 2, 1)
        );
        assert_eq!(fault.line_text, "c: 3");
        assert_eq!(source.fault("E001", Mark { start: 4, end: 4 }, "m", "h").source, None);
    }

    #[test]
    fn what_would_steer_a_terminal_is_not_shown() {
        assert_eq!(
            at("a: \u{1b}[31m\tred\u{202e}", 0, 1).line_text,
            "a: \u{fffd}[31m red\u{fffd}"
        );
    }
}
