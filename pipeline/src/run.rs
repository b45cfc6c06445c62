//! The pipeline as a whole: started, watched, ended.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::bounded;
use schemas::commit::{CommitError, Shape, StateStore, StoreError};
use schemas::log::{FrameLog, LogError, LogId, Partition};
use schemas::snapshot::SnapshotStore;
use schemas::stop::Stop;
use schemas::window::{Calendar, UnknownZone};

use crate::claim::{self, Claimed, Claims};
use crate::classes::Names;
use crate::committer::Committer;
use crate::config::PipelineConfig;
use crate::dataflow::Shared;
use crate::history::History;
use crate::ingest::Ingest;
use crate::progress::Progress;
use crate::retry::Patience;
use crate::source::Context;
use crate::watermark::Bounds;
use crate::windows::Rules;
use crate::worker::{self, EPOCHS_AHEAD, Epochs};

/// Reads of one input that may wait for its worker.
const READS_WAITING_MAX: usize = 4;

/// The shortest commit interval of a pipeline in a hurry.
const COMMIT_INTERVAL_MIN: Duration = Duration::from_millis(10);

/// How often it is looked whether somebody has decided about an incident, and
/// how long after its log let it down a run begins again.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often in a row a run may begin again without a commit before that is an
/// error: two pipelines that fight over one source never end.
const AGAIN_MAX: u32 = 20;

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

impl PipelineError {
    /// Whether it is an answer that is missing, and may come later.
    fn may_pass(&self) -> bool {
        match self {
            PipelineError::Store(error) | PipelineError::Snapshots(error) => {
                error.may_succeed_later()
            }
            PipelineError::Log(error) => error.may_succeed_later(),
            PipelineError::Commit(CommitError::Store(error)) => error.may_succeed_later(),
            PipelineError::Commit(CommitError::Fenced { .. } | CommitError::SourceMoved { .. })
            | PipelineError::Zone(_)
            | PipelineError::Twice { .. }
            | PipelineError::Thread(_) => false,
        }
    }
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
    let ended = match patience.again(|| false, || job.store.shape(&job.shape)) {
        Ok(()) => run_again_and_again(job),
        Err(error) => Err(error.into()),
    };
    job.progress.ends();
    match ended {
        // It was waiting for an answer when it was told to stop: that is all that it
        // could do, and nothing is lost by it.
        Err(error) if job.stop.is_stopped() && error.may_pass() => Ok(()),
        ended => ended,
    }
}

fn run_again_and_again(job: &Job) -> Result<(), PipelineError> {
    let mut again = 0;
    loop {
        let commits = job.progress.commits_total();
        let error = match run_once(job, &hurried(&job.config, again)) {
            Ok(Ended::ForGood) => return Ok(()),
            Ok(Ended::Decided) => {
                tracing::info!("somebody has decided about a partition");
                continue;
            }
            Err(error) => error,
        };
        again = if commits == job.progress.commits_total() { again + 1 } else { 1 };
        match wait_before_again(&error, job.end, again) {
            Some(wait) if again <= AGAIN_MAX => {
                tracing::info!(%error, "begins again from what is committed");
                if job.stop.wait(wait) {
                    return Ok(());
                }
            }
            _ => return Err(error),
        }
    }
}

/// How long to wait before the run begins again from what is committed, the
/// n-th time in a row; `None` if that would not mend anything.
fn wait_before_again(error: &PipelineError, end: End, again: u32) -> Option<Duration> {
    match error {
        // Another process wrote a source that we had computed on. The log still
        // has the frames.
        PipelineError::Commit(CommitError::SourceMoved { .. }) => {
            Some(Duration::from_millis(10) * again)
        }
        // Whether that is an incident is found when the partitions are claimed.
        PipelineError::Log(
            LogError::Replaced { .. } | LogError::OutOfBounds { .. } | LogError::LostEnd { .. },
        ) => (end == End::Never).then_some(LOOK_EVERY),
        _ => None,
    }
}

/// How a run came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// It was told to, or was to.
    ForGood,
    /// A partition that waited for a decision can be counted now.
    Decided,
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

fn run_once(job: &Job, config: &PipelineConfig) -> Result<Ended, PipelineError> {
    let stop = job.stop.follower();
    let Claims { claimed: claims, waiting } = claim::claim_all(job)?;
    if claims.is_empty() {
        return Ok(wait_for_a_decision(&waiting, job, &stop));
    }
    let mut logs = BTreeMap::new();
    for Claimed { input, owned, .. } in &claims {
        logs.entry(owned.place.log.clone()).or_insert_with(|| Arc::clone(&input.log));
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
        for (number, Claimed { input, owned, next }) in claims.into_iter().enumerate() {
            let (to, receiver) = bounded(READS_WAITING_MAX);
            receivers.push((number, receiver));
            let place = owned.place.clone();
            let ingest = Ingest {
                log: input.log,
                place: owned.place,
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
            readers.push((place, scope.spawn(move || ingest.run())));
        }
        let stop = &stop;
        let committer = Committer {
            logs,
            store: &*job.store,
            album: job.snapshots.as_deref(),
            epochs: &epochs,
            progress: &job.progress,
            stop,
        };
        let committer = scope.spawn(move || committer.run(&to_commit));
        let looker = (!waiting.is_empty()).then(|| {
            scope.spawn(|| {
                let ended = wait_for_a_decision(&waiting, job, stop);
                // The others begin again together with it.
                stop.stop();
                ended
            })
        });
        let stepped = step(receivers, shared);
        let committed = committer.join().map_err(panicked).flatten();
        let mut read = Ok(());
        for (place, reader) in readers {
            let ended = reader.join().map_err(panicked);
            let ended = ended.and_then(|ended| ended.map_err(PipelineError::from));
            let noted = match &ended {
                Err(PipelineError::Log(error)) => claim::note_lost_end(job, &place, error),
                _ => Ok(()),
            };
            read = read.and(noted).and(ended);
        }
        // Nothing is left that could end by itself.
        let was_told = stop.is_stopped();
        stop.stop();
        let ended = looker.map_or(Ok(Ended::ForGood), |looker| looker.join().map_err(panicked));
        stepped?;
        let ended = ended?;
        match committed {
            // It was waiting for an answer. It begins again, and reads that again.
            Err(error) if ended == Ended::Decided && error.may_pass() => return Ok(ended),
            committed => committed?,
        }
        read?;
        match history.take_cause() {
            Some(cause) if !was_told => Err(cause.into()),
            _ => Ok(ended),
        }
    })
}

/// Looks after the partitions that wait for a decision, until there is one, or
/// the run is to stop.
fn wait_for_a_decision(waiting: &[Input], job: &Job, stop: &Stop) -> Ended {
    if job.end == End::CaughtUp {
        return Ended::ForGood;
    }
    while !stop.wait(LOOK_EVERY) {
        if claim::is_decided(waiting, job) {
            return Ended::Decided;
        }
    }
    Ended::ForGood
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
