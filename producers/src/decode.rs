//! Pictures out of files, images and network streams. Besides
//! [`encode`](crate::encode) the only file that names FFmpeg.
//!
//! # Invariants
//!
//! - Every wait ends: opening and each read are given up after a silence of
//!   [`DecodeOptions::silence_max`], and at once when the [`Stop`] is turned. Opening
//!   may besides take `PROBE_MAX`, for FFmpeg to look at what comes. One thing
//!   FFmpeg cannot interrupt is the system's name resolution.
//! - What cannot be decoded is skipped and counted, never fatal: a damaged packet
//!   costs its pictures. An input that gives no picture at all is an error.
//! - Pictures come in the order they are shown, each with its place on the
//!   source's [`Timeline`]; B-frames held back by the decoder come out at the end.
//! - A picture is converted to RGB only when its pixels are asked for, and then is upright.

mod waiting;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use ffmpeg_next as ffmpeg;

use ffmpeg::error::{EAGAIN, ETIMEDOUT};
use ffmpeg::software::scaling;
use ffmpeg::{Packet, Rational, format, frame, media};
use schemas::stop::Stop;
use schemas::time::UnixMillis;

use crate::input::Input;
use crate::pixels::{InvalidPixels, Pixels};
use crate::timeline::Timeline;
use crate::turn::Turn;
use waiting::Waiting;

/// How an input is opened and read.
#[derive(Clone, Debug)]
pub struct DecodeOptions {
    /// Decode pictures that stand for themselves and skip what lies between:
    /// many times cheaper, and as coarse as the source's key frame interval.
    pub keyframes_only: bool,
    /// Threads of the decoder; one is the most efficient, several cameras are
    /// several threads anyway.
    pub threads: usize,
    /// Longest silence of an input, while opening and between two packets.
    pub silence_max: Duration,
    pub stop: Stop,
}

impl Default for DecodeOptions {
    fn default() -> DecodeOptions {
        DecodeOptions {
            keyframes_only: false,
            threads: 1,
            silence_max: Duration::from_secs(10),
            stop: Stop::default(),
        }
    }
}

/// Why an input gives no more pictures.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("could not open {input}: {hint}")]
    Open { input: Input, hint: &'static str, source: ffmpeg::Error },

    #[error("{input} holds no video: FFmpeg read it, but found no pictures in it")]
    NoVideo { input: Input },

    #[error("this FFmpeg cannot decode the video of {input} (codec {codec})")]
    Codec { input: Input, codec: String, source: ffmpeg::Error },

    #[error("not one picture of {input} could be decoded; the file is damaged or empty")]
    NoPicture { input: Input },

    #[error("{input} was silent for {silence:?}; is the camera on, and can it be reached?")]
    Silent { input: Input, silence: Duration },

    #[error("could not read on from {input}")]
    Read { input: Input, source: ffmpeg::Error },

    #[error(
        "{input} shows pictures of {width} x {height}; 2 x 2 to {PIXELS_MAX} pixels in all can be read"
    )]
    Size { input: Input, width: u32, height: u32 },

    #[error("could not convert a picture of {input} to RGB")]
    Convert { input: Input, source: ffmpeg::Error },

    #[error("FFmpeg gave {input} as something else than RGB")]
    Pixels { input: Input, source: InvalidPixels },

    #[error("stopped while reading {input}")]
    Stopped { input: Input },
}

/// Most pixels of a picture: four times 8K. It bounds the memory of one source.
pub const PIXELS_MAX: u64 = 4 * 7680 * 4320;

/// How FFmpeg says that a wait took too long, where it does say so.
const TIMED_OUT: ffmpeg::Error = ffmpeg::Error::Other { errno: ETIMEDOUT };

/// How much of a network stream FFmpeg looks at, at most, to tell what it is.
///
/// Opening has this long beyond a silence: cut off in the middle of a look, FFmpeg
/// hands out what it has seen, and not one picture more.
const PROBE_MAX: Duration = Duration::from_secs(5);

/// What FFmpeg calls streams of pictures that bear no times. It counts 25 of them a second,
/// however many come.
const UNTIMED: [&str; 4] = ["mpjpeg", "mjpeg", "h264", "hevc"];

/// Most damaged packets in a row before an input counts as unreadable.
const DAMAGED_RUN_MAX: u32 = 10_000;

