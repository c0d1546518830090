//! The classic judge of Kayenta (NetflixACAJudge), for those who move over: the same verdicts from the same numbers, each
//! arm one series. Outside of this room nothing is judged so: points that depend on one another are counted as witnesses,
//! and the README has what that costs.
//!
//! x are the m canary values, y the n control values, ranks averaged over ties. For a shift mu:
//! dz = R(x - mu) - m (m + 1) / 2 - m n / 2, sigma^2 = m n / 12 ((m + n + 1) - sum (t^3 - t) / ((m + n)(m + n - 1))),
//! f(mu, z) = (dz - sign(dz) / 2) / sigma - z. The interval is the roots at z = +/- 2.326 (98 %) within
//! [min x - max y, max x - min y], the estimate the root at 0. High: low > tolerance |estimate|, and the effect is at least
//! what is allowed; Low mirrors it. Effect: the ratio of means, or CLES, the part of pairs in which the canary is higher.
//!
//! Kept with their faults, since they make verdicts: the roots are found to 1e-4 of whatever the unit is; one point against
//! one point is an error that is not counted; with `replace` an empty arm passes. Not kept: arms that are constant each for
//! itself get noise of chance there, and the same small spread here always.

mod location;
mod root;

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF as _, Normal};

use crate::{
    moments, quantile,
    rank::{MannWhitney, Ranked},
    verdict::{Direction, Outcome, Verdict, finite},
};
use location::Location;

/// What becomes of a value that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nan {
    /// It is left out.
    Remove,
    /// It counts as 0.
    Replace,
}

/// What becomes of outliers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outliers {
    /// They stay.
    Keep,
    /// Those beyond the quartiles by `outlier_factor` times the distance of these, and beyond the percentiles 1 and 99,
    /// are left out.
    Remove,
}

/// How large a difference is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// Mean of the canary over mean of the control; none where one is 0.
    #[serde(rename = "meanRatio")]
    MeanRatio,
    /// Part of the pairs in which the canary is higher, ties as half.
    #[serde(rename = "cles")]
    Cles,
}

/// A metric's configuration there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Which way counts.
    pub direction: Direction,
    /// Part of the estimate that the interval must be beyond.
    pub tolerance: f64,
    /// Of the interval.
    pub confidence: f64,
    /// Values that are none.
    pub nan: Nan,
    /// Outliers.
    pub outliers: Outliers,
    /// For these.
    pub outlier_factor: f64,
    /// How large a difference is.
    pub effect: Effect,
    /// High only from this effect on; `None`: that of no difference.
    pub allowed_increase: Option<f64>,
    /// Low only up to this effect.
    pub allowed_decrease: Option<f64>,
    /// A critical metric that is high fails all only from this effect on.
    pub critical_increase: Option<f64>,
    /// One that is low only up to this.
    pub critical_decrease: Option<f64>,
    /// A failure of it is a failure of all.
    pub critical: bool,
    /// No data is a failure of the metric.
    pub data_required: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            direction: Direction::Either,
            tolerance: 0.25,
            confidence: 0.98,
            nan: Nan::Remove,
            outliers: Outliers::Keep,
            outlier_factor: 3.0,
            effect: Effect::MeanRatio,
            allowed_increase: None,
            allowed_decrease: None,
            critical_increase: None,
            critical_decrease: None,
            critical: false,
            data_required: false,
        }
    }
}

/// What a metric is for the score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// It passed.
    Pass,
    /// Higher than it may be.
    High,
    /// Lower than it may be.
    Low,
    /// Nothing was told, and nothing had to be.
    NoData,
    /// Nothing was told, and it had to be.
    NoDataFail,
    /// It could not be computed, and is not counted.
    Error,
}

/// A metric judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// For people.
    pub verdict: Verdict,
    /// For the score.
    pub label: Label,
    /// Whether it fails all.
    pub critical: bool,
}

/// Judges one metric.
#[must_use]
pub fn judge(control: &[Option<f64>], canary: &[Option<f64>], settings: &Settings) -> Judged {
    let [control, canary] = [control, canary].map(|arm| settings.prepare(arm));
    let mut judged = if control.is_empty() || canary.is_empty() {
        settings.without_data()
    } else if sorted(&control) == sorted(&canary) {
        passed("the arms are identical")
    } else {
        settings.compare(&control, &canary)
    };
    judged.verdict = judged.verdict.counted(control.len(), canary.len()).looked(1);
    judged
}

