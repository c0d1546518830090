//! `playbook lint`: every fault of every file.

use std::{io, path::Path};

use echelon_playbooks::{Checked, Fault, Faults};
use serde_json::Value;

use super::{reader::Reader, sarif, source};
use crate::{
    args::{Lint, LintFormat},
    commands::Outcome,
    console::{Console, Format},
    exit::Exit,
    line::{Line, Style},
};

/// A file, and what was found of it.
pub(super) struct Looked {
    /// As it is shown.
    pub(super) name: String,
    pub(super) found: Found,
}

/// What was found of a file.
pub(super) enum Found {
    /// A playbook, `web@3`, and its warnings.
    Valid(String, Vec<Fault>),
    /// What is wrong with it.
    Invalid(Vec<Fault>),
    /// Nothing could be read: why.
    Unread(String),
}

pub(super) fn run(args: &Lint, console: &mut Console) -> Outcome {
    let reader = Reader::new(&args.reading)?;
    let mut exit = Exit::Done;
    let mut looked = Vec::new();
    for file in &args.files {
        let name = source::shown(file);
        let found = match source::read(file, console) {
            Ok(text) => Found::of(reader.read(&text)),
            Err(error) => {
                console.notes(&error.lines())?;
                exit = if exit == Exit::Usage { exit } else { error.exit };
                Found::Unread(error.what)
            }
        };
        let one = Looked { name, found };
        if one.is_bad(args.deny_warnings) {
            exit = Exit::Usage;
        }
        if args.format == LintFormat::Text {
            console.lines(&one.verdict(args.deny_warnings))?;
        }
        looked.push(one);
    }
    match args.format {
        LintFormat::Text => {}
        LintFormat::Json => {
            let listed = looked.iter().map(Looked::json).collect::<io::Result<Vec<_>>>()?;
            console.json_value(&listed.concat().into(), Format::Json)?;
        }
        LintFormat::Sarif => console.json_value(&sarif::log(&looked).map_err(io::Error::other)?, Format::Json)?,
    }
    Ok(exit)
}

/// What is shown of a file that is no playbook.
pub(in crate::commands) fn refused(file: &Path, faults: Faults) -> Vec<Line> {
    let looked = Looked {
        name: source::shown(file),
        found: Found::Invalid(faults.0),
    };
    looked.verdict(false)
}

impl Found {
    fn of(read: Result<Checked, Faults>) -> Self {
        match read {
            Ok(checked) => {
                let playbook = &checked.playbook;
                Self::Valid(format!("{}@{}", playbook.name, playbook.version), checked.warnings)
            }
            Err(faults) => Self::Invalid(faults.0),
        }
    }
}

impl Looked {
    /// All of it, errors and warnings.
    pub(super) fn faults(&self) -> &[Fault] {
        match &self.found {
            Found::Valid(_, faults) | Found::Invalid(faults) => faults,
            Found::Unread(_) => &[],
        }
    }

    fn is_bad(&self, deny_warnings: bool) -> bool {
        match &self.found {
            Found::Valid(_, warnings) => deny_warnings && !warnings.is_empty(),
            Found::Invalid(_) => true,
            Found::Unread(_) => false,
        }
    }

    fn verdict(&self, deny_warnings: bool) -> Vec<Line> {
        let name = &self.name;
        let style = |line: &str| match line {
            line if line.starts_with("error[") => Style::Bad,
            line if line.starts_with("warning[") => Style::Warn,
            _ => Style::Plain,
        };
        let mut lines = Vec::new();
        if !self.faults().is_empty() {
            let shown = Faults(self.faults().to_vec()).in_file(name).to_string();
            lines.extend(shown.lines().map(|line| Line::new().push(style(line), line)));
        }
        match &self.found {
            Found::Valid(_, warnings) if self.is_bad(deny_warnings) => {
                let count = warnings.len();
                let line = Line::new().push(Style::Bad, "✖ ");
                lines.push(line.plain(format!("{name} has warnings, which --deny-warnings refuses: {count}")));
            }
            Found::Valid(playbook, _) => {
                let line = Line::new().push(Style::Good, "✔ ");
                lines.push(line.plain(format!("{name}: {playbook} is valid")));
            }
            Found::Invalid(_) => {
                let line = Line::new().push(Style::Bad, "✖ ");
                lines.push(line.plain(format!("{name} is not a valid playbook")));
                let code = self.faults().first().map_or("E001", |fault| fault.code);
                let next = Line::new().push(Style::Dim, "  next: ");
                lines.push(next.push(Style::Bold, format!("echelon playbook explain {code}")));
            }
            // It was told beside the output.
            Found::Unread(_) => {}
        }
        lines
    }

    /// Its faults as JSON, each with its file.
    fn json(&self) -> io::Result<Vec<Value>> {
        let listed = self.faults().iter().map(|fault| {
            let mut value = serde_json::to_value(fault).map_err(io::Error::other)?;
            let file = fault.source.as_deref().unwrap_or(&self.name);
            value["file"] = file.into();
            Ok(value)
        });
        listed.collect()
    }
}
