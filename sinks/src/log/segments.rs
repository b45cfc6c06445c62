//! The embedded log: a folder of Avro object-container files.
//!
//! # Invariants
//!
//! - An append is acknowledged when its bytes are on the disk, and readers see
//!   it then and not before.
//! - An acknowledged record keeps its offset for ever, and is only ever deleted
//!   by [`Segments::retain`] or [`TrimLog::trim`], whole segments at a time,
//!   oldest first, never beyond what was committed.
//! - One process writes, held by a lock; any number may read.
//! - Every file is a valid Avro object-container file, also while it grows.
//! - Memory is flat: it depends on the configuration, not on the log's length.
//!
//! What would break them: writing to the files by another program; a disk that
//! acknowledges a sync and forgets.

mod blocks;
mod directory;
mod format;
mod group;
mod partition;
mod reader;
mod scan;
mod writer;

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use schemas::log::{
    Bounds, FrameLog, LogError, LogId, LogName, LogReader, Offset, Partition, TrimLog,
};
use schemas::source::SourceId;
use schemas::time::{Clock, SystemClock, UnixMillis};

pub use crate::config::SegmentsConfig;
use crate::log::reading::{ABOVE, BELOW, WAIT_MAX};
use crate::metrics::LogMetrics;
use directory::{Identity, Lock, create_dir, failed, lock, remove_unfinished, shown};
pub use format::VALUE_BYTES_MAX;
use partition::Partition as Part;
use reader::SegmentsReader;

/// A log in a folder; see the [module](self).
pub struct Segments {
    dir: PathBuf,
    id: LogId,
    config: SegmentsConfig,
    partitions: Vec<Arc<Part>>,
    metrics: LogMetrics,
    /// When it was opened for reading; a log opened so does not grow.
    frozen_at: Option<UnixMillis>,
    /// Held while the log is open for writing.
    _lock: Option<Lock>,
}

/// How a log is being opened.
struct Opening<'a> {
    dir: &'a Path,
    log_id: &'a str,
    config: &'a SegmentsConfig,
    clock: &'a Arc<dyn Clock>,
    metrics: &'a LogMetrics,
    writes: bool,
}

impl Segments {
    /// Opens the log in `dir` for reading and writing, or makes a new one.
    ///
    /// A torn tail, which a crash leaves and nobody was told of, is cut off. A
    /// configuration with more partitions than the log has adds them.
    ///
    /// # Errors
    ///
    /// Another process writes to it ([`LogError::InUse`]), it is damaged or has
    /// more partitions than configured, or the disk refuses.
    pub fn open(
        dir: impl AsRef<Path>,
        config: SegmentsConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<Segments, LogError> {
        let dir = dir.as_ref();
        create_dir(dir).map_err(failed("make", dir))?;
        let lock = lock(dir)?;
        remove_unfinished(dir).map_err(failed("clean up", dir))?;
        let identity = Identity::load_or_create(dir, config.partitions.get())?;
        Segments::open_partitions(dir, &identity, config, &clock, Some(lock))
    }

    /// Opens the log in `dir` for reading: it shows what was complete at this
    /// moment. Takes no lock and changes nothing, so another process may be
    /// writing meanwhile.
    ///
    /// # Errors
    ///
    /// There is no log, it is damaged, or the disk refuses.
    pub fn open_read_only(dir: impl AsRef<Path>) -> Result<Segments, LogError> {
        let dir = dir.as_ref();
        let identity = Identity::load(dir)?.ok_or_else(|| {
            let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
            failed("find a log in", dir)(missing)
        })?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        Segments::open_partitions(dir, &identity, SegmentsConfig::default(), &clock, None)
    }

    fn open_partitions(
        dir: &Path,
        identity: &Identity,
        config: SegmentsConfig,
        clock: &Arc<dyn Clock>,
        lock: Option<Lock>,
    ) -> Result<Segments, LogError> {
        // Taken before the files are looked at: what is appended later is later.
        let frozen_at = lock.is_none().then(|| clock.now());
        let id = identity.id.to_string();
        let metrics = LogMetrics::default();
        let opening = Opening {
            dir,
            log_id: &id,
            config: &config,
            clock,
            metrics: &metrics,
            writes: lock.is_some(),
        };
        let partitions = (0..identity.partitions)
            .map(|index| Part::open(&opening, index).map(Arc::new))
            .collect::<Result<Vec<_>, LogError>>()?;
        let (dir, id) = (dir.to_owned(), LogId(id.as_str().into()));
        Ok(Segments { dir, id, config, partitions, metrics, frozen_at, _lock: lock })
    }

    /// What the log counts of itself.
    pub fn metrics(&self) -> &LogMetrics {
        &self.metrics
    }

    /// Deletes the oldest segments of `partition` that exceed the configured
    /// bytes or age and hold only records before `committed`; returns how many.
    /// The newest segment always stays.
    ///
    /// # Errors
    ///
    /// The log was opened for reading, or the disk refuses.
    pub fn retain(&self, partition: Partition, committed: Offset) -> Result<u64, LogError> {
        self.part(partition)?.retain(&self.config, committed)
    }

    fn part(&self, partition: Partition) -> Result<&Arc<Part>, LogError> {
        let index = usize::try_from(partition.0).unwrap_or(usize::MAX);
        self.partitions.get(index).ok_or_else(|| {
            let what = format!("it has no partition {partition}, only {}", self.partitions.len());
            LogError::Damaged { at: shown(&self.dir), what }
        })
    }

    /// The partition that `source` goes to: sources are numbered from 1, and
    /// neighbours go to different ones.
    fn partition_of(&self, source: SourceId) -> usize {
        usize::try_from(source.get() - 1).unwrap_or(0) % self.partitions.len()
    }
}

impl FrameLog for Segments {
    fn identity(&self) -> LogId {
        self.id.clone()
    }

