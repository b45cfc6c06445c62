//! One sampled picture, as published.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::source::{SessionId, SourceId};
use crate::time::UnixMillis;

/// Longest class name, bytes. Names become metric names and labels.
pub const CLASS_BYTES_MAX: usize = 64;

/// Most boxes, and most animals of one class, that a frame may show. It bounds
/// the length of every histogram.
pub const ANIMALS_MAX: u32 = 1024;

/// Most classes that one frame may show.
pub const CLASSES_MAX: usize = 256;

/// What identifies a frame: it is counted once, however often it arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameId {
    pub source: SourceId,
    /// The producer's run.
    pub session: SessionId,
    /// 0, 1, 2 … within the session.
    pub seq: u64,
}

/// One sampled frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    pub id: FrameId,
    /// Event time: when the source captured the picture.
    pub captured_at: UnixMillis,
    /// When the producer made this record.
    pub produced_at: UnixMillis,
    pub seen: Seen,
}

/// What a frame shows: boxes, or only how many of each class.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    Detections(Picture),
    /// Class and number of animals; a class left out was seen zero times.
    Counts(Vec<(Arc<str>, u32)>),
}

/// The boxes that a model found in a picture of this size.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    pub model: Model,
    pub detections: Vec<Detection>,
}

/// Which model looked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// The file's name.
    pub name: Arc<str>,
    /// First 16 hexadecimal digits of the file's SHA-256.
    pub hash: Arc<str>,
}

/// One box. Lengths are fractions of the picture, 0 to 1; `x` and `y` are the
/// top left corner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    pub class: Arc<str>,
    pub confidence: f32,
    pub x: f32,
    pub y: f32,
    pub w: f32,
    pub h: f32,
}

/// Why a frame cannot be counted although it could be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FrameFault {
    #[error("source {0} is not a whole number from 1 to {max}", max = i32::MAX)]
    Source(i64),
    #[error("seq {0} is negative")]
    Seq(i64),
    #[error(
        "a class name is empty, longer than {CLASS_BYTES_MAX} bytes, or holds control characters"
    )]
    Class,
    #[error("{0} animals of one class; at most {ANIMALS_MAX}")]
    Count(i64),
    #[error("more than {ANIMALS_MAX} boxes")]
    Boxes,
    #[error("more than {CLASSES_MAX} classes")]
    Classes,
    #[error("class {0:?} is counted twice")]
    ClassTwice(String),
    #[error("confidence {0} is not from 0 to 1")]
    Confidence(f32),
    #[error("box [{0}, {1}, {2}, {3}] is not inside the picture (x, y, w, h from 0 to 1)")]
    Box(f32, f32, f32, f32),
    #[error("a picture of {0} x {1} pixels")]
    Size(i64, i64),
}

/// How far a box may reach over the picture's edge, as a fraction: rounding of
/// a model's own arithmetic, no more.
const EDGE_SLACK: f32 = 0.01;

impl Detection {
    /// Whether the numbers describe a box inside the picture.
    ///
    /// # Errors
    ///
    /// A confidence or a side that is NaN, infinite, negative or over 1.
    pub fn check(&self) -> Result<(), FrameFault> {
        check_class(&self.class)?;
        check_box(self.confidence, [self.x, self.y, self.w, self.h])
    }
}

/// The rule of [`Detection::check`] for numbers that are no [`Detection`] yet.
pub(crate) fn check_box(confidence: f32, [x, y, w, h]: [f32; 4]) -> Result<(), FrameFault> {
    if !(0.0..=1.0).contains(&confidence) {
        return Err(FrameFault::Confidence(confidence));
    }
    // Written so that NaN fails.
    let inside = |from: f32, length: f32| {
        -EDGE_SLACK <= from && 0.0 <= length && from + length <= 1.0 + EDGE_SLACK
    };
    if !(inside(x, w) && inside(y, h)) {
        return Err(FrameFault::Box(x, y, w, h));
    }
    Ok(())
}

/// Whether `class` can be a metric's name.
pub(crate) fn check_class(class: &str) -> Result<(), FrameFault> {
    let fits = !class.is_empty() && class.len() <= CLASS_BYTES_MAX;
    if fits && !class.chars().any(char::is_control) { Ok(()) } else { Err(FrameFault::Class) }
}

impl Frame {
    /// Whether the frame can be counted: what a producer checks before it
    /// publishes, by the rules that the pipeline parks by.
    ///
    /// # Errors
    ///
    /// The first rule that the frame breaks.
    pub fn check(&self) -> Result<(), FrameFault> {
        if i64::try_from(self.id.seq).is_err() {
            return Err(FrameFault::Seq(-1));
        }
        match &self.seen {
            Seen::Detections(picture) => {
                if u32::try_from(picture.detections.len()).map_or(true, |boxes| ANIMALS_MAX < boxes)
                {
                    return Err(FrameFault::Boxes);
                }
                picture.detections.iter().try_for_each(Detection::check)
            }
            Seen::Counts(counts) => {
                if CLASSES_MAX < counts.len() {
                    return Err(FrameFault::Classes);
                }
                for (at, (class, count)) in counts.iter().enumerate() {
                    check_class(class)?;
                    if ANIMALS_MAX < *count {
                        return Err(FrameFault::Count(i64::from(*count)));
                    }
                    if counts[..at].iter().any(|(other, _)| other == class) {
                        return Err(FrameFault::ClassTwice(class.to_string()));
                    }
                }
                Ok(())
            }
        }
    }
}
