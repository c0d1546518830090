//! `playbook ...`: most of it needs no coordinator. One file a verb, besides the three that only ask the coordinator.

mod diff;
mod explain;
mod graph;
mod lint;
mod new;
mod reader;
mod sarif;
mod source;
mod svg;

use std::path::Path;

use echelon_proto::wire::control::{GetPlaybookRequest, ListPlaybooksRequest, PushPlaybookRequest};

use super::{Outcome, Session, connect, pages, simulate};
use crate::{
    args::{Global, PlaybookVerb},
    client::ask,
    console::{Console, Format},
    error::Error,
    exit::Exit,
    line::{Line, Style},
    name::within,
};

pub(super) use lint::refused;
pub(super) use reader::Reader;
pub(super) use source::{flat, read as text, told};

pub(super) async fn run(verb: PlaybookVerb, global: &Global, console: &mut Console) -> Outcome {
    match verb {
        PlaybookVerb::New(args) => new::run(&args, global, console).await,
        PlaybookVerb::Lint(args) => lint::run(&args, console),
        PlaybookVerb::Explain { code } => explain::run(code.as_deref(), console),
        PlaybookVerb::Render { playbook, reading } => {
            let flat = source::flat(&playbook, &reading, global, console).await?;
            console.text(&echelon_playbooks::render(&flat))?;
            Ok(Exit::Done)
        }
        PlaybookVerb::Graph(args) => graph::run(&args, global, console).await,
        PlaybookVerb::Diff(args) => diff::run(&args, global, console).await,
        PlaybookVerb::Schema { output } => put(output.as_deref(), &echelon_playbooks::schema::text(), console),
        PlaybookVerb::Simulate(args) if !args.asks_coordinator() => simulate::alone(&args, console),
        PlaybookVerb::Simulate(args) => {
            let session = connect(global, console).await?;
            simulate::run(&args, session).await
        }
        PlaybookVerb::Push { file, dry_run, output } => {
            // What cannot be read needs no coordinator to be told.
            let text = source::read(&file, console)?;
            let session = connect(global, console).await?;
            push(&file, text, dry_run, output.output, session).await
        }
        PlaybookVerb::List { limit, output } => {
            let mut session = connect(global, console).await?;
            let request = ListPlaybooksRequest::default;
            let (playbooks, more) = pages!(session, limit.limit, list_playbooks, playbooks, request());
            session.list(
                &playbooks,
                more,
                output.output,
                "there are no playbooks yet: echelon playbook push FILE",
            )
        }
        PlaybookVerb::Get { playbook, output } => {
            let session = connect(global, console).await?;
            get(&playbook, output.output, session).await
        }
    }
}

async fn push(file: &Path, text: String, dry_run: bool, format: Format, mut session: Session<'_>) -> Outcome {
    let request = PushPlaybookRequest {
        text,
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
    let found = fetch(playbook, &mut session).await?;
    if format.is_json() {
        session.console.json(&found, format)?;
    } else {
        session.console.text(&found.text)?;
    }
    Ok(Exit::Done)
}

/// `web` or `web@3`, as the coordinator has it.
async fn fetch(playbook: &str, session: &mut Session<'_>) -> Result<echelon_proto::wire::control::Playbook, Error> {
    let name = match playbook.split_once('@') {
        Some((name, version)) => format!("playbooks/{name}/versions/{version}"),
        None => within("playbooks", playbook),
    };
    let found = session.client.get_playbook(ask(GetPlaybookRequest { name })).await;
    let found = found.map_err(|status| Error::from(status).or_next("echelon playbook list"))?;
    Ok(found.into_inner())
}

/// Text of our own on the screen, or in a file that may be there already: it can be made again.
fn put(file: Option<&Path>, text: &str, console: &mut Console) -> Outcome {
    match file {
        Some(file) if file != Path::new("-") => std::fs::write(file, text)
            .map_err(|error| Error::new(Exit::Error, format!("cannot write {}: {error}", file.display())))?,
        _ => console.text(text)?,
    }
    Ok(Exit::Done)
}
