//! From presentation timestamps to event time.
//!
//! A [`Timeline`] places the pictures of one opened source on a line that begins
//! with the first of them; a [`LiveClock`] ties the line of a live source to the
//! wall clock.
//!
//! # Invariants
//!
//! - The first picture is at 0, and no picture lies before the one shown before it,
//!   whatever the timestamps are.
//! - A live picture is never later than the clock that watched it arrive.

use std::time::Duration;

use schemas::time::UnixMillis;

/// A timestamp this far before the last one is another clock's, not disorder.
const BACK_MAX_US: i64 = 1_000_000;

/// A timestamp this far ahead is another clock's, not a gap in a recording.
const GAP_MAX_US: i64 = 6 * 3600 * 1_000_000;

/// Places pictures by their presentation timestamps.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// Between two pictures, where a timestamp is missing; microseconds.
    step: i64,
    /// The last picture's place, microseconds.
    last: Option<i64>,
    /// Added to a timestamp to get its place, microseconds.
    shift: Option<i64>,
}

impl Timeline {
    /// A line for a source that shows a picture every `step`.
    pub fn new(step: Duration) -> Timeline {
        let step = i64::try_from(step.as_micros()).unwrap_or(40_000).max(1);
        Timeline { step, last: None, shift: None }
    }

    /// The place of the next picture. `timestamp` is in microseconds, on a clock
    /// that need not begin anywhere.
    pub fn place(&mut self, timestamp: Option<i64>) -> Duration {
        let next = self.last.map_or(0, |last| last.saturating_add(self.step));
        let placed = match (timestamp, self.shift) {
            (None, _) => next,
            (Some(timestamp), None) => {
                self.shift = Some(next.saturating_sub(timestamp));
                next
            }
            (Some(timestamp), Some(shift)) => {
                let candidate = timestamp.saturating_add(shift);
                let last = self.last.unwrap_or(0);
                if candidate < last.saturating_sub(BACK_MAX_US)
                    || last.saturating_add(GAP_MAX_US) < candidate
                {
                    // The source began to count anew: go on from here.
                    self.shift = Some(next.saturating_sub(timestamp));
                    next
                } else {
                    candidate.max(last)
                }
            }
        };
        self.last = Some(placed);
        Duration::from_micros(u64::try_from(placed).unwrap_or(0))
    }

    /// How long the pictures placed so far last, the last one's time included.
    pub fn length(&self) -> Duration {
        let end = self.last.map_or(0, |last| last.saturating_add(self.step));
        Duration::from_micros(u64::try_from(end).unwrap_or(0))
    }
}

/// How far a live picture may lie behind the clock before we stop believing the
/// source's timestamps: its clock is slower than ours.
const BEHIND_MAX: Duration = Duration::from_secs(60);

/// How far the wall clock may step back before event time follows it.
const STEP_BACK_MAX: Duration = Duration::from_secs(10);

/// For how long an arrival says when the source's line began, at least; twice as long at
/// most.
const SAYS_FOR: Duration = Duration::from_secs(30);

/// Tells when a live picture was captured.
///
/// A picture cannot arrive before it was captured, so the best guess of when the
/// source's line began is the earliest that the arrivals of the last half minute or
/// minute allow. That follows a source whose clock runs fast at once, and within a
/// minute one that runs slow, or a wall clock that was set ahead. What arrives while
/// pictures are not looked at as fast as they come is late because of that, and says
/// nothing.
#[derive(Clone, Debug, Default)]
pub struct LiveClock {
    began_at: Option<UnixMillis>,
    /// The earliest beginning by the arrivals since a moment, and by those before.
    since: Option<UnixMillis>,
    newer: Option<UnixMillis>,
    older: Option<UnixMillis>,
    last: Option<UnixMillis>,
}

impl LiveClock {
    /// Says that the pictures to come are on a new line, which begins at 0 again.
    pub fn reconnected(&mut self) {
        *self = LiveClock { last: self.last, ..LiveClock::default() };
    }

    /// When the picture at `place` was captured, if it was read `now`, and is looked at as
    /// soon as it came (`keeps_up`).
    pub fn captured_at(&mut self, place: Duration, now: UnixMillis, keeps_up: bool) -> UnixMillis {
        let latest = now.minus(place);
        if self.began_at.is_some_and(|began| BEHIND_MAX < latest.since(began)) {
            self.reconnected();
        }
        if keeps_up {
            self.learn(latest, now);
        }
        let known = [self.newer, self.older].into_iter().flatten().min();
        // Whatever was learnt, it was not captured later than now.
        let began_at = known.or(self.began_at).map_or(latest, |began| began.min(latest));
        self.began_at = Some(began_at);
        let captured = began_at.plus(place);
        let captured = match self.last {
            Some(last) if captured < last && last.since(captured) <= STEP_BACK_MAX => last,
            _ => captured,
        };
        self.last = Some(captured);
        captured
    }

