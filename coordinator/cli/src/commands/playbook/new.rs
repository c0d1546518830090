//! `playbook new`: a playbook of one's own from one of the library, or from a file.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use echelon_playbooks::{LIBRARY, SCHEMA_FILE, copy};

use super::source;
use crate::{
    args::{Global, NewPlaybook},
    commands::Outcome,
    console::Console,
    error::Error,
    exit::Exit,
    line::{Line, Style},
};

pub(super) async fn run(args: &NewPlaybook, global: &Global, console: &mut Console) -> Outcome {
    let (Some(name), Some(from)) = (&args.name, &args.from) else {
        return list(console);
    };
    let text = original(from, global, console).await?;
    let copy = match copy(&text, name) {
        Ok(copy) => copy,
        Err(faults) => return Err(source::told(from, &faults, console)?),
    };
    let file = args
        .output
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("{name}.yaml")));
    if file == Path::new("-") {
        console.text(&copy)?;
        return Ok(Exit::Done);
    }
    write(&file, &copy)?;
    let line = Line::new().push(Style::Good, "✔ ");
    console.line(&line.plain(format!("{} is {name}@1: look at its `hosts` first", file.display())))?;
    let next = |command: String| Line::new().push(Style::Dim, "next: ").push(Style::Bold, command);
    let schema = file.with_file_name(SCHEMA_FILE);
    if !schema.exists() {
        let line = next(format!("echelon playbook schema -o {}", schema.display()));
        console.note(&line.plain("  (for editors)"))?;
    }
    console.note(&next(format!("echelon playbook lint {}", file.display())))?;
    Ok(Exit::Done)
}

/// A name of the library wins over a file of the same name: that one is written `./NAME`.
async fn original(from: &str, global: &Global, console: &mut Console) -> Result<String, Error> {
    if let Some(text) = source::library(from) {
        return Ok(text.to_owned());
    }
    let opened = source::open(from, global, console).await;
    let opened = opened.map_err(|error| error.detail("`echelon playbook new --list` shows the library"))?;
    Ok(opened.text)
}

/// A file that is there is somebody's work.
fn write(file: &Path, text: &str) -> Result<(), Error> {
    let failed = |error: io::Error| {
        let what = format!("cannot write {}: {error}", file.display());
        Error::new(Exit::Error, what)
    };
    let mut new = match OpenOptions::new().write(true).create_new(true).open(file) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let what = format!("{} is there already, and is left as it is", file.display());
            return Err(Error::usage(what).detail("give another name, or another file with --output"));
        }
        opened => opened.map_err(failed)?,
    };
    new.write_all(text.as_bytes()).map_err(|error| {
        // Half a playbook would be in the way of the next try.
        let _ = fs::remove_file(file);
        failed(error)
    })
}

fn list(console: &mut Console) -> Outcome {
    let width = LIBRARY.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines: Vec<Line> = LIBRARY
        .iter()
        .map(|(name, text)| {
            Line::new()
                .push(Style::Bold, format!("{name:width$}"))
                .plain(format!("  {}", about(text)))
        })
        .collect();
    console.lines(&lines)?;
    Ok(Exit::Done)
}

/// The first sentence of the comment at its top.
fn about(text: &str) -> String {
    let comment = text
        .lines()
        .map_while(|line| line.strip_prefix('#'))
        .map(str::trim)
        .filter(|line| !line.starts_with("yaml-language-server:"));
    let comment = comment.collect::<Vec<_>>().join(" ");
    match comment.split_once(". ") {
        Some((first, _)) => format!("{first}."),
        None => comment,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_playbook_of_the_library_says_what_it_is_in_its_first_sentence() {
        for (name, text) in LIBRARY {
            let about = about(text);
            assert!(about.ends_with('.') && about.len() > 20, "{name}: {about:?}");
        }
    }
}
