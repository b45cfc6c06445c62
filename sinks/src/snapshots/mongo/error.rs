//! The driver's errors in the words of the seam.

use mongodb::error::{Error, ErrorKind, WriteFailure};
use schemas::commit::StoreError;

use crate::config::MONGO_PASSWORD_ENV;
use crate::snapshots::mongo::calls::Failed;

/// The server has a document of that `_id`.
const DUPLICATE_KEY: i32 = 11000;

/// The server's disk is full.
const OUT_OF_DISK_SPACE: i32 = 14031;

/// Who we say that we are, or may do, is not what the server knows.
const NOT_ALLOWED: [i32; 2] = [
    13, // Unauthorized
    18, // AuthenticationFailed
];

/// What a server will not do, however often it is asked: it does not know how, or
/// the documents are not what somebody told it to expect.
const REFUSALS: [i32; 9] = [
    2,     // BadValue
    9,     // FailedToParse
    14,    // TypeMismatch
    59,    // CommandNotFound
    73,    // InvalidNamespace
    85,    // IndexOptionsConflict
    121,   // DocumentValidationFailure
    238,   // NotImplemented
    10334, // BSONObjectTooLarge
];

/// The error of `doing` something with the collection `at`.
pub(super) fn store_error(doing: &'static str, at: &str, failed: Failed) -> StoreError {
    let at = at.to_owned();
    let error = match failed {
        Failed::TimedOut(timeout) => {
            let source = format!("there was no answer in {timeout:?}").into();
            return StoreError::Unreachable { doing, at, source };
        }
        Failed::Panicked => {
            let source = "the driver panicked".into();
            return StoreError::Unreachable { doing, at, source };
        }
        Failed::Driver(error) => error,
    };
    let code = code(&error);
    if code == Some(OUT_OF_DISK_SPACE) {
        return StoreError::Full { at, source: error.into() };
    }
    let kind = &*error.kind;
    let hint = if matches!(kind, ErrorKind::Authentication { .. })
        || code.is_some_and(|code| NOT_ALLOWED.contains(&code))
    {
        format!(
            "check the user in snapshots.mongo.url, {MONGO_PASSWORD_ENV}, and that the user may \
             read and write the database"
        )
    } else if matches!(kind, ErrorKind::InvalidArgument { .. } | ErrorKind::InvalidTlsConfig { .. })
    {
        "check snapshots.mongo.url".to_owned()
    } else if matches!(kind, ErrorKind::IncompatibleServer { .. })
        || code.is_some_and(|code| REFUSALS.contains(&code))
    {
        "check the server's version, and the rules that it has for the collection".to_owned()
    } else {
        return StoreError::Unreachable { doing, at, source: error.into() };
    };
    StoreError::Refused { at, what: format!("could not {doing} it: {error}"), hint }
}

/// The places in the batch of those that were there already, if that is all that
/// was wrong.
pub(super) fn duplicates(failed: Failed) -> Result<Vec<usize>, Failed> {
    let Failed::Driver(error) = failed else { return Err(failed) };
    match &*error.kind {
        ErrorKind::InsertMany(insert) if insert.write_concern_error.is_none() => {
            let errors = insert.write_errors.as_deref().unwrap_or_default();
            if errors.iter().all(|error| error.code == DUPLICATE_KEY) {
                return Ok(errors.iter().map(|error| error.index).collect());
            }
        }
        _ => {}
    }
    Err(Failed::Driver(error))
}

/// The server's own number for what is wrong, if it is the server that says so.
fn code(error: &Error) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Command(command) => Some(command.code),
        ErrorKind::Write(WriteFailure::WriteError(write)) => Some(write.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(concern)) => Some(concern.code),
        ErrorKind::InsertMany(insert) => {
            let errors = insert.write_errors.as_deref().unwrap_or_default();
            let other = errors.iter().map(|error| error.code).find(|code| *code != DUPLICATE_KEY);
            other.or_else(|| insert.write_concern_error.as_ref().map(|concern| concern.code))
        }
        _ => None,
    }
}
