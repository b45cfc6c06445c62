//! What the producers count, for Prometheus.

use prometheus::{
    Error, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};
use schemas::source::SourceId;

/// The metrics of all sources of a process.
#[derive(Clone, Debug)]
pub struct Metrics {
    pictures: IntCounterVec,
    sampled: IntCounterVec,
    dropped: IntCounterVec,
    damaged: IntCounterVec,
    detections: IntCounterVec,
    detect_seconds: HistogramVec,
    state: IntGaugeVec,
    last_picture: IntGaugeVec,
    reconnects: IntCounterVec,
    published: IntCounterVec,
    refused: IntCounterVec,
    /// Frames that wait for the log.
    pub(crate) queued: IntGauge,
    /// Appends that had to be tried again.
    pub(crate) retries: IntCounter,
    /// How long appends took that the log accepted.
    pub(crate) append_seconds: Histogram,
}

/// Seconds: from a detector on a fast machine to a log that is hardly there.
const SECONDS: [f64; 12] = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];

impl Metrics {
    /// Makes the metrics and registers them.
    ///
    /// # Errors
    ///
    /// `registry` has metrics of these names already.
    pub fn register(registry: &Registry) -> Result<Metrics, Error> {
        let counters = |name, help, labels: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counters.clone()))?;
            Ok::<_, Error>(counters)
        };
        let gauges = |name, help| {
            let gauges = IntGaugeVec::new(Opts::new(name, help), &["source"])?;
            registry.register(Box::new(gauges.clone()))?;
            Ok::<_, Error>(gauges)
        };
        let seconds = |name, help| HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
        let source = &["source"][..];
        let metrics = Metrics {
            pictures: counters(
                "animov_pictures_decoded_total",
                "Pictures that were decoded.",
                source,
            )?,
            sampled: counters(
                "animov_pictures_sampled_total",
                "Pictures whose time had come, dropped ones included.",
                source,
            )?,
            dropped: counters(
                "animov_pictures_dropped_total",
                "Sampled pictures that no detector saw, because detection is too slow for the camera.",
                source,
            )?,
            damaged: counters(
                "animov_packets_damaged_total",
                "Packets and pictures that could not be decoded.",
                source,
            )?,
            detections: counters(
                "animov_detections_total",
                "Boxes that were found, by class.",
                &["source", "class"],
            )?,
            detect_seconds: HistogramVec::new(
                seconds("animov_detect_seconds", "Time to find the boxes of one picture."),
                source,
            )?,
            state: gauges(
                "animov_camera_state",
                "0 ended, 1 connecting, 2 live, 3 stalled and about to reconnect.",
            )?,
            last_picture: gauges(
                "animov_camera_last_picture_timestamp_seconds",
                "Event time of the last sampled picture, Unix time.",
            )?,
            reconnects: counters(
                "animov_camera_reconnects_total",
                "Connections that were lost or could not be made.",
                source,
            )?,
            published: counters(
                "animov_frames_published_total",
                "Frames that the log acknowledged.",
                source,
            )?,
            refused: counters(
                "animov_frames_refused_total",
                "Frames that could not be counted and were not published.",
                source,
            )?,
            queued: IntGauge::new("animov_publish_queue_frames", "Frames that wait for the log.")?,
            retries: IntCounter::new(
                "animov_publish_retries_total",
                "Appends that failed and were tried again.",
            )?,
            append_seconds: Histogram::with_opts(seconds(
                "animov_publish_append_seconds",
                "Time of one append to the log.",
            ))?,
        };
        registry.register(Box::new(metrics.detect_seconds.clone()))?;
        registry.register(Box::new(metrics.queued.clone()))?;
        registry.register(Box::new(metrics.retries.clone()))?;
        registry.register(Box::new(metrics.append_seconds.clone()))?;
        Ok(metrics)
    }

    /// The metrics of one source.
    pub fn of(&self, source: SourceId) -> SourceMetrics {
        let name = source.to_string();
        let label = &[name.as_str()][..];
        SourceMetrics {
            pictures: self.pictures.with_label_values(label),
            sampled: self.sampled.with_label_values(label),
            dropped: self.dropped.with_label_values(label),
            damaged: self.damaged.with_label_values(label),
            detect_seconds: self.detect_seconds.with_label_values(label),
            state: self.state.with_label_values(label),
            last_picture: self.last_picture.with_label_values(label),
            reconnects: self.reconnects.with_label_values(label),
            published: self.published.with_label_values(label),
            refused: self.refused.with_label_values(label),
            detections: self.detections.clone(),
            source: name,
        }
    }
}

