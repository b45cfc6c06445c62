//! One source, from connecting to its end: decode, sample, detect, publish.
//!
//! All of it happens on one thread, so nothing queues between the steps. A detector
//! that is too slow for a live camera makes it fall behind; then sampled
//! pictures are dropped and counted until it has caught up. A picture that seems late
//! although nothing waits behind it is not: clocks differ.
//!
//! # Invariants
//!
//! - A live source is connected to again for as long as the process runs; a file
//!   ends with its last picture, or begins again, and event time goes on.
//! - Event time does not go back within a session, and is never ahead of the clock.
//! - Told to stop, the thread ends within a second, whatever it waits for.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use schemas::frame::{Detection, Frame, Jpeg, Picture, Seen};
use schemas::source::SourceId;
use schemas::stop::Stop;
use schemas::time::{CLOCK_SET_AFTER, Clock, UnixMillis};

use crate::annotate;
use crate::decode::{DecodeError, DecodeOptions, Decoder};
use crate::detect::{DetectError, Detector};
use crate::error::SourceError;
use crate::input::Input;
use crate::pace::wait_until;
use crate::pixels::Pixels;
use crate::publish::SourcePublisher;
use crate::sample::{Cadence, Sampler};
use crate::timeline::LiveClock;

/// What to read, and how.
#[derive(Clone, Debug)]
pub struct Camera {
    pub source: SourceId,
    pub input: Input,
    pub every: Cadence,
    /// Event time from one picture that its frame carries to the next; zero for
    /// none.
    pub snapshot_every: Duration,
    pub keyframes_only: bool,
    /// Event time of a file's first picture. Without it: when the file says that it
    /// was recorded, else the moment it is opened.
    pub started_at: Option<UnixMillis>,
    /// Begin a file again when it ends.
    pub repeat: bool,
    /// After how long a silence a source counts as lost.
    pub silence_max: Duration,
}

/// Is shown each picture whose frame was handed to the log, while its pixels are
/// there: for snapshots. It runs on the camera's thread and must be quick.
pub trait Watcher: Send + Sync {
    /// `frame` is what was found in `pixels`.
    fn see(&self, frame: &Frame, pixels: &Pixels<'_>);
}

/// What a camera's thread shares with the rest of the process.
#[derive(Clone)]
pub struct Surroundings {
    pub clock: Arc<dyn Clock>,
    pub stop: Stop,
    pub watcher: Option<Arc<dyn Watcher>>,
}

/// How a source ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The file has no more pictures.
    File,
    /// It was told to.
    Stopped,
}

/// Where a source is in its life; the value of `animov_camera_state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ended,
    Connecting,
    Live,
    Stalled,
}

impl State {
    fn value(self) -> i64 {
        match self {
            State::Ended => 0,
            State::Connecting => 1,
            State::Live => 2,
            State::Stalled => 3,
        }
    }
}

/// Wait before the first attempt to connect again; each further one is twice as
/// long, until pictures have come.
const RECONNECT_FIRST: Duration = Duration::from_secs(1);

/// Longest wait between two attempts.
const RECONNECT_MAX: Duration = Duration::from_secs(30);

/// How far a live picture may lie behind the clock and still be looked at.
const LAG_MAX: Duration = Duration::from_secs(5);

/// Runs `camera` on a thread of its own, with the detector that `detector` makes
/// there.
///
/// # Errors
///
/// The system has no thread left.
pub fn spawn(
    camera: Camera,
    detector: impl FnOnce() -> Result<Box<dyn Detector>, DetectError> + Send + 'static,
    mut publisher: SourcePublisher,
    around: Surroundings,
) -> std::io::Result<JoinHandle<Result<Ended, SourceError>>> {
    thread::Builder::new().name(format!("camera-{}", camera.source)).spawn(move || {
        let mut detector = detector()?;
        run(&camera, detector.as_mut(), &mut publisher, &around)
    })
}

