//! Listening, and stopping.
//!
//! # Invariants
//!
//! - An address that other machines can reach is never listened on where nobody is
//!   asked who he is.
//! - Connections are bounded, and one that sends no header in time is closed.
//! - After the shutdown signal nothing new is accepted; what is being answered
//!   has `shutdown_grace` to end.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Semaphore;

use crate::auth::{ApiToken, Peer};
use crate::config::{ApiConfig, ConfigFault};
use crate::connection::{self, Addressed};
use crate::state::Parts;
use crate::tls::{self, Tls, TlsFault};

/// Why the API does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Config(Vec<ConfigFault>),

    #[error(transparent)]
    Tls(TlsFault),

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
    tls: Option<Arc<Tls>>,
}

impl Server {
    /// Listens on `config.bind`.
    ///
    /// # Errors
    ///
    /// A setting is wrong (also: an open address without a `token` and without keys),
    /// a certificate cannot be used, the address is taken, or the registry already has
    /// the API's metrics.
    pub async fn bind(
        config: ApiConfig,
        token: Option<ApiToken>,
        parts: Parts,
    ) -> Result<Server, StartError> {
        let keys = parts.users.as_ref().and_then(|users| users.keys.as_ref());
        let faults = config.faults(token.as_ref(), keys);
        if !faults.is_empty() {
            return Err(StartError::Config(faults));
        }
        let tls = Tls::load(&config.tls).map_err(StartError::Tls)?.map(Arc::new);
        let router = crate::router(parts, &config, token)?;
        let bind = config.bind;
        let cannot = |source| StartError::Bind { bind, source };
        let listener = TcpListener::bind(bind).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        Ok(Server { listener, router, config, address, tls })
    }

    /// Where it listens: the port that was given, if port 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Answers until `shutdown` completes, and then what is still open.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send) {
        let scheme = self.scheme();
        let Server { listener, router, config, address, tls } = self;
        tracing::info!(%address, scheme, "api listening");
        let watching = tls.as_ref().map(|tls| tokio::spawn(watch(Arc::clone(tls))));
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
            let (watcher, timeout) = (graceful.watcher(), config.header_timeout);
            let routes = Addressed::new(Peer(from.ip()), router.clone());
            let tls = tls.clone();
            tokio::spawn(async move {
                match tls {
                    None => connection::http1(stream, routes, watcher, timeout).await,
                    Some(tls) => match tls.accept(stream).await {
                        Some(stream) if tls::speaks_http2(&stream) => {
                            connection::http2(stream, routes, watcher, timeout).await;
                        }
                        Some(stream) => connection::http1(stream, routes, watcher, timeout).await,
                        None => {}
                    },
                }
                drop(place);
            });
        }
        drop(listener);
        tracing::info!(connections = graceful.count(), "api stopping");
        if tokio::time::timeout(config.shutdown_grace, graceful.shutdown()).await.is_err() {
            tracing::warn!("requests were still open when the time to stop ran out");
        }
        if let Some(watching) = watching {
            watching.abort();
        }
    }
}

/// Takes the certificate again when its files change, or when a SIGHUP asks for it.
async fn watch(tls: Arc<Tls>) {
    let mut asked: Option<Signal> = signal(SignalKind::hangup())
        .inspect_err(|error| tracing::warn!(%error, "SIGHUP cannot be heard"))
        .ok();
    loop {
        let always = tokio::select! {
            Some(()) = async { asked.as_mut()?.recv().await } => true,
            () = tokio::time::sleep(tls::LOOK_EVERY) => false,
        };
        let tls = Arc::clone(&tls);
        if let Err(error) = tokio::task::spawn_blocking(move || tls.look(always)).await {
            tracing::error!(%error, "looking at the TLS certificate has failed");
        }
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
