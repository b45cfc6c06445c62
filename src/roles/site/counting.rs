//! The pipeline on a thread of its own, with the partitions that are handed to
//! this process.
//!
//! # Invariants
//!
//! - A partition is let go of only after what was read of it is committed, or
//!   cannot be.
//! - When other partitions are this process's, the pipeline ends and begins again
//!   from what is committed: nothing of the old assignment is carried over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use pipeline::{End, Input, Job, PipelineError, Progress};
use schemas::commit::StateStore;
use schemas::log::{FrameLog, LogError, Offset, Ownership, Partition};
use schemas::snapshot::SnapshotStore;
use schemas::stop::Stop;

use crate::config::Config;
use crate::roles::batch::run_watched;

/// How long to wait for partitions before looking whether to stop.
const HOLD_WAIT: Duration = Duration::from_millis(500);

/// How often the group is shown how far its partitions are committed.
const SHOW_EVERY: Duration = Duration::from_secs(2);

/// How long the pipeline may take to end once it is told to.
const LAST: Duration = Duration::from_secs(20);

/// Why counting ended before it was told to.
#[derive(Debug, thiserror::Error)]
enum CountingError {
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    #[error("no partition could be had")]
    Ownership(#[from] LogError),
}

/// What the pipeline works with.
pub(super) struct Bench {
    pub(super) log: Arc<dyn FrameLog>,
    pub(super) ownership: Box<dyn Ownership>,
    pub(super) store: Arc<dyn StateStore>,
    pub(super) snapshots: Arc<dyn SnapshotStore>,
    pub(super) progress: Arc<Progress>,
}

/// The pipeline, counting.
pub(super) struct Counting {
    thread: JoinHandle<Result<(), CountingError>>,
    stop: Stop,
}

impl Counting {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// The system has no thread left.
    pub(super) fn start(config: &Config, bench: Bench) -> anyhow::Result<Counting> {
        let stop = Stop::default();
        let (config, asked) = (config.clone(), stop.clone());
        let thread = std::thread::Builder::new()
            .name("pipeline".to_owned())
            .spawn(move || count(&config, bench, &asked))
            .context("could not start the pipeline's thread")?;
        Ok(Counting { thread, stop })
    }

    pub(super) fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Ends it, and commits what was read.
    ///
    /// # Errors
    ///
    /// Why it had ended, or that it does not.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        self.stop.stop();
        let deadline = Instant::now() + LAST;
        while !self.thread.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        match self.thread.is_finished() {
            true => match self.thread.join() {
                Ok(ended) => ended.context("the pipeline ended"),
                Err(_) => Err(anyhow!("the pipeline ended in a panic")),
            },
            // The process ends without it: what hangs may hang for ever.
            false => Err(anyhow!(
                "the pipeline did not end within {LAST:?}; what it has not committed is counted \
                 after the next start"
            )),
        }
    }
}

fn count(config: &Config, bench: Bench, stop: &Stop) -> Result<(), CountingError> {
    let Bench { log, mut ownership, store, snapshots, progress } = bench;
    while !stop.is_stopped() {
        let Some(held) = ownership.hold(HOLD_WAIT)? else { continue };
        let run = stop.follower();
        held.changed.is_followed_by(&run);
        let partitions: Vec<u32> = held.partitions.iter().map(|partition| partition.0).collect();
        tracing::info!(?partitions, "counts these partitions");
        let input = |partition: &Partition| Input { log: Arc::clone(&log), partition: *partition };
        let job = Job {
            inputs: held.partitions.iter().map(input).collect(),
            store: Arc::clone(&store),
            snapshots: Some(Arc::clone(&snapshots)),
            shape: config.shape(),
            config: config.pipeline(),
            end: End::Never,
            strays: true,
            stop: run,
            progress: Arc::clone(&progress),
        };
        let mut shown = Instant::now();
        let ended = run_watched(&job, || {
            if SHOW_EVERY <= shown.elapsed() {
                shown = Instant::now();
                ownership.committed(&offsets(&progress));
            }
        });
        ownership.committed(&offsets(&progress));
        drop(held);
        progress.lets_go();
        ended?;
    }
    Ok(())
}

fn offsets(progress: &Progress) -> BTreeMap<Partition, Offset> {
    progress.committed().into_iter().map(|(place, next)| (place.partition, next)).collect()
}
