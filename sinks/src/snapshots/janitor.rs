//! Retention: which snapshots go, and when.
//!
//! A store deletes nothing by itself. Whoever runs the process calls [`sweep`]
//! every [`SWEEP_EVERY`].

use std::time::Duration;

use schemas::commit::StoreError;
use schemas::snapshot::SnapshotStore;
use schemas::time::UnixMillis;

use crate::metrics::SnapshotMetrics;

/// How often to sweep: often enough that a store is never far over its size.
pub const SWEEP_EVERY: Duration = Duration::from_mins(10);

/// How long, and how much of it, is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Snapshots captured longer ago are deleted.
    pub age: Duration,
    /// Bytes of images; when there are more, the oldest snapshots are deleted.
    pub bytes: u64,
}

/// What one sweep came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Snapshots deleted because they were too old.
    pub by_age: u64,
    /// Snapshots deleted because all together were too large.
    pub by_size: u64,
    /// Bytes of the images that are left.
    pub bytes_left: u64,
}

/// Deletes what `retention` does not keep, as of `now`.
///
/// # Errors
///
/// The store cannot be reached or written. What was deleted until then is
/// counted, and the next sweep goes on.
pub fn sweep(
    store: &dyn SnapshotStore,
    retention: &Retention,
    now: UnixMillis,
    metrics: &SnapshotMetrics,
) -> Result<Swept, StoreError> {
    let by_age = store.delete_older(now.minus(retention.age))?;
    metrics.deleted_by_age(by_age);
    let by_size = store.delete_to_size(retention.bytes)?;
    metrics.deleted_by_size(by_size);
    let bytes_left = store.stored_bytes()?;
    metrics.stored(bytes_left);
    if 0 < by_age + by_size {
        tracing::info!(by_age, by_size, bytes_left, "snapshots deleted");
    }
    Ok(Swept { by_age, by_size, bytes_left })
}
