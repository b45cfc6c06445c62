//! The server's errors in the words of the seam.

use std::error::Error as _;

use schemas::commit::StoreError;
use sqlx::Error;
use sqlx::mysql::MySqlDatabaseError;

use crate::state::mysql::connection::Server;

/// Numbers that MySQL and MariaDB give their errors. Where they differ, both.
mod number {
    pub(super) const DISK_FULL: u16 = 1021;
    pub(super) const ERROR_ON_WRITE: u16 = 1026;
    pub(super) const ENGINE: u16 = 1030;
    pub(super) const DB_ACCESS_DENIED: u16 = 1044;
    pub(super) const ACCESS_DENIED: u16 = 1045;
    pub(super) const BAD_DB: u16 = 1049;
    pub(super) const SERVER_SHUTDOWN: u16 = 1053;
    pub(super) const DUP_ENTRY: u16 = 1062;
    pub(super) const TABLE_FULL: u16 = 1114;
    pub(super) const HOST_NOT_PRIVILEGED: u16 = 1130;
    pub(super) const TABLE_ACCESS_DENIED: u16 = 1142;
    pub(super) const COLUMN_ACCESS_DENIED: u16 = 1143;
    pub(super) const PACKET_TOO_LARGE: u16 = 1153;
    pub(super) const DEADLOCK: u16 = 1213;
    pub(super) const SPECIFIC_ACCESS_DENIED: u16 = 1227;
    pub(super) const READ_ONLY_OPTION: u16 = 1290;
    pub(super) const NOT_IN_THIS_BINLOG_FORMAT: u16 = 1665;
    pub(super) const ACCESS_DENIED_NO_PASSWORD: u16 = 1698;
    pub(super) const READ_ONLY_TRANSACTION: u16 = 1792;
    pub(super) const READ_ONLY_MODE: u16 = 1836;
    pub(super) const CONNECTION_KILLED: u16 = 1927;
    pub(super) const CLIENT_INTERACTION_TIMEOUT: u16 = 4031;

    /// Tables that are not as a migration made them, and values that a column
    /// or a rule refuses: a fault of ours, or somebody wrote by hand.
    pub(super) const NOT_OUR_TABLES: [u16; 14] = [
        1048, // ER_BAD_NULL_ERROR
        1051, // ER_BAD_TABLE_ERROR
        1054, // ER_BAD_FIELD_ERROR
        DUP_ENTRY, 1136, // ER_WRONG_VALUE_COUNT_ON_ROW
        1146, // ER_NO_SUCH_TABLE
        1194, // ER_CRASHED_ON_USAGE
        1264, // ER_WARN_DATA_OUT_OF_RANGE
        1265, // WARN_DATA_TRUNCATED
        1366, // ER_TRUNCATED_WRONG_VALUE_FOR_FIELD
        1406, // ER_DATA_TOO_LONG
        3819, // ER_CHECK_CONSTRAINT_VIOLATED, MySQL
        4025, // ER_CONSTRAINT_FAILED, MariaDB
        1690, // ER_DATA_OUT_OF_RANGE
    ];
}

/// The error of `doing` something with the tables of `server`.
pub(super) fn store_error(doing: &'static str, server: &Server, error: Error) -> StoreError {
    let at = server.at();
    if let Some(hint) = hint(server, &error) {
        let what = format!("could not {doing} it: {error}");
        return StoreError::Refused { at, what, hint };
    }
    match &error {
        Error::ColumnDecode { .. }
        | Error::ColumnNotFound(_)
        | Error::ColumnIndexOutOfBounds { .. }
        | Error::Decode(_)
        | Error::Encode(_)
        | Error::RowNotFound => {
            StoreError::Damaged { at, what: format!("could not {doing} it: {}", told(&error)) }
        }
        Error::Database(_) if is_full(&error) => StoreError::Full { at, source: error.into() },
        Error::Database(_) if number_of(&error).is_some_and(is_not_ours) => {
            StoreError::Damaged { at, what: format!("could not {doing} it: {}", told(&error)) }
        }
        _ => StoreError::Unreachable { doing, at, source: error.into() },
    }
}

