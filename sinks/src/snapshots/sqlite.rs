//! The snapshots in one SQLite file of their own.
//!
//! # Invariants
//!
//! - A batch is one transaction, synced before it is acknowledged.
//! - Reading what is known of a picture does not read the picture.
//! - Deleting takes the file for a few rows at a time, so that it never holds a
//!   batch up for long.
//!
//! What would break them: a network file system (locks, shared memory), or
//! copying the file without its `-wal` companion while it is open.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, Row, params};
use schemas::commit::StoreError;
use schemas::frame::{FrameId, Jpeg, Model};
use schemas::snapshot::{Images, Record, Snapshot, SnapshotQuery, SnapshotStore, Unreadable};
use schemas::source::SourceId;
use schemas::time::UnixMillis;

use crate::metrics::SnapshotMetrics;
use crate::sqlite::connection::{
    Freed, Readers, in_transaction, open_writer, opened_for_reading, shrink,
};
use crate::sqlite::row::{Int, from_int, to_int};
use crate::sqlite::schema::Schema;

const SNAPSHOTS: Schema = Schema {
    // "ANIS"
    application_id: 0x414E_4953,
    migrations: &[include_str!("../../../sql/migrations/sqlite-snapshots/0001_snapshots.sql")],
};

/// Rows deleted in one transaction.
const DELETED_TOGETHER: u32 = 64;

const INSERT: &str = "
    INSERT INTO snapshots (id, source, captured_at_ms, width, height, model_name, model_hash,
                           detections, bytes, image)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
    ON CONFLICT (id) DO NOTHING";

const KNOWN: &str = "SELECT 1 FROM snapshots WHERE id = ?1";

const REPLACE: &str = "
    INSERT INTO snapshots (id, source, captured_at_ms, width, height, model_name, model_hash,
                           detections, bytes, image)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
    ON CONFLICT (id) DO UPDATE SET
        captured_at_ms = excluded.captured_at_ms, width = excluded.width, height = excluded.height,
        model_name = excluded.model_name, model_hash = excluded.model_hash,
        detections = excluded.detections, bytes = excluded.bytes, image = excluded.image";

/// What a record is read from; `?1` says whether the image is wanted.
macro_rules! select {
    ($which:literal) => {
        concat!(
            "SELECT id, captured_at_ms, width, height, model_name, model_hash, detections,
                    CASE WHEN ?1 THEN image ELSE x'' END
             FROM snapshots ",
            $which
        )
    };
}

const BY_ID: &str = select!("WHERE id = ?2");

const OLDEST_FIRST: &str = select!(
    "WHERE ?2 <= captured_at_ms AND captured_at_ms <= ?3
     ORDER BY captured_at_ms, id LIMIT ?4 OFFSET ?5"
);

const NEWEST_FIRST: &str = select!(
    "WHERE ?2 <= captured_at_ms AND captured_at_ms <= ?3
     ORDER BY captured_at_ms DESC, id DESC LIMIT ?4 OFFSET ?5"
);

const OLDEST_FIRST_OF_SOURCE: &str = select!(
    "WHERE source = ?6 AND ?2 <= captured_at_ms AND captured_at_ms <= ?3
     ORDER BY captured_at_ms, id LIMIT ?4 OFFSET ?5"
);

const NEWEST_FIRST_OF_SOURCE: &str = select!(
    "WHERE source = ?6 AND ?2 <= captured_at_ms AND captured_at_ms <= ?3
     ORDER BY captured_at_ms DESC, id DESC LIMIT ?4 OFFSET ?5"
);

const CURRENT: &str = select!("WHERE source = ?2 ORDER BY captured_at_ms DESC, id DESC LIMIT 1");

const NEXT_SOURCE: &str = "SELECT min(source) FROM snapshots WHERE ?1 < source";

const COUNT: &str = "SELECT count(*) FROM snapshots";

const COUNT_OF_SOURCE: &str = "SELECT count(*) FROM snapshots WHERE source = ?1";

const STORED_BYTES: &str = "SELECT coalesce(sum(bytes), 0) FROM snapshots";

