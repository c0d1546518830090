//! What the judge says of one metric, with all that it takes to see why. Deliberately no policy: what a rollout does on a
//! verdict is the gate's rule.

use serde::{Deserialize, Serialize};

/// What came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Harm beyond the margin is ruled out. In the compatible judge: no difference was shown.
    Pass,
    /// Harm beyond the tolerance is shown.
    Fail,
    /// Neither is shown yet, or the data cannot show it.
    Inconclusive,
    /// There is nothing to judge.
    NoData,
    /// The compatible judge's: higher than it may be.
    High,
    /// The compatible judge's: lower than it may be.
    Low,
}

/// Which way is harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// More is worse: errors, latency.
    Increase,
    /// Less is worse: throughput, hits.
    Decrease,
    /// Both are.
    Either,
}

/// A thing of each arm.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arms<T> {
    /// Hosts that were left alone.
    pub control: T,
    /// Hosts with the new release.
    pub canary: T,
}

/// A host that was not counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Its name.
    pub host: String,
    /// For people.
    pub why: String,
}

/// What would bring a verdict, if all goes on as it does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needed {
    /// More intervals, or more samples of each arm for a latency; `None`: no number of them within reach.
    pub samples: Option<u64>,
    /// Canary hosts in all, with as many control hosts to each as now.
    pub hosts: Option<u64>,
}

/// One metric, judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What came out.
    pub outcome: Outcome,
    /// Of the test that decided, or would have: see the README for each kind's.
    pub statistic: Option<f64>,
    /// Lower bound of the effect, in the units of `estimate`.
    pub low: Option<f64>,
    /// Upper bound of the effect.
    pub high: Option<f64>,
    /// The effect: a relative change (0.1 is a tenth more) but for latencies, where it is a distance of distributions,
    /// and for the compatible judge, where it is in the metric's own unit.
    pub estimate: Option<f64>,
    /// Canary over control, as people compare: 1.1 is a tenth more.
    pub deviation: Option<f64>,
    /// For people: what decided, or what is missing.
    pub reason: String,
    /// At which look it was decided, or how many intervals were looked at in vain.
    pub looks: u32,
    /// Values that were counted.
    pub samples: Arms<u64>,
    /// Hosts that were counted; zero where the values are of no host.
    pub hosts: Arms<u64>,
    /// Who was not.
    pub left_out: Vec<LeftOut>,
    /// For an inconclusive one.
    pub needed: Option<Needed>,
}

impl Verdict {
    /// With nothing but its reason.
    #[must_use]
    pub fn new(outcome: Outcome, reason: impl Into<String>) -> Self {
        Self {
            outcome,
            statistic: None,
            low: None,
            high: None,
            estimate: None,
            deviation: None,
            reason: reason.into(),
            looks: 0,
            samples: Arms::default(),
            hosts: Arms::default(),
            left_out: Vec::new(),
            needed: None,
        }
    }

    pub(crate) fn no_data(reason: impl Into<String>) -> Self {
        Self::new(Outcome::NoData, reason)
    }

    pub(crate) fn inconclusive(reason: impl Into<String>) -> Self {
        Self::new(Outcome::Inconclusive, reason)
    }

    /// With its figures; one that is not finite is none.
    pub(crate) fn figures(mut self, statistic: f64, low: f64, estimate: f64, high: f64) -> Self {
        self.statistic = finite(statistic);
        self.low = finite(low);
        self.high = finite(high);
        self.estimate = finite(estimate);
        self
    }

    pub(crate) fn looked(mut self, looks: usize) -> Self {
        self.looks = u32::try_from(looks).unwrap_or(u32::MAX);
        self
    }

    pub(crate) fn counted(mut self, control: usize, canary: usize) -> Self {
        self.samples = Arms {
            control: control as u64,
            canary: canary as u64,
        };
        self
    }
}

/// JSON has no infinity, and nobody can act on one.
pub(crate) fn finite(number: f64) -> Option<f64> {
    number.is_finite().then_some(number)
}
