//! What log, tables and snapshots count of themselves, for Prometheus.
//!
//! Counting is always on and costs an atomic addition a batch; whoever runs the
//! process registers the numbers once.

mod kafka;

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramTimer, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};
use schemas::snapshot::Snapshot;

pub use kafka::KafkaMetrics;

/// From 0.1 ms, a fast disk's sync, to 6.5 s, a broken one's.
const SYNC_BUCKETS: (f64, f64, usize) = (0.0001, 2.0, 17);

/// What an embedded log counts.
#[derive(Clone)]
pub struct LogMetrics {
    pub(crate) appended_records_total: IntCounter,
    pub(crate) appended_bytes_total: IntCounter,
    pub(crate) groups_total: IntCounter,
    pub(crate) sync_seconds: Histogram,
    pub(crate) cut_bytes_total: IntCounter,
    pub(crate) damaged_blocks_total: IntCounter,
    pub(crate) deleted_segments_total: IntCounter,
}

impl Default for LogMetrics {
    fn default() -> LogMetrics {
        LogMetrics {
            appended_records_total: counter(
                "animov_log_appended_records_total",
                "Records appended to the embedded log and acknowledged.",
            ),
            appended_bytes_total: counter(
                "animov_log_appended_bytes_total",
                "Bytes that the embedded log grew by.",
            ),
            groups_total: counter(
                "animov_log_groups_total",
                "Groups of appends that shared one sync.",
            ),
            sync_seconds: seconds(
                "animov_log_sync_seconds",
                "How long the disk took to make a group durable.",
            ),
            cut_bytes_total: counter(
                "animov_log_cut_bytes_total",
                "Bytes of torn tails cut off when the log was opened; none was acknowledged.",
            ),
            damaged_blocks_total: counter(
                "animov_log_damaged_blocks_total",
                "Damaged places that readers of the log met; records may be missing there.",
            ),
            deleted_segments_total: counter(
                "animov_log_deleted_segments_total",
                "Segments deleted by retention.",
            ),
        }
    }
}

impl LogMetrics {
    /// Shows the numbers in `registry`.
    ///
    /// # Errors
    ///
    /// They are registered already.
    pub fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        let counters = [
            &self.appended_records_total,
            &self.appended_bytes_total,
            &self.groups_total,
            &self.cut_bytes_total,
            &self.damaged_blocks_total,
            &self.deleted_segments_total,
        ];
        counters.into_iter().try_for_each(|c| registry.register(Box::new(c.clone())))?;
        registry.register(Box::new(self.sync_seconds.clone()))
    }

    /// Damaged places that readers met.
    pub fn damaged_blocks(&self) -> u64 {
        self.damaged_blocks_total.get()
    }

    /// Bytes of torn tails that were cut off.
    pub fn cut_bytes(&self) -> u64 {
        self.cut_bytes_total.get()
    }

    pub(crate) fn appended(&self, records: usize, bytes: u64) {
        self.appended_records_total.inc_by(u64::try_from(records).unwrap_or(u64::MAX));
        self.appended_bytes_total.inc_by(bytes);
        self.groups_total.inc();
    }
}

/// What the tables count.
#[derive(Clone)]
pub struct StateMetrics {
    pub(crate) commit_seconds: Histogram,
    pub(crate) committed_windows_total: IntCounter,
    pub(crate) refused_commits_total: IntCounter,
    pub(crate) lost_answers_total: IntCounter,
    pub(crate) deadlocks_total: IntCounter,
}

impl Default for StateMetrics {
    fn default() -> StateMetrics {
        StateMetrics {
            commit_seconds: seconds(
                "animov_state_commit_seconds",
                "How long a commit took, whether it was applied or refused.",
            ),
            committed_windows_total: counter(
                "animov_state_committed_windows_total",
                "Window rows written by commits.",
            ),
            refused_commits_total: counter(
                "animov_state_refused_commits_total",
                "Commits that were not applied.",
            ),
            lost_answers_total: counter(
                "animov_state_lost_answers_total",
                "Commits whose answer from the server was lost; what became of each is found out.",
            ),
            deadlocks_total: counter(
                "animov_state_deadlocks_total",
                "Transactions that the server undid for another's sake; each is begun again.",
            ),
        }
    }
}

