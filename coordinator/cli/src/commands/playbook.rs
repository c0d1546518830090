//! `playbook lint`, `push`, `list`, `get`.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use echelon_playbooks::{BaseName, Checked, Faults, Given};
use echelon_proto::{
    ParamName,
    limits::PLAYBOOK_BYTES_MAX,
    wire::control::{GetPlaybookRequest, ListPlaybooksRequest, PushPlaybookRequest},
};

use serde_json::Value;

use super::{Outcome, Session, pages, simulate};
use crate::{
    args::{LintFormat, PlaybookVerb, Reading, by_name},
    client::ask,
    console::{Console, Format},
    error::Error,
    exit::Exit,
    line::{Line, Style},
    name::within,
};

/// Every fault of every file. Needs no coordinator.
pub(super) fn lint(files: &[PathBuf], reading: &Reading, format: LintFormat, console: &mut Console) -> Outcome {
    let reader = Reader::new(reading)?;
    let mut exit = Exit::Done;
    let mut listed = Vec::new();
    for file in files {
        let read = match text(file) {
            Ok(text) => reader.read(&text),
            Err(error) => {
                console.notes(&error.lines())?;
                exit = if exit == Exit::Usage { exit } else { error.exit };
                continue;
            }
        };
        if read.is_err() {
            exit = Exit::Usage;
        }
        match format {
            LintFormat::Text => console.lines(&verdict(file, &read))?,
            LintFormat::Json => listed.extend(faults(file, &read)?),
        }
    }
    if format == LintFormat::Json {
        console.json_value(&listed.into(), Format::Json)?;
    }
    Ok(exit)
}

/// Reads playbooks with the values and bases of the command line.
pub(super) struct Reader {
    params: BTreeMap<ParamName, String>,
    bases: BTreeMap<String, String>,
}

impl Reader {
    pub(super) fn new(reading: &Reading) -> Result<Self, Error> {
        let mut bases = BTreeMap::new();
        for file in &reading.bases {
            let text = text(file)?;
            let Checked { playbook, .. } = echelon_playbooks::read(&text).map_err(|_| {
                let why = format!("{} is not a valid playbook, so nothing can extend it", file.display());
                Error::new(Exit::Usage, why).next(format!("echelon playbook lint {}", file.display()))
            })?;
            bases.insert(format!("{}@{}", playbook.name, playbook.version), text);
        }
        Ok(Self {
            params: by_name(&reading.params)?,
            bases,
        })
    }

    pub(super) fn read(&self, text: &str) -> Result<Checked, Faults> {
        let bases = |base: &BaseName| self.bases.get(&base.to_string()).cloned();
        let given = Given {
            params: self.params.clone(),
            bases: Some(&bases),
        };
        echelon_playbooks::read_with(text, &given)
    }
}

pub(super) fn verdict(file: &Path, read: &Result<Checked, Faults>) -> Vec<Line> {
    let name = file.display().to_string();
    let shown = match read {
        Ok(checked) if checked.warnings.is_empty() => String::new(),
        Ok(checked) => Faults(checked.warnings.clone()).in_file(&name).to_string(),
        Err(faults) => faults.in_file(&name).to_string(),
    };
    let style = |line: &str| match line {
        line if line.starts_with("error[") => Style::Bad,
        line if line.starts_with("warning[") => Style::Warn,
        _ => Style::Plain,
    };
    let mut lines: Vec<_> = shown.lines().map(|line| Line::new().push(style(line), line)).collect();
    lines.push(match read {
        Ok(checked) => {
            let (playbook, version) = (&checked.playbook.name, checked.playbook.version);
            Line::new()
                .push(Style::Good, "✔ ")
                .plain(format!("{name}: {playbook}@{version} is valid"))
        }
        Err(_) => Line::new()
            .push(Style::Bad, "✖ ")
            .plain(format!("{name} is not a valid playbook")),
    });
    lines
}

/// As JSON, each with its file.
fn faults(file: &Path, read: &Result<Checked, Faults>) -> io::Result<Vec<Value>> {
    let faults = match read {
        Ok(checked) => &checked.warnings,
        Err(faults) => &faults.0,
    };
    let listed = faults.iter().map(|fault| {
        let mut value = serde_json::to_value(fault).map_err(io::Error::other)?;
        let source = fault.source.clone().unwrap_or_else(|| file.display().to_string());
        value["file"] = source.into();
        Ok(value)
    });
    listed.collect()
}

pub(super) async fn run(verb: PlaybookVerb, mut session: Session<'_>) -> Outcome {
    match verb {
        PlaybookVerb::Lint { files, reading, output } => lint(&files, &reading, output, session.console),
        PlaybookVerb::Simulate(args) => simulate::run(&args, session).await,
        PlaybookVerb::Push { file, dry_run, output } => push(&file, dry_run, output.output, session).await,
        PlaybookVerb::List { limit, output } => {
            let request = ListPlaybooksRequest::default;
            let (playbooks, more) = pages!(session, limit.limit, list_playbooks, playbooks, request());
            session.list(
                &playbooks,
                more,
                output.output,
                "there are no playbooks yet: echelon playbook push FILE",
            )
        }
        PlaybookVerb::Get { playbook, output } => get(&playbook, output.output, session).await,
    }
}

async fn push(file: &Path, dry_run: bool, format: Format, mut session: Session<'_>) -> Outcome {
    let request = PushPlaybookRequest {
        text: text(file)?,
        validate_only: dry_run,
    };
    let lint = format!("echelon playbook lint {}", file.display());
    let pushed = session.client.push_playbook(ask(request)).await;
    let pushed = pushed.map_err(|status| Error::from(status).or_next(lint))?.into_inner();
    if format.is_json() {
        session.console.json(&pushed, format)?;
        return Ok(Exit::Done);
    }
    let done = if dry_run {
        "would be stored (dry run)"
    } else {
        "is stored"
    };
    let line = Line::new().push(Style::Good, "✔ ");
    session
        .console
        .line(&line.plain(format!("playbook {}@{} {done}", pushed.playbook, pushed.version)))?;
    Ok(Exit::Done)
}

async fn get(playbook: &str, format: Format, mut session: Session<'_>) -> Outcome {
    let name = match playbook.split_once('@') {
        Some((name, version)) => format!("playbooks/{name}/versions/{version}"),
        None => within("playbooks", playbook),
    };
    let found = session.client.get_playbook(ask(GetPlaybookRequest { name })).await;
    let found = found
        .map_err(|status| Error::from(status).or_next("echelon playbook list"))?
        .into_inner();
    if format.is_json() {
        session.console.json(&found, format)?;
    } else {
        session.console.text(&found.text)?;
    }
    Ok(Exit::Done)
}

/// The text of a file that is no larger than a playbook may be.
pub(super) fn text(file: &Path) -> Result<String, Error> {
    let fault = |exit, why: String| Error::new(exit, format!("cannot read {}: {why}", file.display()));
    let failed = |error: io::Error| fault(Exit::Error, error.to_string());
    let size = fs::metadata(file).map_err(failed)?.len();
    if size > PLAYBOOK_BYTES_MAX as u64 {
        let why = format!("{size} bytes are more than a playbook may have ({PLAYBOOK_BYTES_MAX})");
        return Err(fault(Exit::Usage, why));
    }
    let bytes = fs::read(file).map_err(failed)?;
    String::from_utf8(bytes).map_err(|error| fault(Exit::Usage, format!("it is not UTF-8: {error}")))
}
