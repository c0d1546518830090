//! The floor, counted host by host. Deliberately not the engine's own account.

use echelon_engine::{
    Record, State,
    host::{Host, Serving},
    plan::PoolPlan,
};
use echelon_proto::{HostId, RolloutId};

use crate::story::{Held, must};

/// The host that this record takes out of service. `state` is the one before it.
pub(super) fn leaving<'a>(state: &State, record: &'a Record) -> Option<(&'a RolloutId, &'a HostId)> {
    let Record::PhaseStarted {
        rollout,
        host,
        from,
        after,
        ..
    } = record
    else {
        return None;
    };
    let known = state.hosts.get(host)?;
    (serves(known) && after.leaves_service(from)).then_some((rollout, host))
}

/// Reachable, and all that is on it is in service.
fn serves(host: &Host) -> bool {
    let full = host.standings.values().filter(|s| s.traffic != Serving::Absent);
    let mut full = full.map(|standing| standing.traffic == Serving::Full).peekable();
    host.session.is_some()
        && host.unwell.is_empty()
        && !host.busy.as_ref().is_some_and(|busy| busy.out_of_service)
        && full.peek().is_some()
        && full.all(|full| full)
}

/// Something is on it, or a rollout has only just taken it away and is not done. One that is installed for the first time
/// is not there yet.
fn is_there(host: &Host) -> bool {
    !host.taken_by.is_empty() || host.standings.values().any(|s| s.traffic != Serving::Absent)
}

/// It has left: so many may be out of its pool, for whatever reason.
pub(super) fn left(state: &State, rollout: &RolloutId, host: &HostId) -> Held {
    let Some(rollout) = state.rollouts.get(rollout) else {
        return Ok(());
    };
    let pools = rollout.plan.lanes.iter().flat_map(|lane| &lane.capacity);
    for pool in pools.filter(|pool: &&PoolPlan| pool.hosts.contains(host)) {
        let known = pool.hosts.iter().filter_map(|id| state.hosts.get(id));
        let out = known.filter(|host| !serves(host) && is_there(host)).count();
        must(out <= pool.max_unavailable as usize, "2 capacity", || {
            let (id, max) = (&rollout.id, pool.max_unavailable);
            format!(
                "{id} takes {host} out of service: {out} are out in pool {}, {max} may be",
                pool.pool
            )
        })?;
    }
    Ok(())
}
