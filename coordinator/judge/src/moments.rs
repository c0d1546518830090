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

/// How much two things go together, from -1 to 1 (Pearson); zero where one of them does not change.
pub(crate) fn correlation(pairs: &[(f64, f64)]) -> f64 {
    let (one, other): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let (mean_one, mean_other) = (mean(&one), mean(&other));
    let together: f64 = pairs.iter().map(|(x, y)| (x - mean_one) * (y - mean_other)).sum();
    let correlation = together / (squares(&one, mean_one) * squares(&other, mean_other)).sqrt();
    if correlation.is_finite() { correlation } else { 0.0 }
}

/// Whether all are the same number; of none, they are.
pub(crate) fn is_constant(values: &[f64]) -> bool {
    values.windows(2).all(|pair| pair[0] == pair[1])
}
