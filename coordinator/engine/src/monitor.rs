//! The question: is what stands on a host still well, though nothing is being done to it? A state may have a monitor: a
//! probe that its agent asks for as long as the host stands there.
//!
//! The rule: by the machine that brought the host where it stands: that of the rollout that is with the host, else of the
//! one whose goal is desired of it. While a phase of the app runs on the host nothing is asked: what it would see is the
//! phase's doing. When the monitor fails, the host is unwell ([`Host::unwell`]): out of service for capacity, an error for
//! drift, and not healthy for the gate of a wave that it is in. When it holds again, all that is over.
//!
//! Edge cases: a host that is out of reach keeps what was last known of it, and is asked anew when it is back. One that
//! leaves the state in which it was unwell is not unwell any more: the next state has a monitor of its own, or none.

use echelon_playbooks::{Playbook, model::Monitor, template::Scope};
use echelon_proto::{App, HostId, WaveName};

use crate::{
    desired::Wishes,
    effect::{Key, Watch},
    engine::Engine,
    host::{Host, Standing},
    record::Record,
    state::State,
};

/// How its watches are called on the link: `monitor/web`. No rollout is called so.
const PREFIX: &str = "monitor/";

/// The watch that is owed of this app on this host.
pub(crate) fn watch(state: &State, host: &HostId, app: &App) -> Option<Watch> {
    let host = state.hosts.get(host)?;
    let standing = host.standings.get(app)?;
    if state.is_worked_on(host, app) {
        return None;
    }
    let asked = |playbook: &Playbook| ask(state, host, app, standing, playbook);
    let running = state.running(app).filter(|rollout| {
        let run = rollout.runs.get(&host.id);
        run.is_some_and(|run| run.touched.is_some())
    });
    match running {
        Some(rollout) => asked(&rollout.playbook),
        None => asked(&Wishes::of(state, app).on(host)?.goal.playbook),
    }
}

fn ask(state: &State, host: &Host, app: &App, standing: &Standing, playbook: &Playbook) -> Option<Watch> {
    let Monitor {
        probe,
        every,
        unhealthy_after,
    } = playbook.machine.states.get(&standing.state)?.monitor.as_ref()?;
    let release = standing.release.as_ref();
    let artifact = release.and_then(|release| state.release(app, release));
    // It belongs to no wave; a template that names one gets a word that is none's.
    let wave = WaveName::new("none").expect("a name");
    let scope = Scope {
        host: host.subject(),
        wave: &wave,
        app,
        release,
        sha256: artifact.and_then(|known| known.artifact.sha256),
    };
    Some(Watch {
        id: format!("{PREFIX}{app}"),
        host: host.id.clone(),
        probe: probe.render(&scope).ok()?,
        every: *every,
        unhealthy_after: *unhealthy_after,
    })
}

/// A monitor's answer; `None` where the watch is no monitor's. Only a change is worth a record.
pub(crate) fn heard(engine: &Engine, host: &HostId, watch: &str, healthy: bool, message: &str) -> Option<Vec<Record>> {
    let app = App::new(watch.strip_prefix(PREFIX)?).ok()?;
    let is_owed = engine.owed().contains_key(&Key::Monitor(host.clone(), app.clone()));
    let known = engine.state().hosts.get(host)?;
    let changes = is_owed && known.unwell(&app).is_some() == healthy;
    let record = Record::MonitorChanged {
        host: host.clone(),
        app,
        healthy,
        message: message.into(),
    };
    Some(changes.then_some(record).into_iter().collect())
}

/// Asks again which monitors are owed where the record can have changed that.
pub(crate) fn refresh(engine: &mut Engine, record: &Record) {
    let pairs: Vec<(HostId, App)> = match record {
        Record::HostAttached { host, .. } | Record::HostLabelled { host, .. } => of_host(&engine.state, host),
        Record::PhaseStarted { rollout, host, .. }
        | Record::PhaseEnded { rollout, host, .. }
        | Record::HostSettled { rollout, host, .. } => {
            let app = engine.state.rollouts.get(rollout).map(|rollout| rollout.app.clone());
            app.map(|app| (host.clone(), app)).into_iter().collect()
        }
        Record::RolloutStarted { rollout, .. }
        | Record::RolloutEnded { rollout, .. }
        | Record::DesireChanged { rollout, .. }
        // What is desired of a host that the rollout has not touched changes with its lane.
        | Record::WaveOpened { rollout, .. }
        | Record::LaneStopping { rollout, .. }
        | Record::LaneEnded { rollout, .. }
        | Record::RollbackBegan { rollout, .. }
        | Record::AbortBegan { rollout, .. }
        | Record::HostReopened { rollout, .. } => {
            let app = engine.state.rollouts.get(rollout).map(|rollout| rollout.app.clone());
            app.map_or(Vec::new(), |app| of_app(&engine.state, &app))
        }
        Record::TermBegan { .. }
        | Record::TokenCreated { .. }
        | Record::HostJoined { .. }
        | Record::HostDetached { .. }
        | Record::HostAsked { .. }
        | Record::MonitorChanged { .. }
        | Record::ReleaseCreated { .. }
        | Record::PlaybookPushed { .. }
        | Record::PlanMade { .. }
        | Record::RolloutCreated { .. }
        | Record::RolloutQueued { .. }
        | Record::RolloutHeld { .. }
        | Record::RolloutResumed { .. }
        | Record::ActServed { .. }
        | Record::RolloutForgotten { .. }
        | Record::WaveRolled { .. }
        | Record::ApprovalAsked { .. }
        | Record::GateApproved { .. }
        | Record::GateDecided { .. }
        | Record::CanaryLooked { .. }
        | Record::GateReopened { .. }
        | Record::BakeCut { .. }
        | Record::WavePassed { .. }
        | Record::BudgetForgiven { .. }
        | Record::StepDropped { .. }
        | Record::HealthChanged { .. }
        | Record::NotificationRaised { .. }
        | Record::NotificationSettled { .. } => return,
    };
    for (host, app) in pairs {
        engine.refresh(Key::Monitor(host, app));
    }
}

fn of_host(state: &State, host: &HostId) -> Vec<(HostId, App)> {
    let owed = state.hosts.get(host).into_iter();
    owed.flat_map(|host| host.standings.keys().map(|app| (host.id.clone(), app.clone())))
        .collect()
}

fn of_app(state: &State, app: &App) -> Vec<(HostId, App)> {
    let there = state.hosts.values().filter(|host| host.standings.contains_key(app));
    there.map(|host| (host.id.clone(), app.clone())).collect()
}

/// Every pair of which a monitor may be owed.
pub(crate) fn keys(state: &State) -> impl Iterator<Item = Key> {
    let pairs = state.hosts.keys().flat_map(|host| of_host(state, host));
    pairs.map(|(host, app)| Key::Monitor(host, app))
}
