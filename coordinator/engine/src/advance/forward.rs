//! Hosts of the opened waves go forward: which of them, and in what order. What is next for one of them is
//! [`super::step`].

use echelon_proto::{HostId, RolloutId, Span};

use super::{
    Turn,
    coupling::{self, Barrier},
    gating,
    grouping::{Groups, Place},
    step,
};
use crate::{
    capacity::Account,
    plan::{HostPlan, LanePlan},
    record::Record,
    rollout::{LaneEnd, Run, Settled},
};

/// Opens a wave of a lane, or ends the lane when there is none.
pub(super) fn open(turn: &mut Turn<'_>, id: &RolloutId, lane: usize, wave: usize) {
    let Some(known) = turn.rollout(id) else { return };
    if known.hold.is_some() {
        return;
    }
    let (rollout, datacenter) = (id.clone(), known.lanes[lane].datacenter.clone());
    if wave >= known.lanes[lane].waves.len() {
        let end = LaneEnd::Done;
        return turn.emit(Record::LaneEnded {
            rollout,
            datacenter,
            end,
        });
    }
    match coupling::barrier(known, lane, wave) {
        Barrier::Open => turn.emit(Record::WaveOpened {
            rollout,
            datacenter,
            wave,
        }),
        Barrier::Waits(_) => {}
        Barrier::Never(text) => turn.emit(Record::LaneStopping {
            rollout,
            datacenter,
            text,
        }),
    }
}

pub(super) fn pass(turn: &mut Turn<'_>, id: &RolloutId, lane: usize) {
    if gating::budget(turn, id, lane) {
        return;
    }
    let Some(rollout) = turn.rollout(id) else { return };
    let plan = rollout.plan.clone();
    let Some(planned) = plan.lanes.get(lane) else { return };
    let wave = rollout.lanes[lane].wave;
    let members: Vec<_> = planned
        .waves
        .iter()
        .take(wave + 1)
        .flat_map(|wave| &wave.hosts)
        .collect();
    let mut moves = Moves {
        turn,
        id,
        lane,
        planned,
        account: None,
    };
    let active = moves.go_on(&members);
    moves.begin(&members, active);
    let Some(rollout) = turn.rollout(id) else { return };
    let settled = |host: &HostId| rollout.runs.get(host).is_none_or(|run| run.settled.is_some());
    if members.iter().all(|planned| settled(&planned.host)) {
        let datacenter = rollout.lanes[lane].datacenter.clone();
        turn.emit(Record::WaveRolled {
            rollout: id.clone(),
            datacenter,
            wave,
        });
    }
}

/// One pass over a lane's hosts.
struct Moves<'a, 'e> {
    turn: &'a mut Turn<'e>,
    id: &'a RolloutId,
    lane: usize,
    planned: &'a LanePlan,
    account: Option<Account<'a>>,
}

impl Moves<'_, '_> {
    fn run(&self, host: &HostId) -> Option<&Run> {
        self.turn.rollout(self.id)?.runs.get(host)
    }

    fn next(&mut self, planned: &HostPlan) -> Option<Record> {
        let account = self
            .account
            .get_or_insert_with(|| Account::open(self.turn.state(), self.planned));
        step::next(self.turn, self.id, &planned.host, account)
    }

    /// Hosts that have begun take their next steps. How many are still at it.
    fn go_on(&mut self, members: &[&HostPlan]) -> usize {
        let mut active = 0;
        for planned in members {
            let Some(run) = self.run(&planned.host).filter(|run| run.is_active()) else {
                continue;
            };
            if run.current.is_none()
                && let Some(record) = self.next(planned)
            {
                self.turn.emit(record);
            }
            active += usize::from(self.run(&planned.host).is_some_and(Run::is_active));
        }
        active
    }

    /// Others begin, as many as may.
    fn begin(&mut self, members: &[&HostPlan], mut active: usize) {
        let Some(pace) = self.turn.rollout(self.id).and_then(|rollout| rollout.pace(self.lane)) else {
            return;
        };
        let mut groups = self.groups();
        for planned in members {
            if active >= pace.max_parallel as usize || !self.may_start(pace.stagger) {
                break;
            }
            let yet_to_begin = |run: &&Run| run.settled.is_none() && !run.is_active();
            let Some(run) = self.run(&planned.host).filter(yet_to_begin) else {
                continue;
            };
            let record = match groups.as_ref().map(|groups| groups.place(planned, run)) {
                Some(Place::Waits(_)) => continue,
                Some(Place::Lost(why)) => Some(self.debt(&planned.host, why)),
                Some(Place::Free) | None => self.next(planned),
            };
            if let Some(record) = record {
                active += usize::from(matches!(record, Record::PhaseStarted { .. }));
                self.turn.emit(record);
                groups = self.groups();
            }
        }
    }

    fn groups(&self) -> Option<Groups> {
        Groups::of(self.turn.rollout(self.id)?, self.planned, self.lane)
    }

    fn debt(&self, host: &HostId, text: String) -> Record {
        Record::HostSettled {
            rollout: self.id.clone(),
            host: host.clone(),
            settled: Settled::Debt,
            text,
            by: None,
        }
    }

    fn may_start(&self, stagger: Span) -> bool {
        let Some(rollout) = self.turn.rollout(self.id) else {
            return false;
        };
        rollout.hold.is_none()
            && rollout.lanes[self.lane]
                .last_start
                .is_none_or(|last| last + stagger <= self.turn.now)
    }
}
