//! How far a pipeline is and what holds it up, for whoever watches it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use schemas::commit::{Commit, Place};
use schemas::log::Offset;

use crate::incident::Incident;
use crate::metrics::PipelineMetrics;

/// How far a pipeline is. Shared by its threads and whoever watches it; the
/// counts go on over several runs.
#[derive(Debug, Default)]
pub struct Progress {
    read: AtomicU64,
    committed_read: AtomicU64,
    accepted: AtomicU64,
    duplicate: AtomicU64,
    parked: AtomicU64,
    new_windows: AtomicU64,
    commits: AtomicU64,
    now: Mutex<Now>,
    metrics: Option<PipelineMetrics>,
}

/// What is true of the current run.
#[derive(Debug, Default)]
struct Now {
    /// How far each partition of the run is committed.
    committed: BTreeMap<Place, Offset>,
    incidents: BTreeMap<Place, Incident>,
    /// By part, what does not answer.
    outages: BTreeMap<&'static str, Outage>,
}

/// What does not answer, and is asked again and again.
#[derive(Clone, Debug)]
pub struct Outage {
    /// The last answer.
    pub error: String,
    /// When the first try failed.
    pub since: Instant,
    /// When the last one did.
    pub last_try: Instant,
}

impl Progress {
    /// Progress that Prometheus is told of too.
    pub fn with_metrics(metrics: PipelineMetrics) -> Progress {
        Progress { metrics: Some(metrics), ..Progress::default() }
    }

    /// Records read, committed or not.
    pub fn read_total(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Records whose outcome is committed.
    pub fn committed_total(&self) -> u64 {
        self.committed_read.load(Ordering::Relaxed)
    }

    /// Frames counted, as committed.
    pub fn accepted_total(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Frames that had been counted before, as committed.
    pub fn duplicate_total(&self) -> u64 {
        self.duplicate.load(Ordering::Relaxed)
    }

    /// Records kept aside, as committed.
    pub fn parked_total(&self) -> u64 {
        self.parked.load(Ordering::Relaxed)
    }

    /// Windows that had no row before, as committed: into fresh tables, all that
    /// there are.
    pub fn new_windows_total(&self) -> u64 {
        self.new_windows.load(Ordering::Relaxed)
    }

    /// Commits.
    pub fn commits_total(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// The partitions that are counted now, and how far each is committed.
    pub fn committed(&self) -> BTreeMap<Place, Offset> {
        self.now().committed.clone()
    }

    /// The partitions that are this process's and cannot be read on.
    pub fn incidents(&self) -> BTreeMap<Place, Incident> {
        self.now().incidents.clone()
    }

    /// What does not answer, by part: `tables`, `log`, `snapshots`.
    pub fn outages(&self) -> BTreeMap<&'static str, Outage> {
        self.now().outages.clone()
    }

    /// A new run: it has claimed nothing yet.
    pub(crate) fn begins(&self) {
        let mut now = self.now();
        now.committed.clear();
        self.forget_troubles(&mut now);
    }

    /// No run any more: what waits for a decision is somebody else's to say, and
    /// nobody tries again what failed when it was told to stop.
    pub(crate) fn ends(&self) {
        self.forget_troubles(&mut self.now());
    }

    /// The partitions are let go of: how far they are committed is somebody else's to say.
    pub fn lets_go(&self) {
        self.now().committed.clear();
    }

    fn forget_troubles(&self, now: &mut Now) {
        now.outages.clear();
        now.incidents.clear();
        if let Some(metrics) = &self.metrics {
            metrics.no_incidents();
        }
    }

    pub(crate) fn claimed(&self, place: &Place, next: Offset) {
        self.now().committed.insert(place.clone(), next);
    }

    pub(crate) fn incident(&self, place: Place, incident: Incident) {
        let mut now = self.now();
        if let Some(metrics) = &self.metrics {
            metrics.incident(&place, &incident);
        }
        now.incidents.insert(place, incident);
    }

    /// A try of `part` failed; another will follow.
    pub(crate) fn failed_try(&self, part: &'static str, error: String) {
        let last_try = Instant::now();
        let mut now = self.now();
        let outage = now.outages.entry(part).or_insert_with(|| Outage {
            error: String::new(),
            since: last_try,
            last_try,
        });
        outage.error = error;
        outage.last_try = last_try;
    }

    /// A try of `part` after failed ones succeeded.
    pub(crate) fn answered(&self, part: &'static str) {
        self.now().outages.remove(part);
    }

    pub(crate) fn read(&self, records: u64) {
        self.read.fetch_add(records, Ordering::Relaxed);
    }

    pub(crate) fn applied(&self, commit: &Commit) {
        let mut now = self.now();
        for advance in &commit.partitions {
            self.committed_read.fetch_add(advance.ledger.read, Ordering::Relaxed);
            self.accepted.fetch_add(advance.ledger.accepted, Ordering::Relaxed);
            self.duplicate.fetch_add(advance.ledger.duplicate, Ordering::Relaxed);
            self.parked.fetch_add(advance.ledger.parked, Ordering::Relaxed);
            let place = Place { log: advance.log.clone(), partition: advance.partition };
            now.committed.insert(place, advance.to);
        }
        drop(now);
        let windows = commit.sources.iter().flat_map(|source| &source.windows);
        let new = windows.filter(|window| window.rev == 1).count();
        self.new_windows.fetch_add(u64::try_from(new).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.commits.fetch_add(1, Ordering::Relaxed);
        if let Some(metrics) = &self.metrics {
            metrics.committed(commit);
        }
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use schemas::log::{LogId, Partition};

    use super::*;

    #[test]
    fn the_troubles_of_a_run_end_with_it() {
        let registry = prometheus::Registry::new();
        let progress = Progress::with_metrics(PipelineMetrics::register(&registry).unwrap());
        let shown = || registry.gather().iter().any(|of| of.name() == "animov_incidents");
        for forget in [Progress::begins, Progress::ends] {
            let place = Place { log: LogId("log".into()), partition: Partition(3) };
            progress.incident(place, Incident::Gap { wanted: Offset(1), low: Offset(2) });
            // Told to stop while it was away, nobody will say that it is back.
            progress.failed_try("log", "no answer".to_owned());
            assert_eq!((progress.incidents().len(), progress.outages().len()), (1, 1));
            assert!(shown());
            forget(&progress);
            assert!(progress.incidents().is_empty() && progress.outages().is_empty());
            assert!(!shown());
        }
    }
}
