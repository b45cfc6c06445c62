//! What one line says, whatever the file's format.

use std::time::Duration;

use schemas::avro::Header;
use schemas::frame::{ANIMALS_MAX, CLASSES_MAX, FrameId};
use schemas::source::{SessionId, SourceId};
use schemas::time::UnixMillis;

use super::columns::Role;

/// The pipeline parks what was captured before.
const CLOCK_SET_AFTER: i64 = schemas::time::CLOCK_SET_AFTER.get();

/// The field of a [`Line`]'s format that a class name stands in.
pub(super) type FieldIndex = usize;

/// What a line says. Cleared and filled again for each.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    source: Option<i64>,
    session: Option<SessionId>,
    seq: Option<i64>,
    captured_at: Option<i64>,
    /// In the order of the line.
    pub(super) counts: Vec<(FieldIndex, u32)>,
}

/// One value of a line.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Int(i64),
    Text(&'a str),
    /// Neither, and what it is.
    Other(&'static str),
}

/// Why a line is not counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// For a summary.
    pub(super) kind: &'static str,
    pub(super) detail: String,
}

impl Refusal {
    #[cold]
    pub(super) fn new(kind: &'static str, detail: impl Into<String>) -> Refusal {
        Refusal { kind, detail: detail.into() }
    }
}

impl Line {
    pub(super) fn clear(&mut self) {
        let Line { source, session, seq, captured_at, counts } = self;
        (*source, *session, *seq, *captured_at) = (None, None, None, None);
        counts.clear();
    }

    /// Whether the line has its own sequence number.
    pub(super) fn is_numbered(&self) -> bool {
        self.seq.is_some()
    }

    /// Takes the whole number in `field`; whether it could be one, and the only
    /// one, of its role. What it is otherwise, [`put`](Line::put) says.
    #[inline]
    pub(super) fn put_int(&mut self, role: &Role, field: FieldIndex, value: i64) -> bool {
        let place = match role {
            Role::Class(_) => {
                // A frame shows few classes: looking through them is quicker
                // than anything cleverer.
                let again = self.counts.iter().any(|(known, _)| *known == field);
                let animals = u32::try_from(value).unwrap_or(u32::MAX);
                if again || ANIMALS_MAX < animals || self.counts.len() == CLASSES_MAX {
                    return false;
                }
                self.counts.push((field, animals));
                return true;
            }
            Role::Source => &mut self.source,
            Role::Seq => &mut self.seq,
            Role::CapturedAt => &mut self.captured_at,
            Role::Ignored => return true,
            Role::Session => return false,
        };
        place.replace(value).is_none()
    }

    /// Takes the text in `field`; as [`put_int`](Line::put_int).
    #[inline]
    pub(super) fn put_text(&mut self, role: &Role, value: &str) -> bool {
        match role {
            Role::CapturedAt => match moment(value) {
                Some(millis) => self.captured_at.replace(millis).is_none(),
                None => false,
            },
            Role::Session => match value.parse() {
                Ok(session) => self.session.replace(session).is_none(),
                Err(_) => false,
            },
            Role::Ignored => true,
            Role::Source | Role::Seq | Role::Class(_) => false,
        }
    }

    /// Takes the value of the column called `name`, or says what is wrong.
    pub(super) fn put(
        &mut self,
        role: &Role,
        field: FieldIndex,
        name: &str,
        value: Value<'_>,
    ) -> Result<(), Refusal> {
        let taken = match value {
            Value::Int(value) => self.put_int(role, field, value),
            Value::Text(text) => self.put_text(role, text),
            Value::Other(_) => *role == Role::Ignored,
        };
        if taken { Ok(()) } else { Err(self.explain(role, field, name, value)) }
    }

    #[cold]
    fn explain(&self, role: &Role, field: FieldIndex, name: &str, value: Value<'_>) -> Refusal {
        let twice = match role {
            Role::Source => self.source.is_some(),
            Role::Session => self.session.is_some(),
            Role::Seq => self.seq.is_some(),
            Role::CapturedAt => self.captured_at.is_some(),
            Role::Class(_) => self.counts.iter().any(|(known, _)| *known == field),
            Role::Ignored => false,
        };
        let expected = match role {
            Role::Source | Role::Seq | Role::Ignored => "a whole number".to_owned(),
            Role::Session => "a UUID".to_owned(),
            Role::CapturedAt => {
                "milliseconds since 1970, or RFC 3339 as 2026-03-01T12:00:00Z".to_owned()
            }
            Role::Class(_) if self.counts.len() == CLASSES_MAX => {
                return Refusal::new(
                    "too many classes",
                    format!("more than {CLASSES_MAX} classes"),
                );
            }
            Role::Class(_) => format!("a whole number of animals, 0 to {ANIMALS_MAX}"),
        };
        let found = match value {
            // Both values may well be right; `replace` took the second.
            _ if twice && is_kind_of(role, value) => {
                return Refusal::new("a column twice", format!("{name:?} is there twice"));
            }
            Value::Int(value) => value.to_string(),
            Value::Text("") => "empty".to_owned(),
            Value::Text(text) => format!("{:?}", shortened(text)),
            Value::Other(what) => what.to_owned(),
        };
        let kind = match role {
            Role::Class(_) => "a count that is none",
            _ => "a wrong value",
        };
        Refusal::new(kind, format!("{name:?} is {found}; expected {expected}"))
    }
}

