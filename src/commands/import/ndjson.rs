//! Lines that are JSON objects: `{"source":1,"captured_at":1772408970000,"lying":3}`.
//!
//! Nearly every line of a file has the same keys in the same order, and whole
//! numbers for values. Those are read in place, each key compared with the one
//! that the line before had there. Whatever else a line is, `serde_json` reads
//! it; both ways give the same answer.

use std::fmt;

use schemas::avro::Header;
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::columns::{Columns, Role};
use super::line::{FieldIndex, Givens, Line, Refusal, Value};

/// Keys that are remembered, at most; lines with others are read the slow way.
const FIELDS_MAX: usize = 1024;

/// Reads lines, and learns their keys.
pub(super) struct Ndjson {
    columns: Columns,
    /// In the order in which they were met.
    fields: Vec<Field>,
    line: Line,
}

struct Field {
    name: Box<str>,
    /// The name in quotes as it stands in a line; none if it would be escaped.
    quoted: Option<Box<[u8]>>,
    role: Role,
}

impl Ndjson {
    pub(super) fn new(columns: Columns) -> Ndjson {
        Ndjson { columns, fields: Vec::new(), line: Line::default() }
    }

    /// What the last line said.
    pub(super) fn line(&self) -> &Line {
        &self.line
    }

    /// Reads the line `bytes`.
    #[inline]
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.line.clear();
        match self.read_usual(bytes) {
            Some(()) => Ok(()),
            None => self.read_any(bytes),
        }
    }

    /// The frame that the last line told of.
    #[inline]
    pub(super) fn header(&self, number: u64, givens: &Givens) -> Result<Header, Refusal> {
        self.line.header(number, givens)
    }

    /// What the last line counted.
    #[inline]
    pub(super) fn counts(&self) -> impl ExactSizeIterator<Item = (&str, u32)> {
        self.line.counts(|field| &self.fields[field].role)
    }

    /// Reads a flat object of whole numbers and plain texts; `None` if `bytes`
    /// is anything else, or wrong.
    #[inline]
    fn read_usual(&mut self, bytes: &[u8]) -> Option<()> {
        let mut scan = Scan(bytes);
        scan.space();
        scan.take(b'{')?;
        let mut expected = 0;
        loop {
            scan.space();
            let at = self.field(&mut scan, expected)?;
            expected = at + 1;
            scan.space();
            scan.take(b':')?;
            scan.space();
            let role = &self.fields[at].role;
            let taken = match scan.0.first()? {
                b'"' => self.line.put_text(role, scan.plain_text()?),
                _ => self.line.put_int(role, at, scan.natural()?),
            };
            if !taken {
                return None;
            }
            scan.space();
            match scan.next()? {
                b',' => {}
                b'}' => break,
                _ => return None,
            }
        }
        scan.space();
        scan.0.is_empty().then_some(())
    }

    /// Takes a key, which is `expected` more often than not.
    #[inline]
    fn field(&mut self, scan: &mut Scan<'_>, expected: FieldIndex) -> Option<FieldIndex> {
        let matches = |field: &Field| {
            let rest = scan.0.strip_prefix(field.quoted.as_deref()?)?;
            Some(rest)
        };
        if let Some(rest) = self.fields.get(expected).and_then(matches) {
            scan.0 = rest;
            return Some(expected);
        }
        let found =
            self.fields.iter().enumerate().find_map(|(at, field)| Some((at, matches(field)?)));
        match found {
            Some((at, rest)) => {
                scan.0 = rest;
                Some(at)
            }
            None => self.learn(scan.plain_text()?).ok(),
        }
    }

    /// The field called `name`, new or not.
    #[cold]
    fn learn(&mut self, name: &str) -> Result<FieldIndex, Refusal> {
        if let Some(at) = self.fields.iter().position(|field| *field.name == *name) {
            return Ok(at);
        }
        let role =
            self.columns.role(name).map_err(|fault| Refusal::new("a name that is none", fault))?;
        if FIELDS_MAX <= self.fields.len() {
            let detail = format!("more than {FIELDS_MAX} different keys in one file");
            return Err(Refusal::new("too many classes", detail));
        }
        let plain = name.bytes().all(|byte| 0x20 <= byte && byte != b'"' && byte != b'\\');
        let quoted = plain.then(|| format!("\"{name}\"").into_bytes().into());
        self.fields.push(Field { name: name.into(), quoted, role });
        Ok(self.fields.len() - 1)
    }

    /// Reads any line, or says what is wrong with it.
    #[cold]
    fn read_any(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.line.clear();
        let mut refusal = None;
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let read = json
            .deserialize_map(Object { to: self, refusal: &mut refusal })
            .and_then(|()| json.end());
        match (read, refusal) {
            (Err(error), _) => Err(Refusal::new("not a JSON object", error.to_string())),
            (Ok(()), Some(refusal)) => Err(refusal),
            (Ok(()), None) => Ok(()),
        }
    }
}

/// What is left of a line.
struct Scan<'a>(&'a [u8]);

