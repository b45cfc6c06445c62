//! `animov log accept`: another log is counted in the place of the one so far.

use std::fmt::Write;

use anyhow::bail;
use schemas::commit::StateStore;
use schemas::log::{FrameLog, LogId, Partition};

use crate::config::Place;
use crate::output::grouped;

/// Has a log counted that took the place of the one so far.
///
/// The tables remember which log they are counted from. If the topic is deleted and
/// made again, or the brokers or the log's folder are others than before, nothing
/// is counted: /readyz and the process's log say so. If another log was not meant,
/// bring the first one back, and everything goes on. If it was, this has the new
/// one counted from its beginning. What was counted stays, and a frame that comes
/// again is not counted again; records of the first log that were not counted yet
/// are given up. The processes that wait for the decision notice within seconds.
///
/// Shows both logs. Changes nothing without --yes, or if it is still the same log.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  animov log accept
  animov log accept --yes --config /etc/animov.toml && animov audit")]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) place: Place,

    /// Decide; without it, both logs are only shown
    #[arg(long)]
    pub(super) yes: bool,
}

/// Shows both logs and, if `yes`, accepts the new one; what there is, and what was
/// done, for a person.
pub(super) fn accept(
    log: &dyn FrameLog,
    store: &dyn StateStore,
    yes: bool,
) -> anyhow::Result<String> {
    let Some(name) = log.name() else { bail!("no other log can take the place of this one") };
    let now = log.identity();
    let was = store.counted(&name, &now)?;
    if was == now {
        return Ok(format!("{name} is the log that is counted, {now}; nothing is changed"));
    }
    let mut told = both(log, store, &was)?;
    if !yes {
        _ = write!(
            told,
            "\nnothing is changed; `animov log accept --yes` has the new log counted from its \
             beginning"
        );
        return Ok(told);
    }
    let counted = store.accept(&name, &was, &now)?;
    if counted != now {
        bail!("somebody else has decided meanwhile: {name} is {counted}");
    }
    _ = write!(
        told,
        "\nthe new log is counted from its beginning; what was counted of the old one stays"
    );
    Ok(told)
}

/// What was counted of the log so far, and what is in the new one.
fn both(log: &dyn FrameLog, store: &dyn StateStore, was: &LogId) -> anyhow::Result<String> {
    let mut told = format!("counted so far: {was}\n");
    // The old log may have had more partitions than the new one.
    for partition in (0..).map(Partition) {
        let standing = store.standing(was, partition)?;
        match standing {
            Some(standing) => {
                let next = grouped(standing.next_offset.0);
                _ = writeln!(told, "  partition {partition} up to offset {next}");
            }
            None if partition.0 < log.partitions() => {}
            None => break,
        }
    }
    _ = writeln!(told, "there now: {}", log.identity());
    for partition in (0..log.partitions()).map(Partition) {
        let bounds = log.bounds(partition)?;
        let (low, high) = (grouped(bounds.low.0), grouped(bounds.high.0));
        _ = writeln!(told, "  partition {partition} from offset {low} to {high}");
    }
    Ok(told)
}
