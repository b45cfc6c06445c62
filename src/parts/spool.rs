//! What stands between the cameras and a log on a server.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use producers::metrics::SpoolMetrics;
use producers::spool::{Connect, Spool, SpoolOptions};
use prometheus::Registry;
use schemas::log::FrameLog;
use schemas::time::Clock;
use sinks::config::{LogKind, SegmentsConfig};
use sinks::log::kafka::KafkaLog;
use sinks::log::segments::Segments;

use super::{Log, TWICE, kafka_secrets};
use crate::config::Config;

/// Where the frames of this process's cameras go.
#[derive(Clone)]
pub(crate) struct Outlet {
    frames: Arc<dyn FrameLog>,
    spool: Option<Arc<Spool>>,
}

impl Outlet {
    /// To `log`, over a spool if that is on a server.
    ///
    /// # Errors
    ///
    /// The spool cannot be opened.
    pub(crate) fn to(
        log: &Log,
        config: &Config,
        clock: &Arc<dyn Clock>,
        registry: &Registry,
    ) -> anyhow::Result<Outlet> {
        match log {
            Log::Segments(_) => Ok(Outlet { frames: log.frames(), spool: None }),
            Log::Kafka(log) => {
                let log: Arc<dyn FrameLog> = Arc::<KafkaLog>::clone(log);
                let connect = Box::new(move || Ok(Arc::clone(&log)));
                Outlet::spooled(connect, config, clock, registry)
            }
        }
    }

    /// To the log that `config` names, which may be away now if it is on a server.
    ///
    /// # Errors
    ///
    /// The embedded log, or the spool, cannot be opened.
    pub(crate) fn open(
        config: &Config,
        clock: &Arc<dyn Clock>,
        registry: &Registry,
    ) -> anyhow::Result<Outlet> {
        match config.log.kind {
            LogKind::Segments => {
                let log = Log::open(config, clock, registry)?;
                Ok(Outlet { frames: log.frames(), spool: None })
            }
            LogKind::Kafka => {
                let (kafka, registered) = (config.log.kafka.clone(), registry.clone());
                let at = Arc::clone(clock);
                let connect = Box::new(move || {
                    let log = KafkaLog::open(kafka.clone(), kafka_secrets(), Arc::clone(&at))?;
                    told(log.metrics().register(&registered));
                    let log: Arc<dyn FrameLog> = Arc::new(log);
                    Ok(log)
                });
                Outlet::spooled(connect, config, clock, registry)
            }
        }
    }

    fn spooled(
        connect: Connect,
        config: &Config,
        clock: &Arc<dyn Clock>,
        registry: &Registry,
    ) -> anyhow::Result<Outlet> {
        let options = SpoolOptions::from(&config.publish);
        let segments = SegmentsConfig {
            partitions: NonZeroU32::MIN,
            segment_bytes: options.segment_bytes(),
            ..SegmentsConfig::default()
        };
        let local = Segments::open(&options.dir, segments, Arc::clone(clock))?;
        let metrics = SpoolMetrics::register(registry).context(TWICE)?;
        let spool = Spool::start(connect, Arc::new(local), options, Arc::clone(clock), metrics)?;
        let spool = Arc::new(spool);
        Ok(Outlet { frames: Arc::<Spool>::clone(&spool), spool: Some(spool) })
    }

    /// What frames are appended to.
    pub(crate) fn frames(&self) -> Arc<dyn FrameLog> {
        Arc::clone(&self.frames)
    }

    /// Forwards what is spooled, for `grace` at most. What is left is sent after
    /// the next start.
    pub(crate) fn finish(&self, grace: Duration) {
        if let Some(spool) = &self.spool {
            spool.finish(grace);
        }
    }
}

/// A log without its metrics is still a log.
fn told(registered: Result<(), prometheus::Error>) {
    if let Err(error) = registered {
        tracing::warn!(%error, "the log's metrics are not shown");
    }
}
