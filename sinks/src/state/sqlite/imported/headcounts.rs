//! Headcounts of files.

use rusqlite::{Connection, OptionalExtension, Row, params};
use schemas::imported::headcount::Quarters;
use schemas::imported::{
    FilesQuery, Headcount, HeadcountFile, Quarter, QuartersQuery, StoredFile, Table,
};
use schemas::time::UnixMillis;
use schemas::users::Scope;

use crate::sqlite::row::{Int, from_int, source_id};

/// What a column holds where a file says nothing: a key takes no NULL.
const NOTHING: f64 = -1.0;

pub(super) const REFUSED: &str = "
    SELECT coalesce(sum(rows_refused), 0) FROM headcount_files WHERE source = ?1 AND number = ?2";

const FIND: &str = "
    SELECT file, whole, rows_new FROM headcount_files
    WHERE source = ?1 AND number = ?2 AND sha256 = ?3";

const BEGIN: &str = "
    INSERT INTO headcount_files (source, number, sha256, name, bytes, imported_at_ms, rows_read,
                                 rows_refused, rows_new, whole)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, 0)
    RETURNING file";

const PUT: &str = "
    INSERT INTO headcounts (source, number, quarter, wall, lying, standing, nth, file)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING";

const END: &str = "
    UPDATE headcount_files
    SET whole = 1, rows_new = (SELECT count(*) FROM headcounts WHERE file = ?1)
    WHERE file = ?1 RETURNING rows_new";

const FILES: &str = "
    SELECT file, source, number, name, sha256, bytes, imported_at_ms, rows_read, rows_refused,
           rows_new, whole
    FROM headcount_files
    WHERE file < ?1 AND (?2 IS NULL OR instr(?2, ',' || source || ','))
    ORDER BY file DESC LIMIT ?3";

const FIRST_QUARTERS: &str = "
    SELECT quarter FROM headcounts
    WHERE source = ?1 AND number = ?2 AND ?3 <= quarter AND quarter < ?4
    GROUP BY quarter ORDER BY quarter LIMIT ?5";

const LAST_QUARTERS: &str = "
    SELECT quarter FROM headcounts
    WHERE source = ?1 AND number = ?2 AND ?3 <= quarter AND quarter < ?4
    GROUP BY quarter ORDER BY quarter DESC LIMIT ?5";

const ROWS: &str = "
    SELECT quarter, lying, standing FROM headcounts
    WHERE source = ?1 AND number = ?2 AND ?3 <= quarter AND quarter <= ?4
    ORDER BY quarter";

/// A file that is there now.
pub(super) struct Begun {
    pub(super) number: u64,
    /// How many rows were new, if it was there whole before.
    pub(super) new: Option<u64>,
}

pub(super) fn begin(connection: &Connection, file: &HeadcountFile) -> rusqlite::Result<Begun> {
    let HeadcountFile { source, table, name, sha256, bytes, imported_at, rows_read, rows_refused } =
        file;
    let (source, table) = (source.get(), table.number());
    let found = connection.prepare_cached(FIND)?.query_row((source, table, sha256), |row| {
        let new = if row.get(1)? { Some(from_int(row, 2)?) } else { None };
        Ok(Begun { number: from_int(row, 0)?, new })
    });
    if let Some(found) = found.optional()? {
        return Ok(found);
    }
    let (bytes, read, refused) = (Int(*bytes), Int(*rows_read), Int(*rows_refused));
    let values = params![source, table, sha256, name, bytes, imported_at.get(), read, refused];
    let number = connection.prepare_cached(BEGIN)?.query_row(values, |row| from_int(row, 0))?;
    Ok(Begun { number, new: None })
}