const DELETE_OLDER: &str = "
    DELETE FROM snapshots WHERE place IN (
        SELECT place FROM snapshots
        WHERE captured_at_ms < ?1
        ORDER BY captured_at_ms, id
        LIMIT ?2)";

/// A snapshot goes while those behind it, and itself, are more than `?1` bytes
/// beyond what may stay.
const DELETE_OLDEST: &str = "
    DELETE FROM snapshots WHERE place IN (
        SELECT place FROM (
            SELECT place,
                   sum(bytes) OVER (ORDER BY captured_at_ms, id ROWS UNBOUNDED PRECEDING) - bytes
                       AS bytes_before
            FROM (SELECT place, captured_at_ms, id, bytes FROM snapshots
                  ORDER BY captured_at_ms, id
                  LIMIT ?2))
        WHERE bytes_before < ?1)";

/// The snapshots of one site; see the [module](self).
pub struct SqliteSnapshots {
    path: PathBuf,
    /// None if the file was opened for reading.
    writer: Option<Mutex<Connection>>,
    readers: Readers,
    metrics: SnapshotMetrics,
}

impl SqliteSnapshots {
    /// Opens the snapshots in the file `path`, or makes a new one.
    ///
    /// # Errors
    ///
    /// It has another version ([`StoreError::SchemaVersion`]; see
    /// [`migrate`](SqliteSnapshots::migrate)), it is no database of ours, or it
    /// cannot be opened.
    pub fn open(path: impl AsRef<Path>) -> Result<SqliteSnapshots, StoreError> {
        let path = path.as_ref();
        let mut connection = open_writer(path, Freed::Returned)?;
        SNAPSHOTS.create_or_check(&mut connection, path)?;
        Ok(SqliteSnapshots::with(path, Some(Mutex::new(connection))))
    }

    /// Opens the snapshots in the file `path` for reading. Another process may
    /// write to it meanwhile, and what it commits is seen.
    ///
    /// # Errors
    ///
    /// As [`open`](SqliteSnapshots::open), or there is no such file.
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<SqliteSnapshots, StoreError> {
        let path = path.as_ref();
        let snapshots = SqliteSnapshots::with(path, None);
        let check = |connection: &Connection| SNAPSHOTS.check(connection, path);
        snapshots.readers.read("check the version of", check)??;
        Ok(snapshots)
    }

    /// Brings the file `path`, made by an older version, to this one; returns
    /// both versions. A new one is made if there is none.
    ///
    /// # Errors
    ///
    /// It is newer than this program, or cannot be written. Then it is as it was.
    pub fn migrate(path: impl AsRef<Path>) -> Result<(i64, i64), StoreError> {
        let path = path.as_ref();
        SNAPSHOTS.migrate(&mut open_writer(path, Freed::Returned)?, path)
    }

    /// What the store counts of itself.
    pub fn metrics(&self) -> &SnapshotMetrics {
        &self.metrics
    }

    fn with(path: &Path, writer: Option<Mutex<Connection>>) -> SqliteSnapshots {
        let readers = Readers::new(path.to_owned());
        let metrics = SnapshotMetrics::default();
        SqliteSnapshots { path: path.to_owned(), writer, readers, metrics }
    }

    /// Calls `change` in one transaction.
    fn write<T>(
        &self,
        doing: &'static str,
        change: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let writer = self.writer.as_ref().ok_or_else(|| opened_for_reading(&self.path))?;
        let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
        in_transaction(&mut writer, doing, &self.path, change)
    }

    /// Calls `some`, which deletes a few and says how many, until it finds none;
    /// returns how many there were.
    fn delete(
        &self,
        mut some: impl FnMut(&Connection) -> rusqlite::Result<usize>,
    ) -> Result<u64, StoreError> {
        let mut all = 0;
        loop {
            let deleted = self.write("delete snapshots of", &mut some)?;
            if deleted == 0 {
                break;
            }
            all += to_int(deleted);
        }
        if let (Some(writer), true) = (&self.writer, 0 < all) {
            shrink(&writer.lock().unwrap_or_else(PoisonError::into_inner), &self.path)?;
        }
        Ok(all)
    }
}

