//! Which logs are counted, and the decisions about them.

use rusqlite::{Connection, OptionalExtension, params};
use schemas::commit::StoreError;
use schemas::commit::logbook::{LogBook, Rewound, Standing, closed};
use schemas::log::{LogId, LogName, Offset, Partition};

use crate::sqlite::row::{Int, from_int};
use crate::state::sqlite::SqliteState;

impl LogBook for SqliteState {
    fn counted(&self, name: &LogName, log: &LogId) -> Result<LogId, StoreError> {
        // Nearly always known, and then no commit has to be waited for.
        let known = self
            .read("read the name of a log in", |connection| under(connection, name).optional())?;
        if let Some(known) = known {
            return Ok(known);
        }
        self.write("write the name of a log to", |connection| {
            connection.execute(
                "INSERT INTO logs (name, log) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                (&*name.0, &*log.0),
            )?;
            under(connection, name)
        })
    }

    fn accept(&self, name: &LogName, was: &LogId, now: &LogId) -> Result<LogId, StoreError> {
        self.write("accept a log in", |connection| {
            connection.execute(
                "UPDATE logs SET log = ?3 WHERE name = ?1 AND log = ?2",
                (&*name.0, &*was.0, &*now.0),
            )?;
            under(connection, name)
        })
    }

    fn standing(&self, log: &LogId, partition: Partition) -> Result<Option<Standing>, StoreError> {
        self.read("read where a partition stands in", |connection| {
            let mut find = connection.prepare_cached(
                "SELECT p.next_offset, e.end_offset
                 FROM partitions AS p LEFT JOIN lost_ends AS e USING (log, partition)
                 WHERE p.log = ?1 AND p.partition = ?2",
            )?;
            let standing = find.query_row(params![&*log.0, partition.0], |row| {
                let is_lost = row.get_ref(1)? != rusqlite::types::ValueRef::Null;
                let lost_end = is_lost.then(|| from_int(row, 1)).transpose()?.map(Offset);
                Ok(Standing { next_offset: Offset(from_int(row, 0)?), lost_end })
            });
            standing.optional()
        })
    }

    fn lost_end(&self, log: &LogId, partition: Partition, end: Offset) -> Result<(), StoreError> {
        self.write("write the lost end of a partition to", |connection| {
            connection.execute(
                "INSERT INTO lost_ends (log, partition, end_offset)
                 SELECT log, partition, ?3 FROM partitions
                 WHERE log = ?1 AND partition = ?2 AND ?3 < next_offset
                 ON CONFLICT DO UPDATE SET end_offset = min(end_offset, excluded.end_offset)",
                params![&*log.0, partition.0, Int(end.0)],
            )?;
            Ok(())
        })
    }

    fn rewind(&self, log: &LogId, partition: Partition) -> Result<Option<Rewound>, StoreError> {
        self.write("rewind a partition in", |connection| {
            let place = params![&*log.0, partition.0];
            let found = connection.query_row(
                "SELECT p.owner_epoch, p.next_offset, e.end_offset
                 FROM partitions AS p JOIN lost_ends AS e USING (log, partition)
                 WHERE p.log = ?1 AND p.partition = ?2",
                place,
                |row| Ok((from_int(row, 0)?, from_int(row, 1)?, from_int(row, 2)?)),
            );
            let Some((owner_epoch, from, to)) = found.optional()? else { return Ok(None) };
            let closed = closed(log, owner_epoch);
            for table in ["partitions", "parked"] {
                connection.execute(
                    &format!("UPDATE {table} SET log = ?3 WHERE log = ?1 AND partition = ?2"),
                    params![&*log.0, partition.0, &*closed.0],
                )?;
            }
            connection.execute(
                "INSERT INTO partitions (log, partition, owner_epoch, first_offset, next_offset,
                                         read, accepted, duplicate, parked, gap)
                 VALUES (?1, ?2, ?3, ?4, ?4, 0, 0, 0, 0, 0)",
                params![&*log.0, partition.0, Int(owner_epoch + 1), Int(to)],
            )?;
            connection.execute("DELETE FROM lost_ends WHERE log = ?1 AND partition = ?2", place)?;
            Ok(Some(Rewound { from: Offset(from), to: Offset(to), closed }))
        })
    }
}

/// Which log is counted under `name`; an error if none is.
fn under(connection: &Connection, name: &LogName) -> rusqlite::Result<LogId> {
    let mut find = connection.prepare_cached("SELECT log FROM logs WHERE name = ?1")?;
    find.query_row([&*name.0], |row| Ok(LogId(row.get(0)?)))
}
