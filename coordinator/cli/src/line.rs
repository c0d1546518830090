//! One line for a person's eye: pieces of text with a style. Text from elsewhere is made harmless here, once: control
//! characters of a phase's output could otherwise move the cursor or recolour the terminal.

use owo_colors::{OwoColorize as _, Style as Paint};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// What a piece means. Colour only repeats what its glyph or word says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Nothing special.
    Plain,
    /// What the eye should find first.
    Bold,
    /// Beside the point.
    Dim,
    /// Went well: ✔.
    Good,
    /// Failed: ✖.
    Bad,
    /// In motion: ◌.
    Active,
    /// Waits for a person, or is owed: ⚠.
    Warn,
}

impl Style {
    fn paint(self) -> Paint {
        let paint = Paint::new();
        match self {
            Self::Plain => paint,
            Self::Bold => paint.bold(),
            Self::Dim => paint.dimmed(),
            Self::Good => paint.green(),
            Self::Bad => paint.red(),
            Self::Active => paint.cyan(),
            Self::Warn => paint.yellow(),
        }
    }
}

/// A line without its line break.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Line(Vec<(Style, String)>);

impl Line {
    /// The empty line.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With a piece more.
    #[must_use]
    pub fn push(mut self, style: Style, text: impl AsRef<str>) -> Self {
        let text = harmless(text.as_ref());
        if !text.is_empty() {
            self.0.push((style, text));
        }
        self
    }

    /// With a piece of nothing special more.
    #[must_use]
    pub fn plain(self, text: impl AsRef<str>) -> Self {
        self.push(Style::Plain, text)
    }

    /// With a piece before all others.
    #[must_use]
    pub fn after(mut self, style: Style, text: impl AsRef<str>) -> Self {
        self.0.insert(0, (style, harmless(text.as_ref())));
        self
    }

    /// The text without styles.
    #[must_use]
    pub fn text(&self) -> String {
        self.0.iter().map(|(_, text)| text.as_str()).collect()
    }

    /// Columns that it takes.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.0.iter().map(|(_, text)| text.width()).sum()
    }

    /// Cut to so many columns, an ellipsis for the rest.
    #[must_use]
    pub fn cut(self, columns: usize) -> Self {
        if self.columns() <= columns {
            return self;
        }
        let mut left = columns.saturating_sub(1);
        let mut cut = Self::new();
        for (style, text) in self.0 {
            let kept = fitting(&text, left);
            let whole = kept.len() == text.len();
            left -= kept.width();
            cut = cut.push(style, kept);
            if !whole {
                break;
            }
        }
        cut.push(Style::Dim, "…")
    }

    /// The text, with colours or without.
    #[must_use]
    pub fn paint(&self, colour: bool) -> String {
        if !colour {
            return self.text();
        }
        let painted = |(style, text): &(Style, String)| match style {
            Style::Plain => text.clone(),
            _ => text.style(style.paint()).to_string(),
        };
        self.0.iter().map(painted).collect()
    }
}

/// Without control characters: a tab becomes a space, any other the replacement character.
#[must_use]
pub(crate) fn harmless(text: &str) -> String {
    let mend = |c: char| match c {
        '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.trim_end_matches(['\r', '\n']).chars().map(mend).collect()
}

/// `1 host`, `2 hosts`.
#[must_use]
pub(crate) fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

fn fitting(text: &str, columns: usize) -> &str {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += c.width().unwrap_or(0);
        if used > columns {
            return &text[..at];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_by_columns_and_not_by_characters() {
        let line = Line::new().push(Style::Good, "✔ ").plain("日本語 done");
        assert_eq!(line.columns(), 13);
        assert_eq!(line.clone().cut(6).text(), "✔ 日…");
        assert!(line.clone().cut(6).columns() <= 6);
        assert_eq!(line.clone().cut(13), line);
    }

    #[test]
    fn escapes_in_text_from_elsewhere_never_reach_the_terminal() {
        let line = Line::new().push(Style::Bad, "\x1b[2Jgone\tx\r\n");
        assert_eq!(line.text(), "\u{fffd}[2Jgone x");
        assert!(!line.paint(false).contains('\x1b'));
        assert_eq!(line.paint(true).matches('\x1b').count(), 2);
    }
}
