//! What every request passes before a handler sees it, and what is answered
//! where there is no handler.

use axum::extract::{Request, State};
use axum::http::header::{
    CONTENT_SECURITY_POLICY, HOST, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::auth;
use crate::error::ApiError;
use crate::state::Api;

/// The page may load its own files and ask this server, and nothing else. Pictures it
/// asks for with its token, which an address cannot carry, and shows what it got.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

/// Refuses, where nobody is asked for a token, a request for a name that is not ours: a
/// web page that points its own name at 127.0.0.1 (DNS rebinding) would
/// otherwise read everything.
pub(crate) async fn known_host(State(api): State<Api>, request: Request, next: Next) -> Response {
    if api.is_guarded() {
        return next.run(request).await;
    }
    let named = auth::host(request.uri(), request.headers());
    if named.is_some_and(|name| is_ours(&name, &api.config().hosts)) {
        return next.run(request).await;
    }
    let given = request.headers().get(HOST).map(|host| String::from_utf8_lossy(host.as_bytes()));
    let given = given.unwrap_or_default().chars().take(200).collect();
    ApiError::UnknownHost { given }.into_response()
}

fn is_ours(name: &Authority, hosts: &[String]) -> bool {
    let host = name.host();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
        || host.eq_ignore_ascii_case("localhost")
        || hosts.iter().any(|known| known.eq_ignore_ascii_case(host))
}

/// Bounds how many requests are answered at one time, and for how long each.
/// Whether the process lives can be asked at any time.
pub(crate) async fn in_time(State(api): State<Api>, request: Request, next: Next) -> Response {
    if request.uri().path() == "/healthz" {
        return next.run(request).await;
    }
    let Ok(_place) = api.requests().try_acquire() else {
        return ApiError::Busy.into_response();
    };
    let limit = api.config().request_timeout;
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::TooSlow { seconds: limit.as_secs() }.into_response(),
    }
}

/// Tells browsers to take every answer as what it says it is, and to let the
/// page do no more than it must.
pub(crate) async fn safe_headers(request: Request, next: Next) -> Response {
    const HEADERS: [(HeaderName, &str); 4] = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CONTENT_SECURITY_POLICY, PAGE_POLICY),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        // A handler may have had a reason for another one.
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

pub(crate) async fn no_such_path(uri: Uri) -> ApiError {
    ApiError::NoSuchPath(uri.path().chars().take(200).collect())
}

pub(crate) async fn method_not_allowed(method: Method) -> ApiError {
    ApiError::MethodNotAllowed(method.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_and_the_named_hosts_are_ours() {
        let hosts = ["Goats.example".to_owned()];
        let ours = |name: &str| is_ours(&name.parse().unwrap(), &hosts);
        for name in [
            "localhost",
            "LOCALHOST:8420",
            "127.0.0.1:1",
            "127.3.4.5",
            "[::1]:8420",
            "goats.example:8420",
        ] {
            assert!(ours(name), "{name}");
        }
        for name in [
            "evil.example",
            "localhost.evil.example",
            "192.168.1.2:8420",
            "[fe80::1]",
            "127.0.0.1.nip.io",
        ] {
            assert!(!ours(name), "{name}");
        }
    }
}