/// Whether `value` alone would have been taken, so that being there twice is
/// what is wrong with it.
fn is_kind_of(role: &Role, value: Value<'_>) -> bool {
    let mut alone = Line::default();
    match value {
        Value::Int(value) => alone.put_int(role, 0, value),
        Value::Text(text) => alone.put_text(role, text),
        Value::Other(_) => false,
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(60).collect()
}

/// What the person who imports knows of all lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Givens {
    /// Of lines that name none.
    pub(super) source: Option<SourceId>,
    /// Of lines that name none.
    pub(super) session: SessionId,
    /// Whether lines have sequence numbers of their own. One file has them
    /// throughout or not at all: mixed, one line's number could be another's
    /// place, and a frame would be taken for a duplicate.
    pub(super) numbered: bool,
    /// Nothing can have been captured later.
    pub(super) captured_before: UnixMillis,
}

impl Line {
    /// What the line counted, by class; `role_of` tells what each field is.
    #[inline]
    pub(super) fn counts<'a>(
        &'a self,
        role_of: impl Fn(usize) -> &'a Role,
    ) -> impl ExactSizeIterator<Item = (&'a str, u32)> {
        self.counts.iter().map(move |(field, animals)| match role_of(*field) {
            Role::Class(class) => (&**class, *animals),
            // Only classes are counted.
            _ => ("", *animals),
        })
    }

    /// The frame that the line numbered `number` tells of.
    #[inline]
    pub(super) fn header(&self, number: u64, givens: &Givens) -> Result<Header, Refusal> {
        let source = match (self.source, givens.source) {
            (Some(source), _) => SourceId::try_from(source)
                .map_err(|wrong| Refusal::new("a wrong value", wrong.to_string()))?,
            (None, Some(source)) => source,
            (None, None) => {
                let detail = "no source in the line; name its column (--column source=NAME) or \
                              give all lines one (--source N)";
                return Err(Refusal::new("no source", detail));
            }
        };
        let Some(captured_at) = self.captured_at else {
            let detail = "no captured_at in the line; name its column (--column captured_at=NAME)";
            return Err(Refusal::new("no captured_at", detail));
        };
        if captured_at < CLOCK_SET_AFTER {
            return Err(too_early(captured_at));
        }
        if givens.captured_before.get() < captured_at {
            let detail = format!("captured in the future, at {}", UnixMillis::new(captured_at));
            return Err(Refusal::new("captured in the future", detail));
        }
        let seq = match (self.seq, givens.numbered) {
            (Some(seq), true) => u64::try_from(seq)
                .map_err(|_| Refusal::new("a wrong value", format!("seq {seq} is negative")))?,
            (None, false) => number,
            (Some(_), false) => {
                let detail = "a seq, which the first line has not";
                return Err(Refusal::new("only some lines have a seq", detail));
            }
            (None, true) => {
                let detail = "no seq, which the first line has";
                return Err(Refusal::new("only some lines have a seq", detail));
            }
        };
        let session = self.session.unwrap_or(givens.session);
        let captured_at = UnixMillis::new(captured_at);
        Ok(Header { id: FrameId { source, session, seq }, captured_at, produced_at: captured_at })
    }
}

#[cold]
fn too_early(captured_at: i64) -> Refusal {
    let mut detail = format!("captured at {}, before the year 2000", UnixMillis::new(captured_at));
    // Seconds where milliseconds belong are the usual cause.
    if (CLOCK_SET_AFTER / 1000..CLOCK_SET_AFTER).contains(&captured_at) {
        detail += "; captured_at is in milliseconds, this looks like seconds";
    }
    Refusal::new("captured before the year 2000", detail)
}

/// How far ahead of this machine's clock a line may be stamped.
pub(super) fn captured_before(now: UnixMillis, skew_bound: Duration) -> UnixMillis {
    now.plus(skew_bound)
}

/// An RFC 3339 text in milliseconds since 1970.
#[inline]
fn moment(text: &str) -> Option<i64> {
    usual_moment(text.as_bytes())
        .or_else(|| Some(text.parse::<jiff::Timestamp>().ok()?.as_millisecond()))
}

