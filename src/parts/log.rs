//! The log of frames: a folder, or a topic.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use prometheus::Registry;
use schemas::commit::Place;
use schemas::log::{EveryPartition, FrameLog, Offset, Ownership};
use schemas::time::{Clock, SystemClock};
use sinks::config::{KafkaSecrets, LogKind};
use sinks::log::kafka::KafkaLog;
use sinks::log::segments::Segments;

use super::TWICE;
use crate::config::{Config, variable};

/// The log of frames, opened to append and to read.
pub(crate) enum Log {
    Segments(Arc<Segments>),
    Kafka(Arc<KafkaLog>),
}

impl Log {
    /// Opens the log.
    ///
    /// # Errors
    ///
    /// It cannot be opened.
    pub(crate) fn open(
        config: &Config,
        clock: &Arc<dyn Clock>,
        registry: &Registry,
    ) -> anyhow::Result<Log> {
        let clock = Arc::clone(clock);
        match config.log.kind {
            LogKind::Segments => {
                let log = Segments::open(&config.log.dir, config.log.segments.clone(), clock)?;
                log.metrics().register(registry).context(TWICE)?;
                Ok(Log::Segments(Arc::new(log)))
            }
            LogKind::Kafka => {
                let log = KafkaLog::open(config.log.kafka.clone(), kafka_secrets(), clock)?;
                log.metrics().register(registry).context(TWICE)?;
                Ok(Log::Kafka(Arc::new(log)))
            }
        }
    }

    /// The log, as everybody knows it.
    pub(crate) fn frames(&self) -> Arc<dyn FrameLog> {
        match self {
            Log::Segments(log) => Arc::<Segments>::clone(log),
            Log::Kafka(log) => Arc::<KafkaLog>::clone(log),
        }
    }

    /// Who tells which partitions this process counts.
    ///
    /// # Errors
    ///
    /// The group cannot be joined.
    pub(crate) fn ownership(&self) -> anyhow::Result<Box<dyn Ownership>> {
        match self {
            Log::Segments(log) => Ok(Box::new(EveryPartition { partitions: log.partitions() })),
            Log::Kafka(log) => Ok(Box::new(log.join_group()?)),
        }
    }

    /// Deletes what is counted and older, or more, than configured. Servers do so
    /// by themselves.
    pub(crate) fn retain(&self, committed: &BTreeMap<Place, Offset>) {
        let Log::Segments(log) = self else { return };
        for (Place { log: _, partition }, next) in committed {
            match log.retain(*partition, *next) {
                Ok(0) => {}
                Ok(segments) => tracing::info!(%partition, segments, "deleted from the log"),
                Err(error) => {
                    let error: &(dyn std::error::Error + 'static) = &error;
                    tracing::warn!(%partition, error, "could not delete from the log");
                }
            }
        }
    }
}

/// Opens the log for reading, beside whoever writes it.
///
/// # Errors
///
/// There is none, or it cannot be read.
pub(crate) fn log_to_read(config: &Config) -> anyhow::Result<Arc<dyn FrameLog>> {
    Ok(match config.log.kind {
        LogKind::Segments => Arc::new(Segments::open_read_only(&config.log.dir)?),
        LogKind::Kafka => Arc::new(KafkaLog::open_read_only(
            config.log.kafka.clone(),
            kafka_secrets(),
            Arc::new(SystemClock),
        )?),
    })
}

/// The secrets of the log's brokers, from the environment.
pub(crate) fn kafka_secrets() -> KafkaSecrets {
    KafkaSecrets::from_env(variable)
}
