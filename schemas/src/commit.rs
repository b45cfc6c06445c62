//! The seam between the pipeline and the tables: what one commit changes, what
//! it promises, and what can be read back.
//!
//! # Invariants
//!
//! - A [`Commit`] is applied whole or not at all, with the offsets it read up
//!   to. Rows carry absolute values, so applying a commit twice is the same as
//!   once, and the compare-and-set refuses the second time.
//! - Per partition, at every commit: `read = accepted + duplicate + parked` and
//!   `next_offset - first_offset = read + gap`.
//! - Per source, at every commit and for each size: the frames of all windows
//!   add up to `accepted`.

pub mod logbook;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::intervals::Intervals;
use crate::log::{LogId, Offset, Partition};
use crate::source::{SessionId, SourceId};
use crate::stats::Histogram;
use crate::time::UnixMillis;
use crate::window::{Window, WindowSize};

pub use logbook::LogBook;

/// Where a window stands. Finality is a status, never a gate: a late frame
/// still corrects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Frames are still expected.
    Open,
    /// The watermark has passed the end and the grace, or the source is silent.
    Final,
    /// Was final, and a frame came all the same.
    Corrected,
}

impl Status {
    /// The name in tables and answers.
    pub const fn name(self) -> &'static str {
        match self {
            Status::Open => "open",
            Status::Final => "final",
            Status::Corrected => "corrected",
        }
    }
}

/// One window of one source, whole: what a row says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowState {
    pub source: SourceId,
    pub window: Window,
    /// Frames seen. Invariant: positive; a window without frames has no row.
    pub frames: u64,
    /// Frames that the source's cadence would have given.
    pub frames_expected: u64,
    pub status: Status,
    /// Grows with each change of the row, from 1.
    pub rev: u64,
    /// By metric name, ascending. Each histogram counts all `frames` frames.
    pub metrics: Vec<(Arc<str>, Histogram)>,
}

/// What is remembered of a source beside its windows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceState {
    pub source: SourceId,
    /// Grows by one with each commit that changes the source. A commit compares
    /// it, so a source has one writer at a time.
    pub rev: u64,
    /// How far the source's event time has surely come.
    pub watermark: UnixMillis,
    /// Of its newest frame in the log.
    pub last_appended_at: UnixMillis,
    /// Newest event time.
    pub last_captured_at: UnixMillis,
    /// Frames counted, over all time.
    pub accepted: u64,
    /// Where its newest frame was read: whoever owns that partition ends the
    /// source's windows when it falls silent.
    pub home: Place,
}

/// A partition of a log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub log: LogId,
    pub partition: Partition,
}

/// The sequence numbers of one session that were counted, in one
/// [block](crate::intervals::block_of).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeqBlock {
    pub source: SourceId,
    pub session: SessionId,
    pub block: u64,
    pub seqs: Intervals,
}

/// What happened to the records of one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ledger {
    pub read: u64,
    pub accepted: u64,
    pub duplicate: u64,
    pub parked: u64,
    /// Offsets that the log skipped.
    pub gap: u64,
}

impl Ledger {
    /// Adds what `other` counted.
    pub fn add(&mut self, other: &Ledger) {
        let Ledger { read, accepted, duplicate, parked, gap } = other;
        self.read += read;
        self.accepted += accepted;
        self.duplicate += duplicate;
        self.parked += parked;
        self.gap += gap;
    }
}

/// One partition's part in a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionAdvance {
    pub log: LogId,
    pub partition: Partition,
    /// From [`StateStore::claim`]; an older owner's commit is refused.
    pub owner_epoch: u64,
    /// What `next_offset` must be now.
    pub from: Offset,
    /// What it will be.
    pub to: Offset,
    /// What happened to the records of `[from, to)`.
    pub ledger: Ledger,
}

/// One source's part in a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceChange {
    /// The state after the commit; the stored `rev` must be one less (or the
    /// source unknown, for 1).
    pub state: SourceState,
    /// The blocks of sequence numbers that changed.
    pub blocks: Vec<SeqBlock>,
    /// The windows that changed.
    pub windows: Vec<WindowState>,
}

/// Why a record is kept aside instead of counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParkReason {
    /// Does not begin like Avro single-object encoding.
    NotAFrame,
    /// An Avro schema that neither this program nor the log knows.
    UnknownSchema,
    /// Ends early, or is no value of its schema.
    Damaged,
    /// Reads well, but breaks a rule: a negative box, NaN, too many boxes.
    Invalid,
    /// Captured further ahead of the log's clock than the skew bound.
    ClockAhead,
    /// Captured before 2000: a camera whose clock was never set.
    ClockUnset,
}

impl ParkReason {
    /// Every reason.
    pub const ALL: [ParkReason; 6] = [
        ParkReason::NotAFrame,
        ParkReason::UnknownSchema,
        ParkReason::Damaged,
        ParkReason::Invalid,
        ParkReason::ClockAhead,
        ParkReason::ClockUnset,
    ];

