//! What must hold for any frames, in any order, cut anywhere.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use proptest::prelude::*;
use schemas::commit::{StateStore, WindowState};
use schemas::log::Partition;
use schemas::stats::Histogram;
use schemas::time::UnixMillis;
use schemas::window::{Calendar, WindowSize};

use crate::oracle::{differential, naive, table};
use crate::support::{MARCH, MemoryLog, MemoryStore, Seen3, Setup};

/// Zones with days of 23, 24 and 25 hours in the frames' two ranges of days, and
/// one that is three quarters of an hour off.
const ZONES: [&str; 4] = ["UTC", "Europe/Paris", "Asia/Kathmandu", "Australia/Lord_Howe"];

/// Days around Europe's changes of clocks in 2026, and the first of March.
const DAYS: [i64; 3] = [0, 28 * 86_400_000, 238 * 86_400_000];

fn frame() -> impl Strategy<Value = Seen3> {
    let at = (prop::sample::select(DAYS.to_vec()), 0_i64..2 * 86_400, 0_i64..1000)
        .prop_map(|(day, second, ms)| day - 3_600_000 + second * 1000 + ms);
    // Close together too, so that windows have many frames.
    let at = prop_oneof![at, (0_i64..900).prop_map(|second| second * 1000)];
    let other = prop_oneof![4 => Just(0), 1 => 1_u32..4];
    let counts = (0_u32..6, 0_u32..6, other).prop_map(<[u32; 3]>::from);
    (1_i64..4, 0_u8..2, at, counts).prop_map(|(source, session, at, counts)| Seen3 {
        source,
        session,
        seq: 0,
        at,
        counts,
    })
}

/// Frames with identities of their own, and some of them twice.
fn frames() -> impl Strategy<Value = Vec<Seen3>> {
    let again = prop::collection::vec(any::<prop::sample::Index>(), 0..10);
    (prop::collection::vec(frame(), 1..120), again, any::<bool>()).prop_map(
        |(mut frames, again, gaps)| {
            for (seq, frame) in (0..).zip(&mut frames) {
                frame.seq = if gaps { seq * 40_000 } else { seq };
            }
            for index in again {
                frames.push(frames[index.index(frames.len())].clone());
            }
            frames
        },
    )
}

fn log(frames: &[Seen3], partitions: usize, cut: usize) -> MemoryLog {
    let log = MemoryLog::new(partitions, cut);
    for (n, frame) in frames.iter().enumerate() {
        log.frame(n % partitions, frame);
    }
    log
}

