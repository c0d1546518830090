//! A host on its way in a rollout, forward or back: whether it can move now, and the records that move it or end its way.
//! Deliberately not where it goes: that is the step's, and the way back's.

use echelon_playbooks::model::Phase;
use echelon_proto::{HostId, RolloutId, Span, Time};

use super::Turn;
use crate::{
    capacity::Account,
    host::{Host, Standing},
    invariant,
    muster::Muster,
    record::Record,
    rollback::Stride,
    rollout::{Note, Rollout, Run, Settled},
    site,
};

/// The host, and all that its next step rests on.
pub(super) struct Traveller<'a> {
    muster: &'a Muster,
    now: Time,
    lost_after: Span,
    id: &'a RolloutId,
    host: &'a HostId,
    pub(super) rollout: &'a Rollout,
    pub(super) run: &'a Run,
    pub(super) known: &'a Host,
    /// Where the rollout's app stands on it.
    pub(super) standing: Standing,
}

impl<'a> Traveller<'a> {
    /// `None`: the rollout, or the host in it, is not known.
    pub(super) fn of(turn: &'a Turn<'_>, id: &'a RolloutId, host: &'a HostId) -> Option<Self> {
        let rollout = turn.rollout(id)?;
        let known = turn.state().hosts.get(host)?;
        Some(Self {
            muster: &turn.engine.muster,
            now: turn.now,
            lost_after: turn.engine.config.unreachable_after,
            id,
            host,
            rollout,
            run: rollout.runs.get(host)?,
            known,
            standing: standing(rollout, known),
        })
    }

    /// Since when it has been out of reach, if it is so for too long.
    pub(super) fn lost(&self) -> Option<String> {
        let is_lost = self.known.is_lost(self.now, self.lost_after);
        is_lost.then(|| format!("not reachable since {}", self.known.since))
    }

    /// It is there, nothing runs on it, and nothing keeps it waiting.
    pub(super) fn is_free(&self) -> bool {
        let is_early = self.run.not_before.is_some_and(|at| at > self.now);
        let is_busy = self.known.busy.is_some() || self.run.timed_out.is_some();
        self.known.is_attached() && !is_early && !is_busy
    }

    /// Whether this phase is run on it; an error: its `when` cannot be told.
    pub(super) fn is_for(&self, phase: &Phase) -> Result<bool, String> {
        let Some(site) = site::of_run(self.rollout, self.run, self.known) else {
            return Err(format!("its wave is not in the plan of {}", self.id));
        };
        site::is_for(phase, &site).map_err(|unknown| format!("`when` of phase {} is open: {unknown}", phase.name))
    }

    /// Whether it serves now and would not there.
    pub(super) fn leaves_service(&self, after: &Standing) -> bool {
        after.leaves_service(&self.standing) && self.known.in_service()
    }

    /// What comes to stand there may be begun. One that leaves service for it takes its place, if the floor has one left and,
    /// where they are asked, the invariants hold.
    pub(super) fn may_begin(&self, after: &Standing, account: &mut Account<'_>, invariants: bool) -> bool {
        if !self.leaves_service(after) {
            account.begins(self.known);
            return true;
        }
        let broken = || invariant::broken(self.muster, self.rollout, self.run, self.known).is_some();
        account.allows(self.known) && !(invariants && broken()) && account.take(self.known).is_ok()
    }

    /// Why the phase is not simply run, if it is not.
    pub(super) fn note(&self, phase: &Phase, is_for: bool, guarded: bool) -> Option<Note> {
        if is_for {
            invariant::asks_first(self.rollout, phase, guarded).then_some(Note::Asks)
        } else {
            Some(Note::PassedOver)
        }
    }

    /// Its next phase begins.
    pub(super) fn start(self, stride: Stride, guarded: bool) -> Record {
        Record::PhaseStarted {
            rollout: self.id.clone(),
            host: self.host.clone(),
            phase: stride.phase,
            attempt: self.run.attempts + 1,
            direction: stride.direction,
            release: stride.release,
            from: self.standing,
            after: stride.after,
            note: stride.note,
            guarded,
        }
    }

    /// Its newest step is back without a phase.
    pub(super) fn drop_step(&self) -> Record {
        Record::StepDropped {
            rollout: self.id.clone(),
            host: self.host.clone(),
        }
    }

    /// It is done with, for now or for good.
    pub(super) fn settle(&self, settled: Settled, text: impl Into<String>) -> Record {
        Record::HostSettled {
            rollout: self.id.clone(),
            host: self.host.clone(),
            settled,
            text: text.into(),
            by: None,
        }
    }
}

/// Where the rollout's app stands on the host.
pub(super) fn standing(rollout: &Rollout, host: &Host) -> Standing {
    host.standings
        .get(&rollout.app)
        .cloned()
        .unwrap_or_else(|| Standing::initial(&rollout.playbook.machine))
}
