//! Why does it stand still? What is waited for, with values, and who can do something about it.

use echelon_playbooks::model::{GateKind, Unreachable};
use echelon_proto::{RolloutId, Time};

use crate::{
    advance::{
        coupling, gating,
        grouping::{Groups, Place},
    },
    capacity::shortage,
    engine::Config,
    gate::{Question, kind_name},
    host::Host,
    invariant,
    muster::Muster,
    plan::HostPlan,
    rollout::{Current, HoldKind, LaneStage, Note, Rollout, Run, Settled, Status},
    state::State,
};

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// `dc1/canary/web-3`, `dc1/canary`, or empty for the whole rollout.
    pub subject: String,
    /// What stands still or goes on, and why.
    pub text: String,
    /// Who can act; empty: nobody needs to.
    pub who: String,
    /// The command to type; empty: none.
    pub command: String,
}
/// Lines about single hosts, at most; the rest is counted.
const HOSTS_MAX: usize = 40;

/// Every answer, the whole rollout's first.
#[must_use]
pub fn explain(state: &State, config: &Config, id: &RolloutId, now: Time) -> Vec<Explanation> {
    let Some(rollout) = state.rollouts.get(id) else {
        return Vec::new();
    };
    let mut all = whole(state, rollout);
    if !rollout.status.has_begun() {
        return all;
    }
    let eye = Eye {
        state,
        config,
        rollout,
        muster: Muster::of(state),
        now,
    };
    for lane in 0..rollout.lanes.len() {
        eye.lane(lane, &mut all);
    }
    if all.is_empty() {
        all.push(answer("", format!("{id} goes on by itself"), "", String::new()));
    }
    all
}

fn answer(subject: impl Into<String>, text: String, who: &str, command: String) -> Explanation {
    Explanation {
        subject: subject.into(),
        text,
        who: who.into(),
        command,
    }
}

fn whole(state: &State, rollout: &Rollout) -> Vec<Explanation> {
    let id = &rollout.id;
    let line = |text: String, command: String| vec![answer("", text, "", command)];
    match (rollout.status, &rollout.hold) {
        (Status::Scheduled, _) => {
            let at = rollout.scheduled.unwrap_or_default();
            line(
                format!("{id} starts at {at}"),
                format!("echelon abort {id} --reason TEXT"),
            )
        }
        (Status::Queued, _) => {
            let before = state.active().find(|other| other.app == rollout.app && other.id != *id);
            let other = before.map_or_else(|| "its turn".into(), |other| other.id.to_string());
            line(
                format!("{id} is queued behind {other}"),
                format!("echelon rollout explain {other}"),
            )
        }
        (Status::Ended(outcome), _) => line(
            format!("{id} is over, {}: {}", outcome.name().replace('_', " "), rollout.ending),
            String::new(),
        ),
        (Status::Running, Some(hold)) => {
            let verbs = match hold.kind {
                HoldKind::Paused | HoldKind::StalePlan => "resume",
                HoldKind::Gate => "promote|resume|rollback",
                HoldKind::Budget | HoldKind::Host => "retry|resume|rollback",
                HoldKind::NoReturn => "promote|rollback",
                HoldKind::Timeout => "resume|skip|rollback",
            };
            let text = format!("{id} is held since {}: {}", hold.since, hold.text);
            vec![answer(
                "",
                text,
                "a deployer",
                format!("echelon {verbs} {id} --reason TEXT"),
            )]
        }
        (Status::Running, None) => match &rollout.aborting {
            Some(why) => line(
                format!("{id} waits for its phases in flight to end: {why}"),
                String::new(),
            ),
            None => Vec::new(),
        },
    }
}

struct Eye<'a> {
    state: &'a State,
    config: &'a Config,
    rollout: &'a Rollout,
    muster: Muster,
    now: Time,
}

