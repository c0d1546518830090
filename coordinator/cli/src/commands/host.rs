//! `host list`, `get`, `label`, `token`; what is asked of a host itself is in `diagnose`.

mod diagnose;

use echelon_proto::{
    HostId,
    wire::control::{CreateJoinTokenRequest, GetHostRequest, LabelHostRequest, ListHostsRequest},
};

use super::{Outcome, Session, pages};
use crate::{
    args::HostVerb,
    client::ask,
    console::Format,
    error::Error,
    exit::Exit,
    line::{Line, Style},
    when,
};

pub(super) async fn run(verb: HostVerb, mut session: Session<'_>) -> Outcome {
    match verb {
        HostVerb::List {
            selector,
            limit,
            output,
        } => {
            let (hosts, more) = pages!(
                session,
                limit.limit,
                list_hosts,
                hosts,
                ListHostsRequest {
                    selector: selector.clone(),
                    ..ListHostsRequest::default()
                }
            );
            session.list(&hosts, more, output.output, "no host matches")
        }
        HostVerb::Get { host, output } => {
            let request = ask(GetHostRequest {
                name: format!("hosts/{host}"),
            });
            let host = session.client.get_host(request).await;
            let host = host
                .map_err(|status| Error::from(status).or_next("echelon host list"))?
                .into_inner();
            session.thing(&host, output.output)
        }
        HostVerb::Doctor { host, output } => diagnose::doctor(&host, session, output.output).await,
        HostVerb::Processes { host, app, output } => diagnose::processes(&host, &app, session, output.output).await,
        HostVerb::Releases { host, app, output } => {
            diagnose::releases(&host, app.as_ref(), session, output.output).await
        }
        HostVerb::Tail {
            host,
            file,
            lines,
            follow,
        } => diagnose::tail(&host, file, lines, follow, session).await,
        HostVerb::Label {
            host,
            labels,
            dry_run,
            output,
        } => label(&host, labels, dry_run, session, output.output).await,
        HostVerb::Token {
            host,
            datacenter,
            pool,
            labels,
            output,
        } => {
            let request = CreateJoinTokenRequest {
                host: host.into(),
                datacenter: datacenter.into(),
                pool: pool.into(),
                labels: labels.into_iter().collect(),
            };
            token(request, session, output.output).await
        }
    }
}

async fn label(
    host: &HostId,
    labels: Vec<(String, Option<String>)>,
    dry_run: bool,
    mut session: Session<'_>,
    format: Format,
) -> Outcome {
    let (set, remove): (Vec<_>, Vec<_>) = labels.into_iter().partition(|(_, value)| value.is_some());
    let request = LabelHostRequest {
        name: format!("hosts/{host}"),
        set: set.into_iter().filter_map(|(key, value)| Some((key, value?))).collect(),
        remove: remove.into_iter().map(|(key, _)| key).collect(),
        validate_only: dry_run,
    };
    let host = session.client.label_host(ask(request)).await?.into_inner();
    session.thing(&host, format)
}

/// The token alone goes to the output, so that a script can take it from there.
async fn token(request: CreateJoinTokenRequest, mut session: Session<'_>, format: Format) -> Outcome {
    let host = request.host.clone();
    let token = session.client.create_join_token(ask(request)).await?.into_inner();
    if format.is_json() {
        session.console.json(&token, format)?;
        return Ok(Exit::Done);
    }
    session.console.line(&Line::new().plain(&token.token))?;
    let expires = when::shown(token.expire_time.as_ref());
    let note = format!("{host} may join with it once, until {expires}");
    session.console.note(&Line::new().push(Style::Dim, note))?;
    Ok(Exit::Done)
}
