//! Queries: each finds its rows by a key, and none is asked once a window.

use std::collections::HashMap;
use std::sync::Arc;

use schemas::commit::{
    ParkReason, Parked, Place, SeriesQuery, SourceState, SourceSummary, WindowState,
};
use schemas::intervals::Intervals;
use schemas::log::{LogId, Offset, Partition};
use schemas::source::{SessionId, SourceId};
use schemas::stats::Histogram;
use schemas::time::UnixMillis;
use schemas::window::{Window, WindowSize};
use sqlx::Row;
use sqlx::mysql::MySqlRow;

use crate::state::mysql::connection::{Ask, Link};
use crate::state::mysql::histogram;
use crate::state::mysql::row::{int, named, parse, source_id, status_named, text};
use crate::state::mysql::write::PARKED_PART;

// Where an index is forced, the server would sometimes rather read the whole
// table, or the rows of another key.

const OPEN_WINDOWS: &str = "
    SELECT source, size, start_ms, end_ms, frames, frames_expected, status, rev
    FROM windows FORCE INDEX (open_windows)
    WHERE status = 'open' AND source = ?";

const OPEN_METRICS: &str = "
    SELECT m.size, m.start_ms, m.metric, m.histogram
    FROM windows AS w FORCE INDEX (open_windows)
    STRAIGHT_JOIN window_metrics AS m FORCE INDEX (PRIMARY)
        ON m.source = w.source AND m.size = w.size AND m.start_ms = w.start_ms
    WHERE w.status = 'open' AND w.source = ?";

const OLDEST_FIRST: &str = "
    SELECT source, size, start_ms, end_ms, frames, frames_expected, status, rev
    FROM windows FORCE INDEX (PRIMARY)
    WHERE source = ? AND size = ? AND ? <= start_ms AND start_ms < ?
    ORDER BY start_ms
    LIMIT ?";

const NEWEST_FIRST: &str = "
    SELECT source, size, start_ms, end_ms, frames, frames_expected, status, rev
    FROM windows FORCE INDEX (PRIMARY)
    WHERE source = ? AND size = ? AND ? <= start_ms AND start_ms < ?
    ORDER BY start_ms DESC
    LIMIT ?";

const ALL_METRICS: &str = "
    SELECT size, start_ms, metric, histogram
    FROM window_metrics FORCE INDEX (PRIMARY)
    WHERE source = ? AND size = ? AND start_ms BETWEEN ? AND ?";

const ONE_METRIC: &str = "
    SELECT size, start_ms, metric, histogram
    FROM window_metrics FORCE INDEX (PRIMARY)
    WHERE source = ? AND size = ? AND start_ms BETWEEN ? AND ? AND metric = ?";

const ONE_SOURCE: &str = "
    SELECT source, rev, watermark_ms, last_appended_at_ms, last_captured_at_ms, accepted,
           log, `partition`
    FROM sources
    WHERE source = ?";

const ALL_SOURCES: &str = "
    SELECT source, rev, watermark_ms, last_appended_at_ms, last_captured_at_ms, accepted,
           log, `partition`
    FROM sources
    ORDER BY source";

const OPEN_SOURCES: &str = "
    SELECT source, rev, watermark_ms, last_appended_at_ms, last_captured_at_ms, accepted,
           log, `partition`
    FROM sources
    WHERE EXISTS (SELECT 1 FROM windows FORCE INDEX (open_windows)
                  WHERE windows.status = 'open' AND windows.source = sources.source)
    ORDER BY source";

const SOURCE_METRICS: &str = "
    SELECT source, metric FROM source_metrics ORDER BY source, metric";

const SEQS: &str = "
    SELECT seqs FROM seq_blocks WHERE source = ? AND session = ? AND block = ?";

const PARKED: &str = "
    SELECT log, `partition`, `offset`, appended_at_ms, reason, detail, bytes
    FROM parked
    ORDER BY id DESC
    LIMIT ?";

const PARKED_REST: &str = "
    SELECT bytes
    FROM parked_rest
    WHERE log = ? AND `partition` = ? AND `offset` = ?
    ORDER BY part";

pub(super) async fn source(link: &mut Link, source: SourceId) -> sqlx::Result<Option<SourceState>> {
    link.row(sqlx::query(ONE_SOURCE).bind(source.get()), source_state).await
}

