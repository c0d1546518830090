//! A rollout begins: its time, its turn, its plan.

use echelon_proto::{
    RolloutId, Time,
    planted::{self, Plant},
};

use super::Turn;
use crate::{
    outcome::Outcome,
    plan,
    record::Record,
    rollout::{HoldKind, Status},
};

pub(super) fn scheduled(turn: &mut Turn<'_>, id: &RolloutId) {
    let due = turn
        .rollout(id)
        .and_then(|rollout| rollout.scheduled)
        .is_none_or(|at: Time| at <= turn.now || planted::is(Plant::StartsEarly));
    if due {
        turn.emit(Record::RolloutQueued { rollout: id.clone() });
    }
}

/// One rollout of an app at a time, in the order they were created.
pub(super) fn queued(turn: &mut Turn<'_>, id: &RolloutId) {
    let Some(rollout) = turn.rollout(id) else { return };
    let is_first = turn
        .state()
        .active()
        .find(|other| other.app == rollout.app && other.status == Status::Queued)
        .is_some_and(|first| first.id == *id);
    let is_alone = turn.state().running(&rollout.app).is_none() || planted::is(Plant::TwoAtOnce);
    if !is_first || !is_alone {
        return;
    }
    match rollout.replan.clone() {
        Some(request) => match plan::make(turn.state(), &request, &rollout.by.clone(), turn.now) {
            Ok(plan) => {
                let plan_id = plan.id.clone();
                if !turn.state().plans.contains_key(&plan_id) {
                    turn.emit(Record::PlanMade { plan: Box::new(plan) });
                }
                turn.emit(Record::RolloutStarted {
                    rollout: id.clone(),
                    plan: plan_id,
                });
            }
            Err(refusal) => {
                let text = format!("could not be planned when its turn came: {refusal}");
                turn.emit(Record::RolloutEnded {
                    rollout: id.clone(),
                    outcome: Outcome::Expired,
                    text,
                });
            }
        },
        None => looked_at(turn, id),
    }
}

/// Somebody looked at the plan: it is kept, and if the fleet has changed since, that somebody is asked first.
fn looked_at(turn: &mut Turn<'_>, id: &RolloutId) {
    let Some(rollout) = turn.rollout(id) else { return };
    let looked_at = rollout.plan.clone();
    let changes = match plan::make(turn.state(), &looked_at.request(), &rollout.by.clone(), turn.now) {
        Ok(now) => plan::changes(&looked_at, &now),
        Err(refusal) => vec![refusal.to_string()],
    };
    turn.emit(Record::RolloutStarted {
        rollout: id.clone(),
        plan: looked_at.id.clone(),
    });
    if !changes.is_empty() {
        let text = format!("plan {} is stale: {}", looked_at.id, changes.join("; "));
        turn.emit(Record::RolloutHeld {
            rollout: id.clone(),
            kind: HoldKind::StalePlan,
            text,
            by: None,
        });
    }
}
