//! What log and tables count of themselves, for Prometheus.
//!
//! Counting is always on and costs an atomic addition a batch; whoever runs the
//! process registers the numbers once.

mod kafka;

use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, IntCounter, Opts, Registry};

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

/// What the embedded tables count.
#[derive(Clone)]
pub struct StateMetrics {
    pub(crate) commit_seconds: Histogram,
    pub(crate) committed_windows_total: IntCounter,
    pub(crate) refused_commits_total: IntCounter,
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
        let all: [Box<dyn Collector>; 3] = [
            Box::new(self.commit_seconds.clone()),
            Box::new(self.committed_windows_total.clone()),
            Box::new(self.refused_commits_total.clone()),
        ];
        all.into_iter().try_for_each(|metric| registry.register(metric))
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
        assert!(LogMetrics::default().register(&registry).is_err());
        assert!(registry.gather().iter().all(|family| family.name().starts_with("animov_")));
    }
}
