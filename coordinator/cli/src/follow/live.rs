//! The tree drawn over itself on a terminal, in place: each frame goes up to where the last one began, clears and writes,
//! as one synchronized update. No alternate screen and no raw mode: the last frame stays in the scroll-back, and Ctrl-C
//! stays a signal.

use std::{fmt::Write as _, io, time::Duration};

use crossterm::{
    cursor::{MoveToColumn, MoveUp},
    queue,
    terminal::{BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate},
};
use echelon_proto::wire::control::Rollout;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::{
    console::Console,
    line::{Line, Style},
    tree::tree,
};

/// Frames are at least this far apart: a fleet changes faster than an eye or a slow line can follow.
const FRAME: Duration = Duration::from_millis(100);
/// Elapsed times and estimates are drawn anew this often when nothing else changes.
const REFRESH: Duration = Duration::from_secs(1);

/// What stands on the screen.
#[derive(Debug, Default)]
pub(super) struct Live {
    /// Something changed since the last frame.
    stale: bool,
    at: Option<Instant>,
    /// Columns of each line drawn; the cursor stands at the start of the line below.
    drawn: Vec<usize>,
    note: Option<Line>,
}

impl Live {
    /// A line under the tree.
    pub(super) fn set_note(&mut self, note: Option<Line>) {
        self.note = note;
        self.stale = true;
    }

    /// The rollout is another than on the screen.
    pub(super) fn touch(&mut self) {
        self.stale = true;
    }

    /// Whether it is time for a frame.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let age = self.at.map(|at| now.duration_since(at));
        age.is_none_or(|age| age >= REFRESH || (self.stale && age >= FRAME))
    }

    /// Draws the rollout over the frame before.
    pub(super) fn draw(&mut self, console: &mut Console, rollout: Option<&Rollout>, now: Timestamp) -> io::Result<()> {
        let Some(size) = console.screen() else {
            return Ok(());
        };
        let mut lines = rollout
            .map(|rollout| tree(rollout, size.0 - 1, now))
            .unwrap_or_default();
        lines.extend(self.note.clone().map(|note| note.cut(size.0 - 1)));
        let colour = console.colour();
        (self.stale, self.at) = (false, Some(Instant::now()));
        let frame = self.frame(&fitting(lines, size.1 - 1), size, colour)?;
        console.bytes(&frame)
    }

    /// Draws what is not on the screen yet and leaves it there.
    pub(super) fn close(&mut self, console: &mut Console, rollout: Option<&Rollout>) -> io::Result<()> {
        if self.stale {
            self.draw(console, rollout, Timestamp::now())?;
        }
        self.drawn.clear();
        Ok(())
    }

    fn frame(&mut self, lines: &[Line], (columns, rows): (usize, usize), colour: bool) -> io::Result<Vec<u8>> {
        let mut frame = Vec::new();
        queue!(frame, BeginSynchronizedUpdate, MoveToColumn(0))?;
        // A terminal made narrower has broken the lines of the last frame anew. What has left it at the top is gone.
        let up: usize = self.drawn.iter().map(|width| width.div_ceil(columns).max(1)).sum();
        let up = u16::try_from(up.min(rows - 1)).unwrap_or(u16::MAX);
        if up > 0 {
            queue!(frame, MoveUp(up))?;
        }
        queue!(frame, Clear(ClearType::FromCursorDown))?;
        let mut text = String::new();
        for line in lines {
            let _ = writeln!(text, "{}", line.paint(colour));
        }
        frame.extend_from_slice(text.as_bytes());
        queue!(frame, EndSynchronizedUpdate)?;
        self.drawn = lines.iter().map(Line::columns).collect();
        Ok(frame)
    }
}

/// The headline and the last lines, when they are more than the screen holds.
fn fitting(mut lines: Vec<Line>, rows: usize) -> Vec<Line> {
    if lines.len() <= rows {
        return lines;
    }
    let hidden = lines.len() + 1 - rows.max(3);
    let more = Line::new().push(Style::Dim, format!("  … {hidden} lines more"));
    lines.splice(1..=hidden, [more]);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: (usize, usize) = (20, 6);

    fn lines(texts: &[&str]) -> Vec<Line> {
        texts.iter().map(|text| Line::new().plain(text)).collect()
    }

    /// The terminal's driver turns a line feed into a carriage return and a line feed; vt100 has no driver.
    fn show(terminal: &mut vt100::Parser, frame: &[u8]) {
        let text = String::from_utf8(frame.to_vec()).unwrap();
        terminal.process(text.replace('\n', "\r\n").as_bytes());
    }

    fn screen(terminal: &vt100::Parser) -> String {
        terminal.screen().contents().trim_end().to_owned()
    }

    #[test]
    fn each_frame_replaces_the_one_before_and_nothing_else() {
        let mut terminal = vt100::Parser::new(6, 20, 0);
        show(&mut terminal, b"$ echelon\n");
        let mut live = Live::default();
        show(
            &mut terminal,
            &live
                .frame(&lines(&["r7 RUNNING", "dc1 1/3", "dc2 0/3"]), SIZE, false)
                .unwrap(),
        );
        assert_eq!(screen(&terminal), "$ echelon\nr7 RUNNING\ndc1 1/3\ndc2 0/3");
        show(
            &mut terminal,
            &live.frame(&lines(&["r7 DONE", "dc1 3/3"]), SIZE, true).unwrap(),
        );
        assert_eq!(screen(&terminal), "$ echelon\nr7 DONE\ndc1 3/3");
    }

    #[test]
    fn changes_are_drawn_soon_but_not_all_one_by_one() {
        let start = Instant::now();
        let mut live = Live::default();
        assert!(live.is_due(start));
        live.at = Some(start);
        let after = |millis| start + Duration::from_millis(millis);
        assert!(!live.is_due(after(999)));
        assert!(live.is_due(after(1000)));
        live.touch();
        assert!(!live.is_due(after(99)));
        assert!(live.is_due(after(100)));
    }

    #[test]
    fn a_terminal_made_narrower_is_still_cleared_to_the_top_of_the_frame() {
        let mut live = Live::default();
        live.frame(&lines(&["a line of 19 columns", "short"]), (40, 10), false)
            .unwrap();
        let frame = String::from_utf8(live.frame(&lines(&["x"]), (10, 10), false).unwrap()).unwrap();
        assert!(frame.contains("\x1b[3A"), "{frame:?}");
    }

    #[test]
    fn a_tree_too_tall_keeps_its_head_and_its_last_lines() {
        let tall = lines(&["head", "1", "2", "3", "4", "5", "6", "7", "8"]);
        let shown: Vec<_> = fitting(tall.clone(), 5).iter().map(Line::text).collect();
        assert_eq!(shown, ["head", "  … 5 lines more", "6", "7", "8"]);
        assert_eq!(fitting(tall.clone(), 9), tall);
    }
}