/// `2026-03-01T12:00:00Z`, with or without a fraction of a second: what nearly
/// every file has, several times as fast as by the calendar.
fn usual_moment(text: &[u8]) -> Option<i64> {
    let (fixed, rest) = text.split_first_chunk::<19>()?;
    let marks = [fixed[4], fixed[7], fixed[10], fixed[13], fixed[16]];
    if marks != *b"--T::" {
        return None;
    }
    let number = |at: usize, digits: usize| {
        fixed[at..at + digits].iter().try_fold(0_i64, |number, byte| {
            byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0'))
        })
    };
    let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
    let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
    let fraction = match rest {
        b"Z" => 0,
        [b'.', a, b'Z'] if a.is_ascii_digit() => i64::from(a - b'0') * 100,
        [b'.', digits @ .., b'Z'] if 3 <= digits.len() && digits.len() <= 9 => {
            if !digits.iter().all(u8::is_ascii_digit) {
                return None;
            }
            digits[..3].iter().fold(0, |number, byte| number * 10 + i64::from(byte - b'0'))
        }
        _ => return None,
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_in_month = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    // A leap second, and years before 1970, are left to the calendar.
    let plausible =
        1970 <= year && 1 <= day && day <= days_in_month && hour < 24 && minute < 60 && second < 60;
    if !plausible {
        return None;
    }
    // Days since 1970 by shifted months: a year that begins in March has its
    // leap day at its end.
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + fraction)
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// A line's content, to compare with what another reader finds.
    #[derive(Debug, Default, PartialEq, Eq)]
    pub(in crate::commands::import) struct Said {
        pub(in crate::commands::import) source: Option<i64>,
        pub(in crate::commands::import) session: Option<SessionId>,
        pub(in crate::commands::import) seq: Option<i64>,
        pub(in crate::commands::import) captured_at: Option<i64>,
        pub(in crate::commands::import) counts: BTreeMap<String, u32>,
    }

    pub(in crate::commands::import) fn said(line: &Line, counts: BTreeMap<String, u32>) -> Said {
        let Line { source, session, seq, captured_at, counts: _ } = *line;
        Said { source, session, seq, captured_at, counts }
    }

    proptest! {
        #[test]
        fn the_quick_way_to_a_moment_is_the_calendars(
            millis in 0_i64..32_503_680_000_000,
            digits in 0_usize..10,
        ) {
            let moment = jiff::Timestamp::from_millisecond(millis).unwrap();
            let text = format!("{moment:.digits$}");
            let by_calendar = text.parse::<jiff::Timestamp>().unwrap().as_millisecond();
            if digits != 2 {
                prop_assert_eq!(usual_moment(text.as_bytes()), Some(by_calendar), "{}", &text);
            }
            prop_assert_eq!(super::moment(&text), Some(by_calendar), "{}", &text);
        }

        #[test]
        fn no_text_is_a_moment_by_the_quick_way_alone(
            text in "[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{0,10})?Z?",
        ) {
            if let Some(millis) = usual_moment(text.as_bytes()) {
                let by_calendar = text.parse::<jiff::Timestamp>().unwrap().as_millisecond();
                prop_assert_eq!(millis, by_calendar);
            }
        }
    }

    fn givens() -> Givens {
        Givens {
            source: None,
            session: SessionId::derived_from(b"first line"),
            numbered: false,
            captured_before: UnixMillis::new(1_800_000_000_000),
        }
    }

    fn refused(fill: impl FnOnce(&mut Line), givens: &Givens) -> String {
        let mut line =
            Line { source: Some(1), captured_at: Some(1_700_000_000_000), ..Line::default() };
        fill(&mut line);
        line.header(7, givens).map(|_| ()).unwrap_err().detail
    }

    #[test]
    fn a_line_that_is_no_frame_says_what_is_missing() {
        let told = [
            refused(|line| line.source = None, &givens()),
            refused(|line| line.source = Some(0), &givens()),
            refused(|line| line.captured_at = None, &givens()),
            refused(|line| line.captured_at = Some(1_700_000_000), &givens()),
            refused(|line| line.captured_at = Some(1_900_000_000_000), &givens()),
            refused(|line| line.seq = Some(3), &givens()),
            refused(|_| {}, &Givens { numbered: true, ..givens() }),
            refused(|line| line.seq = Some(-3), &Givens { numbered: true, ..givens() }),
        ];
        insta::assert_snapshot!(told.join("\n"), @r"
        no source in the line; name its column (--column source=NAME) or give all lines one (--source N)
        source 0 is not a whole number from 1 to 2147483647
        no captured_at in the line; name its column (--column captured_at=NAME)
        captured at 1970-01-20T16:13:20Z, before the year 2000; captured_at is in milliseconds, this looks like seconds
        captured in the future, at 2030-03-17T17:46:40Z
        a seq, which the first line has not
        no seq, which the first line has
        seq -3 is negative
        ");
    }

    #[test]
    fn a_line_is_numbered_by_its_place_unless_it_says_so_itself() {
        let mut line =
            Line { source: Some(4), captured_at: Some(1_700_000_000_000), ..Line::default() };
        assert_eq!(line.header(7, &givens()).unwrap().id.seq, 7);
        line.seq = Some(2);
        let header = line.header(7, &Givens { numbered: true, ..givens() }).unwrap();
        assert_eq!((header.id.seq, header.id.source.get()), (2, 4));
    }
}
