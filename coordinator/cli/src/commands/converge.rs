//! `converge`: the plan that brings drifted hosts to where they should be. Changes nothing: the plan is started as any other.

use super::{Outcome, Session, plan};
use crate::{
    args,
    client::ask,
    error::{Error, reason},
    exit::Exit,
    line::{Line, Style},
    table,
};

pub(super) async fn run(args: &args::Converge, mut session: Session<'_>) -> Outcome {
    let answer = session.client.create_plan(ask(args.what())).await;
    let plan = match answer {
        Ok(answer) => answer.into_inner(),
        // For a job that runs every night this is the good case, unless there is drift that no plan mends: that is said.
        Err(status) if reason(&status) == "NOTHING_TO_DO" => {
            let line = Line::new().plain(status.message());
            session.console.note(&line)?;
            return Ok(Exit::Done);
        }
        Err(status) => return Err(Error::from(status).or_next(format!("echelon drift {}", args.app))),
    };
    if !args.output.output.is_json() {
        session.console.notes(&left_out(&plan))?;
    }
    plan::show(
        &plan,
        args.out.as_deref(),
        args.detailed_exitcode,
        args.output.output,
        session,
    )
}

fn left_out(plan: &echelon_proto::wire::control::Plan) -> Vec<Line> {
    let mut lines: Vec<_> = plan
        .left_out
        .iter()
        .take(table::HOSTS_MAX)
        .map(|left| {
            Line::new()
                .push(Style::Warn, "⚠ ")
                .plain(format!("left out: {}: {}", left.host, left.why))
        })
        .collect();
    let more = plan.left_out.len().saturating_sub(lines.len());
    lines.extend((more > 0).then(|| {
        Line::new()
            .push(Style::Warn, "⚠ ")
            .plain(format!("and {more} more: echelon drift {}", plan.app))
    }));
    lines
}
