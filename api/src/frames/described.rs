//! What a frame looks like as JSON, for the OpenAPI document.
//!
//! Frames are read by the module `json`, which tells every fault in its own
//! words; these types only describe, and a test keeps the two together.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

/// One frame, or several.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only the document is made from it")]
pub(super) enum OneOrMore {
    One(FrameBody),
    More(Vec<FrameBody>),
}

/// One sampled picture: either what a model found in it, or only how many
/// animals of each class it shows.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "source": 1, "session": "0b9d3c4e-6a55-4f0e-9a62-6f5d8a3c7b11", "seq": 0,
    "captured_at": "2026-03-01T12:00:00Z", "counts": {"lying": 3, "standing": 5},
}))]
pub(super) struct FrameBody {
    /// The camera's number.
    #[schema(minimum = 1)]
    source: i32,
    /// UUID of the producer's run.
    #[schema(format = "uuid")]
    session: String,
    /// 0, 1, 2 … within the session.
    #[schema(minimum = 0)]
    seq: i64,
    /// When the picture was captured: RFC 3339, or milliseconds since 1970.
    #[schema(example = "2026-03-01T12:00:00Z")]
    captured_at: String,
    /// Pixels; with detections.
    width: Option<i32>,
    /// Pixels; with detections.
    height: Option<i32>,
    /// Which model looked; with detections, and optional.
    model: Option<ModelBody>,
    /// Boxes, at most 1024. Either these or `counts`.
    detections: Option<Vec<DetectionBody>>,
    /// Class to number of animals; a class left out was seen zero times.
    counts: Option<BTreeMap<String, u32>>,
}

/// Which model looked.
#[derive(Serialize, ToSchema)]
pub(super) struct ModelBody {
    /// The file's name.
    name: String,
    /// First 16 hexadecimal digits of the file's SHA-256.
    hash: String,
}

/// One box; lengths are fractions of the picture, 0 to 1.
#[derive(Serialize, ToSchema)]
pub(super) struct DetectionBody {
    class: String,
    /// 0 to 1.
    confidence: f32,
    /// Left edge.
    x: f32,
    /// Top edge.
    y: f32,
    /// Width.
    w: f32,
    /// Height.
    h: f32,
}
