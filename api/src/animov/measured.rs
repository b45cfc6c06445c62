//! The original's statistics, as its columns round them.

use std::sync::Arc;

use schemas::commit::WindowState;
use schemas::metric::Postures;
use schemas::stats::{Histogram, Statistics};
use schemas::window::MINUTE_MS;

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

/// The minute 2020-01-01T00:00Z, since 1970: ids count from there.
const FIRST_MINUTE: i64 = 26_297_280;

/// Sources whose minutes have an id: it is a narrow column.
const SOURCES_WITH_ID: i64 = 64;

/// The id of a minute in `table_chevres_minute_serveur_v2`; none where the column
/// is null.
pub(super) fn minute_id(state: &WindowState) -> Option<i32> {
    let (minute, source) = (minute(state), i64::from(state.source.get()));
    let id = (minute - FIRST_MINUTE) * SOURCES_WITH_ID + source - 1;
    if SOURCES_WITH_ID < source { None } else { i32::try_from(id).ok() }
}

/// The id of a minute or an hour in `table_chevres_minute` and
/// `table_chevres_heures`.
pub(super) fn window_id(state: &WindowState) -> i64 {
    (minute(state) << 31) + i64::from(state.source.get())
}

/// Since 1970.
fn minute(state: &WindowState) -> i64 {
    state.window.start.get().div_euclid(MINUTE_MS)
}

#[cfg(test)]
mod tests {
    use schemas::commit::Status;
    use schemas::time::UnixMillis;
    use schemas::window::{Calendar, WindowSize};

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

    #[test]
    fn a_minute_has_an_id_where_the_column_is_wide_enough() {
        let state = |source: i64, start: &str| {
            let start: UnixMillis = start.parse().unwrap();
            WindowState {
                source: source.try_into().unwrap(),
                window: Calendar::in_zone("UTC")
                    .unwrap()
                    .window(WindowSize::Minute, start)
                    .unwrap(),
                frames: 1,
                frames_expected: 1,
                status: Status::Open,
                rev: 1,
                metrics: Vec::new(),
            }
        };
        let id = |source, start| minute_id(&state(source, start));
        assert_eq!(id(1, "2020-01-01T00:00:00Z"), Some(0));
        assert_eq!(id(64, "2020-01-01T00:01:59Z"), Some(127));
        assert_eq!(id(65, "2020-01-01T00:00:00Z"), None);
        assert_eq!(id(1, "2019-12-31T23:59:00Z"), Some(-64));
        assert_eq!(id(1, "2100-01-01T00:00:00Z"), None);
        assert_eq!(window_id(&state(7, "1970-01-01T00:01:00Z")), (1 << 31) + 7);
    }
}