/// An opened input, moving forward.
pub struct Decoder {
    name: Input,
    input: format::context::Input,
    codec: ffmpeg::decoder::Video,
    stream: usize,
    time_base: Rational,
    timeline: Timeline,
    picture: frame::Video,
    converter: Converter,
    /// As the container says.
    turn: Turn,
    watch: Watch,
    waiting: Waiting,
    untimed: bool,
    keyframes_only: bool,
    /// Whether the last packet was read: only held-back pictures are left.
    draining: bool,
    decoded: u64,
    damaged: u64,
    damaged_run: u32,
}

impl Decoder {
    /// Opens `input` and finds its video.
    ///
    /// # Errors
    ///
    /// There is no such input, it is no video, or it did not answer in time.
    pub fn open(input: &Input, options: &DecodeOptions) -> Result<Decoder, DecodeError> {
        quiet();
        let watch = Watch::new(options);
        if input.reveal().contains('\0') {
            let hint = "its name holds a zero byte";
            return Err(open_error(input, hint, ffmpeg::Error::InvalidData));
        }
        watch.arm_for(options.silence_max.saturating_add(PROBE_MAX));
        let opened = format::input_with_interrupt_and_dictionary(
            input.reveal(),
            watch.interrupt(),
            protocol_options(input, options),
        );
        let opened = opened.map_err(|source| {
            // RTSP calls an answer that did not come invalid data.
            let unanswered = source == ffmpeg::Error::InvalidData
                && input.is_network()
                && options.silence_max <= watch.began.elapsed();
            let source = if unanswered { TIMED_OUT } else { source };
            let interrupted = watch.why(input, source);
            interrupted.unwrap_or_else(|| open_error(input, hint_for(source, input), source))
        })?;
        let no_video = || DecodeError::NoVideo { input: input.clone() };
        let stream = opened.streams().best(media::Type::Video).ok_or_else(no_video)?;
        let codec = open_codec(&stream, input, options)?;
        let time_base = stream.time_base();
        let (index, step) = (stream.index(), picture_interval(&stream));
        let turn = turn_of(&stream);
        let mut decoder = Decoder {
            name: input.clone(),
            stream: index,
            time_base,
            timeline: Timeline::new(step),
            input: opened,
            codec,
            picture: frame::Video::empty(),
            converter: Converter::default(),
            turn,
            watch,
            waiting: Waiting::begun(Instant::now()),
            untimed: false,
            keyframes_only: options.keyframes_only,
            draining: false,
            decoded: 0,
            damaged: 0,
            damaged_run: 0,
        };
        decoder.untimed = decoder.is_live() && UNTIMED.contains(&decoder.input.format().name());
        Ok(decoder)
    }

    /// Moves on to the next picture and tells its place after the first one;
    /// `None` at the end.
    ///
    /// # Errors
    ///
    /// The input fell silent, broke off or never had a picture.
    pub fn advance(&mut self) -> Result<Option<Duration>, DecodeError> {
        loop {
            match self.codec.receive_frame(&mut self.picture) {
                Ok(()) => {
                    let place = self.timeline.place(self.timestamp());
                    self.check_size()?;
                    self.decoded += 1;
                    self.damaged_run = 0;
                    return Ok(Some(place));
                }
                Err(ffmpeg::Error::Eof) => return self.ended(),
                Err(ffmpeg::Error::Other { errno: EAGAIN }) if self.draining => {
                    return self.ended();
                }
                Err(ffmpeg::Error::Other { errno: EAGAIN }) => {}
                Err(_) => self.note_damage()?,
            }
            if !self.draining {
                self.feed()?;
            }
        }
    }

