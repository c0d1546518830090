//! What people do to a rollout.

use echelon_playbooks::model::GateKind;
use echelon_proto::{
    Datacenter, GateName, Person, RolloutId,
    limits::REASON_CHARS_MAX,
    planted::{self, Plant},
};

use crate::{
    command::{Act, Verb},
    engine::{Decision, Engine, Reply},
    outcome::Outcome,
    record::{Record, Verdict},
    refusal::{Reason, Refusal},
    rollout::{Asked, HoldKind, Lane, LaneEnd, LaneStage, Rollout, Settled},
};

pub(super) fn act(engine: &Engine, by: &Person, act: &Act) -> Result<Decision, Refusal> {
    let id = &act.rollout;
    let rollout = engine
        .state()
        .rollouts
        .get(id)
        .ok_or_else(|| Reason::NotFound.refusal(format!("there is no rollout {id}: see `echelon rollout list`")))?;
    let asked = Asked {
        verb: act.verb,
        datacenter: act.datacenter.clone(),
        host: act.host.clone(),
        by: by.clone(),
    };
    // Before everything else: what was done may well be why it could not be done now.
    let known = act.request_id.as_ref().filter(|_| !planted::is(Plant::ActServedTwice));
    if let Some(served) = known.and_then(|request| rollout.served.get(request)) {
        return same_again(id, served == &asked);
    }
    let records = wish(rollout, by, act)?;
    let served = act.request_id.iter().map(|request| Record::ActServed {
        rollout: id.clone(),
        request: request.clone(),
        asked: asked.clone(),
    });
    Ok(Decision {
        records: records.into_iter().chain(served).collect(),
        reply: Reply::Rollout(id.clone()),
    })
}

fn same_again(id: &RolloutId, is_same: bool) -> Result<Decision, Refusal> {
    match is_same {
        true => Ok(Decision {
            records: Vec::new(),
            reply: Reply::Rollout(id.clone()),
        }),
        false => Err(Reason::AlreadyExists.refusal(format!(
            "this request id did something else to {id}: every request needs an id of its own"
        ))),
    }
}

fn wish(rollout: &Rollout, by: &Person, act: &Act) -> Result<Vec<Record>, Refusal> {
    let id = &act.rollout;
    if act.etag.is_some_and(|etag| etag != rollout.etag) {
        return Err(Reason::EtagMismatch.refusal(format!("{id} has changed since you looked: look again")));
    }
    if act.reason.chars().count() > REASON_CHARS_MAX {
        return Err(Reason::Invalid.refusal(format!("a reason has at most {REASON_CHARS_MAX} characters")));
    }
    if let Some(datacenter) = act
        .datacenter
        .as_ref()
        .filter(|dc| rollout.status.has_begun() && rollout.lane_of(dc).is_none())
    {
        return Err(Reason::NotFound.refusal(format!("{id} has no lane in {datacenter}")));
    }
    if let Some(host) = act
        .host
        .as_ref()
        .filter(|host| rollout.status.has_begun() && !rollout.runs.contains_key(*host))
    {
        return Err(Reason::NotFound.refusal(format!("{id} does not touch host {host}")));
    }
    if rollout.status.is_over() {
        return Err(Reason::WrongState.refusal(format!("{id} is over: {}{}", rollout.ending, hint(rollout, act.verb))));
    }
    let wish = Wish { rollout, by, act };
    match act.verb {
        Verb::Approve => wish.approve(),
        Verb::Reject => wish.reject(),
        Verb::Pause => wish.pause(),
        Verb::Resume => wish.resume(),
        Verb::Promote => wish.promote(),
        Verb::Retry => wish.retry(),
        Verb::Skip => wish.skip(),
        Verb::Abort => wish.abort(),
        Verb::Rollback => wish.rollback(),
    }
}

