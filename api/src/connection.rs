//! One connection, from its first byte to its last: the only place that knows hyper.
//!
//! # Invariants
//!
//! - A connection on which nothing is asked, and nothing of an answer is taken, for
//!   `header_timeout` is closed, whichever version of HTTP it speaks.
//! - Streams, headers and windows of HTTP/2 are bounded, so a connection costs at most
//!   a few megabytes.

mod patience;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::Watcher;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::auth::Peer;
use patience::{Pieces, Taken};

/// Requests at one time on a connection of HTTP/2.
const STREAMS_MAX: u32 = 32;

/// Bytes of a request's headers on a connection of HTTP/2.
const HEADERS_BYTES_MAX: u32 = 64 << 10;

/// Speaks HTTP/1.1.
pub(crate) async fn http1(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    routes: Addressed,
    watcher: Watcher,
    timeout: Duration,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(timeout);
    let stream = TokioIo::new(Taken::within(timeout, stream));
    let connection = http.serve_connection(stream, routes);
    told(watcher.watch(connection).await);
}

/// Speaks HTTP/2.
pub(crate) async fn http2(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    routes: Addressed,
    watcher: Watcher,
    timeout: Duration,
) {
    let busy = Arc::clone(&routes.busy);
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADERS_BYTES_MAX)
        .initial_connection_window_size(1 << 20)
        .initial_stream_window_size(256 << 10)
        .keep_alive_interval(timeout)
        .keep_alive_timeout(timeout);
    let stream = TokioIo::new(Taken::within(timeout, stream));
    let connection = http.serve_connection(stream, routes);
    let mut connection = std::pin::pin!(watcher.watch(connection));
    loop {
        tokio::select! {
            ended = &mut connection => return told(ended),
            () = tokio::time::sleep(timeout / 2) => {
                if busy.is_idle_for(timeout) {
                    return;
                }
            }
        }
    }
}

fn told(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended early");
    }
}

/// The routes for one connection: each request knows where it is from.
#[derive(Clone)]
pub(crate) struct Addressed {
    from: Peer,
    routes: TowerToHyperService<Router>,
    busy: Arc<Busy>,
}

impl Addressed {
    pub(crate) fn new(from: Peer, routes: Router) -> Addressed {
        Addressed { from, routes: TowerToHyperService::new(routes), busy: Arc::default() }
    }
}

type Routes = TowerToHyperService<Router>;

type Failed = <Routes as Service<Request<Incoming>>>::Error;

impl Service<Request<Incoming>> for Addressed {
    type Response = Response<Pieces>;
    type Error = Failed;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Pieces>, Failed>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.from);
        let answer = self.routes.call(request);
        let (asked, busy) = (Asked::on(&self.busy), Arc::clone(&self.busy));
        Box::pin(async move {
            let answer = answer.await;
            drop(asked);
            Ok(answer?.map(|body| Pieces::of(body, busy)))
        })
    }
}

/// How many requests a connection answers, and since when it answers none and gives nothing out.
struct Busy(Mutex<(u32, Instant)>);

impl Default for Busy {
    fn default() -> Busy {
        Busy(Mutex::new((0, Instant::now())))
    }
}

impl Busy {
    fn is_idle_for(&self, timeout: Duration) -> bool {
        let (requests, since) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        requests == 0 && timeout <= since.elapsed()
    }

    /// Somebody has taken something of an answer.
    fn moves(&self) {
        self.change(|requests| requests);
    }

    fn change(&self, by: impl FnOnce(u32) -> u32) {
        let mut busy = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *busy = (by(busy.0), Instant::now());
    }
}

/// Counts a request for as long as it lives: a client that goes away drops it.
struct Asked(Arc<Busy>);

impl Asked {
    fn on(busy: &Arc<Busy>) -> Asked {
        busy.change(|requests| requests.saturating_add(1));
        Asked(Arc::clone(busy))
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.change(|requests| requests.saturating_sub(1));
    }
}
