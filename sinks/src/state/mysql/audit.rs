//! The ledger, added up again from the rows.

use std::collections::BTreeMap;
use std::time::Duration;

use schemas::commit::{Audit, Ledger, PartitionAccount, SourceAccount};
use schemas::intervals::Intervals;
use schemas::log::{LogId, Offset, Partition};
use schemas::source::SourceId;
use schemas::window::WindowSize;
use sqlx::Row;
use sqlx::mysql::MySqlRow;

use crate::state::mysql::connection::Link;
use crate::state::mysql::histogram;
use crate::state::mysql::read::{reason_named, size};
use crate::state::mysql::row::{int, named, parse, source_id, text};

/// How long reading one whole table may take.
pub(super) const TABLE_MAX: Duration = Duration::from_mins(30);

/// Adds everything up; the caller holds one view.
pub(super) async fn audit(link: &mut Link) -> sqlx::Result<Audit> {
    let mut sources = accepted(link).await?;
    add_remembered(link, &mut sources).await?;
    add_frames(link, &mut sources).await?;
    add_uneven(link, &mut sources).await?;
    let parked = sqlx::query("SELECT reason, COUNT(*) FROM parked GROUP BY reason");
    let parked = link.rows(parked, |row| Ok((named(row, 0, reason_named)?, int(row, 1)?)));
    let parked: BTreeMap<_, _> = parked.await?.into_iter().collect();
    Ok(Audit {
        partitions: partitions(link).await?,
        sources: sources.into_values().collect(),
        parked: parked.into_iter().collect(),
    })
}

type Accounts = BTreeMap<SourceId, SourceAccount>;

/// The account of `source`; rows may be there of a source that is not.
fn account(accounts: &mut Accounts, source: SourceId) -> &mut SourceAccount {
    accounts.entry(source).or_insert(SourceAccount {
        source,
        accepted: 0,
        remembered: 0,
        frames: [0; WindowSize::ALL.len()],
        uneven_windows: 0,
    })
}

async fn partitions(link: &mut Link) -> sqlx::Result<Vec<PartitionAccount>> {
    let partitions = sqlx::query(
        "SELECT log, `partition`, owner_epoch, first_offset, next_offset,
                `read`, accepted, duplicate, parked, gap,
                (SELECT COUNT(*) FROM parked AS k
                 WHERE k.log = p.log AND k.`partition` = p.`partition`)
         FROM partitions AS p
         ORDER BY log, `partition`",
    );
    let account = |row: &MySqlRow| {
        Ok(PartitionAccount {
            log: LogId(text(row, 0)?.into()),
            partition: Partition(row.try_get(1)?),
            owner_epoch: int(row, 2)?,
            first_offset: Offset(int(row, 3)?),
            next_offset: Offset(int(row, 4)?),
            ledger: Ledger {
                read: int(row, 5)?,
                accepted: int(row, 6)?,
                duplicate: int(row, 7)?,
                parked: int(row, 8)?,
                gap: int(row, 9)?,
            },
            parked_rows: int(row, 10)?,
        })
    };
    link.rows(partitions, account).await
}

async fn accepted(link: &mut Link) -> sqlx::Result<Accounts> {
    let mut accounts = Accounts::new();
    let add = |row: &MySqlRow| {
        account(&mut accounts, source_id(row, 0)?).accepted = int(row, 1)?;
        Ok(())
    };
    link.rows(sqlx::query("SELECT source, accepted FROM sources"), add).await?;
    Ok(accounts)
}

/// From the intervals themselves, not from the column that counts them.
async fn add_remembered(link: &mut Link, accounts: &mut Accounts) -> sqlx::Result<()> {
    let add = |row: &MySqlRow| {
        let seqs = parse(row, 1, Intervals::decode)?;
        account(accounts, source_id(row, 0)?).remembered += seqs.count();
        Ok(())
    };
    link.rows(sqlx::query("SELECT source, seqs FROM seq_blocks"), add).await?;
    Ok(())
}

async fn add_frames(link: &mut Link, accounts: &mut Accounts) -> sqlx::Result<()> {
    let frames = sqlx::query(
        "SELECT source, size, CAST(SUM(frames) AS SIGNED) FROM windows GROUP BY source, size",
    );
    let add = |row: &MySqlRow| {
        let (size, frames) = (size(row, 1)?, int(row, 2)?);
        let place = WindowSize::ALL.iter().position(|other| *other == size).unwrap_or(0);
        account(accounts, source_id(row, 0)?).frames[place] = frames;
        Ok(())
    };
    link.rows(frames, add).await?;
    Ok(())
}

/// Counts windows of which a metric's histogram does not add up to the frames,
/// row by row in the order of the keys.
async fn add_uneven(link: &mut Link, accounts: &mut Accounts) -> sqlx::Result<()> {
    let metrics = sqlx::query(
        "SELECT m.source, m.size, m.start_ms, COALESCE(w.frames, 0), m.histogram
         FROM window_metrics AS m FORCE INDEX (PRIMARY)
         LEFT JOIN windows AS w
             ON w.source = m.source AND w.size = m.size AND w.start_ms = m.start_ms
         ORDER BY m.source, m.size, m.start_ms",
    );
    let mut last_uneven = None;
    let add = |row: &MySqlRow| {
        let histogram = parse(row, 4, histogram::read)?;
        if histogram.frames() != int(row, 3)? {
            let start: i64 = row.try_get(2)?;
            let window = (source_id(row, 0)?, size(row, 1)?, start);
            if last_uneven.replace(window) != Some(window) {
                account(accounts, window.0).uneven_windows += 1;
            }
        }
        Ok(())
    };
    link.rows(metrics, add).await?;
    Ok(())
}
