//! When something follows by itself though nothing happens.

use echelon_playbooks::model::Unreachable;
use echelon_proto::{
    RolloutId, Span, Time,
    planted::{self, Plant},
};

use super::{gating, overdue};
use crate::{
    engine::Engine,
    invariant,
    rollout::{Lane, LaneStage, Rollout, Run, Status},
};

/// The earliest time after the last advance at which [`Engine::advance`] may have something to do. Times that it has
/// already seen pass are not named again, or a driver would never sleep.
pub(crate) fn wake_at(engine: &Engine) -> Option<Time> {
    engine.state.active().filter_map(|rollout| next(engine, rollout)).min()
}

/// Whether something of this rollout is due.
pub(super) fn is_due(engine: &Engine, id: &RolloutId, now: Time) -> bool {
    let next = engine.state.rollouts.get(id).and_then(|rollout| next(engine, rollout));
    next.is_some_and(|at| at <= now)
}

fn next(engine: &Engine, rollout: &Rollout) -> Option<Time> {
    let fresh = |at: &Time| *at > engine.advanced;
    match rollout.status {
        Status::Scheduled => rollout.scheduled,
        Status::Queued | Status::Ended(_) => None,
        Status::Running => {
            let timed = engine.muster.ranks(&rollout.id).into_iter();
            let timed = timed.flat_map(|ranks| ranks.timed(rollout));
            let timed = timed.flat_map(|(host, run)| [overdue::deadline(engine, rollout, host, run), again(run)]);
            let away = engine.muster.away.iter();
            let away = away.filter_map(|host| lost_at(engine, rollout, host, rollout.runs.get(host)?));
            let lanes = (0..rollout.lanes.len()).flat_map(|lane| lane_wakes(engine, rollout, lane));
            timed.flatten().chain(away).chain(lanes).filter(fresh).min()
        }
    }
}

/// When a host is tried again.
fn again(run: &Run) -> Option<Time> {
    run.not_before.filter(|_| !planted::is(Plant::RetryTimerLost))
}

/// When a host that is out of reach stops being waited for.
fn lost_at(engine: &Engine, rollout: &Rollout, host: &echelon_proto::HostId, run: &Run) -> Option<Time> {
    let host = engine.state.hosts.get(host)?;
    let lane = rollout.lanes.get(run.lane)?;
    let patient = rollout.playbook.hosts.unreachable == Unreachable::Wait;
    let waited_for = match lane.stage {
        LaneStage::Rolling => !patient && run.wave <= lane.wave && run.settled.is_none(),
        LaneStage::Gating => run.wave == lane.wave,
        LaneStage::RollingBack => run.touched.is_some() && run.settled.is_none(),
        LaneStage::Pending | LaneStage::Stopping | LaneStage::Ended(_) => false,
    };
    (waited_for && !host.is_attached()).then(|| host.since + engine.config.unreachable_after)
}

fn lane_wakes(engine: &Engine, rollout: &Rollout, index: usize) -> Vec<Time> {
    let lane: &Lane = &rollout.lanes[index];
    match lane.stage {
        LaneStage::Rolling => {
            let stagger = rollout.pace(index).map_or(Span::ZERO, |pace| pace.stagger);
            let next_start = lane.last_start.map(|last| last + stagger);
            next_start.into_iter().chain(ask_again(engine, rollout)).collect()
        }
        LaneStage::Gating => {
            let Some(wave) = lane.waves.get(lane.wave) else {
                return Vec::new();
            };
            let again = wave.gates.keys().filter_map(|name| {
                let question = gating::question((engine, engine.advanced), rollout, index, name)?;
                let decided = question.known.verdict.is_some() || question.known.overruled;
                (!decided && !planted::is(Plant::GateTimerLost)).then(|| question.ask().again)?
            });
            again.chain([gating::bake_end(rollout, index)]).collect()
        }
        LaneStage::RollingBack => ask_again(engine, rollout).into_iter().collect(),
        LaneStage::Pending | LaneStage::Stopping | LaneStage::Ended(_) => Vec::new(),
    }
}

/// When invariants are asked again though nothing happens.
fn ask_again(engine: &Engine, rollout: &Rollout) -> Option<Time> {
    let moves = rollout.hold.is_none() && invariant::asks(rollout);
    moves.then(|| engine.advanced + invariant::ASK_AGAIN)
}
