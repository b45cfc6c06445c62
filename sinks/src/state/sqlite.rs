//! The tables in one SQLite file.
//!
//! # Invariants
//!
//! - One transaction a commit, on one connection, synced before it is
//!   acknowledged (`synchronous = FULL`).
//! - Reads have connections of their own and see the last commit: they neither
//!   wait for commits nor hold them up (write-ahead log).
//! - Everything that [`StateStore`] answers is found by a key; only the audit
//!   reads whole tables.
//! - Memory: a connection for each reader there is at a time, each with a small
//!   page cache; a few idle ones are kept. How many read at once is for the
//!   callers to bound.
//!
//! What would break them: a network file system (locks, shared memory), or
//! copying the file without its `-wal` companion while it is open.

mod accuracy;
mod audit;
mod histograms;
mod imported;
mod logbook;
mod read;
mod schema;
mod users;
mod write;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, params};
use schemas::commit::{
    Audit, Claim, Commit, CommitError, Parked, SeriesQuery, Shape, SourceState, SourceSummary,
    StateStore, StoreError, WindowState,
};
use schemas::intervals::Intervals;
use schemas::log::{LogId, Offset, Partition};
use schemas::source::{SessionId, SourceId};
use schemas::time::UnixMillis;
use schemas::window::WindowSize;

use crate::metrics::StateMetrics;
use crate::sqlite::connection::{Freed, Readers, in_transaction, open_writer, opened_for_reading};
use crate::sqlite::error::damaged;
use crate::sqlite::row::{Int, from_int, to_int};
use schema::TABLES;

/// The tables of one site; see the [module](self).
pub struct SqliteState {
    path: PathBuf,
    /// None if the file was opened for reading.
    writer: Option<Mutex<Writer>>,
    readers: Readers,
    metrics: StateMetrics,
}

/// The one connection that writes.
struct Writer {
    connection: Connection,
    /// The rows of `source_metrics` that are known to be there.
    known_metrics: HashSet<(SourceId, Arc<str>)>,
    buffers: write::Buffers,
}

impl SqliteState {
    /// Opens the tables in the file `path`, or makes new ones.
    ///
    /// # Errors
    ///
    /// They have another version ([`StoreError::SchemaVersion`]; see
    /// [`migrate`](SqliteState::migrate)), it is no database of ours, or it
    /// cannot be opened.
    pub fn open(path: impl AsRef<Path>) -> Result<SqliteState, StoreError> {
        let path = path.as_ref();
        let mut connection = open_writer(path, Freed::Kept)?;
        TABLES.create_or_check(&mut connection, path)?;
        let writer = Writer {
            connection,
            known_metrics: HashSet::new(),
            buffers: write::Buffers::default(),
        };
        Ok(SqliteState::with(path, Some(Mutex::new(writer))))
    }

    /// Opens the tables in the file `path` for reading. Another process may
    /// write to them meanwhile, and what it commits is seen.
    ///
    /// # Errors
    ///
    /// As [`open`](SqliteState::open), or there is no such file.
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<SqliteState, StoreError> {
        let path = path.as_ref();
        let state = SqliteState::with(path, None);
        state.read("check the version of", |connection| TABLES.check(connection, path))??;
        Ok(state)
    }

    /// Brings the tables in the file `path`, made by an older version, to this
    /// one; returns both versions. New tables are made if there are none.
    ///
    /// # Errors
    ///
    /// They are newer than this program, or cannot be written. Then they are as
    /// they were.
    pub fn migrate(path: impl AsRef<Path>) -> Result<(i64, i64), StoreError> {
        let path = path.as_ref();
        let mut connection = open_writer(path, Freed::Kept)?;
        TABLES.migrate(&mut connection, path)
    }

    /// What the tables count of themselves.
    pub fn metrics(&self) -> &StateMetrics {
        &self.metrics
    }

    fn with(path: &Path, writer: Option<Mutex<Writer>>) -> SqliteState {
        let readers = Readers::new(path.to_owned());
        SqliteState { path: path.to_owned(), writer, readers, metrics: StateMetrics::default() }
    }

    /// Calls `query` in one consistent view of the tables.
    fn read<T>(
        &self,
        doing: &'static str,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        self.readers.read(doing, query)
    }

    /// Calls `change` in one transaction.
    fn write<T>(
        &self,
        doing: &'static str,
        change: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let mut writer = self.writer()?.lock().unwrap_or_else(PoisonError::into_inner);
        in_transaction(&mut writer.connection, doing, &self.path, change)
    }