impl<'a> Scan<'a> {
    #[inline]
    fn space(&mut self) {
        while let [b' ' | b'\t' | b'\r' | b'\n', rest @ ..] = self.0 {
            self.0 = rest;
        }
    }

    #[inline]
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    #[inline]
    fn take(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    /// A whole number from 0 that surely fits.
    #[inline]
    fn natural(&mut self) -> Option<i64> {
        let (number, digits) = natural(self.0)?;
        // JSON has no leading zeros.
        if self.0[0] == b'0' && digits != 1 {
            return None;
        }
        self.0 = &self.0[digits..];
        Some(number)
    }

    /// A text in quotes without escapes.
    fn plain_text(&mut self) -> Option<&'a str> {
        let text = self.0.strip_prefix(b"\"")?;
        let end = memchr::memchr2(b'"', b'\\', text)?;
        let (text, rest) = text.split_at(end);
        if text.iter().any(|byte| *byte < 0x20) {
            return None;
        }
        self.0 = rest.strip_prefix(b"\"")?;
        std::str::from_utf8(text).ok()
    }
}

/// The digits that `bytes` begins with as a number, and how many they are;
/// `None` if there are none, or more than surely fit.
#[inline]
pub(super) fn natural(bytes: &[u8]) -> Option<(i64, usize)> {
    /// More digits could overflow.
    const DIGITS_MAX: usize = 18;
    let mut number = 0_i64;
    let mut digits = 0;
    // Eight at a time: a moment in milliseconds has thirteen.
    while let Some(chunk) = bytes[digits..].first_chunk::<8>()
        && let Some(eight) = eight_digits(*chunk)
    {
        if DIGITS_MAX < digits + 8 {
            return None;
        }
        number = number * 100_000_000 + i64::from(eight);
        digits += 8;
    }
    for byte in &bytes[digits..] {
        let digit = byte.wrapping_sub(b'0');
        if 9 < digit {
            break;
        }
        if DIGITS_MAX <= digits {
            return None;
        }
        number = number * 10 + i64::from(digit);
        digits += 1;
    }
    (0 < digits).then_some((number, digits))
}

/// Eight ASCII digits as a number, by adding up neighbours: ones to tens, those
/// to thousands, those to all eight.
#[inline]
fn eight_digits(chunk: [u8; 8]) -> Option<u32> {
    let word = u64::from_le_bytes(chunk);
    // A byte from '0' to '9' has a high half of 3, also with 6 added.
    let high = 0xf0f0_f0f0_f0f0_f0f0;
    let threes = 0x3030_3030_3030_3030;
    if word & high != threes || word.wrapping_add(0x0606_0606_0606_0606) & high != threes {
        return None;
    }
    let ones = word & 0x0f0f_0f0f_0f0f_0f0f;
    let twos = (ones.wrapping_mul(2561) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (twos.wrapping_mul(6_553_601) >> 16) & 0x0000_ffff_0000_ffff;
    let eight = fours.wrapping_mul(42_949_672_960_001) >> 32;
    u32::try_from(eight).ok()
}

/// Takes an object apart, and goes on after what is refused: a line is not JSON
/// first, and wrong in its values second.
struct Object<'a> {
    to: &'a mut Ndjson,
    refusal: &'a mut Option<Refusal>,
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            let at = match self.to.learn(&name) {
                Ok(at) => at,
                Err(refusal) => {
                    self.refusal.get_or_insert(refusal);
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            let role = self.to.fields[at].role.clone();
            if role == Role::Ignored {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = map.next_value::<Any>()?;
            if let Err(refusal) = self.to.line.put(&role, at, &name, value.as_value()) {
                self.refusal.get_or_insert(refusal);
            }
        }
        Ok(())
    }
}

/// Any JSON value.
enum Any {
    Int(i64),
    Text(String),
    Other(&'static str),
}

impl Any {
    fn as_value(&self) -> Value<'_> {
        match self {
            Any::Int(value) => Value::Int(*value),
            Any::Text(text) => Value::Text(text),
            Any::Other(what) => Value::Other(what),
        }
    }
}

impl<'de> serde::Deserialize<'de> for Any {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Any, D::Error> {
        struct AnyVisitor;

        impl<'de> Visitor<'de> for AnyVisitor {
            type Value = Any;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_i64<E>(self, value: i64) -> Result<Any, E> {
                Ok(Any::Int(value))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Any, E> {
                Ok(i64::try_from(value).map_or(Any::Other("too large a number"), Any::Int))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Any, E> {
                Ok(Any::Other("a number with a fraction or an exponent"))
            }

            fn visit_str<E>(self, text: &str) -> Result<Any, E> {
                Ok(Any::Text(text.to_owned()))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Any, E> {
                Ok(Any::Other("true or false"))
            }

            fn visit_unit<E>(self) -> Result<Any, E> {
                Ok(Any::Other("null"))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Any, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Any::Other("a list"))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Any, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Any::Other("an object"))
            }
        }

        from.deserialize_any(AnyVisitor)
    }
}

#[cfg(test)]
mod tests;
