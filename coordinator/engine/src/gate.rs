//! The question: may the lane go on from this wave to the next?
//!
//! The rule: every gate of the wave must say pass. A gate that has not been able to see what it needs says nothing; when
//! its deadline passes, its `on_expire` applies. Missing data is never a pass.
//!
//! Gates of a wave are asked in rounds: first those that look (health, canary, soak); when they have passed and the bake is over,
//! those that ask people, so that people decide on what was seen; at last those that ask the clock (window), so that the
//! next wave opens at the time that was asked for.

pub mod canary;
pub mod health;
pub mod soak;
pub mod window;

use echelon_playbooks::model::{Doubt, Gate, GateKind, Rule};
use echelon_proto::{GateName, Time};

use crate::{
    engine::Config,
    record::Verdict,
    rollout::{GateState, Rollout},
    state::State,
};

/// A wave's gate and all that bears on it.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// All that is known.
    pub state: &'a State,
    /// What the operator has set.
    pub config: &'a Config,
    /// Of which rollout.
    pub rollout: &'a Rollout,
    /// Index of the lane.
    pub lane: usize,
    /// Index of the wave.
    pub wave: usize,
    /// Its name.
    pub name: &'a GateName,
    /// What the playbook says of it.
    pub gate: &'a Gate,
    /// What is known of it.
    pub known: &'a GateState,
    /// End of the wave's bake.
    pub bake_end: Time,
    /// Now.
    pub now: Time,
}

/// What a gate answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// `None`: it cannot tell yet.
    pub verdict: Option<Verdict>,
    /// What it saw, with values.
    pub evidence: String,
    /// When it may be able to tell though nothing happens.
    pub again: Option<Time>,
}

impl Answer {
    fn new(verdict: Option<Verdict>, evidence: impl Into<String>, again: Option<Time>) -> Self {
        Self {
            verdict,
            evidence: evidence.into(),
            again,
        }
    }
}

impl Question<'_> {
    /// Asks the gate, its deadline included.
    #[must_use]
    pub fn ask(&self) -> Answer {
        let mut answer = match &self.gate.kind {
            GateKind::Health { share, hold_for, .. } => health::ask(self, *share, *hold_for),
            GateKind::Soak { hold_for } => soak::ask(self, *hold_for),
            GateKind::Approval { count } => approval(self, *count),
            GateKind::Canary(canary) => canary::ask(self, canary),
            GateKind::Window(window) => window::ask(self, window),
        };
        let Some(expiry) = self.expiry() else { return answer };
        if answer.verdict.is_none() && self.now >= expiry {
            answer.verdict = Some(Verdict::Expired);
            answer.evidence = format!("no verdict by the deadline; {}", answer.evidence);
        } else if answer.verdict.is_none() {
            answer.again = Some(answer.again.map_or(expiry, |again| again.min(expiry)));
        }
        answer
    }

    /// When its deadline passes. People's time counts from when they were asked.
    fn expiry(&self) -> Option<Time> {
        let from = match self.gate.kind {
            GateKind::Approval { .. } => self.known.asked?,
            GateKind::Health { .. } | GateKind::Soak { .. } | GateKind::Canary(_) | GateKind::Window(_) => {
                self.bake_end
            }
        };
        Some(from + self.gate.deadline?)
    }

    /// When the wave's last host had settled.
    fn rolled(&self) -> Time {
        let wave = self
            .rollout
            .lanes
            .get(self.lane)
            .and_then(|lane| lane.waves.get(self.wave));
        wave.and_then(|wave| wave.rolled).unwrap_or_default()
    }

    /// What a verdict leads to.
    pub(crate) fn rule(&self, verdict: Verdict) -> Option<Rule> {
        let (inconclusive, no_data) = match &self.gate.kind {
            GateKind::Canary(canary) => (canary.on_inconclusive, canary.on_no_data),
            GateKind::Health { .. } | GateKind::Soak { .. } | GateKind::Approval { .. } | GateKind::Window(_) => {
                (Doubt::Extend, Doubt::Extend)
            }
        };
        match verdict {
            Verdict::Pass => None,
            Verdict::Fail => Some(self.gate.on_fail),
            Verdict::Expired => Some(self.gate.on_expire),
            Verdict::Inconclusive => Some(canary::doubt(self.gate, inconclusive)),
            Verdict::NoData => Some(canary::doubt(self.gate, no_data)),
        }
    }
}

fn approval(question: &Question<'_>, count: u32) -> Answer {
    let given = &question.known.approvals;
    let names: Vec<_> = given.iter().map(ToString::to_string).collect();
    let evidence = match names.len() {
        0 => format!("0 of {count} approvals"),
        n => format!("{n} of {count} approvals: {}", names.join(", ")),
    };
    let enough = given.len() >= count as usize;
    Answer::new(enough.then_some(Verdict::Pass), evidence, None)
}

/// `health`
#[must_use]
pub fn kind_name(kind: &GateKind) -> &'static str {
    match kind {
        GateKind::Health { .. } => "health",
        GateKind::Approval { .. } => "approval",
        GateKind::Soak { .. } => "soak",
        GateKind::Canary(_) => "canary",
        GateKind::Window(_) => "window",
    }
}

/// When a gate of a wave is asked: each round once all of the one before have passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Round {
    /// From the wave's last host on.
    Look,
    /// After the bake.
    People,
    /// When all else has passed.
    Clock,
}

impl Round {
    pub(crate) const ALL: [Self; 3] = [Self::Look, Self::People, Self::Clock];

    pub(crate) const fn of(kind: &GateKind) -> Self {
        match kind {
            GateKind::Health { .. } | GateKind::Soak { .. } | GateKind::Canary(_) => Self::Look,
            GateKind::Approval { .. } => Self::People,
            GateKind::Window(_) => Self::Clock,
        }
    }
}
