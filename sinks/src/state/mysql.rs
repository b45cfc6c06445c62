//! The tables in a database of MySQL 8 or MariaDB (10.6 or newer), which
//! several processes may share.
//!
//! # Invariants
//!
//! - One transaction a commit, on one connection. It is acknowledged when the
//!   server has answered `COMMIT`; if that answer is lost, what became of it is
//!   found out before anything else is committed (see `writer`).
//! - Reads have connections of their own, a bounded number, and see the last
//!   commit, each all of its answer in one moment.
//! - Everything that [`StateStore`] answers is found by a key; only the audit
//!   reads whole tables.
//! - Every wait ends, and nobody gives up an answer without giving up its
//!   connection (see `connection`).
//!
//! What would break them: a server that answers before it has written
//! (`innodb_flush_log_at_trx_commit` other than 1) may lose the last commits in
//! a power cut. Rows and offsets go back together then, and what the log still
//! has is counted again.

mod accuracy;
mod audit;
mod batch;
mod clock;
mod columns;
mod compare;
mod connection;
mod error;
mod histogram;
mod imported;
mod logbook;
pub mod original;
mod read;
mod row;
mod schema;
mod settings;
mod users;
mod write;
mod writer;

use std::sync::{Mutex, PoisonError};

use schemas::commit::{
    Audit, Claim, Commit, CommitError, Parked, SeriesQuery, Shape, SourceState, SourceSummary,
    StateStore, StoreError, WindowState,
};
use schemas::intervals::Intervals;
use schemas::log::{LogId, Offset, Partition};
use schemas::metric::Postures;
use schemas::source::{SessionId, SourceId};
use schemas::time::UnixMillis;
use schemas::window::WindowSize;
use sqlx::Error;
use tokio::runtime::Runtime;

use crate::config::{MySqlConfig, MySqlPassword};
use crate::metrics::StateMetrics;
use connection::{Link, Readers, Role, Server, in_view};
use row::{Values, int, text};
use writer::Writer;

const ZONE: &str = "SELECT zone FROM shape";

/// The tables of one site; see the [module](self).
///
/// Calls block: they must not come from an asynchronous task, but may from one
/// of its blocking threads.
pub struct MySqlState {
    server: Server,
    /// None if the tables were opened for reading.
    writer: Option<Mutex<Writer>>,
    readers: Readers,
    metrics: StateMetrics,
    runtime: OwnRuntime,
}

impl MySqlState {
    /// Opens the tables in the database that `config` names, or makes new ones
    /// if it is empty. The database itself must be there.
    ///
    /// # Errors
    ///
    /// They have another version ([`StoreError::SchemaVersion`]; see
    /// [`migrate`](MySqlState::migrate)), they are no tables of ours, the server
    /// refuses us ([`StoreError::Refused`]), or it cannot be reached.
    pub fn open(
        config: &MySqlConfig,
        password: Option<&MySqlPassword>,
    ) -> Result<MySqlState, StoreError> {
        let mut state = MySqlState::with(config, password)?;
        let server = &state.server;
        let writer = state.runtime.wait(async {
            let failed = |error| server.failed("open", error);
            let mut link = server.connect(Role::Writes).await.map_err(failed)?;
            settings::check(&mut link, server).await?;
            schema::create_or_check(&mut link, server).await?;
            let mut writer = Writer::new(link, state.metrics.clone());
            writer.forget_others(server).await.map_err(failed)?;
            Ok::<_, StoreError>(writer)
        })?;
        state.writer = Some(Mutex::new(writer));
        Ok(state)
    }

    /// Opens the tables for reading. Other processes may write to them
    /// meanwhile, and what they commit is seen.
    ///
    /// # Errors
    ///
    /// As [`open`](MySqlState::open), or there are no tables.
    pub fn open_read_only(
        config: &MySqlConfig,
        password: Option<&MySqlPassword>,
    ) -> Result<MySqlState, StoreError> {
        let state = MySqlState::with(config, password)?;
        let server = &state.server;
        state.runtime.wait(async {
            let link = server.connect(Role::Reads).await;
            let mut link = link.map_err(|error| server.failed("open", error))?;
            schema::check(&mut link, server).await
        })?;
        Ok(state)
    }

