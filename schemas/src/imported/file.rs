//! Files of headcounts, as the original system's users have them: CSV with the
//! columns `date`, `Effectif couche` and `Effectif debout`, among others.
//!
//! They come from spreadsheets and from pandas, so: UTF-8, with its mark or
//! without, or else Latin-1; `,` or `;`; a point or a comma in numbers; quoted as
//! pandas quotes; and whatever pandas takes for no value is none.
//!
//! A row whose date or numbers cannot be read is refused with its line and the
//! reason, and the others are kept.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};

use super::headcount::{Headcount, Table, Wall};
use crate::digest;
use crate::source::SourceId;
use crate::time::UnixMillis;
use crate::window::Calendar;

/// Rows that were refused of which a report tells; of the others, how many.
pub const TOLD_MAX: usize = 20;

/// The columns, in the original's words, which are the contract.
const DATE: &str = "date";
const LYING: &str = "Effectif couche";
const STANDING: &str = "Effectif debout";

/// What pandas reads as no value.
const NO_VALUE: [&str; 19] = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
];

/// A file, apart from its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadcountFile {
    pub source: SourceId,
    pub table: Table,
    /// Without its folder.
    pub name: String,
    /// SHA-256 of the content, in hexadecimal digits.
    pub sha256: String,
    pub bytes: u64,
    pub imported_at: UnixMillis,
    /// Rows below the names of the columns.
    pub rows_read: u64,
    pub rows_refused: u64,
}

/// What a file holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Content {
    pub file: HeadcountFile,
    pub rows: Vec<Headcount>,
    pub refused: Refused,
}

/// Rows that cannot be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// How many, by reason.
    pub reasons: BTreeMap<&'static str, u64>,
    /// The first [`TOLD_MAX`].
    pub told: Vec<Refusal>,
}

/// One row that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its first line in the file, from 1.
    pub line: u64,
    pub reason: &'static str,
    /// What was found.
    pub found: String,
}

/// Why no row of a file can be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidFile {
    #[error("it is UTF-16; save it as UTF-8, or as Latin-1")]
    Utf16,

    #[error("it is empty; its first line must name the columns")]
    Empty,

    #[error(
        "it has no column {}; its first line names {named}",
        missing.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(" and none ")
    )]
    NoColumn { missing: Vec<&'static str>, named: String },

    #[error("it names the column {0:?} twice")]
    Twice(&'static str),

    #[error("its first line is no CSV")]
    Header(#[source] csv::Error),
}

impl Refused {
    /// How many in all.
    pub fn total(&self) -> u64 {
        self.reasons.values().sum()
    }

    fn add(&mut self, line: u64, reason: &'static str, found: &str) {
        *self.reasons.entry(reason).or_default() += 1;
        if self.told.len() < TOLD_MAX {
            let found = found.chars().take(60).collect();
            self.told.push(Refusal { line, reason, found });
        }
    }
}

impl HeadcountFile {
    /// Reads the content of the file `name`. Moments that name a zone are brought
    /// to the clocks of `calendar`.
    ///
    /// # Errors
    ///
    /// It cannot be told where its columns are.
    pub fn read(
        name: &str,
        bytes: &[u8],
        source: SourceId,
        table: Table,
        calendar: &Calendar,
        now: UnixMillis,
    ) -> Result<Content, InvalidFile> {
        let text = decoded(bytes)?;
        let (rows, rows_read, refused) = read(&text, calendar)?;
        let file = HeadcountFile {
            source,
            table,
            name: name.to_owned(),
            sha256: digest::sha256(bytes),
            bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            imported_at: now,
            rows_read,
            rows_refused: refused.total(),
        };
        Ok(Content { file, rows, refused })
    }
}

fn decoded(bytes: &[u8]) -> Result<Cow<'_, str>, InvalidFile> {
    if bytes.starts_with(b"\xFE\xFF") || bytes.starts_with(b"\xFF\xFE") {
        return Err(InvalidFile::Utf16);
    }
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    Ok(match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        // Every byte of Latin-1 is the character of its number.
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect::<String>().into(),
    })
}