    /// Takes in that the line began at `latest` or before.
    fn learn(&mut self, latest: UnixMillis, now: UnixMillis) {
        let since = *self.since.get_or_insert(now);
        if now < since || SAYS_FOR <= now.since(since) {
            (self.since, self.older) = (Some(now), self.newer.take());
        }
        self.newer = Some(self.newer.map_or(latest, |newer| newer.min(latest)));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn places(timestamps: &[Option<i64>]) -> Vec<u128> {
        let mut line = Timeline::new(Duration::from_millis(40));
        timestamps.iter().map(|at| line.place(at.map(|ms| ms * 1000)).as_millis()).collect()
    }

    #[test]
    fn the_first_picture_is_the_start_wherever_its_clock_stands() {
        assert_eq!(places(&[Some(-80), Some(-40), Some(0)]), [0, 40, 80]);
        assert_eq!(places(&[Some(95_443_717), Some(95_444_717)]), [0, 1000]);
    }

    #[test]
    fn missing_timestamps_are_filled_in_and_disorder_is_held() {
        assert_eq!(places(&[None, None, Some(500), Some(540)]), [0, 40, 80, 120]);
        assert_eq!(places(&[Some(0), None, Some(80)]), [0, 40, 80]);
        assert_eq!(places(&[Some(0), Some(80), Some(40), Some(120)]), [0, 80, 80, 120]);
    }

    #[test]
    fn a_clock_that_starts_again_goes_on_from_the_last_picture() {
        assert_eq!(
            places(&[Some(0), Some(90_000), Some(0), Some(40)]),
            [0, 90_000, 90_040, 90_080]
        );
        let far = 40 * 3600 * 1000;
        assert_eq!(places(&[Some(0), Some(far), Some(far + 40)]), [0, 40, 80]);
    }

    #[test]
    fn a_live_picture_keeps_its_distance_and_never_lies_ahead() {
        let ms = Duration::from_millis;
        let mut clock = LiveClock::default();
        let mut captured_at =
            |place, now| clock.captured_at(ms(place), UnixMillis::new(now), true).get();
        // The first comes late by 300 ms, which the second shows.
        assert_eq!(captured_at(0, 10_300), 10_300);
        assert_eq!(captured_at(1000, 11_000), 11_000);
        // A stall of five seconds changes nothing about when pictures were captured.
        assert_eq!(captured_at(2000, 17_000), 12_000);
        assert_eq!(captured_at(7000, 17_010), 17_000);
        // A source's clock that is a minute behind is not believed.
        assert_eq!(captured_at(8000, 90_000), 90_000);
        // The wall clock is set back: a little is held, much is followed.
        assert_eq!(captured_at(9000, 89_000), 90_000);
        assert_eq!(captured_at(9500, 20_000), 20_000);
    }

    #[test]
    fn clocks_that_differ_make_nothing_late_for_long() {
        let lag_of = |clock: &mut LiveClock, place: u64, now: i64| {
            let now = UnixMillis::new(now);
            now.since(clock.captured_at(Duration::from_millis(place), now, true))
        };
        // A source that shows 24.9 pictures a second and says that they are 25.
        let mut slow = LiveClock::default();
        for n in 0..90_000 {
            let lag = lag_of(&mut slow, n * 40, i64::try_from(n * 40_160 / 1000).unwrap());
            assert!(lag < Duration::from_millis(300), "{lag:?} behind after {n} pictures");
        }
        // The wall clock is set 20 seconds ahead.
        let mut set = LiveClock::default();
        for second in 0..40 {
            assert!(
                lag_of(&mut set, second * 1000, i64::try_from(second * 1000).unwrap()).is_zero()
            );
        }
        for second in 40..140 {
            let lag =
                lag_of(&mut set, second * 1000, i64::try_from(second * 1000 + 20_000).unwrap());
            assert_eq!(lag.is_zero(), 70 <= second, "{lag:?} behind at {second} s");
        }
    }

    #[test]
    fn what_is_read_late_was_captured_when_it_was() {
        let mut clock = LiveClock::default();
        let mut captured_at = |place: u64, now: i64, keeps_up: bool| {
            clock.captured_at(Duration::from_millis(place), UnixMillis::new(now), keeps_up).get()
        };
        assert_eq!(captured_at(0, 0, true), 0);
        // Looked at at half the speed, for as long as one likes.
        for second in 1_u32..55 {
            let at = i64::from(second) * 1000;
            assert_eq!(captured_at(u64::from(second) * 1000, 2 * at, false), at);
        }
    }

    proptest! {
        #[test]
        fn time_does_not_go_back(stamps in prop::collection::vec(prop::option::of(any::<i64>()), 0..60)) {
            let mut line = Timeline::new(Duration::from_millis(40));
            let mut last = Duration::ZERO;
            for (n, stamp) in stamps.into_iter().enumerate() {
                let place = line.place(stamp);
                prop_assert!(last <= place && (0 < n || place.is_zero()));
                prop_assert!(place <= line.length());
                last = place;
            }
        }

        #[test]
        fn live_pictures_are_in_order_and_not_ahead(
            steps in prop::collection::vec((0_u64..3000, 0_i64..3000), 1..60),
        ) {
            let (mut clock, mut place, mut now) = (LiveClock::default(), 0, 1_700_000_000_000);
            let mut last = UnixMillis::MIN;
            for (further, later) in steps {
                (place, now) = (place + further, now + later);
                let keeps_up = !(further + place).is_multiple_of(3);
                let at = Duration::from_millis(place);
                let captured = clock.captured_at(at, UnixMillis::new(now), keeps_up);
                prop_assert!(last <= captured && captured.get() <= now);
                last = captured;
            }
        }
    }
}
