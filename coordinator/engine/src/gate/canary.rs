//! The question: do the wave's hosts do worse than hosts that the release has not reached?
//!
//! The judge answers it, outside: it counts in floating point and asks the world. What it said at its newest look is known
//! here, and this file only says when a look is the last word. Harm that is shown fails, and harm that is ruled out passes,
//! at any look. Doubt (neither is shown, or there was no data) is told when a look has come to the end of the window; where its
//! rule is to extend, at the end of all that the window may be prolonged by.
//!
//! Worked example: `for: 30m, extend: 1, on_inconclusive: extend, on_no_data: rollback`. Inconclusive after 30 minutes: it goes
//! on. No data at the look after that: the window of `for` is over and the rule for no data is not to extend, so it is told.
//!
//! Edge cases: a wave with nobody to compare with has no data, at once. A judge that says nothing at all until well after the
//! end leaves the gate expired. A look that was made for another window (the gate was opened again) is never known here.

use echelon_playbooks::model::{Canary, Doubt, Gate, Rule};
use echelon_proto::{
    Span, Time,
    planted::{self, Plant},
};
use serde::{Deserialize, Serialize};

use super::{Answer, Question};
use crate::record::Verdict;

/// Beyond the end of the longest window: the last look asks a source, which may have to be asked again and again.
const LATE: Span = Span::secs(5 * 60);

/// What the judge said at one look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// The time of the last samples that were asked for.
    pub upto: Time,
    /// Of all metrics together.
    pub says: Says,
    /// Of each, with its figures.
    pub evidence: String,
}

/// What a look came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// Harm beyond the margin is ruled out, for every metric.
    Pass,
    /// Harm beyond the tolerance is shown.
    Fail,
    /// Neither.
    Inconclusive,
    /// Of a metric there was nothing to judge.
    NoData,
}

impl Says {
    /// `no data`
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Inconclusive => "inconclusive",
            Self::NoData => "no data",
        }
    }
}

pub(super) fn ask(question: &Question<'_>, canary: &Canary) -> Answer {
    let lane = question.rollout.plan.lanes.get(question.lane);
    let arms = lane.and_then(|lane| lane.waves.get(question.wave)?.arms.get(question.name));
    if arms.is_none_or(|arms| !arms.suffice(canary)) {
        let evidence = "no host is left that the canary can be compared with";
        return Answer::new(Some(Verdict::NoData), evidence, None);
    }
    let since = question.rolled() + canary.warm_up;
    let (end, last) = (since + canary.hold_for, since + canary.longest());
    let late = last + canary.every + LATE;
    let expired = (question.now >= late).then_some(Verdict::Expired);
    let Some(look) = &question.known.look else {
        let evidence = format!("not looked yet; it looks from {since} to {end}");
        return Answer::new(expired, evidence, Some(late));
    };
    let (verdict, doubt) = match look.says {
        _ if planted::is(Plant::CanaryAlwaysPasses) => return Answer::new(Some(Verdict::Pass), &*look.evidence, None),
        Says::Pass => return Answer::new(Some(Verdict::Pass), &*look.evidence, None),
        Says::Fail => return Answer::new(Some(Verdict::Fail), &*look.evidence, None),
        Says::Inconclusive => (Verdict::Inconclusive, canary.on_inconclusive),
        Says::NoData => (Verdict::NoData, canary.on_no_data),
    };
    let until = match doubt {
        Doubt::Extend => last,
        Doubt::Rule(_) => end,
    };
    if look.upto >= until {
        return Answer::new(Some(verdict), &*look.evidence, None);
    }
    let evidence = format!("{} so far, it looks until {until}: {}", look.says.name(), look.evidence);
    Answer::new(expired, evidence, Some(late))
}

/// What a verdict of doubt leads to.
pub(crate) fn doubt(gate: &Gate, doubt: Doubt) -> Rule {
    match doubt {
        Doubt::Extend => gate.on_expire,
        Doubt::Rule(rule) => rule,
    }
}
