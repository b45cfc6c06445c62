//! `animov log`: decisions about the log that no program should take by itself.

mod accept;
mod rewind;
mod skip;

use std::io::Write;
use std::sync::Arc;

use anyhow::bail;
use clap::Subcommand;
use prometheus::Registry;
use schemas::commit::StateStore;
use schemas::log::{FrameLog, Partition};

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
    Skip(skip::Args),
    Rewind(rewind::Args),
    Accept(accept::Args),
}

// Not a doc comment: it would take the place of the command's own help.
// One partition of a site's log.
#[derive(clap::Args, Debug)]
struct OfPartition {
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
/// Log or tables cannot be reached, or there is nothing that the decision would
/// mend.
pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    let told = match &args.what {
        What::Skip(skip::Args { of }) => {
            let (log, store) = log_and_tables(&of.place)?;
            skip::skip(&*log, &*store, Partition(of.partition))?
        }
        What::Rewind(rewind::Args { of }) => {
            let (log, store) = log_and_tables(&of.place)?;
            rewind::rewind(&*log, &*store, Partition(of.partition))?
        }
        What::Accept(args) => {
            let (log, store) = log_and_tables(&args.place)?;
            accept::accept(&*log, &*store, args.yes)?
        }
    };
    let mut out = output::open(None)?;
    output::unless_closed(writeln!(out, "{told}").and_then(|()| out.flush()))?;
    Ok(Exit::Ok)
}

fn log_and_tables(place: &Place) -> anyhow::Result<(Arc<dyn FrameLog>, Arc<dyn StateStore>)> {
    let config = place.load()?;
    Ok((parts::log_to_read(&config)?, parts::tables(&config, &Registry::new())?.state))
}

/// Whether `partition` is one of the log that is counted: only then does its
/// account in the tables mean these records.
fn check(log: &dyn FrameLog, store: &dyn StateStore, partition: Partition) -> anyhow::Result<()> {
    let partitions = log.partitions();
    if partitions <= partition.0 {
        bail!("the log has {partitions} partitions, counted from 0: there is no {partition}");
    }
    let Some(name) = log.name() else { return Ok(()) };
    let now = log.identity();
    let was = store.counted(&name, &now)?;
    if was != now {
        bail!(
            "{name} is another log than the one that is counted: it was {was} and is {now}; \
             decide about that first, with `animov log accept`"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests;
