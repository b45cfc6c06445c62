//! Connections: one that writes, one for each concurrent reader, and their
//! settings.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, OpenFlags};
use schemas::commit::StoreError;

use crate::state::sqlite::error::store_error;

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

/// Opens the file for writing; makes it, and the folder it is in, if needed.
pub(super) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
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
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
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

/// Reading connections that nobody uses at the moment.
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Readers {
        Readers { path, idle: Mutex::default() }
    }

    /// An idle connection, or what `open` makes.
    pub(super) fn take(
        &self,
        open: impl Fn(&Path) -> Result<Connection, StoreError>,
    ) -> Result<Connection, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| open(&self.path), Ok)
    }

    /// Keeps a connection for the next reader, unless there are enough.
    pub(super) fn give_back(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_READERS_MAX {
            idle.push(connection);
        }
    }
}
