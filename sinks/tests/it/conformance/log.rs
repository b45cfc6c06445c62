//! What every [`FrameLog`] must do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use schemas::log::{Batch, Bounds, FrameLog, LogError, Offset, Partition, ReadEnd};
use schemas::source::SourceId;
use schemas::time::UnixMillis;

/// A log of its own for one test, which can be closed and opened again.
pub(crate) trait TestLog: Sized {
    /// A new, empty log; `None`, with a line that says why, where its server is
    /// not there.
    fn new(partitions: u32) -> Option<Self>;

    /// Opens it. What was opened before is closed.
    fn open(&self) -> Arc<dyn FrameLog>;

    /// Longest value it takes, bytes.
    fn value_bytes_max(&self) -> usize;
}

/// One test for each thing that a log must do.
macro_rules! log_conformance {
    ($log:ty) => {
        $crate::conformance::log::log_conformance!($log:
            records_come_back_in_order_from_offset_0,
            reading_may_begin_anywhere_inside_the_bounds,
            reading_outside_the_bounds_is_refused,
            a_source_stays_in_its_partition,
            eight_threads_lose_nothing_and_keep_their_order,
            what_was_appended_survives_reopening,
            a_waiting_reader_sees_what_is_appended,
            a_wait_ends_and_says_by_when_all_was_read,
            batches_are_bounded_and_many_make_the_whole,
            empty_and_long_values_survive,
            too_long_a_value_is_refused_and_nothing_of_its_call_kept,
            an_empty_append_is_nothing,
            the_schemas_of_this_program_are_declared,
        );
    };
    ($log:ty: $($case:ident,)*) => {
        $(
            #[test]
            fn $case() {
                match <$log as $crate::conformance::log::TestLog>::new(
                    $crate::conformance::log::PARTITIONS,
                ) {
                    Some(log) => $crate::conformance::log::$case(&log),
                    None => println!("skipped"),
                }
            }
        )*
    };
}
pub(crate) use log_conformance;

/// Partitions of every test's log.
pub(crate) const PARTITIONS: u32 = 3;

/// Longer than anything here takes, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn source(id: i64) -> SourceId {
    SourceId::try_from(id).unwrap()
}

/// Everything in `partition` from `from` on.
pub(crate) fn read_all(
    log: &dyn FrameLog,
    partition: Partition,
    from: Offset,
) -> Vec<(Offset, UnixMillis, Vec<u8>)> {
    let mut reader = log.reader(partition, from).unwrap();
    let (mut batch, mut all) = (Batch::default(), Vec::new());
    let deadline = Instant::now() + PATIENCE;
    loop {
        let end = reader.read(&mut batch, 1000, Duration::ZERO).unwrap();
        all.extend(batch.records().map(|r| (r.offset, r.appended_at, r.value.to_vec())));
        batch.clear();
        if let ReadEnd::CaughtUp(_) = end {
            // A log on a server may need a moment to hand out its end.
            let high = log.bounds(partition).unwrap().high;
            let behind = all.last().map_or(from, |last| last.0.next());
            if high <= behind {
                return all;
            }
        }
        assert!(Instant::now() < deadline, "only {} records came", all.len());
    }
}

fn values(log: &dyn FrameLog, partition: Partition) -> Vec<String> {
    let all = read_all(log, partition, log.bounds(partition).unwrap().low);
    all.into_iter().map(|(_, _, value)| String::from_utf8(value).unwrap()).collect()
}

fn partitions(log: &dyn FrameLog) -> impl Iterator<Item = Partition> {
    (0..log.partitions()).map(Partition)
}

/// Where `of` goes: found by appending one record.
fn partition_of(log: &dyn FrameLog, of: SourceId) -> Partition {
    let high = |partition| log.bounds(partition).unwrap().high;
    let before: Vec<Offset> = partitions(log).map(high).collect();
    log.append(&[(of, b"probe")]).unwrap();
    let grown = partitions(log).zip(before).find(|&(partition, before)| before < high(partition));
    grown.expect("some partition grew").0
}

pub(crate) fn records_come_back_in_order_from_offset_0(test: &impl TestLog) {
    let log = test.open();
    let partition = partition_of(&*log, source(1));
    let texts: Vec<String> = (0..500).map(|n| format!("record {n}")).collect();
    for call in texts.chunks(7) {
        let records: Vec<_> = call.iter().map(|text| (source(1), text.as_bytes())).collect();
        log.append(&records).unwrap();
    }
    let all = read_all(&*log, partition, Offset(0));
    assert!(all.iter().map(|r| r.0.0).eq(0..501), "offsets count from 0 without a gap");
    assert!(all.is_sorted_by_key(|r| r.1), "times do not run backwards");
    let read: Vec<&[u8]> = all.iter().skip(1).map(|r| r.2.as_slice()).collect();
    assert_eq!(read, texts.iter().map(String::as_bytes).collect::<Vec<_>>());
    assert_eq!(log.bounds(partition).unwrap(), Bounds { low: Offset(0), high: Offset(501) });
}

