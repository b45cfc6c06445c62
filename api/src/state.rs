//! What every handler shares, and the one way from a handler to a store.
//!
//! # Invariants
//!
//! - No store is called on the asynchronous threads: [`Api::read`] and
//!   [`Api::append`] are the only ways to one.
//! - At most `calls_max` calls run at one time. A call holds its place until it
//!   returns, also when its request was given up: a store that hangs holds so
//!   many threads and no more.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemas::accuracy::AccuracyStore;
use schemas::avro::Schemas;
use schemas::commit::{StateStore, StoreError};
use schemas::imported::ImportedStore;
use schemas::log::{FrameLog, LogError};
use schemas::metric::Postures;
use schemas::picture::Pictures;
use schemas::snapshot::SnapshotStore;
use schemas::source::SourceId;
use schemas::time::Clock;
use schemas::users::UserStore;
use schemas::window::Calendar;
use tokio::sync::Semaphore;

use crate::auth::{ApiToken, Keys, Logins, Users};
use crate::config::ApiConfig;
use crate::error::ApiError;
use crate::metrics::Metrics;
use crate::stale::Answers;
use crate::together::Together;

/// What the API stands on.
pub struct Parts {
    /// The tables that are read. A process without any answers only for its
    /// health.
    pub store: Option<Arc<dyn StateStore>>,
    /// What was imported; with the tables, or not at all.
    pub imported: Option<Arc<dyn ImportedStore>>,
    /// How right detections were; with the tables, or not at all.
    pub accuracy: Option<Arc<dyn AccuracyStore>>,
    /// The pictures that were kept; with the tables, or not at all.
    pub snapshots: Option<Arc<dyn SnapshotStore>>,
    /// Who looks at the pixels of pictures.
    pub pictures: Arc<dyn Pictures>,
    /// Who may ask; with the tables, or not at all.
    pub users: Option<Users>,
    /// The log that frames are appended to.
    pub log: Arc<dyn FrameLog>,
    pub clock: Arc<dyn Clock>,
    pub site: Site,
    /// What else must work before the process counts as ready.
    pub readiness: Arc<dyn Readiness>,
    /// What `/metrics` shows; the API adds its own.
    pub registry: prometheus::Registry,
}

/// The farm, for people.
#[derive(Clone, Debug)]
pub struct Site {
    /// The calendar that cut the days.
    pub calendar: Calendar,
    /// Names of sources. A source without one is called by its number.
    pub names: BTreeMap<SourceId, String>,
    /// The metrics that the original system's columns show.
    pub postures: Postures,
}

/// The parts of a process that must work before it counts as ready.
///
/// The tables and the log are asked by the API itself; this is for the rest,
/// such as the pipeline's commits. A closure is one.
pub trait Readiness: Send + Sync {
    /// Each part by name, with what is wrong with it. Must not block. Shown to
    /// anybody who asks: no secrets, no addresses.
    fn parts(&self) -> Vec<(String, Result<(), String>)>;
}

impl<F> Readiness for F
where
    F: Fn() -> Vec<(String, Result<(), String>)> + Send + Sync,
{
    fn parts(&self) -> Vec<(String, Result<(), String>)> {
        self()
    }
}

/// The state of the routes; clones share it.
#[derive(Clone)]
pub(crate) struct Api(Arc<Shared>);

struct Shared {
    parts: Parts,
    config: ApiConfig,
    token: Option<ApiToken>,
    logins: Logins,
    metrics: Metrics,
    schemas: Arc<Schemas>,
    calls: Arc<Semaphore>,
    requests: Semaphore,
    answers: Answers,
    together: Together,
}

impl Api {
    pub(crate) fn new(
        parts: Parts,
        config: &ApiConfig,
        token: Option<ApiToken>,
    ) -> Result<Api, prometheus::Error> {
        let metrics = Metrics::registered(&parts.registry)?;
        let calls = Arc::new(Semaphore::new(config.calls_max.get()));
        let requests = Semaphore::new(config.requests_max.get());
        let config = config.clone();
        let (answers, logins) = (Answers::default(), Logins::new(&config.auth));
        let schemas = Arc::new(Schemas::builtin());
        Ok(Api(Arc::new(Shared {
            parts,
            config,
            token,
            logins,
            metrics,
            schemas,
            calls,
            requests,
            answers,
            together: Together::default(),
        })))
    }

