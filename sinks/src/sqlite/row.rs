//! Between the words of the seams and SQLite's columns.

use std::error::Error;

use rusqlite::types::{FromSqlError, ToSql, ToSqlOutput, Type, Value, ValueRef};
use rusqlite::{Row, RowIndex};
use schemas::source::SourceId;

/// A count as a column: SQLite's integers are signed.
pub(crate) struct Int(pub(crate) u64);

impl ToSql for Int {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let value = i64::try_from(self.0)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        Ok(ToSqlOutput::Owned(Value::Integer(value)))
    }
}

/// A text as a column, from its UTF-8 bytes.
pub(crate) struct Text<'a>(pub(crate) &'a [u8]);

impl ToSql for Text<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.0)))
    }
}

/// A length as a count.
pub(crate) fn to_int(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// Reads a count.
pub(crate) fn from_int(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

/// Reads a column with `read`, whose error names what is wrong with it.
pub(crate) fn parse<T, E: Error + Send + Sync + 'static>(
    row: &Row<'_>,
    column: usize,
    read: impl FnOnce(&[u8]) -> Result<T, E>,
) -> rusqlite::Result<T> {
    let value = row.get_ref(column)?;
    let bytes = value.as_bytes().map_err(|error| conversion(column, value.data_type(), error))?;
    read(bytes).map_err(|error| conversion(column, value.data_type(), error))
}

/// Reads a text column that names one of a few things.
pub(crate) fn named<T>(
    row: &Row<'_>,
    column: usize,
    find: impl FnOnce(&str) -> Option<T>,
) -> rusqlite::Result<T> {
    parse(row, column, |bytes| {
        let text = std::str::from_utf8(bytes).ok();
        text.and_then(find).ok_or(FromSqlError::InvalidType)
    })
}

/// Reads the column of a source.
pub(crate) fn source_id(row: &Row<'_>, column: impl RowIndex) -> rusqlite::Result<SourceId> {
    let column = column.idx(row.as_ref())?;
    let id: i64 = row.get(column)?;
    SourceId::try_from(id).map_err(|error| conversion(column, Type::Integer, error))
}

fn conversion(
    column: usize,
    from: Type,
    error: impl Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, from, Box::new(error))
}
