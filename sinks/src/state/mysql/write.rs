//! What one commit writes, inside its transaction.
//!
//! # Invariants
//!
//! - Offsets and revisions are read under locks that are held until the end,
//!   and only then written over, so nothing can come between.
//! - Partitions before sources, each in ascending order: processes that wait
//!   for one another's rows never wait in a circle.
//! - Rows are written whole, with absolute values: the same commit gives the
//!   same rows, whatever was there.
//! - The number of the commit is written last (see [`writer`](super::writer)).

use std::collections::HashSet;
use std::sync::Arc;

use schemas::bugs::Bug;
use schemas::commit::{
    Commit, CommitError, Parked, SeqBlock, SourceChange, StoreError, WindowState,
};
use schemas::source::SourceId;
use schemas::stats::{Histogram, Statistics};
use schemas::window::Window;
use sqlx::Error;
use uuid::Uuid;

use crate::state::mysql::batch::{Statement, insert, upsert, write};
use crate::state::mysql::compare::{advance_partitions, change_sources};
use crate::state::mysql::connection::{Link, Server};
use crate::state::mysql::histogram;
use crate::state::mysql::row::Values;

/// Bytes of a parked record in one row; the rest goes into further rows.
pub(super) const PARKED_PART: usize = 1 << 20;

/// Room for the values of a row beside its long ones.
const ROW_BYTES: usize = 1024;

/// What can stop a commit inside its transaction.
pub(super) enum Stop {
    Sqlx(Error),
    Refused(CommitError),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Sqlx(error)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Stop {
        Stop::Refused(error.into())
    }
}

/// Names one try of one commit.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    pub(super) writer: Uuid,
    pub(super) number: u64,
}

static WINDOWS: Statement = Statement::new(|rows| {
    let columns =
        ["source", "size", "start_ms", "end_ms", "frames", "frames_expected", "status", "rev"];
    upsert("windows", &columns, 3, rows)
});

static WINDOW_METRICS: Statement = Statement::new(|rows| {
    let columns = [
        "source",
        "size",
        "start_ms",
        "metric",
        "sum",
        "sum_squares",
        "min",
        "max",
        "q1_x4",
        "median_x4",
        "q3_x4",
        "modes",
        "histogram",
    ];
    upsert("window_metrics", &columns, 4, rows)
});

static SEQ_BLOCKS: Statement = Statement::new(|rows| {
    upsert("seq_blocks", &["source", "session", "block", "counted", "seqs"], 3, rows)
});

static SOURCE_METRICS: Statement = Statement::new(|rows| {
    let keep = "ON DUPLICATE KEY UPDATE source = VALUES(source)";
    insert("source_metrics", &["source", "metric"], rows, keep)
});

static PARKED: Statement = Statement::new(|rows| {
    let columns = ["log", "`partition`", "`offset`", "appended_at_ms", "reason", "detail", "bytes"];
    insert("parked", &columns, rows, "")
});

static PARKED_REST: Statement = Statement::new(|rows| {
    insert("parked_rest", &["log", "`partition`", "`offset`", "part", "bytes"], rows, "")
});

const MARK: &str = "
    INSERT INTO writers (writer, last_commit, committed_at) VALUES (?, ?, UNIX_TIMESTAMP())
    ON DUPLICATE KEY UPDATE last_commit = VALUES(last_commit), committed_at = VALUES(committed_at)";

/// Writes all of `commit`, in the transaction that `link` is in; returns the
/// rows of `source_metrics` that are new.
pub(super) async fn apply(
    link: &mut Link,
    server: &Server,
    commit: &Commit,
    mark: Mark,
    known_metrics: &HashSet<(SourceId, Arc<str>)>,
) -> Result<Vec<(SourceId, Arc<str>)>, Stop> {
    let Commit { partitions, sources, parked } = commit;
    advance_partitions(link, partitions).await?;
    fail::fail_point!("commit-between-rows");
    if Bug::OffsetFirst.is_planted() {
        link.run("COMMIT").await?;
        link.run("START TRANSACTION").await?;
    }
    change_sources(link, sources).await?;
    write_windows(link, sources).await?;
    write_metrics(link, server, sources).await?;
    write_blocks(link, sources).await?;
    let new_metrics = new_metrics(sources, known_metrics);
    let metric = |(source, metric): &(SourceId, Arc<str>), row: &mut Values| {
        row.signed(source.get().into())?;
        row.bytes(metric.as_bytes())
    };
    write::<_, Error>(link, &SOURCE_METRICS, &new_metrics, |_| ROW_BYTES, metric).await?;
    write_parked(link, parked).await?;
    let Mark { writer, number } = mark;
    let number = i64::try_from(number).map_err(|error| Error::Encode(error.into()))?;
    link.execute(sqlx::query(MARK).bind(writer.to_string()).bind(number)).await?;
    Ok(new_metrics)
}

async fn write_windows(link: &mut Link, sources: &[SourceChange]) -> Result<(), Stop> {
    let windows: Vec<&WindowState> = sources.iter().flat_map(|change| &change.windows).collect();
    let bind = |state: &&WindowState, row: &mut Values| {
        let WindowState { source, window, frames, frames_expected, status, rev, metrics: _ } =
            state;
        let Window { size, start, end } = *window;
        row.signed(source.get().into())?;
        row.text(size.name())?;
        row.signed(start.get())?;
        row.signed(end.get())?;
        row.int(*frames)?;
        row.int(*frames_expected)?;
        row.text(status.name())?;
        row.int(*rev)
    };
    Ok(write::<_, Error>(link, &WINDOWS, &windows, |_| ROW_BYTES, bind).await?)
}

