//! What a user can say about cameras, detectors and simulated herds: the sections
//! `[[camera]]`, `[detector]`, `[[herd]]` and `[publish]` of `animov.toml`.

use std::collections::BTreeSet;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use schemas::frame::ANIMALS_MAX;
use schemas::source::SourceId;
use schemas::time::UnixMillis;
use serde::{Deserialize, Deserializer};

use crate::camera::Camera;
use crate::detect::letterbox::Placement;
use crate::detect::model::ModelFile;
use crate::detect::onnx::OnnxOptions;
use crate::input::{Input, InvalidInput};
use crate::publish::PublishOptions;
use crate::sample::Cadence;
use crate::simulate::{HerdRun, HerdSpec};
use crate::spool::{SpoolOptions, WhenFull};

/// Frames that carry pictures are many times longer than others: how often there
/// may be one.
const SNAPSHOT_EVERY_MIN: Duration = Duration::from_secs(10);

/// Everything that produces frames.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProducersConfig {
    /// The cameras; none by default.
    pub camera: Vec<CameraConfig>,
    /// How pictures are looked at.
    pub detector: DetectorConfig,
    /// Herds that are simulated; none by default.
    pub herd: Vec<HerdConfig>,
    /// How frames reach the log.
    pub publish: PublishConfig,
}

/// `[[camera]]`: one source of pictures. `source` and `url` are required.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CameraConfig {
    /// The number that names the source everywhere, from 1.
    pub source: SourceId,

    /// What people call it. Default: `camera` and its number.
    #[serde(default)]
    pub name: Option<String>,

    /// A video or picture file, or an `rtsp://` or `http://` URL. `${NAME}` stands
    /// for an environment variable, so that passwords need not be in the file.
    pub url: Input,

    /// Event time from one sampled picture to the next, or "frame" for every
    /// picture. Default: "1s".
    #[serde(default, deserialize_with = "cadence")]
    pub every: Cadence,

    /// Event time from one frame that carries its picture, for the snapshots, to
    /// the next: at least 10 s, or "0s" for never. The first frame does. Default:
    /// "15m".
    #[serde(default = "default_snapshot_every", with = "humantime_serde")]
    pub snapshot_every: Duration,

    /// Another model than the detector's, a file. Default: the detector's.
    #[serde(default)]
    pub model: Option<PathBuf>,

    /// Decode only pictures that stand for themselves: far cheaper, but no more
    /// frequent than the camera's key frames (often one in 2 to 10 s). Default:
    /// false.
    #[serde(default)]
    pub keyframes_only: bool,

    /// For files: event time of the first picture, RFC 3339. Default: when the file
    /// says that it was recorded, else the moment it is opened.
    #[serde(default, deserialize_with = "moment")]
    pub started_at: Option<UnixMillis>,

    /// For files: begin again at the end; event time goes on. Default: false.
    #[serde(default)]
    pub repeat: bool,

    /// After how long a silence a camera counts as lost and is connected to again.
    /// Default: "10s".
    #[serde(default = "default_silence", with = "humantime_serde")]
    pub silence_max: Duration,
}

/// `[detector]`: the model that looks at every camera's pictures.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DetectorConfig {
    /// The model, an ONNX file: YOLOX, or Ultralytics `YOLOv8` or v11. Default: the
    /// built-in one, which knows goats, standing and lying, but only drawn ones; for
    /// real animals bring a model that was trained on them.
    pub model: Option<PathBuf>,

    /// ONNX Runtime's library, `libonnxruntime.so`. Default: looked for in
    /// `ORT_DYLIB_PATH`, beside the executable, in the user's cache and in the system.
    pub runtime: Option<PathBuf>,

    /// Only boxes surer than this are counted, 0 to 1. Raise it if shadows are counted,
    /// lower it if animals are missed. Default: what the model says itself (the
    /// built-in one does, in its metadata's `confidence`), else 0.25, which is
    /// Ultralytics' own.
    pub confidence: Option<Confidence>,

    /// Two boxes that share more than this of their area, 0 to 1, are one animal.
    /// Default: what the model says itself, else 0.45.
    pub iou_max: Option<Overlap>,

    /// Whether two boxes of two classes can be one animal: true where the classes are
    /// postures of the same animals. Default: what the model says itself (the built-in
    /// one: true), else false.
    pub class_agnostic: Option<bool>,

    /// Where in the model's input a picture lies, as it did in the model's training:
    /// `"top-left"`, `"centre"`, or `"stretch"` over all of it. Default: what the model
    /// says itself, else what is usual: the corner for YOLOX, the centre for Ultralytics.
    pub placement: Option<Placement>,

    /// The names of the model's classes, in its order. Default: as the model says
    /// itself.
    pub classes: Vec<String>,
}

