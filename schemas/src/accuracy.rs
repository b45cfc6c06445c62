//! How right detections were: what a comparison with labels found, and the seam
//! to where it is kept.
//!
//! # Invariants
//!
//! - A measurement is known by what was measured: keeping the same result again
//!   keeps one, which is then as new as the last time.
//! - It is kept beside what is counted and changes none of it. A share that is
//!   [corrected](corrected_share) by it is told beside the raw one, never in its
//!   place.

mod confusion;
mod corrected;

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use serde_json::Value;

use crate::commit::StoreError;
use crate::digest;
use crate::frame::Model;
use crate::source::SourceId;
use crate::time::UnixMillis;

pub use confusion::Confusion;
pub use corrected::{CorrectedShare, Level, Observed, WhyNot, corrected_share};

/// What one comparison of a source's detections with labels found.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    pub source: SourceId,
    pub measured_at: UnixMillis,
    /// Whose detections were compared.
    pub model: Model,
    /// Detections below this confidence were left out, as they are when counting. 0 if none
    /// were left out of what was recorded, however sure that had to be.
    pub confidence: f32,
    /// Event time of the first labelled frame.
    pub from: UnixMillis,
    /// Behind the event time of the last one: the labels lie in `[from, to)`.
    pub to: UnixMillis,
    /// How many frames have labels.
    pub frames: u64,
    pub confusion: Confusion,
    /// The whole report, as the command prints it as JSON. Read back, its numbers agree
    /// to 15 digits.
    pub report: Value,
}

impl Measurement {
    /// Its name: a digest of all that it says, but for when it was measured.
    pub fn id(&self) -> MeasurementId {
        let Measurement {
            source,
            measured_at: _,
            model,
            confidence,
            from,
            to,
            frames,
            confusion,
            report,
        } = self;
        /// What is digested; the order of the fields is part of every stored id.
        #[derive(Serialize)]
        struct Content<'a> {
            source: SourceId,
            model: &'a Model,
            confidence: f32,
            from: UnixMillis,
            to: UnixMillis,
            frames: u64,
            confusion: Confusion,
            report: &'a Value,
        }
        let content = Content {
            source: *source,
            model,
            confidence: *confidence,
            from: *from,
            to: *to,
            frames: *frames,
            confusion: *confusion,
            report,
        };
        let bytes = serde_json::to_vec(&content).expect("numbers and texts have a JSON form");
        MeasurementId(digest::sha256(&bytes))
    }
}

/// Names a measurement.
///
/// Invariant: 64 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct MeasurementId(String);

impl MeasurementId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MeasurementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that names no measurement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a measurement's id: 64 lower-case hexadecimal digits")]
pub struct InvalidMeasurementId(String);

impl FromStr for MeasurementId {
    type Err = InvalidMeasurementId;

    fn from_str(text: &str) -> Result<MeasurementId, InvalidMeasurementId> {
        let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        match text.len() == 64 && text.bytes().all(digit) {
            true => Ok(MeasurementId(text.to_owned())),
            false => Err(InvalidMeasurementId(text.to_owned())),
        }
    }
}

/// A measurement that was kept.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredMeasurement {
    pub id: MeasurementId,
    pub measurement: Measurement,
}

/// The measurements.
///
/// Calls block and every wait ends; asynchronous callers use a blocking task.
pub trait AccuracyStore: Send + Sync {
    /// Keeps a measurement durably. One that says the same is kept once, and is
    /// then as new as the newer of the two.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or written. It may have been kept: call again.
    fn keep(&self, measurement: &Measurement) -> Result<MeasurementId, StoreError>;

    /// The measurements of a source, the newest first, at most `limit` of them.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or read.
    fn of_source(&self, source: SourceId, limit: u32)
    -> Result<Vec<StoredMeasurement>, StoreError>;

    /// The newest measurement of a source that knows how often postures are mistaken: one
    /// in which animals of both were found. Headcounts measure no postures, and must not
    /// hide what was known before.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or read.
    fn newest_of_postures(&self, source: SourceId)
    -> Result<Option<StoredMeasurement>, StoreError>;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn measurement() -> Measurement {
        Measurement {
            source: SourceId::try_from(7).unwrap(),
            measured_at: UnixMillis::new(1_795_000_000_000),
            model: Model { name: "goats.onnx".into(), hash: "00112233aabbccdd".into() },
            confidence: 0.4,
            from: UnixMillis::new(1_794_000_000_000),
            to: UnixMillis::new(1_794_003_600_000),
            frames: 60,
            confusion: Confusion {
                lying_as_lying: 57,
                lying_as_standing: 3,
                standing_as_lying: 5,
                standing_as_standing: 45,
            },
            report: json!({"frames": 60}),
        }
    }

    #[test]
    fn a_measurement_is_named_by_what_was_measured() {
        let first = measurement();
        let again = Measurement { measured_at: UnixMillis::new(1), ..first.clone() };
        assert_eq!(again.id(), first.id());

        let others = [
            Measurement { source: SourceId::try_from(8).unwrap(), ..first.clone() },
            Measurement { confidence: 0.41, ..first.clone() },
            Measurement { from: UnixMillis::new(0), ..first.clone() },
            Measurement { to: UnixMillis::new(0), ..first.clone() },
            Measurement { frames: 61, ..first.clone() },
            Measurement {
                confusion: Confusion { lying_as_lying: 58, ..first.confusion },
                ..first.clone()
            },
            Measurement {
                model: Model { hash: "ffffffffffffffff".into(), ..first.model.clone() },
                ..first.clone()
            },
            Measurement { report: json!({"frames": 60, "more": true}), ..first.clone() },
        ];
        for other in others {
            assert_ne!(other.id(), first.id(), "{other:?}");
        }
    }

    #[test]
    fn ids_that_are_kept_somewhere_stay_the_same() {
        // The digest of the JSON text as Python's hashlib gives it.
        assert_eq!(
            measurement().id().as_str(),
            "70f7112d6d6fbf1b81fdb019c328dd269dbf4d0714de58b8c85ce370bf598d91"
        );
    }

    #[test]
    fn an_id_is_read_as_it_is_written_and_in_no_other_way() {
        let id = measurement().id();
        assert_eq!(id.to_string().parse(), Ok(id.clone()));
        let upper = id.to_string().to_uppercase();
        let [short, long] = [id.as_str().split_at(63).0.to_owned(), format!("{id}0")];
        for wrong in [upper, short, long, "z".repeat(64), String::new()] {
            assert_eq!(
                wrong.parse::<MeasurementId>(),
                Err(InvalidMeasurementId(wrong.clone())),
                "{wrong}"
            );
        }
    }
}
