//! Logging in on the page, in a real browser. The page is the program's own, and a
//! script beside it types what a person would.

use std::time::Duration;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use tokio::sync::oneshot;

use crate::support::browser::{Browser, View};
use crate::world::{PASSWORD, World};

const BUDGET: Duration = Duration::from_secs(12);

const CARD: &str = r#"<article class="card" aria-labelledby"#;

/// What the page has become after somebody did what `script` says.
fn shown_after(browser: &Browser, world: &World, script: String) -> String {
    let inner = api::router(world.parts(), &world.config, None).unwrap();
    let page = include_str!("../../web/index.html")
        .replace("</head>", r#"<script type="module" src="/typed.js"></script></head>"#);
    let typed = move || async move {
        ([(CONTENT_TYPE, "text/javascript; charset=utf-8")], script).into_response()
    };
    let routes = Router::new()
        .route("/", get(move || async move { Html(page) }))
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
    let url = format!("http://{}/", address.recv().unwrap());
    let shown = browser.document(&url, &View::default(), BUDGET);
    drop(stop);
    thread.join().unwrap();
    shown
}

/// Types name and password once the page asks, and then goes on with `then`.
fn typed(name: &str, password: &str, then: &str) -> String {
    format!(
        r#"
        const $ = (id) => document.getElementById(id);
        const until = async (is) => {{ while (!is()) await new Promise((go) => setTimeout(go, 50)); }};
        await until(() => $("ask").open);
        $("name").value = "{name}";
        $("token").value = "{password}";
        $("ask-form").requestSubmit();
        {then}
        "#
    )
}

#[test]
fn name_and_password_open_the_page() {
    let Some(browser) = Browser::find() else { return };
    let world = World::with_people();
    let shown = shown_after(&browser, &world, typed("vera", PASSWORD, ""));
    assert_eq!(shown.matches(CARD).count(), 3, "{shown}");
    assert!(!shown.contains(r#"aria-labelledby="ask-title" open"#), "{shown}");
    assert!(shown.contains("Log out"), "{shown}");
    // Who may see one source sees one.
    let shown = shown_after(&browser, &world, typed("vic", PASSWORD, ""));
    assert_eq!(shown.matches(CARD).count(), 1, "{shown}");
}

#[test]
fn a_wrong_password_is_told_and_opens_nothing() {
    let Some(browser) = Browser::find() else { return };
    let shown = shown_after(&browser, &World::with_people(), typed("vera", "wrong horse", ""));
    assert!(shown.contains(r#"aria-labelledby="ask-title" open"#), "{shown}");
    assert!(shown.contains("That is not right, or no longer."), "{shown}");
    assert!(!shown.contains(CARD) && !shown.contains("wrong horse"), "{shown}");
}

#[test]
fn the_page_refreshes_its_token_by_itself() {
    let Some(browser) = Browser::find() else { return };
    let then = r#"
        await until(() => document.querySelector("article"));
        sessionStorage.setItem("animov-token", "expired.long.ago");
        await until(() => sessionStorage.getItem("animov-token") !== "expired.long.ago");
        await until(() => document.getElementById("link").dataset.state === "live");
        document.title = `renewed, ${$("ask").open ? "asked" : "and nobody was asked"}`;
    "#;
    let shown = shown_after(&browser, &World::with_people(), typed("vera", PASSWORD, then));
    assert!(shown.contains("<title>renewed, and nobody was asked</title>"), "{shown}");
    assert_eq!(shown.matches(CARD).count(), 3, "{shown}");
}

#[test]
fn logging_out_ends_the_login_and_leaves_nothing_to_see() {
    let Some(browser) = Browser::find() else { return };
    let world = World::with_people();
    let then = r#"
        await until(() => document.querySelector("article"));
        $("leave").click();
        await until(() => $("ask").open);
        document.title = `${sessionStorage.length} kept`;
    "#;
    let shown = shown_after(&browser, &world, typed("vera", PASSWORD, then));
    assert!(shown.contains("<title>0 kept</title>"), "{shown}");
    assert!(!shown.contains(CARD), "{shown}");
    assert!(world.people.kept().logins.is_empty(), "the server knows it too");
}
