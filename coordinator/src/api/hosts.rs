//! Hosts: listed, looked up, let in.

use std::{collections::BTreeMap, ops::Bound};

use echelon_engine::{
    State,
    command::{Command, Grant},
    host::{Host, Standing},
};
use echelon_playbooks::selector::Selector;
use echelon_proto::{App, Datacenter, HostId, Label, Person, Pool, Time, limits, wire::control as wire};
use tonic::Status;

use super::{Control, convert, field, page::Page, samples, status};
use crate::pki::Token;

/// A selector's text, in characters.
const SELECTOR_CHARS_MAX: usize = 4096;

pub(super) fn list(control: &Control, request: &wire::ListHostsRequest) -> Result<wire::ListHostsResponse, Status> {
    let page = Page::new(request.page_size, &request.page_token)?;
    field::chars("selector", &request.selector, SELECTOR_CHARS_MAX)?;
    let selector: Selector = field::optional("selector", &request.selector)?.unwrap_or_default();
    let after = page.after.as_deref().map(HostId::new).transpose();
    let after = field::parsed("page_token", after)?.map_or(Bound::Unbounded, Bound::Excluded);
    let (state, now) = control.latest();
    let rest = state.hosts.range((after, Bound::Unbounded)).map(|(_, host)| host);
    let (hosts, next_page_token) = page.take(rest.filter(|host| selector.matches(&host.subject())), |host| {
        host.id.to_string()
    });
    let hosts = hosts.into_iter().map(|host| to_wire(&state, host, now)).collect();
    Ok(wire::ListHostsResponse { hosts, next_page_token })
}

pub(super) fn get(control: &Control, request: &wire::GetHostRequest) -> Result<wire::Host, Status> {
    let id = named(&request.name)?;
    shown(control, &control.latest().0, &id)
}

pub(super) async fn token(
    control: &Control,
    by: Person,
    request: wire::CreateJoinTokenRequest,
) -> Result<wire::JoinToken, Status> {
    let grant = Grant {
        host: field::parsed("host", HostId::new(&request.host))?,
        datacenter: field::parsed("datacenter", Datacenter::new(&request.datacenter))?,
        pool: field::parsed("pool", Pool::new(&request.pool))?,
        labels: labels(request.labels)?,
        // The engine says until when.
        expires: Time::default(),
    };
    let token = Token::generate();
    let command = Command::CreateToken {
        token: token.hash(),
        grant,
    };
    let (_, state) = control.wish(by, command, false).await?;
    let expires = state.tokens.get(&token.hash()).map(|grant| grant.expires);
    Ok(wire::JoinToken {
        token: token.reveal().to_owned(),
        expire_time: expires.map(convert::stamp),
    })
}

pub(super) async fn label(
    control: &Control,
    by: Person,
    request: wire::LabelHostRequest,
) -> Result<wire::Host, Status> {
    let host = named(&request.name)?;
    let set = labels(request.set)?
        .into_iter()
        .map(|(label, value)| (label, Some(value)));
    let mut changes: BTreeMap<_, _> = set.collect();
    field::at_most("remove", request.remove.len(), limits::LABELS_MAX, "entries")?;
    for label in request.remove {
        let label = field::parsed("remove", Label::new(label))?;
        if changes.insert(label.clone(), None).is_some() {
            return Err(status::invalid(
                "remove",
                &format!("{label} is to be set and to be removed"),
            ));
        }
    }
    if changes.is_empty() {
        return Err(status::invalid("set", "is empty, and so is `remove`: name a label"));
    }
    let command = Command::LabelHost {
        host: host.clone(),
        labels: changes,
    };
    let (_, state) = control.wish(by, command, request.validate_only).await?;
    shown(control, &state, &host)
}

pub(super) fn named(name: &str) -> Result<HostId, Status> {
    let [id] = field::resource("hosts/{host}", name)?;
    field::parsed("name", HostId::new(id))
}

fn shown(control: &Control, state: &State, id: &HostId) -> Result<wire::Host, Status> {
    let now = control.latest().1;
    let host = state.hosts.get(id).ok_or_else(|| unknown(id))?;
    Ok(wire::Host {
        samples: samples::newest(control, id, now),
        ..to_wire(state, host, now)
    })
}

pub(super) fn unknown(id: &HostId) -> Status {
    status::not_found(&format!(
        "no host {id} has ever joined; `echelon host list` shows those that have"
    ))
}

fn labels(given: std::collections::HashMap<String, String>) -> Result<BTreeMap<Label, String>, Status> {
    field::at_most("labels", given.len(), limits::LABELS_MAX, "entries")?;
    let mut labels = BTreeMap::new();
    for (key, value) in given {
        field::chars("labels", &value, limits::LABEL_CHARS_MAX)?;
        labels.insert(field::parsed("labels", Label::new(key))?, value);
    }
    Ok(labels)
}

fn to_wire(state: &State, host: &Host, now: Time) -> wire::Host {
    wire::Host {
        name: format!("hosts/{}", host.id),
        host: host.id.to_string(),
        datacenter: host.datacenter.to_string(),
        pool: host.pool.to_string(),
        labels: host
            .labels
            .iter()
            .map(|(key, value)| (key.to_string(), value.clone()))
            .collect(),
        attached: host.is_attached(),
        in_service: host.in_service(),
        standings: host.standings.iter().map(|(app, on)| standing(host, app, on)).collect(),
        agent_version: host.version.clone(),
        last_seen_time: Some(convert::stamp(if host.is_attached() { now } else { host.since })),
        running: running(state, host).unwrap_or_default(),
        facts: host.facts.clone().into_iter().collect(),
        samples: Vec::new(),
    }
}

/// `r7 install 1`
fn running(state: &State, host: &Host) -> Option<String> {
    let rollout = &host.busy.as_ref()?.rollout;
    let current = state.rollouts.get(rollout)?.runs.get(&host.id)?.current.as_ref()?;
    Some(format!("{rollout} {} {}", current.phase, current.attempt))
}

fn standing(host: &Host, app: &App, standing: &Standing) -> wire::Standing {
    let unwell = || {
        host.unwell(app)
            .map(|unwell| format!("its monitor fails: {}", unwell.message))
    };
    wire::Standing {
        app: app.to_string(),
        state: standing.state.to_string(),
        release: convert::text(standing.release.as_ref()),
        previous: convert::text(standing.previous.as_ref()),
        error: standing.error.clone().or_else(unwell).unwrap_or_default(),
    }
}
