//! What should stand where.

use crate::{desired::Goal, engine::Engine, record::Record};

pub(super) fn apply(engine: &mut Engine, record: &Record) {
    let Record::DesireChanged {
        rollout,
        standard,
        hosts,
        standby,
    } = record
    else {
        return;
    };
    let Some(rollout) = engine.state.rollouts.get(rollout) else {
        return;
    };
    let Some(goal) = Goal::of(rollout) else { return };
    let app = rollout.app.clone();
    let mut desired = engine.state.desired.get(&app).cloned().unwrap_or_default();
    desired.change(goal, standard.as_deref(), hosts, standby);
    engine.state.desired.insert_mut(app, desired);
}