pub(super) fn put(
    connection: &Connection,
    file: &HeadcountFile,
    number: u64,
    rows: &[Headcount],
) -> rusqlite::Result<()> {
    let (source, table) = (file.source.get(), file.table.number());
    let mut put = connection.prepare_cached(PUT)?;
    for Headcount { wall, lying, standing, nth } in rows {
        put.execute(params![
            source,
            table,
            wall.quarter(),
            wall.to_string(),
            lying.unwrap_or(NOTHING),
            standing.unwrap_or(NOTHING),
            nth,
            Int(number),
        ])?;
    }
    Ok(())
}

/// Notes that all rows are there; how many were new.
pub(super) fn end(connection: &Connection, number: u64) -> rusqlite::Result<u64> {
    connection.prepare_cached(END)?.query_row([Int(number)], |row| from_int(row, 0))
}

pub(super) fn files(
    connection: &Connection,
    query: &FilesQuery,
) -> rusqlite::Result<Vec<StoredFile>> {
    let FilesQuery { scope, before, limit } = query;
    let before = before.and_then(|before| i64::try_from(before).ok()).unwrap_or(i64::MAX);
    let only = match scope {
        Scope::All => None,
        Scope::Only(_) => Some(format!(",{scope},")),
    };
    let mut list = connection.prepare_cached(FILES)?;
    list.query_map(params![before, only, limit], file)?.collect()
}

fn file(row: &Row<'_>) -> rusqlite::Result<StoredFile> {
    let number = row.get(2)?;
    Ok(StoredFile {
        number: from_int(row, 0)?,
        source: source_id(row, 1)?,
        table: Table::numbered(number)
            .ok_or(rusqlite::Error::IntegralValueOutOfRange(2, number))?,
        name: row.get(3)?,
        sha256: row.get(4)?,
        bytes: from_int(row, 5)?,
        imported_at: UnixMillis::new(row.get(6)?),
        rows_read: from_int(row, 7)?,
        rows_refused: from_int(row, 8)?,
        rows_new: from_int(row, 9)?,
        whole: row.get(10)?,
    })
}

pub(super) fn quarters(
    connection: &Connection,
    query: &QuartersQuery,
) -> rusqlite::Result<Vec<Quarter>> {
    let QuartersQuery { source, table, from, to, newest_first, limit } = *query;
    let (source, table) = (source.get(), table.number());
    // Which first: then no more rows are read than are told of.
    let sql = if newest_first { LAST_QUARTERS } else { FIRST_QUARTERS };
    let mut list = connection.prepare_cached(sql)?;
    let listed = list.query_map(params![source, table, from, to, limit], |row| row.get(0))?;
    let listed: Vec<i64> = listed.collect::<rusqlite::Result<_>>()?;
    let (Some(from), Some(to)) = (listed.iter().min(), listed.iter().max()) else {
        return Ok(Vec::new());
    };
    let mut read = connection.prepare_cached(ROWS)?;
    let mut rows = read.query(params![source, table, from, to])?;
    let mut quarters = Quarters::default();
    while let Some(row) = rows.next()? {
        let said = |count: f64| (0.0 <= count).then_some(count);
        quarters.push(row.get(0)?, said(row.get(1)?), said(row.get(2)?));
    }
    let mut quarters = quarters.finish();
    if newest_first {
        quarters.reverse();
    }
    Ok(quarters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::sqlite::SqliteState;

    #[test]
    fn every_query_finds_its_rows_by_a_key() {
        let dir = tempfile::tempdir().unwrap();
        let state = SqliteState::open(dir.path().join("state.sqlite")).unwrap();
        for sql in [FIND, PUT, FIRST_QUARTERS, LAST_QUARTERS, ROWS, REFUSED, END] {
            let plan = state.read("explain", |connection| {
                let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
                let values = vec![1; explain.parameter_count()];
                let steps = explain
                    .query_map(rusqlite::params_from_iter(values), |row| row.get::<_, String>(3))?;
                Ok(steps.collect::<rusqlite::Result<Vec<_>>>()?.join("; "))
            });
            let plan = plan.unwrap();
            assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{plan}: {sql}");
        }
    }
}
