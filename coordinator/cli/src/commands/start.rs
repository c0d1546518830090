//! `start`: a rollout begins, now or at a time, and is followed if so wished.

use echelon_proto::wire::control::{CreateRolloutRequest, IfRunning, Rollout};
use jiff::{Timestamp, Zoned};

use super::{Outcome, Session, request_id, rollout::show, unanswered};
use crate::{
    args::Start,
    client::ask,
    error::Error,
    exit::Exit,
    follow::{Follow, follow},
    line::{Line, Style},
    name, tree,
    watch::Watch,
    when,
};

pub(super) async fn run(args: &Start, mut session: Session<'_>) -> Outcome {
    let id = request_id(args.request_id.as_ref());
    let request = request(args, &id, &Zoned::now())?;
    let created = session.client.create_rollout(ask(request)).await;
    let rollout = created.map_err(|status| refused(status, args, &id))?.into_inner();
    if args.dry_run {
        return dry(&rollout, args, session);
    }
    let live = !args.wait && session.console.screen().is_some();
    if !args.output.output.is_json() && !live {
        began(&rollout, &mut session)?;
    }
    if args.detach {
        return detached(&rollout, args, session);
    }
    let how = Follow {
        until_person: args.wait || (!args.watch && !live),
        plain: args.wait,
        timeout: args.timeout.map(|timeout| timeout.duration()),
        format: args.output.output,
    };
    let watch = Watch::start(session.client, rollout.name, 0, session.patience);
    follow(session.console, watch, how).await
}

fn request(args: &Start, id: &str, now: &Zoned) -> Result<CreateRolloutRequest, Error> {
    let start_time = args.at.as_ref().map(|at| when::parse(at, now)).transpose()?;
    Ok(CreateRolloutRequest {
        plan: args
            .plan
            .as_ref()
            .map(|plan| name::within("plans", plan))
            .unwrap_or_default(),
        what: args.what()?,
        start_time: start_time.map(when::wire),
        request_id: id.into(),
        if_running: args.if_running.map_or(IfRunning::Unspecified, IfRunning::from).into(),
        reason: args.reason.clone().unwrap_or_default(),
        validate_only: args.dry_run,
    })
}

/// A stale plan is made anew with the same words; only we know them.
fn refused(status: tonic::Status, args: &Start, id: &str) -> Error {
    let mut error = unanswered(status.into(), id);
    if let (Exit::Conflict, Ok(Some(what))) = (error.exit, args.what())
        && error.what.contains("STALE_PLAN")
    {
        let params: Vec<String> = args.params.iter().map(|param| format!(" {param}")).collect();
        error.next = Some(format!(
            "echelon plan {} --release {} --playbook {}{}",
            what.app,
            what.release,
            what.playbook,
            params.concat()
        ));
    }
    error
}

fn began(rollout: &Rollout, session: &mut Session<'_>) -> Result<(), Error> {
    Ok(session.console.line(&tree::headline(rollout, Timestamp::now()))?)
}

fn dry(rollout: &Rollout, args: &Start, mut session: Session<'_>) -> Outcome {
    let note = "dry run: it could be started; nothing was";
    session.console.note(&Line::new().push(Style::Warn, "⚠ ").plain(note))?;
    show(rollout, args.output.output, &mut session)
}

fn detached(rollout: &Rollout, args: &Start, session: Session<'_>) -> Outcome {
    if args.output.output.is_json() {
        session.console.json(rollout, args.output.output)?;
        return Ok(Exit::Done);
    }
    if session.console.screen().is_some() {
        session.console.line(&tree::headline(rollout, Timestamp::now()))?;
    }
    let command = format!("echelon status {} --watch", name::id(&rollout.name));
    session
        .console
        .note(&Line::new().push(Style::Dim, "next: ").push(Style::Bold, command))?;
    Ok(Exit::Done)
}
