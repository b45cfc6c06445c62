//! Connections: one that writes, one for each concurrent reader, and their
//! settings.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use schemas::commit::StoreError;

use crate::sqlite::error::store_error;

/// How long a statement waits for another process's transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Page cache of the writing connection, KiB.
const WRITER_CACHE_KIB: u32 = 16 << 10;

/// Page cache of each reading connection, KiB.
const READER_CACHE_KIB: u32 = 2 << 10;

/// Idle reading connections that are kept.
const IDLE_READERS_MAX: usize = 4;

/// Prepared statements kept by each connection.
const STATEMENTS_MAX: usize = 32;

/// Free pages given back to the disk at one time: 32 MiB, which pass through the
/// write-ahead log.
const RETURNED_TOGETHER: u32 = 4096;

/// What becomes of the pages that deleted rows leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freed {
    /// The file keeps them for rows to come.
    Kept,
    /// [`shrink`] can give them back to the disk.
    Returned,
}

/// Opens the file for writing; makes it, and the folder it is in, if needed.
pub(crate) fn open_writer(path: &Path, freed: Freed) -> Result<Connection, StoreError> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(|error| StoreError::Unreachable {
            doing: "make the folder of",
            at: path.display().to_string(),
            source: error.into(),
        })?;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "page_size", 8192)?;
        if freed == Freed::Returned {
            connection.pragma_update(None, "auto_vacuum", "incremental")?;
        }
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "temp_store", "memory")?;
        connection.pragma_update(None, "cache_size", -i64::from(WRITER_CACHE_KIB))?;
        // Fewer, longer checkpoints: each page goes to the file once instead of
        // once a commit. 4,000 pages of 8 KiB are 32 MiB.
        connection.pragma_update(None, "wal_autocheckpoint", 4000)?;
        connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        add_functions(&connection)?;
        Ok(connection)
    };
    open().map_err(|error| store_error("open", path, error))
}

/// Opens the file for reading.
fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "temp_store", "memory")?;
        connection.pragma_update(None, "cache_size", -i64::from(READER_CACHE_KIB))?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        add_functions(&connection)?;
        Ok(connection)
    };
    open().map_err(|error| store_error("open", path, error))
}

/// The view `window_statistics` needs `sqrt`, which the built-in SQLite leaves
/// out and every distribution's has.
fn add_functions(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("sqrt", 1, flags, |call| {
        Ok(call.get::<Option<f64>>(0)?.map(f64::sqrt))
    })
}

/// Calls `change` in one transaction of `connection`.
pub(crate) fn in_transaction<T>(
    connection: &mut Connection,
    doing: &'static str,
    path: &Path,
    change: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<T, StoreError> {
    let apply = |connection: &mut Connection| {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let answer = change(&transaction)?;
        transaction.commit()?;
        Ok(answer)
    };
    apply(connection).map_err(|error| store_error(doing, path, error))
}

/// Gives free pages back to the disk, some at a time, while they are more than a
/// quarter of the file: fewer are soon used again.
pub(crate) fn shrink(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let shrink = || {
        let number =
            |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
        if number("page_count")? / 4 < number("freelist_count")? {
            // A page a row, so all rows are asked for.
            connection.pragma(None, "incremental_vacuum", RETURNED_TOGETHER, |_| Ok(()))?;
        }
        Ok(())
    };
    shrink().map_err(|error| store_error("give room back in", path, error))
}

/// The error of writing to a file that was opened for reading.
pub(crate) fn opened_for_reading(path: &Path) -> StoreError {
    StoreError::Unreachable {
        doing: "write to",
        at: path.display().to_string(),
        source: "it was opened for reading".into(),
    }
}

/// Reading connections, of which there is one for each reader at a time.
pub(crate) struct Readers {
    path: PathBuf,
    /// Those that nobody uses at the moment.
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(crate) fn new(path: PathBuf) -> Readers {
        Readers { path, idle: Mutex::default() }
    }

    /// Calls `query` in one consistent view of the database.
    pub(crate) fn read<T>(
        &self,
        doing: &'static str,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let mut reader = self.take()?;
        let in_view = |connection: &mut Connection| {
            let view = connection.transaction()?;
            let answer = query(&view)?;
            view.commit()?;
            Ok(answer)
        };
        match in_view(&mut reader) {
            Ok(answer) => {
                self.give_back(reader);
                Ok(answer)
            }
            // The connection is not used again: who knows what state it is in.
            Err(error) => Err(store_error(doing, &self.path, error)),
        }
    }

    /// An idle connection, or a new one.
    fn take(&self) -> Result<Connection, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| open_reader(&self.path), Ok)
    }

    /// Keeps a connection for the next reader, unless there are enough.
    fn give_back(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_READERS_MAX {
            idle.push(connection);
        }
    }
}
