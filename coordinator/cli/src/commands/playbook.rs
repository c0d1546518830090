//! `playbook push`, `list`, `get`.

use std::{fs, path::Path};

use echelon_proto::{
    limits::PLAYBOOK_BYTES_MAX,
    wire::control::{GetPlaybookRequest, ListPlaybooksRequest, PushPlaybookRequest},
};

use super::{Outcome, Session, pages};
use crate::{
    args::PlaybookVerb,
    client::ask,
    console::Format,
    error::Error,
    exit::Exit,
    line::{Line, Style},
    name::within,
};

pub(super) async fn run(verb: PlaybookVerb, mut session: Session<'_>) -> Outcome {
    match verb {
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
    let pushed = session.client.push_playbook(ask(request)).await;
    let pushed = pushed?.into_inner();
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

fn text(file: &Path) -> Result<String, Error> {
    let fault = |why: String| Error::new(Exit::Error, format!("cannot read {}: {why}", file.display()));
    let size = fs::metadata(file).map_err(|error| fault(error.to_string()))?.len();
    if size > PLAYBOOK_BYTES_MAX as u64 {
        return Err(fault(format!(
            "{size} bytes are more than a playbook may have ({PLAYBOOK_BYTES_MAX})"
        )));
    }
    fs::read_to_string(file).map_err(|error| fault(error.to_string()))
}
