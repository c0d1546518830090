//! A metric with its values as text: one object of JSON, in which anybody can hand the judge data of their own, and in
//! which the samples of a decision are kept so that it can be judged again. Deliberately strict: a word that is not known is
//! a fault, not a default.

mod fields;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Budget, Direction, METRICS_MAX, Outcome, Verdict, count, forecast, gauge, guard,
    kayenta::{self, Judged},
    latency, ratio, score,
};
use fields::Fields;

/// What is wrong with a case.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No JSON, or no object.
    #[error("this is no object of JSON: {0}")]
    Json(String),
    /// Something that it must have.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A value that cannot be.
    #[error("`{field}`: {why}")]
    Value {
        /// Which.
        field: &'static str,
        /// Why.
        why: String,
    },
    /// A word that the kind does not know.
    #[error("`{field}` is no field of a {kind}; there are {known}")]
    Unknown {
        /// Which.
        field: String,
        /// Of what.
        kind: &'static str,
        /// All that there are.
        known: String,
    },
}

/// What is measured, which says how it is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Each host's level.
    Gauge,
    /// Events.
    Count,
    /// The bad among all.
    Ratio,
    /// Samples of a distribution.
    Latency,
    /// A bound on the canary alone.
    Guard,
    /// What the past foretells.
    Forecast,
    /// The compatible judge.
    Kayenta,
}

impl Kind {
    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Count => "count",
            Self::Ratio => "ratio",
            Self::Latency => "latency",
            Self::Guard => "guard",
            Self::Forecast => "forecast",
            Self::Kayenta => "kayenta",
        }
    }
}

/// Points of one thing; `None` is a value that is not known.
pub type Points = Vec<Option<f64>>;
/// Tallies of one thing.
pub type Tallies = Vec<Option<ratio::Tally>>;

/// Values with how they are judged.
#[derive(Debug, Clone, PartialEq)]
pub enum Metric {
    /// Since, and before.
    Gauge {
        /// Each host's points.
        control: gauge::Series,
        /// Each host's points.
        canary: gauge::Series,
        /// Before the deploy, of control and canary.
        before: Option<(gauge::Series, gauge::Series)>,
        /// How.
        settings: gauge::Settings,
    },
    /// Events of each interval.
    Count {
        /// Of the whole arm.
        control: Points,
        /// Of the whole arm.
        canary: Points,
        /// How.
        settings: count::Settings,
    },
    /// Tallies of each interval.
    Ratio {
        /// Of the whole arm.
        control: Tallies,
        /// Of the whole arm.
        canary: Tallies,
        /// How.
        settings: ratio::Settings,
    },
    /// Samples, or counts by bucket.
    Latency {
        /// Of the whole arm.
        control: Points,
        /// Of the whole arm.
        canary: Points,
        /// Whether they are counts by bucket.
        buckets: bool,
        /// How.
        settings: latency::Settings,
    },
    /// Samples of each host.
    LatencyOfHosts {
        /// Of each host.
        control: gauge::Series,
        /// Of each host.
        canary: gauge::Series,
        /// Before the deploy, of control and canary.
        before: Option<(gauge::Series, gauge::Series)>,
        /// In the whole window, where they are told at intervals.
        intervals: Option<usize>,
        /// How.
        settings: latency::Settings,
    },
    /// Values of each interval.
    Guard {
        /// Of the canary.
        canary: Points,
        /// How.
        settings: guard::Settings,
    },
    /// Tallies of each interval.
    GuardRatio {
        /// Of the canary.
        canary: Tallies,
        /// How.
        settings: guard::Settings,
    },
    /// Values of each interval.
    Forecast {
        /// Up to the deploy.
        history: Points,
        /// Right after it.
        canary: Points,
        /// How.
        settings: forecast::Settings,
    },
    /// One series an arm.
    Kayenta {
        /// Of the whole arm.
        control: Points,
        /// Of the whole arm.
        canary: Points,
        /// How.
        settings: kayenta::Settings,
    },
}

/// One metric to judge.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// For whoever reads the verdict.
    pub name: String,
    /// For the score.
    pub groups: Vec<String>,
    /// Judged, and left out of the score.
    pub muted: bool,
    /// A failure of it is a failure of all.
    pub critical: bool,
    /// What.
    pub metric: Metric,
}

