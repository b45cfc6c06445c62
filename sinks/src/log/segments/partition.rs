//! One partition: its segments, its appenders, and what readers may see.
//!
//! # Invariants
//!
//! - Readers see acknowledged bytes only, of the segments in the [`View`].
//! - The view's segments ascend, and only the last one grows.
//! - What is appended after a [`View::caught_up_at`] has that time or a later one.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use schemas::log::{Bounds, LogError, Offset, Partition as PartitionIndex};
use schemas::time::{Clock, UnixMillis};

use super::blocks::wide;
use super::directory::{
    create_dir, error, failed, partition_dir, remove_unfinished, segment_bases, segment_path,
    shown, sync_dir,
};
use super::format::{Header, NoHeader, Sync};
use super::group::{Failure, Groups, Ticket, Values};
use super::scan::{Scan, first_appended_at, read_header, scan};
use super::writer::{Active, Rolling, SCHEMAS, Writer, Written};
use super::{Opening, SegmentsConfig};
use crate::metrics::LogMetrics;

/// One segment, as readers see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) base: u64,
    pub(super) sync: Sync,
    pub(super) header_bytes: u64,
    /// Acknowledged.
    pub(super) bytes: u64,
    /// When its first record was appended.
    pub(super) first_at: Option<UnixMillis>,
}

/// What readers may see.
pub(super) struct View {
    pub(super) segments: Vec<Segment>,
    /// Behind the last acknowledged record.
    pub(super) next: u64,
    last_appended_at: UnixMillis,
    /// The time that the records being written now will carry.
    writing_at: Option<UnixMillis>,
}

impl View {
    pub(super) fn bounds(&self) -> Bounds {
        let low = self.segments.first().map_or(self.next, |first| first.base);
        Bounds { low: Offset(low), high: Offset(self.next) }
    }

    /// The moment by which everything appended is in this view.
    pub(super) fn caught_up_at(&self, clock: &dyn Clock) -> UnixMillis {
        let now = clock.now();
        self.writing_at.map_or(now, |writing| writing.min(now))
    }
}

/// One partition of a log.
pub(super) struct Partition {
    pub(super) index: PartitionIndex,
    pub(super) dir: PathBuf,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: LogMetrics,
    view: Mutex<View>,
    /// The view grew.
    grown: Condvar,
    groups: Groups,
    /// None if the log was opened for reading.
    writer: Option<Mutex<Writer>>,
}

impl Partition {
    /// Opens the partition's folder; for writing, cuts a torn tail.
    pub(super) fn open(opening: &Opening<'_>, index: u32) -> Result<Partition, LogError> {
        let dir = partition_dir(opening.dir, index);
        if opening.writes {
            create_dir(&dir).map_err(failed("make", &dir))?;
            remove_unfinished(&dir).map_err(failed("clean up", &dir))?;
        }
        let mut found = Found::in_dir(opening, &dir)?;
        let SegmentsConfig { segment_bytes, segment_age, pending_bytes_max, .. } = opening.config;
        let writer = opening.writes.then(|| {
            let rolling =
                Rolling { bytes: segment_bytes.get(), age_ms: schemas::time::millis(*segment_age) };
            let id = opening.log_id.to_owned();
            let active = found.active.take();
            let metrics = opening.metrics.clone();
            Mutex::new(Writer::new(dir.clone(), id, rolling, active, found.next, metrics))
        });
        let view = View {
            segments: found.segments,
            next: found.next,
            last_appended_at: found.last_appended_at,
            writing_at: None,
        };
        Ok(Partition {
            index: PartitionIndex(index),
            dir,
            clock: Arc::clone(opening.clock),
            metrics: opening.metrics.clone(),
            view: Mutex::new(view),
            grown: Condvar::new(),
            groups: Groups::new(usize::try_from(pending_bytes_max.get()).unwrap_or(usize::MAX)),
            writer,
        })
    }