pub(crate) fn reading_may_begin_anywhere_inside_the_bounds(test: &impl TestLog) {
    let log = test.open();
    let partition = partition_of(&*log, source(2));
    for n in 0..40 {
        let texts: Vec<String> = (0..=n % 5).map(|m| format!("{n}.{m}")).collect();
        let records: Vec<_> = texts.iter().map(|text| (source(2), text.as_bytes())).collect();
        log.append(&records).unwrap();
    }
    let all = read_all(&*log, partition, Offset(0));
    for from in 0..=all.len() {
        let expected = &all[from..];
        assert_eq!(read_all(&*log, partition, Offset(from.try_into().unwrap())), expected);
    }
}

pub(crate) fn reading_outside_the_bounds_is_refused(test: &impl TestLog) {
    let log = test.open();
    let partition = partition_of(&*log, source(1));
    assert!(log.reader(partition, Offset(1)).is_ok(), "the end is inside");
    match log.reader(partition, Offset(2)).err() {
        Some(LogError::OutOfBounds { wanted, bounds, .. }) => {
            assert_eq!((wanted, bounds.low, bounds.high), (Offset(2), Offset(0), Offset(1)));
        }
        other => panic!("{other:?}"),
    }
}

pub(crate) fn a_source_stays_in_its_partition(test: &impl TestLog) {
    let log = test.open();
    assert_eq!(log.partitions(), PARTITIONS);
    let first: Vec<Partition> = (1..=30).map(|id| partition_of(&*log, source(id))).collect();
    let used: std::collections::BTreeSet<_> = first.iter().collect();
    assert!(1 < used.len(), "thirty sources share one of {PARTITIONS} partitions");
    drop(log);
    let log = test.open();
    let again: Vec<Partition> = (1..=30).map(|id| partition_of(&*log, source(id))).collect();
    assert_eq!(first, again);
}

pub(crate) fn eight_threads_lose_nothing_and_keep_their_order(test: &impl TestLog) {
    const CALLS: usize = 60;
    let log = test.open();
    thread::scope(|scope| {
        for id in 1..=8 {
            let log = Arc::clone(&log);
            scope.spawn(move || {
                for call in 0..CALLS {
                    let mine = format!("{id}:{call}:a");
                    let also = format!("{id}:{call}:b");
                    // Two sources, so one call may go to two partitions.
                    let records = [
                        (source(id), mine.as_bytes()),
                        (source(id), also.as_bytes()),
                        (source(100 + id), mine.as_bytes()),
                    ];
                    log.append(&records).unwrap();
                }
            });
        }
    });
    let mut by_writer: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for partition in partitions(&*log) {
        for text in values(&*log, partition) {
            let (writer, what) = text.split_once(':').unwrap();
            by_writer.entry(writer.to_owned()).or_default().push(what.to_owned());
        }
    }
    assert_eq!(by_writer.len(), 8);
    for (writer, mut texts) in by_writer {
        // Each call's second copy of `a` lies in a partition of its own, or
        // behind `b`: taken out once, what is left is the writer's order.
        let in_order: Vec<String> =
            (0..CALLS).flat_map(|call| [format!("{call}:a"), format!("{call}:b")]).collect();
        assert_eq!(texts.len(), 3 * CALLS, "writer {writer}");
        let calls_of_b: Vec<&String> = texts.iter().filter(|text| text.ends_with('b')).collect();
        assert!(calls_of_b.into_iter().eq(in_order.iter().filter(|text| text.ends_with('b'))));
        texts.sort();
        let mut expected = in_order;
        expected.extend((0..CALLS).map(|call| format!("{call}:a")));
        expected.sort();
        assert_eq!(texts, expected, "writer {writer}");
    }
}

pub(crate) fn what_was_appended_survives_reopening(test: &impl TestLog) {
    let mut expected = Vec::new();
    let mut identity = None;
    for round in 0..4 {
        let log = test.open();
        assert_eq!(*identity.get_or_insert_with(|| log.identity()), log.identity());
        let partition = partition_of(&*log, source(1));
        expected.push("probe".to_owned());
        for n in 0..10 {
            let text = format!("{round}:{n}");
            log.append(&[(source(1), text.as_bytes())]).unwrap();
            expected.push(text);
        }
        assert_eq!(values(&*log, partition), expected);
    }
}

pub(crate) fn a_waiting_reader_sees_what_is_appended(test: &impl TestLog) {
    let log = test.open();
    let partition = partition_of(&*log, source(1));
    let mut reader = log.reader(partition, Offset(1)).unwrap();
    thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let (mut batch, mut seen) = (Batch::default(), Vec::new());
            let deadline = Instant::now() + PATIENCE;
            while seen.len() < 50 {
                assert!(Instant::now() < deadline, "only {} of 50 came", seen.len());
                _ = reader.read(&mut batch, 1000, Duration::from_secs(5)).unwrap();
                seen.extend(batch.records().map(|record| record.value.to_vec()));
                batch.clear();
            }
            seen
        });
        let texts: Vec<String> = (0..50).map(|n| n.to_string()).collect();
        for text in &texts {
            log.append(&[(source(1), text.as_bytes())]).unwrap();
        }
        let seen = reading.join().unwrap();
        assert!(seen.iter().map(Vec::as_slice).eq(texts.iter().map(String::as_bytes)));
    });
}