impl Case {
    /// From one object of JSON.
    ///
    /// # Errors
    /// It is none, or something in it is missing, not known or impossible.
    pub fn read(text: &str) -> Result<Self, Error> {
        let mut fields = Fields::read(text)?;
        let kind: Kind = fields.must("kind")?;
        let name = fields.take("name")?.unwrap_or_default();
        let mut groups: Vec<String> = fields.take("groups")?.unwrap_or_default();
        groups.extend(fields.take::<String>("group")?);
        let case = Self {
            name,
            groups,
            muted: fields.take("muted")?.unwrap_or(false),
            critical: fields.take("critical")?.unwrap_or(false),
            metric: metric(kind, &mut fields)?,
        };
        fields.end(kind)?;
        Ok(case)
    }

    /// What the judge says.
    #[must_use]
    pub fn judge(&self) -> Judged {
        let verdict = match &self.metric {
            Metric::Kayenta {
                control,
                canary,
                settings,
            } => {
                let settings = kayenta::Settings {
                    critical: self.critical,
                    ..*settings
                };
                return kayenta::judge(control, canary, &settings);
            }
            other => other.judge(),
        };
        Judged {
            label: score::label(verdict.outcome),
            // Not shown to harm, but not shown to be well either: as a critical metric without data.
            critical: self.critical && verdict.outcome != Outcome::Pass,
            verdict,
        }
    }

    /// For the score.
    #[must_use]
    pub fn scored(&self, judged: &Judged) -> score::Metric {
        score::Metric {
            name: self.name.clone(),
            groups: self.groups.clone(),
            label: judged.label,
            critical: judged.critical,
        }
    }
}

impl Metric {
    fn judge(&self) -> Verdict {
        match self {
            Self::Gauge {
                control,
                canary,
                before,
                settings,
            } => gauge::judge(&arms(control, canary, before.as_ref()), settings),
            Self::Count {
                control,
                canary,
                settings,
            } => count::judge(&count::Counts { control, canary }, settings),
            Self::Ratio {
                control,
                canary,
                settings,
            } => ratio::judge(&ratio::Ratios { control, canary }, settings),
            Self::Latency {
                control,
                canary,
                buckets: false,
                settings,
            } => latency::judge(control, canary, settings),
            Self::Latency {
                control,
                canary,
                buckets: true,
                settings,
            } => {
                let counts = |arm: &Points| -> Vec<f64> { arm.iter().map(|count| count.unwrap_or(f64::NAN)).collect() };
                latency::judge_buckets(&counts(control), &counts(canary), settings)
            }
            Self::LatencyOfHosts {
                control,
                canary,
                before,
                intervals,
                settings,
            } => {
                let hosts = latency::Hosts {
                    samples: arms(control, canary, before.as_ref()),
                    intervals: *intervals,
                };
                latency::judge_hosts(&hosts, settings)
            }
            Self::Guard { canary, settings } => guard::judge(canary, settings),
            Self::GuardRatio { canary, settings } => guard::judge_ratio(canary, settings),
            Self::Forecast {
                history,
                canary,
                settings,
            } => forecast::judge(history, canary, settings),
            Self::Kayenta {
                control,
                canary,
                settings,
            } => kayenta::judge(control, canary, settings).verdict,
        }
    }
}

fn arms<'a>(
    control: &'a gauge::Series,
    canary: &'a gauge::Series,
    before: Option<&'a (gauge::Series, gauge::Series)>,
) -> gauge::Gauge<'a> {
    gauge::Gauge {
        control,
        canary,
        control_before: before.map(|(control, _)| control),
        canary_before: before.map(|(_, canary)| canary),
    }
}

/// What all kinds of our own share.
struct Terms {
    direction: Direction,
    tolerance: f64,
    margin: f64,
    intervals: Option<usize>,
    budget: Budget,
}

