//! By how much the canary's values are shifted against the control's, with an interval: the shifts that the test of Mann
//! and Whitney would not refute. Deliberately as there, faults included; see the room's own words.

use statrs::distribution::{ContinuousCDF as _, Normal};

use super::root::root;
use crate::rank::{Ranked, sign, spread};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Location {
    pub(super) low: f64,
    pub(super) estimate: f64,
    pub(super) high: f64,
}

impl Location {
    /// `None`: at an end of the range all values are tied.
    pub(super) fn of(canary: &[f64], control: &[f64], confidence: f64) -> Option<Self> {
        let (least, most) = (shifts(canary, control).0, shifts(canary, control).1);
        let quantile = Normal::standard().inverse_cdf((1.0 - confidence) / 2.0);
        let at = |mu: f64, z: f64| standardised(canary, control, mu) - z;
        let ends = |z: f64| (at(least, z), at(most, z));
        if ends(0.0).0.is_nan() || ends(0.0).1.is_nan() {
            return None;
        }
        let bound = |z: f64| {
            let (first, last) = ends(z);
            if first <= 0.0 {
                least
            } else if last >= 0.0 {
                most
            } else {
                root((least, first), (most, last), |mu| at(mu, z))
            }
        };
        let (first, last) = ends(0.0);
        Some(Self {
            low: bound(-quantile),
            high: bound(quantile),
            estimate: root((least, first), (most, last), |mu| at(mu, 0.0)),
        })
    }
}

fn shifts(canary: &[f64], control: &[f64]) -> (f64, f64) {
    let least = |values: &[f64]| values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = |values: &[f64]| values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (least(canary) - most(control), most(canary) - least(control))
}

/// (dz - sign(dz) / 2) / sigma; NaN when all values are tied.
fn standardised(canary: &[f64], control: &[f64], mu: f64) -> f64 {
    let (m, n) = (canary.len() as f64, control.len() as f64);
    let all: Vec<f64> = canary
        .iter()
        .map(|value| value - mu)
        .chain(control.iter().copied())
        .collect();
    let ranked = Ranked::new(&all);
    let dz = ranked.sum_of_first(canary.len()) - m * (m + 1.0) / 2.0 - m * n / 2.0;
    let sigma = spread(m, n, ranked.ties);
    if sigma == 0.0 {
        return f64::NAN;
    }
    (dz - sign(dz) / 2.0) / sigma
}
