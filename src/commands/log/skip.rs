//! `animov log skip`: what the log deleted is given up.

use anyhow::bail;
use schemas::commit::logbook::Standing;
use schemas::commit::{Claim, Commit, Ledger, PartitionAdvance, StateStore};
use schemas::log::{FrameLog, Offset, Partition};

use super::OfPartition;

/// Goes on behind records that the log deleted before they were counted.
///
/// A partition is not counted while the log no longer holds the offset that its
/// ledger has come to: retention was faster than the pipeline. /readyz and the
/// process's log say so. This gives the missing records up: the ledger shows them
/// as a gap, for ever, and counting goes on with the oldest record that is left.
/// The process that waits for the decision notices within seconds.
///
/// Changes nothing where no record is missing.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  animov log skip --partition 3
  animov log skip --partition 3 --config /etc/animov.toml && animov audit")]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) of: OfPartition,
}

/// Gives up what is missing; what was done, for a person.
pub(super) fn skip(
    log: &dyn FrameLog,
    store: &dyn StateStore,
    partition: Partition,
) -> anyhow::Result<String> {
    super::check(log, store, partition)?;
    let id = log.identity();
    let standing = store.standing(&id, partition)?;
    let bounds = log.bounds(partition)?;
    let low = bounds.low;
    let Some(Standing { next_offset, lost_end }) = standing else {
        return Ok(format!("partition {partition} was never counted, and begins at offset {low}"));
    };
    if lost_end.is_some() || bounds.high < next_offset {
        bail!(
            "partition {partition} is counted up to offset {next_offset}, but its log lost its \
             end: there is nothing to skip; see `animov log rewind --help`"
        );
    }
    let nothing_skipped = |next: Offset| {
        format!(
            "partition {partition} goes on at offset {next}; the log holds it, nothing is skipped"
        )
    };
    if low <= next_offset {
        return Ok(nothing_skipped(next_offset));
    }
    // Whoever counts the partition now is fenced, and begins again.
    let Claim { owner_epoch, next_offset: from } = store.claim(&id, partition, low)?;
    let Some(gap) = low.0.checked_sub(from.0) else { return Ok(nothing_skipped(from)) };
    let ledger = Ledger { gap, ..Ledger::default() };
    let advance = PartitionAdvance { log: id, partition, owner_epoch, from, to: low, ledger };
    store.commit(&Commit { partitions: vec![advance], ..Commit::default() })?;
    Ok(format!(
        "partition {partition} goes on at offset {low}; {gap} records that the log deleted are \
         given up and stand in the ledger as a gap"
    ))
}