/// A number from 0 to 1.
macro_rules! fraction {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
        #[serde(try_from = "f32")]
        pub struct $name(f32);

        impl $name {
            /// The number itself.
            pub fn get(self) -> f32 {
                self.0
            }
        }

        impl TryFrom<f32> for $name {
            type Error = NotAFraction;

            fn try_from(number: f32) -> Result<$name, NotAFraction> {
                match (0.0..=1.0).contains(&number) {
                    true => Ok($name(number)),
                    false => Err(NotAFraction(number)),
                }
            }
        }
    };
}

fraction! {
    /// How sure a detector must be, 0 to 1.
    Confidence
}

fraction! {
    /// How much two boxes overlap: intersection over union, 0 to 1.
    Overlap
}

/// A number that is not from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{0} is not a number from 0 to 1")]
pub struct NotAFraction(f32);

/// `[[herd]]`: simulated animals instead of cameras. `sources` is required.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HerdConfig {
    /// The sources that the herd stands in front of, each with its own animals.
    pub sources: Vec<SourceId>,

    /// Animals in front of each source, 0 to 1024. Default: 12.
    #[serde(default = "default_animals")]
    pub animals: u32,

    /// Another seed is another herd. Default: 1.
    #[serde(default = "default_seed")]
    pub seed: u64,

    /// Event time from one frame to the next, at least 1 ms. Default: "1s".
    #[serde(default = "default_every", with = "humantime_serde")]
    pub every: Duration,

    /// How far before now event time begins. Default: "0s".
    #[serde(default, with = "humantime_serde")]
    pub started_ago: Duration,

    /// Event time of the first frame, RFC 3339, instead of `started_ago`. Default:
    /// none.
    #[serde(default, deserialize_with = "moment")]
    pub started_at: Option<UnixMillis>,

    /// Simulated seconds per second, until event time has caught up with now; then
    /// it goes on at 1. Default: 1.
    #[serde(default = "default_speed")]
    pub speed: f64,

    /// Publish boxes; false publishes counts only. Default: true.
    #[serde(default = "default_boxes")]
    pub boxes: bool,

    /// Local time less UTC, minutes: when the herd's night is. Default: 0.
    #[serde(default)]
    pub utc_offset_minutes: i32,
}

/// `[publish]`: how frames reach the log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PublishConfig {
    /// Frames that wait for the log at most; then cameras drop pictures. Default:
    /// 8192.
    pub queue_frames_max: NonZeroUsize,

    /// Frames appended together at most. Default: 1024.
    pub batch_frames_max: NonZeroUsize,

    /// First wait after a failed append; each further one is twice as long. Default:
    /// "100ms".
    #[serde(with = "humantime_serde")]
    pub backoff_first: Duration,

    /// Longest wait after a failed append. Default: "5s".
    #[serde(with = "humantime_serde")]
    pub backoff_max: Duration,

    /// How long to go on trying when the process ends. Default: "10s".
    #[serde(with = "humantime_serde")]
    pub grace: Duration,

    /// `[publish.spool]`
    pub spool: SpoolConfig,
}

/// `[publish.spool]`: where frames wait while a log on a server is away. The embedded
/// log needs no spool and has none.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpoolConfig {
    /// Folder. Default: `spool` in `site.state_dir`, "animov-data/spool".
    pub dir: PathBuf,

    /// Bytes on the disk, at most; then `when_full` decides. At least 16777216 (16
    /// MiB). Default: 4294967296 (4 GiB), which is two days of 64 cameras that show a
    /// dozen animals each second.
    pub bytes_max: NonZeroU64,

    /// Frames that the log has not taken for so long are dropped, and counted. Default:
    /// "7days".
    #[serde(with = "humantime_serde")]
    pub age_max: Duration,

    /// What happens when there is no more room: "`drop_oldest`" drops the oldest frames
    /// and counts them; "wait" takes no more: recordings wait, and live cameras lose
    /// new pictures instead of old frames. Default: "`drop_oldest`".
    pub when_full: WhenFull,

    /// How long the log may take for an append before its frames are spooled. Default:
    /// "2s".
    #[serde(with = "humantime_serde")]
    pub log_timeout: Duration,
}

/// The least that a spool may take on the disk, bytes.
pub const SPOOL_BYTES_MIN: u64 = 16 << 20;

impl Default for SpoolConfig {
    fn default() -> SpoolConfig {
        SpoolConfig {
            dir: "animov-data/spool".into(),
            bytes_max: NonZeroU64::new(4 << 30).unwrap_or(NonZeroU64::MIN),
            age_max: Duration::from_hours(7 * 24),
            when_full: WhenFull::default(),
            log_timeout: Duration::from_secs(2),
        }
    }
}

