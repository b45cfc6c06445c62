//! Which pictures of a source are looked at: a fixed cadence in event time.
//!
//! # Invariants
//!
//! - The choice is a function of the pictures' times and nothing else: not of
//!   what they show (an animal that lies still stays counted), not of how many
//!   there are a second.
//! - It does not drift: of each interval `[n * every, (n + 1) * every)` since the
//!   first picture at most one is taken, the first that there is.

use std::num::NonZeroU64;
use std::time::Duration;

/// How often a picture is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cadence {
    /// Once in this many milliseconds.
    Every(NonZeroU64),
    /// Each picture that the source shows.
    EachFrame,
}

impl Cadence {
    /// Once a second, the default.
    pub const SECOND: Cadence = Cadence::Every(NonZeroU64::new(1000).expect("is not zero"));

    /// The time between two sampled pictures, if it is fixed.
    pub fn interval(self) -> Option<Duration> {
        match self {
            Cadence::Every(millis) => Some(Duration::from_millis(millis.get())),
            Cadence::EachFrame => None,
        }
    }
}

impl Default for Cadence {
    fn default() -> Cadence {
        Cadence::SECOND
    }
}

impl std::fmt::Display for Cadence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Cadence::Every(millis) => write!(f, "{} ms", millis),
            Cadence::EachFrame => f.write_str("frame"),
        }
    }
}

/// A text that is no cadence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no cadence; write a duration of at least 1 ms (\"1s\", \"500ms\") or \"frame\" for every frame"
)]
pub struct InvalidCadence(String);

impl std::str::FromStr for Cadence {
    type Err = InvalidCadence;

    fn from_str(text: &str) -> Result<Cadence, InvalidCadence> {
        if text == "frame" {
            return Ok(Cadence::EachFrame);
        }
        let duration: Duration = text
            .parse::<humantime::Duration>()
            .map_err(|_| InvalidCadence(text.to_owned()))?
            .into();
        u64::try_from(duration.as_millis())
            .ok()
            .and_then(NonZeroU64::new)
            .map(Cadence::Every)
            .ok_or_else(|| InvalidCadence(text.to_owned()))
    }
}

/// Chooses pictures, one after the other.
#[derive(Clone, Debug)]
pub struct Sampler {
    cadence: Cadence,
    /// In milliseconds since the source's first picture: from here on the next
    /// picture is taken.
    next_ms: u64,
}

impl Sampler {
    pub fn new(cadence: Cadence) -> Sampler {
        Sampler { cadence, next_ms: 0 }
    }

    /// Whether to look at the picture at `at`, counted from the first picture,
    /// which is always taken. Times must not descend.
    pub fn takes(&mut self, at: Duration) -> bool {
        let every = match self.cadence {
            Cadence::EachFrame => return true,
            Cadence::Every(millis) => millis.get(),
        };
        let at_ms = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        if at_ms < self.next_ms {
            return false;
        }
        self.next_ms = (at_ms / every + 1).saturating_mul(every);
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn every(millis: u64) -> Cadence {
        Cadence::Every(NonZeroU64::new(millis).unwrap())
    }

    fn taken(cadence: Cadence, times_ms: &[u64]) -> Vec<u64> {
        let mut sampler = Sampler::new(cadence);
        times_ms.iter().copied().filter(|at| sampler.takes(Duration::from_millis(*at))).collect()
    }

    /// The first time of each interval, found by looking at all of them.
    fn by_brute_force(every: u64, times_ms: &[u64]) -> Vec<u64> {
        let last = times_ms.last().map_or(0, |last| last / every);
        (0..=last).filter_map(|n| times_ms.iter().copied().find(|at| at / every == n)).collect()
    }

    #[test]
    fn a_gap_does_not_shift_what_follows() {
        let times = [0, 40, 960, 1040, 1080, 3500, 3990, 4000, 4040];
        assert_eq!(taken(every(1000), &times), [0, 1040, 3500, 4000]);
        assert_eq!(taken(Cadence::EachFrame, &times), times);
    }

    #[test]
    fn a_cadence_is_read_as_people_write_it() {
        assert_eq!("1s".parse(), Ok(every(1000)));
        assert_eq!("1m 30s".parse(), Ok(every(90_000)));
        assert_eq!("frame".parse(), Ok(Cadence::EachFrame));
        for wrong in ["0s", "1us", "often", "", "-1s"] {
            assert!(wrong.parse::<Cadence>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn each_interval_gives_its_first_picture(
            steps in prop::collection::vec(0_u64..700, 1..300),
            interval in 1_u64..1500,
        ) {
            let times: Vec<u64> = steps.iter().scan(0, |at, step| {
                let this = *at;
                *at += step;
                Some(this)
            }).collect();
            prop_assert_eq!(taken(every(interval), &times), {
                let mut expected = by_brute_force(interval, &times);
                expected.dedup();
                expected
            });
        }

        #[test]
        fn the_frame_rate_does_not_matter(fps in 2_u64..121, seconds in 1_u64..400) {
            let times: Vec<u64> = (0..fps * seconds).map(|n| n * 1000 / fps).collect();
            let taken = taken(every(1000), &times);
            // One a second, each within one frame of its second: no drift.
            prop_assert_eq!(u64::try_from(taken.len()).unwrap(), seconds);
            for (n, at) in taken.iter().enumerate() {
                let due = u64::try_from(n).unwrap() * 1000;
                prop_assert!(due <= *at && *at < due + 1000 / fps + 1, "{} for {}", at, due);
            }
        }
    }
}