pub(crate) fn a_wait_ends_and_says_by_when_all_was_read(test: &impl TestLog) {
    let log = test.open();
    let partition = partition_of(&*log, source(1));
    let last = read_all(&*log, partition, Offset(0)).pop().unwrap().1;
    let mut reader = log.reader(partition, Offset(0)).unwrap();
    let mut batch = Batch::default();
    let deadline = Instant::now() + PATIENCE;
    // The record first, with or without the news that it was the last.
    while batch.is_empty() {
        assert!(Instant::now() < deadline);
        _ = reader.read(&mut batch, 10, Duration::from_secs(1)).unwrap();
    }
    assert_eq!(batch.len(), 1);
    batch.clear();
    let began = Instant::now();
    let ReadEnd::CaughtUp(first) = reader.read(&mut batch, 10, Duration::from_millis(30)).unwrap()
    else {
        panic!("nothing was left to read")
    };
    assert!(batch.is_empty() && Duration::from_millis(30) <= began.elapsed());
    assert!(last <= first, "caught up at {first}, before the last record of {last}");
    // What comes later is not older than the moment that was given.
    log.append(&[(source(1), b"later")]).unwrap();
    let later = read_all(&*log, partition, Offset(1)).pop().unwrap().1;
    assert!(first <= later, "appended at {later}, but all up to {first} was read");
}

pub(crate) fn batches_are_bounded_and_many_make_the_whole(test: &impl TestLog) {
    let log = test.open();
    let partition = partition_of(&*log, source(1));
    let texts: Vec<String> = (0..300).map(|n| n.to_string()).collect();
    let records: Vec<_> = texts.iter().map(|text| (source(1), text.as_bytes())).collect();
    log.append(&records).unwrap();
    let mut reader = log.reader(partition, Offset(1)).unwrap();
    let (mut batch, mut seen) = (Batch::default(), Vec::new());
    let deadline = Instant::now() + PATIENCE;
    while seen.len() < texts.len() {
        assert!(Instant::now() < deadline);
        _ = reader.read(&mut batch, 7, Duration::from_secs(1)).unwrap();
        assert!(batch.len() <= 14, "{} records, about 7 were asked for", batch.len());
        seen.extend(batch.records().map(|record| record.value.to_vec()));
        batch.clear();
    }
    assert!(seen.iter().map(Vec::as_slice).eq(texts.iter().map(String::as_bytes)));
}

pub(crate) fn empty_and_long_values_survive(test: &impl TestLog) {
    let log = test.open();
    let partition = partition_of(&*log, source(1));
    let long: Vec<u8> =
        (0..1_u32 << 20).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    let sent: [&[u8]; 5] = [b"", &long, b"", b"x", &long];
    log.append(&sent.map(|value| (source(1), value))).unwrap();
    log.append(&[(source(1), b"")]).unwrap();
    let read: Vec<Vec<u8>> =
        read_all(&*log, partition, Offset(1)).into_iter().map(|record| record.2).collect();
    assert_eq!(read.len(), 6);
    assert!(read.iter().zip(sent).all(|(read, sent)| read == sent));
}

pub(crate) fn too_long_a_value_is_refused_and_nothing_of_its_call_kept(test: &impl TestLog) {
    let log = test.open();
    let partition = partition_of(&*log, source(1));
    let longest = vec![7; test.value_bytes_max()];
    let too_long = vec![7; test.value_bytes_max() + 1];
    let refused = log.append(&[(source(1), b"before"), (source(1), &too_long)]).unwrap_err();
    assert!(matches!(refused, LogError::TooLong { .. }), "{refused}");
    assert!(!refused.may_succeed_later());
    log.append(&[(source(1), &longest)]).unwrap();
    let read = read_all(&*log, partition, Offset(1));
    assert_eq!(read.len(), 1);
    assert!(read[0].2 == longest);
}

pub(crate) fn an_empty_append_is_nothing(test: &impl TestLog) {
    let log = test.open();
    log.append(&[]).unwrap();
    for partition in partitions(&*log) {
        let bounds = log.bounds(partition).unwrap();
        assert_eq!(bounds, Bounds { low: Offset(0), high: Offset(0) });
        let mut batch = Batch::default();
        let mut reader = log.reader(partition, Offset(0)).unwrap();
        let end = reader.read(&mut batch, 10, Duration::ZERO).unwrap();
        assert!(matches!(end, ReadEnd::CaughtUp(_)) && batch.is_empty());
    }
}

pub(crate) fn the_schemas_of_this_program_are_declared(test: &impl TestLog) {
    let log = test.open();
    log.append(&[(source(1), b"x")]).unwrap();
    let declared = log.schemas().unwrap();
    for schema in [schemas::avro::FRAME_SCHEMA, schemas::avro::COUNTS_SCHEMA] {
        assert!(declared.iter().any(|text| text == schema));
    }
}
