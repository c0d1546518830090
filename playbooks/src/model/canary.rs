//! What a canary gate compares: hosts with the new release against hosts without it, metric by metric.

use std::collections::BTreeMap;

use echelon_proto::{Label, MetricName, SourceName, Span};
use serde::{Deserialize, Serialize};

use super::{Classic, HostKey, Rule, Score};
use crate::template::Template;

/// Hosts of the wave against hosts of later waves, which the release has not reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    /// Where samples come from: a name in the coordinator's configuration.
    pub source: SourceName,
    /// The label of a series that says of which host it is.
    pub label: Label,
    /// What stands there for a host.
    pub host: Template,
    /// Between two samples, and between two looks.
    pub every: Span,
    /// The window before the deploy; zero: none.
    pub before: Span,
    /// Not looked at, from the wave's last host on.
    pub warm_up: Span,
    /// The window after it.
    pub hold_for: Span,
    /// How often the window may be prolonged by its own length.
    pub extend: u32,
    /// Control hosts, at most.
    pub control_max: u32,
    /// Beside the pool: hosts are compared only with hosts that are alike in these.
    pub alike: Vec<HostKey>,
    /// Of harmless canaries, the part that may be called harmful by its metrics together: a number in text, above 0; `None`:
    /// the judge's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha: Option<String>,
    /// How what the classic judge says of its metrics is put together.
    #[serde(default)]
    pub score: Score,
    /// At least one, at most [`Canary::METRICS_MAX`].
    pub metrics: BTreeMap<MetricName, Metric>,
    /// What follows when neither harm nor its absence was shown.
    pub on_inconclusive: Doubt,
    /// What follows when there was nothing to judge.
    pub on_no_data: Doubt,
}

/// What a verdict of doubt leads to at the end of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// The window is prolonged; when it cannot be any more, `on_expire` applies.
    Extend,
    /// As for any verdict.
    Rule(Rule),
}

/// What is measured, and how much harm is tolerated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metric {
    /// How it is judged.
    pub kind: MetricKind,
    /// One series a host, in the source's own language.
    pub query: String,
    /// Which way is harm.
    pub direction: Harm,
    /// Relative harm in percent that is tolerated.
    pub tolerance: u8,
    /// Relative harm in percent that must be ruled out for a pass; `None`: as is usual for the kind.
    pub margin: Option<u8>,
}

/// How a metric is judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricKind {
    /// Each host's level.
    Gauge,
    /// Events of each interval.
    Count,
    /// The bad among all.
    Ratio {
        /// The query for all.
        of: String,
        /// In percent: it passes too when the canary's own rate is shown to be below.
        pass_below_rate: Option<u8>,
    },
    /// Samples of one distribution.
    Latency,
    /// A bound on the canary alone, as numbers in text: a playbook holds no floating point.
    Guard {
        /// Beyond it is harm.
        above: Option<String>,
        /// Below it is harm.
        below: Option<String>,
    },
    /// What the past of the canary foretells.
    Forecast {
        /// How much of it is asked for.
        past: Span,
        /// What comes again and again; zero: nothing does.
        season: Span,
    },
    /// As the classic judge does it.
    Kayenta(Box<Classic>),
}

/// Which way is harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Harm {
    /// More is worse.
    Increase,
    /// Less is worse.
    Decrease,
    /// Both are.
    Either,
}

impl Canary {
    /// What may be falsely called harm is divided among the metrics of a wave: with more of them little would be found.
    pub const METRICS_MAX: usize = 12;

    /// The window with all that it may be prolonged by.
    #[must_use]
    pub fn longest(&self) -> Span {
        Span(self.hold_for.0.saturating_mul(u64::from(self.extend) + 1))
    }

    /// Whether any metric takes hosts to compare with.
    #[must_use]
    pub fn is_compared(&self) -> bool {
        self.metrics.values().any(|metric| metric.kind.is_compared())
    }

    /// Metrics among which what may be falsely called harm is divided.
    #[must_use]
    pub fn spending(&self) -> usize {
        self.metrics.values().filter(|metric| metric.kind.spends()).count()
    }
}

impl Harm {
    /// Each with its word.
    pub const ALL: [(&'static str, Self); 3] = [
        ("increase", Self::Increase),
        ("decrease", Self::Decrease),
        ("either", Self::Either),
    ];

    /// `increase`
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Increase => "increase",
            Self::Decrease => "decrease",
            Self::Either => "either",
        }
    }
}

impl MetricKind {
    /// `gauge`
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Count => "count",
            Self::Ratio { .. } => "ratio",
            Self::Latency => "latency",
            Self::Guard { .. } => "guard",
            Self::Forecast { .. } => "forecast",
            Self::Kayenta(_) => "kayenta",
        }
    }

    /// Whether it takes hosts to compare with. A bound and a past are the canary's own.
    #[must_use]
    pub fn is_compared(&self) -> bool {
        match self {
            Self::Gauge | Self::Count | Self::Ratio { .. } | Self::Latency | Self::Kayenta(_) => true,
            Self::Guard { .. } | Self::Forecast { .. } => false,
        }
    }

    /// Whether it has a part of what may be falsely called harm. A bound is a promise, not a test, and the classic judge
    /// keeps to no such budget.
    #[must_use]
    pub fn spends(&self) -> bool {
        match self {
            Self::Gauge | Self::Count | Self::Ratio { .. } | Self::Latency | Self::Forecast { .. } => true,
            Self::Guard { .. } | Self::Kayenta(_) => false,
        }
    }
}
