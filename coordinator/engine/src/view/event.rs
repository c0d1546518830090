//! A journal record as people read it.

use echelon_playbooks::model::Rule;
use echelon_proto::{Datacenter, HostId, Person, PhaseName, RolloutId, Time, WaveName};

use crate::{
    gate::canary::Says,
    record::Record,
    rollout::{Direction, Note, Rollout},
    state::State,
};

/// One line of a rollout's story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventView {
    /// Of which rollout.
    pub rollout: RolloutId,
    /// When.
    pub at: Time,
    /// `wave_opened`
    pub kind: &'static str,
    /// Where, if in one lane.
    pub datacenter: Option<Datacenter>,
    /// In which wave, if in one.
    pub wave: Option<WaveName>,
    /// On which host, if on one.
    pub host: Option<HostId>,
    /// Which phase, if one.
    pub phase: Option<PhaseName>,
    /// One line.
    pub text: String,
    /// Who, when a person did it.
    pub actor: Option<Person>,
}
impl EventView {
    fn new(rollout: &RolloutId, at: Time, kind: &'static str, text: impl Into<String>) -> Self {
        Self {
            rollout: rollout.clone(),
            at,
            kind,
            datacenter: None,
            wave: None,
            host: None,
            phase: None,
            text: text.into(),
            actor: None,
        }
    }

    fn lane(mut self, datacenter: &Datacenter) -> Self {
        self.datacenter = Some(datacenter.clone());
        self
    }

    fn on(mut self, host: &HostId, rollout: Option<&Rollout>) -> Self {
        let place = rollout.and_then(|rollout| {
            let run = rollout.runs.get(host)?;
            let lane = rollout.plan.lanes.get(run.lane)?;
            Some((lane.datacenter.clone(), lane.waves.get(run.wave)?.name.clone()))
        });
        (self.datacenter, self.wave) = place.unzip();
        self.host = Some(host.clone());
        self
    }

    fn wave(mut self, rollout: Option<&Rollout>, datacenter: &Datacenter, wave: usize) -> Self {
        let planned = rollout.and_then(|rollout| {
            let lane = rollout.plan.lanes.iter().find(|lane| lane.datacenter == *datacenter)?;
            lane.waves.get(wave)
        });
        self.wave = planned.map(|wave| wave.name.clone());
        self.lane(datacenter)
    }

    fn by(mut self, actor: Option<&Person>) -> Self {
        self.actor = actor.cloned();
        self
    }
}

/// The record as people read it; `None` for one that no rollout's story has. The state is the one after the record.
#[must_use]
pub fn event(state: &State, at: Time, record: &Record) -> Option<EventView> {
    let id = record.rollout()?;
    let rollout = state.rollouts.get(id);
    host_event(rollout, id, at, record)
        .or_else(|| gate_event(rollout, id, at, record))
        .or_else(|| lane_event(rollout, id, at, record))
        .or_else(|| rollout_event(rollout, id, at, record))
}

fn rollout_event(rollout: Option<&Rollout>, id: &RolloutId, at: Time, record: &Record) -> Option<EventView> {
    let line = |kind, text: String| EventView::new(id, at, kind, text);
    Some(match record {
        Record::RolloutCreated {
            plan, at, by, reason, ..
        } => {
            let when = at.map_or_else(|| "now".to_owned(), |at| at.to_string());
            let release = rollout
                .map(|rollout| format!("{} {}", rollout.app, rollout.release))
                .unwrap_or_default();
            let reason = if reason.is_empty() {
                String::new()
            } else {
                format!(": {reason}")
            };
            line(
                "rollout_created",
                format!("{release} by plan {plan}, to start {when}{reason}"),
            )
            .by(Some(by))
        }
        Record::RolloutQueued { .. } => line("rollout_queued", "waits for its turn".into()),
        Record::RolloutStarted { plan, .. } => line("rollout_started", format!("runs by plan {plan}")),
        Record::RolloutHeld { text, by, .. } => line("rollout_held", text.clone()).by(by.as_ref()),
        Record::RolloutResumed { by, reason, .. } => line("rollout_resumed", format!("goes on: {reason}")).by(Some(by)),
        Record::AbortBegan { text, by, .. } => line("abort_began", text.clone()).by(by.as_ref()),
        Record::RollbackBegan { lanes, text, by, .. } => {
            let lanes: Vec<_> = lanes.iter().map(ToString::to_string).collect();
            line("rollback_began", format!("rolls back in {}: {text}", lanes.join(", "))).by(by.as_ref())
        }
        Record::RolloutEnded { outcome, text, .. } => {
            line("rollout_ended", format!("{}: {text}", outcome.name().replace('_', " ")))
        }
        Record::BudgetForgiven { by, .. } => {
            line("budget_forgiven", "failures so far no longer count".into()).by(Some(by))
        }
        _ => return None,
    })
}

fn lane_event(rollout: Option<&Rollout>, id: &RolloutId, at: Time, record: &Record) -> Option<EventView> {
    let line = |kind, text: &str| EventView::new(id, at, kind, text);
    Some(match record {
        Record::WaveOpened { datacenter, wave, .. } => line("wave_opened", "opened").wave(rollout, datacenter, *wave),
        Record::WaveRolled { datacenter, wave, .. } => {
            line("wave_rolled", "its hosts are through; bake and gates follow").wave(rollout, datacenter, *wave)
        }
        Record::WavePassed { datacenter, wave, .. } => line("wave_passed", "passed").wave(rollout, datacenter, *wave),
        Record::LaneStopping { datacenter, text, .. } => line("lane_stopping", text).lane(datacenter),
        Record::LaneEnded { datacenter, end, .. } => line("lane_ended", end.name()).lane(datacenter),
        _ => return None,
    })
}

