//! Frames of other versions: read by the schema that they were written with,
//! into what this version knows. A field it does not know is passed over; one
//! that is missing takes its default.

use std::collections::BTreeMap;
use std::fmt;
use std::io::BufRead;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use serde_avro_fast::de::read::SliceRead;
use serde_avro_fast::de::{DeserializerConfig, DeserializerState};

use super::Undecodable;
use crate::frame::{Detection, Frame, FrameFault, FrameId, Jpeg, Model, Picture, Seen};
use crate::source::{SessionId, SourceId};
use crate::time::UnixMillis;

/// Most entries of an array or a map: what a frame may hold, and one more so
/// that the rule it breaks is named.
const ENTRIES_MAX: usize = 1025;

/// Every field that any version has had. Those that identify a frame are
/// required; a record of something else fails on them.
#[derive(Deserialize)]
struct AnyVersion {
    source: i64,
    #[serde(deserialize_with = "sixteen_bytes")]
    session: [u8; 16],
    seq: i64,
    captured_at: i64,
    produced_at: Option<i64>,
    #[serde(default)]
    width: i64,
    #[serde(default)]
    height: i64,
    model: Option<Model>,
    detections: Option<Vec<Detection>>,
    counts: Option<BTreeMap<String, i64>>,
    image: Option<Bytes>,
}

/// As many bytes as the value has, copied once.
struct Bytes(Vec<u8>);

/// Reads a value of `schema` off the front of `value`; the frame, and the rest.
pub(super) fn decode<'a>(
    value: &'a [u8],
    schema: &serde_avro_fast::Schema,
) -> Result<(Frame, &'a [u8]), Undecodable> {
    let mut config = DeserializerConfig::new(schema);
    // A few bytes may claim a billion boxes; nothing is built for them.
    config.max_seq_size = ENTRIES_MAX;
    let mut state = DeserializerState::with_config(SliceRead::new(value), config);
    let read = AnyVersion::deserialize(state.deserializer()).map_err(|_| Undecodable::Damaged)?;
    let unread = state.into_reader().fill_buf().map_or(0, <[u8]>::len);
    Ok((read.into_frame()?, &value[value.len() - unread..]))
}

impl AnyVersion {
    fn into_frame(self) -> Result<Frame, FrameFault> {
        let source =
            SourceId::try_from(self.source).map_err(|_| FrameFault::Source(self.source))?;
        let seq = u64::try_from(self.seq).map_err(|_| FrameFault::Seq(self.seq))?;
        let seen = match (self.detections, self.counts) {
            (_, Some(counts)) => Seen::Counts(
                counts
                    .into_iter()
                    .map(|(class, animals)| match u32::try_from(animals) {
                        Ok(few) => Ok((class.into(), few)),
                        Err(_) => Err(FrameFault::Count(animals)),
                    })
                    .collect::<Result<_, _>>()?,
            ),
            (detections, None) => {
                let size = |side| u32::try_from(side);
                let (Ok(width), Ok(height)) = (size(self.width), size(self.height)) else {
                    return Err(FrameFault::Size(self.width, self.height));
                };
                let unnamed = || Model { name: Arc::from(""), hash: Arc::from("") };
                Seen::Detections(Picture {
                    width,
                    height,
                    model: self.model.unwrap_or_else(unnamed),
                    detections: detections.unwrap_or_default(),
                    image: self.image.map(|Bytes(jpeg)| Jpeg::try_from(&*jpeg)).transpose()?,
                })
            }
        };
        Ok(Frame {
            id: FrameId { source, session: SessionId::from(self.session), seq },
            captured_at: UnixMillis::new(self.captured_at),
            produced_at: UnixMillis::new(self.produced_at.unwrap_or(self.captured_at)),
            seen,
        })
    }
}

fn sixteen_bytes<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 16], D::Error> {
    struct Sixteen;

    impl Visitor<'_> for Sixteen {
        type Value = [u8; 16];

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("sixteen bytes")
        }

        fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<[u8; 16], E> {
            bytes.try_into().map_err(|_| E::invalid_length(bytes.len(), &self))
        }
    }

    from.deserialize_bytes(Sixteen)
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
        struct AnyBytes;

        impl Visitor<'_> for AnyBytes {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }
        }

        from.deserialize_bytes(AnyBytes)
    }
}
