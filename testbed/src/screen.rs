//! What people read while the testbed works: titles, what is done, what was found. Calm: one line a fact, colour beside a
//! glyph, none in a pipe or with NO_COLOR. Deliberately no state: a reader that has gone away is no fault.

use std::{fmt::Display, io::Write as _};

use owo_colors::OwoColorize as _;

fn line(text: impl Display) {
    let _ = writeln!(anstream::stdout(), "{text}");
}

/// An empty line.
pub fn gap() {
    line("");
}

/// The head of a part: its number and what it is about.
pub fn title(number: usize, text: &str) {
    gap();
    line(format_args!(
        "{} {}",
        format_args!("{number}.").bold().cyan(),
        text.bold()
    ));
}

/// The head of everything.
pub fn head(text: &str) {
    line(text.bold());
}

/// What goes on, or a remark.
pub fn note(text: impl Display) {
    line(format_args!("   {}", text.dimmed()));
}

/// A fact that was looked at and holds.
pub fn good(text: impl Display) {
    line(format_args!("   {} {text}", "✔".green()));
}

/// A fact that does not hold.
pub fn bad(text: impl Display) {
    line(format_args!("   {} {text}", "✖".red()));
}

/// Something was done to the fleet on purpose.
pub fn strike(text: impl Display) {
    line(format_args!("   {} {text}", "⚠".yellow()));
}

/// A command as it could be typed.
pub fn command(text: impl Display) {
    line(format_args!("   {} {}", "$".dimmed(), text.bold()));
}

/// Plain text, as it is.
pub fn plain(text: impl Display) {
    line(text);
}
