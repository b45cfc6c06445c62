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
mod janitor;
mod server;
mod sources;
mod visits;
mod watch;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use pipeline::Progress;
use pipeline::metrics::PipelineMetrics;
use prometheus::Registry;
use schemas::commit::StateStore;
use schemas::imported::ImportedStore;
use schemas::log::FrameLog;
use schemas::stop::Stop;
use schemas::time::{Clock, SystemClock};
use sinks::snapshots::Opened;

use crate::config::Config;
use crate::parts::{self, Log, Outlet};
use counting::{Bench, Counting};
use janitor::Janitor;
use server::Api;
use sources::Sources;
use visits::Visits;
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
    /// None where only cameras are: they need no more than an outlet.
    log: Option<Log>,
    /// Where the frames of this process's own cameras go, if it has any.
    outlet: Option<Outlet>,
    store: Option<Arc<dyn StateStore>>,
    progress: Arc<Progress>,
    watch: Arc<Watch>,
    sources: Option<Sources>,
    counting: Option<Counting>,
    janitor: Option<Janitor>,
    visits: Option<Visits>,
    grace: Duration,
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
        let log = match role.has_tables() {
            true => Some(Log::open(config, &clock, &registry)?),
            false => None,
        };
        let outlet = match (&log, role.produces()) {
            (Some(log), true) => Some(Outlet::to(log, config, &clock, &registry)?),
            (None, true) => Some(Outlet::open(config, &clock, &registry)?),
            (_, false) => None,
        };
        let frames = log.as_ref().map(Log::frames);
        let frames = frames.or_else(|| outlet.as_ref().map(Outlet::frames));
        let frames = frames.context("a process without log and cameras has nothing to do")?;
        let tables = match role.has_tables() {
            true => Some(parts::tables(config, &registry)?),
            false => None,
        };
        let users = tables.as_ref().map(|tables| Arc::clone(&tables.users));
        let accuracy = tables.as_ref().map(|tables| Arc::clone(&tables.accuracy));
        let (store, imported) = tables.map(|tables| (tables.state, tables.imported)).unzip();
        if let Some(store) = &store {
            store.shape(&config.shape())?;
        }
        let snapshots = match role.has_tables() {
            true => Some(parts::snapshots(config, &registry)?),
            false => None,
        };
        let progress = Arc::new(match role.counts() {
            true => Progress::with_metrics(PipelineMetrics::register(&registry).context(TWICE)?),
            false => Progress::default(),
        });
        let watch = Arc::new(Watch::default());
        let sources_metrics = producers::metrics::Metrics::register(&registry).context(TWICE)?;

        // The address first: if it is taken, nothing has begun yet.
        let shared = server::Shared {
            store: store.clone(),
            users,
            imported: imported.clone(),
            accuracy,
            snapshots: snapshots.as_ref().map(|opened| Arc::clone(&opened.store)),
            log: frames,
            clock: Arc::clone(&clock),
            registry: registry.clone(),
        };
        let readiness = Arc::clone(&watch);
        let api = Api::start(config, shared, move || readiness.parts())?;
        let now = Instant::now();
        let mut running = Running {
            role,
            log,
            outlet,
            store,
            progress,
            watch,
            sources: None,
            counting: None,
            janitor: None,
            visits: None,
            grace: config.publish.grace,
            api,
            watched: now,
            retained: now,
        };
        match running.start_rest(config, &clock, imported, snapshots, sources_metrics) {
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
        clock: &Arc<dyn Clock>,
        imported: Option<Arc<dyn ImportedStore>>,
        snapshots: Option<Opened>,
        metrics: producers::metrics::Metrics,
    ) -> anyhow::Result<()> {
        let tables = (&self.log, &self.store, snapshots);
        if let (true, (Some(log), Some(store), Some(snapshots))) = (self.role.counts(), tables) {
            self.janitor = Some(Janitor::start(config, &snapshots, Arc::clone(clock))?);
            let bench = Bench {
                log: log.frames(),
                ownership: log.ownership()?,
                store: Arc::clone(store),
                snapshots: snapshots.store,
                progress: Arc::clone(&self.progress),
            };
            self.counting = Some(Counting::start(config, bench)?);
        }
        if let (true, Some(imported)) = (self.role.counts(), imported) {
            self.visits = Some(Visits::start(&config.prices, imported, Arc::clone(clock))?);
        }
        if let Some(outlet) = &self.outlet {
            let started = Sources::start(config, outlet.frames(), Arc::clone(clock), metrics);
            self.sources = Some(started?);
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

    /// `http` or `https`.
    pub(crate) fn scheme(&self) -> &'static str {
        self.api.scheme()
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
            if let Some(log) = &self.log {
                if WATCH_EVERY <= self.watched.elapsed() {
                    self.watched = Instant::now();
                    self.watch.look(&self.progress, &*log.frames())?;
                }
                if RETAIN_EVERY <= self.retained.elapsed() {
                    self.retained = Instant::now();
                    log.retain(&self.progress.committed());
                }
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
        if let Some(outlet) = &self.outlet {
            outlet.finish(self.grace);
        }
        let counted = self.counting.map_or(Ok(()), |counting| {
            if let (true, Some(log)) = (self.role.drains(), &self.log) {
                drain(&counting, &self.progress, &*log.frames());
            }
            counting.finish()
        });
        if let Some(janitor) = self.janitor {
            janitor.finish();
        }
        if let Some(visits) = self.visits {
            visits.finish();
        }
        self.watch.pipeline_ended();
        let answered = self.api.finish();
        counted?;
        published?;
        answered
    }
}

/// Waits until what is in the log is counted, for a while.
fn drain(counting: &Counting, progress: &Progress, log: &dyn FrameLog) {
    let deadline = Instant::now() + DRAIN;
    while !counting.has_ended() && !watch::is_drained(progress, log) {
        if deadline < Instant::now() {
            tracing::warn!("not everything in the log is counted yet; the next start goes on");
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Two parts with metrics of one name.
const TWICE: &str = "a metric has two owners";