    fn writer(&self) -> Result<&Mutex<Writer>, StoreError> {
        self.writer.as_ref().ok_or_else(|| opened_for_reading(&self.path))
    }
}

impl StateStore for SqliteState {
    fn shape(&self, shape: &Shape) -> Result<(), StoreError> {
        let metrics = serde_json::to_string(&shape.metrics)
            .map_err(|error| damaged(&self.path, error.to_string()))?;
        let stored: Option<(String, String)> = self.write("write the shape to", |connection| {
            connection.execute(
                "INSERT INTO shape (id, zone, metrics) VALUES (1, ?1, ?2) ON CONFLICT DO NOTHING",
                (&shape.zone, &metrics),
            )?;
            let columns = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
            connection.query_row("SELECT zone, metrics FROM shape", [], columns).optional()
        })?;
        let (zone, metrics) =
            stored.ok_or_else(|| damaged(&self.path, "the shape is missing".to_owned()))?;
        let metrics = serde_json::from_str(&metrics)
            .map_err(|error| damaged(&self.path, format!("metrics of the shape: {error}")))?;
        let was = Shape { zone, metrics };
        match was == *shape {
            true => Ok(()),
            false => {
                Err(StoreError::OtherShape { was: Box::new(was), now: Box::new(shape.clone()) })
            }
        }
    }

    fn claim(&self, log: &LogId, partition: Partition, first: Offset) -> Result<Claim, StoreError> {
        self.write("claim a partition in", |connection| {
            let mut claim = connection.prepare_cached(
                "INSERT INTO partitions (log, partition, owner_epoch, first_offset, next_offset,
                                         read, accepted, duplicate, parked, gap)
                 VALUES (?1, ?2, 1, ?3, ?3, 0, 0, 0, 0, 0)
                 ON CONFLICT DO UPDATE SET owner_epoch = owner_epoch + 1
                 RETURNING owner_epoch, next_offset",
            )?;
            claim.query_row(params![&*log.0, partition.0, Int(first.0)], |row| {
                Ok(Claim { owner_epoch: from_int(row, 0)?, next_offset: Offset(from_int(row, 1)?) })
            })
        })
    }

    fn commit(&self, commit: &Commit) -> Result<(), CommitError> {
        let _timer = self.metrics.commit_seconds.start_timer();
        let mut writer = self.writer()?.lock().unwrap_or_else(PoisonError::into_inner);
        let applied = write::commit(&mut writer, &self.path, commit);
        match &applied {
            Ok(()) => {
                let windows: usize = commit.sources.iter().map(|source| source.windows.len()).sum();
                self.metrics.committed_windows_total.inc_by(to_int(windows));
            }
            Err(_) => self.metrics.refused_commits_total.inc(),
        }
        applied
    }

    fn source(&self, source: SourceId) -> Result<Option<SourceState>, StoreError> {
        self.read("read a source of", |connection| read::source(connection, source))
    }

    fn open_sources(&self) -> Result<Vec<SourceState>, StoreError> {
        self.read("list the open sources of", read::open_sources)
    }

    fn open_windows(&self, source: SourceId) -> Result<Vec<WindowState>, StoreError> {
        self.read("read the open windows of", |connection| read::open_windows(connection, source))
    }

    fn window(
        &self,
        source: SourceId,
        size: WindowSize,
        start: UnixMillis,
    ) -> Result<Option<WindowState>, StoreError> {
        self.read("read a window of", |connection| read::window(connection, source, size, start))
    }

    fn seqs(
        &self,
        source: SourceId,
        session: SessionId,
        block: u64,
    ) -> Result<Intervals, StoreError> {
        self.read("read sequence numbers of", |connection| {
            read::seqs(connection, source, session, block)
        })
    }

    fn sources(&self) -> Result<Vec<SourceSummary>, StoreError> {
        self.read("list the sources of", read::sources)
    }

    fn series(&self, query: &SeriesQuery) -> Result<Vec<WindowState>, StoreError> {
        self.read("read a series of", |connection| read::series(connection, query))
    }

    fn audit(&self) -> Result<Audit, StoreError> {
        self.read("audit", audit::audit)
    }

    fn parked(&self, limit: u32) -> Result<Vec<Parked>, StoreError> {
        self.read("read the parked records of", |connection| read::parked(connection, limit))
    }
}
