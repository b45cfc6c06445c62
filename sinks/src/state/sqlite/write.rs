//! One commit as one transaction.
//!
//! # Invariants
//!
//! - Offsets and revisions are compared and set in the same statement, so
//!   nothing can come between.
//! - Rows are written whole: the same commit gives the same rows, whatever was
//!   there.

use std::path::Path;
use std::sync::Arc;

use rusqlite::{CachedStatement, Connection, OptionalExtension, TransactionBehavior, params};
use schemas::commit::{
    Commit, CommitError, Ledger, Parked, PartitionAdvance, SeqBlock, SourceChange, SourceState,
    WindowState,
};
use schemas::log::Offset;
use schemas::source::SourceId;

use crate::sqlite::error::store_error;
use crate::sqlite::row::{Int, Text, from_int};
use crate::state::sqlite::{Writer, histograms};

/// Room to encode in, filled again for each row.
#[derive(Default)]
pub(super) struct Buffers {
    histograms: Vec<u8>,
    seqs: Vec<u8>,
    session: String,
    /// The metrics of the source that is being written.
    metrics: Vec<Arc<str>>,
}

/// What can stop a commit inside its transaction.
enum Stop {
    Sqlite(rusqlite::Error),
    Refused(CommitError),
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Stop {
        Stop::Sqlite(error)
    }
}

impl From<CommitError> for Stop {
    fn from(error: CommitError) -> Stop {
        Stop::Refused(error)
    }
}

/// Applies `commit`, durably, or changes nothing.
pub(super) fn commit(writer: &mut Writer, path: &Path, commit: &Commit) -> Result<(), CommitError> {
    fail::fail_point!("commit-before-begin");
    let mut new_metrics = Vec::new();
    match apply(writer, commit, &mut new_metrics) {
        Ok(()) => {
            // Only now: what was rolled back is not there.
            writer.known_metrics.extend(new_metrics);
            fail::fail_point!("commit-after-commit");
            Ok(())
        }
        Err(Stop::Refused(refused)) => Err(refused),
        Err(Stop::Sqlite(error)) => Err(store_error("commit to", path, error).into()),
    }
}

fn apply(
    writer: &mut Writer,
    commit: &Commit,
    new_metrics: &mut Vec<(SourceId, Arc<str>)>,
) -> Result<(), Stop> {
    let Writer { connection, known_metrics, buffers } = writer;
    // Dropped without a commit, it rolls back.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for advance in &commit.partitions {
        advance_partition(&transaction, advance)?;
    }
    fail::fail_point!("commit-between-rows");
    let mut rows = Rows::prepare(&transaction)?;
    for change in &commit.sources {
        change_source(&transaction, &change.state)?;
        rows.write(change, buffers)?;
        for metric in buffers.metrics.drain(..) {
            let known = (change.state.source, metric);
            if !known_metrics.contains(&known) {
                rows.metric.execute(params![known.0.get(), &*known.1])?;
                new_metrics.push(known);
            }
        }
    }
    for parked in &commit.parked {
        rows.park(parked)?;
    }
    drop(rows);
    fail::fail_point!("commit-before-commit");
    Ok(transaction.commit()?)
}

/// Moves a partition's offset, if it is where the owner believes and still the
/// owner's.
fn advance_partition(connection: &Connection, advance: &PartitionAdvance) -> Result<(), Stop> {
    let PartitionAdvance { log, partition, owner_epoch, from, to, ledger } = advance;
    let Ledger { read, accepted, duplicate, parked, gap } = *ledger;
    let moved = connection
        .prepare_cached(
            "UPDATE partitions
             SET next_offset = ?5, read = read + ?6, accepted = accepted + ?7,
                 duplicate = duplicate + ?8, parked = parked + ?9, gap = gap + ?10
             WHERE log = ?1 AND partition = ?2 AND owner_epoch = ?3 AND next_offset = ?4",
        )?
        .execute(params![
            &*log.0,
            partition.0,
            Int(*owner_epoch),
            Int(from.0),
            Int(to.0),
            Int(read),
            Int(accepted),
            Int(duplicate),
            Int(parked),
            Int(gap),
        ])?;
    if moved == 1 {
        return Ok(());
    }
    let found = connection
        .prepare_cached(
            "SELECT next_offset, owner_epoch FROM partitions WHERE log = ?1 AND partition = ?2",
        )?
        .query_row(params![&*log.0, partition.0], |row| {
            let (next, epoch) = (Offset(from_int(row, 0)?), from_int(row, 1)?);
            Ok(format!("offset {next} under epoch {epoch}"))
        })
        .optional()?;
    Err(Stop::Refused(CommitError::Fenced {
        log: log.clone(),
        partition: *partition,
        owner_epoch: *owner_epoch,
        expected: *from,
        found: found.unwrap_or_else(|| "no such partition".to_owned()),
    }))
}

