//! The page: a few files, built into the program, that need nothing else.

use axum::Router;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;

use crate::state::Api;
use crate::tagged::tagged;

const PAGE: &str = include_str!("../web/index.html");
const SCRIPT: &str = include_str!("../web/app.js");
const LOGIN: &str = include_str!("../web/login.js");
const CHART: &str = include_str!("../web/chart.js");
const WORDS: &str = include_str!("../web/words.js");
const STYLE: &str = include_str!("../web/style.css");
const ICON: &str = include_str!("../web/icon.svg");

const SCRIPT_TYPE: &str = "text/javascript; charset=utf-8";

/// Open to anybody: the page asks for the token itself.
pub(crate) fn routes() -> Router<Api> {
    Router::new()
        .route("/", get(page))
        .route("/app.js", get(script))
        .route("/chart.js", get(chart))
        .route("/login.js", get(login))
        .route("/words.js", get(words))
        .route("/style.css", get(style))
        .route("/icon.svg", get(icon))
}

async fn page(headers: HeaderMap) -> Response {
    tagged(&headers, "text/html; charset=utf-8", PAGE)
}

async fn script(headers: HeaderMap) -> Response {
    tagged(&headers, SCRIPT_TYPE, SCRIPT)
}

async fn chart(headers: HeaderMap) -> Response {
    tagged(&headers, SCRIPT_TYPE, CHART)
}

async fn login(headers: HeaderMap) -> Response {
    tagged(&headers, SCRIPT_TYPE, LOGIN)
}

async fn words(headers: HeaderMap) -> Response {
    tagged(&headers, SCRIPT_TYPE, WORDS)
}

async fn style(headers: HeaderMap) -> Response {
    tagged(&headers, "text/css; charset=utf-8", STYLE)
}

async fn icon(headers: HeaderMap) -> Response {
    tagged(&headers, "image/svg+xml", ICON)
}
