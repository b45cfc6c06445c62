//! Reads one partition forward, across segments, and waits at its end.
//!
//! # Invariants
//!
//! - Offsets ascend strictly, whatever the files hold.
//! - A record is given only if its block's checksum is right. What is damaged is
//!   skipped, warned of and counted; its offsets become a gap.
//! - A segment's records count only up to the first offset of the next segment:
//!   what a failed sync left behind is never shown.
//! - One read adds about [`READ_BYTES_MAX`](crate::log::reading) of values at most,
//!   however large the records are, and one record at least if there is one.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use schemas::log::{Batch, LogError, LogReader, Offset, ReadEnd, Record};
use schemas::time::UnixMillis;

use super::blocks::{Block, Blocks, Next, wide};
use super::directory::segment_path;
use super::format::parse_record;
use super::partition::{Partition, Segment, View, read_error};
use crate::log::reading::{BELOW, Full, WAIT_MAX};

/// A place in one partition.
pub(super) struct SegmentsReader {
    partition: Arc<Partition>,
    /// The next offset wanted.
    next: u64,
    open: Option<Open>,
    /// The moment up to which a log that does not grow is complete.
    frozen_at: Option<UnixMillis>,
}

/// The segment that is being read.
struct Open {
    base: u64,
    /// The first offset of the next segment, or no bound yet.
    stop: u64,
    blocks: Blocks,
    /// The block that is being read, less the records that were given.
    block: Option<Block>,
}

/// What [`SegmentsReader::advance`] found.
enum Step {
    /// There is something to read.
    Readable,
    /// Everything visible was read, as of this moment.
    End(UnixMillis),
}

impl SegmentsReader {
    /// Reads from `from`, which lies in the partition's bounds.
    pub(super) fn new(
        partition: Arc<Partition>,
        from: Offset,
        frozen_at: Option<UnixMillis>,
    ) -> SegmentsReader {
        SegmentsReader { partition, next: from.0, open: None, frozen_at }
    }

    /// Goes to where there is more to read, or says that there is not.
    fn advance(&mut self, view: &View) -> Result<Step, LogError> {
        let bounds = view.bounds();
        let current = self.open.as_ref().map(|open| (open.base, *open.blocks.sync()));
        let after = |base: u64| view.segments.partition_point(|segment| segment.base <= base);
        let at = match current {
            None => after(self.next).saturating_sub(1),
            Some((base, sync)) => {
                let at = after(base);
                match view.segments[..at].last() {
                    Some(same) if same.base == base && same.sync == sync => {
                        let stop = view.segments.get(at).map_or(u64::MAX, |next| next.base);
                        if let Some(open) = &mut self.open {
                            open.stop = stop;
                            if open.blocks.limit() < same.bytes {
                                open.blocks.extend(same.bytes);
                                return Ok(Step::Readable);
                            }
                        }
                        at
                    }
                    // Begun again, after it was begun in vain.
                    Some(same) if same.base == base => at - 1,
                    _ => at,
                }
            }
        };
        let Some(segment) = view.segments.get(at) else {
            let caught_up = view.caught_up_at(&*self.partition.clock);
            return Ok(Step::End(self.frozen_at.unwrap_or(caught_up)));
        };
        if self.next < bounds.low.0 {
            return Err(self.out_of_bounds(view));
        }
        let stop = view.segments.get(at + 1).map_or(u64::MAX, |next| next.base);
        self.open_segment(segment, stop, view)?;
        Ok(Step::Readable)
    }