/// Writes a source's row, if nobody else has meanwhile.
fn change_source(connection: &Connection, state: &SourceState) -> Result<(), Stop> {
    let SourceState { source, rev, watermark, last_appended_at, last_captured_at, accepted, home } =
        state;
    let expected = rev.saturating_sub(1);
    let sql = match expected {
        0 => {
            "INSERT INTO sources (source, rev, watermark_ms, last_appended_at_ms,
                                  last_captured_at_ms, accepted, log, partition)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?8, ?9 WHERE ?2 = ?7 + 1
             ON CONFLICT DO NOTHING"
        }
        _ => {
            "UPDATE sources
             SET rev = ?2, watermark_ms = ?3, last_appended_at_ms = ?4,
                 last_captured_at_ms = ?5, accepted = ?6, log = ?8, partition = ?9
             WHERE source = ?1 AND rev = ?7"
        }
    };
    let changed = connection.prepare_cached(sql)?.execute(params![
        source.get(),
        Int(*rev),
        watermark.get(),
        last_appended_at.get(),
        last_captured_at.get(),
        Int(*accepted),
        Int(expected),
        &*home.log.0,
        home.partition.0,
    ])?;
    if changed == 1 {
        return Ok(());
    }
    let found = connection
        .prepare_cached("SELECT rev FROM sources WHERE source = ?1")?
        .query_row([source.get()], |row| from_int(row, 0))
        .optional()?;
    let found = found.unwrap_or(0);
    Err(Stop::Refused(CommitError::SourceMoved { source_id: *source, expected, found }))
}

/// The statements that write rows, prepared once a commit.
struct Rows<'c> {
    window: CachedStatement<'c>,
    metric: CachedStatement<'c>,
    seqs: CachedStatement<'c>,
    parked: CachedStatement<'c>,
}

impl<'c> Rows<'c> {
    fn prepare(connection: &'c Connection) -> rusqlite::Result<Rows<'c>> {
        Ok(Rows {
            window: connection.prepare_cached(
                "REPLACE INTO windows (source, size, start_ms, end_ms, frames, frames_expected,
                                       status, rev, histograms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?,
            metric: connection.prepare_cached(
                "INSERT INTO source_metrics (source, metric) VALUES (?1, ?2)
                 ON CONFLICT DO NOTHING",
            )?,
            seqs: connection.prepare_cached(
                "REPLACE INTO seq_blocks (source, session, block, counted, seqs)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?,
            parked: connection.prepare_cached(
                "INSERT INTO parked (log, partition, offset, appended_at_ms, reason, detail, bytes)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?,
        })
    }

    /// Writes a source's windows and sequence numbers; leaves the names of its
    /// metrics in `buffers.metrics`.
    fn write(&mut self, change: &SourceChange, buffers: &mut Buffers) -> rusqlite::Result<()> {
        buffers.metrics.clear();
        for window in &change.windows {
            self.write_window(window, buffers)?;
        }
        for block in &change.blocks {
            let SeqBlock { source, session, block, seqs } = block;
            buffers.seqs.clear();
            seqs.encode(&mut buffers.seqs);
            rewrite(&mut buffers.session, *session);
            self.seqs.execute(params![
                source.get(),
                buffers.session,
                Int(*block),
                Int(seqs.count()),
                buffers.seqs
            ])?;
        }
        Ok(())
    }

    fn write_window(&mut self, state: &WindowState, buffers: &mut Buffers) -> rusqlite::Result<()> {
        let WindowState { source, window, frames, frames_expected, status, rev, metrics } = state;
        histograms::write(metrics, &mut buffers.histograms);
        self.window.execute(params![
            source.get(),
            window.size.name(),
            window.start.get(),
            window.end.get(),
            Int(*frames),
            Int(*frames_expected),
            status.name(),
            Int(*rev),
            Text(&buffers.histograms),
        ])?;
        for (metric, _) in metrics {
            // Few metrics, and mostly the same pointers: a list beats a set.
            let same = |known: &Arc<str>| Arc::ptr_eq(known, metric) || known == metric;
            if !buffers.metrics.iter().any(same) {
                buffers.metrics.push(Arc::clone(metric));
            }
        }
        Ok(())
    }

    fn park(&mut self, parked: &Parked) -> rusqlite::Result<usize> {
        let Parked { log, partition, offset, appended_at, reason, detail, bytes } = parked;
        self.parked.execute(params![
            &*log.0,
            partition.0,
            Int(offset.0),
            appended_at.get(),
            reason.name(),
            detail,
            bytes,
        ])
    }
}

fn rewrite(out: &mut String, value: impl std::fmt::Display) {
    use std::fmt::Write;
    out.clear();
    write!(out, "{value}").expect("a String takes everything");
}
