//! A histogram as a text: animals to frames, in JSON.
//!
//! `{"5":47,"6":13}`: 47 frames show five animals, 13 show six.

use schemas::stats::Histogram;
use serde::de::Error;

/// Writes the text of `histogram`; what was in `out` is gone.
pub(super) fn write(histogram: &Histogram, out: &mut Vec<u8>) {
    out.clear();
    serde_json::to_writer(out, histogram).expect("a Vec takes everything");
}

/// Reads what [`write()`] wrote.
///
/// # Errors
///
/// It is no such text.
pub(super) fn read(text: &[u8]) -> Result<Histogram, serde_json::Error> {
    let histogram = serde_json::from_slice(text);
    histogram.map_err(|error| Error::custom(format!("damaged histogram: {error}")))
}
