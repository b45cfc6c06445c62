//! A person at the page: the program's own page in a real browser, and a script beside
//! it that does what a person would.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::oneshot;
use tower::ServiceExt;

use crate::support::browser::{Browser, View};
use crate::world::World;

const BUDGET: Duration = Duration::from_secs(12);

/// What scripts begin with: an element by its id, and waiting for something.
pub(crate) const HELPERS: &str = "
    const $ = (id) => document.getElementById(id);
    const until = async (is) => { while (!is()) await new Promise((go) => setTimeout(go, 50)); };
";

/// What the page at `#view` has become after somebody did what `script` says.
pub(crate) fn shown_after(browser: &Browser, world: &World, view: &str, script: String) -> String {
    let inner = api::router(world.parts(), &world.config, None).unwrap();
    let typed = move || async move {
        ([(CONTENT_TYPE, "text/javascript; charset=utf-8")], script).into_response()
    };
    let page = inner.clone();
    let routes = Router::new()
        .route("/", get(move |request| with_script(page, request)))
        .route("/typed.js", get(typed))
        .fallback_service(inner);
    let (told, address) = std::sync::mpsc::sync_channel(1);
    let (stop, stopped) = oneshot::channel::<()>();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            told.send(listener.local_addr().unwrap()).unwrap();
            tokio::select! {
                served = axum::serve(listener, routes) => served.unwrap(),
                _ = stopped => {}
            }
        });
        runtime.shutdown_background();
    });
    let url = format!("http://{}/#{view}", address.recv().unwrap());
    let shown = browser.document(&url, &View::default(), BUDGET);
    drop(stop);
    thread.join().unwrap();
    shown
}

/// The page as it is served, under the policy that it is served with, and the script.
async fn with_script(page: Router, request: Request) -> Response {
    let (mut head, body) = page.oneshot(request).await.unwrap().into_parts();
    let page = String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap();
    let script = r#"<script type="module" src="/typed.js"></script></head>"#;
    head.headers.remove(CONTENT_LENGTH);
    Response::from_parts(head, Body::from(page.replace("</head>", script)))
}
