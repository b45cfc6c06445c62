//! Headcounts of files.

use schemas::imported::headcount::Quarters;
use schemas::imported::{
    FilesQuery, Headcount, HeadcountFile, Quarter, QuartersQuery, StoredFile, Table,
};
use schemas::source::SourceId;
use schemas::time::UnixMillis;
use schemas::users::Scope;
use sqlx::mysql::MySqlRow;
use sqlx::{Error, Row};

use crate::state::mysql::batch::{Statement, insert, write};
use crate::state::mysql::connection::Link;
use crate::state::mysql::row::{Values, int, source_id, text};

/// What a column holds where a file says nothing: a key takes no NULL.
const NOTHING: f64 = -1.0;

/// Bytes that a row's values have at most.
const ROW_BYTES: usize = 100;

const FIND: &str = "
    SELECT file, whole, rows_new FROM headcount_files
    WHERE source = ? AND number = ? AND sha256 = ?";

const BEGIN: &str = "
    INSERT INTO headcount_files (source, number, sha256, name, bytes, imported_at_ms, rows_read,
                                 rows_refused, rows_new, whole)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0)
    ON DUPLICATE KEY UPDATE file = file";

static PUT: Statement = Statement::new(|rows| {
    let columns = ["source", "number", "quarter", "wall", "lying", "standing", "nth", "file"];
    insert("headcounts", &columns, rows, "ON DUPLICATE KEY UPDATE nth = VALUES(nth)")
});

const END: &str = "
    UPDATE headcount_files
    SET whole = 1, rows_new = (SELECT COUNT(*) FROM headcounts WHERE headcounts.file = ?)
    WHERE file = ?";

const NEW: &str = "SELECT rows_new FROM headcount_files WHERE file = ?";

const FILES: &str = "
    SELECT file, source, CAST(number AS SIGNED), name, sha256, bytes, imported_at_ms, rows_read,
           rows_refused, rows_new, CAST(whole AS SIGNED)
    FROM headcount_files
    WHERE file < ? AND (? OR FIND_IN_SET(source, ?))
    ORDER BY file DESC LIMIT ?";

const REFUSED: &str = "
    SELECT CAST(COALESCE(SUM(rows_refused), 0) AS SIGNED) FROM headcount_files
    WHERE source = ? AND number = ?";

const FIRST_QUARTERS: &str = "
    SELECT quarter FROM headcounts FORCE INDEX (PRIMARY)
    WHERE source = ? AND number = ? AND ? <= quarter AND quarter < ?
    GROUP BY quarter ORDER BY quarter LIMIT ?";

const LAST_QUARTERS: &str = "
    SELECT quarter FROM headcounts FORCE INDEX (PRIMARY)
    WHERE source = ? AND number = ? AND ? <= quarter AND quarter < ?
    GROUP BY quarter ORDER BY quarter DESC LIMIT ?";

const ROWS: &str = "
    SELECT quarter, lying, standing FROM headcounts FORCE INDEX (PRIMARY)
    WHERE source = ? AND number = ? AND quarter BETWEEN ? AND ?
    ORDER BY quarter";

/// A file that is there now.
pub(super) struct Begun {
    pub(super) number: u64,
    /// How many rows were new, if it was there whole before.
    pub(super) new: Option<u64>,
}

pub(super) async fn begin(link: &mut Link, file: &HeadcountFile) -> sqlx::Result<Begun> {
    let HeadcountFile { source, table, name, sha256, bytes, imported_at, rows_read, rows_refused } =
        file;
    let mut begin = Values::default();
    begin.signed(source.get().into())?;
    begin.small(table.number().into())?;
    begin.text(sha256)?;
    begin.text(name)?;
    begin.int(*bytes)?;
    begin.signed(imported_at.get())?;
    begin.int(*rows_read)?;
    begin.int(*rows_refused)?;
    link.execute(sqlx::query_with(BEGIN, begin.into_arguments())).await?;
    let found = sqlx::query(FIND).bind(source.get()).bind(table.number()).bind(sha256);
    let found = link.row(found, |row| {
        let whole: i8 = row.try_get(1)?;
        let new = if whole == 1 { Some(int(row, 2)?) } else { None };
        Ok(Begun { number: int(row, 0)?, new })
    });
    found.await?.ok_or(Error::RowNotFound)
}

