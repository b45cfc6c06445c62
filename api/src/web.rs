//! The page: a few files, built into the program, that need nothing else.

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::get;

use crate::state::Api;
use crate::tagged::tagged;

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

/// Where each is, of which type, and itself.
const FILES: [(&str, &str, &str); 16] = [
    ("/", HTML, include_str!("../web/index.html")),
    ("/app.js", SCRIPT, include_str!("../web/app.js")),
    ("/ask.js", SCRIPT, include_str!("../web/ask.js")),
    ("/chart.js", SCRIPT, include_str!("../web/chart.js")),
    ("/dom.js", SCRIPT, include_str!("../web/dom.js")),
    ("/headcounts.js", SCRIPT, include_str!("../web/headcounts.js")),
    ("/herd.js", SCRIPT, include_str!("../web/herd.js")),
    ("/login.js", SCRIPT, include_str!("../web/login.js")),
    ("/metrics.js", SCRIPT, include_str!("../web/metrics.js")),
    ("/pictures.js", SCRIPT, include_str!("../web/pictures.js")),
    ("/prices.js", SCRIPT, include_str!("../web/prices.js")),
    ("/state.js", SCRIPT, include_str!("../web/state.js")),
    ("/statistics.js", SCRIPT, include_str!("../web/statistics.js")),
    ("/words.js", SCRIPT, include_str!("../web/words.js")),
    ("/style.css", STYLE, include_str!("../web/style.css")),
    ("/icon.svg", PICTURE, include_str!("../web/icon.svg")),
];

/// Open to anybody: the page asks for the token itself.
pub(crate) fn routes() -> Router<Api> {
    FILES.into_iter().fold(Router::new(), |router, (path, kind, content)| {
        router.route(
            path,
            get(move |headers: HeaderMap| async move { tagged(&headers, kind, content) }),
        )
    })
}
