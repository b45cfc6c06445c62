//! Records as detectors write them: the original's `detect` and `frame`, with boxes
//! in our form or in the one that Ultralytics' `to_json` has.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemas::frame::{ANIMALS_MAX, Detection, Frame, FrameId, Picture, Seen};
use schemas::picture::{Pictures, Verified};
use schemas::source::{SessionId, SourceId};
use schemas::time::UnixMillis;
use serde::de::{Deserializer, Unexpected, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::frames::json::{self, FieldFault, in_field};

/// The run that all these records are numbered in: by their milliseconds.
const SESSION: &[u8] = b"receive_data_animov";

/// One record, or several; for the OpenAPI document.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only the document is made from it")]
pub(super) enum OneOrMore {
    One(RecordBody),
    More(Vec<RecordBody>),
    Enveloped { data: Vec<RecordBody> },
}

/// What one camera saw at one moment.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "source": 1, "timestamp": 1_772_366_400, "width": 1280, "height": 720,
    "detect": [{"class": "couche", "confidence": 0.9, "x": 0.1, "y": 0.2, "w": 0.3, "h": 0.4}],
}))]
pub(super) struct RecordBody {
    /// The camera's number.
    #[schema(minimum = 1)]
    source: i32,
    /// When it was captured: Unix seconds, with decimals if need be, or RFC 3339.
    /// Now, if it is missing.
    timestamp: Option<f64>,
    /// What was found, at most 1024.
    detect: Vec<BoxBody>,
    /// The picture: JPEG or PNG in base64.
    frame: Option<String>,
    /// Of the picture, pixels; where boxes have places and there is no picture.
    width: Option<i32>,
    height: Option<i32>,
    /// The model's name.
    model: Option<String>,
}

/// One box: `x`, `y`, `w`, `h` with the top left corner, or `box` with two corners;
/// fractions of the picture, 0 to 1, or pixels. Without either, it is only counted.
#[derive(Serialize, ToSchema)]
pub(super) struct BoxBody {
    /// What the model says it is. A number n stands for `class_n`, unless there is
    /// a `name`.
    class: String,
    name: Option<String>,
    /// 0 to 1; 1 if it is missing.
    confidence: Option<f32>,
    x: Option<f32>,
    y: Option<f32>,
    w: Option<f32>,
    h: Option<f32>,
    r#box: Option<CornersBody>,
}

/// The top left and the bottom right corner.
#[derive(Serialize, ToSchema)]
pub(super) struct CornersBody {
    x1: f32,
    y1: f32,
    x2: f32,
    y2: f32,
}

/// The records of a body, not yet read.
pub(super) fn elements(body: &[u8], max: usize) -> Result<Vec<&[u8]>, ApiError> {
    #[derive(Deserialize)]
    struct Envelope<'a> {
        #[serde(borrow)]
        data: Option<Vec<&'a RawValue>>,
    }
    let items = json::items(body, max)?;
    let items = match &items[..] {
        [one] => match serde_json::from_str(one.get()) {
            Ok(Envelope { data: Some(inner) }) => inner,
            _ => items,
        },
        _ => items,
    };
    if max < items.len() {
        return Err(ApiError::TooManyFrames { max });
    }
    Ok(items.into_iter().map(|item| item.get().as_bytes()).collect())
}

