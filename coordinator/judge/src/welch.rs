//! Welch's t test: whether two means differ when their spreads may differ too (Welch 1947; the degrees of freedom by
//! Satterthwaite). Tails from `statrs`, which are held against SciPy. Deliberately one-sided: harm has a direction.

use statrs::distribution::{ContinuousCDF as _, StudentsT};

use crate::moments::{mean, variance};

/// Two means compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Welch {
    /// Canary less control.
    pub difference: f64,
    /// Its standard error.
    pub error: f64,
    /// Degrees of freedom.
    pub freedom: f64,
}

impl Welch {
    /// `None` for fewer than two values in an arm, or no spread in both.
    #[must_use]
    pub fn new(canary: &[f64], control: &[f64]) -> Option<Self> {
        Self::with_extra(canary, control, 0.0)
    }

    /// With variance of the difference from elsewhere: of a slope that was estimated.
    pub(crate) fn with_extra(canary: &[f64], control: &[f64], extra: f64) -> Option<Self> {
        if canary.len() < 2 || control.len() < 2 {
            return None;
        }
        let parts = [canary, control].map(|arm| (variance(arm) / arm.len() as f64, arm.len() as f64 - 1.0));
        let sum: f64 = parts.iter().map(|(part, _)| part).sum();
        let below: f64 = parts.iter().map(|(part, freedom)| part * part / freedom).sum();
        // Where the squares underflow there is no spread that could be told from rounding.
        if below <= 0.0 {
            return None;
        }
        Some(Self {
            difference: mean(canary) - mean(control),
            error: (sum + extra).sqrt(),
            freedom: sum * sum / below,
        })
    }

    /// Student's t of the difference less `shift`.
    #[must_use]
    pub fn t(&self, shift: f64) -> f64 {
        (self.difference - shift) / self.error
    }

    /// How likely a difference this large is when the true one is `shift`.
    #[must_use]
    pub fn upper_tail(&self, shift: f64) -> f64 {
        tail(self.t(shift), self.freedom)
    }

    /// How likely one this small is.
    #[must_use]
    pub fn lower_tail(&self, shift: f64) -> f64 {
        tail(-self.t(shift), self.freedom)
    }

    /// How far the true difference may be from the estimate at this level, one-sided.
    #[must_use]
    pub fn reach(&self, level: f64) -> f64 {
        self.error * critical(level, self.freedom)
    }
}

/// P(T > t).
#[must_use]
pub fn tail(t: f64, freedom: f64) -> f64 {
    StudentsT::new(0.0, 1.0, freedom).map_or(1.0, |student| student.sf(t))
}

/// The t beyond which lies `level`. By halving: the tail itself is what decides, and a bound must agree with it.
#[must_use]
pub fn critical(level: f64, freedom: f64) -> f64 {
    if level >= 0.5 {
        return 0.0;
    }
    let (mut below, mut above) = (0.0, 2.0);
    while tail(above, freedom) > level && above < 1e12 {
        above *= 2.0;
    }
    for _ in 0..80 {
        let middle = f64::midpoint(below, above);
        if tail(middle, freedom) > level {
            below = middle;
        } else {
            above = middle;
        }
    }
    above
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_students_t_is_met() {
        for (level, freedom, wanted) in [
            (0.025, 10.0, 2.228_138_851_986_275_3),
            (0.01, 22.0, 2.508_324_552_899_080_7),
            (1e-5, 22.0, 5.402_371_793_712_506),
        ] {
            let found = critical(level, freedom);
            assert!((found - wanted).abs() < 1e-8, "{level} {freedom}: {found}");
        }
    }

    #[test]
    fn arms_without_spread_are_not_compared() {
        assert_eq!(Welch::new(&[1.0, 1.0, 1.0], &[2.0, 2.0]), None);
        assert_eq!(Welch::new(&[1.0], &[2.0, 3.0]), None);
        assert!(Welch::new(&[1.0, 1.0], &[2.0, 3.0]).is_some());
    }

    #[test]
    fn a_bound_lies_where_the_tail_has_the_level() {
        let welch = Welch::new(&[1.0, 2.0, 4.0, 3.5], &[0.5, 1.0, 0.7, 1.3, 0.2]).unwrap();
        let low = welch.difference - welch.reach(0.01);
        assert!((welch.upper_tail(low) - 0.01).abs() < 1e-9);
        let high = welch.difference + welch.reach(0.01);
        assert!((welch.lower_tail(high) - 0.01).abs() < 1e-9);
    }
}