    pub(crate) fn config(&self) -> &ApiConfig {
        &self.0.config
    }

    pub(crate) fn token(&self) -> Option<&ApiToken> {
        self.0.token.as_ref()
    }

    /// What signs access tokens, if people can log in.
    pub(crate) fn keys(&self) -> Option<&Keys> {
        self.0.parts.users.as_ref()?.keys.as_ref()
    }

    /// Whether only those are answered who present something.
    pub(crate) fn is_guarded(&self) -> bool {
        self.token().is_some() || self.keys().is_some()
    }

    /// What is known of logins.
    pub(crate) fn logins(&self) -> &Logins {
        &self.0.logins
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    pub(crate) fn registry(&self) -> &prometheus::Registry {
        &self.0.parts.registry
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.0.parts.clock
    }

    pub(crate) fn site(&self) -> &Site {
        &self.0.parts.site
    }

    pub(crate) fn readiness(&self) -> &dyn Readiness {
        &*self.0.parts.readiness
    }

    /// The Avro schemas that frames may be written with.
    pub(crate) fn schemas(&self) -> Arc<Schemas> {
        Arc::clone(&self.0.schemas)
    }

    /// Places for requests; each holds one while it is answered.
    pub(crate) fn requests(&self) -> &Semaphore {
        &self.0.requests
    }

    /// What was answered last.
    pub(crate) fn answers(&self) -> &Answers {
        &self.0.answers
    }

    /// Who asks of the same source.
    pub(crate) fn together(&self) -> &Together {
        &self.0.together
    }

    /// Whether there are tables to read.
    pub(crate) fn has_tables(&self) -> bool {
        self.0.parts.store.is_some()
    }

    /// Reads the tables.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn StateStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let store = self.0.parts.store.clone().ok_or(ApiError::NoTables)?;
        self.off_the_loop(move || read(&*store)).await?.map_err(ApiError::Store)
    }

    /// Reads or changes what was imported.
    pub(crate) async fn imported<T: Send + 'static>(
        &self,
        call: impl FnOnce(&dyn ImportedStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let store = self.0.parts.imported.clone().ok_or(ApiError::NoTables)?;
        self.off_the_loop(move || call(&*store)).await?.map_err(ApiError::Store)
    }

    /// Reads how right detections were.
    pub(crate) async fn accuracy<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn AccuracyStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let store = self.0.parts.accuracy.clone().ok_or(ApiError::NoTables)?;
        self.off_the_loop(move || read(&*store)).await?.map_err(ApiError::Store)
    }

    /// Reads or changes the pictures that were kept.
    pub(crate) async fn snapshots<T: Send + 'static>(
        &self,
        call: impl FnOnce(&dyn SnapshotStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let store = self.0.parts.snapshots.clone().ok_or(ApiError::NoTables)?;
        self.off_the_loop(move || call(&*store)).await?.map_err(ApiError::Store)
    }

    /// Asks or changes the tables of users.
    pub(crate) async fn users<T: Send + 'static>(
        &self,
        call: impl FnOnce(&dyn UserStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let users = self.0.parts.users.as_ref().ok_or(ApiError::NoTables)?;
        let store = Arc::clone(&users.store);
        self.off_the_loop(move || call(&*store)).await?.map_err(ApiError::Store)
    }

    /// Whoever looks at pixels; to be asked [off the loop](Api::off_the_loop).
    pub(crate) fn pictures(&self) -> Arc<dyn Pictures> {
        Arc::clone(&self.0.parts.pictures)
    }

    /// Asks or changes the log.
    pub(crate) async fn append<T: Send + 'static>(
        &self,
        call: impl FnOnce(&dyn FrameLog) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let log = Arc::clone(&self.0.parts.log);
        self.off_the_loop(move || call(&*log)).await?.map_err(|error| ApiError::Log { error })
    }

    /// Runs what blocks, or computes for long, on a thread that may.
    pub(crate) async fn off_the_loop<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let place = Arc::clone(&self.0.calls).acquire_owned().await.map_err(|_| ApiError::Busy)?;
        let call = move || {
            let answer = call();
            drop(place);
            answer
        };
        tokio::task::spawn_blocking(call).await.map_err(ApiError::Broken)
    }
}
