//! Hosts of the opened waves go forward: which of them, and in what order. What is next for one of them is
//! [`super::step`].

use std::ops::Bound;

use echelon_proto::{
    HostId, RolloutId, Span,
    planted::{self, Plant},
};

use super::{
    Turn,
    coupling::{self, Barrier},
    gating,
    grouping::{Groups, Place},
    step,
};
use crate::{
    capacity::Account,
    muster::Seat,
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
    let mut moves = Moves {
        turn,
        id,
        lane,
        planned,
        account: None,
    };
    let active = moves.go_on();
    moves.begin(active);
    if moves.at_it().next().is_none() && moves.yet_to_begin(None).is_none() {
        let Some(rollout) = turn.rollout(id) else { return };
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

impl<'a> Moves<'a, '_> {
    /// Hosts that have begun and are not done with.
    fn at_it(&self) -> impl Iterator<Item = &'a HostPlan> {
        let rank = self.turn.engine.muster.rank(self.id, self.lane).into_iter();
        rank.flat_map(|rank| &rank.active)
            .filter_map(|seat| self.planned.seated(*seat))
    }

    /// The next host of the opened waves that has yet to begin, after this one.
    fn yet_to_begin(&self, after: Option<Seat>) -> Option<(Seat, &'a HostPlan)> {
        let wave = self.turn.rollout(self.id)?.lanes.get(self.lane)?.wave;
        let rank = self.turn.engine.muster.rank(self.id, self.lane)?;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let seat = *rank.fresh.range((from, Bound::Unbounded)).next()?;
        let opened = seat.0 <= wave;
        Some((seat, self.planned.seated(seat).filter(|_| opened)?))
    }

    fn run(&self, host: &HostId) -> Option<&Run> {
        self.turn.rollout(self.id)?.runs.get(host)
    }

    fn next(&mut self, planned: &HostPlan) -> Option<Record> {
        let account = self
            .account
            .get_or_insert_with(|| Account::open(&self.turn.engine.muster.out, self.planned));
        step::next(self.turn, self.id, &planned.host, account)
    }

    /// Hosts that have begun take their next steps. How many are still at it.
    fn go_on(&mut self) -> usize {
        let mut active = 0;
        for planned in self.at_it().collect::<Vec<_>>() {
            let waits = self.run(&planned.host).is_some_and(|run| run.current.is_none());
            if waits && let Some(record) = self.next(planned) {
                self.turn.emit(record);
            }
            active += usize::from(self.run(&planned.host).is_some_and(Run::is_active));
        }
        active
    }

    /// Others begin, as many as may.
    fn begin(&mut self, mut active: usize) {
        let Some(pace) = self.turn.rollout(self.id).and_then(|rollout| rollout.pace(self.lane)) else {
            return;
        };
        let mut groups = self.groups();
        let mut last = None;
        while let Some((seat, planned)) = self.yet_to_begin(last) {
            let places = pace.max_parallel as usize + usize::from(planted::is(Plant::ParallelRoundsUp));
            if active >= places || !self.may_start(pace.stagger) {
                break;
            }
            last = Some(seat);
            let Some(run) = self.run(&planned.host) else { continue };
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