/// Reads and checks one record.
pub(super) fn read(
    text: &[u8],
    now: UnixMillis,
    pictures: &dyn Pictures,
) -> Result<Frame, FieldFault> {
    if !text.starts_with(b"{") {
        return Err(in_field("", "a record is an object {source, timestamp, detect, frame}"));
    }
    let Sent { source, timestamp, detect, frame, width, height, model } = json::typed(text)?;
    let source = SourceId::try_from(source).map_err(|error| in_field("source", error))?;
    let captured_at = timestamp.map_or(now, |Moment(moment)| moment);
    let seq = u64::try_from(captured_at.get())
        .map_err(|_| in_field("timestamp", "it lies before 1970"))?;
    let id = FrameId { source, session: SessionId::derived_from(SESSION), seq };
    let most = usize::try_from(ANIMALS_MAX).unwrap_or(usize::MAX);
    if most < detect.len() {
        return Err(in_field("detect", format!("{} boxes; at most {most}", detect.len())));
    }
    let picture = frame.map(|text| verified(&text, pictures)).transpose()?;
    let placed = detect.iter().filter(|found| found.has_place()).count();
    if picture.is_some() && placed < detect.len() {
        let detail = "it has a picture, and not every box has its place in it: x, y, w, h";
        return Err(in_field("detect", detail));
    }
    // Nothing that was found needs no place either.
    let unplaced = picture.is_none() && placed == 0;
    let seen = if unplaced && (!detect.is_empty() || width.is_none()) {
        counted(&detect)?
    } else {
        let (width, height) = match &picture {
            Some(picture) => (picture.width, picture.height),
            None => json::size(width, height)?,
        };
        let detections: Result<Vec<Detection>, FieldFault> =
            (0..).zip(&detect).map(|(at, found)| found.detection((width, height), at)).collect();
        let mut by = json::unknown_model();
        if let Some(name) = model {
            by.name = name.into();
        }
        let image = picture.map(|picture| picture.jpeg);
        Seen::Detections(Picture { width, height, model: by, detections: detections?, image })
    };
    let frame = Frame { id, captured_at, produced_at: now, seen };
    json::checked(&frame)?;
    Ok(frame)
}

/// The picture in `text`, looked at to its end.
fn verified(text: &str, pictures: &dyn Pictures) -> Result<Verified, FieldFault> {
    // As a page's canvas writes it: data:image/png;base64,…
    let encoded = match text.strip_prefix("data:") {
        Some(rest) => rest.split_once(",").map_or(rest, |(_, encoded)| encoded),
        None => text,
    };
    let encoded: String = encoded.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let bytes = STANDARD
        .decode(encoded)
        .map_err(|error| in_field("frame", format!("it is not base64: {error}")))?;
    pictures.verified(&bytes).map_err(|fault| in_field("frame", fault))
}

/// How many of each class, where nothing more is known.
fn counted(detect: &[SentBox]) -> Result<Seen, FieldFault> {
    let mut counts: Vec<(std::sync::Arc<str>, u32)> = Vec::new();
    for (at, found) in detect.iter().enumerate() {
        let class = found.class_name(at)?;
        match counts.iter_mut().find(|(known, _)| **known == *class) {
            Some((_, count)) => *count += 1,
            None => counts.push((class.into(), 1)),
        }
    }
    Ok(Seen::Counts(counts))
}

/// A record as its JSON has it; further fields are another program's affair.
#[derive(Deserialize)]
struct Sent {
    source: i64,
    #[serde(default, alias = "captured_at")]
    timestamp: Option<Moment>,
    #[serde(alias = "detections")]
    detect: Vec<SentBox>,
    #[serde(default, alias = "image")]
    frame: Option<String>,
    width: Option<i64>,
    height: Option<i64>,
    model: Option<String>,
}

#[derive(Deserialize)]
struct SentBox {
    class: Option<Class>,
    name: Option<String>,
    #[serde(alias = "conf", alias = "score")]
    confidence: Option<f32>,
    x: Option<f64>,
    y: Option<f64>,
    w: Option<f64>,
    h: Option<f64>,
    #[serde(rename = "box")]
    corners: Option<Corners>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Class {
    Named(String),
    Numbered(u32),
}

#[derive(Clone, Copy, Deserialize)]
struct Corners {
    x1: f64,
    y1: f64,
    x2: f64,
    y2: f64,
}

impl SentBox {
    fn has_place(&self) -> bool {
        self.corners.is_some() || self.x.is_some()
    }

