//! Frames as JSON: one, an array, or one a line.

use std::fmt;
use std::sync::Arc;

use schemas::avro;
use schemas::frame::{ANIMALS_MAX, Detection, Frame, FrameFault, FrameId, Model, Picture, Seen};
use schemas::source::{SessionId, SourceId};
use schemas::time::UnixMillis;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Unexpected, Visitor};
use serde_json::value::RawValue;

use super::{Faults, Records};
use crate::error::{ApiError, Fault};

/// The records of a body that is one frame or an array of them.
pub(super) fn records(body: &[u8], max: usize, now: UnixMillis) -> Result<Records, ApiError> {
    encoded(items(body, max)?.into_iter().map(|frame| frame.get().as_bytes()), now)
}

/// The elements of a body that is one or an array of them, not yet read.
pub(crate) fn items(body: &[u8], max: usize) -> Result<Vec<&RawValue>, ApiError> {
    let items = match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'[') => {
            let mut reader = serde_json::Deserializer::from_slice(body);
            let items = reader.deserialize_seq(Items { max });
            let items = items.and_then(|items| reader.end().map(|()| items));
            items.map_err(|error| ApiError::NotJson(error.to_string()))?
        }
        _ => {
            let one: &RawValue = serde_json::from_slice(body)
                .map_err(|error| ApiError::NotJson(error.to_string()))?;
            Some(vec![one])
        }
    };
    items.ok_or(ApiError::TooManyFrames { max })
}

/// The records of a body with one frame a line; empty lines are skipped.
pub(super) fn records_of_lines(
    body: &[u8],
    max: usize,
    now: UnixMillis,
) -> Result<Records, ApiError> {
    let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    if max < lines.clone().take(max + 1).count() {
        return Err(ApiError::TooManyFrames { max });
    }
    encoded(lines, now)
}

fn encoded<'a>(
    frames: impl Iterator<Item = &'a [u8]>,
    now: UnixMillis,
) -> Result<Records, ApiError> {
    let (mut records, mut faults) = (Records::default(), Faults::default());
    for (index, frame) in frames.enumerate() {
        match read(frame, now) {
            Ok(frame) => {
                avro::encode(&frame, &mut records.bytes);
                records.end(frame.id.source);
            }
            Err((field, detail)) => faults.add(Fault { index, field, detail }),
        }
    }
    faults.or(records)
}

/// A field, and what is wrong with it.
pub(crate) type FieldFault = (String, String);

/// Reads and checks one frame.
fn read(text: &[u8], now: UnixMillis) -> Result<Frame, FieldFault> {
    // Else an array would be read as the fields in their order.
    if !text.trim_ascii_start().starts_with(b"{") {
        return Err(in_field("", "a frame is an object {source, session, seq, captured_at, …}"));
    }
    let frame = typed::<JsonFrame>(text)?.into_frame(now)?;
    checked(&frame)?;
    Ok(frame)
}

/// Reads `text` as a `T`, or says where it is none.
pub(crate) fn typed<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, FieldFault> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { String::new() } else { path };
        (field, plain(&error.into_inner()))
    })?;
    reader.end().map_err(|error| (String::new(), plain(&error)))?;
    Ok(value)
}

/// Whether `frame` can be counted, or which of its fields is why not.
pub(crate) fn checked(frame: &Frame) -> Result<(), FieldFault> {
    frame.check().map_err(|fault| (field_of(&fault).to_owned(), fault.to_string()))
}

/// The error in words for whoever wrote the JSON: without its line and column,
/// which count from the frame's own beginning and would mislead, and without
/// names of Rust's types.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let text = text.strip_suffix(&place).unwrap_or(&text);
    text.replace("expected i64", "expected a whole number")
        .replace("expected f32", "expected a number")
        .replace("expected struct Detection", "expected a box {class, confidence, x, y, w, h}")
        .replace("expected struct Model", "expected {name, hash}")
}

/// Where in a frame a rule of [`Frame::check`] looks, once each box is known to
/// be well.
fn field_of(fault: &FrameFault) -> &'static str {
    match fault {
        FrameFault::Source(_) => "source",
        FrameFault::Seq(_) => "seq",
        FrameFault::Boxes | FrameFault::Box(..) | FrameFault::Confidence(_) => "detections",
        FrameFault::Class
        | FrameFault::Count(_)
        | FrameFault::Classes
        | FrameFault::ClassTwice(_) => "counts",
        FrameFault::Size(..) => "width",
        FrameFault::ImageBytes(_) | FrameFault::ImageFormat => "image",
    }
}

/// A frame as its JSON has it. Numbers are wide, so that what is out of range is
/// told in the domain's words.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonFrame {
    source: i64,
    session: SessionId,
    seq: i64,
    captured_at: Moment,
    width: Option<i64>,
    height: Option<i64>,
    model: Option<Model>,
    detections: Option<Vec<Detection>>,
    counts: Option<Counts>,
}

