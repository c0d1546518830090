//! The account of a rollout: hosts by outcome, time by what it was spent on, gates and who decided them.

use std::collections::BTreeMap;

use echelon_proto::{Datacenter, HostId, PhaseName, ReleaseName, RolloutId, Span, StateName, Time, WaveName};

use crate::{
    plan::LanePlan,
    rollout::{Activity, Decision, Rollout, Run},
    state::State,
};

/// The account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportView {
    /// done, failed, skipped, debt, rolled_back, untouched, unfinished; pending while it may still go.
    pub outcomes: BTreeMap<&'static str, u32>,
    /// Of each phase that ran.
    pub phases: Vec<PhaseTimes>,
    /// Time by what it was spent on.
    pub time: BTreeMap<Activity, Span>,
    /// Gates decided.
    pub decisions: Vec<Decision>,
    /// Every pinned host, in the order of the plan.
    pub hosts: Vec<HostRow>,
}

/// How long a phase took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhaseTimes {
    /// Which.
    pub phase: PhaseName,
    /// How often it ran.
    pub count: u32,
    /// Half took no longer.
    pub p50: Span,
    /// 95 in 100 took no longer.
    pub p95: Span,
    /// None took longer.
    pub max: Span,
}

/// One host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRow {
    /// Which.
    pub host: HostId,
    /// Where.
    pub datacenter: Datacenter,
    /// In which wave.
    pub wave: WaveName,
    /// As in [`ReportView::outcomes`].
    pub outcome: &'static str,
    /// Before.
    pub from_release: Option<ReleaseName>,
    /// Where this rollout left it; what others did to it since is not told here.
    pub release: Option<ReleaseName>,
    /// Where this rollout left it.
    pub state: StateName,
    /// Why, where there is something to say.
    pub message: String,
}
/// The account up to this time.
#[must_use]
pub fn report(state: &State, id: &RolloutId, now: Time) -> Option<ReportView> {
    let rollout = state.rollouts.get(id)?;
    let hosts: Vec<_> = rollout.plan.lanes.iter().flat_map(|lane| rows(rollout, lane)).collect();
    let mut outcomes = BTreeMap::new();
    for row in &hosts {
        *outcomes.entry(row.outcome).or_default() += 1;
    }
    Some(ReportView {
        outcomes,
        phases: phases(rollout),
        time: time(rollout, now),
        decisions: rollout.decisions.clone(),
        hosts,
    })
}

fn rows<'a>(rollout: &'a Rollout, lane: &'a LanePlan) -> impl Iterator<Item = HostRow> + 'a {
    lane.waves.iter().flat_map(move |wave| {
        wave.hosts.iter().map(move |planned| {
            let run = rollout.runs.get(&planned.host);
            let left = run.and_then(|run| run.stands.as_ref());
            HostRow {
                host: planned.host.clone(),
                datacenter: lane.datacenter.clone(),
                wave: wave.name.clone(),
                outcome: outcome(rollout, run),
                from_release: planned.release.clone(),
                release: left.map_or_else(|| planned.release.clone(), |left| left.release.clone()),
                state: left.map_or_else(|| planned.state.clone(), |left| left.state.clone()),
                message: run.map(|run| run.text.clone()).unwrap_or_default(),
            }
        })
    })
}

/// A host that nothing was done to is untouched only when nothing will be.
fn outcome(rollout: &Rollout, run: Option<&Run>) -> &'static str {
    match run {
        Some(run) if run.settled.is_none() && !rollout.status.is_over() => "pending",
        Some(run) => run.outcome_name(),
        None => "untouched",
    }
}

fn phases(rollout: &Rollout) -> Vec<PhaseTimes> {
    let mut by_phase: BTreeMap<PhaseName, Vec<u64>> = BTreeMap::new();
    for (phase, took) in rollout.runs.values().flat_map(|run| &run.timings) {
        by_phase.entry(phase.clone()).or_default().push(*took);
    }
    let times = |(phase, mut took): (PhaseName, Vec<u64>)| {
        took.sort_unstable();
        PhaseTimes {
            phase,
            count: u32::try_from(took.len()).unwrap_or(u32::MAX),
            p50: quantile(&took, 50),
            p95: quantile(&took, 95),
            max: quantile(&took, 100),
        }
    };
    by_phase.into_iter().map(times).collect()
}

/// Nearest rank: the smallest value that at least this share of the values does not exceed.
fn quantile(sorted: &[u64], percent: usize) -> Span {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    Span(sorted.get(rank - 1).copied().unwrap_or_default())
}

fn time(rollout: &Rollout, now: Time) -> BTreeMap<Activity, Span> {
    let mut account = BTreeMap::new();
    let until = rollout.ended.unwrap_or(now);
    let ends = rollout.activities.iter().skip(1).map(|(at, _)| *at).chain([until]);
    for ((from, activity), to) in rollout.activities.iter().zip(ends) {
        let spent: &mut Span = account.entry(*activity).or_default();
        *spent = *spent + to.since(*from);
    }
    account
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_the_nearest_rank() {
        assert_eq!(quantile(&[10, 20, 30, 40], 50), Span(20));
        assert_eq!(quantile(&[10, 20, 30, 40], 95), Span(40));
        assert_eq!(quantile(&[7], 50), Span(7));
    }
}