    fn class_name(&self, at: usize) -> Result<String, FieldFault> {
        match (&self.name, &self.class) {
            (Some(name), _) | (None, Some(Class::Named(name))) => Ok(name.clone()),
            // As the original's tables call what its model had no name for.
            (None, Some(Class::Numbered(number))) => Ok(format!("class_{number}")),
            (None, None) => Err(in_field(&format!("detect[{at}]"), "it has no class and no name")),
        }
    }

    /// The box in a picture of `size` pixels; it is the `at`-th.
    fn detection(&self, size: (u32, u32), at: usize) -> Result<Detection, FieldFault> {
        let corners = match (self.corners, self.x, self.y, self.w, self.h) {
            (Some(corners), ..) => corners,
            (None, Some(x), Some(y), Some(w), Some(h)) => {
                Corners { x1: x, y1: y, x2: x + w, y2: y + h }
            }
            _ => {
                let detail = "it has no place: x, y, w, h, or box {x1, y1, x2, y2}";
                return Err(in_field(&format!("detect[{at}]"), detail));
            }
        };
        let Corners { x1, y1, x2, y2 } = corners;
        // A box of less than two pixels is none, so what reaches no further than
        // that is in fractions; an edge may lie a little outside.
        let in_pixels = [x1, y1, x2, y2].into_iter().any(|edge| 1.5 < edge);
        let (across, down) = match in_pixels {
            true => (f64::from(size.0), f64::from(size.1)),
            false => (1.0, 1.0),
        };
        #[expect(
            clippy::as_conversions,
            clippy::cast_possible_truncation,
            reason = "a fraction, which single precision is meant to hold"
        )]
        let fraction = |edge: f64, whole: f64| (edge / whole).clamp(0.0, 1.0) as f32;
        let (left, right) = (fraction(x1, across), fraction(x2, across));
        let (top, bottom) = (fraction(y1, down), fraction(y2, down));
        if right < left || bottom < top || ![x1, y1, x2, y2].into_iter().all(f64::is_finite) {
            let detail = "its second corner must be to the right of and below the first";
            return Err(in_field(&format!("detect[{at}]"), detail));
        }
        let detection = Detection {
            class: self.class_name(at)?.into(),
            confidence: self.confidence.unwrap_or(1.0),
            x: left,
            y: top,
            w: right - left,
            h: bottom - top,
        };
        detection.check().map_err(|fault| in_field(&format!("detect[{at}]"), fault))?;
        Ok(detection)
    }
}

/// A moment as Unix seconds, milliseconds or RFC 3339.
struct Moment(UnixMillis);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Moment, D::Error> {
        struct AnyForm;

        impl Visitor<'_> for AnyForm {
            type Value = UnixMillis;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("Unix seconds or RFC 3339 (\"2026-03-01T12:00:00Z\")")
            }

            #[expect(clippy::as_conversions, reason = "whole seconds are exact in a double")]
            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<UnixMillis, E> {
                self.visit_f64(number as f64)
            }

            #[expect(clippy::as_conversions, reason = "whole seconds are exact in a double")]
            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<UnixMillis, E> {
                self.visit_f64(number as f64)
            }

            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<UnixMillis, E> {
                /// From here on it is milliseconds; seconds reach the year 5138
                /// before.
                const MILLIS_FROM: f64 = 1e11;
                let millis = if number.abs() < MILLIS_FROM { number * 1000.0 } else { number };
                #[expect(
                    clippy::as_conversions,
                    clippy::cast_possible_truncation,
                    reason = "held within the calendar by what follows"
                )]
                let moment = UnixMillis::new(millis.round() as i64);
                match moment.timestamp() {
                    Some(_) if millis.is_finite() => Ok(moment),
                    _ => Err(E::invalid_value(Unexpected::Float(number), &self)),
                }
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<UnixMillis, E> {
                let moment: Option<UnixMillis> = text.parse().ok();
                // A bare date is a day, and a picture is not taken in a day.
                let moment =
                    moment.filter(|moment| moment.timestamp().is_some() && text.contains('T'));
                moment.ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
            }
        }

        reader.deserialize_any(AnyForm).map(Moment)
    }
}