/// One row of `window_metrics`.
struct Row<'c> {
    state: &'c WindowState,
    metric: &'c Arc<str>,
    histogram: &'c Histogram,
}

async fn write_metrics(
    link: &mut Link,
    server: &Server,
    sources: &[SourceChange],
) -> Result<(), Stop> {
    let windows = sources.iter().flat_map(|change| &change.windows);
    let rows = windows.flat_map(|state| {
        state.metrics.iter().map(move |(metric, histogram)| Row { state, metric, histogram })
    });
    let rows: Vec<Row<'_>> = rows.collect();
    // Filled again for each row.
    let (mut bytes, mut text) = (Vec::new(), String::new());
    let bind = |row: &Row<'_>, values: &mut Values| {
        let Row { state, metric, histogram } = *row;
        let statistics = histogram.statistics().ok_or_else(|| no_frames(server, row))?;
        let Statistics { sum, sum_squares, min, max, q1, median, q3, modes, .. } = &statistics;
        histogram::write(histogram, &mut bytes);
        list(&mut text, modes);
        values.signed(state.source.get().into())?;
        values.text(state.window.size.name())?;
        values.signed(state.window.start.get())?;
        values.bytes(metric.as_bytes())?;
        values.int(*sum)?;
        values.int(*sum_squares)?;
        values.small(*min)?;
        values.small(*max)?;
        values.int(q1.0)?;
        values.int(median.0)?;
        values.int(q3.0)?;
        values.text(&text)?;
        values.bytes(&bytes)?;
        Ok(())
    };
    // A bar is two numbers of thirty digits and signs at most, and may be a mode.
    let room = |row: &Row<'_>| ROW_BYTES + row.histogram.bars().count() * 40;
    write(link, &WINDOW_METRICS, &rows, room, bind).await
}

fn no_frames(server: &Server, row: &Row<'_>) -> Stop {
    let Row { state: WindowState { source, window, .. }, metric, .. } = row;
    let (size, start) = (window.size, window.start);
    let what = format!("metric {metric} of source {source}, {size} {start}, has no frames");
    server.damaged(what).into()
}

async fn write_blocks(link: &mut Link, sources: &[SourceChange]) -> Result<(), Stop> {
    let blocks: Vec<&SeqBlock> = sources.iter().flat_map(|change| &change.blocks).collect();
    let mut bytes = Vec::new();
    let bind = |block: &&SeqBlock, row: &mut Values| {
        let SeqBlock { source, session, block, seqs } = block;
        bytes.clear();
        seqs.encode(&mut bytes);
        row.signed(source.get().into())?;
        row.text(&session.to_string())?;
        row.int(*block)?;
        row.int(seqs.count())?;
        row.bytes(&bytes)
    };
    // An interval is two numbers within a block; one may be larger.
    let room = |block: &&SeqBlock| ROW_BYTES + block.seqs.iter().count() * 6;
    Ok(write::<_, Error>(link, &SEQ_BLOCKS, &blocks, room, bind).await?)
}

/// The metrics of `sources` that are not known to be in `source_metrics`.
fn new_metrics(
    sources: &[SourceChange],
    known: &HashSet<(SourceId, Arc<str>)>,
) -> Vec<(SourceId, Arc<str>)> {
    let mut new = Vec::new();
    let mut of_source: Vec<&Arc<str>> = Vec::new();
    for change in sources {
        of_source.clear();
        for (metric, _) in change.windows.iter().flat_map(|window| &window.metrics) {
            // Few metrics, and mostly the same pointers: a list beats a set.
            let same = |known: &&Arc<str>| Arc::ptr_eq(known, metric) || *known == metric;
            if !of_source.iter().any(same) {
                of_source.push(metric);
            }
        }
        let keys = of_source.iter().map(|metric| (change.state.source, Arc::clone(metric)));
        new.extend(keys.filter(|key| !known.contains(key)));
    }
    new
}

async fn write_parked(link: &mut Link, parked: &[Parked]) -> Result<(), Stop> {
    let bind = |parked: &Parked, row: &mut Values| {
        let Parked { log, partition, offset, appended_at, reason, detail, bytes } = parked;
        row.text(&log.0)?;
        row.small(partition.0)?;
        row.int(offset.0)?;
        row.signed(appended_at.get())?;
        row.text(reason.name())?;
        row.text(detail)?;
        row.bytes(bytes.chunks(PARKED_PART).next().unwrap_or_default())
    };
    let room = |parked: &Parked| {
        ROW_BYTES
            + 4 * parked.log.0.len()
            + parked.detail.len()
            + parked.bytes.len().min(PARKED_PART)
    };
    write::<_, Error>(link, &PARKED, parked, room, bind).await?;

    let rest = parked.iter().flat_map(|parked| {
        let parts = (0_u32..).zip(parked.bytes.chunks(PARKED_PART)).skip(1);
        parts.map(move |(part, bytes)| (parked, part, bytes))
    });
    let rest: Vec<(&Parked, u32, &[u8])> = rest.collect();
    let bind = |(parked, part, bytes): &(&Parked, u32, &[u8]), row: &mut Values| {
        row.text(&parked.log.0)?;
        row.small(parked.partition.0)?;
        row.int(parked.offset.0)?;
        row.small(*part)?;
        row.bytes(bytes)
    };
    let room = |(_, _, bytes): &(&Parked, u32, &[u8])| ROW_BYTES + bytes.len();
    Ok(write::<_, Error>(link, &PARKED_REST, &rest, room, bind).await?)
}

/// Writes numbers with commas between them.
fn list(out: &mut String, numbers: &[u32]) {
    use std::fmt::Write;
    out.clear();
    for (at, number) in numbers.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        write!(out, "{comma}{number}").expect("a String takes everything");
    }
}
