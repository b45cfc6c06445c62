//! Pictures into H.264 video. Besides [`decode`](crate::decode) the only file that
//! names FFmpeg.
//!
//! # Invariants
//!
//! - The same pictures are the same bytes: one thread, no clock. (The encoder writes its
//!   own version into them, and another version may choose others.)
//! - Each picture keeps its time, to the millisecond; pictures may be any time apart.

use std::io::{Seek, Write};
use std::time::Duration;

use ffmpeg_next as ffmpeg;

use ffmpeg::error::{EAGAIN, EPIPE};
use ffmpeg::format::context::{Output, StreamIo};
use ffmpeg::software::scaling;
use ffmpeg::{Dictionary, Packet, Rational, codec, encoder, format, frame};
use schemas::time::UnixMillis;

use crate::decode::quiet;
use crate::pixels::{Pixels, index};

/// How pictures are encoded.
#[derive(Clone, Debug)]
pub struct EncodeOptions {
    /// Of every picture, pixels; even.
    pub width: u32,
    pub height: u32,
    /// How coarse, from 0, lossless, to 51 (x264's constant rate factor). Surveillance
    /// cameras look like 23 to 32.
    pub crf: u8,
    /// The time between two pictures, about: what the file says its rate is.
    pub every: Duration,
    /// Pictures from one that stands for itself to the next, at most.
    pub keyframe_every: u32,
    /// When the first picture was captured, for the file to say so.
    pub created_at: Option<UnixMillis>,
    /// Give out each picture at once, rather than smaller files.
    pub live: bool,
}

/// Why there is no video.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    #[error(
        "this FFmpeg cannot encode H.264: it was built without libx264; install one that has it (Debian's and Ubuntu's do)"
    )]
    NoEncoder,
    #[error("could not begin a video of {width} x {height}")]
    Begin { width: u32, height: u32, source: ffmpeg::Error },
    #[error("a picture of {found:?} does not fit into a video of {wanted:?}")]
    Size { found: (u32, u32), wanted: (u32, u32) },
    #[error("a picture of {0:?} does not come after the last one")]
    Order(Duration),
    #[error("could not encode or write a picture")]
    Write(#[source] ffmpeg::Error),
}

impl EncodeError {
    /// Whether whoever took the video has left, which is how people end a live one.
    pub fn reader_left(&self) -> bool {
        matches!(self, EncodeError::Write(ffmpeg::Error::Other { errno: EPIPE }))
    }
}

/// Milliseconds.
const TIME_BASE: Rational = Rational(1, 1000);

/// A video that is being written.
pub struct Encoder {
    output: Output,
    encoder: encoder::Video,
    scaler: scaling::Context,
    rgb: frame::Video,
    yuv: frame::Video,
    stream_base: Rational,
    every_ms: i64,
    size: (u32, u32),
    last: Option<Duration>,
}

impl Encoder {
    /// Begins an MP4 file.
    ///
    /// # Errors
    ///
    /// FFmpeg has no encoder, or refuses these options, or `to` cannot be written to.
    pub fn mp4<W: Write + Seek + Send + 'static>(
        to: W,
        options: &EncodeOptions,
    ) -> Result<Encoder, EncodeError> {
        begin(StreamIo::from_write_seek(to), "mp4", options)
    }

    /// Begins an MPEG transport stream, which can be read from any place on.
    ///
    /// # Errors
    ///
    /// As [`mp4`](Encoder::mp4).
    pub fn transport_stream<W: Write + Send + 'static>(
        to: W,
        options: &EncodeOptions,
    ) -> Result<Encoder, EncodeError> {
        begin(StreamIo::from_write(to), "mpegts", options)
    }

    /// Adds a picture that is shown at `at`, from the beginning.
    ///
    /// # Errors
    ///
    /// The picture has another size, comes before the last one, or cannot be written.
    pub fn push(&mut self, picture: &Pixels<'_>, at: Duration) -> Result<(), EncodeError> {
        let found = (picture.width(), picture.height());
        if found != self.size {
            return Err(EncodeError::Size { found, wanted: self.size });
        }
        if self.last.is_some_and(|last| at.as_millis() <= last.as_millis()) {
            return Err(EncodeError::Order(at));
        }
        self.last = Some(at);
        let (stride, row) = (self.rgb.stride(0), 3 * index(found.0));
        for (to, from) in self.rgb.data_mut(0).chunks_mut(stride).zip(picture.rows()) {
            to[..row].copy_from_slice(from);
        }
        self.scaler.run(&self.rgb, &mut self.yuv).map_err(EncodeError::Write)?;
        let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
        self.yuv.set_pts(Some(millis));
        self.encoder.send_frame(&self.yuv).map_err(EncodeError::Write)?;
        self.drain()
    }

    /// Writes what is still held back, and the video's end.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn finish(mut self) -> Result<(), EncodeError> {
        self.encoder.send_eof().map_err(EncodeError::Write)?;
        self.drain()?;
        self.output.write_trailer().map_err(EncodeError::Write)
    }

    fn drain(&mut self) -> Result<(), EncodeError> {
        loop {
            let mut packet = Packet::empty();
            match self.encoder.receive_packet(&mut packet) {
                Ok(()) => {
                    packet.set_stream(0);
                    // Without it the last picture lasts no time, and players leave it out.
                    packet.set_duration(self.every_ms);
                    packet.rescale_ts(TIME_BASE, self.stream_base);
                    packet.write_interleaved(&mut self.output).map_err(EncodeError::Write)?;
                }
                Err(ffmpeg::Error::Eof | ffmpeg::Error::Other { errno: EAGAIN }) => return Ok(()),
                Err(source) => return Err(EncodeError::Write(source)),
            }
        }
    }
}

