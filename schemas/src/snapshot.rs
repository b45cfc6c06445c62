//! The seam between the pipeline and the snapshots: what a camera saw at one
//! moment, as a picture, with what was found in it.
//!
//! # Invariants
//!
//! - A snapshot has the name of its frame. Putting it again changes nothing, so
//!   it is put before the frame is committed, and found there by a replay.
//! - Snapshots have one order: by `captured_at`, then by the text of their ids.
//! - A snapshot that is deleted is a picture less, and never a count.

use serde_json::Value;

use crate::commit::StoreError;
use crate::frame::{Detection, Frame, FrameId, Jpeg, Model, Picture, Seen};
use crate::source::SourceId;
use crate::time::UnixMillis;

/// What one source saw at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Its frame's; the text of it is the record's key in every store.
    pub id: FrameId,
    /// Event time: when the source captured the picture.
    pub captured_at: UnixMillis,
    /// Of the picture, pixels.
    pub width: u32,
    /// Of the picture, pixels.
    pub height: u32,
    pub model: Model,
    pub detections: Vec<Detection>,
    /// The picture; none where it was not asked for, or never kept.
    pub image: Option<Jpeg>,
}

impl Snapshot {
    /// The snapshot that a frame carries, if it does.
    pub fn of(frame: Frame) -> Option<Snapshot> {
        let Frame { id, captured_at, produced_at: _, seen } = frame;
        let Seen::Detections(picture) = seen else { return None };
        let Picture { width, height, model, detections, image } = picture;
        image.as_ref()?;
        Some(Snapshot { id, captured_at, width, height, model, detections, image })
    }

    /// Length of the image.
    pub fn bytes(&self) -> usize {
        self.image.as_ref().map_or(0, |image| image.bytes().len())
    }
}

/// One record of a store, as far as it can be read.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    Snapshot(Snapshot),
    Foreign(Foreign),
    Unreadable(Unreadable),
}

/// A record in the shape of the original system, which kept all sources of a
/// moment in one.
#[derive(Clone, Debug, PartialEq)]
pub struct Foreign {
    /// Its key in the store.
    pub id: String,
    /// One element a source, as it is stored: `detect` are the boxes, `frame` is
    /// the picture in base64. Whatever else there is, and whether there is any of
    /// it, is the other program's affair.
    pub data: Vec<Value>,
}

/// A record that is neither.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("snapshot {id} cannot be read: {what}")]
pub struct Unreadable {
    /// Its key in the store.
    pub id: String,
    pub what: String,
}

/// Whether pictures are read too, or only what is known of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Images {
    With,
    Without,
}

/// Which records to read.
///
/// A foreign record has no time: it comes before all snapshots, and only where
/// `source`, `from` and `to` are all open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotQuery {
    /// Of this source, or of all.
    pub source: Option<SourceId>,
    /// Captured at this moment or later.
    pub from: Option<UnixMillis>,
    /// Captured before this moment.
    pub to: Option<UnixMillis>,
    /// The newest first, or the oldest.
    pub newest_first: bool,
    /// So many of them are passed over.
    pub skip: u64,
    /// At most so many are read. With images each may take up
    /// [`IMAGE_BYTES_MAX`](crate::frame::IMAGE_BYTES_MAX).
    pub limit: u32,
    pub images: Images,
}

impl SnapshotQuery {
    /// All records without their images, the oldest first.
    pub const fn all() -> SnapshotQuery {
        SnapshotQuery {
            source: None,
            from: None,
            to: None,
            newest_first: false,
            skip: 0,
            limit: u32::MAX,
            images: Images::Without,
        }
    }
}

/// The snapshots: pictures with their detections, until retention deletes them.
///
/// Calls block and every wait ends; asynchronous callers use a blocking task. A
/// record that cannot be read is told as such and never fails a call.
pub trait SnapshotStore: Send + Sync {
    /// Keeps each snapshot durably, unless one of its id is there: that one
    /// stays as it is. Returns how many were new, as far as is known.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or written. Any of them may have been kept:
    /// call again.
    fn put(&self, snapshots: &[Snapshot]) -> Result<u64, StoreError>;

    /// Keeps each snapshot durably, in the place of one of its id if there is one.
    /// Returns how many were new. A frame is counted as it came first; what is
    /// known of its picture may be told better later.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or written. Any of them may have been kept:
    /// call again.
    fn replace(&self, snapshots: &[Snapshot]) -> Result<u64, StoreError>;

    /// The snapshot of that frame, with its image.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or read.
    fn get(&self, id: &FrameId) -> Result<Option<Record>, StoreError>;

    /// The records asked for.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or read.
    fn find(&self, query: &SnapshotQuery) -> Result<Vec<Record>, StoreError>;

    /// The `n`-th record, from 0, of one source or of all, with its image.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or read.
    fn nth(&self, source: Option<SourceId>, n: u64) -> Result<Option<Record>, StoreError> {
        let all = SnapshotQuery::all();
        let query = SnapshotQuery { source, skip: n, limit: 1, images: Images::With, ..all };
        Ok(self.find(&query)?.pop())
    }

    /// The newest snapshot of each source, by source.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or read.
    fn current(&self, images: Images) -> Result<Vec<Record>, StoreError>;

    /// How many records there are, of one source or in all.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or read.
    fn count(&self, source: Option<SourceId>) -> Result<u64, StoreError>;

    /// Bytes of all snapshots' images.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or read.
    fn stored_bytes(&self) -> Result<u64, StoreError>;

    /// Deletes every snapshot captured before `moment`, and no foreign record;
    /// returns how many.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or written. Some may have been deleted.
    fn delete_older(&self, moment: UnixMillis) -> Result<u64, StoreError>;

    /// Deletes snapshots, the oldest first, until their images take up
    /// `bytes_max` at most, and no foreign record; returns how many.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or written. Some may have been deleted.
    fn delete_to_size(&self, bytes_max: u64) -> Result<u64, StoreError>;
}
