//! Phases that did not end in time and whose rule is to hold: the rollout holds for a person, who has them tried again
//! (`resume`), leaves their hosts out (`skip`), or goes back.

use std::collections::BTreeMap;

use echelon_proto::RolloutId;

use super::Turn;
use crate::{
    record::Record,
    rollout::{HoldKind, LaneStage, Rollout, Run},
};

pub(super) fn pass(turn: &mut Turn<'_>, id: &RolloutId) {
    const NAMES_MAX: usize = 5;
    let Some(rollout) = turn.rollout(id).filter(|rollout| rollout.hold.is_none()) else {
        return;
    };
    let late = turn.engine.muster.ranks(id).into_iter();
    let late = late.flat_map(|ranks| ranks.late(rollout));
    let late: BTreeMap<_, _> = late.filter(|(_, run)| moves(rollout, run)).collect();
    let mut late: Vec<_> = late
        .into_iter()
        .filter_map(|(host, run)| Some(format!("{} on {host}", run.timed_out.as_ref()?)))
        .collect();
    if late.is_empty() {
        return;
    }
    let more = late.len().saturating_sub(NAMES_MAX);
    late.truncate(NAMES_MAX);
    late.extend((more > 0).then(|| format!("{more} more")));
    turn.emit(Record::RolloutHeld {
        rollout: id.clone(),
        kind: HoldKind::Timeout,
        text: format!("did not end in time: {}", late.join(", ")),
        by: None,
    });
}

/// Whether the host's lane would go on with it.
fn moves(rollout: &Rollout, run: &Run) -> bool {
    match rollout.lanes.get(run.lane).map(|lane| lane.stage) {
        Some(LaneStage::Rolling | LaneStage::RollingBack) => true,
        Some(LaneStage::Pending | LaneStage::Gating | LaneStage::Stopping | LaneStage::Ended(_)) | None => false,
    }
}
