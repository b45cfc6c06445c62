//! The detections of a file or URL, picture by picture: what a tool shows, and what
//! a benchmark measures.

use std::ops::ControlFlow;
use std::time::Duration;

use schemas::frame::Detection;

use crate::decode::{DecodeError, DecodeOptions, Decoder};
use crate::detect::Detector;
use crate::detect::letterbox::{InputFormat, Resampler, Size};
use crate::error::SourceError;
use crate::input::Input;
use crate::pixels::{Pixels, index};
use crate::sample::{Cadence, Sampler};

/// One sampled picture and what was found in it.
#[derive(Clone, Copy, Debug)]
pub struct Sampled<'a> {
    /// After the first picture.
    pub at: Duration,
    /// The surest first.
    pub detections: &'a [Detection],
    pub pixels: Pixels<'a>,
}

impl Sampled<'_> {
    /// Milliseconds after the first picture.
    pub fn t_ms(&self) -> u64 {
        u64::try_from(self.at.as_millis()).unwrap_or(u64::MAX)
    }
}

/// What was read of an input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inspected {
    /// Pictures that were decoded.
    pub pictures: u64,
    /// Those that were looked at.
    pub sampled: u64,
    /// Packets and pictures that could not be decoded.
    pub damaged: u64,
}

/// Shows `each` the sampled pictures of `input` and what `detector` finds in them,
/// as fast as they come, until the input ends or `each` breaks off.
///
/// # Errors
///
/// The input cannot be read, or the detector not be run.
pub fn detect_input(
    input: &Input,
    cadence: Cadence,
    options: &DecodeOptions,
    detector: &mut dyn Detector,
    each: impl FnMut(&Sampled<'_>) -> ControlFlow<()>,
) -> Result<Inspected, SourceError> {
    let mut sampler = Sampler::new(cadence);
    detect_chosen(input, |at| sampler.takes(at), options, detector, each)
}

/// Does as [`detect_input`], but looks at the pictures that `takes` chooses by their time
/// after the first one.
///
/// # Errors
///
/// The input cannot be read, or the detector not be run.
pub fn detect_chosen(
    input: &Input,
    mut takes: impl FnMut(Duration) -> bool,
    options: &DecodeOptions,
    detector: &mut dyn Detector,
    mut each: impl FnMut(&Sampled<'_>) -> ControlFlow<()>,
) -> Result<Inspected, SourceError> {
    let mut decoder = Decoder::open(input, options)?;
    let (mut sampled, mut detections) = (0, Vec::new());
    while let Some(at) = decoder.advance()? {
        if !takes(at) {
            continue;
        }
        let pixels = decoder.pixels()?;
        detector.detect(&pixels, &mut detections)?;
        sampled += 1;
        if each(&Sampled { at, detections: &detections, pixels }).is_break() {
            break;
        }
    }
    Ok(Inspected { pictures: decoder.decoded(), sampled, damaged: decoder.damaged() })
}

/// Decodes every picture of `input` and scales it to a model's input, and returns how
/// many there were: what a detector that takes no time would cost.
///
/// # Errors
///
/// The input cannot be read.
pub fn decode_and_scale(
    input: &Input,
    format: InputFormat,
    options: &DecodeOptions,
) -> Result<u64, DecodeError> {
    let mut decoder = Decoder::open(input, options)?;
    let mut tensor = vec![0.0; 3 * index(format.size.width) * index(format.size.height)];
    let mut resampler: Option<Resampler> = None;
    while decoder.advance()?.is_some() {
        let (width, height) = decoder.size();
        let size = Size { width, height };
        let fitting = resampler.take().filter(|resampler| resampler.fits(size));
        let fitting = fitting.unwrap_or_else(|| Resampler::new(size, format));
        resampler.insert(fitting).scale(&decoder.pixels()?, &mut tensor);
    }
    Ok(decoder.decoded())
}