fn hint(rollout: &Rollout, verb: Verb) -> String {
    if verb != Verb::Rollback {
        return String::new();
    }
    let origin = rollout
        .runs
        .values()
        .find_map(|run| run.touched.as_ref()?.origin.release.clone());
    match origin {
        Some(release) => format!(
            "; to go back start the release it had: `echelon start {} --release {release} --playbook {}`",
            rollout.app, rollout.playbook.name
        ),
        None => "; to go back start the release it had".into(),
    }
}

struct Wish<'a> {
    rollout: &'a Rollout,
    by: &'a Person,
    act: &'a Act,
}

impl<'a> Wish<'a> {
    fn refuse(&self, text: impl std::fmt::Display) -> Refusal {
        Reason::WrongState.refusal(format!("{} {text}", self.rollout.id))
    }

    fn began(&self) -> Result<(), Refusal> {
        match self.rollout.status.has_begun() {
            true => Ok(()),
            false => Err(self.refuse("has not begun: only abort can be done to it")),
        }
    }

    /// Lanes that the wish is for, by index.
    fn lanes(&self) -> impl Iterator<Item = (usize, &'a Lane)> {
        let only = self.act.datacenter.as_ref();
        self.rollout
            .lanes
            .iter()
            .enumerate()
            .filter(move |(_, lane)| only.is_none_or(|dc| *dc == lane.datacenter))
    }

    /// Approval gates that wait for people.
    fn asked(&self) -> Vec<(Datacenter, usize, GateName)> {
        let gating = self.lanes().filter(|(_, lane)| lane.stage == LaneStage::Gating);
        let asked = gating.flat_map(|(_, lane)| {
            let gates = lane.waves.get(lane.wave).map(|wave| &wave.gates).into_iter().flatten();
            let open = gates.filter(|(_, gate)| gate.asked.is_some() && gate.verdict.is_none());
            open.map(|(name, _)| (lane.datacenter.clone(), lane.wave, name.clone()))
                .collect::<Vec<_>>()
        });
        asked.collect()
    }

    fn approve(&self) -> Result<Vec<Record>, Refusal> {
        self.began()?;
        let asked = self.asked();
        if asked.is_empty() {
            return Err(self.refuse("waits for no approval now: see `echelon rollout explain`"));
        }
        if *self.by == self.rollout.by && !planted::is(Plant::StarterApproves) {
            return Err(Reason::TwoPersons.refusal(format!(
                "{} started {}: somebody else has to approve it",
                self.by, self.rollout.id
            )));
        }
        let given = |datacenter: &Datacenter, wave: usize, gate: &GateName| {
            let lane = self
                .rollout
                .lane_of(datacenter)
                .and_then(|lane| self.rollout.lanes.get(lane));
            let gate = lane.and_then(|lane| lane.waves.get(wave)?.gates.get(gate));
            gate.is_some_and(|gate| gate.approvals.contains(self.by) && !planted::is(Plant::ApprovedTwiceByOne))
        };
        let fresh = asked
            .into_iter()
            .filter(|(datacenter, wave, gate)| !given(datacenter, *wave, gate));
        let approve = |(datacenter, wave, gate)| Record::GateApproved {
            rollout: self.rollout.id.clone(),
            datacenter,
            wave,
            gate,
            by: self.by.clone(),
            reason: self.act.reason.clone(),
        };
        Ok(fresh.map(approve).collect())
    }

    fn reject(&self) -> Result<Vec<Record>, Refusal> {
        self.began()?;
        let asked = self.asked();
        if asked.is_empty() {
            return Err(self.refuse("waits for no approval now: see `echelon rollout explain`"));
        }
        let reject = |(datacenter, wave, gate): (Datacenter, usize, GateName)| Record::GateDecided {
            rule: self.rollout.playbook.gates.get(&gate).map(|gate| gate.on_fail),
            rollout: self.rollout.id.clone(),
            datacenter,
            wave,
            gate,
            verdict: Verdict::Fail,
            evidence: format!("rejected by {}: {}", self.by, self.act.reason),
            by: Some(self.by.clone()),
        };
        Ok(asked.into_iter().map(reject).collect())
    }