fn host_event(rollout: Option<&Rollout>, id: &RolloutId, at: Time, record: &Record) -> Option<EventView> {
    let line = |kind, host: &HostId, text: String| EventView::new(id, at, kind, text).on(host, rollout);
    Some(match record {
        Record::PhaseStarted { .. } | Record::PhaseEnded { .. } => return phase_event(rollout, id, at, record),
        Record::HostSettled {
            host,
            settled,
            text,
            by,
            ..
        } => {
            let name = settled.name().replace('_', " ");
            let text = if text.is_empty() {
                name
            } else {
                format!("{name}: {text}")
            };
            line("host_settled", host, text).by(by.as_ref())
        }
        Record::HostReopened { host, by, reason, .. } => {
            line("host_reopened", host, format!("goes again: {reason}")).by(Some(by))
        }
        Record::HealthChanged {
            host, healthy, message, ..
        } => {
            let word = if *healthy {
                "holds its probe"
            } else {
                "does not hold its probe"
            };
            line("health_changed", host, format!("{word}: {message}"))
        }
        _ => return None,
    })
}

fn phase_event(rollout: Option<&Rollout>, id: &RolloutId, at: Time, record: &Record) -> Option<EventView> {
    let line = |kind, host: &HostId, phase: &PhaseName, text: String| {
        let event = EventView::new(id, at, kind, text).on(host, rollout);
        EventView {
            phase: Some(phase.clone()),
            ..event
        }
    };
    Some(match record {
        Record::PhaseStarted {
            host,
            phase,
            attempt,
            direction,
            from,
            after,
            note,
            ..
        } => {
            let back = match direction {
                Direction::Forward => "",
                Direction::Undo => ", taking back",
                Direction::Return => ", going back",
            };
            let what = match note {
                None => "begins",
                Some(Note::PassedOver) => "is passed over",
                Some(Note::CountsAsDone) => "counts as done",
                Some(Note::Asks) => "asks first what must hold",
            };
            let text = format!("{what}: {} to {} (attempt {attempt}{back})", from.state, after.state);
            line("phase_started", host, phase, text)
        }
        Record::PhaseEnded {
            host,
            phase,
            result,
            exit_code,
            message,
            leftovers,
            again,
            ..
        } => {
            let code = exit_code.map(|code| format!(", exit code {code}")).unwrap_or_default();
            let message = if message.is_empty() {
                String::new()
            } else {
                format!(": {message}")
            };
            let left = if leftovers.is_empty() {
                String::new()
            } else {
                format!("; left running: {}", leftovers.join(", "))
            };
            let again = again
                .map(|again| format!("; again at {}", again.at))
                .unwrap_or_default();
            line(
                "phase_ended",
                host,
                phase,
                format!("{}{code}{message}{left}{again}", result.name().replace('_', " ")),
            )
        }
        _ => return None,
    })
}

fn gate_event(rollout: Option<&Rollout>, id: &RolloutId, at: Time, record: &Record) -> Option<EventView> {
    let line = |kind, datacenter: &Datacenter, wave: usize, text: String| {
        EventView::new(id, at, kind, text).wave(rollout, datacenter, wave)
    };
    Some(match record {
        Record::ApprovalAsked {
            datacenter, wave, gate, ..
        } => line(
            "approval_asked",
            datacenter,
            *wave,
            format!("{gate} waits for approval"),
        ),
        Record::GateApproved {
            datacenter,
            wave,
            gate,
            by,
            reason,
            ..
        } => line("gate_approved", datacenter, *wave, format!("{gate} approved: {reason}")).by(Some(by)),
        Record::GateDecided {
            datacenter,
            wave,
            gate,
            verdict,
            rule,
            evidence,
            by,
            ..
        } => {
            let rule = rule.map(|rule| format!(" ({})", rule_name(rule))).unwrap_or_default();
            let text = format!("{gate} {}{rule}: {evidence}", verdict.name());
            line("gate_decided", datacenter, *wave, text).by(by.as_ref())
        }
        Record::CanaryLooked {
            datacenter,
            wave,
            gate,
            look,
            ..
        } => {
            match look.says {
                // It is decided at once, and that is told.
                Says::Pass | Says::Fail => return None,
                Says::Inconclusive | Says::NoData => {}
            }
            let text = format!("{gate} {} so far: {}", look.says.name(), look.evidence);
            line("canary_looked", datacenter, *wave, text)
        }
        Record::GateReopened {
            datacenter, wave, gate, ..
        } => line("gate_reopened", datacenter, *wave, format!("{gate} is looked at again")),
        Record::BakeCut {
            datacenter, wave, by, ..
        } => line("bake_cut", datacenter, *wave, "bake cut short".into()).by(Some(by)),
        _ => return None,
    })
}

/// `rollback`
#[must_use]
pub fn rule_name(rule: Rule) -> &'static str {
    match rule {
        Rule::Proceed => "proceed",
        Rule::Hold => "hold",
        Rule::Rollback => "rollback",
        Rule::Abort => "abort",
    }
}
