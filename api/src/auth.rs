//! Who may ask, and for what.
//!
//! # Invariants
//!
//! - A [`Viewer`], [`Producer`] or [`Admin`] exists only for a request that was let
//!   in, so a handler without any of them in its signature is public at
//!   a glance. A test walks over all routes.
//! - With a token or keys configured, only a bearer gets one. Without, the server
//!   listens on loopback alone (see [`crate::config`]), and
//!   [`crate::guard::known_host`] has refused foreign names before.
//! - Who asks is found out once a request, by [`identify`], from the tables or from
//!   what they said a moment ago: what somebody may do is never taken from a token.
//! - Every handler that tells of sources asks [`Viewer::scope`] or [`Viewer::check`].

mod config;
mod crypto;
mod identity;
mod keys;
mod limit;
mod log;
mod login;
mod logins;
mod password;
mod secret;
mod token;

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::{HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri};
use schemas::source::SourceId;
use schemas::users::{LoginId, Scope, UserRole};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use config::{AuthConfig, KeyAlgorithm, KeyConfig};
pub use crypto::NoRandomness;
pub use identity::Peer;
pub(crate) use identity::{Known, identify};
pub use keys::{KeyFault, Keys, OLD_SECRET_ENV, SECRET_ENV};
pub(crate) use logins::Logins;
pub use password::{PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN, PasswordFault, hash_password};
pub use secret::new_ingest_token;
pub use token::{ApiToken, InvalidToken, TOKEN_ENV};

use crate::cors;
use crate::error::ApiError;
use crate::state::Api;

/// The users, for the routes.
#[derive(Clone)]
pub struct Users {
    pub store: Arc<dyn schemas::users::UserStore>,
    /// What signs access tokens; without it nobody can log in, and only the tokens of
    /// producers are known.
    pub keys: Option<Keys>,
}

/// Logging in and out, and what happened.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(login::give_token))
        .routes(routes!(login::revoke))
        .routes(routes!(login::tell_me))
        .routes(routes!(log::list_entries))
}

/// Somebody who was let in.
#[derive(Debug)]
pub(crate) struct Caller {
    /// The user's name, or that of a producer's token.
    pub(crate) name: Arc<str>,
    pub(crate) role: UserRole,
    pub(crate) scope: Scope,
    /// The login, if there was one.
    login: Option<LoginId>,
}

/// Proof that the request may read.
pub(crate) struct Viewer(Arc<Caller>);

impl Viewer {
    /// Whether the request may read of `source`.
    ///
    /// # Errors
    ///
    /// It is not one of the user's sources: the answer is the same whether there is
    /// such a source or not.
    pub(crate) fn check(&self, source: SourceId) -> Result<(), ApiError> {
        check(&self.0, source)
    }

    /// Of which sources to tell, if `asked` is the one that was asked for.
    ///
    /// # Errors
    ///
    /// It is not one of the user's sources.
    pub(crate) fn scope(&self, asked: Option<SourceId>) -> Result<Scope, ApiError> {
        let Some(asked) = asked else { return Ok(self.0.scope.clone()) };
        self.check(asked)?;
        Ok(Scope::Only([asked].into()))
    }

    /// Whether the request may read what cannot be told apart by source.
    ///
    /// # Errors
    ///
    /// The user has a list of sources.
    pub(crate) fn sees_all(&self) -> Result<(), ApiError> {
        match self.0.scope {
            Scope::All => Ok(()),
            Scope::Only(_) => Err(ApiError::NeedsAllSources),
        }
    }
}

/// Proof that the request may append frames, and that no foreign web page had a
/// browser send it.
pub(crate) struct Producer(Arc<Caller>);

impl Producer {
    /// Whether the request may append frames of each of `sources`.
    ///
    /// # Errors
    ///
    /// One of them is not the caller's.
    pub(crate) fn check(&self, sources: impl Iterator<Item = SourceId>) -> Result<(), ApiError> {
        for source in sources {
            check(&self.0, source)?;
        }
        Ok(())
    }
}

/// Proof that the request may do what only an admin may.
pub(crate) struct Admin(());

fn check(caller: &Caller, source: SourceId) -> Result<(), ApiError> {
    match caller.scope.admits(source) {
        true => Ok(()),
        false => Err(ApiError::NotYourSource(source)),
    }
}

fn allowed(
    parts: &Parts,
    may: fn(UserRole) -> bool,
    what: &'static str,
) -> Result<Arc<Caller>, ApiError> {
    let caller = identity::of(parts)?;
    match may(caller.role) {
        true => Ok(caller),
        false => Err(ApiError::Forbidden { role: caller.role, what }),
    }
}

impl FromRequestParts<Api> for Viewer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Viewer, ApiError> {
        allowed(parts, UserRole::reads, "read").map(Viewer)
    }
}

impl FromRequestParts<Api> for Producer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Producer, ApiError> {
        let caller = allowed(parts, UserRole::appends, "append frames")?;
        not_from_a_foreign_page(&parts.uri, &parts.headers, api)?;
        Ok(Producer(caller))
    }
}

impl FromRequestParts<Api> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Admin, ApiError> {
        let is_admin = |role| role == UserRole::Admin;
        allowed(parts, is_admin, "read the log of logins and changes").map(|_| Admin(()))
    }
}

/// # Errors
///
/// A browser says that a page of an origin which is not configured made the
/// request.
fn not_from_a_foreign_page(uri: &Uri, headers: &HeaderMap, api: &Api) -> Result<(), ApiError> {
    let named = cors::is_named(headers, &api.config().origins);
    match from_a_foreign_page(uri, headers) && !named {
        true => Err(ApiError::ForeignPage),
        false => Ok(()),
    }
}

/// Whether a browser says that a page of another origin made the request. Other
/// programs send none of these headers.
fn from_a_foreign_page(uri: &Uri, headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
    // `same-site` is foreign too: every port of localhost is the same site.
    if !matches!(site, None | Some(b"same-origin" | b"none")) {
        return true;
    }
    let Some(origin) = headers.get(ORIGIN) else { return false };
    let origin: Option<Uri> = origin.to_str().ok().and_then(|text| text.parse().ok());
    let origin = origin.as_ref().and_then(Uri::authority);
    // Scheme aside: a proxy may have taken TLS off.
    origin.is_none() || origin != host(uri, headers).as_ref()
}

/// The name that a request is for: of its own line, as HTTP/2 has it, or else of the
/// `Host` header.
pub(crate) fn host(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    let of_header = || headers.get(HOST)?.to_str().ok()?.parse().ok();
    uri.authority().cloned().or_else(of_header)
}
