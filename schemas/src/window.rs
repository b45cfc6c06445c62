//! Windows of event time, and the calendar that cuts civil days.

use std::fmt;
use std::str::FromStr;

use jiff::tz::TimeZone;
use jiff::{ToSpan, ZonedDateTime};
use serde::{Deserialize, Serialize};

use crate::time::UnixMillis;

/// How long a window is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum WindowSize {
    #[serde(rename = "1m")]
    Minute,
    #[serde(rename = "5m")]
    FiveMinutes,
    #[serde(rename = "15m")]
    QuarterHour,
    #[serde(rename = "1h")]
    Hour,
    /// A civil day of the site's zone: 23, 24 or 25 hours, so it has no length.
    #[serde(rename = "1d")]
    Day,
}

/// Milliseconds in a minute.
pub const MINUTE_MS: i64 = 60_000;

// Windows are merged from whole smaller ones, so each length is a multiple of the
// one before.
const FIVE_MINUTES_MS: i64 = 5 * MINUTE_MS;
const QUARTER_HOUR_MS: i64 = 3 * FIVE_MINUTES_MS;
const HOUR_MS: i64 = 4 * QUARTER_HOUR_MS;

impl WindowSize {
    /// Every size, the smallest first.
    pub const ALL: [WindowSize; 5] = [
        WindowSize::Minute,
        WindowSize::FiveMinutes,
        WindowSize::QuarterHour,
        WindowSize::Hour,
        WindowSize::Day,
    ];

    /// The length in milliseconds; a day has none.
    pub const fn fixed_millis(self) -> Option<i64> {
        match self {
            WindowSize::Minute => Some(MINUTE_MS),
            WindowSize::FiveMinutes => Some(FIVE_MINUTES_MS),
            WindowSize::QuarterHour => Some(QUARTER_HOUR_MS),
            WindowSize::Hour => Some(HOUR_MS),
            WindowSize::Day => None,
        }
    }

    /// The name in tables, URLs and options: `1m`, `5m`, `15m`, `1h`, `1d`.
    pub const fn name(self) -> &'static str {
        match self {
            WindowSize::Minute => "1m",
            WindowSize::FiveMinutes => "5m",
            WindowSize::QuarterHour => "15m",
            WindowSize::Hour => "1h",
            WindowSize::Day => "1d",
        }
    }
}

impl fmt::Display for WindowSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no window size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no window size; the sizes are 1m, 5m, 15m, 1h and 1d")]
pub struct InvalidWindowSize(String);

impl FromStr for WindowSize {
    type Err = InvalidWindowSize;

    fn from_str(text: &str) -> Result<WindowSize, InvalidWindowSize> {
        WindowSize::ALL
            .into_iter()
            .find(|size| size.name() == text)
            .ok_or_else(|| InvalidWindowSize(text.to_owned()))
    }
}

/// The window `[start, end)` in event time.
///
/// Invariant: made by a [`Calendar`] (or read back from what one made), so one
/// moment has exactly one window of each size, and equal windows are equal
/// values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    pub size: WindowSize,
    pub start: UnixMillis,
    pub end: UnixMillis,
}

impl Window {
    /// How many frames a source with one frame every `cadence_ms` gives.
    pub fn frames_expected(&self, cadence_ms: i64) -> u64 {
        let length = self.end.get() - self.start.get();
        u64::try_from(length / cadence_ms.max(1)).unwrap_or(0)
    }
}

/// The site's calendar: which window of each size a moment lies in.
#[derive(Clone, Debug)]
pub struct Calendar {
    zone: TimeZone,
    name: String,
}

/// A text that names no time zone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no IANA time zone; one looks like Europe/Paris or UTC")]
pub struct UnknownZone(String);

/// A moment for which the calendar has no day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is outside the calendar")]
pub struct OutsideCalendar(UnixMillis);

impl Calendar {
    /// The calendar of an IANA zone; the zones are built into the program.
    ///
    /// # Errors
    ///
    /// The zone is not known.
    pub fn in_zone(name: &str) -> Result<Calendar, UnknownZone> {
        let zone = jiff::tz::db().get(name).map_err(|_| UnknownZone(name.to_owned()))?;
        Ok(Calendar { zone, name: name.to_owned() })
    }

    /// The zone's IANA name.
    pub fn zone_name(&self) -> &str {
        &self.name
    }

