//! Queries: each finds its rows by a key.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Params, Row, params};
use schemas::commit::{
    ParkReason, Parked, Place, SeriesQuery, SourceState, SourceSummary, Status, WindowState,
};
use schemas::intervals::Intervals;
use schemas::log::{LogId, Offset, Partition};
use schemas::source::{SessionId, SourceId};
use schemas::stats::Histogram;
use schemas::time::UnixMillis;
use schemas::window::{Window, WindowSize};

use crate::sqlite::row::{from_int, named, parse, source_id};
use crate::state::sqlite::histograms;

const ONE_WINDOW: &str = "
    SELECT source, size, start_ms, end_ms, frames, frames_expected, status, rev,
           histograms
    FROM windows
    WHERE source = ?1 AND size = ?2 AND start_ms = ?3";

const OPEN_WINDOWS: &str = "
    SELECT source, size, start_ms, end_ms, frames, frames_expected, status, rev,
           histograms
    FROM windows INDEXED BY open_windows
    WHERE status = 'open' AND source = ?1";

const OLDEST_FIRST: &str = "
    SELECT source, size, start_ms, end_ms, frames, frames_expected, status, rev,
           histograms
    FROM windows
    WHERE source = ?1 AND size = ?2 AND ?3 <= start_ms AND start_ms < ?4
    ORDER BY start_ms
    LIMIT ?5";

const NEWEST_FIRST: &str = "
    SELECT source, size, start_ms, end_ms, frames, frames_expected, status, rev,
           histograms
    FROM windows
    WHERE source = ?1 AND size = ?2 AND ?3 <= start_ms AND start_ms < ?4
    ORDER BY start_ms DESC
    LIMIT ?5";

const ONE_SOURCE: &str = "
    SELECT source, rev, watermark_ms, last_appended_at_ms, last_captured_at_ms, accepted,
           log, partition
    FROM sources
    WHERE source = ?1";

const ALL_SOURCES: &str = "
    SELECT source, rev, watermark_ms, last_appended_at_ms, last_captured_at_ms, accepted,
           log, partition
    FROM sources
    ORDER BY source";

const OPEN_SOURCES: &str = "
    SELECT source, rev, watermark_ms, last_appended_at_ms, last_captured_at_ms, accepted,
           log, partition
    FROM sources
    WHERE EXISTS (SELECT 1 FROM windows INDEXED BY open_windows
                  WHERE status = 'open' AND windows.source = sources.source)
    ORDER BY source";

const SOURCE_METRICS: &str = "
    SELECT metric FROM source_metrics WHERE source = ?1 ORDER BY metric";

const SEQS: &str = "
    SELECT seqs FROM seq_blocks WHERE source = ?1 AND session = ?2 AND block = ?3";

const PARKED: &str = "
    SELECT log, partition, offset, appended_at_ms, reason, detail, bytes
    FROM parked
    ORDER BY id DESC
    LIMIT ?1";

pub(super) fn source(
    connection: &Connection,
    source: SourceId,
) -> rusqlite::Result<Option<SourceState>> {
    connection.prepare_cached(ONE_SOURCE)?.query_row([source.get()], source_state).optional()
}

pub(super) fn sources(connection: &Connection) -> rusqlite::Result<Vec<SourceSummary>> {
    let mut metrics = connection.prepare_cached(SOURCE_METRICS)?;
    let mut sources = connection.prepare_cached(ALL_SOURCES)?;
    let states = sources.query_map([], source_state)?;
    states
        .map(|state| {
            let state = state?;
            let names = metrics.query_map([state.source.get()], |row| row.get(0))?;
            Ok(SourceSummary { metrics: names.collect::<rusqlite::Result<_>>()?, state })
        })
        .collect()
}

pub(super) fn open_sources(connection: &Connection) -> rusqlite::Result<Vec<SourceState>> {
    connection.prepare_cached(OPEN_SOURCES)?.query_map([], source_state)?.collect()
}

pub(super) fn open_windows(
    connection: &Connection,
    source: SourceId,
) -> rusqlite::Result<Vec<WindowState>> {
    let mut windows = windows(connection, OPEN_WINDOWS, [source.get()])?;
    // Sizes by length; their names sort otherwise.
    windows.sort_by_key(|state| (state.window.size, state.window.start));
    Ok(windows)
}

pub(super) fn window(
    connection: &Connection,
    source: SourceId,
    size: WindowSize,
    start: UnixMillis,
) -> rusqlite::Result<Option<WindowState>> {
    let key = params![source.get(), size.name(), start.get()];
    Ok(windows(connection, ONE_WINDOW, key)?.pop())
}