pub(super) async fn put(
    link: &mut Link,
    file: &HeadcountFile,
    number: u64,
    rows: &[Headcount],
) -> sqlx::Result<()> {
    let (source, table) = (file.source.get(), file.table.number());
    write(
        link,
        &PUT,
        rows,
        |_| ROW_BYTES,
        |row, values| {
            let Headcount { wall, lying, standing, nth } = row;
            values.signed(source.into())?;
            values.small(table.into())?;
            values.signed(wall.quarter())?;
            values.text(&wall.to_string())?;
            values.double(lying.unwrap_or(NOTHING))?;
            values.double(standing.unwrap_or(NOTHING))?;
            values.small(*nth)?;
            values.int(number)
        },
    )
    .await
}

/// Notes that all rows are there; how many were new.
pub(super) async fn end(link: &mut Link, number: u64) -> sqlx::Result<u64> {
    link.execute(sqlx::query(END).bind(number).bind(number)).await?;
    let new = link.row(sqlx::query(NEW).bind(number), |row| int(row, 0));
    new.await?.ok_or(Error::RowNotFound)
}

pub(super) async fn refused(link: &mut Link, source: SourceId, table: Table) -> sqlx::Result<u64> {
    let refused = sqlx::query(REFUSED).bind(source.get()).bind(table.number());
    link.row(refused, |row| int(row, 0)).await?.ok_or(Error::RowNotFound)
}

pub(super) async fn files(link: &mut Link, query: &FilesQuery) -> sqlx::Result<Vec<StoredFile>> {
    let FilesQuery { scope, before, limit } = query;
    let before = before.and_then(|before| i64::try_from(before).ok()).unwrap_or(i64::MAX);
    let list = sqlx::query(FILES).bind(before).bind(*scope == Scope::All);
    let list = list.bind(scope.to_string()).bind(limit);
    link.rows(list, file).await
}

fn file(row: &MySqlRow) -> sqlx::Result<StoredFile> {
    let number: i64 = row.try_get(2)?;
    Ok(StoredFile {
        number: int(row, 0)?,
        source: source_id(row, 1)?,
        table: Table::numbered(number).ok_or_else(|| Error::ColumnDecode {
            index: "number".to_owned(),
            source: format!("it says {number}").into(),
        })?,
        name: text(row, 3)?.to_owned(),
        sha256: text(row, 4)?.to_owned(),
        bytes: int(row, 5)?,
        imported_at: UnixMillis::new(row.try_get(6)?),
        rows_read: int(row, 7)?,
        rows_refused: int(row, 8)?,
        rows_new: int(row, 9)?,
        whole: row.try_get::<i64, _>(10)? == 1,
    })
}

pub(super) async fn quarters(link: &mut Link, query: &QuartersQuery) -> sqlx::Result<Vec<Quarter>> {
    let QuartersQuery { source, table, from, to, newest_first, limit } = *query;
    let (source, table) = (source.get(), table.number());
    // Which first: then no more rows are read than are told of.
    let sql = if newest_first { LAST_QUARTERS } else { FIRST_QUARTERS };
    let list = sqlx::query(sql).bind(source).bind(table).bind(from).bind(to).bind(limit);
    let listed: Vec<i64> = link.rows(list, |row| row.try_get(0)).await?;
    let (Some(from), Some(to)) = (listed.iter().min(), listed.iter().max()) else {
        return Ok(Vec::new());
    };
    let mut quarters = Quarters::default();
    let rows = sqlx::query(ROWS).bind(source).bind(table).bind(*from).bind(*to);
    // Folded as they come: what is kept of a row is nothing.
    let said = |count: f64| (0.0 <= count).then_some(count);
    link.rows(rows, |row| {
        quarters.push(row.try_get(0)?, said(row.try_get(1)?), said(row.try_get(2)?));
        Ok(())
    })
    .await?;
    let mut quarters = quarters.finish();
    if newest_first {
        quarters.reverse();
    }
    Ok(quarters)
}
