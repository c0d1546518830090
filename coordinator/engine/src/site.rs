//! Where a host stands in a rollout, as conditions see it: `when` of a phase, and invariants. Deliberately no policy: what
//! follows from an answer is said where it is asked.

use echelon_condition::{Condition, Host as HostFacts, Lane, Pool, Release, Rollout as Counts, Site, Unknown, Wave};
use echelon_playbooks::model::Phase;
use echelon_proto::{App, OperationName, ReleaseName, WaveName};

use crate::{
    capacity::out_of_service,
    host::Host,
    plan::PoolPlan,
    rollout::{Rollout, Run, Settled},
    state::State,
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
pub(crate) fn in_pool<'a>(state: &State, rollout: &'a Rollout, run: &Run, host: &'a Host) -> Option<Site<'a>> {
    let planned = rollout.plan.lanes.get(run.lane)?;
    let pool = planned.capacity.iter().find(|pool| pool.pool == host.pool)?;
    Some(Site {
        pool: Some(pool_counts(state, pool)),
        rollout: Some(rollout_counts(rollout)),
        ..of_run(rollout, run, host)?
    })
}

fn pool_counts<'a>(state: &State, pool: &'a PoolPlan) -> Pool<'a> {
    let serving = pool
        .hosts
        .iter()
        .filter(|id| state.hosts.get(*id).is_some_and(Host::in_service));
    Pool {
        name: pool.pool.as_str(),
        hosts: count(pool.hosts.len()),
        in_service: count(serving.count()),
        out_of_service: count(out_of_service(state, pool).count()),
        max_unavailable: pool.max_unavailable,
    }
}

fn rollout_counts(rollout: &Rollout) -> Counts {
    let with = |settled| rollout.runs.values().filter(|run| run.settled == Some(settled)).count();
    Counts {
        hosts: count(rollout.runs.size()),
        done: count(with(Settled::Done)),
        failed: count(with(Settled::Failed)),
        in_progress: count(rollout.runs.values().filter(|run| run.is_active()).count()),
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