pub(super) async fn sources(link: &mut Link) -> sqlx::Result<Vec<SourceSummary>> {
    let summary =
        |row: &MySqlRow| Ok(SourceSummary { state: source_state(row)?, metrics: Vec::new() });
    let mut sources = link.rows(sqlx::query(ALL_SOURCES), summary).await?;
    let mut names = Names::default();
    let metric = |row: &MySqlRow| Ok((source_id(row, 0)?, names.read(row, 1)?));
    let metrics = link.rows(sqlx::query(SOURCE_METRICS), metric).await?;
    // Both ascend by source.
    let mut metrics = metrics.into_iter().peekable();
    for SourceSummary { state, metrics: of_source } in &mut sources {
        while metrics.next_if(|(source, _)| *source < state.source).is_some() {}
        let mine = std::iter::from_fn(|| metrics.next_if(|(source, _)| *source == state.source));
        of_source.extend(mine.map(|(_, metric)| metric));
    }
    Ok(sources)
}

pub(super) async fn open_sources(link: &mut Link) -> sqlx::Result<Vec<SourceState>> {
    link.rows(sqlx::query(OPEN_SOURCES), source_state).await
}

pub(super) async fn open_windows(
    link: &mut Link,
    source: SourceId,
) -> sqlx::Result<Vec<WindowState>> {
    let open = sqlx::query(OPEN_WINDOWS).bind(source.get());
    let mut windows = link.rows(open, window_state).await?;
    // Sizes by length; their names sort otherwise.
    windows.sort_by_key(|state| (state.window.size, state.window.start));
    let metrics = sqlx::query(OPEN_METRICS).bind(source.get());
    add_metrics(link, &mut windows, metrics).await?;
    Ok(windows)
}

pub(super) async fn window(
    link: &mut Link,
    source: SourceId,
    size: WindowSize,
    start: UnixMillis,
) -> sqlx::Result<Option<WindowState>> {
    let to = UnixMillis::new(start.get().saturating_add(1));
    let query =
        SeriesQuery { source, size, from: start, to, metric: None, limit: 1, newest_first: false };
    Ok(series(link, &query).await?.pop())
}

pub(super) async fn series(link: &mut Link, query: &SeriesQuery) -> sqlx::Result<Vec<WindowState>> {
    let SeriesQuery { source, size, from, to, metric, limit, newest_first } = query;
    let windows = sqlx::query(if *newest_first { NEWEST_FIRST } else { OLDEST_FIRST });
    let windows = windows.bind(source.get()).bind(size.name()).bind(from.get()).bind(to.get());
    let mut windows = link.rows(windows.bind(limit), window_state).await?;

    // Nothing lies between the windows that was not found, so their metrics are
    // one range too.
    let starts = || windows.iter().map(|state| state.window.start.get());
    let (Some(first), Some(last)) = (starts().min(), starts().max()) else {
        return Ok(windows);
    };
    let metrics = sqlx::query(if metric.is_some() { ONE_METRIC } else { ALL_METRICS });
    let mut metrics = metrics.bind(source.get()).bind(size.name()).bind(first).bind(last);
    if let Some(metric) = metric {
        metrics = metrics.bind(metric.as_bytes());
    }
    add_metrics(link, &mut windows, metrics).await?;
    if let Some(metric) = metric {
        for state in windows.iter_mut().filter(|state| state.metrics.is_empty()) {
            // No row of it: no frame showed any.
            let unseen = Histogram::of(&[(0, state.frames)]);
            state.metrics.push((Arc::clone(metric), unseen));
        }
    }
    Ok(windows)
}

pub(super) async fn seqs(
    link: &mut Link,
    source: SourceId,
    session: SessionId,
    block: u64,
) -> sqlx::Result<Intervals> {
    // No block beyond the column's integers was ever stored.
    let Ok(block) = i64::try_from(block) else { return Ok(Intervals::default()) };
    let stored = sqlx::query(SEQS).bind(source.get()).bind(session.to_string()).bind(block);
    let stored = link.row(stored, |row| parse(row, 0, Intervals::decode)).await?;
    Ok(stored.unwrap_or_default())
}

