//! The question: do the playbook's invariants let this host leave service now?
//!
//! The rule: each that asks the coordinator must be true just before the phase that takes the host out; false or unknown
//! makes the host wait, it does not fail it. It is asked again whenever something happens, and every few seconds.
//! Invariants that ask the host itself go with the order as guards; one that does not hold there is answered "held back",
//! and the same phase is ordered again after 5 s, 10 s, 20 s, 40 s, and from then on every minute, without end.
//!
//! Worked example: `pool.in_service - 1 >= 2` in a pool of 3: the first host leaves; the second waits until the first is
//! back in service, though `max_unavailable` would let it go.
//!
//! Before a phase that the coordinator runs, a drain at a load balancer, the host is asked by an order of its own.
//!
//! Edge cases: a host that is out of service already takes nothing away and is not asked about; nor is an `undo`, which
//! brings back. On the way back by an operation they are asked where the floor holds too (`keep_max_unavailable`). A host
//! that its guards hold back keeps its place among `max_parallel`.

use echelon_playbooks::model::{Action, Ask, Phase, Place};
use echelon_proto::Span;

use crate::{
    host::Host,
    muster::Muster,
    rollout::{Rollout, Run},
    site,
};

/// How long after an answer that changes nothing an invariant is asked again.
pub(crate) const ASK_AGAIN: Span = Span::secs(5);
/// The longest that a host that its guards hold back waits.
const BACK_OFF_MAX: Span = Span::secs(60);

/// Why the host may not leave service, with the values that say so; `None`: it may.
pub(crate) fn broken(muster: &Muster, rollout: &Rollout, run: &Run, host: &Host) -> Option<String> {
    let mut asked = rollout
        .playbook
        .invariants
        .iter()
        .filter_map(|invariant| match &invariant.ask {
            Ask::Expr(condition) => Some((&invariant.name, condition)),
            Ask::Host(_) => None,
        })
        .peekable();
    asked.peek()?;
    let Some(site) = site::in_pool(muster, rollout, run, host) else {
        return Some(format!("its pool {} is not in the plan", host.pool));
    };
    let values = || match (&site.pool, &site.rollout) {
        (Some(pool), Some(rollout)) => format!(
            "pool {}: {} hosts, {} in service, {} out of service; rollout: {} hosts, {} done, {} failed, {} in progress",
            pool.name,
            pool.hosts,
            pool.in_service,
            pool.out_of_service,
            rollout.hosts,
            rollout.done,
            rollout.failed,
            rollout.in_progress
        ),
        (Some(_) | None, _) => String::new(),
    };
    asked.find_map(|(name, condition)| match condition.holds(&site) {
        Ok(true) => None,
        Ok(false) => Some(format!("invariant {name} does not hold: {condition} ({})", values())),
        Err(unknown) => Some(format!("invariant {name} cannot be told: {unknown}")),
    })
}

/// Whether anything is asked of the coordinator.
pub(crate) fn asks(rollout: &Rollout) -> bool {
    rollout.playbook.invariants.iter().any(|invariant| match invariant.ask {
        Ask::Expr(_) => true,
        Ask::Host(_) => false,
    })
}

/// What is asked of the host itself, by name.
pub(crate) fn guards(rollout: &Rollout) -> impl Iterator<Item = (&String, &Action)> {
    rollout
        .playbook
        .invariants
        .iter()
        .filter_map(|invariant| match &invariant.ask {
            Ask::Host(action) => Some((&invariant.name, action)),
            Ask::Expr(_) => None,
        })
}

/// Whether the host is asked by an order of its own: the coordinator does its part of a phase before the order for it goes
/// to the host, and then it would be too late.
pub(crate) fn asks_first(rollout: &Rollout, phase: &Phase, guarded: bool) -> bool {
    let elsewhere = match phase.on {
        Place::Coordinator => true,
        Place::Host => false,
    };
    guarded && elsewhere && guards(rollout).next().is_some()
}

/// How long a host waits that was held back so many times in a row before.
pub(crate) fn back_off(before: u32) -> Span {
    let doubled = ASK_AGAIN.0.saturating_mul(1 << before.min(16));
    Span(doubled.min(BACK_OFF_MAX.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_is_held_back_is_asked_less_and_less_often_up_to_once_a_minute() {
        let waits: Vec<_> = (0..6).map(back_off).collect();
        assert_eq!(waits, [5, 10, 20, 40, 60, 60].map(Span::secs));
        assert_eq!(back_off(u32::MAX), BACK_OFF_MAX);
    }
}