    pub(super) fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the view may have grown, or until `deadline`.
    pub(super) fn wait<'a>(
        &self,
        view: MutexGuard<'a, View>,
        deadline: Instant,
    ) -> MutexGuard<'a, View> {
        let left = deadline.saturating_duration_since(Instant::now());
        self.grown.wait_timeout(view, left).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Queues values for the next group; writes the one before if it is in the
    /// way and nobody else does.
    pub(super) fn join<'a>(
        &self,
        values: impl Iterator<Item = &'a [u8]> + Clone,
        deadline: Instant,
    ) -> Result<Ticket, LogError> {
        let Some(writer) = &self.writer else { return Err(LogError::ReadOnly) };
        self.groups.join(values, deadline, |values| self.write(writer, values))
    }

    /// Returns when the ticket's values are durable.
    pub(super) fn finish(&self, ticket: &Ticket, deadline: Instant) -> Result<(), LogError> {
        let Some(writer) = &self.writer else { return Err(LogError::ReadOnly) };
        self.groups.finish(ticket, deadline, |values| self.write(writer, values))
    }

    fn write(&self, writer: &Mutex<Writer>, values: &Values) -> Result<(), Failure> {
        let at = {
            // Under the lock: a reader either sees the mark, or has looked before
            // the time was taken.
            let mut view = self.view();
            let at = self.clock.now().max(view.last_appended_at);
            view.writing_at = Some(at);
            at
        };
        let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
        let written = writer.append(values, at);
        drop(writer);

        let mut view = self.view();
        view.writing_at = None;
        let Written { begun, bytes, next } = written?;
        if let Some(begun) = begun {
            // A segment that was begun in vain has the same place.
            view.segments.retain(|segment| segment.base < begun.base);
            view.segments.push(Segment {
                base: begun.base,
                sync: begun.sync,
                header_bytes: begun.header_bytes,
                bytes: begun.header_bytes,
                first_at: None,
            });
        }
        let mut grown_bytes = 0;
        if let Some(last) = view.segments.last_mut() {
            grown_bytes = bytes - last.bytes;
            last.bytes = bytes;
            last.first_at.get_or_insert(at);
        }
        view.next = next;
        view.last_appended_at = at;
        drop(view);
        self.grown.notify_all();
        self.metrics.appended(values.len(), grown_bytes);
        Ok(())
    }

    /// Deletes the oldest whole segments that exceed the bounds and lie before
    /// `committed`; returns how many.
    pub(super) fn retain(
        &self,
        config: &SegmentsConfig,
        committed: Offset,
    ) -> Result<u64, LogError> {
        if self.writer.is_none() {
            return Err(LogError::ReadOnly);
        }
        let oldest = self.clock.now().minus(config.retention_age);
        let mut deleted = 0;
        loop {
            let doomed = {
                let mut view = self.view();
                let bytes: u64 = view.segments.iter().map(|segment| segment.bytes).sum();
                let [first, second, ..] = view.segments[..] else { break };
                // Everything in a segment is older than the first of the next.
                let too_old = second.first_at.is_some_and(|at| at < oldest);
                let too_many = config.retention_bytes.get() < bytes;
                if committed.0 < second.base || !(too_old || too_many) {
                    break;
                }
                view.segments.remove(0);
                first
            };
            let path = segment_path(&self.dir, doomed.base);
            tracing::info!(path = %path.display(), bytes = doomed.bytes, "segment deleted by retention");
            fs::remove_file(&path).map_err(failed("delete", &path))?;
            deleted += 1;
        }
        if 0 < deleted {
            sync_dir(&self.dir).map_err(failed("sync", &self.dir))?;
            self.metrics.deleted_segments_total.inc_by(deleted);
        }
        Ok(deleted)
    }

    /// Warns of damage in the segment that begins at `base`, and counts it.
    #[cold]
    pub(super) fn damaged(&self, base: u64, what: &'static str, skipped_bytes: u64) {
        let path = segment_path(&self.dir, base);
        tracing::warn!(path = %path.display(), what, skipped_bytes, "damage in a segment; reading goes on behind it");
        self.metrics.damaged_blocks_total.inc();
    }

    /// The headers of the segments that are there.
    pub(super) fn headers(&self) -> Result<Vec<Header>, LogError> {
        let bases: Vec<u64> = self.view().segments.iter().map(|segment| segment.base).collect();
        let mut headers = Vec::new();
        for base in bases {
            let path = segment_path(&self.dir, base);
            match File::open(&path).and_then(|file| read_header(&file)) {
                Ok(header) => headers.extend(header.ok()),
                // Deleted by retention meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed("read", &path)(error)),
            }
        }
        Ok(headers)
    }
}

/// What lies in a partition's folder.
struct Found {
    segments: Vec<Segment>,
    next: u64,
    last_appended_at: UnixMillis,
    /// The newest segment, if it can be written to.
    active: Option<Active>,
}

