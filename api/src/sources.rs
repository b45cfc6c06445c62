//! Cameras, and the farm they stand on.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use schemas::commit::SourceSummary;
use schemas::source::SourceId;
use schemas::time::UnixMillis;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Viewer;
use crate::error::{ApiError, Problem};
use crate::params::Params;
use crate::refusals::Unchanged;
use crate::state::Api;
use crate::tagged;

/// Every source from which a frame was counted.
#[derive(Serialize, ToSchema)]
pub(crate) struct Sources {
    items: Vec<Source>,
}

/// One camera.
#[derive(Serialize, ToSchema)]
pub(crate) struct Source {
    #[schema(example = 1)]
    source: i32,
    /// What people call it; null if nobody gave it a name.
    #[schema(example = "North pen")]
    name: Option<String>,
    /// Grows with each change of the source or any of its windows.
    rev: u64,
    /// The metrics that have rows.
    #[schema(value_type = Vec<String>, example = json!(["lying", "standing", "total"]))]
    metrics: Vec<Arc<str>>,
    /// How far its event time has surely come: earlier windows change only by
    /// late frames.
    #[schema(example = "2026-03-01T12:00:30Z")]
    watermark: String,
    /// When its newest picture was captured, by the camera's clock.
    #[schema(example = "2026-03-01T12:01:00Z")]
    last_captured_at: String,
    /// When its newest frame reached the log, by the log's clock.
    #[schema(example = "2026-03-01T12:01:01Z")]
    last_appended_at: String,
    /// Frames counted, over all time.
    frames_accepted: u64,
    /// Since when nothing came, once that is longer than the configured time;
    /// null while frames come.
    silent_since: Option<String>,
}

/// Lists the sources that have data, by number.
#[utoipa::path(
    get,
    path = "/v1/sources",
    responses(
        (status = 200, description = "The sources, under an ETag.", body = Sources),
        Unchanged,
        (status = 401, body = Problem, content_type = "application/problem+json",
         description = "The token is missing or wrong."),
        (status = 503, body = Problem, content_type = "application/problem+json",
         description = "The tables are away."),
    ),
    tag = "sources",
)]
pub(crate) async fn list_sources(
    viewer: Viewer,
    State(api): State<Api>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    params.end()?;
    let known = api.read(|store| store.sources()).await?;
    let now = api.clock().now();
    let scope = viewer.scope(None)?;
    let known = known.into_iter().filter(|known| scope.admits(known.state.source));
    let items = known.map(|summary| told(&api, summary, now)).collect();
    Ok(tagged::json(&headers, &Sources { items }))
}

fn told(api: &Api, SourceSummary { state, metrics }: SourceSummary, now: UnixMillis) -> Source {
    let silent = api.config().silent_after < now.since(state.last_appended_at);
    Source {
        source: state.source.get(),
        name: api.site().names.get(&state.source).cloned(),
        rev: state.rev,
        metrics,
        watermark: state.watermark.to_string(),
        last_captured_at: state.last_captured_at.to_string(),
        last_appended_at: state.last_appended_at.to_string(),
        frames_accepted: state.accepted,
        silent_since: silent.then(|| state.last_appended_at.to_string()),
    }
}

/// Whether `metric` is one that `source` has rows of; the names it has, if not.
pub(crate) async fn check_metric(
    api: &Api,
    source: SourceId,
    metric: &Arc<str>,
) -> Result<(), ApiError> {
    let known = api.read(|store| store.sources()).await?;
    let metrics = known.into_iter().find(|known| known.state.source == source);
    let metrics = metrics.map(|known| known.metrics).unwrap_or_default();
    if metrics.contains(metric) {
        return Ok(());
    }
    let expected = format!("source {source} has {}", metrics.join(", "));
    Err(crate::params::bad("metric", metric, expected))
}

/// What a page needs to know to show times.
#[derive(Serialize, ToSchema)]
pub(crate) struct SiteInfo {
    /// IANA zone of the civil days, and of the times that people read.
    #[schema(example = "Europe/Paris")]
    zone: String,
    /// Version of the program.
    #[schema(example = "0.1.0")]
    version: &'static str,
}

/// Tells the site's time zone and the program's version.
#[utoipa::path(
    get,
    path = "/v1/site",
    responses(
        (status = 200, description = "The site.", body = SiteInfo),
        (status = 401, body = Problem, content_type = "application/problem+json",
         description = "The token is missing or wrong."),
    ),
    tag = "sources",
)]
pub(crate) async fn read_site(
    _viewer: Viewer,
    State(api): State<Api>,
    headers: HeaderMap,
) -> Response {
    let zone = api.site().calendar.zone_name().to_owned();
    tagged::json(&headers, &SiteInfo { zone, version: env!("CARGO_PKG_VERSION") })
}
