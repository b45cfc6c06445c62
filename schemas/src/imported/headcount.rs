//! Headcounts that somebody wrote down in files: rows, the quarters of an hour
//! that they make up, and how many animals lay and stood in each.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, DateTime};
use jiff::{ToSpan, Unit};

use crate::source::SourceId;
use crate::time::UnixMillis;
use crate::users::Scope;

/// Which of the original system's two tables a file's rows belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    First,
    Second,
}

impl Table {
    pub const ALL: [Table; 2] = [Table::First, Table::Second];

    /// Its name there, and in URLs.
    pub const fn name(self) -> &'static str {
        match self {
            Table::First => "final",
            Table::Second => "final_2",
        }
    }

    /// Its number in our tables.
    pub const fn number(self) -> u8 {
        match self {
            Table::First => 1,
            Table::Second => 2,
        }
    }

    /// The table of that number.
    pub fn numbered(number: i64) -> Option<Table> {
        Table::ALL.into_iter().find(|table| i64::from(table.number()) == number)
    }

    /// Where the rows of a file of that name go, if anywhere: the name's end says.
    pub fn of_file(name: &str) -> Option<Table> {
        if name.ends_with("-1.csv") {
            return Some(Table::First);
        }
        name.ends_with("-2.csv").then_some(Table::Second)
    }
}

impl FromStr for Table {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Table, &'static str> {
        let named = Table::ALL.into_iter().find(|table| table.name() == text);
        named.ok_or("it is final or final_2")
    }
}

/// A moment as a clock on the wall showed it, in milliseconds: the files name no
/// zone, so in autumn one hour stands for two.
///
/// Invariant: in the years 1000 to 9999, which every store can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(DateTime);

impl Wall {
    /// That moment, without what is finer than a millisecond; none outside the
    /// years 1000 to 9999.
    pub fn of(moment: DateTime) -> Option<Wall> {
        let nanos = moment.subsec_nanosecond();
        let moment = moment.with().subsec_nanosecond(nanos - nanos % 1_000_000).build().ok()?;
        (1000 <= moment.year()).then_some(Wall(moment))
    }

    /// In which quarter of an hour since 1970 it lies.
    pub fn quarter(self) -> i64 {
        let days = Date::constant(1970, 1, 1).until((Unit::Day, self.0.date()));
        let days = days.map_or(0, |span| i64::from(span.get_days()));
        days * 96 + i64::from(self.0.hour()) * 4 + i64::from(self.0.minute()) / 15
    }

    /// The first moment of a quarter of an hour, if it is in those years.
    pub fn beginning(quarter: i64) -> Option<Wall> {
        let minutes = quarter.checked_mul(15)?;
        let since = 0.minutes().try_minutes(minutes).ok()?;
        Wall::of(DateTime::constant(1970, 1, 1, 0, 0, 0, 0).checked_add(since).ok()?)
    }

    /// The moment itself.
    pub const fn civil(self) -> DateTime {
        self.0
    }
}

impl fmt::Display for Wall {
    /// As long for every moment, so that texts are in the order of time:
    /// `2026-03-01 12:00:00.000`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (date, time) = (self.0.date(), self.0.time());
        let millis = time.subsec_nanosecond() / 1_000_000;
        let (hour, minute, second) = (time.hour(), time.minute(), time.second());
        write!(f, "{date} {hour:02}:{minute:02}:{second:02}.{millis:03}")
    }
}

/// One row of a file.
///
/// Invariant: a number is finite and not negative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Headcount {
    pub wall: Wall,
    /// Animals that lie; none where the file says nothing.
    pub lying: Option<f64>,
    /// Animals that stand.
    pub standing: Option<f64>,
    /// How many equal rows come before it in its file. Rows that are equal in all
    /// this are one row, whichever files they come from.
    pub nth: u32,
}

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Rows that no file had brought before.
    pub new: u64,
    /// Whether the same content had been imported before.
    pub known: bool,
}

/// A file that was imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// Grows with each file.
    pub number: u64,
    pub source: SourceId,
    pub table: Table,
    pub name: String,
    /// SHA-256 of its content, in hexadecimal digits.
    pub sha256: String,
    pub bytes: u64,
    pub imported_at: UnixMillis,
    pub rows_read: u64,
    pub rows_refused: u64,
    /// Rows that no file had brought before.
    pub rows_new: u64,
    /// Whether all its rows are there: an import may have been interrupted.
    pub whole: bool,
}

/// Which files to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesQuery {
    /// Of which sources.
    pub scope: Scope,
    /// Only files of a lower number.
    pub before: Option<u64>,
    pub limit: u32,
}