    /// The name in tables, labels and answers.
    pub const fn name(self) -> &'static str {
        match self {
            ParkReason::NotAFrame => "not_a_frame",
            ParkReason::UnknownSchema => "unknown_schema",
            ParkReason::Damaged => "damaged",
            ParkReason::Invalid => "invalid",
            ParkReason::ClockAhead => "clock_ahead",
            ParkReason::ClockUnset => "clock_unset",
        }
    }
}

/// A record kept aside, with its bytes and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    pub log: LogId,
    pub partition: Partition,
    pub offset: Offset,
    pub appended_at: UnixMillis,
    pub reason: ParkReason,
    /// For a person: what exactly was wrong.
    pub detail: String,
    pub bytes: Vec<u8>,
}

/// Everything that one epoch changes.
///
/// Several partitions of one process advance in one transaction, so that a
/// source whose frames arrive on two of them is never half committed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    pub partitions: Vec<PartitionAdvance>,
    pub sources: Vec<SourceChange>,
    pub parked: Vec<Parked>,
}

/// Where an owner of a partition begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    pub owner_epoch: u64,
    pub next_offset: Offset,
}

/// What shapes the windows and must therefore never change under the rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// IANA zone of the civil days.
    pub zone: String,
    pub metrics: crate::metric::MetricRules,
}

/// A source, for lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceSummary {
    pub state: SourceState,
    /// Names of the metrics that have rows, ascending.
    pub metrics: Vec<Arc<str>>,
}

/// Which windows to read: one source, one size, starts in `[from, to)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesQuery {
    pub source: SourceId,
    pub size: WindowSize,
    pub from: UnixMillis,
    pub to: UnixMillis,
    /// One metric, or all that the window has rows of.
    pub metric: Option<Arc<str>>,
    /// At most so many windows.
    pub limit: u32,
    /// The newest first, or the oldest.
    pub newest_first: bool,
}

/// One partition's account, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionAccount {
    pub log: LogId,
    pub partition: Partition,
    pub owner_epoch: u64,
    pub first_offset: Offset,
    pub next_offset: Offset,
    pub ledger: Ledger,
    /// Rows in the parked table, which must equal `ledger.parked`.
    pub parked_rows: u64,
}

/// One source's account, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceAccount {
    pub source: SourceId,
    pub accepted: u64,
    /// Sequence numbers remembered, which must equal `accepted`.
    pub remembered: u64,
    /// Frames of all windows, by size in the order of [`WindowSize::ALL`]; each
    /// must equal `accepted`.
    pub frames: [u64; WindowSize::ALL.len()],
    /// Windows of which a metric does not count every frame; must be 0.
    pub uneven_windows: u64,
}

/// The ledger as stored, read in one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    pub partitions: Vec<PartitionAccount>,
    pub sources: Vec<SourceAccount>,
    /// Parked records by reason.
    pub parked: Vec<(ParkReason, u64)>,
}

impl Audit {
    /// Every equation that does not hold, in words; empty when all is well.
    pub fn imbalances(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut check = |holds: bool, what: String| {
            if !holds {
                found.push(what);
            }
        };
        let mut accepted = 0;
        for account in &self.partitions {
            let PartitionAccount { log, partition, first_offset, next_offset, ledger, .. } =
                account;
            let at = format!("log {log}, partition {partition}");
            let Ledger { read, accepted: counted, duplicate, parked, gap } = *ledger;
            accepted += counted;
            check(
                read == counted + duplicate + parked,
                format!(
                    "{at}: read {read} is not accepted {counted} + duplicate {duplicate} + parked {parked}"
                ),
            );
            check(
                next_offset.0.checked_sub(first_offset.0) == Some(read + gap),
                format!(
                    "{at}: offsets [{first_offset}, {next_offset}) are not read {read} + gap {gap}"
                ),
            );
            check(
                account.parked_rows == parked,
                format!("{at}: {} parked rows, but parked {parked}", account.parked_rows),
            );
        }
        let mut by_source = 0;
        for account in &self.sources {
            let SourceAccount { source, accepted, remembered, frames, uneven_windows } = account;
            by_source += accepted;
            check(
                remembered == accepted,
                format!("source {source}: {remembered} sequence numbers, but accepted {accepted}"),
            );
            for (size, frames) in WindowSize::ALL.iter().zip(frames) {
                check(
                    frames == accepted,
                    format!(
                        "source {source}: {frames} frames in its {size} windows, but accepted {accepted}"
                    ),
                );
            }
            check(
                *uneven_windows == 0,
                format!(
                    "source {source}: {uneven_windows} windows with a metric that misses frames"
                ),
            );
        }
        check(
            by_source == accepted,
            format!("all sources accepted {by_source}, all partitions {accepted}"),
        );
        found
    }
}