impl JsonFrame {
    fn into_frame(self, now: UnixMillis) -> Result<Frame, FieldFault> {
        let JsonFrame { source, session, seq, captured_at: Moment(captured_at), .. } = self;
        let source = SourceId::try_from(source).map_err(|error| in_field("source", error))?;
        let negative = |_| in_field("seq", FrameFault::Seq(seq));
        let id = FrameId { source, session, seq: u64::try_from(seq).map_err(negative)? };
        let seen = match (self.detections, self.counts) {
            (Some(detections), None) => {
                let model = self.model.unwrap_or_else(unknown_model);
                let (width, height) = size(self.width, self.height)?;
                Seen::Detections(picture(width, height, model, detections)?)
            }
            (None, Some(counts)) => {
                let of_a_picture = [
                    ("width", self.width.is_some()),
                    ("height", self.height.is_some()),
                    ("model", self.model.is_some()),
                ];
                if let Some((field, _)) = of_a_picture.into_iter().find(|(_, given)| *given) {
                    return Err(in_field(field, "it goes with detections, not with counts"));
                }
                Seen::Counts(counts.checked()?)
            }
            (Some(_), Some(_)) => {
                return Err(in_field("counts", "a frame has detections or counts, not both"));
            }
            (None, None) => {
                return Err(in_field("", "a frame has either detections or counts"));
            }
        };
        Ok(Frame { id, captured_at, produced_at: now, seen })
    }
}

/// What is wrong with `field`.
pub(crate) fn in_field(field: &str, detail: impl ToString) -> FieldFault {
    (field.to_owned(), detail.to_string())
}

/// Stands for a model that nobody named.
pub(crate) fn unknown_model() -> Model {
    Model { name: "unknown".into(), hash: "".into() }
}

/// The sides of a picture, in pixels.
pub(crate) fn size(width: Option<i64>, height: Option<i64>) -> Result<(u32, u32), FieldFault> {
    let side = |field, side: Option<i64>| {
        let side =
            side.ok_or_else(|| in_field(field, "it is missing: a picture's side in pixels"))?;
        match i32::try_from(side).ok().and_then(|side| u32::try_from(side).ok()) {
            Some(pixels) if 0 < pixels => Ok(pixels),
            _ => Err(in_field(field, format!("{side} is no picture's side in pixels"))),
        }
    };
    Ok((side("width", width)?, side("height", height)?))
}

fn picture(
    width: u32,
    height: u32,
    model: Model,
    detections: Vec<Detection>,
) -> Result<Picture, FieldFault> {
    let most = usize::try_from(ANIMALS_MAX).unwrap_or(usize::MAX);
    if most < detections.len() {
        return Err(in_field("detections", FrameFault::Boxes));
    }
    for (at, detection) in detections.iter().enumerate() {
        detection.check().map_err(|fault| {
            let field = match &fault {
                FrameFault::Class => ".class",
                FrameFault::Confidence(_) => ".confidence",
                _ => "",
            };
            in_field(&format!("detections[{at}]{field}"), fault)
        })?;
    }
    Ok(Picture { width, height, model, detections, image: None })
}

/// A moment in either form.
struct Moment(UnixMillis);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Moment, D::Error> {
        struct EitherForm;

        impl Visitor<'_> for EitherForm {
            type Value = UnixMillis;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("RFC 3339 (\"2026-03-01T12:00:00Z\") or milliseconds since 1970")
            }

            fn visit_i64<E: serde::de::Error>(self, millis: i64) -> Result<UnixMillis, E> {
                let moment = UnixMillis::new(millis);
                match moment.timestamp() {
                    Some(_) => Ok(moment),
                    None => Err(E::invalid_value(Unexpected::Signed(millis), &self)),
                }
            }

            fn visit_u64<E: serde::de::Error>(self, millis: u64) -> Result<UnixMillis, E> {
                match i64::try_from(millis) {
                    Ok(millis) => self.visit_i64(millis),
                    Err(_) => Err(E::invalid_value(Unexpected::Unsigned(millis), &self)),
                }
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<UnixMillis, E> {
                let moment: Option<UnixMillis> = text.parse().ok();
                // A bare date is a day, and a picture is not taken in a day.
                let moment =
                    moment.filter(|moment| moment.timestamp().is_some() && 10 < text.len());
                moment.ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
            }
        }

        reader.deserialize_any(EitherForm).map(Moment)
    }
}

/// Class to number, as written: a class that comes twice is still there twice.
struct Counts(Vec<(Arc<str>, i64)>);

impl Counts {
    fn checked(self) -> Result<Vec<(Arc<str>, u32)>, FieldFault> {
        let number = |(class, count): (Arc<str>, i64)| match u32::try_from(count) {
            Ok(animals) if animals <= ANIMALS_MAX => Ok((class, animals)),
            Ok(_) => Err(in_field(&format!("counts.{class}"), FrameFault::Count(count))),
            Err(_) => Err(in_field(
                &format!("counts.{class}"),
                format!("{count} is not a number of animals, 0 to {ANIMALS_MAX}"),
            )),
        };
        self.0.into_iter().map(number).collect()
    }
}

impl<'de> Deserialize<'de> for Counts {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Counts, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Counts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object from class to number of animals")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Counts, A::Error> {
                let mut counts = Vec::new();
                while let Some(count) = map.next_entry()? {
                    counts.push(count);
                }
                Ok(Counts(counts))
            }
        }

        reader.deserialize_map(InOrder)
    }
}

/// The frames of an array, not yet read; none if there are more than `max`.
struct Items {
    max: usize,
}

impl<'de> Visitor<'de> for Items {
    type Value = Option<Vec<&'de RawValue>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of frames")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut frames = Vec::new();
        while let Some(frame) = items.next_element()? {
            if frames.len() < self.max {
                frames.push(frame);
                continue;
            }
            // The rest is only read to its end, so that bad JSON is told as such.
            while items.next_element::<serde::de::IgnoredAny>()?.is_some() {}
            return Ok(None);
        }
        Ok(Some(frames))
    }
}
