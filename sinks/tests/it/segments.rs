//! What the embedded log promises beyond the seam.

mod crash;
mod damage;
mod files;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use schemas::log::{Batch, FrameLog, Partition, ReadEnd};
use schemas::time::{Clock, SystemClock, UnixMillis};
use sinks::config::SegmentsConfig;
use sinks::log::segments::{Segments, VALUE_BYTES_MAX};

use crate::conformance::log::{TestLog, log_conformance, source};

log_conformance!(InTempDir);

struct InTempDir {
    dir: tempfile::TempDir,
    config: SegmentsConfig,
}

impl TestLog for InTempDir {
    fn new(partitions: u32) -> Option<InTempDir> {
        let dir = tempfile::tempdir().unwrap();
        let partitions = partitions.try_into().unwrap();
        Some(InTempDir { dir, config: SegmentsConfig { partitions, ..SegmentsConfig::default() } })
    }

    fn open(&self) -> Arc<dyn FrameLog> {
        Arc::new(
            Segments::open(self.dir.path(), self.config.clone(), Arc::new(SystemClock)).unwrap(),
        )
    }

    fn value_bytes_max(&self) -> usize {
        VALUE_BYTES_MAX
    }
}

/// The same promises with a segment for every few records.
mod in_tiny_segments {
    use super::*;

    log_conformance!(InTinySegments);

    struct InTinySegments(InTempDir);

    impl TestLog for InTinySegments {
        fn new(partitions: u32) -> Option<InTinySegments> {
            let mut log = InTempDir::new(partitions)?;
            log.config.segment_bytes = 5000.try_into().unwrap();
            Some(InTinySegments(log))
        }

        fn open(&self) -> Arc<dyn FrameLog> {
            self.0.open()
        }

        fn value_bytes_max(&self) -> usize {
            VALUE_BYTES_MAX
        }
    }
}

/// A clock that a test sets.
#[derive(Default)]
struct SetClock(AtomicI64);

impl SetClock {
    fn at(millis: i64) -> Arc<SetClock> {
        Arc::new(SetClock(millis.into()))
    }

    fn set(&self, millis: i64) {
        self.0.store(millis, Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now(&self) -> UnixMillis {
        UnixMillis::new(self.0.load(Ordering::SeqCst))
    }
}

const ONLY: Partition = Partition(0);

fn open(dir: &Path, config: SegmentsConfig) -> Segments {
    Segments::open(dir, config, Arc::new(SystemClock)).unwrap()
}

fn open_default(dir: &Path) -> Segments {
    open(dir, SegmentsConfig::default())
}

fn append(log: &Segments, texts: &[&str]) {
    let records: Vec<_> = texts.iter().map(|text| (source(1), text.as_bytes())).collect();
    log.append(&records).unwrap();
}

/// Offset and text of everything that is left.
fn texts(log: &Segments) -> Vec<(u64, String)> {
    let mut reader = log.reader(ONLY, log.bounds(ONLY).unwrap().low).unwrap();
    let mut batch = Batch::default();
    while reader.read(&mut batch, 1000, Duration::ZERO).unwrap() == ReadEnd::More {}
    let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
    batch.records().map(|record| (record.offset.0, text(record.value))).collect()
}

/// The segments' files, oldest first.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir.join("partition-0000")).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}
