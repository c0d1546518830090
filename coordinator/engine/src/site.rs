//! Where a host stands in a rollout, as conditions see it: `when` of a phase, and invariants. Deliberately no policy: what
//! follows from an answer is said where it is asked.

use std::collections::BTreeSet;

use echelon_condition::{Condition, Host as HostFacts, Lane, Pool, Release, Rollout as Counts, Site, Unknown, Wave};
use echelon_playbooks::model::Phase;
use echelon_proto::{App, HostId, OperationName, ReleaseName, WaveName};

use crate::{
    host::Host,
    muster::{Muster, Rank},
    plan::PoolPlan,
    rollout::{Rollout, Run},
};

/// What a rollout is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Errand<'a> {
    /// Of what.
    pub app: &'a App,
    /// To which version.
    pub release: &'a ReleaseName,
    /// To do what.
    pub operation: &'a OperationName,
}

/// The host in its wave.
pub(crate) fn site<'a>(host: &'a Host, wave: &'a WaveName, errand: Errand<'a>) -> Site<'a> {
    let labels = host.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    Site {
        host: HostFacts {
            name: host.id.as_str(),
            datacenter: host.datacenter.as_str(),
            pool: host.pool.as_str(),
            labels: labels.collect(),
        },
        lane: Lane {
            datacenter: host.datacenter.as_str(),
        },
        wave: Wave { name: wave.as_str() },
        release: Release {
            app: errand.app.as_str(),
            name: errand.release.as_str(),
        },
        operation: errand.operation.as_str(),
        pool: None,
        rollout: None,
    }
}

/// The host in its wave of a rollout that has begun.
pub(crate) fn of_run<'a>(rollout: &'a Rollout, run: &Run, host: &'a Host) -> Option<Site<'a>> {
    let wave = rollout.plan.lanes.get(run.lane)?.waves.get(run.wave)?;
    let errand = Errand {
        app: &rollout.app,
        release: &rollout.release,
        operation: &rollout.plan.body.operation,
    };
    Some(site(host, &wave.name, errand))
}

/// The same, and how the host's pool and the rollout stand.
pub(crate) fn in_pool<'a>(muster: &Muster, rollout: &'a Rollout, run: &Run, host: &'a Host) -> Option<Site<'a>> {
    let planned = rollout.plan.lanes.get(run.lane)?;
    let pool = planned.capacity.iter().find(|pool| pool.pool == host.pool)?;
    Some(Site {
        pool: Some(pool_counts(muster, pool)),
        rollout: Some(rollout_counts(muster, rollout)),
        ..of_run(rollout, run, host)?
    })
}

/// Of those that are not in service: in a fleet that stands they are few.
fn pool_counts<'a>(muster: &Muster, pool: &'a PoolPlan) -> Pool<'a> {
    let of_pool = |hosts: &BTreeSet<HostId>| hosts.iter().filter(|host| pool.has(host)).count();
    Pool {
        name: pool.pool.as_str(),
        hosts: count(pool.hosts.len()),
        in_service: count(pool.hosts.len() - of_pool(&muster.idle)),
        out_of_service: count(of_pool(&muster.out)),
        max_unavailable: pool.max_unavailable,
    }
}

fn rollout_counts(muster: &Muster, rollout: &Rollout) -> Counts {
    let lanes = muster.ranks(&rollout.id).map_or(&[][..], |ranks| &ranks.lanes);
    let with = |hosts: fn(&Rank) -> usize| count(lanes.iter().map(hosts).sum());
    Counts {
        hosts: count(rollout.runs.size()),
        done: with(|rank| rank.done.len()),
        failed: with(|rank| rank.failed.len()),
        in_progress: with(|rank| rank.active.len()),
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Whether the phase is for this host; a phase without `when` is for all.
pub(crate) fn is_for(phase: &Phase, site: &Site<'_>) -> Result<bool, Unknown> {
    phase
        .when
        .as_ref()
        .map_or(Ok(true), |when| Condition::holds(when, site))
}