    /// The pixels of the picture that [`advance`](Decoder::advance) moved to.
    ///
    /// # Errors
    ///
    /// FFmpeg cannot convert this format.
    pub fn pixels(&mut self) -> Result<Pixels<'_>, DecodeError> {
        let turn = self.turn();
        self.converter.convert(&self.picture, turn, &self.name)
    }

    /// Width and height of the current picture, pixels.
    pub fn size(&self) -> (u32, u32) {
        self.turn().size((self.picture.width(), self.picture.height()))
    }

    /// How the current picture is turned: a photo says so itself.
    fn turn(&self) -> Turn {
        let own = self.picture.side_data(frame::side_data::Type::DisplayMatrix);
        own.map_or(self.turn, |matrix| Turn::of_matrix(matrix.data()))
    }

    /// The current picture's time in microseconds, on a clock that need not begin anywhere.
    fn timestamp(&self) -> Option<i64> {
        if self.untimed {
            return i64::try_from(self.watch.began.elapsed().as_micros()).ok();
        }
        self.picture.timestamp().map(|timestamp| self.micros(timestamp))
    }

    /// Whether a picture's place is when it came, because the stream bears no times.
    pub fn is_untimed(&self) -> bool {
        self.untimed
    }

    /// Whether pictures are looked at as fast as they come; else what is looked at is from
    /// a queue that grows.
    pub fn keeps_up(&self) -> bool {
        self.waiting.keeps_up()
    }

    /// Whether the input goes on for as long as somebody films: it comes over RTSP,
    /// or over another network protocol that does not say how long it is.
    ///
    /// An RTSP server may say how long its stream is, and still be a camera: one that
    /// shows a film in a loop, or a recorder that tells how much it has kept.
    pub fn is_live(&self) -> bool {
        self.name.is_rtsp() || self.name.is_network() && self.input.duration() <= 0
    }

    /// When the recording began, if the file says so.
    pub fn created_at(&self) -> Option<UnixMillis> {
        let of_stream =
            || self.input.stream(self.stream)?.metadata().get("creation_time")?.parse().ok();
        self.input.metadata().get("creation_time").and_then(|at| at.parse().ok()).or_else(of_stream)
    }

    /// How long the pictures so far last.
    pub fn length(&self) -> Duration {
        self.timeline.length()
    }

    /// Pictures so far.
    pub fn decoded(&self) -> u64 {
        self.decoded
    }

    /// Packets and pictures so far that could not be decoded.
    pub fn damaged(&self) -> u64 {
        self.damaged
    }

    /// Reads on until the decoder has something new to work on.
    fn feed(&mut self) -> Result<(), DecodeError> {
        self.watch.arm();
        loop {
            // A new one each time: FFmpeg overwrites a packet without freeing it.
            let mut packet = Packet::empty();
            let asked = Instant::now();
            let read = packet.read(&mut self.input);
            self.waiting.read(asked, Instant::now());
            match read {
                // An empty packet would tell the decoder that the input ended.
                Ok(()) if packet.stream() != self.stream || packet.size() == 0 => {}
                Ok(()) if self.keyframes_only && !packet.is_key() => self.watch.arm(),
                // What FFmpeg held back it hands out when its wait fails, and tells no more
                // of that: the silence would begin anew.
                Ok(()) if self.name.is_network() && self.watch.expired() => {}
                Ok(()) => match self.codec.send_packet(&packet) {
                    Ok(()) => return Ok(()),
                    Err(_) => return self.note_damage(),
                },
                Err(ffmpeg::Error::Eof) => return self.drain(),
                Err(ffmpeg::Error::InvalidData) => self.note_damage()?,
                Err(ffmpeg::Error::Other { errno: EAGAIN }) => {
                    self.watch.options.stop.wait(Duration::from_millis(10));
                }
                Err(source) => {
                    let interrupted = self.watch.why(&self.name, source);
                    let input = self.name.clone();
                    return Err(interrupted.unwrap_or(DecodeError::Read { input, source }));
                }
            }
            // Not every demuxer asks between two packets of another stream.
            if let Some(interrupted) = self.watch.why(&self.name, ffmpeg::Error::Unknown) {
                return Err(interrupted);
            }
        }
    }

    fn drain(&mut self) -> Result<(), DecodeError> {
        self.draining = true;
        match self.codec.send_eof() {
            Ok(()) | Err(ffmpeg::Error::Eof) => Ok(()),
            Err(source) => Err(DecodeError::Read { input: self.name.clone(), source }),
        }
    }

    fn ended(&self) -> Result<Option<Duration>, DecodeError> {
        match self.decoded {
            0 => Err(DecodeError::NoPicture { input: self.name.clone() }),
            _ => Ok(None),
        }
    }

    fn note_damage(&mut self) -> Result<(), DecodeError> {
        self.damaged += 1;
        self.damaged_run += 1;
        if DAMAGED_RUN_MAX < self.damaged_run {
            let source = ffmpeg::Error::InvalidData;
            return Err(DecodeError::Read { input: self.name.clone(), source });
        }
        Ok(())
    }

    fn check_size(&self) -> Result<(), DecodeError> {
        // For each picture, whether it is looked at or not: turned, it has as many pixels.
        let (width, height) = (self.picture.width(), self.picture.height());
        if 2 <= width && 2 <= height && u64::from(width) * u64::from(height) <= PIXELS_MAX {
            return Ok(());
        }
        Err(DecodeError::Size { input: self.name.clone(), width, height })
    }

    /// A timestamp of the stream in microseconds, rounded down: so it reaches a
    /// whole millisecond exactly when the picture does.
    fn micros(&self, timestamp: i64) -> i64 {
        let (num, den) = (self.time_base.numerator(), self.time_base.denominator().max(1));
        let micros = (i128::from(timestamp) * i128::from(num) * 1_000_000).div_euclid(den.into());
        i64::try_from(micros).unwrap_or(if micros < 0 { i64::MIN } else { i64::MAX })
    }
}

