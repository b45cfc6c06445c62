//! Quotients that may have nothing to divide by.

use schemas::stats::to_f64;

/// How many there are.
pub(crate) fn count<T>(of: &[T]) -> f64 {
    to_f64(u64::try_from(of.len()).unwrap_or(u64::MAX))
}

/// `part / whole`, unless there is nothing to divide by.
pub(crate) fn quotient(part: f64, whole: f64) -> Option<f64> {
    (0.0 < whole).then(|| part / whole)
}

/// The mean, unless there is nothing.
pub(crate) fn mean(values: &[f64]) -> Option<f64> {
    quotient(values.iter().sum(), count(values))
}
