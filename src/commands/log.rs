//! `animov log`: decisions about the log that no program should take by itself.

use std::io::Write;

use anyhow::bail;
use clap::Subcommand;
use prometheus::Registry;
use schemas::commit::{Claim, Commit, Ledger, PartitionAdvance, StateStore};
use schemas::log::{Bounds, FrameLog, Partition};

use crate::config::Place;
use crate::exit::Exit;
use crate::{output, parts};

/// Decides about partitions that cannot be counted on.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Skip(Skip),
}

/// Goes on behind records that the log deleted before they were counted.
///
/// A partition is not counted while the log no longer holds the offset that its
/// ledger has come to: retention was faster than the pipeline. /readyz and the
/// process's log say so. This gives the missing records up: the ledger shows them
/// as a gap, for ever, and counting begins again with the oldest record that is
/// left, when a process next takes the partition over (start one again).
///
/// Changes nothing where no record is missing.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  animov log skip --partition 3
  animov log skip --partition 3 --config /etc/animov.toml && animov audit")]
struct Skip {
    #[command(flatten)]
    place: Place,

    /// The partition, by its number
    #[arg(long, value_name = "NUMBER")]
    partition: u32,
}

/// Carries the decision out.
///
/// # Errors
///
/// Log or tables cannot be reached, or there is nothing that skipping would mend.
pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    let What::Skip(args) = &args.what;
    let config = args.place.load()?;
    let log = parts::log_to_read(&config)?;
    let store = parts::tables(&config, &Registry::new())?;
    let told = skip(&*log, &*store, Partition(args.partition))?;
    let mut out = output::open(None)?;
    output::unless_closed(writeln!(out, "{told}").and_then(|()| out.flush()))?;
    Ok(Exit::Ok)
}

fn skip(
    log: &dyn FrameLog,
    store: &dyn StateStore,
    partition: Partition,
) -> anyhow::Result<String> {
    if log.partitions() <= partition.0 {
        bail!(
            "the log has {} partitions, counted from 0: there is no {partition}",
            log.partitions()
        );
    }
    let Bounds { low, high } = log.bounds(partition)?;
    // Whoever counts the partition now is fenced, and begins again.
    let Claim { owner_epoch, next_offset } = store.claim(&log.identity(), partition, low)?;
    if high < next_offset {
        bail!(
            "partition {partition} is counted up to offset {next_offset}, but the log ends at \
             {high}: it lost records that it had acknowledged, so there is nothing to skip; \
             restore it, or wait until it has grown past {next_offset}"
        );
    }
    if low <= next_offset {
        return Ok(format!(
            "partition {partition} goes on at offset {next_offset}; the log holds it, nothing is \
             skipped"
        ));
    }
    let gap = low.0 - next_offset.0;
    let log = log.identity();
    let ledger = Ledger { gap, ..Ledger::default() };
    let advance =
        PartitionAdvance { log, partition, owner_epoch, from: next_offset, to: low, ledger };
    store.commit(&Commit { partitions: vec![advance], ..Commit::default() })?;
    Ok(format!(
        "partition {partition} goes on at offset {low}; {gap} records that the log deleted are \
         given up and stand in the ledger as a gap"
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use schemas::log::{LogError, LogId, LogReader, Offset};
    use schemas::source::SourceId;
    use sinks::state::sqlite::SqliteState;

    use super::*;

    /// A log that holds these offsets, and nothing to read.
    struct Holds(u64, u64);

    impl FrameLog for Holds {
        fn identity(&self) -> LogId {
            LogId("a-log".into())
        }

        fn partitions(&self) -> u32 {
            1
        }

        fn append(&self, _: &[(SourceId, &[u8])]) -> Result<(), LogError> {
            Err(LogError::ReadOnly)
        }

        fn bounds(&self, _: Partition) -> Result<Bounds, LogError> {
            Ok(Bounds { low: Offset(self.0), high: Offset(self.1) })
        }

        fn reader(&self, _: Partition, _: Offset) -> Result<Box<dyn LogReader>, LogError> {
            Err(LogError::ReadOnly)
        }

        fn schemas(&self) -> Result<Vec<String>, LogError> {
            Ok(Vec::new())
        }
    }

    #[test]
    fn what_the_log_deleted_is_given_up_once_and_stands_in_the_ledger() {
        let dir = tempfile::tempdir().unwrap();
        let store: Arc<dyn StateStore> =
            Arc::new(SqliteState::open(dir.path().join("state.sqlite")).unwrap());
        let first = Partition(0);
        assert!(skip(&Holds(0, 5), &*store, Partition(1)).is_err(), "no such partition");
        skip(&Holds(0, 5), &*store, first).unwrap();
        skip(&Holds(40, 50), &*store, first).unwrap();
        // Nothing is missing any more.
        skip(&Holds(40, 50), &*store, first).unwrap();
        assert!(skip(&Holds(0, 20), &*store, first).is_err(), "the log ends too early");
        let audit = store.audit().unwrap();
        assert_eq!(audit.imbalances(), Vec::<String>::new());
        assert_eq!(
            (audit.partitions[0].next_offset, audit.partitions[0].ledger.gap),
            (Offset(40), 40)
        );
    }
}
