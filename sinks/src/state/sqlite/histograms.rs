//! The histograms of a window as one text: metric to animals to frames, in JSON.
//!
//! `{"lying":{"5":47,"6":13},"standing":{"7":60}}`: five animals lie in 47 frames,
//! six in 13, and seven stand in each of the 60.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemas::stats::Histogram;
use serde::de::Error;
use serde::{Serialize, Serializer};

/// Writes the text of `metrics`; what was in `out` is gone.
pub(super) fn write(metrics: &[(Arc<str>, Histogram)], out: &mut Vec<u8>) {
    out.clear();
    serde_json::to_writer(out, &ByName(metrics)).expect("a Vec takes everything");
}

/// Reads what [`write()`] wrote: the metrics by name, ascending.
///
/// # Errors
///
/// It is no such text.
pub(super) fn read(text: &[u8]) -> Result<Vec<(Arc<str>, Histogram)>, serde_json::Error> {
    let by_name = serde_json::from_slice::<BTreeMap<Arc<str>, Histogram>>(text);
    let by_name = by_name.map_err(|error| Error::custom(format!("damaged histograms: {error}")))?;
    Ok(by_name.into_iter().collect())
}

struct ByName<'a>(&'a [(Arc<str>, Histogram)]);

impl Serialize for ByName<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, histogram)| (name, histogram)))
    }
}
