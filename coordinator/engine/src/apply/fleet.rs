//! Hosts, their sessions, and what stands on them.

use std::collections::{BTreeMap, BTreeSet};

use echelon_proto::{
    Digest, HostId, Label, Time,
    planted::{self, Plant},
};

use crate::{
    effect::Key,
    engine::Engine,
    host::{Host, Unwell},
    record::Record,
};

pub(super) fn apply(engine: &mut Engine, now: Time, record: &Record) {
    match record {
        Record::TermBegan { term } => {
            engine.state.term = *term;
            let all: Vec<_> = engine.state.hosts.keys().cloned().collect();
            for host in all.into_iter().filter(|_| !planted::is(Plant::SessionsSurvive)) {
                detach(engine, now, &host);
            }
            let orders: Vec<_> = engine
                .owed
                .keys()
                .filter(|key| matches!(key, Key::Order(..)))
                .cloned()
                .collect();
            for key in orders {
                engine.refresh(key);
            }
        }
        Record::TokenCreated { token, grant, .. } => {
            let expired = engine
                .state
                .tokens
                .iter()
                .filter(|(_, grant)| grant.expires <= now)
                .map(|(t, _)| *t);
            for token in expired.collect::<Vec<_>>() {
                engine.state.tokens.remove_mut(&token);
            }
            engine.state.tokens.insert_mut(*token, grant.clone());
        }
        Record::HostJoined { token, host } => joined(engine, now, token, host),
        Record::HostAttached { host, session, hello } => {
            let Some(known) = engine.state.hosts.get_mut(host) else {
                return;
            };
            known.session = Some(*session);
            known.since = now;
            known.version = hello.version.clone();
            known.facts = hello.facts.clone();
            let before = known.labels.clone();
            known.tell(hello.labels.clone());
            let is_labelled_anew = known.labels != before;
            known.standings = hello.standings.clone();
            if is_labelled_anew {
                told_anew(engine, host);
            }
            engine.touch_all();
        }
        Record::HostDetached { host } => detach(engine, now, host),
        Record::HostLabelled { host, labels, .. } => labelled(engine, host, labels),
        Record::MonitorChanged { host, .. } => unwell(engine, now, host, record),
        _ => {}
    }
}

fn joined(engine: &mut Engine, now: Time, token: &Digest, host: &HostId) {
    let Some(grant) = engine.state.tokens.get(token).cloned() else {
        return;
    };
    engine.state.tokens.remove_mut(token);
    let known = engine.state.hosts.get(host).cloned();
    let mut joined = known.unwrap_or_else(|| Host {
        id: host.clone(),
        datacenter: grant.datacenter.clone(),
        pool: grant.pool.clone(),
        labels: grant.labels.clone(),
        granted: grant.labels.clone(),
        assigned: BTreeMap::new(),
        told: BTreeMap::new(),
        version: String::new(),
        facts: BTreeMap::new(),
        session: None,
        since: now,
        standings: BTreeMap::new(),
        busy: None,
        taken_by: BTreeSet::new(),
        unwell: BTreeMap::new(),
    });
    joined.datacenter = grant.datacenter;
    joined.pool = grant.pool;
    joined.granted = grant.labels;
    engine.state.hosts.insert_mut(host.clone(), joined);
}

fn labelled(engine: &mut Engine, host: &HostId, labels: &BTreeMap<Label, Option<String>>) {
    let Some(known) = engine.state.hosts.get_mut(host) else {
        return;
    };
    for (label, given) in labels {
        known.assign(label, given.as_ref());
    }
    told_anew(engine, host);
    engine.touch_all();
}

/// What a host is told may be made of its labels. Its agent goes on with a phase that it has begun, and never runs the same
/// attempt again.
fn told_anew(engine: &mut Engine, host: &HostId) {
    let active: Vec<_> = engine.state.active.values().cloned().collect();
    for rollout in active {
        engine.refresh(Key::Order(host.clone(), rollout.clone()));
        engine.refresh(Key::Watch(host.clone(), rollout));
    }
}

/// What its probes said no longer counts: it must say it again when it is back.
fn detach(engine: &mut Engine, now: Time, host: &HostId) {
    let Some(known) = engine.state.hosts.get_mut(host) else {
        return;
    };
    if known.session.take().is_some() {
        known.since = now;
    }
    for id in engine.state.active.values() {
        if let Some(run) = engine
            .state
            .rollouts
            .get_mut(id)
            .and_then(|rollout| rollout.runs.get_mut(host))
        {
            run.health = None;
        }
    }
    engine.touch_all();
}

/// What the monitor of a state says of a host.
fn unwell(engine: &mut Engine, now: Time, host: &HostId, record: &Record) {
    let (
        Record::MonitorChanged {
            app, healthy, message, ..
        },
        Some(known),
    ) = (record, engine.state.hosts.get_mut(host))
    else {
        return;
    };
    let state = known.standings.get(app).map(|standing| standing.state.clone());
    match state.filter(|_| !healthy) {
        Some(state) => {
            let unwell = Unwell {
                state,
                message: message.clone(),
                since: now,
            };
            known.unwell.insert(app.clone(), unwell);
        }
        None => {
            known.unwell.remove(app);
        }
    }
    engine.touch_all();
}
