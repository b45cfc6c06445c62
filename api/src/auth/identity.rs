//! Who sends a request: found out before any handler sees it.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::Response;
use schemas::users::{Scope, UserRole};

use super::keys::TokenFault;
use super::{Caller, secret};
use crate::error::ApiError;
use crate::state::Api;

/// The address that a request's connection is from; goes with the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// Of which sources the request may be told; goes with the request, for whoever
/// keeps answers.
#[derive(Clone)]
pub(crate) struct Known(pub(crate) Scope);

/// Who sends a request, or why that is not known.
#[derive(Clone)]
enum Identity {
    Caller(Arc<Caller>),
    Refused(Refusal),
}

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// It presents nothing.
    Nothing,
    /// What it presents is not known, or no longer.
    Wrong,
    /// Its time is over: the client may refresh it.
    Expired,
    /// Too much was wrong that came from there; seconds.
    TooOften(u64),
    /// The tables that know are away.
    Away,
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> ApiError {
        match refusal {
            Refusal::Nothing => ApiError::Unauthenticated { presented: false },
            Refusal::Wrong => ApiError::Unauthenticated { presented: true },
            Refusal::Expired => ApiError::TokenExpired,
            Refusal::TooOften(seconds) => ApiError::TooManyTries { seconds },
            Refusal::Away => ApiError::UsersAway,
        }
    }
}

/// Finds out who sends the request; whether that is enough is for the handler.
pub(crate) async fn identify(State(api): State<Api>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let identity = match is_open(&parts.method, parts.uri.path()) {
        true => Identity::Refused(Refusal::Nothing),
        false => match who(&api, &parts).await {
            Ok(caller) => Identity::Caller(caller),
            Err(refusal) => Identity::Refused(refusal),
        },
    };
    if let Identity::Caller(caller) = &identity {
        parts.extensions.insert(Known(caller.scope.clone()));
    }
    parts.extensions.insert(identity);
    next.run(Request::from_parts(parts, body)).await
}

/// What asks nobody who he is, so that it works while the tables are away. A route
/// that is missing here only asks for nothing.
fn is_open(method: &Method, path: &str) -> bool {
    let page = !path.starts_with("/v1/") && path.contains('.');
    method == Method::GET
        && (page
            || ["/", "/healthz", "/readyz", "/metrics"].contains(&path)
            || path.starts_with("/docs"))
}

/// The caller of a request that [`identify`] has seen.
pub(super) fn of(parts: &Parts) -> Result<Arc<Caller>, ApiError> {
    match parts.extensions.get::<Identity>() {
        Some(Identity::Caller(caller)) => Ok(Arc::clone(caller)),
        Some(Identity::Refused(refusal)) => Err((*refusal).into()),
        None => Err(Refusal::Nothing.into()),
    }
}

async fn who(api: &Api, parts: &Parts) -> Result<Arc<Caller>, Refusal> {
    if !api.is_guarded() {
        return Ok(everybody("anybody"));
    }
    let presented = bearer(&parts.headers).ok_or(Refusal::Nothing)?;
    if let Some(digest) = secret::ingest_digest(presented) {
        return match api.logins().producer(api, digest).await {
            Ok(found) => found.ok_or(Refusal::Wrong),
            Err(error) => Err(away(error)),
        };
    }
    if let Some(keys) = api.keys()
        // A JWT's first part is an object of JSON; a site's own token may have dots, too.
        && presented.starts_with("eyJ")
        && presented.split('.').count() == 3
    {
        let claims = match keys.check(presented, api.clock().now()) {
            Ok(claims) => claims,
            Err(TokenFault::Expired) => return Err(Refusal::Expired),
            Err(TokenFault::Foreign) => return Err(Refusal::Wrong),
        };
        return match api.logins().user(api, &claims).await {
            Ok(found) => found.ok_or(Refusal::Wrong),
            Err(error) => Err(away(error)),
        };
    }
    let Some(token) = api.token() else { return Err(Refusal::Wrong) };
    let from = address(api, &parts.headers, parts.extensions.get());
    let admitted = || token.admits(presented);
    match api.logins().guess(from, admitted) {
        Ok(true) => Ok(everybody("token")),
        Ok(false) => Err(Refusal::Wrong),
        Err(wait) => Err(Refusal::TooOften(wait.as_secs().max(1))),
    }
}

/// Logged here, because the client is told no more than that.
fn away(error: ApiError) -> Refusal {
    _ = error.log_and_hide("the users' tables");
    Refusal::Away
}

fn everybody(name: &str) -> Arc<Caller> {
    let (role, scope) = (UserRole::Admin, Scope::All);
    Arc::new(Caller { name: name.into(), role, scope, login: None })
}

/// The address that a request is from: where a proxy of ours sent it, what that
/// says of it.
pub(super) fn address(api: &Api, headers: &HeaderMap, peer: Option<&Peer>) -> Option<IpAddr> {
    let Peer(peer) = peer?;
    if !api.config().auth.proxies.contains(&peer.to_canonical()) {
        return Some(peer.to_canonical());
    }
    // The last proxy writes last; what stands before may be made up.
    let forwarded = headers.get_all("x-forwarded-for").iter().next_back();
    let last =
        forwarded.and_then(|list| list.to_str().ok()?.rsplit(',').next()?.trim().parse().ok());
    Some(last.unwrap_or(*peer).to_canonical())
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
