//! The original's statistics, as its columns round them.

use std::sync::Arc;

use schemas::commit::WindowState;
use schemas::metric::Postures;
use schemas::stats::{Histogram, Statistics};

/// The histogram of `metric` in a window: where it has no row, all frames show
/// zero.
pub(super) fn histogram(state: &WindowState, metric: &Arc<str>) -> Histogram {
    let found = state.metrics.iter().find(|(name, _)| name == metric);
    found.map_or_else(|| Histogram::of(&[(0, state.frames)]), |(_, histogram)| histogram.clone())
}

/// Of something for each posture.
#[derive(Clone, Debug)]
pub(super) struct Each<T> {
    pub(super) total: T,
    pub(super) couche: T,
    pub(super) debout: T,
}

impl<T> Each<T> {
    pub(super) fn map<U>(&self, mut of: impl FnMut(&T) -> U) -> Each<U> {
        Each { total: of(&self.total), couche: of(&self.couche), debout: of(&self.debout) }
    }
}

/// A window's statistics of each posture; none for a window without frames, which
/// no store has.
pub(super) fn statistics(state: &WindowState, postures: &Postures) -> Option<Each<Statistics>> {
    let of = |metric| histogram(state, metric).statistics();
    Some(Each {
        total: of(&postures.total)?,
        couche: of(&postures.lying)?,
        debout: of(&postures.standing)?,
    })
}

/// Rounded to so many decimals, halves away from zero, as a `DECIMAL` is.
pub(super) fn rounded(value: f64, decimals: i32) -> f64 {
    let scale = 10_f64.powi(decimals);
    (value * scale).round() / scale
}

/// `part / whole`, rounded.
pub(super) fn quotient(part: u64, whole: u64, decimals: i32) -> f64 {
    #[expect(clippy::as_conversions, reason = "the nearest double is what a quotient needs")]
    let exact = part as f64 / whole as f64;
    rounded(exact, decimals)
}

/// The deviation as the column `std_…` has it; null for one frame.
pub(super) fn deviation(statistics: &Statistics) -> Option<f64> {
    statistics.std().map(|std| rounded(std, 3))
}

/// The most frequent counts as the column `mode_…` has them: text, because there
/// can be several.
pub(super) fn modes(statistics: &Statistics) -> String {
    statistics.modes.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_rounded_away_from_zero() {
        assert!((rounded(0.0625, 3) - 0.063).abs() < 1e-12);
        assert!((rounded(-0.0625, 3) + 0.063).abs() < 1e-12);
        assert!((quotient(1, 3, 4) - 0.3333).abs() < 1e-12);
        assert!((quotient(7, 1, 4) - 7.0).abs() < 1e-12);
    }

    #[test]
    fn a_tie_has_several_modes() {
        let tie = Histogram::of(&[(3, 2), (5, 2), (4, 1)]).statistics().unwrap();
        assert_eq!(modes(&tie), "3,5");
    }
}