/// Reads `camera` until it ends or is stopped.
///
/// # Errors
///
/// A file cannot be read, the detector cannot be run, or the log takes no more
/// frames. A live source's own errors are waited out.
pub fn run(
    camera: &Camera,
    detector: &mut dyn Detector,
    publisher: &mut SourcePublisher,
    around: &Surroundings,
) -> Result<Ended, SourceError> {
    let mut running = Running {
        camera,
        around,
        sampler: Sampler::new(camera.every),
        snapshots: snapshots(camera),
        began_at: None,
        last_at: UnixMillis::MIN,
        live: LiveClock::default(),
        backoff: RECONNECT_FIRST,
        found: Vec::new(),
    };
    let ended = running.supervise(detector, publisher);
    publisher.metrics().state.set(State::Ended.value());
    match ended {
        Err(error) if error.is_stop() => Ok(Ended::Stopped),
        other => other,
    }
}

/// A camera's state between pictures and connections.
struct Running<'a> {
    camera: &'a Camera,
    around: &'a Surroundings,
    sampler: Sampler,
    /// Which frames carry their picture; none if no frame does.
    snapshots: Option<Sampler>,
    /// Event time of the very first picture.
    began_at: Option<UnixMillis>,
    last_at: UnixMillis,
    live: LiveClock,
    backoff: Duration,
    found: Vec<Detection>,
}

/// How one opening of an input ended.
enum Closed {
    /// A file has no more pictures; it lasted this long.
    File(Duration),
    /// A live source hung up.
    Live,
}