fn open_codec(
    stream: &ffmpeg::Stream<'_>,
    input: &Input,
    options: &DecodeOptions,
) -> Result<ffmpeg::decoder::Video, DecodeError> {
    let parameters = stream.parameters();
    let codec = format!("{:?}", parameters.id()).to_lowercase();
    let error = |source| DecodeError::Codec { input: input.clone(), codec: codec.clone(), source };
    let context = ffmpeg::codec::Context::from_parameters(parameters).map_err(error)?;
    let mut decoder = context.decoder();
    decoder.set_packet_time_base(stream.time_base());
    decoder.set_threading(ffmpeg::threading::Config {
        kind: ffmpeg::threading::Type::Frame,
        ..ffmpeg::threading::Config::count(options.threads.max(1))
    });
    if options.keyframes_only {
        decoder.skip_frame(ffmpeg::Discard::NonKey);
    }
    decoder.video().map_err(error)
}

/// How the container says that pictures are turned.
fn turn_of(stream: &ffmpeg::Stream<'_>) -> Turn {
    let is_matrix = |data: &ffmpeg::packet::SideData<'_>| {
        data.kind() == ffmpeg::packet::side_data::Type::DisplayMatrix
    };
    let matrix = stream.side_data().find(is_matrix);
    matrix.map(|matrix| Turn::of_matrix(matrix.data())).unwrap_or_default()
}

/// The time between two pictures as the container says, 40 ms if it does not.
fn picture_interval(stream: &ffmpeg::Stream<'_>) -> Duration {
    [stream.avg_frame_rate(), stream.rate()]
        .into_iter()
        .filter(|rate| 0 < rate.numerator() && 0 < rate.denominator())
        .map(|rate| f64::from(rate.denominator()) / f64::from(rate.numerator()))
        .find(|seconds| (0.001..=3600.0).contains(seconds))
        .map_or(Duration::from_millis(40), Duration::from_secs_f64)
}

fn protocol_options(input: &Input, options: &DecodeOptions) -> ffmpeg::Dictionary<'static> {
    let mut dictionary = ffmpeg::Dictionary::new();
    if input.is_network() {
        let micros = options.silence_max.as_micros().to_string();
        // The watch ends a silence too; these let FFmpeg say itself what it waited for.
        // To RTMP it would mean to listen, and not to call.
        if !input.is_rtmp() {
            dictionary.set("timeout", &micros);
        }
        dictionary.set("rw_timeout", &micros);
        dictionary.set("analyzeduration", &PROBE_MAX.as_micros().to_string());
        if input.is_rtsp() {
            // The server has said what the stream is. Watching it for its frame rate
            // would take 20 pictures, seconds, which then come late and all at once.
            dictionary.set("fpsprobesize", "0");
            dictionary.set("max_ts_probe", "0");
            // UDP loses packets, and a lost packet is a damaged picture.
            dictionary.set("rtsp_transport", "tcp");
        }
    }
    dictionary
}

fn open_error(input: &Input, hint: &'static str, source: ffmpeg::Error) -> DecodeError {
    DecodeError::Open { input: input.clone(), hint, source }
}

fn hint_for(error: ffmpeg::Error, input: &Input) -> &'static str {
    match error {
        ffmpeg::Error::InvalidData | ffmpeg::Error::Eof if !input.is_network() => {
            "it is no video or image that this FFmpeg reads, or it is cut off"
        }
        ffmpeg::Error::HttpUnauthorized | ffmpeg::Error::HttpForbidden => {
            "the camera refused; check user and password"
        }
        ffmpeg::Error::HttpNotFound => "the camera has nothing there; check the path",
        ffmpeg::Error::ProtocolNotFound => "this FFmpeg does not speak that protocol",
        _ if input.is_network() => "no stream could be had; check address, path and password",
        _ => "check that it exists and may be read",
    }
}

