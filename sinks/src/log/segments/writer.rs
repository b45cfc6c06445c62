//! Writes groups of records to the newest segment of one partition.
//!
//! # Invariants
//!
//! - The acknowledged part of a file is followed by nothing, or by what the
//!   next group is just writing there.
//! - A file whose sync has failed is never written or synced again: what the
//!   system then holds of it is unknown. Its acknowledged part stays readable,
//!   and the next group begins a new segment.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use schemas::avro::{COUNTS_SCHEMA, FRAME_SCHEMA};
use schemas::bugs::Bug;
use schemas::time::UnixMillis;

use super::blocks::wide;
use super::directory::{create_whole, segment_path, shown};
use super::format::{BlockEncoder, Sync, encode_header};
use super::group::{Failure, Values};
use crate::metrics::LogMetrics;

/// The frame schemas that this program knows.
pub(super) const SCHEMAS: [&str; 2] = [FRAME_SCHEMA, COUNTS_SCHEMA];

/// A buffer that one huge group has blown up is let go of.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// The segment that is written to.
pub(super) struct Active {
    pub(super) file: File,
    pub(super) base: u64,
    pub(super) sync: Sync,
    /// Acknowledged.
    pub(super) bytes: u64,
    /// Of its first record.
    pub(super) first_at: Option<UnixMillis>,
}

/// Where a group went.
pub(super) struct Written {
    /// The segment that was begun for it.
    pub(super) begun: Option<Begun>,
    /// Acknowledged bytes of the newest segment.
    pub(super) bytes: u64,
    /// Behind the last record.
    pub(super) next: u64,
}

/// A new segment.
pub(super) struct Begun {
    pub(super) base: u64,
    pub(super) sync: Sync,
    pub(super) header_bytes: u64,
}

/// When a new segment begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rolling {
    pub(super) bytes: u64,
    /// Milliseconds.
    pub(super) age_ms: i64,
}

/// The one writer of a partition.
pub(super) struct Writer {
    dir: PathBuf,
    log_id: String,
    rolling: Rolling,
    /// None before the first record, after a failed sync, and when the newest
    /// segment does not declare this program's schemas.
    active: Option<Active>,
    next: u64,
    out: Vec<u8>,
    block: Vec<u8>,
    metrics: LogMetrics,
}

impl Writer {
    pub(super) fn new(
        dir: PathBuf,
        log_id: String,
        rolling: Rolling,
        active: Option<Active>,
        next: u64,
        metrics: LogMetrics,
    ) -> Writer {
        let (out, block) = (Vec::new(), Vec::new());
        Writer { dir, log_id, rolling, active, next, out, block, metrics }
    }

    /// Appends `values` and makes them durable.
    ///
    /// A failure leaves the log as it was; a segment that was begun in vain is
    /// begun again.
    pub(super) fn append(&mut self, values: &Values, at: UnixMillis) -> Result<Written, Failure> {
        let begun = self.roll_if_due(at)?;
        let Some(active) = &mut self.active else {
            return Err(failure("open", &self.dir, &io::Error::other("there is no open segment")));
        };
        self.out.clear();
        let mut encoder = BlockEncoder::new(active.sync, &mut self.out, &mut self.block);
        let mut next = self.next;
        for value in values.iter() {
            encoder.push(next, at, value);
            next += 1;
        }
        encoder.finish();

        let path = segment_path(&self.dir, active.base);
        if let Err(error) = write(&active.file, &self.out, active.bytes) {
            if active.file.set_len(active.bytes).is_err() || begun.is_some() {
                self.active = None;
            }
            return Err(failure("append to", &path, &error));
        }
        fail::fail_point!("log-before-fsync");
        let synced = if Bug::AckBeforeFsync.is_planted() {
            Ok(())
        } else {
            let _timer = self.metrics.sync_seconds.start_timer();
            sync(&active.file)
        };
        if let Err(error) = synced {
            tracing::error!(
                path = %path.display(),
                %error,
                "could not sync a segment; it is left as it was acknowledged, and a new one begins"
            );
            // Readers of a later start know the end by the next segment's name;
            // cutting only spares them the bytes.
            drop(active.file.set_len(active.bytes));
            self.active = None;
            return Err(failure("sync", &path, &error));
        }
        fail::fail_point!("log-after-fsync");

        active.bytes += wide(self.out.len());
        active.first_at.get_or_insert(at);
        self.next = next;
        let bytes = active.bytes;
        for buffer in [&mut self.out, &mut self.block] {
            buffer.clear();
            buffer.shrink_to(KEPT_BYTES_MAX);
        }
        Ok(Written { begun, bytes, next })
    }

    /// Begins a new segment if the newest is long or old enough, or lost.
    fn roll_if_due(&mut self, now: UnixMillis) -> Result<Option<Begun>, Failure> {
        if let Some(Active { bytes, first_at: Some(first_at), .. }) = &self.active {
            let age_ms = now.get().saturating_sub(first_at.get());
            if *bytes < self.rolling.bytes && age_ms < self.rolling.age_ms {
                return Ok(None);
            }
        } else if self.active.is_some() {
            return Ok(None);
        }
        let (header, sync) = encode_header(&self.log_id, self.next, &SCHEMAS);
        let path = segment_path(&self.dir, self.next);
        let file = create_whole(&path, &header).map_err(|error| failure("begin", &path, &error))?;
        let (base, bytes) = (self.next, wide(header.len()));
        self.active = Some(Active { file, base, sync, bytes, first_at: None });
        Ok(Some(Begun { base, sync, header_bytes: bytes }))
    }
}

fn failure(doing: &'static str, path: &std::path::Path, error: &io::Error) -> Failure {
    Failure::new(doing, shown(path), error)
}

fn write(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    fail::fail_point!("log-write", |_| Err(io::Error::other("failpoint")));
    file.write_all_at(bytes, at)
}

fn sync(file: &File) -> io::Result<()> {
    fail::fail_point!("log-fsync", |_| Err(io::Error::other("failpoint")));
    file.sync_data()
}