pub(super) async fn parked(link: &mut Link, limit: u32) -> sqlx::Result<Vec<Parked>> {
    let newest = sqlx::query(PARKED).bind(limit);
    let found = link.rows(newest, |row| {
        Ok(Parked {
            log: LogId(text(row, 0)?.into()),
            partition: Partition(row.try_get(1)?),
            offset: Offset(int(row, 2)?),
            appended_at: UnixMillis::new(row.try_get(3)?),
            reason: named(row, 4, reason_named)?,
            detail: text(row, 5)?.to_owned(),
            bytes: row.try_get(6)?,
        })
    });
    let mut found = found.await?;
    for parked in found.iter_mut().filter(|parked| PARKED_PART <= parked.bytes.len()) {
        let Parked { log, partition, offset, bytes, .. } = parked;
        let offset = i64::try_from(offset.0).map_err(|error| sqlx::Error::Encode(error.into()))?;
        let rest = sqlx::query(PARKED_REST).bind(&*log.0).bind(partition.0).bind(offset);
        let add = |row: &MySqlRow| {
            bytes.extend_from_slice(row.try_get(0)?);
            Ok(())
        };
        link.rows(rest, add).await?;
    }
    Ok(found)
}

/// The reason of that name.
pub(super) fn reason_named(name: &str) -> Option<ParkReason> {
    ParkReason::ALL.into_iter().find(|reason| reason.name() == name)
}

fn source_state(row: &MySqlRow) -> sqlx::Result<SourceState> {
    Ok(SourceState {
        source: source_id(row, 0)?,
        rev: int(row, 1)?,
        watermark: UnixMillis::new(row.try_get(2)?),
        last_appended_at: UnixMillis::new(row.try_get(3)?),
        last_captured_at: UnixMillis::new(row.try_get(4)?),
        accepted: int(row, 5)?,
        home: Place { log: LogId(text(row, 6)?.into()), partition: Partition(row.try_get(7)?) },
    })
}

/// A window, without its metrics.
fn window_state(row: &MySqlRow) -> sqlx::Result<WindowState> {
    Ok(WindowState {
        source: source_id(row, 0)?,
        window: Window {
            size: size(row, 1)?,
            start: UnixMillis::new(row.try_get(2)?),
            end: UnixMillis::new(row.try_get(3)?),
        },
        frames: int(row, 4)?,
        frames_expected: int(row, 5)?,
        status: named(row, 6, status_named)?,
        rev: int(row, 7)?,
        metrics: Vec::new(),
    })
}

pub(super) fn size(row: &MySqlRow, column: usize) -> sqlx::Result<WindowSize> {
    named(row, column, |name| name.parse().ok())
}

/// Gives each of `windows`, all of one source, its metrics among the rows that
/// `metrics` finds.
async fn add_metrics(
    link: &mut Link,
    windows: &mut [WindowState],
    metrics: Ask<'_>,
) -> sqlx::Result<()> {
    let places = windows.iter().enumerate();
    let places: HashMap<(WindowSize, UnixMillis), usize> =
        places.map(|(at, state)| ((state.window.size, state.window.start), at)).collect();
    let mut names = Names::default();
    let add = |row: &MySqlRow| {
        let key = (size(row, 0)?, UnixMillis::new(row.try_get(1)?));
        if let Some(at) = places.get(&key) {
            let metric = (names.read(row, 2)?, parse(row, 3, histogram::read)?);
            windows[*at].metrics.push(metric);
        }
        Ok(())
    };
    link.rows(metrics, add).await?;
    windows.iter_mut().for_each(|state| state.metrics.sort_by(|(a, _), (b, _)| a.cmp(b)));
    Ok(())
}

/// Names met before: a series shares a few.
#[derive(Default)]
struct Names(Vec<Arc<str>>);

impl Names {
    fn read(&mut self, row: &MySqlRow, column: usize) -> sqlx::Result<Arc<str>> {
        let name = text(row, column)?;
        let known = self.0.iter().find(|known| known.as_ref() == name);
        Ok(known.map(Arc::clone).unwrap_or_else(|| {
            let new: Arc<str> = name.into();
            self.0.push(Arc::clone(&new));
            new
        }))
    }
}

#[cfg(test)]
mod tests;
