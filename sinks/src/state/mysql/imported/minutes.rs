//! Minutes of another database.

use schemas::imported::minute::{Measured, MinuteId, Thousandths};
use schemas::imported::{Chunk, ImportedMinute, MinutesQuery, StoredMinute, Taken};
use schemas::time::UnixMillis;
use sqlx::mysql::MySqlRow;
use sqlx::{Error, Row};

use crate::state::mysql::batch::{Statement, upsert, write};
use crate::state::mysql::connection::Link;
use crate::state::mysql::row::{Values, int, source_id, text};

const TAKEN: &str = "
    SELECT last_id, rows_read, rows_refused FROM imported_databases WHERE name = ?";

const MOVE: &str = "
    INSERT INTO imported_databases (name, last_id, rows_read, rows_refused, updated_at_ms)
    VALUES (?, ?, ?, ?, ?)
    ON DUPLICATE KEY UPDATE
        last_id = VALUES(last_id), rows_read = VALUES(rows_read),
        rows_refused = VALUES(rows_refused), updated_at_ms = VALUES(updated_at_ms)";

const ORIGIN: &str = "SELECT origin FROM imported_databases WHERE name = ?";

/// In the order of the table.
const COLUMNS: [&str; 29] = [
    "source",
    "start_ms",
    "origin",
    "id",
    "frames",
    "total_sum",
    "total_min",
    "total_max",
    "total_std_x1000",
    "total_q1_x1000",
    "total_median_x1000",
    "total_q3_x1000",
    "total_modes",
    "lying_sum",
    "lying_min",
    "lying_max",
    "lying_std_x1000",
    "lying_q1_x1000",
    "lying_median_x1000",
    "lying_q3_x1000",
    "lying_modes",
    "standing_sum",
    "standing_min",
    "standing_max",
    "standing_std_x1000",
    "standing_q1_x1000",
    "standing_median_x1000",
    "standing_q3_x1000",
    "standing_modes",
];

/// The key is the first four columns.
static PUT: Statement = Statement::new(|rows| upsert("imported_minutes", &COLUMNS, 4, rows));

const OLDEST_FIRST: &str = "
    SELECT m.*, d.name
    FROM imported_minutes AS m FORCE INDEX (PRIMARY)
    STRAIGHT_JOIN imported_databases AS d ON d.origin = m.origin
    WHERE m.source = ? AND ? <= m.start_ms AND m.start_ms < ?
      AND (? < m.start_ms OR ? < m.origin OR (m.origin = ? AND ? < m.id))
    ORDER BY m.start_ms, m.origin, m.id LIMIT ?";

const NEWEST_FIRST: &str = "
    SELECT m.*, d.name
    FROM imported_minutes AS m FORCE INDEX (PRIMARY)
    STRAIGHT_JOIN imported_databases AS d ON d.origin = m.origin
    WHERE m.source = ? AND ? <= m.start_ms AND m.start_ms <= ?
      AND (m.start_ms < ? OR m.origin < ? OR (m.origin = ? AND m.id < ?))
    ORDER BY m.start_ms DESC, m.origin DESC, m.id DESC LIMIT ?";

pub(super) async fn taken(link: &mut Link, database: &str) -> sqlx::Result<Option<Taken>> {
    link.row(sqlx::query(TAKEN).bind(database), |row| {
        Ok(Taken {
            last_id: Some(row.try_get(0)?),
            rows_read: int(row, 1)?,
            rows_refused: int(row, 2)?,
        })
    })
    .await
}

