//! Pages of other origins: none, but those that the configuration names.

use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
    VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::state::Api;

/// Whether a page of a named origin sends the request.
pub(crate) fn is_named(headers: &HeaderMap, origins: &[String]) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return false };
    origins.iter().any(|named| named.as_bytes() == origin.as_bytes())
}

/// Whether `text` is an origin as browsers write it.
pub(crate) fn is_origin(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else { return false };
    let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host()) else { return false };
    let port = uri.port_u16().map_or_else(String::new, |port| format!(":{port}"));
    ["http", "https"].contains(&scheme) && text == format!("{scheme}://{host}{port}").to_lowercase()
}

/// Tells browsers that pages of the named origins may ask, and hear the answer.
pub(crate) async fn cors(State(api): State<Api>, request: Request, next: Next) -> Response {
    let origins = &api.config().origins;
    if origins.is_empty() {
        return next.run(request).await;
    }
    let named = is_named(request.headers(), origins);
    let origin = request.headers().get(ORIGIN).filter(|_| named).cloned();
    let asks_first = request.method() == Method::OPTIONS
        && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match asks_first && named {
        true => {
            let mut response = StatusCode::NO_CONTENT.into_response();
            for (name, value) in [
                (ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, POST"),
                (ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type, if-none-match"),
                (ACCESS_CONTROL_MAX_AGE, "600"),
            ] {
                response.headers_mut().insert(name, HeaderValue::from_static(value));
            }
            response
        }
        false => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        const HEARD: HeaderValue =
            HeaderValue::from_static("animov-stale, etag, link, retry-after, www-authenticate");
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HEARD);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_do() {
        for origin in ["https://farm.example", "http://localhost:3000", "https://[::1]:8443"] {
            assert!(is_origin(origin), "{origin}");
        }
        for text in [
            "*",
            "null",
            "farm.example",
            "https://farm.example/",
            "https://Farm.example",
            "ftp://a",
        ] {
            assert!(!is_origin(text), "{text}");
        }
    }
}
