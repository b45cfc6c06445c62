//! Between the words of the seam and the server's columns.

use std::error::Error as StdError;

use schemas::commit::Status;
use schemas::source::SourceId;
use sqlx::mysql::{MySqlArguments, MySqlRow};
use sqlx::{Arguments, Error, Row};

/// Values for the parameters of one statement, in order.
#[derive(Default)]
pub(super) struct Values(MySqlArguments);

impl Values {
    /// A count: the columns are signed.
    pub(super) fn int(&mut self, value: u64) -> sqlx::Result<()> {
        let value = i64::try_from(value).map_err(|error| Error::Encode(error.into()))?;
        self.signed(value)
    }

    pub(super) fn signed(&mut self, value: i64) -> sqlx::Result<()> {
        self.0.add(value).map_err(Error::Encode)
    }

    pub(super) fn double(&mut self, value: f64) -> sqlx::Result<()> {
        self.0.add(value).map_err(Error::Encode)
    }

    /// A value that may be NULL.
    pub(super) fn maybe_small(&mut self, value: Option<i32>) -> sqlx::Result<()> {
        self.0.add(value).map_err(Error::Encode)
    }

    /// A value that may be NULL.
    pub(super) fn maybe_double(&mut self, value: Option<f64>) -> sqlx::Result<()> {
        self.0.add(value).map_err(Error::Encode)
    }

    /// A value that may be NULL.
    pub(super) fn maybe_text(&mut self, value: Option<&str>) -> sqlx::Result<()> {
        self.0.add(value).map_err(Error::Encode)
    }

    pub(super) fn small(&mut self, value: u32) -> sqlx::Result<()> {
        self.0.add(value).map_err(Error::Encode)
    }

    pub(super) fn text(&mut self, value: &str) -> sqlx::Result<()> {
        self.0.add(value).map_err(Error::Encode)
    }

    pub(super) fn bytes(&mut self, value: &[u8]) -> sqlx::Result<()> {
        self.0.add(value).map_err(Error::Encode)
    }

    pub(super) fn into_arguments(self) -> MySqlArguments {
        self.0
    }
}

/// Reads a count.
pub(super) fn int(row: &MySqlRow, column: usize) -> sqlx::Result<u64> {
    let value: i64 = row.try_get(column)?;
    u64::try_from(value).map_err(|error| wrong(column, error))
}

/// Reads a text, whichever way the column keeps it.
pub(super) fn text(row: &MySqlRow, column: usize) -> sqlx::Result<&str> {
    let bytes: &[u8] = row.try_get_unchecked(column)?;
    std::str::from_utf8(bytes).map_err(|error| wrong(column, error))
}

/// Reads a column of bytes with `read`, whose error names what is wrong.
pub(super) fn parse<T, E: StdError + Send + Sync + 'static>(
    row: &MySqlRow,
    column: usize,
    read: impl FnOnce(&[u8]) -> Result<T, E>,
) -> sqlx::Result<T> {
    let bytes: &[u8] = row.try_get(column)?;
    read(bytes).map_err(|error| wrong(column, error))
}

/// Reads a text column that names one of a few things.
pub(super) fn named<T>(
    row: &MySqlRow,
    column: usize,
    find: impl FnOnce(&str) -> Option<T>,
) -> sqlx::Result<T> {
    let name = text(row, column)?;
    find(name).ok_or_else(|| Error::ColumnDecode {
        index: column.to_string(),
        source: format!("it says {name:?}").into(),
    })
}

/// Reads the column of a source.
pub(super) fn source_id(row: &MySqlRow, column: usize) -> sqlx::Result<SourceId> {
    let id: i32 = row.try_get(column)?;
    SourceId::try_from(i64::from(id)).map_err(|error| wrong(column, error))
}

/// The status of that name.
pub(super) fn status_named(name: &str) -> Option<Status> {
    [Status::Open, Status::Final, Status::Corrected].into_iter().find(|s| s.name() == name)
}

fn wrong(column: usize, error: impl StdError + Send + Sync + 'static) -> Error {
    Error::ColumnDecode { index: column.to_string(), source: error.into() }
}
