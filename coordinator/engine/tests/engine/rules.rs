//! What must hold at the very moment of a record, said from the outside and a second time: a mirror of the engine takes
//! every record in turn and is asked before and after it.

use std::collections::BTreeSet;

use echelon_engine::{
    Record, State,
    host::Serving,
    plan::{HostPlan, LanePlan},
    rollout::{Direction, Lane, LaneEnd, LaneStage, Rollout, Run, Settled},
};
use echelon_playbooks::model::Coupling;
use echelon_proto::{HostId, RolloutId};

/// Before the record is applied.
pub(crate) fn before(state: &State, record: &Record) {
    match record {
        Record::WaveOpened {
            rollout,
            datacenter,
            wave,
        } => {
            let rollout = &state.rollouts.get(rollout).unwrap();
            let lane = rollout.lane_of(datacenter).unwrap();
            barrier(rollout, lane, *wave);
        }
        Record::PhaseStarted {
            rollout,
            host,
            direction: Direction::Forward,
            after,
            ..
        } => {
            let (rollout, planned) = find(state, rollout, host);
            let run = rollout.runs.get(host).unwrap();
            if run.touched.is_none() {
                ranks(rollout, &rollout.plan.lanes[run.lane], planned);
            }
            let known = state.hosts.get(host).and_then(|host| host.standings.get(&rollout.app));
            let origin = run.touched.as_ref().map(|touch| &touch.origin).or(known);
            let was_out = origin.is_some_and(|origin| origin.traffic == Serving::Out);
            assert!(
                !(planned.stop_before_service && was_out && after.traffic == Serving::Full),
                "{host} was out of service on purpose and is put into service"
            );
        }
        _ => {}
    }
}

/// After the record is applied.
pub(crate) fn after(state: &State, record: &Record) {
    if let Record::PhaseStarted {
        rollout,
        host,
        direction: Direction::Forward,
        ..
    } = record
    {
        let (rollout, _) = find(state, rollout, host);
        let lane = rollout.runs.get(host).unwrap().lane;
        groups(rollout, &rollout.plan.lanes[lane]);
    }
}

fn find<'a>(state: &'a State, rollout: &RolloutId, host: &HostId) -> (&'a Rollout, &'a HostPlan) {
    let rollout = state.rollouts.get(rollout).unwrap();
    let run = rollout.runs.get(host).unwrap();
    let hosts = &rollout.plan.lanes[run.lane].waves[run.wave].hosts;
    (rollout, hosts.iter().find(|planned| planned.host == *host).unwrap())
}

/// Who waits for whom is kept.
fn barrier(rollout: &Rollout, lane: usize, wave: usize) {
    let passed = |other: usize, name: &str| {
        let waves = &rollout.plan.lanes[other].waves;
        let wave = waves.iter().position(|wave| wave.name.as_str() == name);
        wave.map(|wave| rollout.lanes[other].waves[wave].passed.is_some())
    };
    let others = (0..rollout.lanes.len()).filter(|other| *other != lane);
    let opens = format!("{} opens wave {wave}", rollout.lanes[lane].datacenter);
    match &rollout.playbook.lanes.coupling {
        Coupling::Free => {}
        Coupling::Lockstep if wave == 0 => {}
        Coupling::Lockstep => {
            let left = &rollout.plan.lanes[lane].waves[wave - 1].name;
            for other in others.filter(|other| !ended(&rollout.lanes[*other])) {
                let kept = passed(other, left.as_str()) != Some(false);
                assert!(kept, "{opens} before {other} has passed {left}");
            }
        }
        Coupling::Lead { datacenter, lag } => {
            let leading = others.filter(|other| rollout.lanes[*other].datacenter == *datacenter);
            for lead in leading.filter(|_| wave == 0) {
                let going = !matches!(
                    rollout.lanes[lead].stage,
                    LaneStage::Stopping
                        | LaneStage::RollingBack
                        | LaneStage::Ended(LaneEnd::Stopped | LaneEnd::RolledBack)
                );
                let done = rollout.lanes[lead].stage == LaneStage::Ended(LaneEnd::Done);
                assert!(
                    done || (going && passed(lead, lag.as_str()) == Some(true)),
                    "{opens} though {datacenter} leads"
                );
            }
        }
    }
}

fn ended(lane: &Lane) -> bool {
    matches!(lane.stage, LaneStage::Ended(_))
}

/// A host begins after the lower ranks of its group, and not when the group has lost a host.
fn ranks(rollout: &Rollout, lane: &LanePlan, planned: &HostPlan) {
    let Some(place) = &planned.group else { return };
    for (other, run) in members(rollout, lane, &place.name) {
        let rank = other.group.as_ref().unwrap().rank;
        assert!(
            rank >= place.rank || run.settled.is_some(),
            "{} begins before {}",
            planned.host,
            other.host
        );
        assert!(
            !matches!(run.settled, Some(Settled::Failed | Settled::Debt)),
            "{} begins though its group has lost {}",
            planned.host,
            other.host
        );
    }
}

fn members<'a>(
    rollout: &'a Rollout,
    lane: &'a LanePlan,
    group: &'a str,
) -> impl Iterator<Item = (&'a HostPlan, &'a Run)> {
    let hosts = lane.waves.iter().flat_map(|wave| &wave.hosts);
    let same = hosts.filter(move |planned| planned.group.as_ref().is_some_and(|place| place.name == group));
    same.map(|planned| (planned, rollout.runs.get(&planned.host).unwrap()))
}

/// No more groups in work than may be, and none is cut by a wave.
fn groups(rollout: &Rollout, lane: &LanePlan) {
    let Some(parallel) = lane.groups_parallel else { return };
    let hosts = || lane.waves.iter().flat_map(|wave| &wave.hosts);
    let names: BTreeSet<_> = hosts()
        .filter_map(|planned| Some(&planned.group.as_ref()?.name))
        .collect();
    let working = names.iter().filter(|name| {
        let mut all = members(rollout, lane, name);
        all.any(|(_, run)| run.is_active())
    });
    let working: Vec<_> = working.collect();
    assert!(
        working.len() <= parallel as usize,
        "{working:?} are in work at once, {parallel} may be"
    );
    for name in names {
        let waves: BTreeSet<_> = members(rollout, lane, name).map(|(_, run)| run.wave).collect();
        assert_eq!(waves.len(), 1, "group {name} is in several waves");
    }
}
