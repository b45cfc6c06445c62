//! `animov import`: what other programs recorded. `counts` are histories of frames,
//! which are counted, once; all else is kept beside what is counted.

mod columns;
mod csv;
mod database;
mod file_log;
mod headcounts;
mod line;
mod lines;
mod ndjson;
mod tally;
mod web;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::Write;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Subcommand;
use pipeline::{End, Input, Job, Progress};
use prometheus::Registry;
use schemas::commit::StateStore;
use schemas::log::{FrameLog, Partition};
use schemas::source::{SessionId, SourceId};
use schemas::stop::Stop;
use schemas::time::{Clock, SystemClock};

use crate::config::{Config, Place};
use crate::exit::Exit;
use crate::output::{self, grouped, tell};
use crate::progress::{Meter, Unit};
use crate::roles::batch::run_watched;
use crate::{parts, signals};

use columns::Columns;
pub(crate) use columns::Renaming;
use file_log::{FileLog, Format, Reading};
use tally::{Found, Tally};

/// Files that are read at one time; each has a thread and a buffer.
const FILES_AT_ONCE: usize = 16;

/// A history is committed in larger pieces than what arrives live.
const COMMIT_INTERVAL: Duration = Duration::from_secs(2);
const EPOCH_FRAMES_MAX: NonZeroU32 = NonZeroU32::new(1_000_000).expect("positive");

/// Takes in what other programs recorded.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Counts(Counts),
    Csv(headcounts::Args),
    Web(web::Args),
    Database(database::Args),
}

const ABOUT: &str = r#"Counts files of counts: how many animals of each class each frame showed.

NDJSON, one object a line:

  {"source":1,"seq":0,"captured_at":1772408970000,"lying":3,"standing":4}

or CSV with the same names in its first line (separated by commas, semicolons or tabs). captured_at
is in milliseconds since 1970, or RFC 3339. Every name but source, session, seq and captured_at is a
class, and its value a whole number of animals. A line whose captured_at is more than
pipeline.skew_bound (2 minutes) ahead of this machine's clock is refused.

A frame is counted once: importing a file again, or after it has grown, counts nothing twice. Its
lines are told from other files' by the session, which is derived from the file's first line, and by
seq or, where there is none, the line's number. Lines that cannot be read are told, and kept in the
table of parked records.

Works beside a running `animov run`. Ends with code 0 if a line was counted, now or before, and with
code 4 if none could be."#;

/// Counts files of counts: how many animals of each class each frame showed.
#[derive(clap::Args, Debug)]
#[command(
    long_about = ABOUT,
    after_help = "\
Examples:
  animov import counts history.ndjson
  animov import counts pen*.csv --column captured_at=time --column lying=couchees --ignore note
  animov import counts pen-3.csv --source 3 --state /var/lib/animov"
)]
pub(crate) struct Counts {
    /// NDJSON or CSV files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    #[command(flatten)]
    place: Place,

    /// The file calls NAME (source, session, seq, `captured_at` or a class) COLUMN
    #[arg(long, value_name = "NAME=COLUMN")]
    column: Vec<Renaming>,

    /// Pass over this column
    #[arg(long, value_name = "COLUMN")]
    ignore: Vec<String>,

    /// The source of all lines that do not name one
    #[arg(long, value_name = "NUMBER")]
    source: Option<SourceId>,

    /// The session of all lines that do not name one [default: derived from
    /// each file's first line]
    #[arg(long, value_name = "UUID")]
    session: Option<SessionId>,

    /// How the files are written [default: by their names' ends, else by their
    /// first bytes]
    #[arg(long, value_enum)]
    format: Option<Format>,
}

/// Imports what was asked for.
///
/// # Errors
///
/// The tables cannot be opened or written.
pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    match &args.what {
        What::Counts(counts) => run_counts(counts),
        What::Csv(args) => headcounts::run(args),
        What::Web(args) => web::run(args),
        What::Database(args) => database::run(args),
    }
}

fn run_counts(counts: &Counts) -> anyhow::Result<Exit> {
    let config = counts.place.load()?;
    let stop = signals::stop_on_signal()?;
    let store = parts::tables(&config, &Registry::new())?.state;
    let summary = import(counts, &config, &store, &SystemClock, &stop)?;
    let mut out = output::open(None)?;
    let written = writeln!(out, "{}", summary.line()).and_then(|()| out.flush());
    output::unless_closed(written)?;
    if stop.is_stopped() {
        anyhow::bail!("stopped before the end; import the same files again to go on");
    }
    Ok(summary.exit())
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq)]
struct Summary {
    lines: u64,
    /// Lines that earlier imports of the same files had read.
    before: u64,
    counted: u64,
    duplicate: u64,
    refused: BTreeMap<&'static str, u64>,
    /// Files that could not be imported at all.
    files_refused: usize,
    taken: Duration,
}

