//! Files: what Avro tools see, rolling, retention, the lock.

use std::fs::File;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use apache_avro::types::Value;
use schemas::log::{Batch, FrameLog, LogError, Offset, ReadEnd, TrimLog};
use schemas::time::{Clock, UnixMillis};
use sinks::config::SegmentsConfig;
use sinks::log::segments::Segments;

use super::{ONLY, SetClock, append, files, open, open_default, texts};
use crate::child;
use crate::conformance::log::source;

fn bytes(count: u64) -> NonZeroU64 {
    count.try_into().unwrap()
}

#[test]
fn any_avro_tool_reads_a_segment_while_it_grows() {
    let dir = tempfile::tempdir().unwrap();
    let log = Segments::open(dir.path(), SegmentsConfig::default(), SetClock::at(77)).unwrap();
    append(&log, &["one", "two"]);
    append(&log, &["three"]);

    let [file] = &files(dir.path())[..] else { panic!("one segment") };
    let reader = apache_avro::Reader::new(File::open(file).unwrap()).unwrap();
    let meta = |key: &str| {
        let value = reader.user_metadata().get(key).unwrap();
        String::from_utf8(value.clone()).unwrap()
    };
    assert_eq!(meta("animov.base_offset"), "0");
    assert_eq!(meta("animov.log_id"), log.identity().to_string());
    let schemas: Vec<String> = serde_json::from_str(&meta("animov.schemas")).unwrap();
    assert_eq!(schemas, [schemas::avro::FRAME_SCHEMA, schemas::avro::COUNTS_SCHEMA]);

    let read: Vec<(i64, i64, Vec<u8>)> = reader
        .map(|record| {
            let Value::Record(fields) = record.unwrap() else { panic!("a record") };
            match fields.into_iter().map(|(_, value)| value).collect::<Vec<_>>().as_slice() {
                [
                    Value::Union(..),
                    Value::Long(offset),
                    Value::TimestampMillis(at),
                    Value::Bytes(b),
                ] => (*offset, *at, b.clone()),
                other => panic!("{other:?}"),
            }
        })
        .collect();
    assert_eq!(
        read,
        [(0, 77, b"one".to_vec()), (1, 77, b"two".to_vec()), (2, 77, b"three".to_vec())]
    );
}

#[test]
fn a_segment_ends_by_size_or_by_age() {
    let dir = tempfile::tempdir().unwrap();
    let clock = SetClock::at(0);
    let config = SegmentsConfig {
        segment_bytes: bytes(20_000),
        segment_age: Duration::from_secs(60),
        ..SegmentsConfig::default()
    };
    let log = Segments::open(dir.path(), config, shared(&clock)).unwrap();
    append(&log, &["a"]);
    clock.set(59_999);
    append(&log, &["b"]);
    assert_eq!(files(dir.path()).len(), 1);
    clock.set(60_000);
    append(&log, &["c"]);
    assert_eq!(files(dir.path()).len(), 2);
    append(&log, &[&"d".repeat(20_000)]);
    assert_eq!(files(dir.path()).len(), 2, "a group is not cut");
    append(&log, &["e"]);
    let names: Vec<_> =
        files(dir.path()).iter().map(|p| p.file_stem().unwrap().to_owned()).collect();
    assert_eq!(names, ["00000000000000000000", "00000000000000000002", "00000000000000000004"]);
    assert_eq!(texts(&log).len(), 5);
}

fn shared(clock: &Arc<SetClock>) -> Arc<dyn Clock> {
    Arc::<SetClock>::clone(clock)
}

/// Ten segments of one record each, appended at 0, 1000, 2000 ... ms.
fn ten_segments(dir: &std::path::Path, config: &SegmentsConfig, clock: &Arc<SetClock>) -> Segments {
    let config = SegmentsConfig { segment_bytes: bytes(1), ..config.clone() };
    let log = Segments::open(dir, config, shared(clock)).unwrap();
    for n in 0..10 {
        clock.set(n * 1000);
        append(&log, &[&n.to_string()]);
    }
    assert_eq!(files(dir).len(), 10);
    log
}

