//! Crashes, full disks and failing syncs.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use schemas::log::{Batch, FrameLog, LogError, Offset, ReadEnd};
use schemas::time::SystemClock;
use sinks::config::SegmentsConfig;
use sinks::log::segments::Segments;

use super::{ONLY, append, files, open, open_default, texts};
use crate::child;
use crate::conformance::log::source;
use crate::tmpfs::SmallDisk;

/// Small segments, so that crashes meet rolling too.
fn small_segments() -> SegmentsConfig {
    SegmentsConfig { segment_bytes: 20_000.try_into().unwrap(), ..SegmentsConfig::default() }
}

/// Appends from four threads until it is killed; says each record that was
/// acknowledged.
fn append_until_killed(dir: &Path, round: &str) {
    let log = open(dir, small_segments());
    thread::scope(|scope| {
        for writer in 0..4 {
            let log = &log;
            scope.spawn(move || {
                for n in 0..100_000 {
                    let text = format!("{round}/{writer}/{n}");
                    append(log, &[&text]);
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "acknowledged {text}").unwrap();
                    out.flush().unwrap();
                }
            });
        }
    });
}

#[test]
fn every_record_acknowledged_before_a_kill_is_there() {
    if let Some(dir) = child::dir() {
        return append_until_killed(&dir, &std::env::var("ROUND").unwrap());
    }
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..12 {
        let test = "segments::crash::every_record_acknowledged_before_a_kill_is_there";
        let mut writer = child::command(test, dir.path())
            .env("ROUND", round.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(writer.stdout.take().unwrap());
        let mut line = String::new();
        // Another number of records each time: somewhere in a write, a sync, a roll.
        let enough = acknowledged.len() + 20 + 37 * round;
        while acknowledged.len() < enough {
            line.clear();
            assert_ne!(said.read_line(&mut line).unwrap(), 0, "the writer ended by itself");
            acknowledged.extend(line.trim_end().strip_prefix("acknowledged ").map(String::from));
        }
        writer.kill().unwrap();
        writer.wait().unwrap();
        // What it had said already when it was killed.
        for line in said.lines() {
            let line = line.unwrap();
            acknowledged.extend(line.strip_prefix("acknowledged ").map(String::from));
        }
        let log = open(dir.path(), small_segments());
        let there: Vec<String> = texts(&log).into_iter().map(|(_, text)| text).collect();
        let set: BTreeSet<&String> = there.iter().collect();
        assert_eq!(set.len(), there.len(), "round {round}: none twice");
        let lost: Vec<_> = acknowledged.iter().filter(|text| !set.contains(text)).collect();
        assert!(lost.is_empty(), "round {round}: {lost:?}");
    }
}

#[test]
fn a_crash_around_the_sync_or_while_rolling_loses_nothing_acknowledged() {
    for (at, mut expected) in [
        ("log-before-fsync", vec!["a", "b"]),
        ("log-after-fsync", vec!["a", "b"]),
        ("log-while-rolling", vec!["a"]),
    ] {
        let test =
            "segments::crash::a_crash_around_the_sync_or_while_rolling_loses_nothing_acknowledged";
        if let Some(dir) = child::dir() {
            let log = open(&dir, small_segments());
            append(&log, &["a"]);
            drop(log);
            let tiny = SegmentsConfig { segment_bytes: 1.try_into().unwrap(), ..small_segments() };
            let rolls = std::env::var("AT").unwrap() == "log-while-rolling";
            let log = open(&dir, if rolls { tiny } else { small_segments() });
            fail::cfg(std::env::var("AT").unwrap(), "panic").unwrap();
            std::panic::set_hook(Box::new(|_| std::process::abort()));
            append(&log, &["b"]);
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let output = child::command(test, dir.path()).env("AT", at).output().unwrap();
        assert!(!output.status.success(), "{at} was not met");
        let log = open_default(dir.path());
        append(&log, &["c"]);
        expected.push("c");
        let there: Vec<String> = texts(&log).into_iter().map(|(_, text)| text).collect();
        assert_eq!(there, expected, "{at}");
    }
}

#[test]
fn after_a_failed_sync_the_group_is_refused_and_a_new_segment_begins() {
    child::alone(
        "segments::crash::after_a_failed_sync_the_group_is_refused_and_a_new_segment_begins",
        |dir| {
            let log = open_default(dir);
            // Also the first segment, which then has no record yet.
            fail::cfg("log-fsync", "1*return").unwrap();
            let refused = log.append(&[(source(1), b"lost")]).unwrap_err();
            assert!(matches!(&refused, LogError::Io { doing: "sync", .. }), "{refused}");
            assert!(refused.may_succeed_later());
            assert!(texts(&log).is_empty());
            let mut reader = log.reader(ONLY, Offset(0)).unwrap();
            let mut batch = Batch::default();
            append(&log, &["a"]);
            _ = reader.read(&mut batch, 9, Duration::ZERO).unwrap();
            assert_eq!(batch.len(), 1);

            fail::cfg("log-fsync", "1*return").unwrap();
            log.append(&[(source(1), b"lost too")]).unwrap_err();
            append(&log, &["b"]);
            assert_eq!(files(dir).len(), 2);
            let end = reader.read(&mut batch, 9, Duration::ZERO).unwrap();
            assert!(matches!(end, ReadEnd::CaughtUp(_)) && batch.len() == 2);
            let expected = [(0, "a".to_owned()), (1, "b".to_owned())];
            assert_eq!(texts(&log), expected);

            // The disk had the bytes after all: they are still not shown.
            drop(log);
            fail::cfg("log-fsync", "off").unwrap();
            let twin = tempfile::tempdir().unwrap();
            std::fs::copy(dir.join("log.json"), twin.path().join("log.json")).unwrap();
            let other = open_default(twin.path());
            append(&other, &["a"]);
            append(&other, &["lost too"]);
            drop(other);
            std::fs::copy(&files(twin.path())[0], &files(dir)[0]).unwrap();
            assert_eq!(texts(&open_default(dir)), expected);
        },
    );
}

#[test]
fn after_a_failed_write_the_log_is_as_before() {
    child::alone("segments::crash::after_a_failed_write_the_log_is_as_before", |dir| {
        let log = open_default(dir);
        for (offset, text) in ["a", "b", "c"].into_iter().enumerate() {
            fail::cfg("log-write", "1*return").unwrap();
            log.append(&[(source(1), b"refused")]).unwrap_err();
            append(&log, &[text]);
            assert_eq!(texts(&log).len(), offset + 1);
        }
        assert_eq!(files(dir).len(), 1);
        drop(log);
        assert_eq!(texts(&open_default(dir)).len(), 3);
    });
}

#[test]
fn a_full_disk_refuses_and_takes_again_once_there_is_room() {
    let Some(disk) = SmallDisk::mount(600) else { return };
    let dir = disk.path().join("log");
    let log = open(
        &dir,
        SegmentsConfig { segment_bytes: 60_000.try_into().unwrap(), ..SegmentsConfig::default() },
    );
    let text = "x".repeat(1000);
    append(&log, &[&text]);
    let mut appended = 1;
    for kib in [3, 0, 30, 90] {
        // Both a segment that cannot grow and one that cannot begin.
        let filler = disk.fill_but(kib);
        let refused = loop {
            match log.append(&[(source(1), text.as_bytes())]) {
                Ok(()) => appended += 1,
                Err(error) => break error,
            }
            assert!(appended < 10_000);
        };
        assert!(matches!(refused, LogError::Full { .. }), "{refused:?}");
        assert!(refused.may_succeed_later());
        assert_eq!(texts(&log).len(), appended, "all that was acknowledged, and no more");
        drop(filler);
        append(&log, &[&text]);
        appended += 1;
        assert_eq!(texts(&log).len(), appended);
    }
    drop(log);
    let log = open_default(&dir);
    assert_eq!(log.metrics().cut_bytes(), 0, "a partial write was taken back");
    assert_eq!(texts(&log).len(), appended);
}

#[test]
fn a_reader_never_sees_what_is_not_durable() {
    child::alone("segments::crash::a_reader_never_sees_what_is_not_durable", |dir| {
        let log = Arc::new(
            Segments::open(dir, SegmentsConfig::default(), Arc::new(SystemClock)).unwrap(),
        );
        append(&log, &["a"]);
        let file = &files(dir)[0];
        let before = std::fs::metadata(file).unwrap().len();
        fail::cfg("log-before-fsync", "pause").unwrap();
        let appending = {
            let log = Arc::clone(&log);
            thread::spawn(move || append(&log, &["b"]))
        };
        // Until the bytes are in the file.
        let deadline = Instant::now() + Duration::from_secs(20);
        while std::fs::metadata(file).unwrap().len() == before {
            assert!(Instant::now() < deadline);
            thread::yield_now();
        }
        let mut reader = log.reader(ONLY, Offset(0)).unwrap();
        let mut batch = Batch::default();
        let ReadEnd::CaughtUp(by) = reader.read(&mut batch, 9, Duration::ZERO).unwrap() else {
            panic!("the end was not reached")
        };
        assert_eq!(batch.len(), 1);
        fail::remove("log-before-fsync");
        appending.join().unwrap();
        batch.clear();
        _ = reader.read(&mut batch, 9, Duration::from_secs(20)).unwrap();
        let appended_at = batch.records().next().unwrap().appended_at;
        assert!(by <= appended_at, "caught up by {by}, but {appended_at} came later");
    });
}