fn without_revisions(store: &MemoryStore) -> Vec<WindowState> {
    let strip = |row| WindowState { rev: 0, ..row };
    store.rows().into_iter().map(strip).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn rows_equal_brute_force_in_any_order_cut_and_spread(
        frames in frames().prop_shuffle(),
        cut in 1_usize..40,
        partitions in 1_usize..4,
        workers in 1_usize..4,
        zone in prop::sample::select(ZONES.to_vec()),
    ) {
        let mut setup = Setup { zone, ..Setup::new() };
        setup.config.workers = workers.try_into().unwrap();
        let store = setup.run(log(&frames, partitions, cut));
        prop_assert_eq!(table(&store.rows()), naive(&frames, zone));
    }

    #[test]
    fn rows_equal_those_of_differential_dataflow(
        frames in frames().prop_shuffle(),
        cut in 1_usize..40,
        zone in prop::sample::select(ZONES.to_vec()),
    ) {
        let store = Setup { zone, ..Setup::new() }.run(log(&frames, 1, cut));
        let epochs: Vec<_> = frames.chunks(cut).map(<[_]>::to_vec).collect();
        prop_assert_eq!(table(&store.rows()), differential(&epochs, zone));
    }

    #[test]
    fn a_replay_finds_the_same_frames_late(frames in frames(), a in 1_usize..40, b in 1_usize..40) {
        let (once, again) = (Setup::new().run(log(&frames, 1, a)), Setup::new().run(log(&frames, 1, b)));
        prop_assert_eq!(without_revisions(&once), without_revisions(&again));
    }

    #[test]
    fn a_run_that_breaks_anywhere_goes_on_where_it_was(
        frames in frames().prop_shuffle(),
        cut in 1_usize..20,
        breaks in prop::collection::vec(1_u32..6, 1..4),
        partitions in 1_usize..3,
    ) {
        let log = Arc::new(log(&frames, partitions, cut));
        let store = Arc::new(MemoryStore::default());
        for more in breaks {
            store.break_after.store(store.commits() + more, Ordering::SeqCst);
            // Breaks, or was done before it came to that.
            _ = Setup::new().try_run(&log, &store);
            prop_assert_eq!(store.audit().unwrap().imbalances(), Vec::<String>::new());
        }
        store.break_after.store(0, Ordering::SeqCst);
        Setup::new().run_into(&log, &store);
        prop_assert_eq!(table(&store.rows()), naive(&frames, "UTC"));
        if partitions == 1 {
            let unbroken = Setup::new().run(self::log(&frames, 1, cut));
            prop_assert_eq!(without_revisions(&store), without_revisions(&unbroken));
        }
    }

    #[test]
    fn larger_windows_are_the_merge_of_smaller_ones(
        frames in frames(),
        zone in prop::sample::select(ZONES.to_vec()),
    ) {
        let rows = Setup { zone, ..Setup::new() }.run(log(&frames, 1, 30)).rows();
        let calendar = Calendar::in_zone(zone).unwrap();
        for pair in WindowSize::ALL.windows(2) {
            let mut merged = BTreeMap::<_, (u64, BTreeMap<_, Histogram>)>::new();
            for row in rows.iter().filter(|row| row.window.size == pair[0]) {
                // A day is the merge of its quarter hours, where an hour of UTC
                // may lie in two days.
                let into = match pair[1] {
                    WindowSize::Day => continue,
                    size => calendar.window(size, row.window.start).unwrap(),
                };
                let (frames, metrics) = merged.entry((row.source, into)).or_default();
                *frames += row.frames;
                for (metric, histogram) in &row.metrics {
                    metrics.entry(metric).or_default().merge(histogram);
                }
            }
            check_merged(&rows, pair[1], merged)?;
        }
        let mut days = BTreeMap::<_, (u64, BTreeMap<_, Histogram>)>::new();
        for row in rows.iter().filter(|row| row.window.size == WindowSize::QuarterHour) {
            let day = calendar.window(WindowSize::Day, row.window.start).unwrap();
            let (frames, metrics) = days.entry((row.source, day)).or_default();
            *frames += row.frames;
            for (metric, histogram) in &row.metrics {
                metrics.entry(metric).or_default().merge(histogram);
            }
        }
        prop_assert!(!days.is_empty());
        check_merged(&rows, WindowSize::Day, days)?;
    }
}

type Merged<'a> = BTreeMap<
    (schemas::source::SourceId, schemas::window::Window),
    (u64, BTreeMap<&'a Arc<str>, Histogram>),
>;

fn check_merged(
    rows: &[WindowState],
    size: WindowSize,
    merged: Merged<'_>,
) -> Result<(), TestCaseError> {
    for ((source, window), (frames, metrics)) in merged {
        let found = rows.iter().find(|row| row.source == source && row.window == window);
        let row = found.expect("a window with frames has a row");
        prop_assert_eq!(row.window.size, size);
        prop_assert_eq!(row.frames, frames);
        for (metric, mut histogram) in metrics {
            histogram.pad_to(frames);
            let mine = row.metrics.iter().find(|(name, _)| name == metric);
            prop_assert_eq!(&mine.expect("a metric of a part").1, &histogram);
        }
    }
    Ok(())
}

#[test]
fn partitions_may_be_read_by_more_workers_than_there_are() {
    let frames: Vec<Seen3> = (0..500).map(|n| crate::support::lying(3, n)).collect();
    let mut setup = Setup::new();
    setup.config.workers = 5.try_into().unwrap();
    let store = setup.run(log(&frames, 2, 7));
    assert_eq!(table(&store.rows()), naive(&frames, "UTC"));
    let bounds = store.audit().unwrap().partitions;
    assert_eq!(
        bounds.iter().map(|p| p.partition).collect::<Vec<_>>(),
        [Partition(0), Partition(1)]
    );
    assert!(UnixMillis::new(MARCH) < store.sources().unwrap()[0].state.watermark);
}
