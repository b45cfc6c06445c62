//! Everything in one process: cameras, log, pipeline, tables, page and API.
//!
//! # Invariants
//!
//! - What ends ends in the order in which frames move: first nothing is
//!   produced any more, then what was produced reaches the log, then what is in
//!   the log is committed, and the API goes last.
//! - The process does not outlive its pipeline: when that ends, or commits
//!   nothing although it has input, the process ends with an error, and the
//!   next start goes on from what was committed.

mod server;
mod sources;
mod watch;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use pipeline::metrics::PipelineMetrics;
use pipeline::{End, Input, Job, PipelineError, Progress};
use prometheus::Registry;
use schemas::commit::StateStore;
use schemas::log::FrameLog;
use schemas::stop::Stop;
use schemas::time::{Clock, SystemClock};
use sinks::log::segments::Segments;
use sinks::state::sqlite::SqliteState;

use crate::config::Config;
use crate::tables;
use server::Api;
use sources::Sources;
use watch::Watch;

/// How often everything is looked after.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How often what was counted long ago is deleted from the log.
const RETAIN_EVERY: Duration = Duration::from_secs(60);

/// How long the last frames may take to be committed when the process ends;
/// what is not is counted after the next start.
const DRAIN: Duration = Duration::from_secs(10);

/// How long the pipeline may take to end once it is told to.
const LAST: Duration = Duration::from_secs(20);

/// A site that runs.
pub(crate) struct Running {
    log: Arc<Segments>,
    store: Arc<SqliteState>,
    progress: Arc<Progress>,
    watch: Arc<Watch>,
    sources: Sources,
    pipeline: JoinHandle<Result<(), PipelineError>>,
    stop_pipeline: Stop,
    api: Api,
    retained: Instant,
}

impl Running {
    /// Starts everything that `config` names.
    ///
    /// # Errors
    ///
    /// A part cannot begin; those that had begun have ended again.
    pub(crate) fn start(config: &Config) -> anyhow::Result<Running> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let registry = Registry::new();
        let log = Arc::new(Segments::open(
            &config.log.dir,
            config.log.segments.clone(),
            Arc::clone(&clock),
        )?);
        let store = Arc::new(tables::open(config)?);
        store.shape(&config.shape())?;
        let twice = "a metric has two owners";
        log.metrics().register(&registry).context(twice)?;
        store.metrics().register(&registry).context(twice)?;
        let metrics = PipelineMetrics::register(&registry).context(twice)?;
        let progress = Arc::new(Progress::with_metrics(metrics));
        let watch = Arc::new(Watch::new(&*log)?);
        let sources_metrics = producers::metrics::Metrics::register(&registry).context(twice)?;

        // The address first: if it is taken, nothing has begun yet.
        let parts = server::Shared {
            store: Arc::<SqliteState>::clone(&store),
            log: Arc::<Segments>::clone(&log),
            clock: Arc::clone(&clock),
            registry,
        };
        let readiness = Arc::clone(&watch);
        let api = Api::start(config, parts, move || readiness.parts())?;
        let stop_pipeline = Stop::default();
        let pipeline = start_pipeline(config, &log, &store, &progress, &stop_pipeline);
        let pipeline = match pipeline {
            Ok(pipeline) => pipeline,
            Err(error) => {
                api.finish()?;
                return Err(error);
            }
        };
        let frame_log: Arc<dyn FrameLog> = Arc::<Segments>::clone(&log);
        let started = Sources::start(config, frame_log, clock, sources_metrics);
        let retained = Instant::now();
        match started {
            Ok(sources) => Ok(Running {
                log,
                store,
                progress,
                watch,
                sources,
                pipeline,
                stop_pipeline,
                api,
                retained,
            }),
            Err(error) => {
                stop_pipeline.stop();
                drop(pipeline.join());
                api.finish()?;
                Err(error)
            }
        }
    }

    /// Where the page and the API are.
    pub(crate) fn address(&self) -> SocketAddr {
        self.api.address()
    }

    /// Looks after everything until `stop`, or until something ends that must
    /// not; calls `each` every now and then.
    ///
    /// # Errors
    ///
    /// What ended, if [`finish`](Running::finish) will not tell it better.
    pub(crate) fn supervise(
        &mut self,
        stop: &Stop,
        mut each: impl FnMut(&dyn StateStore),
    ) -> anyhow::Result<()> {
        while !stop.wait(LOOK_EVERY) {
            if self.pipeline.is_finished() || self.sources.have_failed() {
                return Ok(());
            }
            if self.api.has_ended() {
                return Err(anyhow!("the API has ended"));
            }
            self.sources.look(&self.watch);
            self.watch.look(&self.progress, &*self.log, self.log_id())?;
            if RETAIN_EVERY <= self.retained.elapsed() {
                self.retained = Instant::now();
                self.retain();
            }
            each(&*self.store);
        }
        Ok(())
    }

    fn log_id(&self) -> schemas::log::LogId {
        self.log.identity()
    }

    /// Deletes from the log what is counted and older, or more, than configured.
    fn retain(&self) {
        let id = self.log_id();
        for partition in watch::partitions(&*self.log) {
            let Some(committed) = self.progress.committed_offset(&id, partition) else { continue };
            match self.log.retain(partition, committed) {
                Ok(0) => {}
                Ok(segments) => tracing::info!(%partition, segments, "deleted from the log"),
                Err(error) => {
                    let error: &(dyn std::error::Error + 'static) = &error;
                    tracing::warn!(%partition, error, "could not delete from the log");
                }
            }
        }
    }

    /// Ends everything well.
    ///
    /// # Errors
    ///
    /// The first thing that went wrong, in the order in which frames move.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        let published = self.sources.finish();
        let id = self.log.identity();
        let deadline = Instant::now() + DRAIN;
        while !self.pipeline.is_finished() && !watch::is_drained(&self.progress, &*self.log, &id) {
            if deadline < Instant::now() {
                tracing::warn!("not everything in the log is counted yet; the next start goes on");
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.stop_pipeline.stop();
        let deadline = Instant::now() + LAST;
        while !self.pipeline.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        let counted = match self.pipeline.is_finished() {
            true => match self.pipeline.join() {
                Ok(ended) => ended.context("the pipeline ended"),
                Err(_) => Err(anyhow!("the pipeline ended in a panic")),
            },
            // The process ends without it: what hangs may hang for ever.
            false => Err(anyhow!(
                "the pipeline did not end within {LAST:?}; what it has not committed is counted \
                 after the next start"
            )),
        };
        self.watch.pipeline_ended();
        let answered = self.api.finish();
        counted?;
        published?;
        answered
    }
}

fn start_pipeline(
    config: &Config,
    log: &Arc<Segments>,
    store: &Arc<SqliteState>,
    progress: &Arc<Progress>,
    stop: &Stop,
) -> anyhow::Result<JoinHandle<Result<(), PipelineError>>> {
    let log: Arc<dyn FrameLog> = Arc::<Segments>::clone(log);
    let job = Job {
        inputs: Input::all_of(&log),
        store: Arc::<SqliteState>::clone(store),
        shape: config.shape(),
        config: config.pipeline(),
        end: End::Never,
        strays: true,
        stop: stop.clone(),
        progress: Arc::clone(progress),
    };
    std::thread::Builder::new()
        .name("pipeline".to_owned())
        .spawn(move || pipeline::run(&job))
        .context("could not start the pipeline's thread")
}