impl Default for PublishConfig {
    fn default() -> PublishConfig {
        let options = PublishOptions::default();
        let frames = |frames| NonZeroUsize::new(frames).unwrap_or(NonZeroUsize::MIN);
        PublishConfig {
            queue_frames_max: frames(options.queue_frames_max),
            batch_frames_max: frames(options.batch_frames_max),
            backoff_first: options.backoff_first,
            backoff_max: options.backoff_max,
            grace: options.grace,
            spool: SpoolConfig::default(),
        }
    }
}

/// A rule between fields that is broken.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ConfigFault {
    #[error(
        "source {0} is named more than once in [[camera]] and [[herd]]: its frames could not be told apart"
    )]
    SourceTwice(SourceId),
    #[error("camera {camera}: {fault}")]
    Input { camera: SourceId, fault: InvalidInput },
    #[error("camera {0} is read over a network and cannot repeat: repeat is for files")]
    RepeatsNetwork(SourceId),
    #[error("camera {0} has silence_max = 0: it would be lost at once")]
    NoSilence(SourceId),
    #[error(
        "camera {camera} has snapshot_every = {every:?}: pictures would fill memory and disks; \
         at least 10s, or 0s for none"
    )]
    SnapshotsTooOften { camera: SourceId, every: Duration },
    #[error("herd {0}: sources is empty; name at least one")]
    NoSources(usize),
    #[error("herd {herd}: {animals} animals; a frame shows at most {ANIMALS_MAX}")]
    TooManyAnimals { herd: usize, animals: u32 },
    #[error("herd {0}: every is less than 1 ms")]
    TooOften(usize),
    #[error("herd {herd}: speed = {speed} is not a number from 0.001 to 1000000")]
    Speed { herd: usize, speed: f64 },
    #[error("herd {0}: started_ago and started_at are both set; keep one")]
    TwoStarts(usize),
    #[error(
        "publish.backoff_first is {first:?} but publish.backoff_max is {max:?}: the longest wait must not be the shorter one"
    )]
    Backoff { first: Duration, max: Duration },
    #[error("publish.spool.bytes_max is {0}; a spool needs {SPOOL_BYTES_MIN} bytes (16 MiB)")]
    SpoolBytes(NonZeroU64),
    #[error("publish.spool.age_max is zero: a frame that has to wait would be dropped at once")]
    SpoolAge,
    #[error("publish.spool.log_timeout is zero: every frame would be spooled")]
    SpoolTimeout,
}

impl ProducersConfig {
    /// The rules between fields that are broken, all of them. `variable` says what an
    /// environment variable holds.
    pub fn faults(&self, variable: impl Fn(&str) -> Option<String>) -> Vec<ConfigFault> {
        let mut faults = Vec::new();
        let mut known = BTreeSet::new();
        let cameras = self.camera.iter().map(|camera| camera.source);
        for source in cameras.chain(self.herd.iter().flat_map(|herd| herd.sources.clone())) {
            if !known.insert(source) {
                faults.push(ConfigFault::SourceTwice(source));
            }
        }
        for camera in &self.camera {
            let source = camera.source;
            if let Err(fault) = camera.url.expanded(&variable) {
                faults.push(ConfigFault::Input { camera: source, fault });
            }
            if camera.repeat && camera.url.is_network() {
                faults.push(ConfigFault::RepeatsNetwork(source));
            }
            if camera.silence_max.is_zero() {
                faults.push(ConfigFault::NoSilence(source));
            }
            let every = camera.snapshot_every;
            if !every.is_zero() && every < SNAPSHOT_EVERY_MIN {
                faults.push(ConfigFault::SnapshotsTooOften { camera: source, every });
            }
        }
        for (number, herd) in (1..).zip(&self.herd) {
            herd.faults(number, &mut faults);
        }
        let (first, max) = (self.publish.backoff_first, self.publish.backoff_max);
        if max < first {
            faults.push(ConfigFault::Backoff { first, max });
        }
        self.publish.spool.faults(&mut faults);
        faults
    }
}

impl CameraConfig {
    /// A camera of the defaults.
    pub fn new(source: SourceId, url: Input) -> CameraConfig {
        CameraConfig {
            source,
            name: None,
            url,
            every: Cadence::default(),
            snapshot_every: default_snapshot_every(),
            model: None,
            keyframes_only: false,
            started_at: None,
            repeat: false,
            silence_max: default_silence(),
        }
    }

    /// What people call the source.
    pub fn display_name(&self) -> String {
        self.name.clone().unwrap_or_else(|| format!("camera {}", self.source))
    }