fn passed(reason: &str) -> Judged {
    let mut verdict = Verdict::new(Outcome::Pass, reason);
    verdict.deviation = Some(1.0);
    Judged {
        verdict,
        label: Label::Pass,
        critical: false,
    }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

impl Settings {
    fn prepare(&self, arm: &[Option<f64>]) -> Vec<f64> {
        let known = arm
            .iter()
            .filter_map(|value| match (value.filter(|value| value.is_finite()), self.nan) {
                (Some(value), _) => Some(value),
                (None, Nan::Replace) => Some(0.0),
                (None, Nan::Remove) => None,
            });
        let known: Vec<f64> = known.collect();
        if self.outliers == Outliers::Keep || known.is_empty() {
            return known;
        }
        let sorted = sorted(&known);
        let [p01, p25, p75, p99] = [0.01, 0.25, 0.75, 0.99].map(|p| quantile::of_sorted(&sorted, p));
        let reach = self.outlier_factor * (p75 - p25);
        let fence = p01.min(p25 - reach)..=p99.max(p75 + reach);
        known.into_iter().filter(|value| fence.contains(value)).collect()
    }

    fn without_data(&self) -> Judged {
        if self.nan == Nan::Replace {
            return passed("an arm has no value, which passes where missing ones are replaced");
        }
        let (label, reason) = if self.data_required && !self.critical {
            (Label::NoDataFail, "an arm has no value, and data is required")
        } else {
            (Label::NoData, "an arm has no value")
        };
        let mut verdict = Verdict::no_data(reason);
        verdict.deviation = Some(1.0);
        Judged {
            verdict,
            label,
            critical: self.critical,
        }
    }

    fn compare(&self, control: &[f64], canary: &[f64]) -> Judged {
        let is_flat = moments::is_constant(control) && moments::is_constant(canary);
        let [control, canary] = [control, canary].map(|arm| if is_flat { spread(arm) } else { arm.to_vec() });
        let Some(found) = Location::of(&canary, &control, self.confidence) else {
            let reason = "one value against one: an error there, which is not counted";
            return Judged {
                verdict: Verdict::inconclusive(reason),
                label: Label::Error,
                critical: false,
            };
        };
        let effect = self.size(&control, &canary);
        let reach = self.tolerance * found.estimate.abs();
        let is_high =
            self.direction != Direction::Decrease && found.low > reach && self.is_more(effect, self.allowed_increase);
        let is_low =
            self.direction != Direction::Increase && found.high < -reach && self.is_less(effect, self.allowed_decrease);
        let (outcome, label, critical, reason) = if is_high {
            let critical = self.critical && self.is_more(effect, self.critical_increase);
            (Outcome::High, Label::High, critical, "the canary is higher")
        } else if is_low {
            let critical = self.critical && self.is_less(effect, self.critical_decrease);
            (Outcome::Low, Label::Low, critical, "the canary is lower")
        } else {
            (
                Outcome::Pass,
                Label::Pass,
                false,
                "no difference beyond the tolerance is shown",
            )
        };
        let reason = if critical {
            format!("{reason}, and the metric is critical")
        } else {
            reason.to_owned()
        };
        let u = MannWhitney::new(&canary, &control).map_or(f64::NAN, |test| test.u);
        let mut verdict = Verdict::new(outcome, reason).figures(u, found.low, found.estimate, found.high);
        verdict.deviation = finite(ratio_of_means(&control, &canary));
        Judged {
            verdict,
            label,
            critical,
        }
    }

    fn size(&self, control: &[f64], canary: &[f64]) -> f64 {
        match self.effect {
            Effect::MeanRatio => ratio_of_means(control, canary),
            Effect::Cles => cles(control, canary),
        }
    }

    /// The effect of no difference, which is what is allowed when nothing is said.
    const fn neutral(&self) -> f64 {
        match self.effect {
            Effect::MeanRatio => 1.0,
            Effect::Cles => 0.5,
        }
    }

    /// An effect that cannot be told is not asked for.
    fn is_more(&self, effect: f64, allowed: Option<f64>) -> bool {
        effect.is_nan() || effect >= allowed.unwrap_or_else(|| self.neutral())
    }

    fn is_less(&self, effect: f64, allowed: Option<f64>) -> bool {
        effect.is_nan() || effect <= allowed.unwrap_or_else(|| self.neutral())
    }
}

/// Where there is noise of chance, of a hundred-thousandth of the value: evenly by its quantiles.
fn spread(values: &[f64]) -> Vec<f64> {
    let count = values.len() as f64;
    let place = |at: usize| Normal::standard().inverse_cdf((at as f64 + 0.5) / count);
    let spread = values
        .iter()
        .enumerate()
        .map(|(at, value)| (value * 1e-5).mul_add(place(at), *value));
    spread.collect()
}

fn ratio_of_means(control: &[f64], canary: &[f64]) -> f64 {
    let (control, canary) = (moments::mean(control), moments::mean(canary));
    if control == 0.0 || canary == 0.0 {
        f64::NAN
    } else {
        canary / control
    }
}

/// By the ranks, as Vargha and Delaney (2000).
fn cles(control: &[f64], canary: &[f64]) -> f64 {
    let (m, n) = (canary.len() as f64, control.len() as f64);
    let all: Vec<f64> = canary.iter().chain(control).copied().collect();
    (2.0 * Ranked::new(&all).sum_of_first(canary.len()) - m * (m + 1.0)) / (2.0 * n * m)
}

#[cfg(test)]
mod tests;