impl SnapshotStore for SqliteSnapshots {
    fn put(&self, snapshots: &[Snapshot]) -> Result<u64, StoreError> {
        let _timer = self.metrics.put_timer();
        let new = self.write("keep snapshots in", |connection| {
            let mut insert = connection.prepare_cached(INSERT)?;
            let mut new = Vec::new();
            for snapshot in snapshots {
                if 0 < write_one(&mut insert, snapshot)? {
                    new.push(snapshot);
                }
            }
            Ok(new)
        })?;
        Ok(self.metrics.kept(new.into_iter()))
    }

    fn replace(&self, snapshots: &[Snapshot]) -> Result<u64, StoreError> {
        let _timer = self.metrics.put_timer();
        let new = self.write("keep snapshots in", |connection| {
            let mut known = connection.prepare_cached(KNOWN)?;
            let mut replace = connection.prepare_cached(REPLACE)?;
            let mut new = Vec::new();
            for snapshot in snapshots {
                if !known.exists([snapshot.id.to_string()])? {
                    new.push(snapshot);
                }
                write_one(&mut replace, snapshot)?;
            }
            Ok(new)
        })?;
        Ok(self.metrics.kept(new.into_iter()))
    }

    fn get(&self, id: &FrameId) -> Result<Option<Record>, StoreError> {
        self.readers.read("read a snapshot of", |connection| {
            let mut find = connection.prepare_cached(BY_ID)?;
            find.query_row(params![true, id.to_string()], record).optional()
        })
    }

    fn find(&self, query: &SnapshotQuery) -> Result<Vec<Record>, StoreError> {
        let SnapshotQuery { source, from, to, newest_first, skip, limit, images } = *query;
        let from = from.unwrap_or(UnixMillis::MIN).get();
        // The last moment that counts; before the first one there is none.
        let to = to.map_or(Some(i64::MAX), |to| to.get().checked_sub(1));
        let (Some(to), Ok(skip)) = (to, i64::try_from(skip)) else { return Ok(Vec::new()) };
        let images = images == Images::With;
        self.readers.read("read snapshots of", |connection| {
            let sql = match (source, newest_first) {
                (None, false) => OLDEST_FIRST,
                (None, true) => NEWEST_FIRST,
                (Some(_), false) => OLDEST_FIRST_OF_SOURCE,
                (Some(_), true) => NEWEST_FIRST_OF_SOURCE,
            };
            let mut find = connection.prepare_cached(sql)?;
            match source {
                None => find.query_map(params![images, from, to, limit, skip], record)?.collect(),
                Some(source) => find
                    .query_map(params![images, from, to, limit, skip, source.get()], record)?
                    .collect(),
            }
        })
    }

    fn current(&self, images: Images) -> Result<Vec<Record>, StoreError> {
        self.readers.read("read the newest snapshots of", |connection| {
            let mut next_source = connection.prepare_cached(NEXT_SOURCE)?;
            let mut newest = connection.prepare_cached(CURRENT)?;
            let (mut found, mut last) = (Vec::new(), 0);
            while let Some(source) =
                next_source.query_row([last], |row| row.get::<_, Option<i64>>(0))?
            {
                found.push(newest.query_row(params![images == Images::With, source], record)?);
                last = source;
            }
            Ok(found)
        })
    }

    fn count(&self, source: Option<SourceId>) -> Result<u64, StoreError> {
        self.readers.read("count the snapshots of", |connection| match source {
            None => connection.prepare_cached(COUNT)?.query_row([], |row| from_int(row, 0)),
            Some(source) => connection
                .prepare_cached(COUNT_OF_SOURCE)?
                .query_row([source.get()], |row| from_int(row, 0)),
        })
    }

    fn stored_bytes(&self) -> Result<u64, StoreError> {
        self.readers.read("add up the snapshots of", stored_bytes)
    }

