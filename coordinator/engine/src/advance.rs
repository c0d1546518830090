//! What follows by itself: a scheduled rollout's time comes, a queued one's turn, a host's next phase, the next wave, a
//! gate's verdict, a deadline. Level-triggered: each pass looks at the state as it is and says what is due, so nothing can
//! be forgotten, after a crash no more than after a quiet hour.

mod back;
mod begin;
pub(crate) mod coupling;
mod finish;
mod forward;
pub(crate) mod gating;
pub(crate) mod grouping;
mod late;
mod overdue;
pub(crate) mod step;
mod traveller;
mod wake;

use echelon_proto::{
    RolloutId, Time,
    planted::{self, Plant},
};

use crate::{
    engine::Engine,
    record::Record,
    rollout::{LaneStage, Rollout, Status},
    state::State,
};

pub(crate) use wake::wake_at;

/// One call of [`Engine::advance`]: applies what is decided as it goes, since the next decision rests on it.
pub(crate) struct Turn<'a> {
    engine: &'a mut Engine,
    now: Time,
    records: Vec<Record>,
}

impl Turn<'_> {
    fn state(&self) -> &State {
        &self.engine.state
    }

    fn rollout(&self, id: &RolloutId) -> Option<&Rollout> {
        self.engine.state.rollouts.get(id)
    }

    fn emit(&mut self, record: Record) {
        self.engine.enact(self.now, record, &mut self.records);
    }
}

pub(crate) fn advance(engine: &mut Engine, now: Time) -> Vec<Record> {
    let mut turn = Turn {
        engine,
        now,
        records: Vec::new(),
    };
    loop {
        let before = turn.records.len();
        let dirty = std::mem::take(&mut turn.engine.dirty);
        let due = turn.state().active.clone();
        for (number, id) in due {
            if dirty.contains(&number) || wake::is_due(turn.engine, &id, now) {
                pass(&mut turn, &id);
            }
        }
        if turn.records.len() == before {
            break;
        }
    }
    finish::forget(&mut turn);
    turn.engine.advanced = now;
    turn.records
}

fn pass(turn: &mut Turn<'_>, id: &RolloutId) {
    let Some(status) = turn.rollout(id).map(|rollout| rollout.status) else {
        return;
    };
    match status {
        Status::Scheduled => begin::scheduled(turn, id),
        Status::Queued => begin::queued(turn, id),
        Status::Running => running(turn, id),
        Status::Ended(_) => {}
    }
}

fn running(turn: &mut Turn<'_>, id: &RolloutId) {
    overdue::pass(turn, id);
    let Some(rollout) = turn.rollout(id) else { return };
    if rollout.aborting.is_some() && !planted::is(Plant::AbortIgnored) {
        return finish::aborting(turn, id);
    }
    late::pass(turn, id);
    let Some(rollout) = turn.rollout(id) else { return };
    for lane in 0..rollout.lanes.len() {
        let Some(stage) = turn
            .rollout(id)
            .and_then(|rollout| Some(rollout.lanes.get(lane)?.stage))
        else {
            return;
        };
        match stage {
            LaneStage::Pending => forward::open(turn, id, lane, 0),
            LaneStage::Rolling => forward::pass(turn, id, lane),
            LaneStage::Gating => gating::pass(turn, id, lane),
            LaneStage::Stopping => finish::stopping(turn, id, lane),
            LaneStage::RollingBack => back::pass(turn, id, lane),
            LaneStage::Ended(_) => {}
        }
    }
    finish::ended(turn, id);
}
