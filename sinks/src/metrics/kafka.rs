//! What the log on Kafka counts of itself, and of its clients.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::core::{Collector, GenericGauge, GenericGaugeVec};
use prometheus::{GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use schemas::log::Partition;

use super::counter;

/// What the log on Kafka counts. Clones share the numbers.
#[derive(Clone)]
pub struct KafkaMetrics {
    pub(crate) appended_records_total: IntCounter,
    pub(crate) appended_bytes_total: IntCounter,
    pub(crate) failed_appends_total: IntCounter,
    pub(crate) producers_renewed_total: IntCounter,
    pub(crate) queued_records: IntGauge,
    lag_records: IntGaugeVec,
    fetched_bytes: IntGaugeVec,
    /// Only of these is anything told: a client outlives its reader by a moment, and
    /// what it said then would stay. Locked while a partition's gauges change.
    read_partitions: Arc<Mutex<BTreeSet<Partition>>>,
    pub(crate) partitions_held: IntGauge,
    pub(crate) rebalances_total: IntCounter,
    pub(crate) client_errors_total: IntCounterVec,
    pub(crate) broker_up: IntGaugeVec,
    pub(crate) broker_rtt_seconds: GaugeVec,
}

impl Default for KafkaMetrics {
    fn default() -> KafkaMetrics {
        KafkaMetrics {
            appended_records_total: counter(
                "animov_kafka_appended_records_total",
                "Records appended to the topic and acknowledged.",
            ),
            appended_bytes_total: counter(
                "animov_kafka_appended_bytes_total",
                "Bytes of the values that were appended and acknowledged.",
            ),
            failed_appends_total: counter(
                "animov_kafka_failed_appends_total",
                "Calls whose records were not all acknowledged.",
            ),
            producers_renewed_total: counter(
                "animov_kafka_producers_renewed_total",
                "Producers given up after an error that they cannot recover from.",
            ),
            queued_records: gauge(
                "animov_kafka_queued_records",
                "Records that wait for the brokers in this process.",
            ),
            lag_records: gauges(
                "animov_kafka_lag_records",
                "Records of a partition that are not read yet.",
                &["partition"],
            ),
            fetched_bytes: gauges(
                "animov_kafka_fetched_bytes",
                "Bytes of a partition that are fetched and not read yet.",
                &["partition"],
            ),
            read_partitions: Arc::default(),
            partitions_held: gauge(
                "animov_kafka_partitions_held",
                "Partitions that the group has given to this process.",
            ),
            rebalances_total: counter(
                "animov_kafka_rebalances_total",
                "Changes of the partitions that the group has given to this process.",
            ),
            client_errors_total: IntCounterVec::new(
                Opts::new(
                    "animov_kafka_client_errors_total",
                    "Errors that a client met, most of them of a connection.",
                ),
                &["client"],
            )
            .expect("our own names are valid"),
            broker_up: gauges(
                "animov_kafka_broker_up",
                "Whether a client is connected to a broker that it needs.",
                &["client", "broker"],
            ),
            broker_rtt_seconds: gauges(
                "animov_kafka_broker_rtt_seconds",
                "How long a broker's answers take, on average.",
                &["client", "broker"],
            ),
        }
    }
}

impl KafkaMetrics {
    /// Shows the numbers in `registry`.
    ///
    /// # Errors
    ///
    /// They are registered already.
    pub fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        let all: [Box<dyn Collector>; 12] = [
            Box::new(self.appended_records_total.clone()),
            Box::new(self.appended_bytes_total.clone()),
            Box::new(self.failed_appends_total.clone()),
            Box::new(self.producers_renewed_total.clone()),
            Box::new(self.queued_records.clone()),
            Box::new(self.lag_records.clone()),
            Box::new(self.fetched_bytes.clone()),
            Box::new(self.partitions_held.clone()),
            Box::new(self.rebalances_total.clone()),
            Box::new(self.client_errors_total.clone()),
            Box::new(self.broker_up.clone()),
            Box::new(self.broker_rtt_seconds.clone()),
        ];
        all.into_iter().try_for_each(|metric| registry.register(metric))
    }

    /// Producers that were given up.
    pub fn producers_renewed(&self) -> u64 {
        self.producers_renewed_total.get()
    }

    /// Records of `partition` that are not read yet, as of the last statistics.
    pub fn lag(&self, partition: Partition) -> i64 {
        self.lag_records.with_label_values(&[&partition.to_string()]).get()
    }

    pub(crate) fn appended(&self, records: usize, bytes: usize) {
        self.appended_records_total.inc_by(u64::try_from(records).unwrap_or(u64::MAX));
        self.appended_bytes_total.inc_by(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// A partition is read from now on.
    pub(crate) fn reads(&self, partition: Partition) {
        self.read_partitions().insert(partition);
    }

    /// Tells how a partition stands, if it is still read. Its lag may not be known.
    pub(crate) fn stands(&self, partition: Partition, fetched_bytes: i64, lag: Option<i64>) {
        let read = self.read_partitions();
        if !read.contains(&partition) {
            return;
        }
        let label = partition.to_string();
        self.fetched_bytes.with_label_values(&[&label]).set(fetched_bytes);
        if let Some(lag) = lag {
            self.lag_records.with_label_values(&[&label]).set(lag);
        }
        drop(read);
    }

    /// Takes what is told of a partition back: it is not read any more.
    pub(crate) fn forget(&self, partition: Partition) {
        let mut read = self.read_partitions();
        read.remove(&partition);
        let label = partition.to_string();
        // There is nothing to take back before the first statistics.
        drop(self.lag_records.remove_label_values(&[&label]));
        drop(self.fetched_bytes.remove_label_values(&[&label]));
        drop(read);
    }

    fn read_partitions(&self) -> MutexGuard<'_, BTreeSet<Partition>> {
        self.read_partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn gauge<P: prometheus::core::Atomic>(name: &str, help: &str) -> GenericGauge<P> {
    GenericGauge::with_opts(Opts::new(name, help)).expect("our own names are valid")
}

fn gauges<P: prometheus::core::Atomic>(
    name: &str,
    help: &str,
    labels: &[&str],
) -> GenericGaugeVec<P> {
    GenericGaugeVec::new(Opts::new(name, help), labels).expect("our own names are valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_says_after_its_reader_has_gone_is_not_told() {
        let metrics = KafkaMetrics::default();
        let registry = Registry::new();
        metrics.register(&registry).unwrap();
        let told = || {
            let families = registry.gather();
            let of_partitions = families.iter().filter(|family| {
                ["animov_kafka_lag_records", "animov_kafka_fetched_bytes"].contains(&family.name())
            });
            of_partitions.map(|family| family.get_metric().len()).sum::<usize>()
        };
        let partition = Partition(3);
        metrics.reads(partition);
        metrics.stands(partition, 4096, Some(1802));
        assert_eq!(told(), 2);
        metrics.forget(partition);
        metrics.stands(partition, 4096, Some(1802));
        assert_eq!(told(), 0);
        metrics.reads(partition);
        metrics.stands(partition, 0, None);
        assert_eq!(told(), 1, "the lag is not known yet");
    }
}
