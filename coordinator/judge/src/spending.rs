//! How often one may look, and what each look costs. A test at 1 % that is asked every minute for an hour cries wolf far
//! more often than in 1 % of canaries; so the error that a canary may make is a budget, divided among its metrics and
//! spent over the looks. Deliberately no statistics of the metric itself.
//!
//! The rule (Lan and DeMets 1983, the one like Pocock's): by the information fraction tau the metric has spent
//! alpha ln(1 + (e - 1) tau). A look may use what has come due since the last look and was not used. By the union bound
//! all looks together cost no more than alpha, however they depend on one another.
//!
//! A look that could not decide is not taken, and what came due is kept for the next: looks at a series that depends on its
//! own past tell nearly the same, and each would cost. Example: alpha 1 %, 12 metrics, tau = 1/3 at the first minute:
//! 0.01 / 12 x ln(1 + 1.718 / 3) = 0.00038 for this look.

use serde::{Deserialize, Serialize};

/// Gating metrics of one gate; more of them and none would find anything.
pub const METRICS_MAX: u32 = 12;
/// A look takes at least this share of the metric's alpha. Measured on the bench's gauges: at an autocorrelation of 0.5 a
/// tenth makes the median a minute later, at 0.8 three hundredths make the slowest tenth as much earlier as it costs others.
const THRIFT: f64 = 0.05;

/// What a judge may get wrong.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// At most so many harmless canaries are failed, over all metrics and looks of one canary together.
    pub alpha: f64,
    /// At most so many of those that harm by the margin pass, for each metric over its looks.
    pub beta: f64,
    /// Metrics that share alpha.
    pub metrics: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            alpha: 0.01,
            beta: 0.05,
            metrics: 1,
        }
    }
}

impl Budget {
    /// Alpha of one metric.
    #[must_use]
    pub fn alpha_of_metric(&self) -> f64 {
        self.alpha / f64::from(self.metrics.max(1))
    }
}

/// The share that is spent by an information fraction in 0..=1.
#[must_use]
pub fn spent(tau: f64) -> f64 {
    (std::f64::consts::E - 1.0).mul_add(tau.clamp(0.0, 1.0), 1.0).ln()
}

/// What has come due and was not used, as looks go by.
#[derive(Debug, Clone, Default)]
pub struct Purse {
    used: f64,
}

impl Purse {
    /// The share of alpha and beta that the look at this information fraction uses; `None`: it is kept for a later one.
    /// `least` is the smallest share that could decide anything.
    pub fn take(&mut self, tau: f64, least: f64) -> Option<f64> {
        let due = spent(tau) - self.used;
        let is_last = tau >= 1.0;
        if due <= 0.0 || due < least || (due < THRIFT && !is_last) {
            return None;
        }
        self.used += due;
        Some(due)
    }
}

/// The variance of the weighted mean of `n` points, in units of that of one point, when each depends on the one before by
/// `rho`. Of all weights the best are 1 for the first and the last point and 1 - rho between them (generalised least
/// squares, by the transformation of Prais and Winsten 1954): these two have no neighbour that says the same on one side.
#[must_use]
pub fn variance_of_mean(n: usize, rho: f64) -> f64 {
    (1.0 + rho) / (n.max(1) as f64 * (1.0 - rho) + 2.0 * rho)
}

/// Which part of all that the window will tell is told after `points` of `planned`, where a mean over `before` points is
/// subtracted that has a noise of its own. Taken from before the deploy, so it depends on nothing that is judged.
#[must_use]
pub fn information(points: usize, planned: usize, before: usize, rho: f64) -> f64 {
    if points >= planned {
        return 1.0;
    }
    let noise = variance_of_mean(before, rho);
    (variance_of_mean(planned, rho) + noise) / (variance_of_mean(points, rho) + noise)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_looks_together_spend_all_and_no_more() {
        for rho in [0.0, 0.5, 0.8] {
            let mut purse = Purse::default();
            let looks = (1..=60).filter_map(|k| purse.take(information(k, 60, 30, rho), 0.0));
            let taken: Vec<_> = looks.collect();
            assert!((taken.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{rho}: {taken:?}");
            assert!(taken.iter().rev().skip(1).all(|share| *share >= THRIFT), "{taken:?}");
        }
    }

    #[test]
    fn a_look_that_could_not_decide_is_kept_for_later() {
        let mut purse = Purse::default();
        assert_eq!(purse.take(0.3, 0.9), None);
        let all = purse.take(1.0, 0.9).unwrap();
        assert!((all - 1.0).abs() < 1e-12);
        assert_eq!(purse.take(1.0, 0.0), None, "nothing is left");
    }

    #[test]
    fn a_series_that_repeats_itself_tells_most_of_it_at_once() {
        let (calm, restless) = (information(1, 60, 30, 0.8), information(1, 60, 30, 0.0));
        assert!(calm > 0.25 && restless < 0.06, "{calm} {restless}");
        assert!((variance_of_mean(60, 0.0) - 1.0 / 60.0).abs() < 1e-15);
        // Weights 1, 1/2 and 1 of 5/2; correlations 1/2 and 1/4.
        let by_hand = (1.0 + 0.25 + 1.0 + 2.0 * (0.25 + 0.25 + 0.25)) / 6.25;
        assert!((variance_of_mean(3, 0.5) - by_hand).abs() < 1e-15);
        assert_eq!(variance_of_mean(1, 0.8), 1.0);
    }
}