impl Terms {
    fn read(fields: &mut Fields, margin: f64) -> Result<Self, Error> {
        let standard = Budget::default();
        Ok(Self {
            direction: fields.take("direction")?.unwrap_or(Direction::Increase),
            tolerance: fields.within("tolerance", 0.0, 0.0..=1e6)?,
            margin: fields.within("margin", margin, 0.0..=1e6)?,
            intervals: fields.take("intervals")?,
            budget: Budget {
                alpha: fields.within("alpha", standard.alpha, 1e-12..=0.5)?,
                beta: fields.within("beta", standard.beta, 1e-12..=0.5)?,
                metrics: fields.within("metrics", 1.0, 1.0..=f64::from(METRICS_MAX))? as u32,
            },
        })
    }
}

fn metric(kind: Kind, fields: &mut Fields) -> Result<Metric, Error> {
    match kind {
        Kind::Gauge => gauge(fields),
        Kind::Count => count(fields),
        Kind::Ratio => ratio(fields),
        Kind::Latency => latency(fields),
        Kind::Guard => guard(fields),
        Kind::Forecast => forecast(fields),
        Kind::Kayenta => kayenta(fields),
    }
}

/// A tenth more is what people notice.
const GAUGE_MARGIN: f64 = 0.1;
/// Twice as many: less is not ruled out by what few events there are.
const COUNT_MARGIN: f64 = 1.0;
/// One request in ten.
const LATENCY_MARGIN: f64 = 0.1;
/// A band is wider than two arms are apart.
const FORECAST_MARGIN: f64 = 0.25;
/// Points beyond a guard's bound: one may be a fault of the measurement.
const IN_A_ROW: usize = 3;

fn gauge(fields: &mut Fields) -> Result<Metric, Error> {
    let terms = Terms::read(fields, GAUGE_MARGIN)?;
    let before = (fields.take("control_before")?, fields.take("canary_before")?);
    Ok(Metric::Gauge {
        control: fields.arm("control")?,
        canary: fields.arm("canary")?,
        before: before.0.zip(before.1),
        settings: gauge::Settings {
            direction: terms.direction,
            tolerance: terms.tolerance,
            margin: terms.margin,
            intervals: terms.intervals,
            is_matched: fields.take("matched")?.unwrap_or(true),
            budget: terms.budget,
        },
    })
}

fn count(fields: &mut Fields) -> Result<Metric, Error> {
    let terms = Terms::read(fields, COUNT_MARGIN)?;
    let least: Option<f64> = fields.take("at_least")?;
    let (control, canary): (Points, Points) = match least {
        None => (fields.arm("control")?, fields.arm("canary")?),
        Some(least) => {
            let arms: (BTreeMap<String, Points>, BTreeMap<String, Points>) =
                (fields.arm("control")?, fields.arm("canary")?);
            let intervals = arms.0.values().chain(arms.1.values()).map(Vec::len).max().unwrap_or(0);
            let counted = |arm: &BTreeMap<String, Points>| {
                count::host_intervals(arm.values().map(Vec::as_slice), intervals, least)
            };
            (counted(&arms.0), counted(&arms.1))
        }
    };
    Ok(Metric::Count {
        control,
        canary,
        settings: count::Settings {
            direction: terms.direction,
            share: fields.within("share", 0.5, 1e-9..=1.0 - 1e-9)?,
            tolerance: terms.tolerance,
            margin: terms.margin,
            budget: terms.budget,
        },
    })
}

fn ratio(fields: &mut Fields) -> Result<Metric, Error> {
    let terms = Terms::read(fields, COUNT_MARGIN)?;
    Ok(Metric::Ratio {
        control: fields.tallies("control")?,
        canary: fields.tallies("canary")?,
        settings: ratio_settings(&terms, fields.take("pass_below_rate")?),
    })
}

fn ratio_settings(terms: &Terms, pass_below_rate: Option<f64>) -> ratio::Settings {
    ratio::Settings {
        direction: terms.direction,
        tolerance: terms.tolerance,
        margin: terms.margin,
        pass_below_rate,
        budget: terms.budget,
    }
}

