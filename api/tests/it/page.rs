//! The page, in a real browser.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use api::{ApiConfig, ApiToken, Parts, Server, Site};
use schemas::metric::Postures;
use schemas::time::{Clock, SystemClock};
use schemas::window::Calendar;
use tokio::sync::oneshot;

use crate::support::album::BlindPictures;
use crate::support::browser::{Browser, View};
use crate::support::herd;
use crate::support::memory::{MemoryLog, MemoryStore};
use crate::world::TOKEN;

/// Of the page's own time.
const BUDGET: Duration = Duration::from_secs(4);

/// How a card begins that is shown; the template's has no label yet.
const CARD: &str = r#"<article class="card" aria-labelledby"#;

/// A herd's API on a thread of its own, for as long as this lives.
struct Farm {
    store: Arc<MemoryStore>,
    url: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Farm {
    fn open(filled: bool, token: Option<ApiToken>) -> Farm {
        let store = Arc::new(MemoryStore::default());
        let calendar = Calendar::in_zone("Asia/Kathmandu").unwrap();
        if filled {
            herd::fill(&store, &calendar, SystemClock.now(), 1);
        }
        let name = "<b>North & pen</b>".to_owned();
        let parts = Parts {
            store: Some(Arc::<MemoryStore>::clone(&store)),
            imported: None,
            accuracy: None,
            snapshots: None,
            pictures: Arc::new(BlindPictures),
            users: None,
            log: Arc::new(MemoryLog::default()),
            clock: Arc::new(SystemClock),
            site: Site {
                calendar,
                names: BTreeMap::from([(herd::source(1), name)]),
                postures: Postures::default(),
            },
            readiness: Arc::new(Vec::new),
            registry: prometheus::Registry::new(),
        };
        let config = ApiConfig { bind: "127.0.0.1:0".parse().unwrap(), ..ApiConfig::default() };
        let (told, address) = std::sync::mpsc::sync_channel(1);
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let server = Server::bind(config, token, parts).await.unwrap();
                told.send(server.address()).unwrap();
                server.serve(async { _ = stopped.await }).await;
            });
        });
        let url = format!("http://{}/", address.recv().unwrap());
        Farm { store, url, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Farm {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

#[test]
fn the_page_shows_each_source_its_figures_and_its_holes() {
    let Some(browser) = Browser::find() else { return };
    let farm = Farm::open(true, None);
    let shown = browser.document(&farm.url, &View::default(), BUDGET);

    assert_eq!(shown.matches(CARD).count(), 3, "{shown}");
    assert!(shown.contains(r#"data-state="live""#), "{shown}");
    for text in
        ["Lying", "Standing", "Total", "receiving", "silent since", "Asia/Kathmandu", "Source 7"]
    {
        assert!(shown.contains(text), "{text} is missing: {shown}");
    }
    // A name is text and never markup.
    assert!(shown.contains("&lt;b&gt;North &amp; pen&lt;/b&gt;"), "{shown}");
    // The second camera was away, the third has gone; the first has no hole.
    assert_eq!(shown.matches(r#"class="hole""#).count(), 2, "{shown}");
    assert!(shown.contains("mean open"), "an open window is told from a final one");
    assert!(shown.contains("point corrected"), "a corrected window is told too");
}

#[test]
fn the_page_speaks_french_and_keeps_to_what_its_address_says() {
    let Some(browser) = Browser::find() else { return };
    let farm = Farm::open(true, None);
    let view = View { language: "fr", ..View::default() };
    let shown = browser.document(&format!("{}#size=1h&metric=lying", farm.url), &view, BUDGET);
    for text in
        [r#"<html lang="fr""#, "Couchés", "en réception", "muette depuis", "moitié centrale"]
    {
        assert!(shown.contains(text), "{text} is missing: {shown}");
    }
    assert!(shown.contains(r#"class="quartiles metric-lying""#), "{shown}");
    assert!(!shown.contains("mean metric-standing"), "{shown}");
}

#[test]
fn an_empty_farm_is_told_as_empty() {
    let Some(browser) = Browser::find() else { return };
    let farm = Farm::open(false, None);
    let shown = browser.document(&farm.url, &View::default(), BUDGET);
    assert!(shown.contains(r#"<div id="empty" class="empty">"#), "{shown}");
    assert!(shown.contains("No picture yet"), "{shown}");
}

#[test]
fn tables_that_cannot_be_read_are_told_as_lost_and_not_as_zero() {
    let Some(browser) = Browser::find() else { return };
    let farm = Farm::open(true, None);
    farm.store.tables().failure = Some(crate::support::memory::unplugged);
    let shown = browser.document(&farm.url, &View::default(), BUDGET);
    assert!(shown.contains(r#"data-state="lost""#), "{shown}");
    assert!(shown.contains("the tables could not be read"), "{shown}");
    assert!(!shown.contains(CARD), "{shown}");
}

#[test]
fn the_page_asks_for_the_token() {
    let Some(browser) = Browser::find() else { return };
    let farm = Farm::open(true, Some(ApiToken::new(TOKEN).unwrap()));
    let shown = browser.document(&farm.url, &View::default(), BUDGET);
    assert!(shown.contains(r#"<dialog id="ask" aria-labelledby="ask-title" open"#), "{shown}");
    assert!(!shown.contains("North"), "{shown}");
}

#[test]
fn the_page_can_be_pictured_in_any_light_and_width() {
    let Some(browser) = Browser::find() else { return };
    let farm = Farm::open(true, None);
    let folder = tempfile::tempdir().unwrap();
    let mut sizes = Vec::new();
    for (width, dark) in [(1280, false), (1280, true), (480, false)] {
        let picture = folder.path().join(format!("{width}-{dark}.png"));
        let view = View { width, dark, ..View::default() };
        browser.picture(&farm.url, &view, BUDGET, &picture);
        let png = std::fs::read(&picture).unwrap();
        // Width, in the header of a PNG.
        assert_eq!(u32::from_be_bytes(png[16..20].try_into().unwrap()), width);
        sizes.push(png);
    }
    assert_ne!(sizes[0], sizes[1], "dark is another picture than light");
}