impl Running<'_> {
    fn supervise(
        &mut self,
        detector: &mut dyn Detector,
        publisher: &mut SourcePublisher,
    ) -> Result<Ended, SourceError> {
        let source = self.camera.source;
        // Of files: event time at which the next repetition begins.
        let mut starts_at: Option<UnixMillis> = None;
        loop {
            publisher.metrics().state.set(State::Connecting.value());
            match self.read(&mut starts_at, detector, publisher) {
                Ok(Closed::File(length)) if self.camera.repeat => {
                    starts_at = starts_at.map(|start| start.plus(length));
                }
                Ok(Closed::File(_)) => {
                    tracing::info!(%source, "file ended");
                    return Ok(Ended::File);
                }
                Ok(Closed::Live) => {
                    tracing::warn!(%source, "camera hung up, reconnecting");
                    self.wait_to_reconnect(publisher);
                }
                Err(error @ SourceError::Decode(_))
                    if !error.is_stop()
                        && self.camera.input.is_network()
                        && starts_at.is_none() =>
                {
                    tracing::warn!(%source, %error, "camera stalled, reconnecting");
                    self.wait_to_reconnect(publisher);
                }
                Err(error) => return Err(error),
            }
            if self.around.stop.is_stopped() {
                return Ok(Ended::Stopped);
            }
        }
    }

    fn wait_to_reconnect(&mut self, publisher: &SourcePublisher) {
        publisher.metrics().state.set(State::Stalled.value());
        publisher.metrics().reconnects.inc();
        self.around.stop.wait(self.backoff);
        self.backoff = (self.backoff * 2).min(RECONNECT_MAX);
    }

    /// Reads the input once, from its opening to its end.
    fn read(
        &mut self,
        starts_at: &mut Option<UnixMillis>,
        detector: &mut dyn Detector,
        publisher: &mut SourcePublisher,
    ) -> Result<Closed, SourceError> {
        let mut decoder = Decoder::open(&self.camera.input, &self.options())?;
        if decoder.is_live() {
            self.live.reconnected();
        } else if starts_at.is_none() {
            *starts_at = Some(self.start_of(&decoder)?);
        }
        let metrics = publisher.metrics().clone();
        let mut damaged = 0;
        while let Some(place) = decoder.advance()? {
            if self.around.stop.is_stopped() {
                return Err(DecodeError::Stopped { input: self.camera.input.clone() }.into());
            }
            self.backoff = RECONNECT_FIRST;
            metrics.state.set(State::Live.value());
            metrics.pictures.inc();
            metrics.damaged.inc_by(decoder.damaged() - damaged);
            damaged = decoder.damaged();
            let now = self.around.clock.now();
            let keeps_up = decoder.keeps_up();
            let captured_at = match *starts_at {
                Some(start) => start.plus(place),
                None => self.live.captured_at(place, now, keeps_up),
            };
            if !self.takes(captured_at) {
                continue;
            }
            metrics.sampled.inc();
            metrics.last_picture.set(captured_at.get().div_euclid(1000));
            let is_late = decoder.is_untimed() || LAG_MAX < now.since(captured_at);
            if starts_at.is_none() && !keeps_up && is_late {
                metrics.dropped.inc();
                continue;
            }
            if wait_until(captured_at, self.around.clock.as_ref(), &self.around.stop) {
                return Err(DecodeError::Stopped { input: self.camera.input.clone() }.into());
            }
            self.look(captured_at, &mut decoder, detector, publisher)?;
        }
        Ok(match starts_at {
            Some(_) => Closed::File(decoder.length()),
            None => Closed::Live,
        })
    }

    fn options(&self) -> DecodeOptions {
        DecodeOptions {
            keyframes_only: self.camera.keyframes_only,
            silence_max: self.camera.silence_max,
            stop: self.around.stop.clone(),
            ..DecodeOptions::default()
        }
    }

    /// Event time of a file's first picture.
    fn start_of(&self, decoder: &Decoder) -> Result<UnixMillis, SourceError> {
        let now = self.around.clock.now();
        match self.camera.started_at {
            Some(started_at) if now < started_at => {
                Err(SourceError::StartsAhead { input: self.camera.input.clone(), started_at, now })
            }
            Some(started_at) => Ok(started_at),
            // A camera whose clock runs ahead, or was never set, is not believed.
            None => {
                let is_likely = |at: &UnixMillis| CLOCK_SET_AFTER <= *at && *at <= now;
                Ok(decoder.created_at().filter(is_likely).unwrap_or(now))
            }
        }
    }

    fn takes(&mut self, captured_at: UnixMillis) -> bool {
        if captured_at < self.last_at {
            // The clock was set back: begin to count anew.
            self.began_at = None;
            self.sampler = Sampler::new(self.camera.every);
            self.snapshots = snapshots(self.camera);
        }
        self.last_at = captured_at;
        let began_at = *self.began_at.get_or_insert(captured_at);
        self.sampler.takes(captured_at.since(began_at))
    }

    /// Detects and publishes what the current picture shows.
    fn look(
        &mut self,
        captured_at: UnixMillis,
        decoder: &mut Decoder,
        detector: &mut dyn Detector,
        publisher: &mut SourcePublisher,
    ) -> Result<(), SourceError> {
        let pixels = decoder.pixels()?;
        let began = Instant::now();
        detector.detect(&pixels, &mut self.found)?;
        let metrics = publisher.metrics();
        metrics.detect_seconds.observe(began.elapsed().as_secs_f64());
        self.found.iter().for_each(|detection| metrics.detected(&detection.class));
        let seen = Seen::Detections(Picture {
            width: pixels.width(),
            height: pixels.height(),
            model: detector.model().clone(),
            detections: std::mem::take(&mut self.found),
            image: self.snapshot(captured_at, &pixels),
        });
        let published = publisher.publish(captured_at, seen)?;
        if let (Some(frame), Some(watcher)) = (published, &self.around.watcher) {
            watcher.see(&frame, &pixels);
        }
        Ok(())
    }
    /// The picture itself, if its time has come.
    fn snapshot(&mut self, captured_at: UnixMillis, pixels: &Pixels<'_>) -> Option<Jpeg> {
        let since_began = captured_at.since(self.began_at?);
        if !self.snapshots.as_mut()?.takes(since_began) {
            return None;
        }
        // What was found in it counts all the same.
        annotate::snapshot(pixels)
            .inspect_err(|error| {
                tracing::warn!(source = %self.camera.source, %error, "frame goes without its picture");
            })
            .ok()
    }
}

/// Chooses the frames that carry their picture.
fn snapshots(camera: &Camera) -> Option<Sampler> {
    let millis = u64::try_from(camera.snapshot_every.as_millis()).ok()?;
    Some(Sampler::new(Cadence::Every(NonZeroU64::new(millis)?)))
}
