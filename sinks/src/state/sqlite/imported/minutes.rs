//! Minutes of another database.

use rusqlite::{Connection, Row, params};
use schemas::imported::minute::{Measured, MinuteId, Thousandths};
use schemas::imported::{Chunk, ImportedMinute, MinutesQuery, StoredMinute, Taken};
use schemas::time::UnixMillis;

use crate::sqlite::row::{Int, from_int, source_id};

pub(super) const TAKEN: &str =
    "SELECT last_id, rows_read, rows_refused FROM imported_databases WHERE name = ?1";

const MOVE: &str = "
    INSERT INTO imported_databases (name, last_id, rows_read, rows_refused, updated_at_ms)
    VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (name) DO UPDATE SET
        last_id = excluded.last_id, rows_read = excluded.rows_read,
        rows_refused = excluded.rows_refused, updated_at_ms = excluded.updated_at_ms
    RETURNING origin";

const PUT: &str = "
    INSERT OR REPLACE INTO imported_minutes (
        source, start_ms, origin, id, frames,
        total_sum, total_min, total_max, total_std_x1000, total_q1_x1000, total_median_x1000,
        total_q3_x1000, total_modes,
        lying_sum, lying_min, lying_max, lying_std_x1000, lying_q1_x1000, lying_median_x1000,
        lying_q3_x1000, lying_modes,
        standing_sum, standing_min, standing_max, standing_std_x1000, standing_q1_x1000,
        standing_median_x1000, standing_q3_x1000, standing_modes)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19,
            ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29)";

const OLDEST_FIRST: &str = "
    SELECT m.*, d.name
    FROM imported_minutes AS m CROSS JOIN imported_databases AS d ON d.origin = m.origin
    WHERE m.source = ?1 AND ?2 <= m.start_ms AND m.start_ms < ?3
      AND (?4 < m.start_ms OR ?5 < m.origin OR (m.origin = ?5 AND ?6 < m.id))
    ORDER BY m.start_ms, m.origin, m.id LIMIT ?7";

const NEWEST_FIRST: &str = "
    SELECT m.*, d.name
    FROM imported_minutes AS m CROSS JOIN imported_databases AS d ON d.origin = m.origin
    WHERE m.source = ?1 AND ?2 <= m.start_ms AND m.start_ms <= ?3
      AND (m.start_ms < ?4 OR m.origin < ?5 OR (m.origin = ?5 AND m.id < ?6))
    ORDER BY m.start_ms DESC, m.origin DESC, m.id DESC LIMIT ?7";

pub(super) fn taken(row: &Row<'_>) -> rusqlite::Result<Taken> {
    Ok(Taken {
        last_id: Some(row.get(0)?),
        rows_read: from_int(row, 1)?,
        rows_refused: from_int(row, 2)?,
    })
}

pub(super) fn put(connection: &Connection, chunk: &Chunk) -> rusqlite::Result<()> {
    let Chunk { database, minutes, taken, now } = chunk;
    let Some(last_id) = taken.last_id else { return Ok(()) };
    let (read, refused) = (Int(taken.rows_read), Int(taken.rows_refused));
    let mut go_on = connection.prepare_cached(MOVE)?;
    let origin: u32 =
        go_on.query_row(params![database, last_id, read, refused, now.get()], |row| row.get(0))?;
    let mut put = connection.prepare_cached(PUT)?;
    for ImportedMinute { id, source, start, frames, total, lying, standing } in minutes {
        put.execute(params![
            source.get(),
            start.get(),
            origin,
            id,
            frames,
            total.sum,
            total.min,
            total.max,
            x1000(total.std),
            x1000(total.q1),
            x1000(total.median),
            x1000(total.q3),
            total.modes,
            lying.sum,
            lying.min,
            lying.max,
            x1000(lying.std),
            x1000(lying.q1),
            x1000(lying.median),
            x1000(lying.q3),
            lying.modes,
            standing.sum,
            standing.min,
            standing.max,
            x1000(standing.std),
            x1000(standing.q1),
            x1000(standing.median),
            x1000(standing.q3),
            standing.modes,
        ])?;
    }
    Ok(())
}

fn x1000(number: Option<Thousandths>) -> Option<i32> {
    number.map(|Thousandths(number)| number)
}

pub(super) fn find(
    connection: &Connection,
    query: &MinutesQuery,
) -> rusqlite::Result<Vec<StoredMinute>> {
    let MinutesQuery { source, from, to, newest_first, after, limit } = *query;
    let Some(last) = to.get().checked_sub(1) else { return Ok(Vec::new()) };
    let source = source.get();
    match newest_first {
        false => {
            let first = MinuteId { start: UnixMillis::MIN, origin: 0, id: i64::MIN };
            let MinuteId { start, origin, id } = after.unwrap_or(first);
            let from = from.max(start);
            let mut find = connection.prepare_cached(OLDEST_FIRST)?;
            let values = params![source, from.get(), to.get(), start.get(), origin, id, limit];
            find.query_map(values, stored)?.collect()
        }
        true => {
            let behind = MinuteId { start: UnixMillis::MAX, origin: u32::MAX, id: i64::MAX };
            let MinuteId { start, origin, id } = after.unwrap_or(behind);
            let last = last.min(start.get());
            let mut find = connection.prepare_cached(NEWEST_FIRST)?;
            let values = params![source, from.get(), last, start.get(), origin, id, limit];
            find.query_map(values, stored)?.collect()
        }
    }
}

/// The columns are in the order of the table, then the database's name.
fn stored(row: &Row<'_>) -> rusqlite::Result<StoredMinute> {
    let minute = ImportedMinute {
        source: source_id(row, 0)?,
        start: UnixMillis::new(row.get(1)?),
        id: row.get(3)?,
        frames: row.get(4)?,
        total: measured(row, 5)?,
        lying: measured(row, 13)?,
        standing: measured(row, 21)?,
    };
    Ok(StoredMinute { origin: row.get(2)?, database: row.get(29)?, minute })
}

fn measured(row: &Row<'_>, first: usize) -> rusqlite::Result<Measured> {
    let x1000 =
        |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i32>>(column)?.map(Thousandths));
    Ok(Measured {
        sum: row.get(first)?,
        min: row.get(first + 1)?,
        max: row.get(first + 2)?,
        std: x1000(first + 3)?,
        q1: x1000(first + 4)?,
        median: x1000(first + 5)?,
        q3: x1000(first + 6)?,
        modes: row.get(first + 7)?,
    })
}