    fn open_segment(&mut self, segment: &Segment, stop: u64, view: &View) -> Result<(), LogError> {
        let Segment { base, sync, header_bytes, bytes, .. } = *segment;
        let file = match File::open(segment_path(&self.partition.dir, base)) {
            Ok(file) => file,
            // Only a log opened for reading can list what its writer deletes.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(self.out_of_bounds(view));
            }
            Err(error) => return Err(read_error(&self.partition.dir, base, error)),
        };
        match &mut self.open {
            Some(open) => {
                open.blocks.reopen(file, sync, header_bytes, bytes);
                (open.base, open.stop, open.block) = (base, stop, None);
            }
            None => {
                let blocks = Blocks::new(file, sync, header_bytes, bytes);
                self.open = Some(Open { base, stop, blocks, block: None });
            }
        }
        Ok(())
    }

    fn out_of_bounds(&self, view: &View) -> LogError {
        LogError::OutOfBounds {
            partition: self.partition.index,
            wanted: Offset(self.next),
            bounds: view.bounds(),
            hint: BELOW,
        }
    }

    /// Reads from the open segment until `batch` is full or the segment's visible
    /// part ends; whether the former.
    fn read_open(&mut self, batch: &mut Batch, full: Full) -> Result<bool, LogError> {
        let Some(open) = &mut self.open else { return Ok(false) };
        while !full.is_reached(batch) {
            if let Some(block) = &mut open.block {
                let damaged = give(block, &open.blocks, open.stop, &mut self.next, batch, full);
                if damaged {
                    self.partition.damaged(
                        open.base,
                        "a block is not what its checksum promises",
                        0,
                    );
                    open.block = None;
                } else if block.records == 0 {
                    open.block = None;
                }
                continue;
            }
            let next = open.blocks.next();
            match next.map_err(|error| read_error(&self.partition.dir, open.base, error))? {
                Next::End => return Ok(false),
                Next::Damage { bytes } => {
                    self.partition.damaged(open.base, "no block", bytes);
                }
                Next::Block(block) => {
                    if !block.marked {
                        self.partition.damaged(open.base, "a sync marker is wrong", 0);
                    }
                    let data = &open.blocks.bytes()[block.data.clone()];
                    if !lies_before(data, block.records, self.next) {
                        open.block = Some(block);
                    }
                }
            }
        }
        Ok(true)
    }
}

/// Whether all records of a block have smaller offsets than `next`. Offsets in
/// a block are consecutive.
fn lies_before(data: &[u8], records: usize, next: u64) -> bool {
    let first = parse_record(data, &mut 0).map_or(next, |record| record.offset);
    first.saturating_add(wide(records)) <= next
}

/// Moves records from `block` to `batch`; whether the block turned out to be
/// damaged.
#[inline]
fn give(
    block: &mut Block,
    blocks: &Blocks,
    stop: u64,
    next: &mut u64,
    batch: &mut Batch,
    full: Full,
) -> bool {
    let data = &blocks.bytes()[block.data.clone()];
    let mut at = 0;
    while 0 < block.records && !full.is_reached(batch) {
        let Some(record) = parse_record(data, &mut at) else { return true };
        block.records -= 1;
        if *next <= record.offset && record.offset < stop {
            *next = record.offset + 1;
            batch.push(Record {
                offset: Offset(record.offset),
                appended_at: record.appended_at,
                value: record.value,
            });
        }
    }
    block.data.start += at;
    block.records == 0 && block.data.start != block.data.end
}

impl LogReader for SegmentsReader {
    fn read(
        &mut self,
        batch: &mut Batch,
        records_max: usize,
        wait: Duration,
    ) -> Result<ReadEnd, LogError> {
        let deadline = Instant::now() + wait.min(WAIT_MAX);
        let before = batch.len();
        let full = Full::after(batch, records_max);
        loop {
            if self.read_open(batch, full)? {
                return Ok(ReadEnd::More);
            }
            let partition = Arc::clone(&self.partition);
            let mut view = partition.view();
            loop {
                match self.advance(&view)? {
                    Step::Readable => break,
                    Step::End(at) => {
                        let waits = self.frozen_at.is_none() && batch.len() == before;
                        if !waits || deadline <= Instant::now() {
                            return Ok(ReadEnd::CaughtUp(at));
                        }
                        view = partition.wait(view, deadline);
                    }
                }
            }
        }
    }
}
