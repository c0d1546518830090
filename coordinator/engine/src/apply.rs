//! Records become state. No policy and no failure: a record says everything that follows from it, and one that names
//! what is not there (it cannot, but a journal may be older than the code) changes nothing.

mod desired;
mod fleet;
mod rollout;

use std::sync::Arc;

use echelon_proto::Time;

use crate::{
    effect::Key,
    engine::Engine,
    record::Record,
    state::{Pushed, Release},
};

/// Plans that no rollout has and that are kept all the same.
const PLANS_KEPT: usize = 100;

pub(crate) fn apply(engine: &mut Engine, now: Time, record: &Record) {
    match record {
        Record::TermBegan { .. }
        | Record::TokenCreated { .. }
        | Record::HostJoined { .. }
        | Record::HostAttached { .. }
        | Record::HostDetached { .. }
        | Record::HostLabelled { .. }
        | Record::MonitorChanged { .. } => fleet::apply(engine, now, record),
        // Kept for those who ask who looked; nothing follows from it.
        Record::HostAsked { .. } => {}
        Record::ReleaseCreated { artifact, by } => {
            let mut releases = engine.state.releases.get(&artifact.app).cloned().unwrap_or_default();
            let release = Release {
                artifact: artifact.clone(),
                at: now,
                by: by.clone(),
            };
            releases.insert(artifact.release.clone(), release);
            engine.state.releases.insert_mut(artifact.app.clone(), releases);
        }
        Record::PlaybookPushed {
            playbook,
            text,
            base,
            by,
        } => {
            let mut versions = engine.state.playbooks.get(&playbook.name).cloned().unwrap_or_default();
            let pushed = Pushed {
                playbook: (**playbook).clone(),
                text: text.clone(),
                base: base.clone(),
                at: now,
                by: by.clone(),
            };
            versions.insert(playbook.version, Arc::new(pushed));
            engine.state.playbooks.insert_mut(playbook.name.clone(), versions);
        }
        Record::PlanMade { plan } => {
            engine
                .state
                .plans
                .insert_mut(plan.id.clone(), Arc::new((**plan).clone()));
            drop_old_plans(engine);
        }
        Record::DesireChanged { .. } => desired::apply(engine, record),
        Record::NotificationRaised { notification } => {
            engine.state.notifications_made = notification.number;
            engine
                .state
                .notifications
                .insert_mut(notification.number, notification.clone());
            engine.refresh(Key::Notify(notification.number));
        }
        Record::NotificationSettled { number, .. } => {
            engine.state.notifications.remove_mut(number);
            engine.refresh(Key::Notify(*number));
        }
        _ => rollout::apply(engine, now, record),
    }
}

/// Plans are cheap to make and nobody throws them away: only the newest are kept. A rollout holds its own.
fn drop_old_plans(engine: &mut Engine) {
    let plans = &mut engine.state.plans;
    while plans.size() > PLANS_KEPT {
        let oldest = plans
            .values()
            .min_by_key(|plan| (plan.at, &plan.id))
            .map(|plan| plan.id.clone());
        match oldest {
            Some(oldest) => plans.remove_mut(&oldest),
            None => return,
        };
    }
}
