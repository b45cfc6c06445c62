//! A site's process: whatever parts its role has, started, watched and ended
//! together.
//!
//! # Invariants
//!
//! - What ends ends in the order in which frames move: first nothing is
//!   produced any more, then what was produced reaches the log, then what is in
//!   the log is committed, and the API goes last.
//! - The process does not outlive its pipeline: when that ends, or commits
//!   nothing although it has input, the process ends with an error, and the
//!   next start goes on from what was committed.

mod counting;
mod server;
mod sources;
mod watch;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use pipeline::Progress;
use pipeline::metrics::PipelineMetrics;
use prometheus::Registry;
use schemas::commit::StateStore;
use schemas::stop::Stop;
use schemas::time::{Clock, SystemClock};

use crate::config::Config;
use crate::parts::{self, Log};
use counting::{Bench, Counting};
use server::Api;
use sources::Sources;
use watch::Watch;

/// How often everything is looked after.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How often it is asked how far the log has come.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// How often what was counted long ago is deleted from the log.
const RETAIN_EVERY: Duration = Duration::from_secs(60);

/// How long the last frames may take to be committed when the process ends;
/// what is not is counted after the next start.
const DRAIN: Duration = Duration::from_secs(10);

/// Which parts of a site a process has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// All of them.
    Run,
    /// The pipeline, of the partitions that its group gives it.
    Pipeline,
    /// Only the page and the API.
    Api,
    /// The cameras and the herds of the configuration.
    Camera,
}

impl Role {
    const fn produces(self) -> bool {
        matches!(self, Role::Run | Role::Camera)
    }

    const fn counts(self) -> bool {
        matches!(self, Role::Run | Role::Pipeline)
    }

    /// Whether it reads or writes the tables.
    pub(crate) const fn has_tables(self) -> bool {
        matches!(self, Role::Run | Role::Pipeline | Role::Api)
    }

    /// What it does, for a person.
    pub(crate) const fn does(self) -> &'static str {
        match self {
            Role::Run | Role::Pipeline => "counts",
            Role::Api => "answers",
            Role::Camera => "watches",
        }
    }

    /// What is at its address, for a person.
    pub(crate) const fn page(self) -> &'static str {
        match self {
            Role::Run | Role::Pipeline | Role::Api => "page",
            Role::Camera => "health",
        }
    }

    /// Whether it still has work to do with what is in the log when it stops: its
    /// own cameras' frames. What others append goes on without end.
    const fn drains(self) -> bool {
        matches!(self, Role::Run)
    }
}

/// A site's process that runs.
pub(crate) struct Running {
    role: Role,
    log: Log,
    store: Option<Arc<dyn StateStore>>,
    progress: Arc<Progress>,
    watch: Arc<Watch>,
    sources: Option<Sources>,
    counting: Option<Counting>,
    api: Api,
    watched: Instant,
    retained: Instant,
}

impl Running {
    /// Starts the parts of `role`, as `config` names them.
    ///
    /// # Errors
    ///
    /// A part cannot begin; those that had begun have ended again.
    pub(crate) fn start(role: Role, config: &Config) -> anyhow::Result<Running> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let registry = Registry::new();
        let log = Log::open(config, &clock, &registry)?;
        let store = match role.has_tables() {
            true => Some(parts::tables(config, &registry)?),
            false => None,
        };
        if let Some(store) = &store {
            store.shape(&config.shape())?;
        }
        let progress = Arc::new(match role.counts() {
            true => Progress::with_metrics(PipelineMetrics::register(&registry).context(TWICE)?),
            false => Progress::default(),
        });
        let watch = Arc::new(Watch::default());
        let sources_metrics = producers::metrics::Metrics::register(&registry).context(TWICE)?;

        // The address first: if it is taken, nothing has begun yet.
        let shared = server::Shared {
            store: store.clone(),
            log: log.frames(),
            clock: Arc::clone(&clock),
            registry,
        };
        let readiness = Arc::clone(&watch);
        let api = Api::start(config, shared, move || readiness.parts())?;
        let now = Instant::now();
        let mut running = Running {
            role,
            log,
            store,
            progress,
            watch,
            sources: None,
            counting: None,
            api,
            watched: now,
            retained: now,
        };
        match running.start_rest(config, clock, sources_metrics) {
            Ok(()) => Ok(running),
            Err(error) => {
                running.finish()?;
                Err(error)
            }
        }
    }

    fn start_rest(
        &mut self,
        config: &Config,
        clock: Arc<dyn Clock>,
        metrics: producers::metrics::Metrics,
    ) -> anyhow::Result<()> {
        if let (true, Some(store)) = (self.role.counts(), &self.store) {
            let bench = Bench {
                log: self.log.frames(),
                ownership: self.log.ownership(config)?,
                store: Arc::clone(store),
                progress: Arc::clone(&self.progress),
            };
            self.counting = Some(Counting::start(config, bench)?);
        }
        if self.role.produces() {
            self.sources = Some(Sources::start(config, self.log.frames(), clock, metrics)?);
        }
        Ok(())
    }

    pub(crate) fn role(&self) -> Role {
        self.role
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
            let counting_ended = self.counting.as_ref().is_some_and(Counting::has_ended);
            if counting_ended || self.sources.as_ref().is_some_and(Sources::have_failed) {
                return Ok(());
            }
            if self.api.has_ended() {
                return Err(anyhow!("the API has ended"));
            }
            if let Some(sources) = &mut self.sources {
                sources.look(&self.watch);
            }
            if WATCH_EVERY <= self.watched.elapsed() {
                self.watched = Instant::now();
                self.watch.look(&self.progress, &*self.log.frames())?;
            }
            if RETAIN_EVERY <= self.retained.elapsed() {
                self.retained = Instant::now();
                self.log.retain(&self.progress.committed());
            }
            if let Some(store) = &self.store {
                each(&**store);
            }
        }
        Ok(())
    }

    /// Ends everything well.
    ///
    /// # Errors
    ///
    /// The first thing that went wrong, in the order in which frames move.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        let published = self.sources.map_or(Ok(()), Sources::finish);
        let counted = self.counting.map_or(Ok(()), |counting| {
            let frames = self.log.frames();
            let deadline = Instant::now() + DRAIN;
            while self.role.drains()
                && !counting.has_ended()
                && !watch::is_drained(&self.progress, &*frames)
            {
                if deadline < Instant::now() {
                    tracing::warn!(
                        "not everything in the log is counted yet; the next start goes on"
                    );
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            counting.finish()
        });
        self.watch.pipeline_ended();
        let answered = self.api.finish();
        counted?;
        published?;
        answered
    }
}

/// Two parts with metrics of one name.
const TWICE: &str = "a metric has two owners";
