//! Serves the page over a simulated herd, to look at it:
//! `cargo run -p api --example page`, then open the address it prints.

#[path = "../tests/support/mod.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "made for the tests, which use the rest too"
)]
mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::{ApiConfig, ApiToken, Parts, Server, Site};
use schemas::metric::Postures;
use schemas::time::{Clock, SystemClock, UnixMillis};
use schemas::window::Calendar;

use crate::support::album::BlindPictures;
use crate::support::herd;
use crate::support::memory::{MemoryLog, MemoryStore};

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example talks to whoever started it")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let calendar = Calendar::in_zone("Europe/Paris")?;
    let store = Arc::new(MemoryStore::default());
    herd::fill(&store, &calendar, SystemClock.now(), 9);
    let names = BTreeMap::from([
        (herd::source(1), "North pen".to_owned()),
        (herd::source(2), "Milking yard".to_owned()),
    ]);
    let config = ApiConfig {
        bind: std::env::args().nth(1).as_deref().unwrap_or("127.0.0.1:8420").parse()?,
        ..ApiConfig::default()
    };
    let parts = Parts {
        store: Some(Arc::<MemoryStore>::clone(&store)),
        imported: None,
        accuracy: None,
        snapshots: None,
        pictures: Arc::new(BlindPictures),
        users: None,
        log: Arc::new(MemoryLog::default()),
        clock: Arc::new(SystemClock),
        site: Site { calendar: calendar.clone(), names, postures: Postures::default() },
        readiness: Arc::new(|| vec![("pipeline".to_owned(), Ok(()))]),
        registry: prometheus::Registry::new(),
    };
    let server = Server::bind(config, ApiToken::from_env()?, parts).await?;
    println!("http://{}", server.address());
    tokio::spawn(async move {
        let mut tick =
            tokio::time::interval(Duration::from_millis(herd::CADENCE_MS.unsigned_abs()));
        let begun = SystemClock.now();
        loop {
            tick.tick().await;
            let now = SystemClock.now();
            let mut tables = store.tables();
            // The silent camera stays silent.
            let as_told = UnixMillis::new(now.get().min(begun.get()));
            herd::frame(&mut tables, &calendar, now, as_told);
            herd::settle(&mut tables);
        }
    });
    server.serve(async { _ = tokio::signal::ctrl_c().await }).await;
    Ok(())
}
