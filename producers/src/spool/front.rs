//! The oldest records of the local log that are still to be sent, read ahead.

use std::sync::Arc;
use std::time::Duration;

use schemas::log::{Batch, LogError, LogReader, Offset, ReadEnd, Record, TrimLog};
use schemas::time::UnixMillis;

use super::ONLY;

/// Records read together; their bytes have the local log's own bound.
pub(super) const FRONT_RECORDS_MAX: usize = 8192;

/// A place in the local log, and what was read from there on.
pub(super) struct Front {
    local: Arc<dyn TrimLog>,
    /// None until something is read, and after a failure.
    reader: Option<Box<dyn LogReader>>,
    batch: Batch,
    /// How many of the batch are settled.
    settled: usize,
    /// The first offset that is not settled.
    next: Offset,
}

impl Front {
    pub(super) fn new(local: Arc<dyn TrimLog>, next: Offset) -> Front {
        Front { local, reader: None, batch: Batch::default(), settled: 0, next }
    }

    /// The first offset that is not settled.
    pub(super) fn next(&self) -> Offset {
        self.next
    }

    /// When the oldest record was appended, as far as it was read.
    pub(super) fn oldest(&self) -> Option<UnixMillis> {
        self.records().next().map(|record| record.appended_at)
    }

    /// What was read and is not settled.
    pub(super) fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.batch.records().skip(self.settled)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.settled == self.batch.len()
    }

    /// Reads on, if everything that was read is settled.
    ///
    /// # Errors
    ///
    /// The local log cannot be read; the next call tries the same place again.
    pub(super) fn fill(&mut self) -> Result<(), LogError> {
        if !self.is_empty() {
            return Ok(());
        }
        self.batch.clear();
        self.settled = 0;
        let read = self.read();
        if read.is_err() {
            self.batch.clear();
            self.reader = None;
        }
        read
    }

    fn read(&mut self) -> Result<(), LogError> {
        let bounds = self.local.bounds(ONLY)?;
        let reader = match &mut self.reader {
            Some(reader) => reader,
            None => {
                self.next = self.next.clamp(bounds.low, bounds.high);
                self.reader.insert(self.local.reader(ONLY, self.next)?)
            }
        };
        let end = reader.read(&mut self.batch, FRONT_RECORDS_MAX, Duration::ZERO)?;
        if self.batch.is_empty() && matches!(end, ReadEnd::CaughtUp(_)) {
            // Damage may have taken the last offsets: nothing will ever be there.
            self.next = self.next.max(bounds.high);
        }
        Ok(())
    }

    /// Goes behind the first `records`.
    pub(super) fn settle(&mut self, records: usize) {
        if let Some(last) = records.checked_sub(1).and_then(|last| self.records().nth(last)) {
            self.next = last.offset.next();
            self.settled += records;
        }
    }

    /// Lets go of buffers and files until there is something to read again.
    pub(super) fn rest(&mut self) {
        (self.reader, self.batch, self.settled) = (None, Batch::default(), 0);
    }
}
