//! Playbooks: pushed, looked up, listed.

use std::sync::Arc;

use echelon_engine::{State, command::Command, state::Pushed};
use echelon_playbooks::{BaseName, Checked, Fault, Given, Severity, read_with};
use echelon_proto::{Person, PlaybookName, limits, wire::control as wire};
use tonic::Status;

use super::{Control, convert, field, page::Page, status};

pub(super) async fn push(
    control: &Control,
    by: Person,
    request: wire::PushPlaybookRequest,
) -> Result<wire::Playbook, Status> {
    field::at_most("text", request.text.len(), limits::PLAYBOOK_BYTES_MAX, "bytes")?;
    let text = request.text;
    let Checked { playbook, base, .. } = read(&control.latest().0, &text)?;
    let (name, version) = (playbook.name.clone(), playbook.version);
    let command = Command::PushPlaybook {
        playbook: Box::new(playbook),
        text,
        base,
    };
    let (_, state) = control.wish(by, command, request.validate_only).await?;
    let pushed = state
        .playbook(&name, Some(version))
        .map(|pushed| to_wire(pushed, false));
    pushed.ok_or_else(|| Status::internal("the playbook is not there although it was pushed"))
}

/// Checks the text, with what it extends of what was pushed; all that is wrong is told at once, each in a line of its own, and the first error in the message.
pub(super) fn read(state: &State, text: &str) -> Result<Checked, Status> {
    // A base is never removed and never changes, so it is the same when the command is decided.
    let bases = |base: &BaseName| {
        let pushed = state.playbook(&base.name, Some(base.version));
        pushed.filter(|_| !base.library).map(|pushed| pushed.text.clone())
    };
    let given = Given {
        bases: Some(&bases),
        ..Given::default()
    };
    read_with(text, &given).map_err(|faults| {
        let errors = || faults.0.iter().filter(|fault| fault.severity == Severity::Error);
        let text = match (errors().next(), errors().count()) {
            (Some(first), 1) => format!("the playbook is not valid: {}", told(first)),
            (Some(first), count) => format!("the playbook has {count} errors, the first: {}", told(first)),
            (None, _) => "the playbook is not valid".to_owned(),
        };
        let violations = faults.0.iter().map(|fault| ("text".to_owned(), told(fault)));
        status::invalid_fields(&text, violations)
    })
}

fn told(fault: &Fault) -> String {
    let Fault { line, column, .. } = fault;
    let source = fault
        .source
        .as_ref()
        .map(|source| format!("{source}, "))
        .unwrap_or_default();
    format!(
        "{source}line {line}, column {column}: {} ({}); {}",
        fault.message, fault.code, fault.help
    )
}

pub(super) fn get(control: &Control, request: &wire::GetPlaybookRequest) -> Result<wire::Playbook, Status> {
    let (name, version) = match field::resource("playbooks/{playbook}", &request.name) {
        Ok([name]) => (name, None),
        Err(_) => {
            let [name, version] = field::resource("playbooks/{playbook}/versions/{version}", &request.name)?;
            (name, Some(field::parsed("name", version.parse::<u32>())?))
        }
    };
    let name = field::parsed("name", PlaybookName::new(name))?;
    let (state, _) = control.latest();
    let found = state.playbook(&name, version).map(|pushed| to_wire(pushed, true));
    found.ok_or_else(|| {
        let what = version.map_or(name.to_string(), |version| format!("{name}@{version}"));
        status::not_found(&format!(
            "there is no playbook {what}; `echelon playbook list` shows them"
        ))
    })
}

pub(super) fn list(
    control: &Control,
    request: &wire::ListPlaybooksRequest,
) -> Result<wire::ListPlaybooksResponse, Status> {
    let page = Page::new(request.page_size, &request.page_token)?;
    let (state, _) = control.latest();
    let all = state.playbooks.values().flat_map(|versions| versions.values());
    let rest = all.filter(|pushed| page.after.as_ref().is_none_or(|after| key(pushed) > *after));
    let (playbooks, next_page_token) = page.take(rest, |pushed| key(pushed));
    let playbooks = playbooks.into_iter().map(|pushed| to_wire(pushed, false)).collect();
    Ok(wire::ListPlaybooksResponse {
        playbooks,
        next_page_token,
    })
}

/// In the order of the state: a name holds no NUL, which sorts before all that it holds.
fn key(pushed: &Arc<Pushed>) -> String {
    format!("{}\u{0}{:010}", pushed.playbook.name, pushed.playbook.version)
}

fn to_wire(pushed: &Arc<Pushed>, with_text: bool) -> wire::Playbook {
    let playbook = &pushed.playbook;
    wire::Playbook {
        name: format!("playbooks/{}/versions/{}", playbook.name, playbook.version),
        playbook: playbook.name.to_string(),
        version: playbook.version,
        digest: playbook.digest.to_string(),
        text: if with_text { pushed.text.clone() } else { String::new() },
        create_time: Some(convert::stamp(pushed.at)),
        created_by: pushed.by.to_string(),
    }
}
