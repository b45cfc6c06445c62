//! The seam between producers and the pipeline: a partitioned, durable log of
//! frame records. Kafka is one, a directory of segments another.

mod ownership;

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::source::SourceId;
use crate::time::UnixMillis;

pub use ownership::{EveryPartition, Held, Ownership};

/// Names a log for ever: a log that is deleted and made again is another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId(pub Arc<str>);

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a log is found, whichever log that is: what stays the same when one is
/// deleted and another made in its place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogName(pub Arc<str>);

impl fmt::Display for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One ordered part of a log, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(pub u32);

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A place in a partition: the n-th record ever appended, from 0. Offsets
/// ascend, and may skip numbers (a gap).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub u64);

impl Offset {
    /// The place behind this one.
    pub const fn next(self) -> Offset {
        Offset(self.0 + 1)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a partition still holds: `[low, high)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The oldest record that retention has left.
    pub low: Offset,
    /// Where the next record will go.
    pub high: Offset,
}

/// One record as read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    pub offset: Offset,
    /// When the log took it, by the log's clock.
    pub appended_at: UnixMillis,
    /// A frame in Avro single-object encoding, or whatever was appended.
    pub value: &'a [u8],
}

/// Records read together: one buffer, filled and cleared again and again.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    slots: Vec<Slot>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    offset: Offset,
    appended_at: UnixMillis,
    end: usize,
}

impl Batch {
    /// Takes a copy of `record`. Offsets must ascend.
    #[inline]
    pub fn push(&mut self, record: Record<'_>) {
        self.bytes.extend_from_slice(record.value);
        let Record { offset, appended_at, value: _ } = record;
        self.slots.push(Slot { offset, appended_at, end: self.bytes.len() });
    }

    /// The records, in the order of their offsets.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let mut start = 0;
        self.slots.iter().map(move |&Slot { offset, appended_at, end }| {
            let value = &self.bytes[start..end];
            start = end;
            Record { offset, appended_at, value }
        })
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Bytes of all values.
    pub fn value_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets the records and keeps the room.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.slots.clear();
    }
}

/// How a read ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadEnd {
    /// There may be more.
    More,
    /// Everything appended by this moment, of the log's clock, has been read.
    CaughtUp(UnixMillis),
}

/// A durable, partitioned, append-only sequence of records.
///
/// Calls block and every wait ends; asynchronous callers use a blocking task.
pub trait FrameLog: Send + Sync {
    /// Which log this is, as far as is known: one on a server may be deleted and
    /// made again while it is open.
    fn identity(&self) -> LogId;

    /// Finds out which log this is now.
    ///
    /// # Errors
    ///
    /// The log cannot be reached.
    fn identify(&self) -> Result<LogId, LogError> {
        Ok(self.identity())
    }

    /// The name under which another log might come to be found instead of this
    /// one; none for what is only ever itself.
    fn name(&self) -> Option<LogName> {
        None
    }

    /// How many partitions there are, at least one.
    fn partitions(&self) -> u32;

    /// Appends each record to its source's partition, in the order given, and
    /// returns when all of them would survive a power cut.
    ///
    /// # Errors
    ///
    /// None, some or all of the records may have been appended: append again
    /// (a frame is counted once however often it arrives).
    fn append(&self, records: &[(SourceId, &[u8])]) -> Result<(), LogError>;

    /// What `partition` still holds.
    ///
    /// # Errors
    ///
    /// The log cannot be reached or read.
    fn bounds(&self, partition: Partition) -> Result<Bounds, LogError>;

    /// Reads `partition` of the log that this [is](FrameLog::identity) from `from`
    /// on, and of no other that comes in its place.
    ///
    /// # Errors
    ///
    /// `from` lies outside the [bounds](Bounds), or the log cannot be read.
    fn reader(&self, partition: Partition, from: Offset) -> Result<Box<dyn LogReader>, LogError>;

    /// The Avro schemas that this log's writers have declared, as JSON: how a
    /// reader understands records of versions that it was not built with.
    ///
    /// # Errors
    ///
    /// The log cannot be reached or read.
    fn schemas(&self) -> Result<Vec<String>, LogError>;
}

/// A log whose oldest records can be let go of: what a queue on the disk is made
/// of.
pub trait TrimLog: FrameLog {
    /// Lets go of records of `partition` that lie before `before`, as far as whole
    /// files can be deleted.
    ///
    /// # Errors
    ///
    /// The disk refuses.
    fn trim(&self, partition: Partition, before: Offset) -> Result<(), LogError>;

    /// Bytes that the log takes on the disk.
    fn bytes(&self) -> u64;
}

/// A place in one partition, moving forward.
pub trait LogReader: Send {
    /// Adds the next records to `batch`, about `records_max` at most; waits up
    /// to `wait` for the first if there are none.
    ///
    /// # Errors
    ///
    /// The log cannot be read. The next call tries the same place again.
    fn read(
        &mut self,
        batch: &mut Batch,
        records_max: usize,
        wait: Duration,
    ) -> Result<ReadEnd, LogError>;

    /// The offset before which nothing more will be given, where that is behind the last
    /// record: a log may hold what is no record.
    fn passed(&self) -> Offset {
        Offset(0)
    }
}

/// What can go wrong with a log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("could not {doing} {at}")]
    Io { doing: &'static str, at: String, source: std::io::Error },

    #[error("could not {doing} {at}")]
    Unreachable { doing: &'static str, at: String, source: Box<dyn Error + Send + Sync> },

    #[error("could not {doing} {at}: {hint}")]
    Refused { doing: &'static str, at: String, hint: String },

    #[error("{at} was deleted and made again: it was {was} and is {now} now")]
    Replaced { at: String, was: LogId, now: LogId },

    #[error(
        "no room left to append to {at}; free some space, nothing that was acknowledged is lost"
    )]
    Full { at: String, source: std::io::Error },

    #[error(
        "{at} is in use by another animov process (pid {pid}); stop that one, or name another directory"
    )]
    InUse { at: String, pid: String },

    #[error("{at} is damaged: {what}")]
    Damaged { at: String, what: String },

    #[error(
        "partition {partition} was read up to offset {wanted}, but the log holds [{low}, {high}): \
         {hint}", low = bounds.low, high = bounds.high
    )]
    OutOfBounds { partition: Partition, wanted: Offset, bounds: Bounds, hint: &'static str },

    #[error(
        "partition {partition} was read up to offset {wanted}, but the log has lost its end since \
         then, at {end} or later, and given the offsets to other records"
    )]
    LostEnd { partition: Partition, wanted: Offset, end: Offset },

    #[error("a record of {bytes} bytes is too long; at most {max}")]
    TooLong { bytes: usize, max: usize },

    #[error("the log is read-only: it was opened for reading")]
    ReadOnly,

    #[error("the log did not take the records in time")]
    Overloaded,
}

impl LogError {
    /// Whether the same call may succeed later without anybody's doing.
    pub fn may_succeed_later(&self) -> bool {
        match self {
            LogError::Io { .. }
            | LogError::Unreachable { .. }
            | LogError::Full { .. }
            | LogError::Overloaded => true,
            LogError::Refused { .. }
            | LogError::Replaced { .. }
            | LogError::InUse { .. }
            | LogError::Damaged { .. }
            | LogError::OutOfBounds { .. }
            | LogError::LostEnd { .. }
            | LogError::TooLong { .. }
            | LogError::ReadOnly => false,
        }
    }
}
