//! Frames as Avro single-object encoded records, back to back.

use schemas::avro::{self, Schemas};

use super::{Faults, Records};
use crate::error::{ApiError, Fault};

/// The records as they came, once every one of them has been read and checked.
pub(super) fn records(body: &[u8], max: usize, schemas: &Schemas) -> Result<Records, ApiError> {
    let (mut records, mut faults) = (Records::default(), Faults::default());
    let mut rest = body;
    while !rest.is_empty() {
        if records.len() == max {
            return Err(ApiError::TooManyFrames { max });
        }
        match avro::decode_prefix(&mut rest, schemas) {
            Ok(frame) => {
                let end = body.len() - rest.len();
                records
                    .bytes
                    .extend_from_slice(body.get(records.bytes.len()..end).unwrap_or_default());
                records.end(frame.id.source);
            }
            Err(error) => {
                // Where a bad record ends is not known, so this is the last one.
                let at = body.len() - rest.len();
                let detail = format!("the record at byte {at} {error}");
                faults.add(Fault { index: records.len(), field: String::new(), detail });
                break;
            }
        }
    }
    faults.or(records)
}
