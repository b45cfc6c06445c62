//! Damage: torn tails, flipped bytes, zeros, files that were just begun.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use schemas::log::{FrameLog, Offset};
use schemas::time::SystemClock;
use sinks::config::SegmentsConfig;
use sinks::log::segments::{Segments, VALUE_BYTES_MAX};

use super::{ONLY, append, files, open, open_default, texts};

fn offsets(texts: &[(u64, String)]) -> Vec<u64> {
    texts.iter().map(|(offset, _)| *offset).collect()
}

/// A log of one segment with three blocks; where the last one begins, and all
/// bytes.
fn three_blocks(dir: &Path) -> (usize, Vec<u8>) {
    let log = open_default(dir);
    append(&log, &["a", "bb", "ccc"]);
    append(&log, &["dddd"]);
    let file = &files(dir)[0];
    let begin = fs::read(file).unwrap().len();
    append(&log, &["last", "", "block"]);
    (begin, fs::read(file).unwrap())
}

/// Opens the log after its file became `bytes`: what precedes the last block is
/// whole, the rest is gone, and the log goes on.
fn expect_cut(dir: &Path, bytes: &[u8], begin: usize, what: &str) {
    let file = &files(dir)[0];
    fs::write(file, bytes).unwrap();
    let only_read = Segments::open_read_only(dir).unwrap();
    assert_eq!(offsets(&texts(&only_read)), [0, 1, 2, 3], "{what}");
    assert_eq!(fs::read(file).unwrap().len(), bytes.len(), "{what}: reading cuts nothing");

    let log = open_default(dir);
    assert_eq!(log.metrics().cut_bytes(), u64::try_from(bytes.len() - begin).unwrap(), "{what}");
    assert_eq!(fs::read(file).unwrap().len(), begin, "{what}");
    assert_eq!(log.bounds(ONLY).unwrap().high, Offset(4), "{what}");
    append(&log, &["again"]);
    assert_eq!(offsets(&texts(&log)), [0, 1, 2, 3, 4], "{what}");
    assert_eq!(texts(&log)[4].1, "again", "{what}");
}

#[test]
fn a_tail_torn_at_any_byte_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    let (begin, whole) = three_blocks(dir.path());
    for length in begin..whole.len() {
        expect_cut(dir.path(), &whole[..length], begin, &format!("torn at {length}"));
    }
}

#[test]
fn a_tail_with_any_byte_flipped_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    let (begin, whole) = three_blocks(dir.path());
    for at in begin..whole.len() {
        for mask in [0x01, 0x80, 0xFF] {
            let mut bytes = whole.clone();
            bytes[at] ^= mask;
            expect_cut(dir.path(), &bytes, begin, &format!("byte {at} ^ {mask:x}"));
        }
    }
}

#[test]
fn a_tail_of_zeros_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    let (begin, whole) = three_blocks(dir.path());
    for zeros in [1, 15, 16, 17, 4096, 3 << 20] {
        let mut bytes = whole[..begin].to_vec();
        bytes.resize(begin + zeros, 0);
        expect_cut(dir.path(), &bytes, begin, &format!("{zeros} zeros"));
        let mut bytes = whole.clone();
        bytes[begin + 4..].fill(0);
        bytes.resize(whole.len() + zeros, 0);
        expect_cut(dir.path(), &bytes, begin, &format!("half a block and {zeros} zeros"));
    }
}