/// The metrics of one source, looked up once.
#[derive(Clone, Debug)]
pub struct SourceMetrics {
    source: String,
    detections: IntCounterVec,
    pub(crate) pictures: IntCounter,
    pub(crate) sampled: IntCounter,
    pub(crate) dropped: IntCounter,
    pub(crate) damaged: IntCounter,
    pub(crate) detect_seconds: Histogram,
    pub(crate) state: IntGauge,
    pub(crate) last_picture: IntGauge,
    pub(crate) reconnects: IntCounter,
    pub(crate) published: IntCounter,
    pub(crate) refused: IntCounter,
}

impl SourceMetrics {
    /// Counts one box of `class`.
    pub(crate) fn detected(&self, class: &str) {
        self.detections.with_label_values(&[self.source.as_str(), class]).inc();
    }
}

/// The metrics of a [`Spool`](crate::spool::Spool).
#[derive(Clone, Debug)]
pub struct SpoolMetrics {
    /// Frames that wait in it.
    pub(crate) frames: IntGauge,
    /// Bytes that it takes on the disk.
    pub(crate) bytes: IntGauge,
    /// Seconds since the oldest frame that waits was spooled.
    pub(crate) oldest: Gauge,
    /// 1 while the log takes frames, 0 while it does not.
    pub(crate) remote_up: IntGauge,
    pub(crate) spooled: IntCounter,
    pub(crate) forwarded: IntCounter,
    pub(crate) set_aside: IntCounter,
    dropped: IntCounterVec,
}

impl SpoolMetrics {
    /// Makes the metrics and registers them.
    ///
    /// # Errors
    ///
    /// `registry` has metrics of these names already.
    pub fn register(registry: &Registry) -> Result<SpoolMetrics, Error> {
        let metrics = SpoolMetrics {
            frames: IntGauge::new(
                "animov_spool_frames",
                "Frames that wait on the disk for the log.",
            )?,
            bytes: IntGauge::new("animov_spool_bytes", "Bytes that the spool takes on the disk.")?,
            oldest: Gauge::new(
                "animov_spool_oldest_seconds",
                "How long the oldest frame that waits has been waiting; 0 if none does.",
            )?,
            remote_up: IntGauge::new(
                "animov_spool_remote_up",
                "1 while the log takes frames, 0 while it does not.",
            )?,
            spooled: IntCounter::new(
                "animov_spool_spooled_frames_total",
                "Frames that went to the disk because the log did not take them.",
            )?,
            forwarded: IntCounter::new(
                "animov_spool_forwarded_frames_total",
                "Spooled frames that the log has acknowledged.",
            )?,
            set_aside: IntCounter::new(
                "animov_spool_set_aside_frames_total",
                "Records that can never be sent: too long for the log, or no frames.",
            )?,
            dropped: IntCounterVec::new(
                Opts::new(
                    "animov_spool_dropped_frames_total",
                    "Spooled frames that were dropped unsent, by the bound that was reached.",
                ),
                &["source", "bound"],
            )?,
        };
        registry.register(Box::new(metrics.frames.clone()))?;
        registry.register(Box::new(metrics.bytes.clone()))?;
        registry.register(Box::new(metrics.oldest.clone()))?;
        registry.register(Box::new(metrics.remote_up.clone()))?;
        registry.register(Box::new(metrics.spooled.clone()))?;
        registry.register(Box::new(metrics.forwarded.clone()))?;
        registry.register(Box::new(metrics.set_aside.clone()))?;
        registry.register(Box::new(metrics.dropped.clone()))?;
        Ok(metrics)
    }

    /// Frames of `source` that the bound `bound` has dropped.
    pub(crate) fn dropped(&self, source: SourceId, bound: &str) -> IntCounter {
        self.dropped.with_label_values(&[source.to_string().as_str(), bound])
    }
}