    fn pause(&self) -> Result<Vec<Record>, Refusal> {
        self.began()?;
        if let Some(hold) = &self.rollout.hold {
            return Err(self.refuse(format!("is held already: {}", hold.text)));
        }
        let text = format!("paused by {}: {}", self.by, self.act.reason);
        let rollout = self.rollout.id.clone();
        Ok(vec![Record::RolloutHeld {
            rollout,
            kind: HoldKind::Paused,
            text,
            by: Some(self.by.clone()),
        }])
    }

    fn resumed(&self) -> Record {
        let (rollout, by, reason) = (self.rollout.id.clone(), self.by.clone(), self.act.reason.clone());
        Record::RolloutResumed { rollout, by, reason }
    }

    fn resume(&self) -> Result<Vec<Record>, Refusal> {
        self.began()?;
        let hold = self
            .rollout
            .hold
            .as_ref()
            .ok_or_else(|| self.refuse("is not held: it goes on by itself"))?;
        let mut records = match hold.kind {
            HoldKind::Paused | HoldKind::StalePlan | HoldKind::Timeout => Vec::new(),
            HoldKind::Gate | HoldKind::NoReturn => self.reopen_gates(),
            HoldKind::Budget | HoldKind::Host => {
                vec![Record::BudgetForgiven {
                    rollout: self.rollout.id.clone(),
                    by: self.by.clone(),
                }]
            }
        };
        records.push(self.resumed());
        Ok(records)
    }

    fn reopen_gates(&self) -> Vec<Record> {
        let mut records = Vec::new();
        for lane in self.rollout.lanes.iter().filter(|lane| lane.stage == LaneStage::Gating) {
            let Some(wave) = lane.waves.get(lane.wave) else {
                continue;
            };
            for (gate, _) in wave.gates.iter().filter(|(_, gate)| gate.is_bad()) {
                let (rollout, datacenter, gate) = (self.rollout.id.clone(), lane.datacenter.clone(), gate.clone());
                records.push(Record::GateReopened {
                    rollout,
                    datacenter,
                    wave: lane.wave,
                    gate,
                });
            }
        }
        records
    }

    /// Passes what a lane waits at, approvals excepted: those are not a deployer's to give.
    fn promote(&self) -> Result<Vec<Record>, Refusal> {
        self.began()?;
        let mut records = Vec::new();
        for (_, lane) in self.lanes().filter(|(_, lane)| lane.stage == LaneStage::Gating) {
            let Some(wave) = lane.waves.get(lane.wave).filter(|wave| wave.passed.is_none()) else {
                continue;
            };
            let (rollout, datacenter, by) = (self.rollout.id.clone(), lane.datacenter.clone(), self.by.clone());
            records.push(Record::BakeCut {
                rollout,
                datacenter,
                wave: lane.wave,
                by,
            });
            for (gate, _) in wave
                .gates
                .iter()
                .filter(|(name, gate)| !gate.is_passed() && !self.is_approval(name))
            {
                records.push(Record::GateDecided {
                    rollout: self.rollout.id.clone(),
                    datacenter: lane.datacenter.clone(),
                    wave: lane.wave,
                    gate: gate.clone(),
                    verdict: Verdict::Pass,
                    rule: None,
                    evidence: format!("promoted by {}: {}", self.by, self.act.reason),
                    by: Some(self.by.clone()),
                });
            }
        }
        if records.is_empty() {
            return Err(self.refuse("waits at no gate that can be promoted: see `echelon rollout explain`"));
        }
        let held_by_gate = self
            .rollout
            .hold
            .as_ref()
            .is_some_and(|hold| hold.kind == HoldKind::Gate);
        records.extend(held_by_gate.then(|| self.resumed()));
        Ok(records)
    }

    fn is_approval(&self, gate: &GateName) -> bool {
        matches!(
            self.rollout.playbook.gates.get(gate).map(|gate| &gate.kind),
            Some(GateKind::Approval { .. })
        )
    }