    /// The same for every folder: a site has one log, and may move it.
    fn name(&self) -> Option<LogName> {
        Some(LogName("segments".into()))
    }

    fn partitions(&self) -> u32 {
        u32::try_from(self.partitions.len()).unwrap_or(u32::MAX)
    }

    fn append(&self, records: &[(SourceId, &[u8])]) -> Result<(), LogError> {
        if self.frozen_at.is_some() {
            return Err(LogError::ReadOnly);
        }
        let too_long = records.iter().map(|(_, value)| value.len()).find(|&b| VALUE_BYTES_MAX < b);
        if let Some(bytes) = too_long {
            return Err(LogError::TooLong { bytes, max: VALUE_BYTES_MAX });
        }
        let deadline = Instant::now() + self.config.append_timeout.min(WAIT_MAX);
        let mut refused = None;
        let mut waiting = Vec::new();
        for (index, part) in self.partitions.iter().enumerate() {
            let values = records
                .iter()
                .filter(|(source, _)| self.partition_of(*source) == index)
                .map(|(_, value)| *value);
            if values.clone().next().is_none() {
                continue;
            }
            match part.join(values, deadline) {
                Ok(ticket) => waiting.push((part, ticket)),
                Err(error) => {
                    refused = Some(error);
                    break;
                }
            }
        }
        // Also what belongs to a refused call: it is queued, and somebody must
        // write it.
        for (part, ticket) in waiting {
            if let Err(error) = part.finish(&ticket, deadline) {
                refused.get_or_insert(error);
            }
        }
        refused.map_or(Ok(()), Err)
    }

    fn bounds(&self, partition: Partition) -> Result<Bounds, LogError> {
        Ok(self.part(partition)?.view().bounds())
    }

    fn reader(&self, partition: Partition, from: Offset) -> Result<Box<dyn LogReader>, LogError> {
        let part = self.part(partition)?;
        let bounds = part.view().bounds();
        let hint = match from {
            from if from < bounds.low => BELOW,
            from if bounds.high < from => ABOVE,
            _ => {
                let part = Arc::clone(part);
                return Ok(Box::new(SegmentsReader::new(part, from, self.frozen_at)));
            }
        };
        Err(LogError::OutOfBounds { partition, wanted: from, bounds, hint })
    }

    fn schemas(&self) -> Result<Vec<String>, LogError> {
        // A log that was never written to declares what its writer knows.
        let mut texts: BTreeSet<String> = BTreeSet::new();
        if self.frozen_at.is_none() {
            texts.extend(writer::SCHEMAS.map(String::from));
        }
        for part in &self.partitions {
            texts.extend(part.headers()?.into_iter().flat_map(|header| header.schemas));
        }
        Ok(texts.into_iter().collect())
    }
}

impl TrimLog for Segments {
    /// Deletes segments that hold only records before `before`; the newest segment
    /// always stays.
    fn trim(&self, partition: Partition, before: Offset) -> Result<(), LogError> {
        let everything = SegmentsConfig { retention_bytes: NonZeroU64::MIN, ..self.config.clone() };
        self.part(partition)?.retain(&everything, before)?;
        Ok(())
    }

    fn bytes(&self) -> u64 {
        let segments = |part: &Arc<Part>| -> u64 {
            part.view().segments.iter().map(|segment| segment.bytes).sum()
        };
        self.partitions.iter().map(segments).sum()
    }
}