pub(super) fn series(
    connection: &Connection,
    query: &SeriesQuery,
) -> rusqlite::Result<Vec<WindowState>> {
    let SeriesQuery { source, size, from, to, metric, limit, newest_first } = query;
    let sql = if *newest_first { NEWEST_FIRST } else { OLDEST_FIRST };
    let range = params![source.get(), size.name(), from.get(), to.get(), limit];
    let mut windows = windows(connection, sql, range)?;
    if let Some(metric) = metric {
        for state in &mut windows {
            let named = state.metrics.iter().position(|(name, _)| name == metric);
            let histogram = match named {
                Some(at) => state.metrics.swap_remove(at).1,
                // No frame showed any.
                None => Histogram::of(&[(0, state.frames)]),
            };
            state.metrics = vec![(Arc::clone(metric), histogram)];
        }
    }
    Ok(windows)
}

pub(super) fn seqs(
    connection: &Connection,
    source: SourceId,
    session: SessionId,
    block: u64,
) -> rusqlite::Result<Intervals> {
    // No block beyond SQLite's integers was ever stored.
    let Ok(block) = i64::try_from(block) else { return Ok(Intervals::default()) };
    let key = params![source.get(), session.to_string(), block];
    let stored = connection
        .prepare_cached(SEQS)?
        .query_row(key, |row| parse(row, 0, Intervals::decode))
        .optional()?;
    Ok(stored.unwrap_or_default())
}

pub(super) fn parked(connection: &Connection, limit: u32) -> rusqlite::Result<Vec<Parked>> {
    let mut newest = connection.prepare_cached(PARKED)?;
    let found = newest.query_map([limit], |row| {
        Ok(Parked {
            log: LogId(row.get(0)?),
            partition: Partition(row.get(1)?),
            offset: Offset(from_int(row, 2)?),
            appended_at: UnixMillis::new(row.get(3)?),
            reason: named(row, 4, reason_named)?,
            detail: row.get(5)?,
            bytes: row.get(6)?,
        })
    })?;
    found.collect()
}

/// The reason of that name.
pub(super) fn reason_named(name: &str) -> Option<ParkReason> {
    ParkReason::ALL.into_iter().find(|reason| reason.name() == name)
}

fn status_named(name: &str) -> Option<Status> {
    [Status::Open, Status::Final, Status::Corrected].into_iter().find(|s| s.name() == name)
}

fn source_state(row: &Row<'_>) -> rusqlite::Result<SourceState> {
    Ok(SourceState {
        source: source_id(row, 0)?,
        rev: from_int(row, 1)?,
        watermark: UnixMillis::new(row.get(2)?),
        last_appended_at: UnixMillis::new(row.get(3)?),
        last_captured_at: UnixMillis::new(row.get(4)?),
        accepted: from_int(row, 5)?,
        home: Place { log: LogId(row.get(6)?), partition: Partition(row.get(7)?) },
    })
}

/// The windows that `sql` finds.
fn windows(
    connection: &Connection,
    sql: &str,
    params: impl Params,
) -> rusqlite::Result<Vec<WindowState>> {
    let mut find = connection.prepare_cached(sql)?;
    let found = find.query_map(params, |row| {
        Ok(WindowState {
            source: source_id(row, 0)?,
            window: Window {
                size: named(row, 1, |name| name.parse().ok())?,
                start: UnixMillis::new(row.get(2)?),
                end: UnixMillis::new(row.get(3)?),
            },
            frames: from_int(row, 4)?,
            frames_expected: from_int(row, 5)?,
            status: named(row, 6, status_named)?,
            rev: from_int(row, 7)?,
            metrics: parse(row, 8, histograms::read)?,
        })
    })?;
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::connection::{Freed, open_writer};
    use crate::state::sqlite::schema::TABLES;

    #[test]
    fn every_query_finds_its_rows_by_a_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.sqlite");
        let mut connection = open_writer(&path, Freed::Kept).unwrap();
        TABLES.create_or_check(&mut connection, &path).unwrap();
        let plan = |sql: &str| {
            let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let values = vec![1; explain.parameter_count()];
            let steps = explain
                .query_map(rusqlite::params_from_iter(values), |row| row.get::<_, String>(3))
                .unwrap();
            steps.collect::<rusqlite::Result<Vec<_>>>().unwrap().join("; ")
        };
        for sql in
            [ONE_WINDOW, OPEN_WINDOWS, OLDEST_FIRST, NEWEST_FIRST, ONE_SOURCE, SOURCE_METRICS, SEQS]
        {
            let plan = plan(sql);
            assert!(plan.starts_with("SEARCH "), "{plan}: {sql}");
            assert!(!plan.contains("TEMP B-TREE") && !plan.contains("SCAN"), "{plan}: {sql}");
        }
        assert!(plan(OPEN_WINDOWS).contains("USING INDEX open_windows"), "{}", plan(OPEN_WINDOWS));
        assert!(
            plan(OPEN_SOURCES).contains("USING COVERING INDEX open_windows"),
            "{}",
            plan(OPEN_SOURCES)
        );
        assert_eq!(plan(PARKED), "SCAN parked", "backwards, and ended by the limit");
    }
}
