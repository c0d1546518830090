//! approve, reject, promote, pause, resume, retry, skip, abort, rollback: a person's word on a rollout.

use echelon_proto::wire::control::{ActRequest, Rollout};
use jiff::Timestamp;
use tonic::{Response, Status};

use super::{Outcome, Session, request_id, unanswered};
use crate::{
    args::Act as Args,
    client::ask,
    error::Error,
    exit::Exit,
    line::{Line, Style},
    tree,
};

/// Which word.
#[derive(Debug, Clone, Copy)]
pub(super) enum Act {
    Approve,
    Reject,
    Promote,
    Pause,
    Resume,
    Retry,
    Skip,
    Abort,
    Rollback,
}

pub(super) async fn run(act: Act, args: Args, mut session: Session<'_>) -> Outcome {
    let id = request_id(args.request_id.as_ref());
    let request = ActRequest {
        name: args.rollout.resource(),
        reason: args.reason,
        datacenter: args.datacenter.map(String::from).unwrap_or_default(),
        host: args.host.map(String::from).unwrap_or_default(),
        etag: args.etag.unwrap_or_default(),
        validate_only: args.dry_run,
        request_id: id.clone(),
    };
    let explain = format!("echelon rollout explain {}", args.rollout.id());
    let rollout = say(act, request, &mut session)
        .await
        .map_err(|status| unanswered(Error::from(status).or_next(explain), &id))?
        .into_inner();
    if args.output.output.is_json() {
        session.console.json(&rollout, args.output.output)?;
        return Ok(Exit::Done);
    }
    if args.dry_run {
        let note = "dry run: it would be done; nothing was changed";
        session.console.note(&Line::new().push(Style::Warn, "⚠ ").plain(note))?;
    }
    let now = Timestamp::now();
    session.console.line(&tree::headline(&rollout, now))?;
    if !rollout.state_reason.is_empty() {
        session
            .console
            .line(&Line::new().plain("  ").plain(&rollout.state_reason))?;
    }
    session.console.lines(&tree::waiting(&rollout))?;
    Ok(Exit::Done)
}

async fn say(act: Act, request: ActRequest, session: &mut Session<'_>) -> Result<Response<Rollout>, Status> {
    let (client, request) = (&mut session.client, ask(request));
    match act {
        Act::Approve => client.approve_rollout(request).await,
        Act::Reject => client.reject_rollout(request).await,
        Act::Promote => client.promote_rollout(request).await,
        Act::Pause => client.pause_rollout(request).await,
        Act::Resume => client.resume_rollout(request).await,
        Act::Retry => client.retry_rollout(request).await,
        Act::Skip => client.skip_rollout(request).await,
        Act::Abort => client.abort_rollout(request).await,
        Act::Rollback => client.rollback_rollout(request).await,
    }
}