fn begin(
    io: Result<StreamIo, ffmpeg::Error>,
    container: &str,
    options: &EncodeOptions,
) -> Result<Encoder, EncodeError> {
    quiet();
    let EncodeOptions { width, height, .. } = *options;
    let failed = |source| EncodeError::Begin { width, height, source };
    let codec = encoder::find_by_name("libx264").ok_or(EncodeError::NoEncoder)?;
    let io = io.map_err(failed)?;
    let mut output = format::output_to_stream(io, None, Some(container)).map_err(failed)?;
    let own_header = output.format().flags().contains(format::Flags::GLOBAL_HEADER);
    let mut encoder =
        codec::context::Context::new_with_codec(codec).encoder().video().map_err(failed)?;
    encoder.set_width(width);
    encoder.set_height(height);
    encoder.set_format(format::Pixel::YUV420P);
    encoder.set_time_base(TIME_BASE);
    let every = i32::try_from(options.every.as_millis()).unwrap_or(i32::MAX).max(1);
    encoder.set_frame_rate(Some(Rational(1000, every)));
    encoder.set_gop(options.keyframe_every);
    let mut flags = codec::Flags::BITEXACT;
    if own_header {
        flags |= codec::Flags::GLOBAL_HEADER;
    }
    encoder.set_flags(flags);
    let mut dictionary = Dictionary::new();
    dictionary.set("preset", "veryfast");
    dictionary.set("crf", &options.crf.to_string());
    // What several threads choose depends on how many there are.
    dictionary.set("threads", "1");
    if options.live {
        dictionary.set("tune", "zerolatency");
    }
    let encoder = encoder.open_with(dictionary).map_err(failed)?;
    let mut stream = output.add_stream(codec).map_err(failed)?;
    stream.set_parameters(&encoder);
    stream.set_time_base(TIME_BASE);
    if let Some(at) = options.created_at {
        let mut metadata = Dictionary::new();
        metadata.set("creation_time", &at.to_string());
        output.set_metadata(metadata);
    }
    let mut dictionary = Dictionary::new();
    dictionary.set("fflags", "+bitexact");
    if options.live {
        dictionary.set("flush_packets", "1");
    }
    output.write_header_with(dictionary).map_err(failed)?;
    let stream_base = output.stream(0).map_or(TIME_BASE, |stream| stream.time_base());
    let scaler = scaling::Context::get(
        format::Pixel::RGB24,
        width,
        height,
        format::Pixel::YUV420P,
        width,
        height,
        scaling::Flags::BILINEAR | scaling::Flags::ACCURATE_RND | scaling::Flags::BITEXACT,
    )
    .map_err(failed)?;
    Ok(Encoder {
        output,
        encoder,
        scaler,
        rgb: frame::Video::new(format::Pixel::RGB24, width, height),
        yuv: frame::Video::new(format::Pixel::YUV420P, width, height),
        stream_base,
        every_ms: every.into(),
        size: (width, height),
        last: None,
    })
}
