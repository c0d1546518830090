//! `plan`: which hosts, in which order, by which phases. Changes nothing.

use std::{fs, io, path::Path};

use echelon_proto::wire::control::Plan;

use super::{Outcome, Session};
use crate::{
    args,
    client::ask,
    console::Format,
    error::Error,
    exit::Exit,
    json,
    line::{Line, Style},
    name, table,
};

pub(super) async fn run(args: &args::Plan, mut session: Session<'_>) -> Outcome {
    let plan = session.client.create_plan(ask(args.what()?)).await?.into_inner();
    show(
        &plan,
        args.out.as_deref(),
        args.detailed_exitcode,
        args.output.output,
        session,
    )
}

/// A plan that was made: to the file, to the screen, to the shell.
pub(super) fn show(
    plan: &Plan,
    out: Option<&Path>,
    detailed_exitcode: bool,
    format: Format,
    session: Session<'_>,
) -> Outcome {
    if let Some(path) = out {
        save(plan, path)
            .map_err(|error| Error::new(Exit::Error, format!("cannot write {}: {error}", path.display())))?;
    }
    if format.is_json() {
        session.console.json(plan, format)?;
    } else {
        session.console.lines(&table::plan(plan, format == Format::Wide))?;
        let command = format!("echelon start --plan {}", name::id(&plan.name));
        session
            .console
            .note(&Line::new().push(Style::Dim, "next: ").push(Style::Bold, command))?;
    }
    let changes = plan
        .lanes
        .iter()
        .flat_map(|lane| &lane.waves)
        .any(|wave| !wave.hosts.is_empty());
    Ok(if detailed_exitcode && changes {
        Exit::HasChanges
    } else {
        Exit::Done
    })
}

fn save(plan: &Plan, path: &Path) -> io::Result<()> {
    let text = serde_json::to_string_pretty(&json::value(plan)?).map_err(io::Error::other)?;
    fs::write(path, text + "\n")
}
