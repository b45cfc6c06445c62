//! Which logs are counted, and the decisions about them.

use schemas::commit::StoreError;
use schemas::commit::logbook::{LogBook, Rewound, Standing, closed};
use schemas::log::{LogId, LogName, Offset, Partition};
use sqlx::{Error, Row};

use crate::state::mysql::MySqlState;
use crate::state::mysql::connection::Link;
use crate::state::mysql::row::{Values, int, text};

impl LogBook for MySqlState {
    fn counted(&self, name: &LogName, log: &LogId) -> Result<LogId, StoreError> {
        // Nearly always known, and then no commit has to be waited for.
        let known = self.read("read the name of a log in", async |link| under(link, name).await)?;
        if let Some(known) = known {
            return Ok(known);
        }
        self.write("write the name of a log to", async |link| {
            let keep = sqlx::query(
                "INSERT INTO logs (name, log) VALUES (?, ?) ON DUPLICATE KEY UPDATE name = name",
            );
            link.execute(keep.bind(&*name.0).bind(&*log.0)).await?;
            under(link, name).await?.ok_or(Error::RowNotFound)
        })
    }

    fn accept(&self, name: &LogName, was: &LogId, now: &LogId) -> Result<LogId, StoreError> {
        self.write("accept a log in", async |link| {
            let decide = sqlx::query("UPDATE logs SET log = ? WHERE name = ? AND log = ?");
            link.execute(decide.bind(&*now.0).bind(&*name.0).bind(&*was.0)).await?;
            under(link, name).await?.ok_or(Error::RowNotFound)
        })
    }

    fn standing(&self, log: &LogId, partition: Partition) -> Result<Option<Standing>, StoreError> {
        self.read("read where a partition stands in", async |link| {
            let find = sqlx::query(
                "SELECT p.next_offset, e.end_offset
                 FROM partitions AS p
                 LEFT JOIN lost_ends AS e ON e.log = p.log AND e.`partition` = p.`partition`
                 WHERE p.log = ? AND p.`partition` = ?",
            );
            let standing = link.row(find.bind(&*log.0).bind(partition.0), |row| {
                let is_lost = row.try_get::<Option<i64>, _>(1)?.is_some();
                let lost_end = is_lost.then(|| int(row, 1)).transpose()?.map(Offset);
                Ok(Standing { next_offset: Offset(int(row, 0)?), lost_end })
            });
            standing.await
        })
    }

    fn lost_end(&self, log: &LogId, partition: Partition, end: Offset) -> Result<(), StoreError> {
        self.write("write the lost end of a partition to", async |link| {
            let mut values = Values::default();
            values.int(end.0)?;
            values.text(&log.0)?;
            values.small(partition.0)?;
            values.int(end.0)?;
            let note = sqlx::query_with(
                "INSERT INTO lost_ends (log, `partition`, end_offset)
                 SELECT log, `partition`, ? FROM partitions
                 WHERE log = ? AND `partition` = ? AND ? < next_offset
                 ON DUPLICATE KEY UPDATE
                     end_offset = LEAST(lost_ends.end_offset, VALUES(end_offset))",
                values.into_arguments(),
            );
            link.execute(note).await?;
            Ok(())
        })
    }

    fn rewind(&self, log: &LogId, partition: Partition) -> Result<Option<Rewound>, StoreError> {
        self.write("rewind a partition in", async |link| {
            let find = sqlx::query(
                "SELECT p.owner_epoch, p.next_offset, e.end_offset
                 FROM partitions AS p
                 JOIN lost_ends AS e ON e.log = p.log AND e.`partition` = p.`partition`
                 WHERE p.log = ? AND p.`partition` = ?
                 FOR UPDATE",
            );
            let found = link.row(find.bind(&*log.0).bind(partition.0), |row| {
                Ok((int(row, 0)?, int(row, 1)?, int(row, 2)?))
            });
            let Some((owner_epoch, from, to)) = found.await? else { return Ok(None) };
            let closed = closed(log, owner_epoch);
            for rename in [
                "UPDATE partitions SET log = ? WHERE log = ? AND `partition` = ?",
                "UPDATE parked SET log = ? WHERE log = ? AND `partition` = ?",
                "UPDATE parked_rest SET log = ? WHERE log = ? AND `partition` = ?",
            ] {
                let rename = sqlx::query(rename).bind(&*closed.0).bind(&*log.0).bind(partition.0);
                link.execute(rename).await?;
            }
            let mut values = Values::default();
            values.text(&log.0)?;
            values.small(partition.0)?;
            values.int(owner_epoch + 1)?;
            values.int(to)?;
            values.int(to)?;
            let begin = sqlx::query_with(
                "INSERT INTO partitions (log, `partition`, owner_epoch, first_offset, next_offset,
                                         `read`, accepted, duplicate, parked, gap)
                 VALUES (?, ?, ?, ?, ?, 0, 0, 0, 0, 0)",
                values.into_arguments(),
            );
            link.execute(begin).await?;
            let forget = sqlx::query("DELETE FROM lost_ends WHERE log = ? AND `partition` = ?");
            link.execute(forget.bind(&*log.0).bind(partition.0)).await?;
            Ok(Some(Rewound { from: Offset(from), to: Offset(to), closed }))
        })
    }
}

/// Which log is counted under `name`, if one is.
async fn under(link: &mut Link, name: &LogName) -> sqlx::Result<Option<LogId>> {
    let counted = sqlx::query("SELECT log FROM logs WHERE name = ?").bind(&*name.0);
    link.row(counted, |row| Ok(LogId(text(row, 0)?.into()))).await
}