    /// Brings the tables, made by an older version, to this one; returns both
    /// versions. New tables are made if there are none.
    ///
    /// # Errors
    ///
    /// They are newer than this program, or cannot be written. What was begun
    /// then is ended by the next call.
    pub fn migrate(
        config: &MySqlConfig,
        password: Option<&MySqlPassword>,
    ) -> Result<(i64, i64), StoreError> {
        let state = MySqlState::with(config, password)?;
        let server = &state.server;
        state.runtime.wait(async {
            let link = server.connect(Role::Writes).await;
            let mut link = link.map_err(|error| server.failed("migrate", error))?;
            let versions = schema::migrate(&mut link, server).await?;
            // The clock of rows that were there before it.
            let zone = link.row(sqlx::query(ZONE), |row| Ok(text(row, 0)?.to_owned())).await;
            if let Some(zone) = zone.map_err(|error| server.failed("migrate", error))? {
                let mut writer = Writer::new(link, state.metrics.clone());
                writer.set_zone(server, &zone).await?;
            }
            Ok(versions)
        })
    }

    /// Has the original system's views show, as its columns, the metrics that
    /// `postures` names.
    ///
    /// # Errors
    ///
    /// The tables were opened for reading, or cannot be written.
    pub fn name_columns(&self, postures: &Postures) -> Result<(), StoreError> {
        self.write("name the original's columns in", async |link| {
            columns::name(link, postures).await
        })
    }

    /// What the tables count of themselves.
    pub fn metrics(&self) -> &StateMetrics {
        &self.metrics
    }

    fn with(
        config: &MySqlConfig,
        password: Option<&MySqlPassword>,
    ) -> Result<MySqlState, StoreError> {
        let server = Server::new(config, password);
        let runtime = OwnRuntime::start().map_err(|error| server.failed("open", error.into()))?;
        Ok(MySqlState {
            server,
            writer: None,
            readers: Readers::new(config),
            metrics: StateMetrics::default(),
            runtime,
        })
    }

    /// Has `query` asked on a connection of its own.
    fn read<T>(
        &self,
        doing: &'static str,
        query: impl AsyncFn(&mut Link) -> sqlx::Result<T>,
    ) -> Result<T, StoreError> {
        let answer = self.runtime.wait(self.readers.ask(&self.server, query));
        answer.map_err(|error| self.server.failed(doing, error))
    }

    /// Has `query` asked in one consistent view of the tables. A single question
    /// needs none: its answer is from one moment anyway.
    fn view<T>(
        &self,
        doing: &'static str,
        query: impl AsyncFn(&mut Link) -> sqlx::Result<T>,
    ) -> Result<T, StoreError> {
        self.read(doing, async |link| in_view(link, &query).await)
    }

    /// Calls `change` in one transaction; the caller may do it again if its
    /// outcome is unknown.
    fn write<T>(
        &self,
        doing: &'static str,
        change: impl AsyncFn(&mut Link) -> sqlx::Result<T>,
    ) -> Result<T, StoreError> {
        let mut writer = self.writer()?.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = self.runtime.wait(writer.transact(&self.server, change));
        answer.map_err(|error| self.server.failed(doing, error))
    }

    fn writer(&self) -> Result<&Mutex<Writer>, StoreError> {
        self.writer.as_ref().ok_or_else(|| StoreError::Unreachable {
            doing: "write to",
            at: self.server.at(),
            source: "it was opened for reading".into(),
        })
    }
}

impl StateStore for MySqlState {
    fn shape(&self, shape: &Shape) -> Result<(), StoreError> {
        let metrics = serde_json::to_string(&shape.metrics)
            .map_err(|error| self.server.damaged(error.to_string()))?;
        let stored = self.write("write the shape to", async |link| {
            let keep = sqlx::query(
                "INSERT INTO shape (id, zone, metrics) VALUES (1, ?, ?)
                 ON DUPLICATE KEY UPDATE id = 1",
            );
            link.execute(keep.bind(&shape.zone).bind(&metrics)).await?;
            let columns = |row: &sqlx::mysql::MySqlRow| {
                Ok((text(row, 0)?.to_owned(), text(row, 1)?.to_owned()))
            };
            link.row(sqlx::query("SELECT zone, metrics FROM shape"), columns).await
        })?;
        let (zone, metrics) =
            stored.ok_or_else(|| self.server.damaged("the shape is missing".to_owned()))?;
        let metrics = serde_json::from_str(&metrics)
            .map_err(|error| self.server.damaged(format!("metrics of the shape: {error}")))?;
        let was = Shape { zone, metrics };
        if was != *shape {
            let (was, now) = (Box::new(was), Box::new(shape.clone()));
            return Err(StoreError::OtherShape { was, now });
        }
        let mut writer = self.writer()?.lock().unwrap_or_else(PoisonError::into_inner);
        self.runtime.wait(writer.set_zone(&self.server, &shape.zone))
    }

