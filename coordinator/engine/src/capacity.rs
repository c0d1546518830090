//! The question: may this host leave service now?
//!
//! The rule: in each pool of a lane, hosts that are out of service *for any reason* never exceed `max_unavailable` because
//! of us. A host is in service when it is reachable, something is installed on it, all that is installed stands in a
//! state with full traffic and no phase that passes through another state runs on it ([`Host::in_service`]). What one
//! rollout has taken out, every other rollout sees as out: there is one account, and it is the state itself.
//!
//! Worked example: pool of 20, `max_unavailable: 10%` = 2. One host is unreachable, one is being restarted by another
//! rollout: 2 are out, so nobody may take a third. A host that is out already may be worked on freely: working on it
//! takes nothing away. That is why a first installation is bounded by `max_parallel` alone.
//!
//! Edge cases: a host on which nothing has ever been installed is not out, it is not there yet (a pool that grows must not
//! block itself); one that a rollout has emptied and is not done with is out, also between two phases; hosts that fail stay out and count; a pool whose floor is broken by the world (not by us) stops all that
//! would leave service, and lets through all that comes back.

use std::collections::{BTreeMap, BTreeSet};

use echelon_proto::{
    HostId, Pool,
    planted::{self, Plant},
};

use crate::{
    host::Host,
    plan::{LanePlan, PoolPlan},
    state::State,
};

/// Whether the host counts as out of service.
#[must_use]
pub fn is_out(host: &Host) -> bool {
    let is_counted = host.is_attached() || !planted::is(Plant::UnreachableNotCounted);
    !host.in_service() && !host.is_empty() && is_counted
}

/// Hosts of the pool that are out of service now.
pub fn out_of_service<'a>(state: &'a State, pool: &'a PoolPlan) -> impl Iterator<Item = &'a HostId> {
    pool.hosts
        .iter()
        .filter(move |id| state.hosts.get(*id).is_none_or(is_out))
}

/// `pool front: 2 of 3 out of service, 1 may be: b1 (stopped), b2 (not reachable)`, when nobody may leave service.
#[must_use]
pub fn shortage(state: &State, pool: &PoolPlan) -> Option<String> {
    const NAMES_MAX: usize = 5;
    let out: Vec<_> = out_of_service(state, pool).collect();
    if out.len() < pool.max_unavailable as usize {
        return None;
    }
    let why = |id: &&HostId| match state.hosts.get(*id) {
        Some(Host { busy: Some(busy), .. }) => format!("{id} (in work for {})", busy.rollout),
        Some(host) if host.is_attached() => {
            let states: Vec<_> = host
                .standings
                .values()
                .map(|standing| standing.state.to_string())
                .collect();
            format!("{id} ({})", states.join(", "))
        }
        Some(_) | None => format!("{id} (not reachable)"),
    };
    let mut names: Vec<_> = out.iter().take(NAMES_MAX).map(why).collect();
    names.extend((out.len() > NAMES_MAX).then(|| "...".to_owned()));
    let (total, max) = (pool.hosts.len(), pool.max_unavailable);
    Some(format!(
        "pool {}: {} of {total} out of service, {max} may be: {}",
        pool.pool,
        out.len(),
        names.join(", ")
    ))
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

impl Balance {
    fn has_room(&self) -> bool {
        self.out < self.max + u32::from(planted::is(Plant::CapacityRoundsUp))
    }
}

impl<'a> Account<'a> {
    /// As things are now: `out` are the hosts that [`is_out`] holds of, in whichever pool.
    #[must_use]
    pub fn open(out: &BTreeSet<HostId>, lane: &'a LanePlan) -> Self {
        let balance = |pool: &PoolPlan| {
            let of_pool = out.iter().filter(|host| pool.has(host));
            Balance {
                out: u32::try_from(of_pool.count()).unwrap_or(u32::MAX),
                max: pool.max_unavailable,
            }
        };
        Self {
            pools: lane.capacity.iter().map(|pool| (&pool.pool, balance(pool))).collect(),
        }
    }

    /// Whether the host may be taken out of service, or is out already.
    #[must_use]
    pub fn allows(&self, host: &Host) -> bool {
        !host.in_service() || self.pools.get(&host.pool).is_some_and(Balance::has_room)
    }

    /// Something begins on the host that does not take it out. One on which nothing was is out from now on, and whoever comes
    /// after it in the same breath is to know.
    pub fn begins(&mut self, host: &Host) {
        if let Some(balance) = self.pools.get_mut(&host.pool).filter(|_| host.is_empty()) {
            balance.out += 1;
        }
    }

    /// Takes the host out of service if that is allowed, or if it is out already. Otherwise says how things stand.
    pub fn take(&mut self, host: &Host) -> Result<(), Balance> {
        if !host.in_service() {
            return Ok(());
        }
        match self.pools.get_mut(&host.pool) {
            Some(balance) if balance.has_room() => {
                balance.out += 1;
                Ok(())
            }
            Some(balance) => Err(*balance),
            None => Err(Balance { out: 0, max: 0 }),
        }
    }
}
