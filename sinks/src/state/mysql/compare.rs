//! What a commit compares before it writes: each partition's owner and offset,
//! each source's revision.
//!
//! Rows are locked by one question each, in ascending order, and compared here;
//! what is written afterwards are the values that were compared plus what the
//! commit adds. A key may come several times in a commit: each time is compared
//! with what the one before left.

use std::collections::BTreeMap;

use schemas::bugs::Bug;
use schemas::commit::{CommitError, Ledger, PartitionAdvance, SourceChange, SourceState};
use schemas::log::{LogId, Offset, Partition};
use schemas::source::SourceId;
use sqlx::{Error, Row};

use crate::state::mysql::batch::{Statement, find, insert, upsert, write};
use crate::state::mysql::connection::Link;
use crate::state::mysql::error::is_duplicate;
use crate::state::mysql::row::{Values, int, source_id};
use crate::state::mysql::write::Stop;

/// Room for the values of one row here.
const ROW_BYTES: usize = 4096;

// Each is forced to go by the key, and so locks its rows in ascending order: a
// scan would lock what it passes.

pub(super) static LOCK_PARTITIONS: Statement = Statement::new(|keys| {
    format!(
        "SELECT `partition`, owner_epoch, first_offset, next_offset,
                `read`, accepted, duplicate, parked, gap
         FROM partitions FORCE INDEX (PRIMARY)
         WHERE log = ? AND `partition` IN ({})
         FOR UPDATE",
        vec!["?"; keys].join(", ")
    )
});

pub(super) static LOCK_SOURCES: Statement = Statement::new(|keys| {
    format!(
        "SELECT source, rev
         FROM sources FORCE INDEX (PRIMARY)
         WHERE source IN ({})
         FOR UPDATE",
        vec!["?"; keys].join(", ")
    )
});

static PARTITIONS: Statement = Statement::new(|rows| {
    let columns = [
        "log",
        "`partition`",
        "owner_epoch",
        "first_offset",
        "next_offset",
        "`read`",
        "accepted",
        "duplicate",
        "parked",
        "gap",
    ];
    upsert("partitions", &columns, 2, rows)
});

const SOURCE_COLUMNS: [&str; 8] = [
    "source",
    "rev",
    "watermark_ms",
    "last_appended_at_ms",
    "last_captured_at_ms",
    "accepted",
    "log",
    "`partition`",
];

static SOURCES: Statement = Statement::new(|rows| upsert("sources", &SOURCE_COLUMNS, 1, rows));

/// Those that nobody knew: if somebody else was quicker, it is an error.
static NEW_SOURCES: Statement = Statement::new(|rows| insert("sources", &SOURCE_COLUMNS, rows, ""));

/// A row of `partitions`.
#[derive(Clone, Copy)]
struct Account {
    owner_epoch: u64,
    first_offset: Offset,
    next_offset: Offset,
    ledger: Ledger,
}

/// Moves the partitions' offsets, if they are where the owner believes and
/// still the owner's.
pub(super) async fn advance_partitions(
    link: &mut Link,
    advances: &[PartitionAdvance],
) -> Result<(), Stop> {
    let mut accounts = lock_partitions(link, advances).await?;
    for advance in advances {
        let account = accounts.get_mut(&(&advance.log, advance.partition));
        match account {
            Some(account)
                if (account.owner_epoch, account.next_offset)
                    == (advance.owner_epoch, advance.from) =>
            {
                account.next_offset = advance.to;
                account.ledger.add(&advance.ledger);
            }
            Some(account) if Bug::NoCas.is_planted() => {
                account.next_offset.0 += advance.to.0 - advance.from.0;
                account.ledger.add(&advance.ledger);
            }
            other => return Err(Stop::Refused(fenced(advance, other.as_deref()))),
        }
    }
    let rows: Vec<_> = accounts.into_iter().collect();
    let bind = |((log, partition), account): &((&LogId, Partition), Account), row: &mut Values| {
        let Account { owner_epoch, first_offset, next_offset, ledger } = account;
        let Ledger { read, accepted, duplicate, parked, gap } = *ledger;
        row.text(&log.0)?;
        row.small(partition.0)?;
        for number in
            [*owner_epoch, first_offset.0, next_offset.0, read, accepted, duplicate, parked, gap]
        {
            row.int(number)?;
        }
        Ok(())
    };
    Ok(write::<_, Error>(link, &PARTITIONS, &rows, |_| ROW_BYTES, bind).await?)
}

type Accounts<'c> = BTreeMap<(&'c LogId, Partition), Account>;

