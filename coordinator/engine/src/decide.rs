//! All policy on what comes from outside: wishes, sessions, reports. What then follows by itself is [`crate::advance`].

mod act;
mod catalog;
mod fleet;
pub(crate) mod report;
mod start;

use echelon_proto::{Person, Time};

use crate::{
    canary,
    command::Command,
    engine::{Decision, Engine, Reply},
    event::Event,
    monitor,
    record::Record,
    refusal::Refusal,
};

pub(crate) fn decide(engine: &Engine, now: Time, event: &Event) -> Result<Decision, Refusal> {
    match event {
        Event::Commanded { by, command } => commanded(engine, now, by, command),
        Event::HostJoining { host, token } => fleet::joining(engine, now, host, token).map(done),
        Event::TermBegan { term } => Ok(done(vec![Record::TermBegan { term: *term }])),
        Event::HostAttached { host, session, hello } => fleet::attached(engine, host, *session, hello).map(done),
        Event::HostDetached { host, session } => Ok(done(fleet::detached(engine, host, *session))),
        Event::HostReported(report) => Ok(done(report::decide(engine, now, report))),
        Event::HealthReported {
            host,
            watch,
            healthy,
            message,
        } => {
            let of_state = monitor::heard(engine, host, watch, *healthy, message);
            Ok(done(of_state.unwrap_or_else(|| {
                report::health(engine, host, watch, *healthy, message)
            })))
        }
        Event::CanaryLooked {
            rollout,
            datacenter,
            gate,
            since,
            look,
        } => Ok(done(canary::looked(engine, (rollout, datacenter, gate), *since, look))),
        Event::NotificationSettled { number, delivered } => {
            let owed = engine.state().notifications.contains_key(number);
            let record = Record::NotificationSettled {
                number: *number,
                delivered: *delivered,
            };
            Ok(done(owed.then_some(record).into_iter().collect()))
        }
    }
}

fn commanded(engine: &Engine, now: Time, by: &Person, command: &Command) -> Result<Decision, Refusal> {
    match command {
        Command::CreateRelease(artifact) => catalog::release(engine, by, artifact).map(done),
        Command::PushPlaybook { playbook, text, base } => {
            catalog::playbook(engine, by, playbook, (text, base.as_deref())).map(done)
        }
        Command::CreatePlan(request) => start::plan(engine, now, by, request),
        Command::StartRollout(start) => start::start(engine, now, by, start),
        Command::Act(act) => act::act(engine, by, act),
        Command::AskHost { host, what } => fleet::ask(engine, by, host, what).map(done),
        Command::LabelHost { host, labels } => fleet::label(engine, by, host, labels).map(done),
        Command::CreateToken { token, grant } => Ok(done(vec![fleet::token(now, by, *token, grant)])),
    }
}

fn done(records: Vec<Record>) -> Decision {
    Decision {
        records,
        reply: Reply::Done,
    }
}
