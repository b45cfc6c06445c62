//! Listening, and stopping.
//!
//! # Invariants
//!
//! - An address that other machines can reach is never listened on without a
//!   token.
//! - Connections are bounded, and one that sends no header in time is closed.
//! - After the shutdown signal nothing new is accepted; what is being answered
//!   has `shutdown_grace` to end.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::auth::{ApiToken, Peer};
use crate::config::{ApiConfig, ConfigFault};
use crate::state::Parts;

/// Why the API does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Config(Vec<ConfigFault>),

    #[error("could not listen on {bind}; is another program using the port?")]
    Bind { bind: SocketAddr, source: std::io::Error },

    #[error("the API's metrics could not be registered")]
    Metrics(#[source] prometheus::Error),
}

/// The API, listening but not yet answering.
pub struct Server {
    listener: TcpListener,
    router: Router,
    config: ApiConfig,
    address: SocketAddr,
}

impl Server {
    /// Listens on `config.bind`.
    ///
    /// # Errors
    ///
    /// A setting is wrong (also: an open address without a `token`), the address
    /// is taken, or the registry already has the API's metrics.
    pub async fn bind(
        config: ApiConfig,
        token: Option<ApiToken>,
        parts: Parts,
    ) -> Result<Server, StartError> {
        let faults = config
            .faults(token.as_ref(), parts.users.as_ref().and_then(|users| users.keys.as_ref()));
        if !faults.is_empty() {
            return Err(StartError::Config(faults));
        }
        let router = crate::router(parts, &config, token)?;
        let bind = config.bind;
        let cannot = |source| StartError::Bind { bind, source };
        let listener = TcpListener::bind(bind).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        Ok(Server { listener, router, config, address })
    }

    /// Where it listens: the port that was given, if port 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `shutdown` completes, and then what is still open.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send) {
        let Server { listener, router, config, address } = self;
        tracing::info!(%address, "api listening");
        let graceful = GracefulShutdown::new();
        let places = Arc::new(Semaphore::new(config.connections_max.get()));
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let accepted = async {
                // First a place, then a connection: too many wait in the
                // system's queue, which is bounded too.
                let place = Arc::clone(&places).acquire_owned().await.ok()?;
                Some((place, accept(&listener).await))
            };
            let (place, (stream, from)) = tokio::select! {
                Some(accepted) = accepted => accepted,
                () = &mut shutdown => break,
            };
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(config.header_timeout);
            let service = Addressed {
                from: Peer(from.ip()),
                routes: TowerToHyperService::new(router.clone()),
            };
            let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "connection ended early");
                }
                drop(place);
            });
        }
        drop(listener);
        tracing::info!(connections = graceful.count(), "api stopping");
        if tokio::time::timeout(config.shutdown_grace, graceful.shutdown()).await.is_err() {
            tracing::warn!("requests were still open when the time to stop ran out");
        }
    }
}

/// The routes for one connection: each request knows where it is from.
#[derive(Clone)]
struct Addressed {
    from: Peer,
    routes: TowerToHyperService<Router>,
}

impl Service<Request<Incoming>> for Addressed {
    type Response = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Response;
    type Error = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Error;
    type Future = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.from);
        self.routes.call(request)
    }
}

/// The next connection.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    /// Long enough for a connection to close, short enough for nobody to notice.
    const PAUSE: Duration = Duration::from_millis(100);
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                // Answers are small and whole; waiting to fill a packet only delays them.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "connection without TCP_NODELAY");
                }
                return (stream, from);
            }
            // Out of file descriptors, or a connection that was gone before it
            // was taken: neither is a reason to stop.
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
