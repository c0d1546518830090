//! What stands where it should, and what does not. Compared is in the engine; here it is cut into pages and counted.

use std::collections::BTreeMap;

use echelon_engine::drift::{self, Filter, Row, Verdict};
use echelon_proto::wire::control as wire;
use tonic::Status;

use super::{Control, convert, field, page::Page};

pub(super) fn list(control: &Control, request: &wire::ListDriftRequest) -> Result<wire::ListDriftResponse, Status> {
    let page = Page::new(request.page_size, &request.page_token)?;
    let filter = Filter {
        app: field::optional("app", &request.app)?,
        datacenter: field::optional("datacenter", &request.datacenter)?,
        host: field::optional("host", &request.host)?,
    };
    let (state, _) = control.latest();
    let rows = drift::rows(&state, &filter);
    let summaries = summaries(&rows);
    let shown = rows.iter().filter(|row| request.all || row.verdict != Verdict::InLine);
    let rest = shown.filter(|row| page.after.as_ref().is_none_or(|after| key(row) > *after));
    let (rows, next_page_token) = page.take(rest, |row| key(row));
    Ok(wire::ListDriftResponse {
        drifts: rows.into_iter().map(to_wire).collect(),
        next_page_token,
        summaries,
    })
}

/// In the order of the rows: a name holds no NUL, which sorts before all that it holds.
fn key(row: &Row<'_>) -> String {
    format!("{}\u{0}{}\u{0}{}", row.app, row.host.datacenter, row.host.id)
}

fn summaries(rows: &[Row<'_>]) -> Vec<wire::DriftSummary> {
    let mut counts: BTreeMap<_, BTreeMap<Verdict, usize>> = BTreeMap::new();
    for row in rows {
        let place = (row.app, &row.host.datacenter);
        *counts.entry(place).or_default().entry(row.verdict).or_default() += 1;
    }
    let summary = |((app, datacenter), verdicts): ((_, _), BTreeMap<Verdict, usize>)| wire::DriftSummary {
        app: convert::text(Some(app)),
        datacenter: convert::text(Some(datacenter)),
        hosts: convert::count(verdicts.values().sum()),
        drifted: verdicts.keys().any(|verdict| verdict.is_drift()),
        verdicts: verdicts
            .into_iter()
            .map(|(verdict, hosts)| (verdict.name().to_owned(), convert::count(hosts)))
            .collect(),
    };
    counts.into_iter().map(summary).collect()
}

fn to_wire(row: &Row<'_>) -> wire::Drift {
    let (wish, live) = (row.wish.as_ref(), row.live);
    wire::Drift {
        app: row.app.to_string(),
        datacenter: row.host.datacenter.to_string(),
        pool: row.host.pool.to_string(),
        host: row.host.id.to_string(),
        verdict: row.verdict.name().to_owned(),
        why: row.why.clone(),
        desired_state: convert::text(wish.map(|wish| &wish.goal.state)),
        desired_release: convert::text(wish.and_then(|wish| wish.release.as_ref())),
        desired_by: convert::text(wish.map(|wish| &wish.goal.rollout)),
        live_state: convert::text(live.map(|live| &live.state)),
        live_release: convert::text(live.and_then(|live| live.release.as_ref())),
        live_error: live.and_then(|live| live.error.clone()).unwrap_or_default(),
    }
}