fn read(text: &str, calendar: &Calendar) -> Result<(Vec<Headcount>, u64, Refused), InvalidFile> {
    let first = text.lines().find(|line| !line.is_empty()).ok_or(InvalidFile::Empty)?;
    let occurrences = |delimiter| first.matches(delimiter).count();
    let delimiter = if occurrences(',') < occurrences(';') { b';' } else { b',' };
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(text.as_bytes());
    let columns = Columns::of(reader.headers().map_err(InvalidFile::Header)?)?;

    let (mut rows, mut refused, mut read) = (Vec::new(), Refused::default(), 0);
    let mut seen: HashMap<(Wall, Option<u64>, Option<u64>), u32> = HashMap::new();
    let mut record = csv::StringRecord::new();
    loop {
        match reader.read_record(&mut record) {
            Ok(false) => break,
            Ok(true) => {}
            Err(error) => {
                read += 1;
                let line = error.position().map_or(0, |at| line(text, at));
                refused.add(line, "no CSV", &error.to_string());
                continue;
            }
        }
        read += 1;
        let line = record.position().map_or(0, |at| line(text, at));
        match columns.row(&record, calendar) {
            Ok((wall, lying, standing)) => {
                let equal = (wall, lying.map(f64::to_bits), standing.map(f64::to_bits));
                let nth = seen.entry(equal).or_default();
                rows.push(Headcount { wall, lying, standing, nth: *nth });
                *nth += 1;
            }
            Err((reason, found)) => refused.add(line, reason, found),
        }
    }
    Ok((rows, read, refused))
}

/// The line of the row that is read from `at` on: behind empty lines.
fn line(text: &str, at: &csv::Position) -> u64 {
    let from = usize::try_from(at.byte()).unwrap_or(usize::MAX);
    let rest = text.as_bytes().get(from..).unwrap_or_default();
    let empty = rest.iter().take_while(|byte| matches!(byte, b'\n' | b'\r'));
    let lines = empty.filter(|byte| **byte == b'\n').count();
    at.line().saturating_add(u64::try_from(lines).unwrap_or(0))
}

/// A moment, and how many lie and stand.
type Row = (Wall, Option<f64>, Option<f64>);

/// Where the columns are.
struct Columns {
    date: usize,
    lying: usize,
    standing: usize,
    count: usize,
}

impl Columns {
    fn of(header: &csv::StringRecord) -> Result<Columns, InvalidFile> {
        let mut missing = Vec::new();
        let mut place = |wanted: &'static str| {
            let mut places = header.iter().enumerate().filter(|(_, name)| name.trim() == wanted);
            let place = places.next().map(|(place, _)| place);
            if place.is_none() {
                missing.push(wanted);
            }
            match places.next() {
                Some(_) => Err(InvalidFile::Twice(wanted)),
                None => Ok(place.unwrap_or_default()),
            }
        };
        let (date, lying, standing) = (place(DATE)?, place(LYING)?, place(STANDING)?);
        if missing.is_empty() {
            return Ok(Columns { date, lying, standing, count: header.len() });
        }
        let named: Vec<String> = header.iter().take(20).map(|name| format!("{name:?}")).collect();
        Err(InvalidFile::NoColumn { missing, named: named.join(", ") })
    }

    /// What a row says, or why it is refused and what was found.
    fn row<'r>(
        &self,
        record: &'r csv::StringRecord,
        calendar: &Calendar,
    ) -> Result<Row, (&'static str, &'r str)> {
        if let Some(more) = record.iter().skip(self.count).find(|value| !value.trim().is_empty()) {
            return Err(("more values than columns", more));
        }
        // A row that is too short says nothing in the columns it lacks.
        let value = |place| record.get(place).unwrap_or_default().trim();
        let date = value(self.date);
        let wall = moment(date, calendar).ok_or(("no date", date))?;
        let number = |place| {
            let text = value(place);
            match NO_VALUE.contains(&text) {
                true => Ok(None),
                false => count(text).map(Some).ok_or(("no headcount", text)),
            }
        };
        Ok((wall, number(self.lying)?, number(self.standing)?))
    }
}

/// A finite number that is not negative, with a point or a comma.
fn count(text: &str) -> Option<f64> {
    let number: f64 = match text.split_once(',') {
        Some((whole, decimals)) if decimals.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{whole}.{decimals}").parse().ok()?
        }
        Some(_) => return None,
        None => text.parse().ok()?,
    };
    // Adding zero makes a zero of the negative zero.
    (number.is_finite() && 0.0 <= number).then_some(number + 0.0)
}

/// A date with or without a time: ISO 8601, or day, month and year as in
/// `31/12/2026 23:59`.
fn moment(text: &str, calendar: &Calendar) -> Option<Wall> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        let local = calendar.local(UnixMillis::new(moment.as_millisecond()))?;
        return Wall::of(local.datetime());
    }
    let civil = text.parse::<DateTime>().ok().or_else(|| day_first(text))?;
    Wall::of(civil)
}

fn day_first(text: &str) -> Option<DateTime> {
    let (date, time) = text.split_once([' ', 'T']).unwrap_or((text, ""));
    let mut parts = date.split('/');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || year.len() != 4 {
        return None;
    }
    let date = Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()?;
    let time = match time.trim() {
        "" => Time::midnight(),
        time => time.parse().ok()?,
    };
    Some(date.to_datetime(time))
}

#[cfg(test)]
mod tests;