async fn lock_partitions<'c>(
    link: &mut Link,
    advances: &'c [PartitionAdvance],
) -> sqlx::Result<Accounts<'c>> {
    let mut keys = BTreeMap::<&LogId, Vec<Partition>>::new();
    for PartitionAdvance { log, partition, .. } in advances {
        keys.entry(log).or_default().push(*partition);
    }
    let mut accounts = Accounts::new();
    for (log, mut partitions) in keys {
        partitions.sort_unstable();
        partitions.dedup();
        let found = find(
            link,
            &LOCK_PARTITIONS,
            &partitions,
            |values| values.text(&log.0),
            |partition, values| values.small(partition.0),
            |row| {
                let account = Account {
                    owner_epoch: int(row, 1)?,
                    first_offset: Offset(int(row, 2)?),
                    next_offset: Offset(int(row, 3)?),
                    ledger: Ledger {
                        read: int(row, 4)?,
                        accepted: int(row, 5)?,
                        duplicate: int(row, 6)?,
                        parked: int(row, 7)?,
                        gap: int(row, 8)?,
                    },
                };
                Ok((Partition(row.try_get(0)?), account))
            },
        );
        let found = found.await?;
        accounts.extend(found.into_iter().map(|(partition, account)| ((log, partition), account)));
    }
    Ok(accounts)
}

fn fenced(advance: &PartitionAdvance, found: Option<&Account>) -> CommitError {
    let told = |Account { owner_epoch, next_offset, .. }: &Account| {
        format!("offset {next_offset} under epoch {owner_epoch}")
    };
    CommitError::Fenced {
        log: advance.log.clone(),
        partition: advance.partition,
        owner_epoch: advance.owner_epoch,
        expected: advance.from,
        found: found.map_or_else(|| "no such partition".to_owned(), told),
    }
}

/// Writes the sources' rows, if nobody else has meanwhile.
pub(super) async fn change_sources(link: &mut Link, changes: &[SourceChange]) -> Result<(), Stop> {
    let found = lock_sources(link, changes).await?;
    let mut revs = found.clone();
    let mut last = BTreeMap::<SourceId, &SourceState>::new();
    for SourceChange { state, .. } in changes {
        let rev = revs.insert(state.source, state.rev).unwrap_or(0);
        if state.rev.checked_sub(1) != Some(rev) && !Bug::NoCas.is_planted() {
            return Err(Stop::Refused(moved(state, rev)));
        }
        last.insert(state.source, state);
    }
    let (known, new): (Vec<&SourceState>, Vec<&SourceState>) =
        last.into_values().partition(|state| found.contains_key(&state.source));
    write::<_, Error>(link, &SOURCES, &known, |_| ROW_BYTES, bind_source).await?;
    match write::<_, Error>(link, &NEW_SOURCES, &new, |_| ROW_BYTES, bind_source).await {
        // No row was there to be locked, and now there is one.
        Err(error) if is_duplicate(&error) => {
            let found = lock_sources(link, changes).await?;
            let quicker = new.iter().find_map(|state| Some((state, *found.get(&state.source)?)));
            Err(quicker.map_or(Stop::Sqlx(error), |(state, rev)| Stop::Refused(moved(state, rev))))
        }
        written => Ok(written?),
    }
}

async fn lock_sources(
    link: &mut Link,
    changes: &[SourceChange],
) -> sqlx::Result<BTreeMap<SourceId, u64>> {
    let mut keys: Vec<SourceId> = changes.iter().map(|change| change.state.source).collect();
    keys.sort_unstable();
    keys.dedup();
    let bind = |source: &SourceId, values: &mut Values| values.signed(source.get().into());
    let read = |row: &sqlx::mysql::MySqlRow| Ok((source_id(row, 0)?, int(row, 1)?));
    let found = find(link, &LOCK_SOURCES, &keys, |_| Ok(()), bind, read).await?;
    Ok(found.into_iter().collect())
}

fn bind_source(state: &&SourceState, row: &mut Values) -> sqlx::Result<()> {
    let SourceState { source, rev, watermark, last_appended_at, last_captured_at, accepted, home } =
        state;
    row.signed(source.get().into())?;
    row.int(*rev)?;
    row.signed(watermark.get())?;
    row.signed(last_appended_at.get())?;
    row.signed(last_captured_at.get())?;
    row.int(*accepted)?;
    row.text(&home.log.0)?;
    row.small(home.partition.0)
}

fn moved(state: &SourceState, found: u64) -> CommitError {
    let expected = state.rev.saturating_sub(1);
    CommitError::SourceMoved { source_id: state.source, expected, found }
}