#[test]
fn retention_deletes_by_age_but_nothing_that_is_not_committed() {
    let dir = tempfile::tempdir().unwrap();
    let clock = SetClock::at(0);
    let config =
        SegmentsConfig { retention_age: Duration::from_secs(5), ..SegmentsConfig::default() };
    let log = ten_segments(dir.path(), &config, &clock);
    clock.set(10_001);
    assert_eq!(log.retain(ONLY, Offset(0)).unwrap(), 0);
    assert_eq!(log.retain(ONLY, Offset(3)).unwrap(), 3);
    assert_eq!(log.bounds(ONLY).unwrap().low, Offset(3));
    // Offsets up to 4 are older than 5 s; 5 was appended at 5000 ms.
    assert_eq!(log.retain(ONLY, Offset(10)).unwrap(), 2);
    assert_eq!(files(dir.path()).len(), 5);
    clock.set(1_000_000);
    assert_eq!(log.retain(ONLY, Offset(10)).unwrap(), 4, "the newest always stays");
    assert_eq!(texts(&log), [(9, "9".to_owned())]);

    drop(log);
    let log = open_default(dir.path());
    assert_eq!(log.bounds(ONLY).unwrap().low, Offset(9));
    append(&log, &["10"]);
    assert_eq!(texts(&log).len(), 2);
}

#[test]
fn retention_deletes_by_bytes_also_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let clock = SetClock::at(0);
    let log = ten_segments(dir.path(), &SegmentsConfig::default(), &clock);
    drop(log);
    let length = files(dir.path())[0].metadata().unwrap().len();
    let config =
        SegmentsConfig { retention_bytes: bytes(length * 4 + 100), ..SegmentsConfig::default() };
    let log = Segments::open(dir.path(), config, clock).unwrap();
    assert_eq!(log.retain(ONLY, Offset(10)).unwrap(), 6);
    assert_eq!(log.retain(ONLY, Offset(10)).unwrap(), 0);
    assert_eq!(texts(&log).len(), 4);
}

#[test]
fn a_queue_lets_go_of_what_is_done_with_whatever_its_age_and_length() {
    let dir = tempfile::tempdir().unwrap();
    let clock = SetClock::at(0);
    let log = ten_segments(dir.path(), &SegmentsConfig::default(), &clock);
    let on_disk = || {
        let lengths = files(dir.path()).into_iter().map(|file| file.metadata().unwrap().len());
        lengths.sum::<u64>()
    };
    assert_eq!(log.bytes(), on_disk());
    log.trim(ONLY, Offset(0)).unwrap();
    assert_eq!(files(dir.path()).len(), 10);
    log.trim(ONLY, Offset(4)).unwrap();
    assert_eq!(log.bounds(ONLY).unwrap().low, Offset(4));
    assert_eq!((files(dir.path()).len(), log.bytes()), (6, on_disk()));
    log.trim(ONLY, Offset(10)).unwrap();
    assert_eq!(texts(&log), [(9, "9".to_owned())], "the newest always stays");
    assert_eq!(log.bytes(), on_disk());
}

#[test]
fn a_reader_that_retention_overtook_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let clock = SetClock::at(0);
    let log = ten_segments(dir.path(), &SegmentsConfig::default(), &clock);
    let mut reader = log.reader(ONLY, Offset(0)).unwrap();
    let mut batch = Batch::default();
    _ = reader.read(&mut batch, 1, Duration::ZERO).unwrap();
    clock.set(i64::MAX);
    assert_eq!(log.retain(ONLY, Offset(10)).unwrap(), 9);
    let told = reader.read(&mut batch, 10, Duration::ZERO).unwrap_err();
    assert!(matches!(told, LogError::OutOfBounds { wanted: Offset(1), .. }), "{told}");
    let told = log.reader(ONLY, Offset(8)).err().unwrap();
    assert!(matches!(told, LogError::OutOfBounds { wanted: Offset(8), .. }), "{told}");
}

#[test]
fn partitions_can_be_added_and_never_taken_away() {
    let dir = tempfile::tempdir().unwrap();
    let with = |partitions: u32| SegmentsConfig {
        partitions: partitions.try_into().unwrap(),
        ..SegmentsConfig::default()
    };
    let log = open(dir.path(), with(2));
    let identity = log.identity();
    append(&log, &["kept"]);
    drop(log);
    let log = open(dir.path(), with(5));
    assert_eq!((log.partitions(), log.identity()), (5, identity));
    assert_eq!(texts(&log).len(), 1);
    drop(log);
    let refused = Segments::open(dir.path(), with(4), SetClock::at(0)).err().unwrap();
    assert!(refused.to_string().contains("configure 5 or more"), "{refused}");
}

#[test]
fn the_log_of_another_folder_is_not_mixed_in() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    append(&open_default(dir.path()), &["mine"]);
    append(&open_default(other.path()), &["theirs"]);
    std::fs::copy(&files(other.path())[0], &files(dir.path())[0]).unwrap();
    let refused = Segments::open(dir.path(), SegmentsConfig::default(), SetClock::at(0));
    assert!(refused.err().unwrap().to_string().contains("belongs to log"));
}