/// The tables: windows, ledger, what was counted already, what was parked, and
/// which logs all this came from.
///
/// Calls block and every wait ends; asynchronous callers use a blocking task.
pub trait StateStore: LogBook {
    /// Declares what shapes the windows. The first time it is remembered.
    ///
    /// # Errors
    ///
    /// [`StoreError::OtherShape`] if the rows there were made with another.
    fn shape(&self, shape: &Shape) -> Result<(), StoreError>;

    /// Takes `partition` over: every earlier owner's commit fails from now on.
    /// A partition never seen before begins at `first`.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or written.
    fn claim(&self, log: &LogId, partition: Partition, first: Offset) -> Result<Claim, StoreError>;

    /// Applies `commit` whole, durably, or not at all.
    ///
    /// # Errors
    ///
    /// See [`CommitError`]; after every one of them nothing was applied. Only a
    /// server can go away before it has answered: then the error is one that
    /// [may succeed later](StoreError::may_succeed_later), and the same commit
    /// is tried again, unchanged, until its outcome is known. It is applied once.
    fn commit(&self, commit: &Commit) -> Result<(), CommitError>;

    /// What is remembered of `source`, if it is known.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or read.
    fn source(&self, source: SourceId) -> Result<Option<SourceState>, StoreError>;

    /// The sources that have windows whose status is open, ascending.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or read.
    fn open_sources(&self) -> Result<Vec<SourceState>, StoreError>;

    /// The windows of `source` whose status is open, by size and start.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or read.
    fn open_windows(&self, source: SourceId) -> Result<Vec<WindowState>, StoreError>;

    /// One window, if it has a row.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or read.
    fn window(
        &self,
        source: SourceId,
        size: WindowSize,
        start: UnixMillis,
    ) -> Result<Option<WindowState>, StoreError>;

    /// The counted sequence numbers of one block; none if it is unknown.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or read.
    fn seqs(
        &self,
        source: SourceId,
        session: SessionId,
        block: u64,
    ) -> Result<Intervals, StoreError>;

    /// Every source that has rows, ascending.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or read.
    fn sources(&self) -> Result<Vec<SourceSummary>, StoreError>;

    /// The windows asked for, in one consistent view. With a metric named, each
    /// window has exactly that one: a window that has no row of it counts zero
    /// animals in all its frames.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or read.
    fn series(&self, query: &SeriesQuery) -> Result<Vec<WindowState>, StoreError>;

    /// The ledger, in one consistent view.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or read.
    fn audit(&self) -> Result<Audit, StoreError>;

    /// Parked records, the newest first, at most `limit`.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or read.
    fn parked(&self, limit: u32) -> Result<Vec<Parked>, StoreError>;
}

/// What can go wrong with the tables, or the snapshots.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("could not {doing} {at}")]
    Unreachable {
        doing: &'static str,
        at: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    #[error("no room left to write {at}; free some space, nothing that was committed is lost")]
    Full { at: String, source: Box<dyn std::error::Error + Send + Sync> },

    /// The server is there, and says no: somebody has to change something.
    #[error("{at} refuses: {what}; {hint}")]
    Refused { at: String, what: String, hint: String },

    #[error("{at} is damaged: {what}")]
    Damaged { at: String, what: String },

    #[error(
        "the tables were made with zone {} and metrics {}, now zone {} and metrics {} are \
         configured: keep the old ones, or make new tables of what the log still holds (with \
         SQLite by `animov replay --into FILE`, on a server in an empty database)",
        was.zone, metrics_text(was), now.zone, metrics_text(now)
    )]
    OtherShape { was: Box<Shape>, now: Box<Shape> },

    #[error(
        "{at} has schema version {found}, this program knows {known}: use the newer program, or \
         run `animov migrate` if the tables are older"
    )]
    SchemaVersion { at: String, found: i64, known: i64 },
}

fn metrics_text(shape: &Shape) -> String {
    serde_json::to_string(&shape.metrics).unwrap_or_default()
}

impl StoreError {
    /// Whether the same call may succeed later without a change of program or
    /// configuration.
    pub fn may_succeed_later(&self) -> bool {
        match self {
            StoreError::Unreachable { .. } | StoreError::Full { .. } => true,
            StoreError::Refused { .. }
            | StoreError::Damaged { .. }
            | StoreError::OtherShape { .. }
            | StoreError::SchemaVersion { .. } => false,
        }
    }
}

/// Why a commit was not applied.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Another process owns the partition now. This one must let go of it.
    #[error(
        "partition {partition} of log {log} has another owner: expected offset {expected} under epoch \
         {owner_epoch}, found {found}"
    )]
    Fenced { log: LogId, partition: Partition, owner_epoch: u64, expected: Offset, found: String },

    /// Another process wrote the source meanwhile: load it and apply again.
    #[error(
        "source {source_id} was written by another process (revision {found}, expected {expected})"
    )]
    SourceMoved { source_id: SourceId, expected: u64, found: u64 },

    #[error(transparent)]
    Store(#[from] StoreError),
}
