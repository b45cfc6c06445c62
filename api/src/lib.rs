#![doc = include_str!("../README.md")]

mod accuracy;
mod album;
mod animov;
mod audit;
mod auth;
mod body;
mod config;
mod connection;
mod cors;
mod docs;
mod error;
mod frames;
mod guard;
mod headcounts;
mod health;
mod herd;
mod imported_minutes;
mod lying_share;
mod metrics;
mod openapi;
mod page;
mod params;
mod prices;
mod refusals;
mod rhythm;
mod server;
mod snapshots;
mod sources;
mod stale;
mod state;
mod tagged;
mod tls;
mod together;
mod web;
mod windows;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use crate::auth::{
    ApiToken, AuthConfig, InvalidToken, KeyAlgorithm, KeyConfig, KeyFault, Keys, NoRandomness,
    OLD_SECRET_ENV, PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN, PasswordFault, Peer, SECRET_ENV,
    TOKEN_ENV, Users, hash_password, new_ingest_token,
};
pub use crate::config::{ApiConfig, ConfigFault, TlsConfig};
pub use crate::openapi::openapi_json;
pub use crate::server::{Server, StartError};
pub use crate::state::{Parts, Readiness, Site};
pub use crate::tls::TlsFault;

use crate::state::Api;

/// Every route over `parts`, ready to be served.
///
/// [`Server`] is what a program wants: it also refuses an open address without
/// a token or keys and bounds the connections. Without a `token` and without the keys
/// of `parts.users` the routes answer only requests whose `Host` is this machine, or one
/// of `config.hosts`.
///
/// # Errors
///
/// `parts.registry` already has the API's metrics: two routers need two.
pub fn router(
    parts: Parts,
    config: &ApiConfig,
    token: Option<ApiToken>,
) -> Result<Router, StartError> {
    let api = Api::new(parts, config, token).map_err(StartError::Metrics)?;
    let (routes, _) = match api.has_tables() {
        true => documented().split_for_parts(),
        false => health().split_for_parts(),
    };
    let pages = if api.has_tables() { web::routes().merge(docs::routes()) } else { Router::new() };
    // The last layer sees a request first.
    Ok(routes
        .merge(pages)
        .fallback(guard::no_such_path)
        .method_not_allowed_fallback(guard::method_not_allowed)
        .layer(DefaultBodyLimit::max(config.body_bytes_max.get()))
        .layer(from_fn_with_state(api.clone(), stale::bridge))
        .layer(from_fn_with_state(api.clone(), auth::identify))
        .layer(from_fn_with_state(api.clone(), guard::in_time))
        .layer(from_fn_with_state(api.clone(), guard::known_host))
        .layer(from_fn(guard::safe_headers))
        .layer(from_fn_with_state(api.clone(), cors::cors))
        .layer(from_fn_with_state(api.clone(), metrics::observe))
        .with_state(api))
}

/// The routes that the OpenAPI document describes.
fn documented() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(openapi::preamble())
        .routes(routes!(sources::list_sources))
        .routes(routes!(windows::list_windows))
        .routes(routes!(herd::list_herd))
        .routes(routes!(rhythm::read_rhythm))
        .routes(routes!(frames::append_frames))
        .routes(routes!(audit::read_audit))
        .routes(routes!(audit::list_parked))
        .routes(routes!(sources::read_site))
        .routes(routes!(snapshots::list_snapshots))
        .routes(routes!(snapshots::nth_snapshot))
        .routes(routes!(snapshots::read_snapshot))
        .routes(routes!(snapshots::show_snapshot))
        .routes(routes!(imported_minutes::list_imported_minutes))
        .routes(routes!(prices::list_prices))
        .routes(routes!(accuracy::list_accuracy))
        .routes(routes!(lying_share::list_lying_shares))
        .routes(routes!(openapi::read_openapi))
        .merge(auth::routes())
        .merge(headcounts::routes())
        .merge(animov::routes())
        .merge(health())
}

/// Whether the process lives and works: what every process answers.
fn health() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
}
