//! The document that describes the routes, made from the routes themselves.

use std::sync::LazyLock;

use axum::http::HeaderMap;
use axum::response::Response;
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};

use crate::tagged;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "animov",
        description = "Exact windowed statistics of animals seen by cameras.\n\nTimes are RFC 3339 \
            in UTC. A window without frames has no row and is not listed: *no data* is a missing \
            window, *no animals* is a window whose `sum` is 0. `coverage` says how much of the \
            window was seen. While the tables are away, what was last answered to the same request is \
            answered again, with its age in seconds in the header `animov-stale`. Every refusal is \
            `application/problem+json` (RFC 9457).",
    ),
    modifiers(&Bearer),
    security(("token" = [])),
    tags(
        (name = "sources", description = "Cameras."),
        (name = "windows", description = "What they saw, window by window."),
        (name = "frames", description = "What producers send."),
        (name = "snapshots", description = "Pictures that were kept, with what was found in them."),
        (name = "headcounts", description = "How many animals lay and stood, by quarters of an hour: \
            from files, or as the cameras saw it."),
        (name = "prices", description = "Prices that web pages showed."),
        (name = "animov", description = "The routes of the original system, for its clients: flat \
            arrays that `pandas.DataFrame(response.json())` takes."),
        (name = "audit", description = "That nothing was lost and nothing counted twice."),
        (name = "health", description = "How the process does; open to anybody."),
    ),
)]
struct Preamble;

struct Bearer;

impl utoipa::Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let token = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document.components.get_or_insert_default().add_security_scheme("token", token);
    }
}

/// The document without its paths.
pub(crate) fn preamble() -> utoipa::openapi::OpenApi {
    Preamble::openapi()
}

static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let document = crate::documented().into_openapi();
    // The document is plain data with string keys: it has a text.
    document.to_pretty_json().unwrap_or_default() + "\n"
});

/// The OpenAPI 3.1 document of the routes, as JSON.
pub fn openapi_json() -> &'static str {
    &DOCUMENT
}

/// This document.
#[utoipa::path(
    get,
    path = "/v1/openapi.json",
    responses((status = 200, description = "The OpenAPI 3.1 document.", body = Object)),
    security(()),
    tag = "health",
)]
pub(crate) async fn read_openapi(headers: HeaderMap) -> Response {
    tagged::tagged(&headers, "application/json", openapi_json())
}
