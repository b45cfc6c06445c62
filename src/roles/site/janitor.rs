//! Deletes snapshots that retention does not keep, every now and then.

use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context;
use schemas::stop::Stop;
use schemas::time::Clock;
use sinks::snapshots::Opened;
use sinks::snapshots::janitor::{SWEEP_EVERY, sweep};

use crate::config::Config;

/// A thread that sweeps.
pub(super) struct Janitor {
    thread: JoinHandle<()>,
    stop: Stop,
}

impl Janitor {
    /// Starts it: the first sweep is now.
    ///
    /// # Errors
    ///
    /// The system has no thread left.
    pub(super) fn start(
        config: &Config,
        snapshots: &Opened,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Janitor> {
        let retention = config.snapshots.retention();
        let (store, metrics) = (Arc::clone(&snapshots.store), snapshots.metrics.clone());
        let stop = Stop::default();
        let asked = stop.clone();
        let sweeps = move || {
            loop {
                if let Err(error) = sweep(&*store, &retention, clock.now(), &metrics) {
                    let error: &(dyn std::error::Error + 'static) = &error;
                    tracing::warn!(error, "could not delete old snapshots, tries again later");
                }
                if asked.wait(SWEEP_EVERY) {
                    break;
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("janitor".to_owned())
            .spawn(sweeps)
            .context("could not start the janitor's thread")?;
        Ok(Janitor { thread, stop })
    }

    /// Ends it, unless it waits for a server: then the process ends without it.
    pub(super) fn finish(self) {
        self.stop.stop();
        if self.thread.is_finished() && self.thread.join().is_err() {
            tracing::error!("the janitor panicked");
        }
    }
}