/// The error of tables that hold what they should not.
pub(super) fn damaged(server: &Server, what: String) -> StoreError {
    StoreError::Damaged { at: server.at(), what }
}

/// Whether the connection broke or the server ended it, or is no longer the one that
/// writes, so that a new one may do better.
pub(super) fn is_lost(error: &Error) -> bool {
    const LOST: [u16; 3] =
        [number::SERVER_SHUTDOWN, number::CONNECTION_KILLED, number::CLIENT_INTERACTION_TIMEOUT];
    match error {
        Error::Io(_) | Error::Protocol(_) => true,
        _ => is_demoted(error) || number_of(error).is_some_and(|number| LOST.contains(&number)),
    }
}

/// Whether the server only reads now: another one has taken its place, which its address
/// may lead to already.
pub(super) fn is_demoted(error: &Error) -> bool {
    const DEMOTED: [u16; 3] =
        [number::READ_ONLY_OPTION, number::READ_ONLY_TRANSACTION, number::READ_ONLY_MODE];
    number_of(error).is_some_and(|number| DEMOTED.contains(&number))
}

/// Whether the server refused one statement, and waits for the next.
pub(super) fn is_answer(error: &Error) -> bool {
    matches!(error, Error::Database(_)) && !is_lost(error)
}

/// Whether this transaction was undone so that another one could go on.
pub(super) fn is_deadlock(error: &Error) -> bool {
    number_of(error) == Some(number::DEADLOCK)
}

/// Whether there is such a row already.
pub(super) fn is_duplicate(error: &Error) -> bool {
    number_of(error) == Some(number::DUP_ENTRY)
}

/// What a person has to do before the same may succeed, if anything.
fn hint(server: &Server, error: &Error) -> Option<String> {
    let (user, database, names) = (server.user(), server.database(), server.names());
    Some(match number_of(error) {
        Some(number::ACCESS_DENIED | number::ACCESS_DENIED_NO_PASSWORD) => {
            format!("check the user in {}, and the password in {}", names.user, names.password)
        }
        Some(number::BAD_DB) => {
            format!(
                "make it with CREATE DATABASE {database}, or name another in {}",
                names.database
            )
        }
        Some(
            number::DB_ACCESS_DENIED
            | number::TABLE_ACCESS_DENIED
            | number::COLUMN_ACCESS_DENIED
            | number::SPECIFIC_ACCESS_DENIED,
        ) => format!("the user needs GRANT ALL ON {database}.* TO {user}"),
        Some(number::HOST_NOT_PRIVILEGED) => {
            format!("the server knows {user} only from other hosts")
        }
        Some(number::PACKET_TOO_LARGE) => {
            "give the server max_allowed_packet = 16M or more".to_owned()
        }
        Some(number::NOT_IN_THIS_BINLOG_FORMAT) => {
            "give the server binlog_format = ROW or MIXED".to_owned()
        }
        _ => match error {
            Error::Tls(_) | Error::Configuration(_) => {
                format!("check {0} and {0}_ca against what the server offers", names.tls)
            }
            _ => return None,
        },
    })
}

fn number_of(error: &Error) -> Option<u16> {
    let database = error.as_database_error()?;
    Some(database.try_downcast_ref::<MySqlDatabaseError>()?.number())
}

fn is_not_ours(number: u16) -> bool {
    number::NOT_OUR_TABLES.contains(&number)
}

/// Whether the server's disk, or what it may use of it, is full.
fn is_full(error: &Error) -> bool {
    match number_of(error) {
        Some(number::DISK_FULL | number::TABLE_FULL) => true,
        // These say only that a write failed; their text says why.
        Some(3 | number::ERROR_ON_WRITE | number::ENGINE) => {
            error.to_string().contains("No space left")
        }
        _ => false,
    }
}

/// An error with its cause, where its own text leaves it out.
fn told(error: &Error) -> String {
    match error.source() {
        Some(cause) if !error.to_string().contains(&cause.to_string()) => {
            format!("{error}: {cause}")
        }
        _ => error.to_string(),
    }
}
