//! Hosts come and go.

use std::collections::BTreeMap;

use echelon_proto::{Digest, HostId, Label, Person, Span, Time, limits::LABELS_MAX};

use crate::{
    command::Grant,
    engine::Engine,
    event::Hello,
    host::{Host, Serving, Standing},
    record::Record,
    refusal::{Reason, Refusal},
    rollback::serving,
    rollout::Rollout,
};

/// Until a join token is used.
const TOKEN_LIFE: Span = Span::secs(600);

/// Its life begins now, as this engine counts: a wall clock that was put back must not make tokens that are old at once.
pub(super) fn token(now: Time, by: &Person, token: Digest, grant: &Grant) -> Record {
    let grant = Grant {
        expires: now + TOKEN_LIFE,
        ..grant.clone()
    };
    Record::TokenCreated {
        token,
        grant,
        by: by.clone(),
    }
}

/// A token is good once, for one host, for a while. The answer does not tell a guesser which of these it was not.
pub(super) fn joining(engine: &Engine, now: Time, host: &HostId, token: &Digest) -> Result<Vec<Record>, Refusal> {
    let grant = engine
        .state()
        .tokens
        .get(token)
        .filter(|grant| grant.host == *host && grant.expires > now);
    match grant {
        Some(_) => Ok(vec![Record::HostJoined {
            token: *token,
            host: host.clone(),
        }]),
        None => Err(Reason::BadToken.refusal(format!(
            "this token does not let host {host} join: it was used, has expired, or is another host's"
        ))),
    }
}

pub(super) fn attached(engine: &Engine, host: &HostId, session: u64, hello: &Hello) -> Result<Vec<Record>, Refusal> {
    let known = engine.state().hosts.get(host).ok_or_else(|| {
        Reason::NotFound.refusal(format!("host {host} has never joined: `echelon host token {host}`"))
    })?;
    if hello.labels.len() > LABELS_MAX {
        return Err(Reason::Invalid.refusal(format!("host {host} has more than {LABELS_MAX} labels")));
    }
    let mut hello = hello.clone();
    for (app, standing) in &mut hello.standings {
        standing.traffic = traffic(engine, known, app, standing);
    }
    Ok(vec![Record::HostAttached {
        host: host.clone(),
        session,
        hello,
    }])
}

/// What the agent's word on a state means for traffic: as we know it where it says what we know (we write the phase before
/// its error), else by the machine of the newest rollout of the app; an unknown state is out of service.
fn traffic(engine: &Engine, host: &Host, app: &echelon_proto::App, standing: &Standing) -> Serving {
    let known = host.standings.get(app);
    let is_known = |known: &&Standing| {
        let is_same = match (&known.error, &standing.error) {
            (Some(ours), Some(theirs)) => ours.ends_with(theirs.as_str()),
            (ours, theirs) => ours == theirs,
        };
        is_same && known.state == standing.state
    };
    if let Some(known) = known.filter(is_known) {
        return known.traffic;
    }
    let newest = engine.state().rollouts.values().filter(|rollout| rollout.app == *app);
    match newest.max_by_key(|rollout| rollout.number) {
        Some(rollout) => traffic_by(rollout, standing),
        None => Serving::Out,
    }
}

/// The same by this rollout's machine. What would serve, and in which a phase has failed, is out of service; what is not there
/// takes nothing from its host, whatever failed.
pub(super) fn traffic_by(rollout: &Rollout, standing: &Standing) -> Serving {
    match serving(&rollout.playbook.machine, &standing.state) {
        Serving::Full if standing.error.is_some() => Serving::Out,
        traffic @ (Serving::Full | Serving::Out | Serving::Absent) => traffic,
    }
}

/// Only what changes is written; nothing, where nothing does.
pub(super) fn label(
    engine: &Engine,
    by: &Person,
    host: &HostId,
    labels: &BTreeMap<Label, Option<String>>,
) -> Result<Vec<Record>, Refusal> {
    let known = known(engine, host)?;
    if let Some(label) = labels.keys().find(|label| known.told.contains_key(*label)) {
        return Err(Reason::WrongState.refusal(format!(
            "label {label} of host {host} is in its agent's config, which goes over this one: change it there"
        )));
    }
    let is_new = |(label, given): &(&Label, &Option<String>)| known.labels.get(*label) != given.as_ref();
    let changed: BTreeMap<_, _> = labels
        .iter()
        .filter(is_new)
        .map(|(l, given)| (l.clone(), given.clone()))
        .collect();
    if changed.is_empty() {
        return Ok(Vec::new());
    }
    // What runs was made of the labels as they are, and is sent again as it was.
    if let Some(busy) = &known.busy {
        return Err(Reason::WrongState.refusal(format!(
            "{} works on host {host}: label it when its phase has ended",
            busy.rollout
        )));
    }
    let kept = known
        .labels
        .keys()
        .filter(|label| !changed.contains_key(*label))
        .count();
    if kept + changed.values().flatten().count() > LABELS_MAX {
        return Err(Reason::Invalid.refusal(format!("host {host} would have more than {LABELS_MAX} labels")));
    }
    Ok(vec![Record::HostLabelled {
        host: host.clone(),
        labels: changed,
        by: by.clone(),
    }])
}

/// A host that is not there cannot answer, and then nobody has looked at it.
pub(super) fn ask(engine: &Engine, by: &Person, host: &HostId, what: &str) -> Result<Vec<Record>, Refusal> {
    let known = known(engine, host)?;
    if !known.is_attached() {
        return Err(Reason::WrongState.refusal(format!(
            "host {host} is not reachable since {}: only its agent could answer; `echelon host get {host}` says what is known",
            known.since
        )));
    }
    Ok(vec![Record::HostAsked {
        host: host.clone(),
        what: what.to_owned(),
        by: by.clone(),
    }])
}

fn known<'a>(engine: &'a Engine, host: &HostId) -> Result<&'a Host, Refusal> {
    engine.state().hosts.get(host).ok_or_else(|| {
        Reason::NotFound.refusal(format!(
            "no host {host} has ever joined; `echelon host list` shows those that have"
        ))
    })
}

pub(super) fn detached(engine: &Engine, host: &HostId, session: u64) -> Vec<Record> {
    let is_newest = engine
        .state()
        .hosts
        .get(host)
        .is_some_and(|host| host.session == Some(session));
    is_newest
        .then(|| Record::HostDetached { host: host.clone() })
        .into_iter()
        .collect()
}