#[test]
fn a_segment_that_was_just_begun_is_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    append(&open_default(dir.path()), &["a", "b"]);
    let first = files(dir.path())[0].clone();
    let header = {
        let tiny =
            SegmentsConfig { segment_bytes: 1.try_into().unwrap(), ..SegmentsConfig::default() };
        append(&open(dir.path(), tiny), &["c"]);
        let second = files(dir.path())[1].clone();
        let bytes = fs::read(&second).unwrap();
        fs::remove_file(second).unwrap();
        let sync = &bytes[bytes.len() - 16..];
        let end = bytes.windows(16).position(|window| window == sync).unwrap() + 16;
        bytes[..end].to_vec()
    };
    let second = first.with_file_name("00000000000000000002.avro");
    let unfinished = second.with_extension("new");
    let mut beginnings: Vec<Vec<u8>> = (0..=header.len()).map(|n| header[..n].to_vec()).collect();
    beginnings.push(vec![0; 4096]);
    for beginning in beginnings {
        fs::write(&second, &beginning).unwrap();
        fs::write(&unfinished, &beginning).unwrap();
        assert_eq!(texts(&Segments::open_read_only(dir.path()).unwrap()).len(), 2);
        let log = open_default(dir.path());
        assert!(!unfinished.exists());
        append(&log, &["c"]);
        assert_eq!(offsets(&texts(&log)), [0, 1, 2], "{} bytes of header", beginning.len());
        drop(log);
        assert_eq!(offsets(&texts(&open_default(dir.path()))), [0, 1, 2]);
        // Back to before: what was in the way was either removed or written to.
        match second.exists() {
            true => fs::remove_file(&second).unwrap(),
            false => {
                let log = fs::read(&first).unwrap();
                let sync = &log[log.len() - 16..];
                let mut ends = log.windows(16).enumerate().filter(|(_, w)| *w == sync);
                let end = ends.nth(1).unwrap().0 + 16;
                fs::write(&first, &log[..end]).unwrap();
            }
        }
    }
}

#[test]
fn a_newest_file_that_is_no_segment_is_not_thrown_away() {
    let dir = tempfile::tempdir().unwrap();
    append(&open_default(dir.path()), &["a"]);
    let file = &files(dir.path())[0];
    let mut bytes = fs::read(file).unwrap();
    bytes[0] ^= 1;
    fs::write(file, &bytes).unwrap();
    let refused = Segments::open(dir.path(), SegmentsConfig::default(), Arc::new(SystemClock));
    assert!(refused.err().unwrap().to_string().contains("move it away"));
    assert_eq!(fs::read(file).unwrap(), bytes);
}

/// Three segments; the first has five blocks of two records.
fn three_segments(dir: &Path) -> (Vec<usize>, Vec<u8>) {
    let log = open_default(dir);
    let mut ends = Vec::new();
    for n in 0..5 {
        append(&log, &[&format!("{n}"), "second of its block"]);
        ends.push(fs::read(&files(dir)[0]).unwrap().len());
    }
    drop(log);
    let tiny = SegmentsConfig { segment_bytes: 1.try_into().unwrap(), ..SegmentsConfig::default() };
    let log = open(dir, tiny);
    append(&log, &["10"]);
    append(&log, &["11"]);
    assert_eq!(files(dir).len(), 3);
    (ends, fs::read(&files(dir)[0]).unwrap())
}

#[test]
fn damage_inside_an_old_segment_costs_its_block_and_no_offset_moves() {
    let dir = tempfile::tempdir().unwrap();
    let (ends, whole) = three_segments(dir.path());
    let file = &files(dir.path())[0];
    let all: Vec<u64> = (0..12).collect();
    let without: Vec<u64> = all.iter().copied().filter(|n| *n != 4 && *n != 5).collect();
    for at in ends[1]..ends[2] {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(file, bytes).unwrap();
        let log = open_default(dir.path());
        let read = offsets(&texts(&log));
        // Of a block whose marker alone is wrong, all records are right.
        let expected = if ends[2] - 16 <= at { &all } else { &without };
        assert_eq!(&read, expected, "byte {at}");
        assert!(0 < log.metrics().damaged_blocks(), "byte {at}");
        assert_eq!(log.bounds(ONLY).unwrap().high, Offset(12));
    }
    // The whole block overwritten, and a piece of it missing.
    let mut overwritten = whole.clone();
    overwritten[ends[1]..ends[2]].fill(0xEE);
    let missing = [&whole[..ends[1] + 3], &whole[ends[2] - 2..]].concat();
    fs::write(file, overwritten).unwrap();
    assert_eq!(offsets(&texts(&open_default(dir.path()))), without);
    fs::write(file, missing).unwrap();
    let read = offsets(&texts(&open_default(dir.path())));
    assert_eq!(read, without);
}