/// Errors come back as values; what FFmpeg would write to standard error besides
/// is neither structured nor tied to a source.
pub(crate) fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        format::network::init();
        ffmpeg::log::set_level(ffmpeg::log::Level::Fatal);
    });
}

/// Ends FFmpeg's waits: asked by it from inside every blocking call.
#[derive(Clone)]
struct Watch {
    options: DecodeOptions,
    began: Instant,
    /// Milliseconds after `began` at which the present wait is over.
    deadline_ms: Arc<AtomicU64>,
}

impl Watch {
    fn new(options: &DecodeOptions) -> Watch {
        let deadline_ms = Arc::new(AtomicU64::new(u64::MAX));
        Watch { options: options.clone(), began: Instant::now(), deadline_ms }
    }

    /// Gives the wait that begins now its time.
    fn arm(&self) {
        self.arm_for(self.options.silence_max);
    }

    fn arm_for(&self, longest: Duration) {
        let deadline = self.elapsed_ms().saturating_add(millis(longest));
        self.deadline_ms.store(deadline, Ordering::Relaxed);
    }

    fn expired(&self) -> bool {
        self.options.stop.is_stopped()
            || self.deadline_ms.load(Ordering::Relaxed) < self.elapsed_ms()
    }

    fn interrupt(&self) -> impl FnMut() -> bool + Send + 'static {
        let this = self.clone();
        move || this.expired()
    }

    /// What a failed wait really is, if it was ended from here or took too long: each
    /// protocol reports that with an error of its own.
    fn why(&self, input: &Input, error: ffmpeg::Error) -> Option<DecodeError> {
        let input = input.clone();
        if self.options.stop.is_stopped() {
            return Some(DecodeError::Stopped { input });
        }
        (self.expired() || error == TIMED_OUT)
            .then_some(DecodeError::Silent { input, silence: self.options.silence_max })
    }

    fn elapsed_ms(&self) -> u64 {
        millis(self.began.elapsed())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Converts pictures to RGB of their own size.
///
/// Not scaled by FFmpeg: the detectors were trained on pictures that `OpenCV`
/// scaled, and swscale's scalers find other boxes (see `detect::letterbox`). At its
/// own size, the conversion is FFmpeg's fastest path, and costs less than any of
/// its scalers.
#[derive(Default)]
struct Converter {
    scaler: Option<scaling::Context>,
    rgb: Option<frame::Video>,
    /// Those that had to be turned.
    upright: Vec<u8>,
}

impl Converter {
    fn convert(
        &mut self,
        picture: &frame::Video,
        turn: Turn,
        name: &Input,
    ) -> Result<Pixels<'_>, DecodeError> {
        let convert = |source| DecodeError::Convert { input: name.clone(), source };
        let wanted = scaling::context::Definition {
            format: picture.format(),
            width: picture.width(),
            height: picture.height(),
        };
        let scaler = match self.scaler.take() {
            Some(scaler) if *scaler.input() == wanted => scaler,
            // The first picture, or the source changed its size or format.
            _ => {
                self.rgb = None;
                new_scaler(wanted).map_err(convert)?
            }
        };
        let scaler = self.scaler.insert(scaler);
        let rgb = self.rgb.get_or_insert_with(|| {
            frame::Video::new(format::Pixel::RGB24, wanted.width, wanted.height)
        });
        if rgb.planes() == 0 {
            return Err(convert(ffmpeg::Error::Other { errno: ffmpeg::error::ENOMEM }));
        }
        scaler.run(picture, rgb).map_err(convert)?;
        let pixels = Pixels::new(wanted.width, wanted.height, rgb.stride(0), rgb.data(0));
        let pixels = pixels.and_then(|pixels| turn.upright(pixels, &mut self.upright));
        pixels.map_err(|source| DecodeError::Pixels { input: name.clone(), source })
    }
}

fn new_scaler(from: scaling::context::Definition) -> Result<scaling::Context, ffmpeg::Error> {
    let scaling::context::Definition { format, width, height } = from;
    let rgb = format::Pixel::RGB24;
    scaling::Context::get(format, width, height, rgb, width, height, scaling::Flags::BILINEAR)
}
