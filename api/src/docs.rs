//! The routes for people: Swagger UI over the OpenAPI document, built into the
//! program. Open to anybody, as the document is; to try a route out, its token is
//! asked for there.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::Path;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderValue, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use utoipa_swagger_ui::{Config, serve};

use crate::error::ApiError;
use crate::state::Api;

/// As the page's, but Swagger UI lays itself out by inline styles, and its icons are
/// in its own files.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'",
);

static SETTINGS: LazyLock<Arc<Config<'static>>> =
    LazyLock::new(|| Arc::new(Config::from("/v1/openapi.json").try_it_out_enabled(true)));

pub(crate) fn routes() -> Router<Api> {
    Router::new()
        .route("/docs", get(async || Redirect::permanent("/docs/")))
        .route("/docs/", get(async |uri: Uri| file("index.html", &uri)))
        .route("/docs/{*file}", get(async |Path(name): Path<String>, uri: Uri| file(&name, &uri)))
}

fn file(name: &str, uri: &Uri) -> Response {
    match serve(name, Arc::clone(&SETTINGS)) {
        Ok(Some(file)) => {
            let headers = [(CONTENT_TYPE, file.content_type)];
            let mut response = (headers, file.bytes.into_owned()).into_response();
            response.headers_mut().insert(CONTENT_SECURITY_POLICY, POLICY);
            response
        }
        Ok(None) => ApiError::NoSuchPath(uri.path().chars().take(200).collect()).into_response(),
        Err(error) => {
            tracing::error!(error, "a file of the documentation could not be made");
            ApiError::NoSuchPath(uri.path().chars().take(200).collect()).into_response()
        }
    }
}