fn latency(fields: &mut Fields) -> Result<Metric, Error> {
    let above: Option<f64> = fields.take("above")?;
    let terms = Terms::read(fields, if above.is_some() { COUNT_MARGIN } else { LATENCY_MARGIN })?;
    let settings = latency::Settings {
        direction: terms.direction,
        tolerance: terms.tolerance,
        margin: terms.margin,
        budget: terms.budget,
    };
    if above.is_none() && (fields.holds_map("control") || fields.holds_map("canary")) {
        let before = (fields.take("control_before")?, fields.take("canary_before")?);
        return Ok(Metric::LatencyOfHosts {
            control: fields.arm("control")?,
            canary: fields.arm("canary")?,
            before: before.0.zip(before.1),
            intervals: terms.intervals,
            settings,
        });
    }
    let (control, canary): (Points, Points) = (fields.arm("control")?, fields.arm("canary")?);
    if let Some(bound) = above {
        let parts = latency::parts(control.len(), canary.len());
        return Ok(Metric::Ratio {
            control: latency::above(&control, bound, parts),
            canary: latency::above(&canary, bound, parts),
            settings: ratio_settings(&terms, fields.take("pass_below_rate")?),
        });
    }
    Ok(Metric::Latency {
        control,
        canary,
        buckets: fields.take("buckets")?.unwrap_or(false),
        settings,
    })
}

fn guard(fields: &mut Fields) -> Result<Metric, Error> {
    let (above, below): (Option<f64>, Option<f64>) = (fields.take("above")?, fields.take("below")?);
    if above.is_none() && below.is_none() {
        return Err(Error::Missing("above"));
    }
    let standard = Budget::default();
    let settings = guard::Settings {
        above,
        below,
        in_a_row: fields.take("in_a_row")?.unwrap_or(IN_A_ROW),
        intervals: fields.take("intervals")?,
        budget: Budget {
            alpha: fields.within("alpha", standard.alpha, 1e-12..=0.5)?,
            metrics: fields.within("metrics", 1.0, 1.0..=f64::from(METRICS_MAX))? as u32,
            ..standard
        },
    };
    // The control has no part in it, but whoever keeps both arms may leave it there.
    fields.ignore("control");
    if !fields.holds_pairs("canary") {
        return Ok(Metric::Guard {
            canary: fields.arm("canary")?,
            settings,
        });
    }
    if above.is_none() || below.is_some() {
        let why = "a rate is guarded from above only".to_owned();
        return Err(Error::Value { field: "below", why });
    }
    Ok(Metric::GuardRatio {
        canary: fields.tallies("canary")?,
        settings,
    })
}

fn forecast(fields: &mut Fields) -> Result<Metric, Error> {
    let terms = Terms::read(fields, FORECAST_MARGIN)?;
    Ok(Metric::Forecast {
        history: fields.arm("history")?,
        canary: fields.arm("canary")?,
        settings: forecast::Settings {
            direction: terms.direction,
            tolerance: terms.tolerance,
            margin: terms.margin,
            season: fields.take("season")?.unwrap_or(0),
            intervals: terms.intervals,
            budget: terms.budget,
        },
    })
}

fn kayenta(fields: &mut Fields) -> Result<Metric, Error> {
    let standard = kayenta::Settings::default();
    Ok(Metric::Kayenta {
        control: fields.arm("control")?,
        canary: fields.arm("canary")?,
        settings: kayenta::Settings {
            direction: fields.take("direction")?.unwrap_or(standard.direction),
            tolerance: fields.within("tolerance", standard.tolerance, 0.0..=1e6)?,
            confidence: fields.within("confidence", standard.confidence, 0.01..=1.0 - 1e-12)?,
            nan: fields.take("nan")?.unwrap_or(standard.nan),
            outliers: fields.take("outliers")?.unwrap_or(standard.outliers),
            outlier_factor: fields.within("outlier_factor", standard.outlier_factor, 1e-9..=1e9)?,
            effect: fields.take("effect")?.unwrap_or(standard.effect),
            allowed_increase: fields.take("allowed_increase")?,
            allowed_decrease: fields.take("allowed_decrease")?,
            critical_increase: fields.take("critical_increase")?,
            critical_decrease: fields.take("critical_decrease")?,
            critical: false,
            data_required: fields.take("data_required")?.unwrap_or(false),
        },
    })
}

#[cfg(test)]
mod tests;
