//! What every reader goes by, whatever it reads from: how long it waits, when it
//! has enough, and why its place may not be there.

use std::time::Duration;

use schemas::log::Batch;

/// Why a reader's place is not in the log.
pub(super) const BELOW: &str = "retention has deleted the records before the low bound";
pub(super) const ABOVE: &str = "it is shorter than what was already read of it: it lost its end, or another log took its place";

/// Longest wait, so that adding it to now never overflows.
pub(super) const WAIT_MAX: Duration = Duration::from_hours(24);

/// A read that has added so many bytes of values goes no further.
const READ_BYTES_MAX: usize = 8 << 20;

/// When a batch has enough.
#[derive(Clone, Copy, Debug)]
pub(super) struct Full {
    records: usize,
    value_bytes: usize,
}

impl Full {
    /// With `records_max` more records than now, or [`READ_BYTES_MAX`] more.
    pub(super) fn after(batch: &Batch, records_max: usize) -> Full {
        Full {
            records: batch.len().saturating_add(records_max.max(1)),
            value_bytes: batch.value_bytes().saturating_add(READ_BYTES_MAX),
        }
    }

    #[inline]
    pub(super) fn is_reached(self, batch: &Batch) -> bool {
        self.records <= batch.len() || self.value_bytes <= batch.value_bytes()
    }
}
