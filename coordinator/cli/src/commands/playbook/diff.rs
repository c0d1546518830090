//! `playbook diff`: what is different between two playbooks, by meaning or by lines.

use std::{io, time::Duration};

use echelon_playbooks::{Change, Playbook, Turn};
use similar::TextDiff;

use super::source::{self, Source};
use crate::{
    args::{Diff, DiffFormat, Global},
    commands::Outcome,
    console::{Console, Format},
    exit::Exit,
    line::{Line, Style},
};

/// After that the lines are compared more coarsely: two texts of 1 MiB that have nothing in common would take minutes.
const WITHIN: Duration = Duration::from_secs(2);

pub(super) async fn run(args: &Diff, global: &Global, console: &mut Console) -> Outcome {
    let differ = if args.text {
        let old = source::open(&args.old, global, console).await?;
        let new = source::open(&args.new, global, console).await?;
        console.lines(&lines(&old, &new))?;
        old.text != new.text
    } else {
        let named = [args.old.as_str(), &args.new];
        let [old, new] = source::pair(named, &args.reading, global, console).await?;
        let changes = echelon_playbooks::diff(&old, &new);
        match args.format {
            DiffFormat::Text => console.lines(&told(&old, &new, &changes))?,
            DiffFormat::Json => {
                let value = serde_json::to_value(&changes).map_err(io::Error::other)?;
                console.json_value(&value, Format::Json)?;
            }
        }
        !changes.is_empty()
    };
    Ok(if differ && args.detailed_exitcode {
        Exit::HasChanges
    } else {
        Exit::Done
    })
}

fn told(old: &Playbook, new: &Playbook, changes: &[Change]) -> Vec<Line> {
    let name = |playbook: &Playbook| format!("{}@{}", playbook.name, playbook.version);
    let (old, new) = (name(old), name(new));
    if changes.is_empty() {
        let line = Line::new().push(Style::Good, "✔ ");
        return vec![line.plain(format!("{old} and {new} mean the same"))];
    }
    let mut lines = vec![Line::new().push(Style::Bold, format!("{old} -> {new}"))];
    for change in changes {
        let (style, mark) = match change.turn {
            Turn::Added => (Style::Good, "+"),
            Turn::Removed => (Style::Bad, "-"),
            Turn::More | Turn::Less | Turn::Other | Turn::Reordered => (Style::Warn, "~"),
        };
        lines.push(Line::new().push(style, format!("{mark} ")).plain(change.to_string()));
        if let Some(means) = change.means {
            lines.push(Line::new().push(Style::Dim, format!("    {means}")));
        }
    }
    let plural = if changes.len() == 1 { "" } else { "s" };
    lines.push(Line::new().plain(format!("{} difference{plural}", changes.len())));
    lines
}

fn lines(old: &Source, new: &Source) -> Vec<Line> {
    let diff = TextDiff::configure()
        .timeout(WITHIN)
        .diff_lines(old.text.as_str(), new.text.as_str());
    let text = diff.unified_diff().header(&old.name, &new.name).to_string();
    let style = |line: &str| match line.as_bytes().first() {
        Some(b'+') => Style::Good,
        Some(b'-') => Style::Bad,
        Some(b'@') => Style::Dim,
        _ => Style::Plain,
    };
    text.lines().map(|line| Line::new().push(style(line), line)).collect()
}
