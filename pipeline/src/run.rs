//! The pipeline as a whole: started, watched, ended.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::bounded;
use schemas::commit::{CommitError, Place, Shape, StateStore, StoreError};
use schemas::log::{Bounds as LogBounds, FrameLog, LogError, LogId, Offset, Partition};
use schemas::snapshot::SnapshotStore;
use schemas::stop::Stop;
use schemas::window::{Calendar, UnknownZone};

use crate::classes::Names;
use crate::committer;
use crate::config::PipelineConfig;
use crate::dataflow::{Owned, Shared};
use crate::history::History;
use crate::ingest::Ingest;
use crate::progress::{Incident, Progress};
use crate::retry::Patience;
use crate::source::Context;
use crate::watermark::Bounds;
use crate::windows::Rules;
use crate::worker::{self, EPOCHS_AHEAD, Epochs};

/// Reads of one input that may wait for its worker.
const READS_WAITING_MAX: usize = 4;

/// The shortest commit interval of a pipeline in a hurry.
const COMMIT_INTERVAL_MIN: Duration = Duration::from_millis(10);

/// How long a run that reads nothing sleeps at a time.
const IDLE_WAIT: Duration = Duration::from_secs(1);

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
    /// Where the pictures go that frames carry; without it they are passed over.
    pub snapshots: Option<Arc<dyn SnapshotStore>>,
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

/// Why a pipeline ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    #[error("the site's time zone cannot be used")]
    Zone(#[from] UnknownZone),
    #[error("could not read what was committed")]
    Store(#[from] StoreError),
    #[error("could not commit")]
    Commit(#[from] CommitError),
    #[error("could not keep snapshots")]
    Snapshots(#[source] StoreError),
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
    let patience = Patience { stop: &job.stop, progress: &job.progress };
    patience.again(|| false, || job.store.shape(&job.shape))?;
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
    let claims = claim_all(job)?;
    if claims.is_empty() {
        // Nothing can be read until somebody has decided.
        while job.end == End::Never && !stop.wait(IDLE_WAIT) {}
        return Ok(());
    }
    let names = Arc::new(Names::new(job.shape.metrics.clone()));
    let history = History::new(Arc::clone(&job.store), stop.clone(), Arc::clone(&job.progress));
    let epochs = Arc::new(Epochs::new(claims.len()));
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
        owned: claims.iter().map(|claimed| claimed.owned.clone()).collect(),
        strays: job.strays,
        epochs: Arc::clone(&epochs),
        closed,
    });

    std::thread::scope(|scope| {
        let mut receivers = Vec::new();
        let mut readers = Vec::new();
        for (number, Claimed { input, owned: _, next }) in claims.into_iter().enumerate() {
            let (to, receiver) = bounded(READS_WAITING_MAX);
            receivers.push((number, receiver));
            let ingest = Ingest {
                log: input.log,
                partition: input.partition,
                next,
                names: Arc::clone(&shared.names),
                skew_bound: config.skew_bound,
                workers: config.workers.get(),
                snapshots: job.snapshots.is_some(),
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
        let album = job.snapshots.as_deref();
        let committer =
            scope.spawn(move || committer::run(&to_commit, store, album, epochs, progress, stop));
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

/// A partition that this run reads, from where.
struct Claimed {
    input: Input,
    owned: Owned,
    next: Offset,
}

/// Takes over every partition that can be read on where its ledger ends. The
/// others are told as incidents: to skip what is gone is nobody's decision here.
fn claim_all(job: &Job) -> Result<Vec<Claimed>, PipelineError> {
    job.progress.begins();
    let mut claims = Vec::new();
    for input in &job.inputs {
        let claimed = claim(input, job)?;
        let bounds = bounds(input, job)?;
        if job.end == End::Never && !(bounds.low..=bounds.high).contains(&claimed.next) {
            let place = claimed.owned.place.clone();
            let incident = Incident { wanted: claimed.next, bounds };
            tracing::error!(partition = %place.partition, %incident, "the partition is not counted");
            job.progress.incident(place, incident);
            continue;
        }
        job.progress.claimed(&claimed.owned.place, claimed.next);
        claims.push(claimed);
    }
    Ok(claims)
}

fn claim(input: &Input, job: &Job) -> Result<Claimed, PipelineError> {
    let patience = Patience { stop: &job.stop, progress: &job.progress };
    let place = Place { log: input.log.identity(), partition: input.partition };
    let first = bounds(input, job)?.low;
    let claim = patience.again(|| false, || job.store.claim(&place.log, place.partition, first))?;
    let owned = Owned { place, owner_epoch: claim.owner_epoch };
    Ok(Claimed { input: input.clone(), owned, next: claim.next_offset })
}

fn bounds(input: &Input, job: &Job) -> Result<LogBounds, PipelineError> {
    let patience = Patience { stop: &job.stop, progress: &job.progress };
    Ok(patience.again(|| false, || input.log.bounds(input.partition))?)
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