    fn delete_older(&self, moment: UnixMillis) -> Result<u64, StoreError> {
        self.delete(|connection| {
            let mut delete = connection.prepare_cached(DELETE_OLDER)?;
            delete.execute(params![moment.get(), DELETED_TOGETHER])
        })
    }

    fn delete_to_size(&self, bytes_max: u64) -> Result<u64, StoreError> {
        self.delete(|connection| {
            let excess = stored_bytes(connection)?.saturating_sub(bytes_max);
            let mut delete = connection.prepare_cached(DELETE_OLDEST)?;
            delete.execute(params![Int(excess), DELETED_TOGETHER])
        })
    }
}

fn stored_bytes(connection: &Connection) -> rusqlite::Result<u64> {
    connection.prepare_cached(STORED_BYTES)?.query_row([], |row| from_int(row, 0))
}

/// Has `insert` write `snapshot`; returns the number of rows it has written.
fn write_one(insert: &mut rusqlite::Statement<'_>, snapshot: &Snapshot) -> rusqlite::Result<usize> {
    let Snapshot { id, captured_at, width, height, model, detections, image } = snapshot;
    let detections = serde_json::to_string(detections)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    insert.execute(params![
        id.to_string(),
        id.source.get(),
        captured_at.get(),
        width,
        height,
        &*model.name,
        &*model.hash,
        detections,
        Int(to_int(snapshot.bytes())),
        image.as_ref().map_or(&[][..], Jpeg::bytes),
    ])
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    let id: String = row.get(0)?;
    Ok(match snapshot(row, &id) {
        Ok(snapshot) => Record::Snapshot(snapshot),
        Err(error) => Record::Unreadable(Unreadable { id, what: error.to_string() }),
    })
}

/// The row is in memory by now: what goes wrong is wrong with its content.
fn snapshot(row: &Row<'_>, id: &str) -> Result<Snapshot, Box<dyn Error>> {
    let image: &[u8] = row.get_ref(7)?.as_blob()?;
    Ok(Snapshot {
        id: id.parse()?,
        captured_at: UnixMillis::new(row.get(1)?),
        width: row.get(2)?,
        height: row.get(3)?,
        model: Model { name: row.get(4)?, hash: row.get(5)? },
        detections: serde_json::from_str(row.get_ref(6)?.as_str()?)?,
        image: match image {
            [] => None,
            bytes => Some(Jpeg::try_from(bytes)?),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_query_finds_its_rows_by_a_key_and_reads_no_more_pictures_than_it_shows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("snapshots.sqlite");
        let mut connection = open_writer(&path, Freed::Returned).unwrap();
        SNAPSHOTS.create_or_check(&mut connection, &path).unwrap();
        let plan = |sql: &str| {
            let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let values = vec![1; explain.parameter_count()];
            let steps = explain
                .query_map(rusqlite::params_from_iter(values), |row| row.get::<_, String>(3))
                .unwrap();
            steps.collect::<rusqlite::Result<Vec<_>>>().unwrap().join("; ")
        };
        for sql in [
            BY_ID,
            KNOWN,
            OLDEST_FIRST,
            NEWEST_FIRST,
            OLDEST_FIRST_OF_SOURCE,
            NEWEST_FIRST_OF_SOURCE,
            CURRENT,
            NEXT_SOURCE,
            COUNT_OF_SOURCE,
        ] {
            let plan = plan(sql);
            assert!(plan.starts_with("SEARCH "), "{plan}: {sql}");
            assert!(!plan.contains("TEMP B-TREE") && !plan.contains("SCAN"), "{plan}: {sql}");
        }
        // These read an index from end to end, and no row of the table.
        for sql in [COUNT, STORED_BYTES] {
            assert!(plan(sql).contains("USING COVERING INDEX"), "{}", plan(sql));
        }
        for sql in [DELETE_OLDER, DELETE_OLDEST] {
            let plan = plan(sql);
            let by_time = "USING COVERING INDEX snapshots_by_time";
            assert!(plan.contains(by_time) && !plan.contains("TEMP B-TREE"), "{plan}: {sql}");
        }
    }
}
