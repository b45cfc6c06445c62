//! `animov pipeline`: one of several processes that count.

use std::num::NonZeroUsize;

use crate::config::Place;
use crate::exit::Exit;
use crate::roles::serve::{self, Bind};
use crate::roles::site::Role;

/// Counts frames: one of several processes that share a log's partitions.
///
/// Start as many as you like, on as many machines, with the same configuration:
/// they are one consumer group. Who joins, leaves or dies has the partitions
/// handed over by the group's coordinator; the tables refuse whatever a process
/// writes that no longer owns a partition, so nothing is counted twice. A
/// process that is refused ends with an error: let a supervisor start it again.
///
/// With the embedded log this is the only process that may count.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  animov pipeline --config /etc/animov.toml
  animov pipeline --config /etc/animov.toml --workers 2 --bind 127.0.0.1:8431")]
pub(crate) struct Args {
    #[command(flatten)]
    place: Place,

    /// Threads that keep windows, instead of the configuration's
    #[arg(long, value_name = "N")]
    workers: Option<NonZeroUsize>,

    #[command(flatten)]
    bind: Bind,
}

/// Counts until a signal, or until a part ends that must not.
///
/// # Errors
///
/// A part could not begin, or has ended.
pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    let mut config = args.bind.applied(args.place.load()?);
    if let Some(workers) = args.workers {
        config.pipeline.workers = workers;
    }
    let workers = config.pipeline.workers.to_string();
    serve::until_stopped(Role::Pipeline, &config, &[("workers", workers)])
}