impl Found {
    fn in_dir(opening: &Opening<'_>, dir: &std::path::Path) -> Result<Found, LogError> {
        let mut bases = segment_bases(dir).map_err(failed("list", dir))?;
        let mut found = Found {
            segments: Vec::new(),
            next: 0,
            last_appended_at: UnixMillis::MIN,
            active: None,
        };
        while let Some(newest) = bases.pop() {
            // Also of a segment that turns out to be empty: no offset is given twice.
            found.next = found.next.max(newest);
            if let Some((segment, end)) = found.open_newest(opening, dir, newest)? {
                found.next = found.next.max(end.next);
                found.last_appended_at = end.last_appended_at.unwrap_or(found.last_appended_at);
                found.segments.push(segment);
                break;
            }
        }
        for base in bases {
            let path = segment_path(dir, base);
            let file = match File::open(&path) {
                Ok(file) => file,
                // Deleted by the writer's retention while we only read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed("open", &path)(error)),
            };
            let read = failed("read", &path);
            let header = match read_header(&file).map_err(&read)? {
                Ok(header) => own(opening, &path, header)?,
                Err(why) => {
                    let what = header_fault(why);
                    tracing::error!(path = %path.display(), what, "a segment cannot be read; its records are missing");
                    continue;
                }
            };
            let first_at = first_appended_at(&file, &header).map_err(&read)?;
            let bytes = file.metadata().map_err(&read)?.len();
            let segment = Segment {
                base,
                sync: header.sync,
                header_bytes: wide(header.bytes),
                bytes,
                first_at,
            };
            found.segments.push(segment);
        }
        found.segments.sort_by_key(|segment| segment.base);
        Ok(found)
    }

    /// Opens the newest segment and cuts its torn tail; `None` if a crash left
    /// no more of it than the beginning of a header.
    fn open_newest(
        &mut self,
        opening: &Opening<'_>,
        dir: &std::path::Path,
        base: u64,
    ) -> Result<Option<(Segment, Scan)>, LogError> {
        let path = segment_path(dir, base);
        let file = File::options()
            .read(true)
            .write(opening.writes)
            .open(&path)
            .map_err(failed("open", &path))?;
        let read = failed("read", &path);
        let length = file.metadata().map_err(&read)?.len();
        let header = match read_header(&file).map_err(&read)? {
            Ok(header) => own(opening, &path, header)?,
            Err(why) => {
                if why != NoHeader::EndsEarly && !is_all_zero(&file).map_err(&read)? {
                    let what =
                        format!("{}; move it away to go on without its records", header_fault(why));
                    return Err(LogError::Damaged { at: shown(&path), what });
                }
                tracing::warn!(path = %path.display(), bytes = length, "a segment was never begun");
                if opening.writes {
                    fs::remove_file(&path).map_err(failed("remove", &path))?;
                    sync_dir(dir).map_err(failed("sync", dir))?;
                }
                return Ok(None);
            }
        };
        let end = file.try_clone().and_then(|file| scan(file, &header, length)).map_err(&read)?;
        let cut = length - end.bytes;
        if opening.writes {
            if 0 < cut {
                tracing::warn!(
                    path = %path.display(),
                    cut_bytes = cut,
                    offset = end.next,
                    "cut the torn tail of a segment: it was never acknowledged"
                );
                opening.metrics.cut_bytes_total.inc_by(cut);
                file.set_len(end.bytes).map_err(failed("cut the torn tail of", &path))?;
            }
            // A crash may have come between write and sync: what is shown must
            // be durable first.
            file.sync_all().map_err(failed("sync", &path))?;
        }
        let first_at = first_appended_at(&file, &header).map_err(&read)?;
        let segment = Segment {
            base,
            sync: header.sync,
            header_bytes: wide(header.bytes),
            bytes: end.bytes,
            first_at: first_at.filter(|_| end.last_appended_at.is_some()),
        };
        // Another program's schemas must be declared before its records come.
        if opening.writes && header.schemas == SCHEMAS {
            let Segment { sync, bytes, first_at, .. } = segment;
            self.active = Some(Active { file, base, sync, bytes, first_at });
        }
        Ok(Some((segment, end)))
    }
}

/// Refuses a segment of another log.
fn own(opening: &Opening<'_>, path: &std::path::Path, header: Header) -> Result<Header, LogError> {
    if header.log_id == opening.log_id {
        return Ok(header);
    }
    let what = format!("it belongs to log {}, not to {}", header.log_id, opening.log_id);
    Err(LogError::Damaged { at: shown(path), what })
}

const fn header_fault(why: NoHeader) -> &'static str {
    match why {
        NoHeader::EndsEarly => "its header ends early",
        NoHeader::NotASegment(what) => what,
    }
}

fn is_all_zero(file: &File) -> io::Result<bool> {
    let mut reader = io::BufReader::new(file.try_clone()?);
    io::Seek::rewind(&mut reader)?;
    loop {
        let buffer = io::BufRead::fill_buf(&mut reader)?;
        if buffer.is_empty() {
            return Ok(true);
        }
        if buffer.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        let length = buffer.len();
        io::BufRead::consume(&mut reader, length);
    }
}

/// The error of a disk that refuses.
pub(super) fn read_error(dir: &std::path::Path, base: u64, source: io::Error) -> LogError {
    error("read", shown(&segment_path(dir, base)), source)
}
