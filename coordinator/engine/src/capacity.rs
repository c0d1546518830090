//! The question: may this host leave service now?
//!
//! The rule: in each pool of a lane, hosts that are out of service *for any reason* never exceed `max_unavailable` because
//! of us. A host is in service when it is reachable, something is installed on it, all that is installed stands in a
//! state with full traffic and no phase that passes through another state runs on it ([`Host::in_service`]). What one
//! rollout has taken out, every other rollout sees as out: there is one account, and it is the state itself.
//!
//! Worked example: pool of 20, `max_unavailable: 10%` = 2. One host is unreachable, one is being restarted by another
//! rollout: 2 are out, so nobody may take a third. A host that is out already may be worked on freely: working on it
//! takes nothing away. That is why a first installation on empty hosts is bounded by `max_parallel` alone.
//!
//! Edge cases: hosts that fail stay out and count; a pool whose floor is broken by the world (not by us) stops all that
//! would leave service, and lets through all that comes back.

use std::collections::BTreeMap;

use echelon_proto::Pool;

use crate::{
    host::Host,
    plan::{LanePlan, PoolPlan},
    state::State,
};

/// Hosts of the pool that are out of service now.
#[must_use]
pub fn out_of_service(state: &State, pool: &PoolPlan) -> u32 {
    let out = pool
        .hosts
        .iter()
        .filter(|id| !state.hosts.get(*id).is_some_and(Host::in_service))
        .count();
    u32::try_from(out).unwrap_or(u32::MAX)
}

/// The account of one lane for the length of one pass over it.
#[derive(Debug, Clone)]
pub struct Account<'a> {
    pools: BTreeMap<&'a Pool, Balance>,
}

/// One pool's account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// Hosts out of service.
    pub out: u32,
    /// That may be.
    pub max: u32,
}

impl<'a> Account<'a> {
    /// As the state is now.
    #[must_use]
    pub fn open(state: &State, lane: &'a LanePlan) -> Self {
        let balance = |pool: &PoolPlan| Balance {
            out: out_of_service(state, pool),
            max: pool.max_unavailable,
        };
        Self {
            pools: lane.capacity.iter().map(|pool| (&pool.pool, balance(pool))).collect(),
        }
    }

    /// Takes the host out of service if that is allowed, or if it is out already. Otherwise says how things stand.
    pub fn take(&mut self, host: &Host) -> Result<(), Balance> {
        if !host.in_service() {
            return Ok(());
        }
        match self.pools.get_mut(&host.pool) {
            Some(balance) if balance.out < balance.max => {
                balance.out += 1;
                Ok(())
            }
            Some(balance) => Err(*balance),
            None => Err(Balance { out: 0, max: 0 }),
        }
    }
}
