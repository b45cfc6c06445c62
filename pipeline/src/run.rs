//! The pipeline as a whole: started, watched, ended.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::bounded;
use schemas::commit::{Commit, CommitError, Place, Shape, StateStore, StoreError};
use schemas::log::{FrameLog, LogError, LogId, Offset, Partition};
use schemas::stop::Stop;
use schemas::window::{Calendar, UnknownZone};

use crate::classes::Names;
use crate::committer;
use crate::config::PipelineConfig;
use crate::dataflow::{Owned, Shared};
use crate::history::History;
use crate::ingest::Ingest;
use crate::metrics::PipelineMetrics;
use crate::retry;
use crate::source::Context;
use crate::watermark::Bounds;
use crate::windows::Rules;
use crate::worker::{self, EPOCHS_AHEAD, Epochs};

/// Reads of one input that may wait for its worker.
const READS_WAITING_MAX: usize = 4;

/// The shortest commit interval of a pipeline in a hurry.
const COMMIT_INTERVAL_MIN: Duration = Duration::from_millis(10);

/// How often in a row a source may be found written by somebody else before
/// that is an error: two pipelines that fight over one source never end.
const MOVES_MAX: u32 = 20;

/// One partition to read.
#[derive(Clone)]
pub struct Input {
    pub log: Arc<dyn FrameLog>,
    pub partition: Partition,
}

impl Input {
    /// Every partition of `log`.
    pub fn all_of(log: &Arc<dyn FrameLog>) -> Vec<Input> {
        let partitions = (0..log.partitions()).map(Partition);
        partitions.map(|partition| Input { log: Arc::clone(log), partition }).collect()
    }
}

/// When a pipeline ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Never: it waits for more.
    Never,
    /// When every input has been read to its end, as of some moment.
    CaughtUp,
}

/// Everything that a pipeline needs.
pub struct Job {
    pub inputs: Vec<Input>,
    pub store: Arc<dyn StateStore>,
    pub shape: Shape,
    pub config: PipelineConfig,
    pub end: End,
    /// Whether to end the windows of sources whose log nobody reads any more
    /// (an import's, or a log that was replaced). What reads a site's own log
    /// does; if several processes share it, the one that owns partition 0 does.
    pub strays: bool,
    pub stop: Stop,
    pub progress: Arc<Progress>,
}

/// How far a pipeline is, for whoever watches it.
#[derive(Debug, Default)]
pub struct Progress {
    read: AtomicU64,
    committed_read: AtomicU64,
    accepted: AtomicU64,
    duplicate: AtomicU64,
    parked: AtomicU64,
    new_windows: AtomicU64,
    commits: AtomicU64,
    /// How far each partition is committed by this process.
    offsets: Mutex<BTreeMap<(LogId, Partition), Offset>>,
    metrics: Option<PipelineMetrics>,
}

impl Progress {
    /// Progress that Prometheus is told of too.
    pub fn with_metrics(metrics: PipelineMetrics) -> Progress {
        Progress { metrics: Some(metrics), ..Progress::default() }
    }