/// Which quarters of an hour to summarise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuartersQuery {
    pub source: SourceId,
    pub table: Table,
    /// The first quarter; see [`Wall::quarter`].
    pub from: i64,
    /// The first quarter that no longer counts.
    pub to: i64,
    pub newest_first: bool,
    /// At most so many quarters that have rows.
    pub limit: u32,
}

/// The headcounts of a quarter of an hour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quarter {
    /// See [`Wall::quarter`].
    pub quarter: i64,
    /// At least one.
    pub rows: u64,
    /// The median of the rows that say; none if no row does.
    pub lying: Option<f64>,
    pub standing: Option<f64>,
}

impl Quarter {
    /// How many of a hundred animals stand; see [`ratio_standing`].
    pub fn ratio_standing(&self) -> Option<f64> {
        ratio_standing(self.lying?, self.standing?)
    }
}

/// How many of a hundred animals stand; none if there is no animal.
pub fn ratio_standing(lying: f64, standing: f64) -> Option<f64> {
    let all = standing + lying;
    (0.0 < all).then(|| standing / all * 100.0)
}

/// Makes quarters of rows that come in the order of their quarters, holding the
/// rows of one at a time.
#[derive(Debug, Default)]
pub struct Quarters {
    done: Vec<Quarter>,
    quarter: i64,
    rows: u64,
    lying: Vec<f64>,
    standing: Vec<f64>,
}

impl Quarters {
    /// Takes the next row.
    pub fn push(&mut self, quarter: i64, lying: Option<f64>, standing: Option<f64>) {
        if quarter != self.quarter {
            self.end();
            self.quarter = quarter;
        }
        self.rows += 1;
        self.lying.extend(lying);
        self.standing.extend(standing);
    }

    /// The quarters, in the order in which they came.
    pub fn finish(mut self) -> Vec<Quarter> {
        self.end();
        self.done
    }

    fn end(&mut self) {
        if self.rows == 0 {
            return;
        }
        self.done.push(Quarter {
            quarter: self.quarter,
            rows: self.rows,
            lying: median(&mut self.lying),
            standing: median(&mut self.standing),
        });
        self.rows = 0;
        self.lying.clear();
        self.standing.clear();
    }
}

/// The middle one, or the mean of the middle two.
fn median(numbers: &mut [f64]) -> Option<f64> {
    numbers.sort_unstable_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    let upper = *numbers.get(middle)?;
    match numbers.len() % 2 {
        0 => Some((numbers[middle - 1] + upper) / 2.0),
        _ => Some(upper),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wall(text: &str) -> Wall {
        Wall::of(text.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_quarter_begins_where_it_says() {
        for (text, begins) in [
            ("2026-03-01 12:14:59.999", "2026-03-01 12:00:00.000"),
            ("2026-03-01 12:15:00", "2026-03-01 12:15:00.000"),
            ("1969-12-31 23:59:59", "1969-12-31 23:45:00.000"),
            ("1000-01-01 00:00:00", "1000-01-01 00:00:00.000"),
            ("9999-12-31 23:59:59", "9999-12-31 23:45:00.000"),
        ] {
            let beginning = Wall::beginning(wall(text).quarter()).unwrap();
            assert_eq!(beginning.to_string(), begins);
        }
        assert_eq!(Wall::of("0999-12-31 23:59:59".parse().unwrap()), None);
        assert_eq!(Wall::beginning(i64::MAX), None);
    }

    #[test]
    fn a_file_goes_where_its_name_ends() {
        let of = |name| Table::of_file(name).map(Table::name);
        assert_eq!(of("pen-1.csv"), Some("final"));
        assert_eq!(of("pen-2.csv"), Some("final_2"));
        for other in ["pen-3.csv", "pen-1.CSV", "pen-1.csv.gz", "1.csv", "-1csv"] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn as_many_rows_are_below_a_median_as_above(
            mut numbers in prop::collection::vec(0_u32..50, 1..40),
        ) {
            let mut floats: Vec<f64> = numbers.iter().map(|n| f64::from(*n) / 2.0).collect();
            let median = median(&mut floats).unwrap();
            let below = floats.iter().filter(|n| **n < median).count();
            let above = floats.iter().filter(|n| median < **n).count();
            prop_assert!(below * 2 <= floats.len() && above * 2 <= floats.len());
            numbers.sort_unstable();
            let twice = numbers[(numbers.len() - 1) / 2] + numbers[numbers.len() / 2];
            prop_assert_eq!(median.to_bits(), (f64::from(twice) / 4.0).to_bits());
        }
    }
}
