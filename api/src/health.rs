//! Whether the process lives, whether it works, and its metrics. Open to anybody.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use prometheus::TextEncoder;
use schemas::commit::StateStore;
use schemas::log::Partition;
use schemas::source::SourceId;
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::state::Api;

/// Whether the process answers at all.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    #[schema(example = "alive")]
    status: &'static str,
}

/// Whether the process answers at all. A supervisor restarts one that does not.
#[utoipa::path(
    get,
    path = "/healthz",
    responses((status = 200, description = "The process answers.", body = Health)),
    security(()),
    tag = "health",
)]
pub(crate) async fn healthz() -> Json<Health> {
    Json(Health { status: "alive" })
}

/// Which parts work.
#[derive(Serialize, ToSchema)]
pub(crate) struct Ready {
    ready: bool,
    /// Each part by name: `ok`, or what is wrong with it.
    parts: BTreeMap<String, String>,
}

/// Whether the tables can be read, the log answers, and the rest of the process
/// does its work. A balancer sends no requests to one that is not ready.
#[utoipa::path(
    get,
    path = "/readyz",
    responses(
        (status = 200, description = "Every part works.", body = Ready),
        (status = 503, description = "A part does not work.", body = Ready),
    ),
    security(()),
    tag = "health",
)]
pub(crate) async fn readyz(State(api): State<Api>) -> Response {
    let first = SourceId::try_from(1).ok();
    let tables = async {
        match api.has_tables() {
            true => {
                let asked = move |store: &dyn StateStore| {
                    first.map_or(Ok(None), |source| store.source(source))
                };
                Some(api.read(asked).await)
            }
            false => None,
        }
    };
    let log = api.append(|log| log.bounds(Partition(0)));
    let (tables, log) = tokio::join!(tables, log);

    let mut parts: BTreeMap<String, Result<(), String>> =
        api.readiness().parts().into_iter().collect();
    // What exactly failed may name addresses; it stands in the process's own log.
    let hidden = |error: ApiError| error.log_and_hide("the tables cannot be read");
    if let Some(tables) = tables {
        parts.insert("tables".to_owned(), tables.map(|_| ()).map_err(hidden));
    }
    let log = log.map_err(|error| error.log_and_hide("the log does not answer"));
    parts.insert("log".to_owned(), log.map(|_| ()));

    let ready = parts.values().all(Result::is_ok);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let told = |state: Result<(), String>| state.err().unwrap_or_else(|| "ok".to_owned());
    let parts = parts.into_iter().map(|(name, state)| (name, told(state))).collect();
    (status, Json(Ready { ready, parts })).into_response()
}

/// The process's metrics, as Prometheus reads them.
#[utoipa::path(
    get,
    path = "/metrics",
    responses((status = 200, description = "Prometheus text format.", body = String,
               content_type = "text/plain; version=0.0.4")),
    security(()),
    tag = "health",
)]
pub(crate) async fn metrics(State(api): State<Api>) -> Response {
    match TextEncoder::new().encode_to_string(&api.registry().gather()) {
        Ok(text) => ([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
