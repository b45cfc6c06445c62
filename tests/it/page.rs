//! The page, in a real browser.

use std::process::Command;

use crate::support::{Counted, Site};

#[test]
fn the_page_shows_each_source() {
    let Some(browser) = browser() else { return };
    let site = Site::new("");
    let running = site.start_ready();
    let now = jiff::Timestamp::from_millisecond(1_772_366_400_000).unwrap();
    let frames: Vec<Counted> = (0..200)
        .map(|n| Counted {
            source: 41 + i64::try_from(n % 2).unwrap(),
            session: "8c5e6d0a-2f6b-4b0e-9d7f-1f6f5b7c9a11".to_owned(),
            seq: n,
            captured_at: now.as_millisecond() + i64::try_from(n).unwrap() * 1000,
            lying: 3,
            standing: 4,
        })
        .collect();
    assert!(site.post(&frames));
    site.wait_accepted(200);
    let dom = dom(browser, &site.url("/"));
    for wanted in ["41", "42", "lying", "<svg"] {
        assert!(dom.contains(wanted), "no {wanted} on the page:\n{dom}");
    }
    running.terminate();
}

#[test]
fn the_documentation_lists_the_routes_and_needs_nothing_from_elsewhere() {
    let Some(browser) = browser() else { return };
    let site = Site::new("");
    let running = site.start_ready();
    let dom = dom(browser, &site.url("/docs"));
    for wanted in ["/v1/sources", "/receive_data_animov", "/get_serie_last_jour", "Authorize"] {
        assert!(dom.contains(wanted), "no {wanted} in the documentation:\n{dom}");
    }
    running.terminate();
}

/// What a page at `url` has become, once its scripts have run.
fn dom(browser: &str, url: &str) -> String {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--virtual-time-budget=8000",
            "--dump-dom",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(url)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn browser() -> Option<&'static str> {
    let found = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| {
        Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success())
    });
    let required = std::env::var_os("ANIMOV_REQUIRE_BROWSER").is_some();
    assert!(found.is_some() || !required, "a browser is required here: install chromium");
    if found.is_none() {
        println!("SKIPPED: no Chromium here");
    }
    found
}
