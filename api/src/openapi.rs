//! The document that describes the routes, made from the routes themselves.

use std::sync::LazyLock;

use axum::http::HeaderMap;
use axum::response::Response;
use utoipa::OpenApi;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{
    Flow, Http, HttpAuthScheme, OAuth2, Password, Scopes, SecurityScheme,
};
use utoipa::openapi::{Content, Ref, RefOr, ResponseBuilder};

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
    modifiers(&Schemes),
    security(("login" = []), ("bearer" = [])),
    tags(
        (name = "sources", description = "Cameras."),
        (name = "windows", description = "What they saw, window by window."),
        (name = "frames", description = "What producers send."),
        (name = "snapshots", description = "Pictures that were kept, with what was found in them."),
        (name = "headcounts", description = "How many animals lay and stood, by quarters of an hour: \
            from files, or as the cameras saw it."),
        (name = "accuracy", description = "How right detections were when they were compared with \
            labels, and what that makes of the share of lying animals."),
        (name = "prices", description = "Prices that web pages showed."),
        (name = "animov", description = "The routes of the original system, for its clients: flat \
            arrays that `pandas.DataFrame(response.json())` takes."),
        (name = "auth", description = "Logging in and out. An access token is short-lived; whether its \
            login goes on, and what its user may do, is asked of the tables."),
        (name = "audit", description = "That nothing was lost and nothing counted twice."),
        (name = "health", description = "How the process does; open to anybody."),
    ),
)]
struct Preamble;

struct Schemes;

impl utoipa::Modify for Schemes {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let mut bearer = Http::new(HttpAuthScheme::Bearer);
        bearer.description = Some(
            "An access token of /v1/auth/token, a producer's token, or the site's own.".to_owned(),
        );
        let login = Password::with_refresh_url("/v1/auth/token", Scopes::new(), "/v1/auth/token");
        let login = OAuth2::with_description(
            [Flow::Password(login)],
            "Name and password. Roles: viewer reads, operator also changes, ingest only appends \
             frames, admin does everything.",
        );
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        components.add_security_scheme("login", SecurityScheme::OAuth2(login));
    }
}

/// Adds to every guarded route the refusals that all of them have, where it does not
/// tell them in its own words.
fn refusals(document: &mut utoipa::openapi::OpenApi) {
    const ALL: [(&str, &str); 3] = [
        ("401", "The token is missing, wrong, or has expired."),
        ("403", "Not with this role, or the source is none of the user's."),
        ("429", "Too many wrong tokens came from this address; Retry-After says how long to wait."),
    ];
    let problem = || RefOr::Ref(Ref::from_schema_name("Problem"));
    for item in document.paths.paths.values_mut() {
        for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
            if is_open(operation) {
                continue;
            }
            for (status, description) in ALL {
                let content = Content::new(Some(problem()));
                let response = ResponseBuilder::new()
                    .description(description)
                    .content("application/problem+json", content)
                    .build();
                let told = &mut operation.responses.responses;
                told.entry(status.to_owned()).or_insert(RefOr::T(response));
            }
        }
    }
}

/// Whether a route asks for nothing, and takes nothing either.
fn is_open(operation: &Operation) -> bool {
    let none = utoipa::openapi::security::SecurityRequirement::default();
    operation.security.as_ref().is_some_and(|any| any.iter().all(|one| *one == none))
}

/// The document without its paths.
pub(crate) fn preamble() -> utoipa::openapi::OpenApi {
    Preamble::openapi()
}

static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let mut document = crate::documented().into_openapi();
    refusals(&mut document);
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