    fn retry(&self) -> Result<Vec<Record>, Refusal> {
        self.began()?;
        let mut records = Vec::new();
        let forward = |lane: &Lane| !matches!(lane.stage, LaneStage::Stopping | LaneStage::Ended(LaneEnd::Stopped));
        for (index, lane) in self.lanes().filter(|(_, lane)| forward(lane)) {
            let ended_back = lane.stage == LaneStage::Ended(LaneEnd::RolledBack);
            let goes_back = lane.stage == LaneStage::RollingBack;
            for (host, run) in self.rollout.lane_runs(index) {
                let failed = matches!(run.settled, Some(Settled::Failed | Settled::Debt | Settled::Skipped));
                let wanted = self.act.host.as_ref().is_none_or(|only| only == host);
                let has_part = !goes_back || run.back.is_some();
                if failed && wanted && has_part && !ended_back {
                    let (rollout, host, by) = (self.rollout.id.clone(), host.clone(), self.by.clone());
                    records.push(Record::HostReopened {
                        rollout,
                        host,
                        by,
                        reason: self.act.reason.clone(),
                    });
                }
            }
        }
        if records.is_empty() {
            return Err(self.refuse("has no failed host to try again there"));
        }
        let held = self
            .rollout
            .hold
            .as_ref()
            .is_some_and(|h| matches!(h.kind, HoldKind::Host | HoldKind::Budget | HoldKind::Gate));
        records.extend(held.then(|| self.resumed()));
        Ok(records)
    }

    fn skip(&self) -> Result<Vec<Record>, Refusal> {
        self.began()?;
        let host = self
            .act
            .host
            .as_ref()
            .ok_or_else(|| Reason::Invalid.refusal("say which host to skip: --host HOST"))?;
        if self.act.reason.trim().is_empty() {
            return Err(Reason::Invalid.refusal("a host is left out for a reason: --reason TEXT"));
        }
        let run = self
            .rollout
            .runs
            .get(host)
            .ok_or_else(|| self.refuse(format!("does not touch host {host}")))?;
        if let Some(current) = &run.current {
            return Err(self.refuse(format!("runs {} on {host}: skip it when that has ended", current.phase)));
        }
        if matches!(
            run.settled,
            Some(Settled::Done | Settled::RolledBack | Settled::Skipped)
        ) {
            return Err(self.refuse(format!("is done with {host}: {}", run.outcome_name())));
        }
        Ok(vec![Record::HostSettled {
            rollout: self.rollout.id.clone(),
            host: host.clone(),
            settled: Settled::Skipped,
            text: format!("skipped by {}: {}", self.by, self.act.reason),
            by: Some(self.by.clone()),
        }])
    }

    fn abort(&self) -> Result<Vec<Record>, Refusal> {
        let (rollout, by) = (self.rollout.id.clone(), Some(self.by.clone()));
        let text = format!("aborted by {}: {}", self.by, self.act.reason);
        if !self.rollout.status.has_begun() {
            return Ok(vec![Record::RolloutEnded {
                rollout,
                outcome: Outcome::Aborted,
                text,
            }]);
        }
        match self.rollout.aborting {
            Some(_) => Err(self.refuse("is being aborted already")),
            None => Ok(vec![Record::AbortBegan { rollout, by, text }]),
        }
    }

    fn rollback(&self) -> Result<Vec<Record>, Refusal> {
        self.began()?;
        let back = |lane: &Lane| {
            matches!(
                lane.stage,
                LaneStage::RollingBack | LaneStage::Ended(LaneEnd::RolledBack)
            )
        };
        let lanes: Vec<_> = self
            .lanes()
            .filter(|(_, lane)| !back(lane))
            .map(|(_, lane)| lane.datacenter.clone())
            .collect();
        if lanes.is_empty() {
            return Err(self.refuse("goes back already"));
        }
        let text = format!("rolled back by {}: {}", self.by, self.act.reason);
        let rollout = self.rollout.id.clone();
        Ok(vec![Record::RollbackBegan {
            rollout,
            lanes,
            by: Some(self.by.clone()),
            text,
        }])
    }
}
