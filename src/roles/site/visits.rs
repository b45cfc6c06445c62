//! Visits the pages of `[[prices.page]]`, each as often as it says, and deletes
//! prices that are too old.
//!
//! Who visits is decided in the tables, so of several processes one does, and a
//! restart is no reason to visit anybody again. A visit that fails is told, and the
//! next one is a whole `every` later: nobody is hurried.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use prices::config::{PageConfig, PricesConfig};
use prices::visit::Visitor;
use schemas::commit::StoreError;
use schemas::imported::{ImportedStore, Visit};
use schemas::stop::Stop;
use schemas::time::{Clock, UnixMillis};

/// How often it is looked whether a page is due.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// How often old prices are looked for.
const SWEEP_EVERY: Duration = Duration::from_hours(1);

/// A thread that visits.
pub(super) struct Visits {
    thread: JoinHandle<()>,
    stop: Stop,
}

impl Visits {
    /// Starts it: the first look is now. Without pages there still may be old
    /// prices.
    ///
    /// # Errors
    ///
    /// The system has no thread left.
    pub(super) fn start(
        config: &PricesConfig,
        store: Arc<dyn ImportedStore>,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Visits> {
        let stop = Stop::default();
        let (asked, config) = (stop.clone(), config.clone());
        let visits = move || {
            let visitor = Visitor::new(&config);
            let mut swept = UnixMillis::MIN;
            loop {
                let now = clock.now();
                if SWEEP_EVERY <= now.since(swept) {
                    sweep(&config, &*store, now);
                    swept = now;
                }
                for page in &config.page {
                    if asked.is_stopped() {
                        return;
                    }
                    match visit(&visitor, page, &*store, &*clock) {
                        Ok(Some(rows)) => tracing::info!(url = %page.url, rows, "prices were read"),
                        Ok(None) => {}
                        Err(error) => {
                            let error: &(dyn std::error::Error + 'static) = &*error;
                            tracing::warn!(url = %page.url, error, "could not read prices, tries again later");
                        }
                    }
                }
                if asked.wait(LOOK_EVERY) {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("prices".to_owned())
            .spawn(visits)
            .context("could not start the thread that reads prices")?;
        Ok(Visits { thread, stop })
    }

    /// Ends it, unless it waits for a page or a server: then the process ends
    /// without it.
    pub(super) fn finish(self) {
        self.stop.stop();
        if self.thread.is_finished() && self.thread.join().is_err() {
            tracing::error!("the thread that reads prices panicked");
        }
    }
}

/// Visits a page if it is due; how many rows it showed.
fn visit(
    visitor: &Visitor,
    page: &PageConfig,
    store: &dyn ImportedStore,
    clock: &dyn Clock,
) -> Result<Option<usize>, Box<dyn std::error::Error>> {
    let taken_at = clock.now();
    if !store.claim_visit(page.url.as_str(), taken_at, page.every)? {
        return Ok(None);
    }
    let prices = visitor.visit(page)?.prices;
    let rows = prices.len();
    store.put_prices(&Visit { url: page.url.as_str().to_owned(), taken_at, prices })?;
    Ok(Some(rows))
}

fn sweep(config: &PricesConfig, store: &dyn ImportedStore, now: UnixMillis) {
    let deleted: Result<u64, StoreError> =
        store.delete_visits_before(now.minus(config.retention_age));
    match deleted {
        Ok(0) => {}
        Ok(visits) => tracing::info!(visits, "old prices were deleted"),
        Err(error) => {
            let error: &(dyn std::error::Error + 'static) = &error;
            tracing::warn!(error, "could not delete old prices, tries again later");
        }
    }
}