impl Summary {
    fn add(&mut self, found: &Found) {
        self.lines += found.lines;
        self.before += found.before.unwrap_or(0);
        for (kind, lines) in &found.refused {
            *self.refused.entry(kind).or_default() += lines;
        }
    }

    fn refused_total(&self) -> u64 {
        self.refused.values().sum()
    }

    fn exit(&self) -> Exit {
        match self.counted + self.duplicate + self.before {
            0 => Exit::Nothing,
            _ => Exit::Ok,
        }
    }

    fn line(&self) -> String {
        let Summary { lines, before, counted, duplicate, files_refused, taken, .. } = self;
        let millis = taken.as_millis().max(1);
        let rate = u128::from(*lines) * 1000 / millis;
        format!(
            "lines={lines} counted={counted} duplicate={duplicate} refused={} before={before} \
             files_refused={files_refused} seconds={:.3} lines_per_second={rate}",
            self.refused_total(),
            taken.as_secs_f64(),
        )
    }
}

fn import(
    args: &Counts,
    config: &Config,
    store: &Arc<dyn StateStore>,
    clock: &dyn Clock,
    stop: &Stop,
) -> anyhow::Result<Summary> {
    let now = clock.now();
    let reading = Reading {
        columns: Columns::new(&args.column, &args.ignore),
        format: args.format,
        source: args.source,
        session: args.session,
        now,
        captured_before: line::captured_before(now, config.pipeline.skew_bound),
    };
    let length = |path: &PathBuf| path.metadata().map_or(0, |metadata| metadata.len());
    let mut meter = Meter::new("import", Unit::Bytes, args.files.iter().map(length).sum());
    let progress = Arc::new(Progress::default());
    let mut summary = Summary::default();
    let mut bytes_before = 0;
    let mut taken = BTreeMap::new();
    for group in args.files.chunks(FILES_AT_ONCE) {
        let mut files = Vec::new();
        for path in group {
            match FileLog::open(path, &reading) {
                Ok(file) => match taken.entry(file.identity()) {
                    Entry::Vacant(free) => {
                        free.insert(path);
                        files.push(file);
                    }
                    // The same log: two who read it would fight over its partition.
                    Entry::Occupied(first) => {
                        bytes_before += file.tally().length();
                        tell(&format!(
                            "{}: the same content as {}, counted once",
                            path.display(),
                            first.get().display()
                        ));
                    }
                },
                Err(error) => {
                    summary.files_refused += 1;
                    tell(&format!("{:#}", anyhow::Error::new(error)));
                }
            }
        }
        let tallies: Vec<Arc<Tally>> = files.iter().map(|file| Arc::clone(file.tally())).collect();
        let job = job(files, config, store, stop, &progress);
        run_watched(&job, || {
            meter.at(bytes_before + tallies.iter().map(|tally| tally.bytes()).sum::<u64>());
        })
        .context("could not import; what was committed stays, import again to go on")?;
        bytes_before += tallies.iter().map(|tally| tally.length()).sum::<u64>();
        for tally in &tallies {
            let found = tally.found();
            tell_refusals(&meter, &found);
            summary.add(&found);
        }
        if stop.is_stopped() {
            break;
        }
    }
    meter.finish();
    summary.counted = progress.accepted_total();
    summary.duplicate = progress.duplicate_total();
    summary.taken = meter.elapsed();
    Ok(summary)
}

fn job(
    files: Vec<FileLog>,
    config: &Config,
    store: &Arc<dyn StateStore>,
    stop: &Stop,
    progress: &Arc<Progress>,
) -> Job {
    let input = |file| {
        let log: Arc<dyn FrameLog> = Arc::new(file);
        Input { log, partition: Partition(0) }
    };
    let mut pipeline = config.pipeline();
    pipeline.commit_interval = COMMIT_INTERVAL;
    pipeline.epoch_frames_max = EPOCH_FRAMES_MAX;
    Job {
        inputs: files.into_iter().map(input).collect(),
        store: Arc::clone(store),
        shape: config.shape(),
        config: pipeline,
        end: End::CaughtUp,
        snapshots: None,
        strays: false,
        stop: stop.clone(),
        progress: Arc::clone(progress),
    }
}

fn tell_refusals(meter: &Meter, found: &Found) {
    if found.refused.is_empty() {
        return;
    }
    meter.finish();
    found.told.iter().for_each(|line| tell(line));
    let told = u64::try_from(found.told.len()).unwrap_or(u64::MAX);
    if told < found.refused_total() {
        let kinds = found.refused.iter();
        let kinds: Vec<String> =
            kinds.map(|(kind, lines)| format!("{} {kind}", grouped(*lines))).collect();
        tell(&format!("… refused in all: {}", kinds.join(", ")));
    }
}

#[cfg(test)]
mod tests;