#[test]
fn a_second_writer_is_refused_by_name() {
    if let Some(dir) = child::dir() {
        let refused = Segments::open(dir, SegmentsConfig::default(), SetClock::at(0));
        println!("{}", refused.err().unwrap());
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let log = open_default(dir.path());
    append(&log, &["first"]);
    let output = child::run("segments::files::a_second_writer_is_refused_by_name", dir.path());
    let told = String::from_utf8_lossy(&output.stdout);
    let named = format!("in use by another animov process (pid {})", std::process::id());
    assert!(told.contains(&named), "{told}");
    append(&log, &["and nothing is harmed"]);
    assert_eq!(texts(&log).len(), 2);

    drop(log);
    append(&open_default(dir.path()), &["the lock is free again"]);
}

#[test]
fn a_log_opened_for_reading_shows_what_was_complete_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Segments::open_read_only(dir.path()).is_err());
    let log = open_default(dir.path());
    append(&log, &["a", "b"]);
    // The beginning of a block that is just being written.
    let file = &files(dir.path())[0];
    let whole = std::fs::read(file).unwrap();
    std::fs::write(file, [&whole[..], b"\x02\x40torn"].concat()).unwrap();

    let only_read = Segments::open_read_only(dir.path()).unwrap();
    assert_eq!(only_read.identity(), log.identity());
    assert_eq!(only_read.schemas().unwrap(), log.schemas().unwrap());
    assert_eq!(only_read.bounds(ONLY).unwrap().high, Offset(2));
    assert_eq!(texts(&only_read), texts(&log));
    assert_eq!(std::fs::read(file).unwrap().len(), whole.len() + 6, "nothing is cut");
    assert!(matches!(only_read.append(&[(source(1), b"x")]), Err(LogError::ReadOnly)));
    assert!(matches!(only_read.retain(ONLY, Offset(9)), Err(LogError::ReadOnly)));

    append(&log, &["later"]);
    let mut reader = only_read.reader(ONLY, Offset(0)).unwrap();
    let mut batch = Batch::default();
    let end = reader.read(&mut batch, 100, Duration::from_secs(60)).unwrap();
    assert_eq!(batch.len(), 2, "as it was when it was opened");
    assert!(matches!(end, ReadEnd::CaughtUp(at) if UnixMillis::new(0) < at));
}

#[test]
fn another_programs_schemas_are_declared_before_its_records() {
    let dir = tempfile::tempdir().unwrap();
    append(&open_default(dir.path()), &["a"]);
    // What an older program knew, in the same number of bytes.
    let file = &files(dir.path())[0];
    let bytes = std::fs::read(file).unwrap();
    let text = br#"\"Frame\""#;
    let at = bytes.windows(text.len()).position(|window| window == text).unwrap();
    let mut older = bytes.clone();
    older[at + 2..at + 7].copy_from_slice(b"Oldie");
    std::fs::write(file, older).unwrap();

    let log = open_default(dir.path());
    append(&log, &["b"]);
    assert_eq!(files(dir.path()).len(), 2, "a segment that declares the new schemas");
    assert_eq!(texts(&log), [(0, "a".to_owned()), (1, "b".to_owned())]);
    let declared = log.schemas().unwrap();
    assert_eq!(declared.len(), 3, "two of now and one of then");
    assert!(declared.iter().any(|schema| schema.contains("Oldie")));
}

#[test]
fn one_read_of_large_records_stops_at_a_bound_in_bytes() {
    const MIB: usize = 1 << 20;
    let dir = tempfile::tempdir().unwrap();
    let log = open_default(dir.path());
    let large = "l".repeat(3 * MIB);
    (0..8).for_each(|_| append(&log, &[&large]));
    drop(log);
    // A second segment: the bound is the read's, not the segment's.
    let tiny = SegmentsConfig { segment_bytes: bytes(1), ..SegmentsConfig::default() };
    let log = open(dir.path(), tiny);
    (0..2).for_each(|_| append(&log, &[&large]));

    let mut reader = log.reader(ONLY, Offset(0)).unwrap();
    let mut batch = Batch::default();
    let mut offsets = Vec::new();
    loop {
        batch.clear();
        let end = reader.read(&mut batch, usize::MAX, Duration::ZERO).unwrap();
        assert!(batch.value_bytes() <= 9 * MIB, "{} bytes at once", batch.value_bytes());
        offsets.extend(batch.records().map(|record| record.offset.0));
        match end {
            ReadEnd::More => assert!(!batch.is_empty(), "a read that got nowhere"),
            ReadEnd::CaughtUp(_) => break,
        }
    }
    assert_eq!(offsets, (0..10).collect::<Vec<u64>>());

    // What the batch held before does not count.
    let mut reader = log.reader(ONLY, Offset(0)).unwrap();
    batch.clear();
    while reader.read(&mut batch, 100, Duration::ZERO).unwrap() == ReadEnd::More {}
    assert_eq!(batch.len(), 10);
}