pub(super) async fn put(link: &mut Link, chunk: &Chunk) -> sqlx::Result<()> {
    let Chunk { database, minutes, taken, now } = chunk;
    let Some(last_id) = taken.last_id else { return Ok(()) };
    let mut values = Values::default();
    values.text(database)?;
    values.signed(last_id)?;
    values.int(taken.rows_read)?;
    values.int(taken.rows_refused)?;
    values.signed(now.get())?;
    link.execute(sqlx::query_with(MOVE, values.into_arguments())).await?;
    let origin = link.row(sqlx::query(ORIGIN).bind(database), |row| row.try_get::<u32, _>(0));
    let origin = origin.await?.ok_or(Error::RowNotFound)?;
    let put = |minute: &ImportedMinute, values: &mut Values| {
        let ImportedMinute { id, source, start, frames, total, lying, standing } = minute;
        values.signed(source.get().into())?;
        values.signed(start.get())?;
        values.small(origin)?;
        values.signed(*id)?;
        values.maybe_small(*frames)?;
        [total, lying, standing].into_iter().try_for_each(|measured| {
            let Measured { sum, min, max, std, q1, median, q3, modes } = measured;
            let x1000 = |number: &Option<Thousandths>| number.map(|Thousandths(number)| number);
            let quartiles = [std, q1, median, q3].map(x1000);
            [*sum, *min, *max]
                .into_iter()
                .chain(quartiles)
                .try_for_each(|n| values.maybe_small(n))?;
            values.maybe_text(modes.as_deref())
        })
    };
    write(link, &PUT, minutes, room, put).await
}

/// Bytes that a minute's values have at most.
fn room(minute: &ImportedMinute) -> usize {
    let modes = [&minute.total, &minute.lying, &minute.standing].into_iter();
    let modes = modes.filter_map(|measured| measured.modes.as_ref()).map(String::len);
    300 + modes.sum::<usize>()
}

pub(super) async fn find(link: &mut Link, query: &MinutesQuery) -> sqlx::Result<Vec<StoredMinute>> {
    let MinutesQuery { source, from, to, newest_first, after, limit } = *query;
    let Some(last) = to.get().checked_sub(1) else { return Ok(Vec::new()) };
    let (sql, after, from, to) = match newest_first {
        false => {
            let first = MinuteId { start: UnixMillis::MIN, origin: 0, id: i64::MIN };
            let after = after.unwrap_or(first);
            (OLDEST_FIRST, after, from.max(after.start), to.get())
        }
        true => {
            let behind = MinuteId { start: UnixMillis::MAX, origin: u32::MAX, id: i64::MAX };
            let after = after.unwrap_or(behind);
            (NEWEST_FIRST, after, from, last.min(after.start.get()))
        }
    };
    let MinuteId { start, origin, id } = after;
    let find = sqlx::query(sql).bind(source.get()).bind(from.get()).bind(to);
    let find = find.bind(start.get()).bind(origin).bind(origin).bind(id).bind(limit);
    link.rows(find, stored).await
}

/// The columns are in the order of [`COLUMNS`], then the database's name.
fn stored(row: &MySqlRow) -> sqlx::Result<StoredMinute> {
    let minute = ImportedMinute {
        source: source_id(row, 0)?,
        start: UnixMillis::new(row.try_get(1)?),
        id: row.try_get(3)?,
        frames: row.try_get(4)?,
        total: measured(row, 5)?,
        lying: measured(row, 13)?,
        standing: measured(row, 21)?,
    };
    let database = text(row, COLUMNS.len())?.to_owned();
    Ok(StoredMinute { origin: row.try_get(2)?, database, minute })
}

fn measured(row: &MySqlRow, first: usize) -> sqlx::Result<Measured> {
    let x1000 = |column| Ok::<_, Error>(row.try_get::<Option<i32>, _>(column)?.map(Thousandths));
    let modes = match row.try_get_unchecked::<Option<&[u8]>, _>(first + 7)? {
        Some(_) => Some(text(row, first + 7)?.to_owned()),
        None => None,
    };
    Ok(Measured {
        sum: row.try_get(first)?,
        min: row.try_get(first + 1)?,
        max: row.try_get(first + 2)?,
        std: x1000(first + 3)?,
        q1: x1000(first + 4)?,
        median: x1000(first + 5)?,
        q3: x1000(first + 6)?,
        modes,
    })
}
