//! What a camera needs around it, and what came out of it.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use producers::camera::{self, Camera, Ended, Surroundings};
use producers::detect::{DetectError, Detector};
use producers::error::SourceError;
use producers::input::Input;
use producers::metrics::Metrics;
use producers::publish::{PublishOptions, Publisher};
use producers::sample::Cadence;
use prometheus::Registry;
use schemas::frame::{Frame, Seen};
use schemas::source::SourceId;
use schemas::stop::Stop;
use schemas::time::{Clock, SystemClock, UnixMillis};

use crate::support::{MemoryLog, OneGoat};

/// A camera's surroundings, and what came out of it.
pub(crate) struct Barn {
    pub(crate) log: Arc<MemoryLog>,
    pub(crate) publisher: Publisher,
    registry: Registry,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stop: Stop,
}

impl Barn {
    pub(crate) fn new() -> Barn {
        let (log, as_log) = MemoryLog::shared();
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let stop = Stop::default();
        let options = PublishOptions::default();
        let publisher =
            Publisher::start(as_log, Arc::clone(&clock), metrics, options, stop.clone());
        Barn { log, publisher: publisher.unwrap(), registry, clock, stop }
    }

    pub(crate) fn around(&self) -> Surroundings {
        Surroundings { clock: Arc::clone(&self.clock), stop: self.stop.clone(), watcher: None }
    }

    /// Runs the camera to its end.
    pub(crate) fn run(&self, camera: &Camera) -> Result<Ended, SourceError> {
        let mut publisher = self.publisher.source(camera.source);
        camera::run(camera, &mut OneGoat::taking(Duration::ZERO), &mut publisher, &self.around())
    }

    pub(crate) fn spawn(
        &self,
        camera: Camera,
        slowness: Duration,
    ) -> JoinHandle<Result<Ended, SourceError>> {
        let publisher = self.publisher.source(camera.source);
        let detector = move || -> Result<Box<dyn Detector>, DetectError> {
            Ok(Box::new(OneGoat::taking(slowness)))
        };
        camera::spawn(camera, detector, publisher, self.around()).unwrap()
    }

    /// Ends it and tells what reached the log.
    pub(crate) fn frames(self) -> Vec<Frame> {
        self.publisher.finish().unwrap();
        self.log.frames()
    }

    /// A counter or gauge, summed over its labels.
    pub(crate) fn count(&self, metric: &str) -> i64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == metric);
        let metrics = family.map(|family| family.get_metric()).unwrap_or_default();
        let each = metrics.iter().map(|m| m.get_counter().get_value() + m.get_gauge().get_value());
        #[expect(clippy::as_conversions, reason = "whole numbers, as counted")]
        let sum = each.sum::<f64>() as i64;
        sum
    }
}

/// Source 5, once a second.
pub(crate) fn camera(input: Input) -> Camera {
    Camera {
        source: SourceId::try_from(5).unwrap(),
        input,
        every: Cadence::SECOND,
        snapshot_every: Duration::ZERO,
        keyframes_only: false,
        started_at: None,
        repeat: false,
        silence_max: Duration::from_secs(5),
    }
}

/// Event times after `since`, milliseconds, of frames that are whole: numbered from 0 within
/// one session, not ahead of the clock, each with its goat.
pub(crate) fn event_times(frames: &[Frame], since: UnixMillis) -> Vec<i64> {
    for (seq, frame) in (0..).zip(frames) {
        assert_eq!((frame.id.seq, frame.id.session), (seq, frames[0].id.session));
        assert!(frame.captured_at <= frame.produced_at, "event time runs ahead");
        let Seen::Detections(picture) = &frame.seen else { panic!("{frame:?}") };
        assert_eq!((&*picture.detections[0].class, &*picture.model.name), ("standing", "goat"));
    }
    frames.iter().map(|frame| frame.captured_at.get() - since.get()).collect()
}