    /// Records read, committed or not.
    pub fn read_total(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Records whose outcome is committed.
    pub fn committed_total(&self) -> u64 {
        self.committed_read.load(Ordering::Relaxed)
    }

    /// Frames counted, as committed.
    pub fn accepted_total(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Frames that had been counted before, as committed.
    pub fn duplicate_total(&self) -> u64 {
        self.duplicate.load(Ordering::Relaxed)
    }

    /// Records kept aside, as committed.
    pub fn parked_total(&self) -> u64 {
        self.parked.load(Ordering::Relaxed)
    }

    /// Windows that had no row before, as committed: into fresh tables, all that
    /// there are.
    pub fn new_windows_total(&self) -> u64 {
        self.new_windows.load(Ordering::Relaxed)
    }

    /// How far `partition` of `log` is committed, once the pipeline has claimed
    /// it.
    pub fn committed_offset(&self, log: &LogId, partition: Partition) -> Option<Offset> {
        let offsets = self.offsets.lock().unwrap_or_else(PoisonError::into_inner);
        offsets.get(&(log.clone(), partition)).copied()
    }

    /// Commits.
    pub fn commits_total(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    fn claimed(&self, owned: &Owned, next: Offset) {
        let mut offsets = self.offsets.lock().unwrap_or_else(PoisonError::into_inner);
        let Place { log, partition } = owned.place.clone();
        offsets.insert((log, partition), next);
    }

    pub(crate) fn read(&self, records: u64) {
        self.read.fetch_add(records, Ordering::Relaxed);
    }

    pub(crate) fn committed(&self, commit: &Commit) {
        let mut offsets = self.offsets.lock().unwrap_or_else(PoisonError::into_inner);
        for advance in &commit.partitions {
            self.committed_read.fetch_add(advance.ledger.read, Ordering::Relaxed);
            self.accepted.fetch_add(advance.ledger.accepted, Ordering::Relaxed);
            self.duplicate.fetch_add(advance.ledger.duplicate, Ordering::Relaxed);
            self.parked.fetch_add(advance.ledger.parked, Ordering::Relaxed);
            offsets.insert((advance.log.clone(), advance.partition), advance.to);
        }
        drop(offsets);
        let windows = commit.sources.iter().flat_map(|source| &source.windows);
        let new = windows.filter(|window| window.rev == 1).count();
        self.new_windows.fetch_add(u64::try_from(new).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.commits.fetch_add(1, Ordering::Relaxed);
        if let Some(metrics) = &self.metrics {
            metrics.committed(commit);
        }
    }
}

/// Why a pipeline ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    #[error("the site's time zone cannot be used")]
    Zone(#[from] UnknownZone),
    #[error("could not read what was committed")]
    Store(#[from] StoreError),
    #[error("could not commit")]
    Commit(#[from] CommitError),
    #[error("could not read the log")]
    Log(#[from] LogError),
    #[error("partition {partition} of log {log} is given twice; each is read once")]
    Twice { log: LogId, partition: Partition },
    #[error("a thread of the pipeline could not be started or ended in a panic: {0}")]
    Thread(String),
}

/// Runs `job` until it is told to stop, or its end. What was read by then is
/// committed.
///
/// # Errors
///
/// Something that trying again cannot mend. What was not committed will be read
/// again by the next run.
pub fn run(job: &Job) -> Result<(), PipelineError> {
    let mut given = BTreeSet::new();
    for Input { log, partition } in &job.inputs {
        let log = log.identity();
        if !given.insert((log.clone(), *partition)) {
            return Err(PipelineError::Twice { log, partition: *partition });
        }
    }
    retry::again(&job.stop, || false, || job.store.shape(&job.shape))?;
    let mut moves = 0;
    loop {
        let commits = job.progress.commits_total();
        match run_once(job, &hurried(&job.config, moves)) {
            // Another process wrote a source that we had computed on. Begin
            // again from what is committed; the log still has the frames.
            Err(PipelineError::Commit(error @ CommitError::SourceMoved { .. })) => {
                moves = if commits == job.progress.commits_total() { moves + 1 } else { 1 };
                if MOVES_MAX < moves {
                    return Err(error.into());
                }
                tracing::info!(%error, "begins again from what is committed");
                if job.stop.wait(Duration::from_millis(10) * moves) {
                    return Ok(());
                }
            }
            ended => return ended,
        }
    }
}

/// The configuration after so many times in a row that another process was
/// faster: smaller epochs, committed sooner, find the source as they left it.
fn hurried(config: &PipelineConfig, moves: u32) -> PipelineConfig {
    let halved = moves.min(7);
    let frames = (config.epoch_frames_max.get() >> halved).max(1000);
    PipelineConfig {
        commit_interval: (config.commit_interval / 2_u32.pow(halved)).max(COMMIT_INTERVAL_MIN),
        epoch_frames_max: NonZeroU32::new(frames)
            .map_or(config.epoch_frames_max, |hurried| hurried.min(config.epoch_frames_max)),
        ..config.clone()
    }
}

fn run_once(job: &Job, config: &PipelineConfig) -> Result<(), PipelineError> {
    let stop = job.stop.clone();
    let claims = job.inputs.iter().map(|input| claim(input, job));
    let claims: Vec<(Owned, Offset)> = claims.collect::<Result<_, _>>()?;
    let names = Arc::new(Names::new(job.shape.metrics.clone()));
    let history = History::new(Arc::clone(&job.store), stop.clone());
    let epochs = Arc::new(Epochs::new(job.inputs.len()));
    let (closed, to_commit) = bounded(usize::try_from(EPOCHS_AHEAD).unwrap_or(2) + 2);
    let PipelineConfig { disorder_bound, grace, idle_timeout, .. } = *config;
    let shared = Arc::new(Shared {
        context: Context {
            history: history.clone(),
            bounds: Bounds { disorder: disorder_bound, idle: idle_timeout },
            rules: Rules {
                calendar: Calendar::in_zone(&job.shape.zone)?,
                grace,
                declared: names.declared(),
                names: Arc::clone(&names),
            },
        },
        config: config.clone(),
        names,
        owned: claims.iter().map(|(owned, _)| owned.clone()).collect(),
        strays: job.strays,
        epochs: Arc::clone(&epochs),
        closed,
    });

    std::thread::scope(|scope| {
        let mut receivers = Vec::new();
        let mut readers = Vec::new();
        for (number, (input, (_, next))) in job.inputs.iter().zip(&claims).enumerate() {
            let (to, receiver) = bounded(READS_WAITING_MAX);
            receivers.push((number, receiver));
            let ingest = Ingest {
                log: Arc::clone(&input.log),
                partition: input.partition,
                next: *next,
                names: Arc::clone(&shared.names),
                skew_bound: config.skew_bound,
                workers: config.workers.get(),
                until_caught_up: job.end == End::CaughtUp,
                stop: stop.clone(),
                to,
                epochs: Arc::clone(&epochs),
                progress: Arc::clone(&job.progress),
                run_length: 0,
            };
            readers.push(scope.spawn(move || ingest.run()));
        }
        let (store, epochs, progress) = (&*job.store, &*epochs, &*job.progress);
        let stop = &stop;
        let committer =
            scope.spawn(move || committer::run(&to_commit, store, epochs, progress, stop));
        let stepped = step(receivers, shared);
        let committed = committer.join().map_err(panicked)?;
        let mut read = Ok(());
        for reader in readers {
            read = read.and(reader.join().map_err(panicked)?);
        }
        stepped?;
        committed?;
        read?;
        match history.take_cause() {
            Some(cause) if !job.stop.is_stopped() => Err(cause.into()),
            _ => Ok(()),
        }
    })
}

fn claim(input: &Input, job: &Job) -> Result<(Owned, Offset), PipelineError> {
    let Input { log, partition } = input;
    let log_id = log.identity();
    let bounds = retry::again(&job.stop, || false, || log.bounds(*partition))?;
    let claim =
        retry::again(&job.stop, || false, || job.store.claim(&log_id, *partition, bounds.low))?;
    let place = Place { log: log_id, partition: *partition };
    let owned = Owned { place, owner_epoch: claim.owner_epoch };
    job.progress.claimed(&owned, claim.next_offset);
    Ok((owned, claim.next_offset))
}

/// Runs timely's workers to their end. They let go of `shared` and with it of
/// the way to the committer, which then ends too.
fn step(receivers: worker::Inputs, shared: Arc<Shared>) -> Result<(), PipelineError> {
    let workers = shared.config.workers.get();
    let mut by_worker: Vec<worker::Inputs> = (0..workers).map(|_| Vec::new()).collect();
    for (number, receiver) in receivers {
        by_worker[number % workers].push((number, receiver));
    }
    let by_worker = Mutex::new(by_worker);
    let config = match workers {
        1 => timely::Config::thread(),
        workers => timely::Config::process(workers),
    };
    let guards = timely::execute(config, move |worker| {
        let mut by_worker = by_worker.lock().unwrap_or_else(PoisonError::into_inner);
        let inputs = std::mem::take(&mut by_worker[worker.index()]);
        drop(by_worker);
        worker::run(worker, inputs, &shared);
    })
    .map_err(PipelineError::Thread)?;
    for ended in guards.join() {
        ended.map_err(PipelineError::Thread)?;
    }
    Ok(())
}

fn panicked(payload: Box<dyn std::any::Any + Send>) -> PipelineError {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned());
    PipelineError::Thread(text.unwrap_or_else(|| "unknown cause".to_owned()))
}
