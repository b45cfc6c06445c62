//! SQLite's errors in the words of the seam.

use std::path::Path;

use rusqlite::{Error, ErrorCode, ffi};
use schemas::commit::StoreError;

/// The error of `doing` something with the database in `path`.
pub(crate) fn store_error(doing: &'static str, path: &Path, error: Error) -> StoreError {
    let at = path.display().to_string();
    if let Error::FromSqlConversionFailure(..)
    | Error::IntegralValueOutOfRange(..)
    | Error::InvalidColumnType(..) = &error
    {
        return StoreError::Damaged { at, what: format!("could not {doing} it: {error}") };
    }
    let Some(failure) = error.sqlite_error() else {
        return StoreError::Unreachable { doing, at, source: error.into() };
    };
    // The shared memory beside the file cannot grow: the disk is full too.
    let shared_memory = failure.extended_code == ffi::SQLITE_IOERR_SHMSIZE;
    match failure.code {
        ErrorCode::DiskFull => StoreError::Full { at, source: error.into() },
        _ if shared_memory => StoreError::Full { at, source: error.into() },
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::ConstraintViolation => {
            StoreError::Damaged { at, what: format!("could not {doing} it: {error}") }
        }
        _ => StoreError::Unreachable { doing, at, source: error.into() },
    }
}

/// The error of a database that holds what it should not.
pub(crate) fn damaged(path: &Path, what: String) -> StoreError {
    StoreError::Damaged { at: path.display().to_string(), what }
}
