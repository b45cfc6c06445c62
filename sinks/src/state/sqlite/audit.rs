//! The ledger, added up again from the rows.

use std::collections::BTreeMap;

use rusqlite::Connection;
use schemas::commit::{Audit, Ledger, PartitionAccount, SourceAccount};
use schemas::intervals::Intervals;
use schemas::log::{LogId, Offset, Partition};
use schemas::source::SourceId;
use schemas::window::WindowSize;

use crate::sqlite::row::{from_int, named, parse, source_id};
use crate::state::sqlite::histograms;
use crate::state::sqlite::read::reason_named;

/// Adds everything up; the caller holds one view.
pub(super) fn audit(connection: &Connection) -> rusqlite::Result<Audit> {
    let mut sources = accepted(connection)?;
    add_remembered(connection, &mut sources)?;
    add_frames(connection, &mut sources)?;
    add_uneven(connection, &mut sources)?;
    Ok(Audit {
        partitions: partitions(connection)?,
        sources: sources.into_values().collect(),
        parked: connection
            .prepare("SELECT reason, count(*) FROM parked GROUP BY reason")?
            .query_map([], |row| Ok((named(row, 0, reason_named)?, from_int(row, 1)?)))?
            .collect::<rusqlite::Result<BTreeMap<_, _>>>()?
            .into_iter()
            .collect(),
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

fn partitions(connection: &Connection) -> rusqlite::Result<Vec<PartitionAccount>> {
    connection
        .prepare(
            "SELECT log, partition, owner_epoch, first_offset, next_offset,
                    read, accepted, duplicate, parked, gap,
                    (SELECT count(*) FROM parked AS k
                     WHERE k.log = p.log AND k.partition = p.partition)
             FROM partitions AS p
             ORDER BY log, partition",
        )?
        .query_map([], |row| {
            Ok(PartitionAccount {
                log: LogId(row.get(0)?),
                partition: Partition(row.get(1)?),
                owner_epoch: from_int(row, 2)?,
                first_offset: Offset(from_int(row, 3)?),
                next_offset: Offset(from_int(row, 4)?),
                ledger: Ledger {
                    read: from_int(row, 5)?,
                    accepted: from_int(row, 6)?,
                    duplicate: from_int(row, 7)?,
                    parked: from_int(row, 8)?,
                    gap: from_int(row, 9)?,
                },
                parked_rows: from_int(row, 10)?,
            })
        })?
        .collect()
}

fn accepted(connection: &Connection) -> rusqlite::Result<Accounts> {
    let mut accounts = Accounts::new();
    let mut find = connection.prepare("SELECT source, accepted FROM sources")?;
    let mut rows = find.query([])?;
    while let Some(row) = rows.next()? {
        account(&mut accounts, source_id(row, 0)?).accepted = from_int(row, 1)?;
    }
    Ok(accounts)
}

/// From the intervals themselves, not from the column that counts them.
fn add_remembered(connection: &Connection, accounts: &mut Accounts) -> rusqlite::Result<()> {
    let mut find = connection.prepare("SELECT source, seqs FROM seq_blocks")?;
    let mut rows = find.query([])?;
    while let Some(row) = rows.next()? {
        let seqs = parse(row, 1, Intervals::decode)?;
        account(accounts, source_id(row, 0)?).remembered += seqs.count();
    }
    Ok(())
}

fn add_frames(connection: &Connection, accounts: &mut Accounts) -> rusqlite::Result<()> {
    let mut find = connection
        .prepare("SELECT source, size, sum(frames) FROM windows GROUP BY source, size")?;
    let mut rows = find.query([])?;
    while let Some(row) = rows.next()? {
        let size: WindowSize = named(row, 1, |name| name.parse().ok())?;
        let frames = from_int(row, 2)?;
        let place = WindowSize::ALL.iter().position(|other| *other == size).unwrap_or(0);
        account(accounts, source_id(row, 0)?).frames[place] = frames;
    }
    Ok(())
}

/// Counts windows of which a metric's histogram does not add up to the frames.
fn add_uneven(connection: &Connection, accounts: &mut Accounts) -> rusqlite::Result<()> {
    let mut find = connection.prepare("SELECT source, frames, histograms FROM windows")?;
    let mut rows = find.query([])?;
    while let Some(row) = rows.next()? {
        let (frames, metrics) = (from_int(row, 1)?, parse(row, 2, histograms::read)?);
        if metrics.iter().any(|(_, histogram)| histogram.frames() != frames) {
            account(accounts, source_id(row, 0)?).uneven_windows += 1;
        }
    }
    Ok(())
}