impl Eye<'_> {
    fn lane(&self, index: usize, all: &mut Vec<Explanation>) {
        let lane = &self.rollout.lanes[index];
        let planned = &self.rollout.plan.lanes[index];
        let wave = planned
            .waves
            .get(lane.wave)
            .map(|wave| wave.name.to_string())
            .unwrap_or_default();
        let subject = format!("{}/{wave}", lane.datacenter);
        match lane.stage {
            LaneStage::Rolling | LaneStage::RollingBack | LaneStage::Stopping => self.hosts(index, &subject, all),
            LaneStage::Gating => self.gates(index, &subject, all),
            LaneStage::Pending => {
                let text = coupling::waits_for(self.rollout, index);
                let text = text.unwrap_or_else(|| "opens when the hold is over".into());
                all.push(answer(subject, text, "", String::new()));
            }
            LaneStage::Ended(_) => {}
        }
    }

    fn gates(&self, index: usize, subject: &str, all: &mut Vec<Explanation>) {
        let (lane, id) = (&self.rollout.lanes[index], &self.rollout.id);
        let bake_end = gating::bake_end(self.rollout, index);
        if self.now < bake_end {
            let text = format!("bakes until {bake_end}, {} to go", bake_end.since(self.now));
            let command = format!("echelon promote {id} --dc {} --reason TEXT", lane.datacenter);
            all.push(answer(subject, text, "a deployer may cut it short", command));
        }
        if let Some(text) = coupling::waits_for(self.rollout, index) {
            all.push(answer(subject, text, "", String::new()));
        }
        let Some(wave) = lane.waves.get(lane.wave) else { return };
        for (name, known) in wave.gates.iter().filter(|(_, gate)| !gate.is_passed()) {
            let Some(gate) = self.rollout.playbook.gates.get(name) else {
                continue;
            };
            let kind = kind_name(&gate.kind);
            if known.is_bad() {
                all.push(answer(
                    subject,
                    format!("{kind} gate {name} failed: {}", known.evidence),
                    "",
                    String::new(),
                ));
                continue;
            }
            let (config, rollout) = (self.config, self.rollout);
            let question = Question {
                state: self.state,
                config,
                rollout,
                lane: index,
                wave: lane.wave,
                name,
                gate,
                known,
                bake_end,
                now: self.now,
            };
            let text = format!("{kind} gate {name}: {}", question.ask().evidence);
            let (who, command) = match gate.kind {
                GateKind::Approval { .. } if known.asked.is_some() => (
                    format!("an approver other than {}", rollout.by),
                    format!("echelon approve {id} --dc {} --reason TEXT", lane.datacenter),
                ),
                GateKind::Window(_) => (
                    "the clock, or a deployer".to_owned(),
                    format!(
                        "echelon promote {id} --dc {} --gate {name} --reason TEXT",
                        lane.datacenter
                    ),
                ),
                GateKind::Canary(_) => (
                    String::new(),
                    format!("echelon rollout explain {id} --dc {} --gate {name}", lane.datacenter),
                ),
                GateKind::Approval { .. } | GateKind::Health { .. } | GateKind::Soak { .. } => Default::default(),
            };
            all.push(answer(subject, text, &who, command));
        }
    }

    fn hosts(&self, index: usize, subject: &str, all: &mut Vec<Explanation>) {
        let planned = &self.rollout.plan.lanes[index];
        for shortage in planned.capacity.iter().filter_map(|pool| shortage(self.state, pool)) {
            all.push(answer(subject, shortage, "", String::new()));
        }
        let lane = &self.rollout.lanes[index];
        all.extend(self.stagger(index, subject));
        let groups = match lane.stage {
            LaneStage::Rolling => Groups::of(self.rollout, planned, index),
            LaneStage::Pending
            | LaneStage::Gating
            | LaneStage::Stopping
            | LaneStage::RollingBack
            | LaneStage::Ended(_) => None,
        };
        let members = planned.waves.iter().take(lane.wave + 1).flat_map(|wave| &wave.hosts);
        let mut lines: Vec<_> = members
            .filter_map(|planned| self.host(planned, groups.as_ref(), subject))
            .collect();
        let more = lines.len().saturating_sub(HOSTS_MAX);
        lines.truncate(HOSTS_MAX);
        all.append(&mut lines);
        if more > 0 {
            all.push(answer(subject, format!("and {more} hosts more"), "", String::new()));
        }
    }

    /// The next host's time, where others could begin.
    fn stagger(&self, index: usize, subject: &str) -> Option<Explanation> {
        let lane = &self.rollout.lanes[index];
        let next = lane.last_start? + self.rollout.pace(index)?.stagger;
        let yet_to_begin = |(_, run): (_, &Run)| run.wave <= lane.wave && run.settled.is_none() && !run.is_active();
        let waits = lane.stage == LaneStage::Rolling && self.rollout.hold.is_none() && next > self.now;
        let text = format!("the next host begins at {next} at the earliest: hosts are staggered");
        (waits && self.rollout.lane_runs(index).any(yet_to_begin)).then(|| answer(subject, text, "", String::new()))
    }

    fn host(&self, planned: &HostPlan, groups: Option<&Groups>, subject: &str) -> Option<Explanation> {
        let id = &planned.host;
        let run = self.rollout.runs.get(id)?;
        let known = self.state.hosts.get(id)?;
        let subject = format!("{subject}/{id}");
        let rollout = &self.rollout.id;
        let line = |text: String| Some(answer(&subject, text, "", String::new()));
        if let Some(current) = &run.current {
            return line(self.running(current, known));
        }
        match run.settled {
            Some(Settled::Failed | Settled::Debt) => {
                let command = format!("echelon retry {rollout} --host {id} --reason TEXT");
                return Some(answer(&subject, run.text.clone(), "a deployer", command));
            }
            Some(Settled::Done | Settled::Skipped | Settled::RolledBack) => return None,
            None => {}
        }
        if let Some(phase) = &run.timed_out {
            let seen = run.failure.as_ref().map(|failure| format!(" ({})", failure.message));
            let seen = seen.unwrap_or_default();
            return line(format!("{phase} did not end in time{seen}; it waits for a person"));
        }
        if !known.is_attached() {
            return Some(self.away(known, run.back.is_some(), &subject));
        }
        if let Some(at) = run.not_before.filter(|at| *at > self.now) {
            return line(match &run.held_back {
                Some(held) => format!("held back {} times: {}; asked again at {at}", held.times, held.by),
                None => format!("tries again at {at}"),
            });
        }
        if let Some(busy) = &known.busy {
            return line(format!("{} works on it", busy.rollout));
        }
        if let Some(Place::Waits(why)) = groups
            .filter(|_| !run.is_active())
            .map(|groups| groups.place(planned, run))
        {
            return line(why);
        }
        let floor = run.back.is_none() || self.rollout.playbook.rollback.keep_max_unavailable;
        let leaves = floor && known.in_service() && self.rollout.hold.is_none();
        let broken = leaves.then(|| invariant::broken(&self.muster, self.rollout, run, known));
        broken.flatten().and_then(line)
    }

    fn running(&self, current: &Current, host: &Host) -> String {
        let since = self.now.since(current.started);
        let reach = if host.is_attached() {
            ""
        } else {
            "; the host is not reachable"
        };
        let what = match current.note {
            None => "runs",
            Some(Note::PassedOver) => "passes over",
            Some(Note::CountsAsDone) => "takes down as done:",
            Some(Note::Asks) => "asks what must hold before",
        };
        format!(
            "{what} {} since {since} (attempt {}){reach}",
            current.phase, current.attempt
        )
    }

    fn away(&self, host: &Host, goes_back: bool, subject: &str) -> Explanation {
        let until = host.since + self.config.unreachable_after;
        let text = match self.rollout.playbook.hosts.unreachable {
            Unreachable::Debt | Unreachable::Fail | Unreachable::Wait if goes_back => {
                format!("not reachable since {}; becomes debt at {until}", host.since)
            }
            Unreachable::Debt => format!("not reachable since {}; becomes debt at {until}", host.since),
            Unreachable::Fail => format!("not reachable since {}; counts as failed from {until}", host.since),
            Unreachable::Wait => {
                let command = format!("echelon skip {} --host {} --reason TEXT", self.rollout.id, host.id);
                let text = format!("not reachable since {}; its wave waits for it", host.since);
                return answer(subject, text, "a deployer may leave it out", command);
            }
        };
        answer(subject, text, "", String::new())
    }
}
