//! `drift`: what stands on hosts against what should.

use echelon_proto::wire::control::{Drift, DriftSummary, ListDriftRequest, ListDriftResponse};

use super::{Outcome, PAGE, Session};
use crate::{
    args,
    client::ask,
    console::Format,
    delta,
    error::Error,
    exit::Exit,
    line::{Line, Style},
};

pub(super) async fn run(args: &args::Drift, mut session: Session<'_>) -> Outcome {
    let (drifts, summaries, more) = read(args, &mut session).await?;
    let format = args.output.output;
    if format.is_json() {
        session.console.json_list(&drifts, format)?;
    } else if summaries.is_empty() {
        session.console.note(&Line::new().plain(nothing(args)))?;
    } else {
        session
            .console
            .lines(&delta::lines(&summaries, &drifts, format == Format::Wide))?;
    }
    if more {
        let note = "there is more: give a higher --limit";
        session.console.note(&Line::new().push(Style::Warn, "⚠ ").plain(note))?;
    }
    let drifted = summaries.iter().any(|summary| summary.drifted);
    if !format.is_json() && summaries.iter().any(delta::can_converge) {
        let command = match &args.app {
            Some(app) => format!("echelon converge {app}"),
            None => "echelon converge APP".to_owned(),
        };
        session
            .console
            .note(&Line::new().push(Style::Dim, "next: ").push(Style::Bold, command))?;
    }
    Ok(if args.detailed_exitcode && drifted {
        Exit::HasChanges
    } else {
        Exit::Done
    })
}

fn nothing(args: &args::Drift) -> &'static str {
    if args.app.is_none() && args.datacenter.is_none() && args.host.is_none() {
        "nothing stands anywhere, and nothing should"
    } else {
        "nothing stands there, and nothing should"
    }
}

/// Pages up to the limit. The summaries are of everything, whatever the limit; those of the first page are as old as its
/// hosts.
async fn read(args: &args::Drift, session: &mut Session<'_>) -> Result<(Vec<Drift>, Vec<DriftSummary>, bool), Error> {
    let limit = usize::try_from(args.limit.limit).unwrap_or(usize::MAX);
    let (mut drifts, mut summaries, mut token) = (Vec::new(), None, String::new());
    loop {
        let left = i32::try_from(limit - drifts.len()).unwrap_or(i32::MAX);
        let request = ListDriftRequest {
            page_size: left.min(PAGE),
            page_token: token,
            ..args.what()
        };
        let page: ListDriftResponse = session.client.list_drift(ask(request)).await?.into_inner();
        drifts.extend(page.drifts);
        summaries.get_or_insert(page.summaries);
        token = page.next_page_token;
        if token.is_empty() || drifts.len() >= limit {
            break;
        }
    }
    let more = !token.is_empty() || drifts.len() > limit;
    drifts.truncate(limit);
    Ok((drifts, summaries.unwrap_or_default(), more))
}
