//! The page and the API on threads of their own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use api::{ApiToken, Parts, Readiness, Server, Site, Users};
use producers::picture::Decoder;
use schemas::accuracy::AccuracyStore;
use schemas::commit::StateStore;
use schemas::imported::ImportedStore;
use schemas::log::FrameLog;
use schemas::snapshot::SnapshotStore;
use schemas::time::Clock;
use schemas::users::UserStore;
use schemas::window::Calendar;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::config::Config;

/// Threads that answer; what blocks is on others.
const WORKERS: usize = 2;

/// What the API stands on.
pub(super) struct Shared {
    pub(super) store: Option<Arc<dyn StateStore>>,
    pub(super) users: Option<Arc<dyn UserStore>>,
    pub(super) imported: Option<Arc<dyn ImportedStore>>,
    pub(super) accuracy: Option<Arc<dyn AccuracyStore>>,
    pub(super) snapshots: Option<Arc<dyn SnapshotStore>>,
    pub(super) log: Arc<dyn FrameLog>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) registry: prometheus::Registry,
}

/// The API, answering.
pub(super) struct Api {
    runtime: Runtime,
    address: SocketAddr,
    scheme: &'static str,
    serving: JoinHandle<()>,
    shut_down: oneshot::Sender<()>,
}

impl Api {
    /// Listens, and answers from now on.
    ///
    /// # Errors
    ///
    /// The address is taken, or a setting is wrong.
    pub(super) fn start(
        config: &Config,
        shared: Shared,
        readiness: impl Readiness + 'static,
    ) -> anyhow::Result<Api> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .thread_name("api")
            .enable_all()
            .build()
            .context("could not start the API's threads")?;
        let Shared { store, imported, accuracy, users, snapshots, log, clock, registry } = shared;
        let names: BTreeMap<_, _> = config.names().collect();
        let calendar = Calendar::in_zone(&config.site.zone)?;
        let site = Site { calendar, names, postures: config.animov.clone() };
        let pictures = Arc::new(Decoder::default());
        let readiness = Arc::new(readiness);
        let keys = config.keys()?;
        let users = users.map(|store| Users { store, keys });
        let parts = Parts {
            store,
            imported,
            accuracy,
            snapshots,
            pictures,
            users,
            log,
            clock,
            site,
            readiness,
            registry,
        };
        let server =
            runtime.block_on(Server::bind(config.api.clone(), ApiToken::from_env()?, parts))?;
        let (address, scheme) = (server.address(), server.scheme());
        let (shut_down, shutting_down) = oneshot::channel();
        let serving = runtime.spawn(server.serve(async {
            // Also when the sender is dropped: then there is nobody left.
            drop(shutting_down.await);
        }));
        Ok(Api { runtime, address, scheme, serving, shut_down })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn scheme(&self) -> &'static str {
        self.scheme
    }

    pub(super) fn has_ended(&self) -> bool {
        self.serving.is_finished()
    }

    /// Lets open requests end, and accepts no more.
    ///
    /// # Errors
    ///
    /// The API had ended in a panic.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        let Api { runtime, address: _, scheme: _, serving, shut_down } = self;
        drop(shut_down);
        let served = runtime.block_on(serving);
        // Calls of a store that hangs may still hold threads; they end with us.
        runtime.shutdown_background();
        served.context("the API ended in a panic")
    }
}
