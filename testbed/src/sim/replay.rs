//! `replay`: a story that `sim` kept, run again up to an event and told. It says whether it went as it went then: the
//! program may have changed since.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, ensure};
use echelon_sim::{Setup, run as one};

use super::Head;
use crate::screen;

/// `replay`
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// A story that `sim` kept
    file: PathBuf,
    /// Stop after this event [default: to the end]
    #[arg(long, value_name = "EVENT")]
    until: Option<u64>,
    /// Lines to show, the last ones
    #[arg(long, default_value_t = 100)]
    lines: usize,
}

/// Walks it.
///
/// # Errors
/// The file cannot be read, or is no story.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let text =
        fs::read_to_string(&arguments.file).with_context(|| format!("{} cannot be read", arguments.file.display()))?;
    let mut lines = text.lines();
    let head: Head = lines
        .next()
        .and_then(|line| serde_json::from_str(line).ok())
        .with_context(|| format!("{} is no story: its first line names no seed", arguments.file.display()))?;
    ensure!(head.hosts > 0, "the story is of a fleet without hosts");
    let setup = Setup {
        seed: head.seed,
        hosts: head.hosts,
        told: true,
        until: arguments.until.map(|event| event + 1),
    };
    let ran = tokio::task::spawn_blocking(move || one(setup)).await?;
    let differs = ran.lines.iter().zip(lines).position(|(now, then)| now != then);
    let from = ran.lines.len().saturating_sub(arguments.lines);
    for line in &ran.lines[from..] {
        screen::plain(line);
    }
    match differs {
        Some(line) => screen::bad(format_args!(
            "it goes otherwise than it went then, from line {} on",
            line + 2
        )),
        None => screen::note("so far as it went then"),
    }
    Ok(match ran.violation {
        Some(violation) => {
            screen::bad(&violation);
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    })
}
