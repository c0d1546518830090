//! How much is too much, as ratios of canary to control, and where a test stops refuting them. A change by x upwards is
//! 1 + x; downwards it is 1 / (1 + x), so that twice and half are equally far. Deliberately no tests.

use crate::verdict::Direction;

/// The ratios that matter; `None`: that way is no harm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Limits {
    /// Harm is shown when the ratio is above.
    pub(crate) fail_above: Option<f64>,
    /// Harm is shown when it is below.
    pub(crate) fail_below: Option<f64>,
    /// No harm is shown when it is below.
    pub(crate) pass_below: Option<f64>,
    /// No harm is shown when it is above.
    pub(crate) pass_above: Option<f64>,
}

impl Limits {
    pub(crate) fn new(direction: Direction, tolerance: f64, margin: f64) -> Self {
        let up = direction != Direction::Decrease;
        let down = direction != Direction::Increase;
        // A margin below the tolerance could pass and fail at once.
        let margin = margin.max(tolerance);
        Self {
            fail_above: up.then_some(1.0 + tolerance),
            fail_below: down.then_some(1.0 / (1.0 + tolerance)),
            pass_below: up.then_some(1.0 + margin),
            pass_above: down.then_some(1.0 / (1.0 + margin)),
        }
    }

    /// Whether a ratio beyond a limit of harm is shown, by what refutes that it is at most, or at least, so much.
    pub(crate) fn is_harm(
        &self,
        mut not_at_most: impl FnMut(f64) -> bool,
        mut not_at_least: impl FnMut(f64) -> bool,
    ) -> bool {
        self.fail_above.is_some_and(&mut not_at_most) || self.fail_below.is_some_and(&mut not_at_least)
    }

    /// Whether harm beyond the margin is ruled out.
    pub(crate) fn is_clear(
        &self,
        mut not_at_most: impl FnMut(f64) -> bool,
        mut not_at_least: impl FnMut(f64) -> bool,
    ) -> bool {
        self.pass_below.is_none_or(&mut not_at_least) && self.pass_above.is_none_or(&mut not_at_most)
    }
}

/// Ratios are looked for from here...
pub(crate) const LEAST: f64 = 1e-9;
/// ...to here.
pub(crate) const MOST: f64 = 1e9;

/// Between a ratio that is not refuted and the far end, which may be: where it begins. By halving the logarithm; the end
/// itself, 0 or infinity, when not even that is refuted.
pub(crate) fn edge(from: f64, to: f64, refuted: impl Fn(f64) -> bool) -> f64 {
    if !refuted(to) {
        return if to > 1.0 { f64::INFINITY } else { 0.0 };
    }
    let (mut inside, mut outside) = (from.clamp(LEAST, MOST).ln(), to.ln());
    for _ in 0..60 {
        let middle = f64::midpoint(inside, outside);
        if refuted(middle.exp()) {
            outside = middle;
        } else {
            inside = middle;
        }
    }
    inside.exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_is_found_on_both_sides() {
        assert!((edge(1.0, MOST, |ratio| ratio > 3.0) - 3.0).abs() < 1e-9);
        assert!((edge(1.0, LEAST, |ratio| ratio < 0.2) - 0.2).abs() < 1e-9);
        assert_eq!(edge(1.0, MOST, |_| false), f64::INFINITY);
        assert_eq!(edge(1.0, LEAST, |_| false), 0.0);
    }

    #[test]
    fn harm_has_its_direction() {
        let limits = Limits::new(Direction::Decrease, 0.25, 0.0);
        assert_eq!((limits.fail_above, limits.fail_below), (None, Some(0.8)));
        assert_eq!(limits.pass_above, Some(0.8), "a margin is never below the tolerance");
        assert!(limits.is_harm(|_| false, |ratio| ratio == 0.8));
        assert!(!limits.is_clear(|_| false, |_| true));
        let both = Limits::new(Direction::Either, 0.0, 1.0);
        assert!(both.is_clear(|ratio| ratio == 0.5, |ratio| ratio == 2.0));
    }
}
