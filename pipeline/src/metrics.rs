//! What the pipeline tells Prometheus.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use schemas::commit::{Commit, ParkReason, Place};

use crate::incident::Incident;

/// Counters of what was committed, added once an epoch, and what waits for a
/// decision.
#[derive(Clone, Debug)]
pub struct PipelineMetrics {
    read: IntCounter,
    accepted: IntCounter,
    duplicate: IntCounter,
    parked: IntCounterVec,
    windows: IntCounter,
    commits: IntCounter,
    newest: IntGauge,
    incidents: IntGaugeVec,
}

impl PipelineMetrics {
    /// Registers the metrics.
    ///
    /// # Errors
    ///
    /// One of the names is taken in `registry`.
    pub fn register(registry: &Registry) -> Result<PipelineMetrics, prometheus::Error> {
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let parked = IntCounterVec::new(
            Opts::new("animov_frames_parked_total", "Records kept aside instead of counted."),
            &["reason"],
        )?;
        registry.register(Box::new(parked.clone()))?;
        for reason in ParkReason::ALL {
            parked.with_label_values(&[reason.name()]);
        }
        let newest = IntGauge::new(
            "animov_captured_at_newest_seconds",
            "Newest event time that was counted, since 1970.",
        )?;
        registry.register(Box::new(newest.clone()))?;
        let incidents = IntGaugeVec::new(
            Opts::new(
                "animov_incidents",
                "Partitions that are not counted until somebody has decided: 1 each.",
            ),
            &["partition", "kind"],
        )?;
        registry.register(Box::new(incidents.clone()))?;
        Ok(PipelineMetrics {
            read: counter("animov_frames_read_total", "Records read from the log and committed.")?,
            accepted: counter("animov_frames_accepted_total", "Frames counted.")?,
            duplicate: counter("animov_frames_duplicate_total", "Frames that had been counted.")?,
            parked,
            windows: counter("animov_windows_changed_total", "Window rows written.")?,
            commits: counter("animov_commits_total", "Epochs committed.")?,
            newest,
            incidents,
        })
    }

    pub(crate) fn incident(&self, place: &Place, incident: &Incident) {
        let partition = place.partition.to_string();
        self.incidents.with_label_values(&[&*partition, incident.kind()]).set(1);
    }

    pub(crate) fn no_incidents(&self) {
        self.incidents.reset();
    }

    pub(crate) fn committed(&self, commit: &Commit) {
        for advance in &commit.partitions {
            self.read.inc_by(advance.ledger.read);
            self.accepted.inc_by(advance.ledger.accepted);
            self.duplicate.inc_by(advance.ledger.duplicate);
        }
        for parked in &commit.parked {
            self.parked.with_label_values(&[parked.reason.name()]).inc();
        }
        for source in &commit.sources {
            self.windows.inc_by(u64::try_from(source.windows.len()).unwrap_or(u64::MAX));
            let newest = source.state.last_captured_at.get() / 1000;
            if self.newest.get() < newest {
                self.newest.set(newest);
            }
        }
        self.commits.inc();
    }
}
