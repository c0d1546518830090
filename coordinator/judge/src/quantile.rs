//! Quantiles of a sample, between two values by a straight line (type 7 of Hyndman and Fan 1996: that of R, NumPy and
//! Kayenta). Deliberately no sketch: what comes here fits into memory.

/// At `p` in 0..=1; NaN for no values.
#[must_use]
pub fn quantile(values: &[f64], p: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    of_sorted(&sorted, p)
}

/// The middle; NaN for no values.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

pub(crate) fn of_sorted(sorted: &[f64], p: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let at = p.clamp(0.0, 1.0) * last as f64;
    let below = at.floor();
    let index = below as usize;
    let upper = sorted[(index + 1).min(last)];
    (upper - sorted[index]).mul_add(at - below, sorted[index])
}

/// The spread of the middle, on the scale of a standard deviation: 1.4826 times the median distance from the median.
pub(crate) fn robust_deviation(values: &[f64]) -> f64 {
    let middle = median(values);
    let distances: Vec<_> = values.iter().map(|value| (value - middle).abs()).collect();
    1.482_602_218_505_602 * median(&distances)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_their_neighbours() {
        let values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(quantile(&values, 0.0), 1.0);
        assert_eq!(quantile(&values, 0.25), 1.75);
        assert_eq!(median(&values), 2.5);
        assert_eq!(quantile(&values, 1.0), 4.0);
        assert!(quantile(&[], 0.5).is_nan());
        assert_eq!(quantile(&[7.0], 0.99), 7.0);
    }
}
