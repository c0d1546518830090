//! Prints how many entries a second the journal makes durable on this machine's disk, one at a time and grouped.
//!
//!     cargo run --release -p echelon-coordinator --example journal_speed [FOLDER]
//!
//! The folder (default: one in the temporary folder; beware of a tmpfs, where nothing is durable) is removed at the end.

use std::{
    io::{Write as _, stdout},
    path::PathBuf,
    time::{Duration, Instant},
};

use echelon_coordinator::journal::Journal;

const ENTRY_CHARS: usize = 250;
const EACH: Duration = Duration::from_secs(3);

fn main() -> anyhow::Result<()> {
    let parent = std::env::args_os()
        .nth(1)
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = parent.join(format!("echelon-journal-speed-{}", std::process::id()));
    let result = measure(&folder);
    std::fs::remove_dir_all(&folder)?;
    result
}

fn measure(folder: &std::path::Path) -> anyhow::Result<()> {
    let mut journal: Journal<String> = Journal::open(folder)?;
    journal.begin_term()?;
    let entry = "x".repeat(ENTRY_CHARS);
    let mut out = stdout();
    for group in [1, 10, 100, 1000] {
        let start = Instant::now();
        let mut commits = 0_u32;
        while start.elapsed() < EACH {
            for _ in 0..group {
                journal.append(&entry)?;
            }
            journal.commit()?;
            commits += 1;
        }
        let seconds = start.elapsed().as_secs_f64();
        let entries = f64::from(commits) * f64::from(group);
        writeln!(
            out,
            "{group:5} entries a commit: {:9.0} entries/s {:7.0} commits/s",
            entries / seconds,
            f64::from(commits) / seconds
        )?;
    }
    let (_, last) = journal.span();
    let start = Instant::now();
    journal.save_snapshot(last, &"s".repeat(10_000_000))?;
    writeln!(out, "snapshot of 10 MB: {:?}", start.elapsed())?;
    let start = Instant::now();
    journal.trim(10_000)?;
    writeln!(out, "trim of {} entries: {:?}", last - 10_000, start.elapsed())?;
    writeln!(out, "{:?}", journal.bytes()?)?;
    drop(journal);
    let start = Instant::now();
    let journal: Journal<String> = Journal::open(folder)?;
    let mut entries = 0_u64;
    journal.replay(journal.span().0, |_, _| entries += 1)?;
    writeln!(out, "open and replay of {entries} entries: {:?}", start.elapsed())?;
    Ok(())
}