#[test]
fn an_old_segment_cut_short_or_gone_leaves_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let (ends, whole) = three_segments(dir.path());
    let [first, second, _] = &files(dir.path())[..] else { panic!("three segments") };
    fs::write(first, &whole[..ends[3] + 5]).unwrap();
    assert_eq!(offsets(&texts(&open_default(dir.path()))), [0, 1, 2, 3, 4, 5, 6, 7, 10, 11]);
    fs::remove_file(second).unwrap();
    assert_eq!(offsets(&texts(&open_default(dir.path()))), [0, 1, 2, 3, 4, 5, 6, 7, 11]);
    fs::write(first, b"no segment at all").unwrap();
    assert_eq!(offsets(&texts(&open_default(dir.path()))), [11]);
}

#[test]
fn the_longest_block_behind_damage_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let log = open_default(dir.path());
    append(&log, &["in front"]);
    let file = &files(dir.path())[0];
    let begin = fs::read(file).unwrap().len();
    // Longer than what is read from the file at once, and than any block.
    let damaged = "d".repeat(3 << 20);
    append(&log, &[&damaged]);
    append(&log, &[&damaged]);
    let end = fs::read(file).unwrap().len();
    // A block that is nearly full and then takes the longest value.
    append(&log, &[&"n".repeat(250 << 10), &"l".repeat(VALUE_BYTES_MAX)]);
    drop(log);
    let mut bytes = fs::read(file).unwrap();
    bytes[begin..end].fill(0xEE);
    fs::write(file, bytes).unwrap();

    let log = open_default(dir.path());
    assert_eq!(log.metrics().cut_bytes(), 0);
    assert_eq!(offsets(&texts(&log)), [0, 3, 4]);
}

/// What can happen to the bytes of a file.
#[derive(Clone, Debug)]
enum Harm {
    Fill { at: prop::sample::Index, with: Vec<u8> },
    Remove { at: prop::sample::Index, bytes: usize },
    Insert { at: prop::sample::Index, what: Vec<u8> },
}

fn harm() -> impl Strategy<Value = Harm> {
    let bytes = || prop::collection::vec(any::<u8>(), 1..40);
    prop_oneof![
        (any::<prop::sample::Index>(), bytes()).prop_map(|(at, with)| Harm::Fill { at, with }),
        (any::<prop::sample::Index>(), 1_usize..200)
            .prop_map(|(at, bytes)| Harm::Remove { at, bytes }),
        (any::<prop::sample::Index>(), bytes()).prop_map(|(at, what)| Harm::Insert { at, what }),
    ]
}

fn harmed(bytes: &[u8], header: usize, harm: &Harm) -> Vec<u8> {
    let place = |at: &prop::sample::Index| header + at.index(bytes.len() - header);
    let mut out = bytes.to_vec();
    match harm {
        Harm::Fill { at, with } => {
            let at = place(at);
            let length = with.len().min(out.len() - at);
            out[at..at + length].copy_from_slice(&with[..length]);
        }
        Harm::Remove { at, bytes } => {
            let at = place(at);
            out.drain(at..(at + bytes).min(out.len()));
        }
        Harm::Insert { at, what } => {
            let at = place(at);
            out.splice(at..at, what.iter().copied());
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_happens_to_the_files_what_is_read_was_written(
        harms in prop::collection::vec((0_usize..3, harm()), 1..4),
    ) {
        let dir = tempfile::tempdir().unwrap();
        three_segments(dir.path());
        let before = texts(&Segments::open_read_only(dir.path()).unwrap());
        let files = files(dir.path());
        for (which, harm) in &harms {
            let bytes = fs::read(&files[*which]).unwrap();
            let header = bytes.windows(5).position(|w| w == b"bytes").unwrap() + 4500;
            let header = header.min(bytes.len() - 1);
            fs::write(&files[*which], harmed(&bytes, header, harm)).unwrap();
        }
        let Ok(log) = Segments::open(dir.path(), SegmentsConfig::default(), Arc::new(SystemClock))
        else {
            return Ok(());
        };
        let after = texts(&log);
        prop_assert!(after.is_sorted_by(|a, b| a.0 < b.0));
        prop_assert!(after.iter().all(|record| before.contains(record)), "{after:?}");
        let high = log.bounds(ONLY).unwrap().high;
        append(&log, &["goes on"]);
        let last = texts(&log).pop();
        prop_assert_eq!(last, Some((high.0, "goes on".to_owned())));
    }
}