    /// The camera that this means; `variable` says what an environment variable
    /// holds.
    ///
    /// # Errors
    ///
    /// The URL names a variable that is not set, or is empty.
    pub fn camera(
        &self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Camera, InvalidInput> {
        Ok(Camera {
            source: self.source,
            input: self.url.expanded(variable)?,
            every: self.every,
            snapshot_every: self.snapshot_every,
            keyframes_only: self.keyframes_only,
            started_at: self.started_at,
            repeat: self.repeat,
            silence_max: self.silence_max,
        })
    }
}

impl DetectorConfig {
    /// The detector for a camera that may name a model of its own.
    pub fn options(&self, own_model: Option<&PathBuf>) -> OnnxOptions {
        let named = own_model.or(self.model.as_ref());
        OnnxOptions {
            model: named.cloned().map_or(ModelFile::BuiltIn, ModelFile::File),
            runtime: self.runtime.clone(),
            confidence: self.confidence.map(Confidence::get),
            iou_max: self.iou_max.map(Overlap::get),
            class_agnostic: self.class_agnostic,
            placement: self.placement,
            classes: self.classes.clone(),
        }
    }
}

impl HerdConfig {
    /// A herd of the defaults in front of `sources`.
    pub fn new(sources: Vec<SourceId>) -> HerdConfig {
        HerdConfig {
            sources,
            animals: default_animals(),
            seed: default_seed(),
            every: default_every(),
            started_ago: Duration::ZERO,
            started_at: None,
            speed: default_speed(),
            boxes: default_boxes(),
            utc_offset_minutes: 0,
        }
    }

    /// The run that this means, begun `now`.
    pub fn run(&self, now: UnixMillis) -> HerdRun {
        let HerdConfig { animals, seed, utc_offset_minutes, .. } = *self;
        HerdRun {
            spec: HerdSpec { seed, animals, utc_offset_minutes },
            every: self.every,
            started_at: self.started_at.unwrap_or_else(|| now.minus(self.started_ago)),
            speed: self.speed,
            boxes: self.boxes,
        }
    }

    fn faults(&self, number: usize, faults: &mut Vec<ConfigFault>) {
        if self.sources.is_empty() {
            faults.push(ConfigFault::NoSources(number));
        }
        if ANIMALS_MAX < self.animals {
            faults.push(ConfigFault::TooManyAnimals { herd: number, animals: self.animals });
        }
        if self.every < Duration::from_millis(1) {
            faults.push(ConfigFault::TooOften(number));
        }
        if !(0.001..=1e6).contains(&self.speed) {
            faults.push(ConfigFault::Speed { herd: number, speed: self.speed });
        }
        if self.started_at.is_some() && !self.started_ago.is_zero() {
            faults.push(ConfigFault::TwoStarts(number));
        }
    }
}

impl From<&PublishConfig> for PublishOptions {
    fn from(config: &PublishConfig) -> PublishOptions {
        PublishOptions {
            queue_frames_max: config.queue_frames_max.get(),
            batch_frames_max: config.batch_frames_max.get(),
            backoff_first: config.backoff_first,
            backoff_max: config.backoff_max,
            grace: config.grace,
        }
    }
}

impl SpoolConfig {
    fn faults(&self, faults: &mut Vec<ConfigFault>) {
        if self.bytes_max.get() < SPOOL_BYTES_MIN {
            faults.push(ConfigFault::SpoolBytes(self.bytes_max));
        }
        if self.age_max.is_zero() {
            faults.push(ConfigFault::SpoolAge);
        }
        if self.log_timeout.is_zero() {
            faults.push(ConfigFault::SpoolTimeout);
        }
    }
}

impl From<&PublishConfig> for SpoolOptions {
    fn from(config: &PublishConfig) -> SpoolOptions {
        let SpoolConfig { dir, bytes_max, age_max, when_full, log_timeout } = config.spool.clone();
        SpoolOptions {
            dir,
            bytes_max: bytes_max.get(),
            age_max,
            when_full,
            log_timeout,
            backoff_first: config.backoff_first,
            backoff_max: config.backoff_max,
        }
    }
}

fn default_snapshot_every() -> Duration {
    Duration::from_mins(15)
}

fn default_silence() -> Duration {
    Duration::from_secs(10)
}

fn default_animals() -> u32 {
    12
}

fn default_seed() -> u64 {
    1
}

fn default_every() -> Duration {
    Duration::from_secs(1)
}

fn default_speed() -> f64 {
    1.0
}

fn default_boxes() -> bool {
    true
}

fn cadence<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cadence, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<UnixMillis>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
}

#[cfg(test)]
mod tests;
