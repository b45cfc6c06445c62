//! `animov replay`: the log, counted again into fresh tables.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use pipeline::{End, Input, Job, Progress};
use schemas::log::{FrameLog, LogError, Partition};
use sinks::state::sqlite::SqliteState;

use crate::config::Place;
use crate::exit::Exit;
use crate::progress::{Meter, Unit};
use crate::roles::batch::run_watched;
use crate::{output, parts, signals};

/// A history is committed in larger pieces than what arrives live.
const COMMIT_INTERVAL: Duration = Duration::from_secs(2);

/// Counts the whole log again, at full speed, into fresh tables.
///
/// The same log gives the same tables: compare them with `animov export`. After
/// a change of `site.zone` or `[metrics]` this makes the tables that the new
/// configuration means: stop `animov run`, replay, and put the new file in place
/// of state.sqlite.
///
/// Reads only what the log still holds (see `log.segments.retention_age`), and
/// nothing that was counted by `animov import`. The log is opened for reading:
/// works beside a running `animov run`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  animov replay --into /tmp/again.sqlite
  animov replay --state /var/lib/animov --into /tmp/again && animov export windows --state /tmp/again")]
pub(crate) struct Args {
    #[command(flatten)]
    place: Place,

    /// The new tables, which must not be there yet: a file, if the name has an
    /// ending such as `.sqlite`, else a folder for `state.sqlite`
    #[arg(long, value_name = "FILE|DIR")]
    into: PathBuf,
}

/// Replays the log.
///
/// # Errors
///
/// There is no log, or the new tables cannot be made.
pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    let config = args.place.load()?;
    let stop = signals::stop_on_signal()?;
    let log = parts::log_to_read(&config)?;
    let into = new_tables(&args.into)?;
    let mut pipeline = config.pipeline();
    pipeline.commit_interval = COMMIT_INTERVAL;
    let progress = Arc::new(Progress::default());
    let job = Job {
        inputs: Input::all_of(&log),
        store: Arc::new(SqliteState::open(&into)?),
        shape: config.shape(),
        config: pipeline,
        end: End::CaughtUp,
        snapshots: None,
        strays: false,
        stop: stop.clone(),
        progress: Arc::clone(&progress),
    };
    let mut meter = Meter::new("replay", Unit::Records, records(&*log)?);
    let replayed = run_watched(&job, || meter.at(progress.committed_total()));
    meter.finish();
    replayed.with_context(|| {
        format!("could not replay the log into {}; remove the file and try again", into.display())
    })?;
    if stop.is_stopped() {
        bail!("stopped before the end; {} is incomplete, remove it", into.display());
    }
    let taken = meter.elapsed();
    let rate = u128::from(progress.committed_total()) * 1000 / taken.as_millis().max(1);
    let mut out = output::open(None)?;
    let written = writeln!(
        out,
        "records={} accepted={} duplicate={} parked={} windows={} seconds={:.3} \
         frames_per_second={rate}",
        progress.committed_total(),
        progress.accepted_total(),
        progress.duplicate_total(),
        progress.parked_total(),
        progress.new_windows_total(),
        taken.as_secs_f64(),
    );
    output::unless_closed(written.and_then(|()| out.flush()))?;
    Ok(Exit::Ok)
}

/// The file for the new tables, which is not there yet.
fn new_tables(into: &Path) -> anyhow::Result<PathBuf> {
    let names_a_file = !into.is_dir() && into.extension().is_some();
    let file = if names_a_file { into.to_owned() } else { into.join("state.sqlite") };
    if file.exists() {
        bail!("{} is there already; name another file, or remove it first", file.display());
    }
    parts::make_parent(&file)?;
    Ok(file)
}

fn records(log: &dyn FrameLog) -> Result<u64, LogError> {
    let mut records = 0;
    for partition in (0..log.partitions()).map(Partition) {
        let bounds = log.bounds(partition)?;
        if 0 < bounds.low.0 {
            tracing::warn!(%partition, first = bounds.low.0, "the log no longer has its older records");
        }
        records += bounds.high.0 - bounds.low.0;
    }
    Ok(records)
}
