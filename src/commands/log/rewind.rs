//! `animov log rewind`: offsets that the log gives out again are counted again.

use schemas::commit::StateStore;
use schemas::commit::logbook::{Rewound, Standing};
use schemas::log::{FrameLog, Partition};

use super::OfPartition;

/// Goes on where the log lost its end.
///
/// A partition is not counted once its log was seen to end before an offset that
/// was counted already: the brokers lost what they had acknowledged (an election of
/// a replica that was behind, a disk restored from a backup), and give the same
/// offsets to new records. /readyz and the process's log say so, and it stays so
/// however much the log grows. This goes on where the log was seen to end, or with
/// the oldest record that it holds if that was not seen. What is new is counted, what
/// comes a second time is found out and is not: so it is right as well where the lost
/// records were restored.
///
/// What was counted stays. The partition's account so far is closed, under a name
/// of its own in `animov audit`, and another begins. The process that waits for the
/// decision notices within seconds.
///
/// Changes nothing where no end was lost.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  animov log rewind --partition 3
  animov log rewind --partition 3 --config /etc/animov.toml && animov audit")]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) of: OfPartition,
}

/// Rewinds the partition; what was done, for a person.
pub(super) fn rewind(
    log: &dyn FrameLog,
    store: &dyn StateStore,
    partition: Partition,
) -> anyhow::Result<String> {
    super::check(log, store, partition)?;
    let id = log.identity();
    let Some(Standing { next_offset, .. }) = store.standing(&id, partition)? else {
        return Ok(format!("partition {partition} was never counted, nothing is changed"));
    };
    // Perhaps no pipeline has seen it yet.
    store.lost_end(&id, partition, log.bounds(partition)?.high)?;
    Ok(match store.rewind(&id, partition)? {
        Some(Rewound { from, to, closed }) => format!(
            "partition {partition} goes on at offset {to}; what was counted up to offset {from} \
             stays, in the closed account {closed}/{partition}"
        ),
        None => format!(
            "partition {partition} goes on at offset {next_offset}; its log lost no end, nothing \
             is changed"
        ),
    })
}
