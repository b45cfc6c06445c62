//! Event time never runs ahead of the clock: whoever would publish a moment that
//! is still to come waits for it here.

use std::time::Duration;

use schemas::stop::Stop;
use schemas::time::{Clock, UnixMillis};

/// How long a wait lasts before the clock is asked again: clocks are set.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Waits until `clock` shows `moment`; whether it was stopped instead.
pub fn wait_until(moment: UnixMillis, clock: &dyn Clock, stop: &Stop) -> bool {
    loop {
        let left = moment.since(clock.now());
        if left.is_zero() {
            return stop.is_stopped();
        }
        if stop.wait(left.min(LOOK_EVERY)) {
            return true;
        }
    }
}

/// A simulated time that runs faster than the clock until it has caught up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// The simulated time at `began`.
    pub started_at: UnixMillis,
    /// The clock's time when the simulation began.
    pub began: UnixMillis,
    /// Simulated seconds per second.
    pub speed: f64,
}

impl Pace {
    /// When the simulated moment may be published: at this pace's time for it, and
    /// not before it comes.
    pub fn due(&self, moment: UnixMillis) -> UnixMillis {
        let simulated = moment.since(self.started_at);
        let seconds = simulated.as_secs_f64() / self.speed;
        let real = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        self.began.plus(real).max(moment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_simulation_catches_up_with_now_and_goes_on_at_its_pace() {
        let hour = 3_600_000;
        let pace =
            Pace { started_at: UnixMillis::new(0), began: UnixMillis::new(hour), speed: 60.0 };
        let due = |minutes: i64| pace.due(UnixMillis::new(minutes * 60_000)).get() - hour;
        // An hour behind, 60 times as fast: a simulated minute a second.
        assert_eq!((due(0), due(1), due(30)), (0, 1000, 30_000));
        // Caught up after an hour's and a minute's worth; then one for one.
        assert_eq!((due(61), due(62), due(120)), (61_000, 120_000, 3_600_000));
    }
}