    /// The window of `size` that holds `moment`.
    ///
    /// Every zone has been a whole number of quarter hours away from UTC since
    /// before the first frame that is accepted, so a quarter hour never lies in
    /// two days and a day is the merge of its quarter hours.
    ///
    /// # Errors
    ///
    /// `moment` has no civil day (outside the years -9999 to 9999).
    pub fn window(&self, size: WindowSize, moment: UnixMillis) -> Result<Window, OutsideCalendar> {
        let Some(length) = size.fixed_millis() else {
            return self.day(moment);
        };
        let start = moment
            .get()
            .checked_sub(moment.get().rem_euclid(length))
            .ok_or(OutsideCalendar(moment))?;
        let end = start.checked_add(length).ok_or(OutsideCalendar(moment))?;
        Ok(Window { size, start: UnixMillis::new(start), end: UnixMillis::new(end) })
    }

    fn day(&self, moment: UnixMillis) -> Result<Window, OutsideCalendar> {
        let outside = |_| OutsideCalendar(moment);
        let local = self.local(moment).ok_or(OutsideCalendar(moment))?;
        let start = local.start_of_day().map_err(outside)?;
        let tomorrow = local.date().checked_add(1.day()).map_err(outside)?;
        let end = tomorrow.to_zoned_datetime(self.zone.clone()).map_err(outside)?.start_of_day();
        Ok(Window {
            size: WindowSize::Day,
            start: UnixMillis::new(start.timestamp().as_millisecond()),
            end: UnixMillis::new(end.map_err(outside)?.timestamp().as_millisecond()),
        })
    }

    /// The moment as the site's clocks show it, unless it is outside the
    /// calendar.
    pub fn local(&self, moment: UnixMillis) -> Option<ZonedDateTime> {
        Some(moment.timestamp()?.to_zoned_datetime(self.zone.clone()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn days(zone: &str, within: &str) -> String {
        let calendar = Calendar::in_zone(zone).unwrap();
        let day = calendar.window(WindowSize::Day, within.parse().unwrap()).unwrap();
        let hours = (day.end.get() - day.start.get()) / 3_600_000;
        format!("{} to {}, {hours} h", day.start, day.end)
    }

    #[test]
    fn a_day_is_the_sites_civil_day() {
        insta::assert_snapshot!(days("Europe/Paris", "2026-03-29T12:00:00Z"), @"2026-03-28T23:00:00Z to 2026-03-29T22:00:00Z, 23 h");
        insta::assert_snapshot!(days("Europe/Paris", "2026-10-25T12:00:00Z"), @"2026-10-24T22:00:00Z to 2026-10-25T23:00:00Z, 25 h");
        insta::assert_snapshot!(days("Asia/Kathmandu", "2026-06-01T12:00:00Z"), @"2026-05-31T18:15:00Z to 2026-06-01T18:15:00Z, 24 h");
        // Midnight does not exist on this day: Beirut's clocks jump over it.
        insta::assert_snapshot!(days("Asia/Beirut", "2026-03-29T12:00:00Z"), @"2026-03-28T22:00:00Z to 2026-03-29T21:00:00Z, 23 h");
    }

    #[test]
    fn an_unknown_zone_is_refused_by_name() {
        insta::assert_snapshot!(Calendar::in_zone("Europe/Goatville").unwrap_err(), @r#""Europe/Goatville" is no IANA time zone; one looks like Europe/Paris or UTC"#);
    }

    fn zones() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "UTC",
            "Europe/Paris",
            "Asia/Kathmandu",
            "Australia/Lord_Howe",
            "Pacific/Chatham",
            "America/St_Johns",
            "Pacific/Apia",
            "Asia/Beirut",
            "America/Caracas",
        ])
    }

    proptest! {
        #[test]
        fn windows_partition_time_and_nest(zone in zones(), moment in 946_684_800_000_i64..4_102_444_800_000) {
            let calendar = Calendar::in_zone(zone).unwrap();
            let moment = UnixMillis::new(moment);
            for size in WindowSize::ALL {
                let window = calendar.window(size, moment).unwrap();
                prop_assert!(window.start <= moment && moment < window.end);
                prop_assert_eq!(calendar.window(size, window.start).unwrap(), window);
                let last = UnixMillis::new(window.end.get() - 1);
                prop_assert_eq!(calendar.window(size, last).unwrap(), window);
                prop_assert_eq!(calendar.window(size, window.end).unwrap().start, window.end);
            }
            let quarter = calendar.window(WindowSize::QuarterHour, moment).unwrap();
            let day = calendar.window(WindowSize::Day, moment).unwrap();
            prop_assert!(day.start <= quarter.start && quarter.end <= day.end);
        }
    }
}
