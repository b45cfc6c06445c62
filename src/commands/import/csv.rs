//! Lines of a CSV file, whose first line names the columns.
//!
//! Plain whole numbers are read in place; a line with quotes, spaces or
//! anything else goes through the `csv` crate. A record is one line: a quoted
//! line break is refused.

use schemas::avro::Header;

use super::columns::{Columns, Role};
use super::line::{Givens, Line, Refusal, Value};
use super::ndjson::natural;

/// What may stand between two values.
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];

/// Reads lines under one header.
pub(super) struct Csv {
    delimiter: u8,
    fields: Vec<Field>,
    record: csv::ByteRecord,
    line: Line,
}

struct Field {
    name: Box<str>,
    role: Role,
}

impl Csv {
    /// Reads the first line of the file.
    ///
    /// # Errors
    ///
    /// It names no usable columns: the text says what to do.
    pub(super) fn with_header(header: &[u8], columns: &Columns) -> Result<Csv, String> {
        let occurrences = |delimiter: &u8| memchr::memchr_iter(*delimiter, header).count();
        // Of equally many, the last one of the list: the comma.
        let delimiter = DELIMITERS.into_iter().rev().max_by_key(occurrences).unwrap_or(b',');
        let mut record = csv::ByteRecord::new();
        read_record(header, delimiter, &mut record).map_err(|refusal| refusal.detail)?;
        let mut fields: Vec<Field> = Vec::new();
        for name in &record {
            let name = std::str::from_utf8(name).map_err(|_| "the first line is not UTF-8")?.trim();
            if name.parse::<f64>().is_ok() {
                return Err(format!(
                    "the first line must name the columns, but has the number {name}; add a line \
                     such as source,seq,captured_at,lying,standing"
                ));
            }
            let role = columns.role(name)?;
            if role != Role::Ignored && fields.iter().any(|field| field.role == role) {
                return Err(format!("column {name:?} is there twice; leave one out with --ignore"));
            }
            fields.push(Field { name: name.into(), role });
        }
        if !fields.iter().any(|field| field.role == Role::CapturedAt) {
            let names: Vec<&str> = fields.iter().map(|field| &*field.name).collect();
            return Err(format!(
                "no column captured_at among {}; name the one that has the times with --column \
                 captured_at=NAME",
                names.join(", ")
            ));
        }
        Ok(Csv { delimiter, fields, record, line: Line::default() })
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

    /// Reads whole numbers and plain texts; `None` if `bytes` is anything else,
    /// or wrong.
    #[inline]
    fn read_usual(&mut self, bytes: &[u8]) -> Option<()> {
        let mut rest = bytes;
        let last = self.fields.len() - 1;
        for (at, field) in self.fields.iter().enumerate() {
            match natural(rest) {
                Some((number, digits)) if rest.get(digits).is_none_or(|b| *b == self.delimiter) => {
                    if !self.line.put_int(&field.role, at, number) {
                        return None;
                    }
                    rest = &rest[digits..];
                }
                _ => {
                    let end = memchr::memchr2(self.delimiter, b'"', rest).unwrap_or(rest.len());
                    let (text, behind) = rest.split_at(end);
                    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
                    if blank(text.first()) || blank(text.last()) || text.contains(&b'\r') {
                        return None;
                    }
                    let text = std::str::from_utf8(text).ok()?;
                    if !self.line.put_text(&field.role, text) {
                        return None;
                    }
                    rest = behind;
                }
            }
            if at < last {
                // Not a quote: that is for the slow way.
                rest = rest.strip_prefix(&[self.delimiter])?;
            }
        }
        rest.is_empty().then_some(())
    }

    /// Reads any line, or says what is wrong with it.
    #[cold]
    fn read_any(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.line.clear();
        read_record(bytes, self.delimiter, &mut self.record)?;
        if self.record.len() != self.fields.len() {
            let (values, names) = (self.record.len(), self.fields.len());
            let detail = format!("{values} values under {names} names");
            return Err(Refusal::new("not a value for each column", detail));
        }
        for (at, (field, value)) in self.fields.iter().zip(&self.record).enumerate() {
            let text = match std::str::from_utf8(value) {
                Ok(text) => text.trim_matches([' ', '\t']),
                Err(_) if field.role == Role::Ignored => continue,
                Err(_) => return Err(Refusal::new("not UTF-8", format!("{:?}", field.name))),
            };
            let value = match text.parse() {
                Ok(number) => Value::Int(number),
                Err(_) => Value::Text(text),
            };
            self.line.put(&field.role, at, &field.name, value)?;
        }
        Ok(())
    }
}

/// Reads the one record that `line` must be.
fn read_record(line: &[u8], delimiter: u8, record: &mut csv::ByteRecord) -> Result<(), Refusal> {
    if memchr::memchr_iter(b'"', line).count() % 2 == 1 {
        let detail = "a quote is not closed on its line";
        return Err(Refusal::new("not CSV", detail));
    }
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .buffer_capacity(line.len().max(1))
        .from_reader(line);
    let not_csv = |error: csv::Error| Refusal::new("not CSV", error.to_string());
    if !reader.read_byte_record(record).map_err(not_csv)? {
        return Err(Refusal::new("not CSV", "there is no value on the line"));
    }
    let behind = reader.position().byte();
    if usize::try_from(behind).is_ok_and(|behind| behind < line.len()) {
        return Err(Refusal::new("not CSV", "a carriage return inside the line"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
