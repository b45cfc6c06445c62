//! Moments, and who tells the time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A moment in milliseconds since 1970 UTC: event times, and times of ours.
///
/// Any `i64` is a value, also what a broken clock sends; whether a moment is
/// plausible is for the reader to judge. Shown as RFC 3339 where it can be.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct UnixMillis(i64);

/// 2000-01-01: no picture of ours is older, but a clock that was never set is.
pub const CLOCK_SET_AFTER: UnixMillis = UnixMillis::new(946_684_800_000);

impl UnixMillis {
    pub const MIN: UnixMillis = UnixMillis(i64::MIN);
    pub const MAX: UnixMillis = UnixMillis(i64::MAX);

    pub const fn new(millis: i64) -> UnixMillis {
        UnixMillis(millis)
    }

    pub const fn get(self) -> i64 {
        self.0
    }

    /// The moment `by` later, held at the ends of the range.
    pub fn plus(self, by: Duration) -> UnixMillis {
        UnixMillis(self.0.saturating_add(millis(by)))
    }

    /// The moment `by` earlier, held at the ends of the range.
    pub fn minus(self, by: Duration) -> UnixMillis {
        UnixMillis(self.0.saturating_sub(millis(by)))
    }

    /// How long after `earlier` this is; zero if it is not.
    pub fn since(self, earlier: UnixMillis) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The same moment for the calendar, unless it lies outside the years
    /// -9999 to 9999.
    pub fn timestamp(self) -> Option<Timestamp> {
        Timestamp::from_millisecond(self.0).ok()
    }
}

/// A duration as whole milliseconds, held at the end of the range.
pub fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.timestamp() {
            // Three decimals only where there are any: minutes stay readable.
            Some(moment) if self.0 % 1000 != 0 => write!(f, "{moment:.3}"),
            Some(moment) => write!(f, "{moment:.0}"),
            None => write!(f, "{} ms", self.0),
        }
    }
}

/// A text that names no moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is neither RFC 3339 with its zone (2026-03-01T12:00:00Z), a date (2026-03-01) nor milliseconds since 1970"
)]
pub struct InvalidTime(String);

impl FromStr for UnixMillis {
    type Err = InvalidTime;

    /// Reads RFC 3339, a date (its midnight, UTC) or milliseconds since 1970.
    fn from_str(text: &str) -> Result<UnixMillis, InvalidTime> {
        if let Ok(millis) = text.parse() {
            return Ok(UnixMillis(millis));
        }
        if let Ok(moment) = text.parse::<Timestamp>() {
            return Ok(UnixMillis(moment.as_millisecond()));
        }
        // jiff reads a time of day behind the date, too, and drops it.
        let midnight = text
            .parse::<jiff::civil::Date>()
            .ok()
            .filter(|date| date.to_string() == text)
            .and_then(|date| date.to_zoned_datetime(jiff::tz::TimeZone::UTC).ok())
            .ok_or_else(|| InvalidTime(text.to_owned()))?;
        Ok(UnixMillis(midnight.timestamp().as_millisecond()))
    }
}

/// Who tells the time: the system, or a test.
pub trait Clock: Send + Sync {
    /// Now, by this clock.
    fn now(&self) -> UnixMillis;
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system")]
    fn now(&self) -> UnixMillis {
        UnixMillis(Timestamp::now().as_millisecond())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_in_three_forms_and_shown_in_one() {
        for text in
            ["2026-03-01T00:00:00Z", "2026-03-01", "1772323200000", "2026-03-01T01:00:00+01:00"]
        {
            assert_eq!(text.parse::<UnixMillis>().unwrap().to_string(), "2026-03-01T00:00:00Z");
        }
        assert_eq!(UnixMillis(1_772_323_200_250).to_string(), "2026-03-01T00:00:00.250Z");
        assert_eq!(UnixMillis::MAX.to_string(), "9223372036854775807 ms");
        // A time without a zone is no moment; least of all is it that day's midnight.
        for wrong in ["yesterday", "2026-03-01T14:30:00", "2026-03-01 14:30:00", "20260301T1430"] {
            assert!(wrong.parse::<UnixMillis>().is_err(), "{wrong}");
        }
    }
}
