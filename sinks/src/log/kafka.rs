//! The log on Kafka: a topic of frames, and a side topic of the schemas that they
//! are written by.
//!
//! # Invariants
//!
//! - An append is acknowledged when all replicas that must have it have it.
//! - A log is named by its cluster's id and its topic's: a topic that is deleted
//!   and made again is another log, and what reads the old one does not go on
//!   into the new.
//! - A record's `appended_at` is the brokers' clock: a topic that bears the
//!   senders' is refused.
//! - Where to read on is for the reader to say. Group offsets are shown, never
//!   read; a place that is not there is an error, never a jump.
//! - Waits end, queues are bounded, also while the brokers are away.
//!
//! What would break them: brokers that acknowledge and forget (too few in-sync
//! replicas, a power cut on all of them at once); a retention shorter than the
//! longest outage of the pipeline.

mod appender;
mod client;
mod cluster;
mod declared;
mod group;
mod native;
mod reader;
mod statistics;
mod topic;
mod wait;

use std::sync::Arc;

use schemas::log::{Bounds, FrameLog, LogError, LogId, LogName, LogReader, Offset, Partition};
use schemas::source::SourceId;
use schemas::time::Clock;

pub use crate::config::{KafkaConfig, KafkaSecrets};
use crate::metrics::KafkaMetrics;
use appender::Appender;
pub use client::VALUE_BYTES_MAX;
use cluster::Cluster;
pub use group::KafkaGroup;
use reader::KafkaReader;
pub use topic::Migration;

/// A log on Kafka; see the [module](self).
pub struct KafkaLog {
    cluster: Arc<Cluster>,
    /// Which log this was when it was opened.
    opened: LogId,
    /// None if the log was opened for reading.
    appender: Option<Appender>,
}

impl KafkaLog {
    /// Opens the log for reading and writing, and declares the schemas of this
    /// program. Any number of processes may.
    ///
    /// # Errors
    ///
    /// There is no such topic, it is not as it must be, the brokers refuse, or
    /// nobody answers (which [may pass](LogError::may_succeed_later)).
    pub fn open(
        config: KafkaConfig,
        secrets: KafkaSecrets,
        clock: Arc<dyn Clock>,
    ) -> Result<KafkaLog, LogError> {
        let cluster = Cluster::new(config, secrets, clock)?;
        let opened = cluster.identify()?;
        let value_bytes_max = topic::check(&cluster)?;
        let Cluster { config, secrets, told, .. } = &*cluster;
        let (config, secrets, told) = (config.clone(), secrets.clone(), Arc::clone(told));
        let appender = Appender::new(config, secrets, told, value_bytes_max)?;
        declared::declare(&cluster, &appender)?;
        Ok(KafkaLog { cluster, opened, appender: Some(appender) })
    }

    /// Opens the log for reading: needs no right to write.
    ///
    /// # Errors
    ///
    /// As [`open`](KafkaLog::open).
    pub fn open_read_only(
        config: KafkaConfig,
        secrets: KafkaSecrets,
        clock: Arc<dyn Clock>,
    ) -> Result<KafkaLog, LogError> {
        let cluster = Cluster::new(config, secrets, clock)?;
        let opened = cluster.identify()?;
        topic::check(&cluster)?;
        Ok(KafkaLog { cluster, opened, appender: None })
    }

    /// Makes the topics that are missing, as configured, and adds partitions if
    /// the configuration has more. Nothing else is changed: what differs is told.
    ///
    /// # Errors
    ///
    /// The topic has more partitions than configured, the brokers refuse, or
    /// nobody answers.
    pub fn migrate(
        config: KafkaConfig,
        secrets: KafkaSecrets,
        clock: Arc<dyn Clock>,
    ) -> Result<Migration, LogError> {
        topic::migrate(&*Cluster::new(config, secrets, clock)?)
    }

    /// Joins the group whose members share out this log's partitions.
    ///
    /// # Errors
    ///
    /// The configuration has a property that librdkafka does not take.
    pub fn join_group(&self) -> Result<KafkaGroup, LogError> {
        KafkaGroup::join(&self.cluster)
    }

    /// What the log counts of itself.
    pub fn metrics(&self) -> &KafkaMetrics {
        &self.cluster.told.metrics
    }
}

impl FrameLog for KafkaLog {
    fn identity(&self) -> LogId {
        self.cluster.identity().unwrap_or_else(|| self.opened.clone())
    }

    fn identify(&self) -> Result<LogId, LogError> {
        self.cluster.identify()
    }

    fn name(&self) -> Option<LogName> {
        Some(LogName(format!("kafka:{}", self.cluster.config.topic).into()))
    }

    fn partitions(&self) -> u32 {
        self.cluster.partitions()
    }

    fn append(&self, records: &[(SourceId, &[u8])]) -> Result<(), LogError> {
        self.appender.as_ref().ok_or(LogError::ReadOnly)?.append(records)
    }

    fn bounds(&self, partition: Partition) -> Result<Bounds, LogError> {
        self.cluster.check_partition(partition)?;
        self.cluster.bounds(&self.cluster.config.topic, partition)
    }

    fn reader(&self, partition: Partition, from: Offset) -> Result<Box<dyn LogReader>, LogError> {
        self.cluster.check_partition(partition)?;
        let cluster = Arc::clone(&self.cluster);
        let topic = &self.cluster.config.topic;
        Ok(Box::new(KafkaReader::new(cluster, topic, partition, from)?))
    }

    fn schemas(&self) -> Result<Vec<String>, LogError> {
        Ok(declared::declared(&self.cluster)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests;