    fn claim(&self, log: &LogId, partition: Partition, first: Offset) -> Result<Claim, StoreError> {
        self.write("claim a partition in", async |link| {
            let mut values = Values::default();
            values.text(&log.0)?;
            values.small(partition.0)?;
            values.int(first.0)?;
            values.int(first.0)?;
            let raise = sqlx::query_with(
                "INSERT INTO partitions (log, `partition`, owner_epoch, first_offset, next_offset,
                                         `read`, accepted, duplicate, parked, gap)
                 VALUES (?, ?, 1, ?, ?, 0, 0, 0, 0, 0)
                 ON DUPLICATE KEY UPDATE owner_epoch = owner_epoch + 1",
                values.into_arguments(),
            );
            link.execute(raise).await?;
            let claimed = sqlx::query(
                "SELECT owner_epoch, next_offset FROM partitions
                 WHERE log = ? AND `partition` = ?",
            );
            let claimed = link.row(claimed.bind(&*log.0).bind(partition.0), |row| {
                Ok(Claim { owner_epoch: int(row, 0)?, next_offset: Offset(int(row, 1)?) })
            });
            claimed.await?.ok_or(Error::RowNotFound)
        })
    }

    fn commit(&self, commit: &Commit) -> Result<(), CommitError> {
        let _timer = self.metrics.commit_seconds.start_timer();
        let mut writer = self.writer()?.lock().unwrap_or_else(PoisonError::into_inner);
        let applied = self.runtime.wait(writer.commit(&self.server, commit));
        match &applied {
            Ok(()) => {
                let windows: usize = commit.sources.iter().map(|source| source.windows.len()).sum();
                let windows = u64::try_from(windows).unwrap_or(u64::MAX);
                self.metrics.committed_windows_total.inc_by(windows);
            }
            Err(_) => self.metrics.refused_commits_total.inc(),
        }
        applied
    }

    fn source(&self, source: SourceId) -> Result<Option<SourceState>, StoreError> {
        self.read("read a source of", async |link| read::source(link, source).await)
    }

    fn open_sources(&self) -> Result<Vec<SourceState>, StoreError> {
        self.read("list the open sources of", async |link| read::open_sources(link).await)
    }

    fn open_windows(&self, source: SourceId) -> Result<Vec<WindowState>, StoreError> {
        self.view("read the open windows of", async |link| read::open_windows(link, source).await)
    }

    fn window(
        &self,
        source: SourceId,
        size: WindowSize,
        start: UnixMillis,
    ) -> Result<Option<WindowState>, StoreError> {
        self.view("read a window of", async |link| read::window(link, source, size, start).await)
    }

    fn seqs(
        &self,
        source: SourceId,
        session: SessionId,
        block: u64,
    ) -> Result<Intervals, StoreError> {
        self.read("read sequence numbers of", async |link| {
            read::seqs(link, source, session, block).await
        })
    }

    fn sources(&self) -> Result<Vec<SourceSummary>, StoreError> {
        self.view("list the sources of", async |link| read::sources(link).await)
    }

    fn series(&self, query: &SeriesQuery) -> Result<Vec<WindowState>, StoreError> {
        self.view("read a series of", async |link| read::series(link, query).await)
    }

    fn audit(&self) -> Result<Audit, StoreError> {
        self.view("audit", async |link| {
            link.set_answer_timeout(audit::TABLE_MAX);
            let audit = audit::audit(link).await?;
            link.set_answer_timeout(self.server.answer_timeout());
            Ok(audit)
        })
    }

    fn parked(&self, limit: u32) -> Result<Vec<Parked>, StoreError> {
        self.view("read the parked records of", async |link| read::parked(link, limit).await)
    }
}

/// What drives the connections: one thread, whatever the callers are.
///
/// It is let go of without waiting, because the last owner of the tables may be
/// an asynchronous task, which must not wait.
struct OwnRuntime(Option<Runtime>);

impl OwnRuntime {
    fn start() -> std::io::Result<OwnRuntime> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let builder = builder.worker_threads(1).thread_name("animov-mysql").enable_all();
        Ok(OwnRuntime(Some(builder.build()?)))
    }

    fn wait<T>(&self, answer: impl Future<Output = T>) -> T {
        self.0.as_ref().expect("it is there until it is dropped").block_on(answer)
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
