//! One sampled picture, as published.

use std::fmt;
use std::str::FromStr;
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

/// Most bytes that a picture may have as JPEG. With every box that a frame may
/// have it still fits into the megabyte that Kafka takes by default.
pub const IMAGE_BYTES_MAX: usize = 768 << 10;

/// What identifies a frame: it is counted once, however often it arrives.
///
/// As text: `1/c0a8…/42`, which is a path in a URL too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameId {
    pub source: SourceId,
    /// The producer's run.
    pub session: SessionId,
    /// 0, 1, 2 … within the session.
    pub seq: u64,
}

impl fmt::Display for FrameId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FrameId { source, session, seq } = self;
        write!(f, "{source}/{session}/{seq}")
    }
}

/// A text that names no frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a frame's id: source/session/seq")]
pub struct InvalidFrameId(String);

impl FromStr for FrameId {
    type Err = InvalidFrameId;

    /// Reads the text of an id, and no other way to write it.
    fn from_str(text: &str) -> Result<FrameId, InvalidFrameId> {
        let read = || {
            let (source, rest) = text.split_once('/')?;
            let (session, seq) = rest.split_once('/')?;
            let (source, session) = (source.parse().ok()?, session.parse().ok()?);
            Some(FrameId { source, session, seq: seq.parse().ok()? })
        };
        let id = read().filter(|id| id.to_string() == text);
        id.ok_or_else(|| InvalidFrameId(text.to_owned()))
    }
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
    /// The picture itself, which few frames carry.
    pub image: Option<Jpeg>,
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

/// A picture as JPEG. Clones share the bytes.
///
/// Invariant: begins as one does, and has at most [`IMAGE_BYTES_MAX`] bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Jpeg(Arc<[u8]>);

/// What every JPEG begins with: the start of the image, and of the first marker.
const JPEG_BEGINS: [u8; 3] = [0xFF, 0xD8, 0xFF];

impl Jpeg {
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<&[u8]> for Jpeg {
    type Error = FrameFault;

    fn try_from(bytes: &[u8]) -> Result<Jpeg, FrameFault> {
        check_image(bytes)?;
        Ok(Jpeg(bytes.into()))
    }
}

impl fmt::Debug for Jpeg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Jpeg({} bytes)", self.0.len())
    }
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
    #[error("an image of {0} bytes; at most {IMAGE_BYTES_MAX}")]
    ImageBytes(usize),
    #[error("an image that is no JPEG")]
    ImageFormat,
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

/// Whether `bytes` can be a [`Jpeg`].
pub(crate) fn check_image(bytes: &[u8]) -> Result<(), FrameFault> {
    if IMAGE_BYTES_MAX < bytes.len() {
        return Err(FrameFault::ImageBytes(bytes.len()));
    }
    if bytes.starts_with(&JPEG_BEGINS) { Ok(()) } else { Err(FrameFault::ImageFormat) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_shown_and_in_no_other_way() {
        let session = SessionId::derived_from(b"a run");
        for seq in [0, 42, u64::MAX] {
            let id = FrameId { source: SourceId::try_from(7).unwrap(), session, seq };
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        let upper = session.to_string().to_uppercase();
        for text in [
            String::new(),
            "7".to_owned(),
            format!("7/{session}"),
            format!("0/{session}/1"),
            format!("07/{session}/1"),
            format!("7/{upper}/1"),
            format!("7/{session}/+1"),
            format!("7/{session}/1/"),
        ] {
            assert_eq!(text.parse::<FrameId>(), Err(InvalidFrameId(text)));
        }
    }

    #[test]
    fn an_image_begins_like_a_jpeg_and_has_an_end() {
        let mut bytes = JPEG_BEGINS.to_vec();
        bytes.resize(IMAGE_BYTES_MAX, 0);
        let image = Jpeg::try_from(bytes.as_slice()).unwrap();
        assert_eq!(image.bytes(), bytes);
        assert_eq!(format!("{image:?}"), "Jpeg(786432 bytes)");
        bytes.push(0);
        assert_eq!(Jpeg::try_from(&bytes[..]), Err(FrameFault::ImageBytes(IMAGE_BYTES_MAX + 1)));
        for bytes in [&b""[..], b"\x89PNG", &JPEG_BEGINS[..2]] {
            assert_eq!(Jpeg::try_from(bytes), Err(FrameFault::ImageFormat));
        }
    }
}
