//! What the API counts of itself.
//!
//! Labels are a route's pattern, a method and a status, never a path: their
//! number is bounded whatever clients ask for.

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};
use tokio::time::Instant;

use crate::state::Api;

pub(crate) struct Metrics {
    pub(crate) logins: IntCounterVec,
    requests: IntCounterVec,
    seconds: HistogramVec,
    in_flight: IntGauge,
    /// Frames that the log took from requests.
    pub frames_appended: IntCounter,
}

/// From a 304 out of memory to a request that timed out, seconds.
const BUCKETS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

impl Metrics {
    pub(crate) fn registered(registry: &Registry) -> Result<Metrics, prometheus::Error> {
        let metrics = Metrics {
            requests: IntCounterVec::new(
                Opts::new("animov_api_requests_total", "Requests answered."),
                &["route", "method", "status"],
            )?,
            seconds: HistogramVec::new(
                HistogramOpts::new(
                    "animov_api_request_duration_seconds",
                    "From a request's header to its answer's.",
                )
                .buckets(BUCKETS.to_vec()),
                &["route", "method"],
            )?,
            in_flight: IntGauge::new(
                "animov_api_requests_in_flight",
                "Requests that are being answered.",
            )?,
            logins: IntCounterVec::new(
                Opts::new("animov_api_logins_total", "Logins with a password, by outcome."),
                &["outcome"],
            )?,
            frames_appended: IntCounter::new(
                "animov_api_frames_appended_total",
                "Frames that the log took from requests.",
            )?,
        };
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.seconds.clone()))?;
        registry.register(Box::new(metrics.in_flight.clone()))?;
        registry.register(Box::new(metrics.logins.clone()))?;
        registry.register(Box::new(metrics.frames_appended.clone()))?;
        Ok(metrics)
    }
}

/// Counts a request that is being answered for as long as it lives: a client
/// that goes away drops the request wherever it is.
struct InFlight<'a>(&'a IntGauge);

impl<'a> InFlight<'a> {
    fn begin(gauge: &'a IntGauge) -> InFlight<'a> {
        gauge.inc();
        InFlight(gauge)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Counts and times every request.
pub(crate) async fn observe(State(api): State<Api>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    let method = label(request.method());
    let metrics = api.metrics();
    let in_flight = InFlight::begin(&metrics.in_flight);
    let begun = Instant::now();

    let response = next.run(request).await;

    let taken = begun.elapsed().as_secs_f64();
    drop(in_flight);
    let status = response.status();
    metrics.seconds.with_label_values(&[route, method]).observe(taken);
    metrics.requests.with_label_values(&[route, method, status.as_str()]).inc();
    tracing::debug!(route, method, status = status.as_u16(), seconds = taken, "request answered");
    response
}

/// A client may invent methods; the label may not grow with them.
fn label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        _ => "other",
    }
}
