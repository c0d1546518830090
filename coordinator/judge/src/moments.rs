//! Means and spreads, always summed in the order given: the same values give the same bits. Deliberately no running
//! sums of squares, which lose everything when the mean is large.

/// Zero for none.
pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / (values.len().max(1) as f64)
}

/// Of a sample: by n - 1; zero for fewer than two.
pub(crate) fn variance(values: &[f64]) -> f64 {
    let mean = mean(values);
    squares(values, mean) / (values.len().max(2) - 1) as f64
}

/// The sum of squared distances.
pub(crate) fn squares(values: &[f64], from: f64) -> f64 {
    values.iter().map(|value| (value - from).powi(2)).sum()
}

/// Whether all are the same number; of none, they are.
pub(crate) fn is_constant(values: &[f64]) -> bool {
    values.windows(2).all(|pair| pair[0] == pair[1])
}
