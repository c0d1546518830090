//! How lanes and rollouts end.

use std::collections::BTreeMap;

use echelon_proto::RolloutId;

use super::Turn;
use crate::{
    outcome::Outcome,
    record::Record,
    rollout::{LaneEnd, LaneStage, Rollout, Settled},
    state::State,
};

/// Nothing new starts; when the phases in flight have ended, so has the rollout.
pub(super) fn aborting(turn: &mut Turn<'_>, id: &RolloutId) {
    let Some(rollout) = turn.rollout(id) else { return };
    if rollout.runs.values().any(|run| run.current.is_some()) {
        return;
    }
    let text = format!("{}; {}", rollout.aborting.clone().unwrap_or_default(), counts(rollout));
    turn.emit(Record::RolloutEnded {
        rollout: id.clone(),
        outcome: Outcome::Aborted,
        text,
    });
}

pub(super) fn stopping(turn: &mut Turn<'_>, id: &RolloutId, lane: usize) {
    let Some(rollout) = turn.rollout(id) else { return };
    if !rollout.lane_in_flight(lane) {
        let datacenter = rollout.lanes[lane].datacenter.clone();
        turn.emit(Record::LaneEnded {
            rollout: id.clone(),
            datacenter,
            end: LaneEnd::Stopped,
        });
    }
}

/// Ends the rollout when every lane has.
pub(super) fn ended(turn: &mut Turn<'_>, id: &RolloutId) {
    let Some(rollout) = turn.rollout(id) else { return };
    if rollout.status.is_over() || rollout.hold.is_some() {
        return;
    }
    let ends: Option<Vec<_>> = rollout
        .lanes
        .iter()
        .map(|lane| match lane.stage {
            LaneStage::Ended(end) => Some(end),
            LaneStage::Pending
            | LaneStage::Rolling
            | LaneStage::Gating
            | LaneStage::Stopping
            | LaneStage::RollingBack => None,
        })
        .collect();
    let Some(ends) = ends else { return };
    let (outcome, text) = outcome(rollout, &ends);
    turn.emit(Record::RolloutEnded {
        rollout: id.clone(),
        outcome,
        text,
    });
}

fn outcome(rollout: &Rollout, ends: &[LaneEnd]) -> (Outcome, String) {
    let with = |settled| rollout.runs.values().filter(|run| run.settled == Some(settled)).count();
    let counts = counts(rollout);
    if rollout.runs.is_empty() {
        let text = match rollout.plan.body.left_out.len() {
            0 => "every host stood at the goal already".into(),
            out => format!("there was nothing to do: {out} left out"),
        };
        return (Outcome::Succeeded, text);
    }
    if rollout
        .runs
        .values()
        .all(|run| run.touched.is_none() && run.settled != Some(Settled::Done))
    {
        let why = rollout.rollback.clone().unwrap_or_else(|| "no host was touched".into());
        return (Outcome::Failed, format!("{why}; {counts}"));
    }
    if let Some(why) = &rollout.rollback {
        let left = |lane: usize| {
            ends[lane] != LaneEnd::RolledBack && rollout.lane_runs(lane).any(|(_, run)| run.touched.is_some())
        };
        let forward: Vec<_> = (0..ends.len())
            .filter(|lane| left(*lane))
            .map(|lane| rollout.lanes[lane].datacenter.to_string())
            .collect();
        if forward.is_empty() {
            return (Outcome::RolledBack, format!("{why}; {counts}"));
        }
        return (
            Outcome::Failed,
            format!("{why}; not taken back: {}; {counts}", forward.join(", ")),
        );
    }
    if ends.contains(&LaneEnd::Stopped) {
        let why = rollout
            .lanes
            .iter()
            .find(|lane| !lane.text.is_empty())
            .map_or("stopped", |lane| &lane.text);
        return (Outcome::Failed, format!("{why}; {counts}"));
    }
    match with(Settled::Done) {
        0 => (Outcome::Failed, format!("no host arrived; {counts}")),
        done if done == rollout.runs.size() => (Outcome::Succeeded, counts),
        _ => (Outcome::SucceededWithDebt, counts),
    }
}

/// `7 done, 1 debt (web-3: not reachable)`
fn counts(rollout: &Rollout) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut named = Vec::new();
    for (host, run) in rollout.runs.iter() {
        *counts.entry(run.outcome_name()).or_default() += 1;
        if matches!(run.settled, Some(Settled::Debt | Settled::Failed | Settled::Skipped)) && named.len() < 5 {
            named.push(format!("{host}: {}", run.text));
        }
    }
    let counts: Vec<_> = counts
        .iter()
        .map(|(name, count)| format!("{count} {}", name.replace('_', " ")))
        .collect();
    match named.is_empty() {
        true => counts.join(", "),
        false => format!("{} ({})", counts.join(", "), named.join("; ")),
    }
}

/// Drops the rollouts that ended longest ago, and before any of those of which an attempt may be heard yet.
pub(super) fn forget(turn: &mut Turn<'_>) {
    let kept = turn.engine.config.rollouts_kept;
    while turn.state().rollouts.size() > turn.state().active.len() + kept {
        let ended = turn
            .state()
            .rollouts
            .values()
            .filter(|rollout| rollout.status.is_over());
        let Some(oldest) = ended
            .min_by_key(|rollout| (is_awaited(turn.state(), rollout), rollout.ended, rollout.number))
            .map(|rollout| rollout.id.clone())
        else {
            return;
        };
        turn.emit(Record::RolloutForgotten { rollout: oldest });
    }
}

/// An attempt was called lost, and its host has been here all the while. One that has attached since has said where it
/// stands.
fn is_awaited(state: &State, rollout: &Rollout) -> bool {
    rollout.runs.iter().any(|(host, run)| {
        let lost = run.failure.as_ref().filter(|_| !run.unheard.is_empty());
        let stayed = |at| {
            let host = state.hosts.get(host);
            host.is_some_and(|host| host.is_attached() && host.since <= at)
        };
        lost.is_some_and(|failure| stayed(failure.at))
    })
}
