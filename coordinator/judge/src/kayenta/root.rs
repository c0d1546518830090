//! Brent's zero of a function between two points (Brent 1973, chapter 4; zeroin of Netlib): halving, made faster by a
//! straight line or an inverse parabola where these behave. To 1e-4, as R's `uniroot` was asked for and Kayenta is.

const TOLERANCE: f64 = 1e-4;
const STEPS_MAX: usize = 1001;

/// Each point with its value; where both have the same sign, one of them or what lies near.
pub(super) fn root(first: (f64, f64), second: (f64, f64), value: impl Fn(f64) -> f64) -> f64 {
    if first.1 == 0.0 {
        return first.0;
    }
    if second.1 == 0.0 {
        return second.0;
    }
    // `best` is the best guess, `last` the one before, `other` on the far side of the zero.
    let (mut last, mut best, mut other) = (first, second, first);
    for _ in 0..STEPS_MAX {
        let step_before = best.0 - last.0;
        if other.1.abs() < best.1.abs() {
            last = best;
            best = other;
            other = last;
        }
        let tolerance = 2.0 * f64::EPSILON * best.0.abs() + TOLERANCE / 2.0;
        let half = (other.0 - best.0) / 2.0;
        if half.abs() <= tolerance || best.1 == 0.0 {
            return best.0;
        }
        let mut step = half;
        if step_before.abs() >= tolerance && last.1.abs() > best.1.abs() {
            step = interpolated(last, best, other, tolerance, step_before).unwrap_or(half);
        }
        if step.abs() < tolerance {
            step = tolerance.copysign(step);
        }
        last = best;
        let next = best.0 + step;
        best = (next, value(next));
        if best.1 > 0.0 && other.1 > 0.0 || best.1 < 0.0 && other.1 < 0.0 {
            other = last;
        }
    }
    best.0
}

/// A step that stays within and is not slower than halving was.
fn interpolated(last: (f64, f64), best: (f64, f64), other: (f64, f64), tolerance: f64, before: f64) -> Option<f64> {
    let across = other.0 - best.0;
    let (mut p, mut q);
    if last.0 == other.0 {
        let part = best.1 / last.1;
        p = across * part;
        q = 1.0 - part;
    } else {
        let (part, near, far) = (last.1 / other.1, best.1 / other.1, best.1 / last.1);
        p = far * (across * part * (part - near) - (best.0 - last.0) * (near - 1.0));
        q = (part - 1.0) * (near - 1.0) * (far - 1.0);
    }
    if p > 0.0 {
        q = -q;
    } else {
        p = -p;
    }
    let fits = p < 0.75 * across * q - (tolerance * q).abs() / 2.0 && p < (before * q / 2.0).abs();
    fits.then_some(p / q)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zero_is_found_as_closely_as_it_is_asked_for() {
        let cubic = |x: f64| (x - 1.5).powi(3);
        let found = root((0.0, cubic(0.0)), (4.0, cubic(4.0)), cubic);
        assert!((found - 1.5).abs() <= TOLERANCE, "{found}");
        let step = |x: f64| if x < 0.7 { 1.0 } else { -1.0 };
        let found = root((-10.0, 1.0), (10.0, -1.0), step);
        assert!((found - 0.7).abs() <= TOLERANCE, "{found}");
        assert_eq!(root((1.0, 0.0), (2.0, 5.0), |_| unreachable!()), 1.0);
    }

    #[test]
    fn in_a_small_unit_it_is_not_looked_for_as_there() {
        let found = root((0.0, 1.0), (1e-5, -1.0), |_| unreachable!());
        assert!(found == 0.0 || found == 1e-5);
    }
}
