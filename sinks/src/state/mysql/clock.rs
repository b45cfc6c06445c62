//! What the site's clocks show, in a table: the original system's views tell days,
//! hours and minutes of the farm, and the server may know no time zones.
//!
//! # Invariants
//!
//! - Every UTC day in which a minute begins that has a window is in `clock`, with
//!   all its minutes: a day is written, and committed, before the first commit that
//!   has a window of it. A row of `clock` without a window is no harm.
//! - What is there is never changed: the zone never is (see the shape).
//!
//! What would break the first: commits of a process that never told the shape, or
//! tables of an older version. Whoever tells the shape next makes up for it.

use std::collections::{BTreeSet, HashSet};

use schemas::commit::Commit;
use schemas::time::UnixMillis;
use schemas::window::{Calendar, WindowSize};
use sqlx::Row;

use crate::state::mysql::batch::{Statement, find};
use crate::state::mysql::connection::Link;

const DAY_MINUTES: i64 = 24 * 60;
const DAY_S: i64 = DAY_MINUTES * 60;
const DAY_MS: i64 = DAY_S * 1000;

/// Zones change by whole quarters of an hour from UTC, and at whole quarters.
const QUARTER_MINUTES: i64 = 15;

/// The minutes of one stretch, which `counted_minutes` counts.
const STRETCH: &str = "
    INSERT IGNORE INTO clock (start_s, local)
    SELECT ? + 60 * n, TIMESTAMP('1970-01-01') + INTERVAL (? + 60 * n) SECOND
    FROM counted_minutes
    WHERE n < ?";

/// The civil days that have windows, of all sources; by their keys.
const DAYS: &str = "
    SELECT DISTINCT w.start_ms, w.end_ms
    FROM sources AS o
    STRAIGHT_JOIN windows AS w ON w.source = o.source AND w.size = '1d'";

/// Which of some days are there; each by its first minute.
static FOUND: Statement = Statement::new(|days| {
    let days = vec!["?"; days].join(", ");
    format!("SELECT start_s FROM clock WHERE site = 1 AND start_s IN ({days})")
});

/// The site's clocks, and the days that are known to be in the table.
#[derive(Default)]
pub(super) struct Clock {
    /// None until the shape is told: then nothing is written.
    calendar: Option<Calendar>,
    /// Days since 1970, in UTC.
    known: HashSet<i64>,
}

/// A day that is to be written: how its clocks go.
pub(super) struct Day {
    day: i64,
    stretches: Vec<Stretch>,
}

/// Minutes of a day in which the clocks stay equally far from UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    start_s: i64,
    minutes: i64,
    /// Local time less UTC.
    ahead_s: i64,
}

impl Clock {
    /// Sets the zone.
    pub(super) fn set(&mut self, calendar: Calendar) {
        self.calendar = Some(calendar);
    }

    /// The days of `commit` that are not known to be there.
    pub(super) fn missing(&self, commit: &Commit) -> Vec<Day> {
        let Some(calendar) = &self.calendar else { return Vec::new() };
        let windows = commit.sources.iter().flat_map(|change| &change.windows);
        let minutes = windows.filter(|state| state.window.size == WindowSize::Minute);
        let days = minutes.map(|state| state.window.start.get().div_euclid(DAY_MS));
        let new: BTreeSet<i64> = days.filter(|day| !self.known.contains(day)).collect();
        new.into_iter().map(|day| Day::of(calendar, day)).collect()
    }

    /// Remembers that `days` are there.
    pub(super) fn learn(&mut self, days: &[Day]) {
        self.known.extend(days.iter().map(|day| day.day));
    }
}

/// Writes `days`, in the transaction that `link` is in.
pub(super) async fn write(link: &mut Link, days: &[Day]) -> sqlx::Result<()> {
    for Stretch { start_s, minutes, ahead_s } in days.iter().flat_map(|day| &day.stretches) {
        let stretch = sqlx::query(STRETCH).bind(start_s).bind(start_s + ahead_s).bind(minutes);
        link.execute(stretch).await?;
    }
    Ok(())
}

/// The days of windows that are there and have no clock.
pub(super) async fn overdue(link: &mut Link, calendar: &Calendar) -> sqlx::Result<Vec<Day>> {
    let civil = link
        .rows(sqlx::query(DAYS), |row| Ok((row.try_get::<i64, _>(0)?, row.try_get::<i64, _>(1)?)));
    let mut days = BTreeSet::new();
    for (start_ms, end_ms) in civil.await? {
        days.extend(start_ms.div_euclid(DAY_MS)..=(end_ms - 1).div_euclid(DAY_MS));
    }
    let keys: Vec<i64> = days.iter().map(|day| day * DAY_S).collect();
    let bind = |key: &i64, values: &mut crate::state::mysql::row::Values| values.signed(*key);
    let read = |row: &sqlx::mysql::MySqlRow| row.try_get::<i64, _>(0);
    for start_s in find(link, &FOUND, &keys, |_| Ok(()), bind, read).await? {
        days.remove(&start_s.div_euclid(DAY_S));
    }
    Ok(days.into_iter().map(|day| Day::of(calendar, day)).collect())
}

impl Day {
    fn of(calendar: &Calendar, day: i64) -> Day {
        let mut stretches: Vec<Stretch> = Vec::new();
        for quarter in 0..DAY_MINUTES / QUARTER_MINUTES {
            let start_s = day * DAY_S + quarter * QUARTER_MINUTES * 60;
            // Outside the calendar there is no window either.
            let Some(local) = calendar.local(UnixMillis::new(start_s * 1000)) else { continue };
            let ahead_s = i64::from(local.offset().seconds());
            match stretches.last_mut() {
                Some(last) if last.ahead_s == ahead_s => last.minutes += QUARTER_MINUTES,
                _ => stretches.push(Stretch { start_s, minutes: QUARTER_MINUTES, ahead_s }),
            }
        }
        Day { day, stretches }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(zone: &str, noon: &str) -> Vec<(i64, i64, i64)> {
        let calendar = Calendar::in_zone(zone).unwrap();
        let day = noon.parse::<UnixMillis>().unwrap().get().div_euclid(DAY_MS);
        let Day { stretches, .. } = Day::of(&calendar, day);
        stretches
            .iter()
            .map(|s| ((s.start_s - day * DAY_S) / 60, s.minutes, s.ahead_s / 60))
            .collect()
    }

    #[test]
    fn a_day_on_which_the_clocks_are_changed_has_two_stretches() {
        assert_eq!(told("Europe/Paris", "2026-03-28T12:00:00Z"), [(0, 1440, 60)]);
        assert_eq!(told("Europe/Paris", "2026-03-29T12:00:00Z"), [(0, 60, 60), (60, 1380, 120)]);
        assert_eq!(told("Europe/Paris", "2026-10-25T12:00:00Z"), [(0, 60, 120), (60, 1380, 60)]);
        // By half an hour, in the middle of an hour of UTC.
        assert_eq!(
            told("Australia/Lord_Howe", "2026-10-03T12:00:00Z"),
            [(0, 930, 630), (930, 510, 660)]
        );
    }

    #[test]
    fn only_days_of_minutes_that_are_new_are_written() {
        let mut clock = Clock::default();
        let commit = Commit::default();
        assert!(clock.missing(&commit).is_empty());
        clock.set(Calendar::in_zone("UTC").unwrap());
        assert!(clock.missing(&commit).is_empty());
    }
}