impl StateMetrics {
    /// Shows the numbers in `registry`.
    ///
    /// # Errors
    ///
    /// They are registered already.
    pub fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        let all: [Box<dyn Collector>; 5] = [
            Box::new(self.commit_seconds.clone()),
            Box::new(self.committed_windows_total.clone()),
            Box::new(self.refused_commits_total.clone()),
            Box::new(self.lost_answers_total.clone()),
            Box::new(self.deadlocks_total.clone()),
        ];
        all.into_iter().try_for_each(|metric| registry.register(metric))
    }

    /// Commits whose answer from the server was lost.
    pub fn lost_answers(&self) -> u64 {
        self.lost_answers_total.get()
    }

    /// Transactions that were begun again after a deadlock.
    pub fn deadlocks(&self) -> u64 {
        self.deadlocks_total.get()
    }
}

/// What a store of snapshots, and its janitor, count.
#[derive(Clone)]
pub struct SnapshotMetrics {
    put_seconds: Histogram,
    kept_total: IntCounter,
    kept_bytes_total: IntCounter,
    deleted_total: IntCounterVec,
    stored_bytes: IntGauge,
}

impl Default for SnapshotMetrics {
    fn default() -> SnapshotMetrics {
        let deleted_total = IntCounterVec::new(
            Opts::new("animov_snapshots_deleted_total", "Snapshots deleted by retention."),
            &["reason"],
        );
        SnapshotMetrics {
            put_seconds: seconds(
                "animov_snapshots_put_seconds",
                "How long keeping a batch of snapshots took, whether it was kept or not.",
            ),
            kept_total: counter("animov_snapshots_kept_total", "Snapshots that were kept."),
            kept_bytes_total: counter(
                "animov_snapshots_kept_bytes_total",
                "Bytes of the images that were kept.",
            ),
            deleted_total: deleted_total.expect("our own names are valid"),
            stored_bytes: IntGauge::new(
                "animov_snapshots_stored_bytes",
                "Bytes of all images, as of the last sweep.",
            )
            .expect("our own names are valid"),
        }
    }
}

impl SnapshotMetrics {
    /// Shows the numbers in `registry`.
    ///
    /// # Errors
    ///
    /// They are registered already.
    pub fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        let all: [Box<dyn Collector>; 5] = [
            Box::new(self.put_seconds.clone()),
            Box::new(self.kept_total.clone()),
            Box::new(self.kept_bytes_total.clone()),
            Box::new(self.deleted_total.clone()),
            Box::new(self.stored_bytes.clone()),
        ];
        all.into_iter().try_for_each(|metric| registry.register(metric))
    }

    pub(crate) fn put_timer(&self) -> HistogramTimer {
        self.put_seconds.start_timer()
    }

    /// Counts snapshots that were new; returns how many.
    pub(crate) fn kept<'a>(&self, snapshots: impl Iterator<Item = &'a Snapshot>) -> u64 {
        let (mut kept, mut bytes) = (0, 0);
        for snapshot in snapshots {
            kept += 1;
            bytes += snapshot.bytes();
        }
        self.kept_total.inc_by(kept);
        self.kept_bytes_total.inc_by(u64::try_from(bytes).unwrap_or(u64::MAX));
        kept
    }

    pub(crate) fn deleted_by_age(&self, snapshots: u64) {
        self.deleted_total.with_label_values(&["age"]).inc_by(snapshots);
    }

    pub(crate) fn deleted_by_size(&self, snapshots: u64) {
        self.deleted_total.with_label_values(&["size"]).inc_by(snapshots);
    }

    pub(crate) fn stored(&self, bytes: u64) {
        self.stored_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}

fn counter(name: &str, help: &str) -> IntCounter {
    IntCounter::with_opts(Opts::new(name, help)).expect("our own names are valid")
}

fn seconds(name: &str, help: &str) -> Histogram {
    let (start, factor, count) = SYNC_BUCKETS;
    let buckets = prometheus::exponential_buckets(start, factor, count);
    let options = HistogramOpts::new(name, help).buckets(buckets.expect("our own buckets ascend"));
    Histogram::with_opts(options).expect("our own names are valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_can_be_shown_once() {
        let registry = Registry::new();
        LogMetrics::default().register(&registry).unwrap();
        StateMetrics::default().register(&registry).unwrap();
        KafkaMetrics::default().register(&registry).unwrap();
        SnapshotMetrics::default().register(&registry).unwrap();
        assert!(LogMetrics::default().register(&registry).is_err());
        assert!(registry.gather().iter().all(|family| family.name().starts_with("animov_")));
    }
}
