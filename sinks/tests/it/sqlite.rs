//! What the embedded tables promise beyond the seam.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use schemas::accuracy::AccuracyStore;
use schemas::commit::{CommitError, StateStore, StoreError};
use schemas::imported::ImportedStore;
use schemas::log::{Offset, Partition};
use schemas::stats::{Histogram, Statistics};
use schemas::time::UnixMillis;
use schemas::users::UserStore;
use schemas::window::WindowSize;
use sinks::state::sqlite::SqliteState;

use crate::child;
use crate::commits::{log, minutes, next_offset, nth};
use crate::conformance::accuracy::{TestAccuracy, accuracy_conformance};
use crate::conformance::imported::{TestImported, imported_conformance};
use crate::conformance::log::source;
use crate::conformance::logbook::logbook_conformance;
use crate::conformance::state::{TestState, state_conformance};
use crate::conformance::users::{TestUsers, users_conformance};
use crate::tmpfs::SmallDisk;

state_conformance!(InTempFile);
logbook_conformance!(InTempFile);
users_conformance!(InTempFile);
imported_conformance!(InTempFile);
accuracy_conformance!(InTempFile);

struct InTempFile(RefCell<tempfile::TempDir>);

impl TestState for InTempFile {
    fn new() -> Option<InTempFile> {
        Some(InTempFile(tempfile::tempdir().unwrap().into()))
    }

    fn open(&self) -> Arc<dyn StateStore> {
        Arc::new(SqliteState::open(file(self.0.borrow().path())).unwrap())
    }

    fn clear(&self) {
        self.0.replace(tempfile::tempdir().unwrap());
    }
}

impl TestUsers for InTempFile {
    fn open_users(&self) -> Arc<dyn UserStore> {
        Arc::new(SqliteState::open(file(self.0.borrow().path())).unwrap())
    }
}

impl TestAccuracy for InTempFile {
    fn open_accuracy(&self) -> Arc<dyn AccuracyStore> {
        Arc::new(SqliteState::open(file(self.0.borrow().path())).unwrap())
    }
}

impl TestImported for InTempFile {
    fn new() -> Option<InTempFile> {
        TestState::new()
    }

    fn open(&self) -> Arc<dyn ImportedStore> {
        Arc::new(SqliteState::open(file(self.0.borrow().path())).unwrap())
    }
}

fn file(dir: &Path) -> PathBuf {
    dir.join("state.sqlite")
}

#[test]
fn people_read_the_statistics_with_plain_sql() {
    let dir = tempfile::tempdir().unwrap();
    let state = SqliteState::open(file(dir.path())).unwrap();
    state.claim(&log(), Partition(0), Offset(0)).unwrap();
    let mut commit = nth(0, 2);
    let one = &mut commit.sources[0].windows[1];
    one.frames = 1;
    one.metrics[0].1 = Histogram::of(&[(3, 1)]);
    state.commit(&commit).unwrap();
    let output = std::process::Command::new("sqlite3")
        .args(["-readonly", "-header", "-nullvalue", "NULL"])
        .arg(file(dir.path()))
        .arg(
            "SELECT size, start_utc, frames, mean, round(std, 6) AS std, min, q1, median, q3, \
             max, modes FROM window_statistics WHERE metric = 'total' ORDER BY start_ms",
        )
        .output();
    let Ok(output) = output else {
        println!("SKIPPED: there is no sqlite3 here");
        return;
    };
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        told.lines().collect::<Vec<_>>(),
        [
            "size|start_utc|frames|mean|std|min|q1|median|q3|max|modes",
            // 1, 2, 2, 5: deviations -1.5, -0.5, -0.5, 2.5, so sqrt(9 / 3).
            "1m|1970-01-01T00:00:00Z|4|2.5|1.732051|1|1.75|2.0|2.75|5|2",
            "1m|1970-01-01T00:01:00Z|1|3.0|NULL|3|3.0|3.0|3.0|3|3",
        ],
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn sql_finds_the_same_statistics(
        histograms in vec(btree_map(0_u32..30, 1_u64..300, 1..10), 1..12),
        few in vec(btree_map(0_u32..30, 1_u64..3, 1..4), 1..12),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let state = SqliteState::open(file(dir.path())).unwrap();
        state.claim(&log(), Partition(0), Offset(0)).unwrap();
        let histograms: Vec<Histogram> =
            histograms.into_iter().chain(few).map(|bars| bars.try_into().unwrap()).collect();
        let mut commit = nth(0, histograms.len().try_into().unwrap());
        for (window, histogram) in commit.sources[0].windows.iter_mut().zip(&histograms) {
            window.frames = histogram.frames();
            window.metrics[0].1 = histogram.clone();
        }
        state.commit(&commit).unwrap();

        let expected: Vec<_> = histograms.iter().map(statistics).collect();
        prop_assert_eq!(statistics_by_sql(&file(dir.path())), expected);
    }
}

/// What the view says of `total`, by window: the numbers, and the modes.
fn statistics_by_sql(file: &Path) -> Vec<([u64; 7], String)> {
    let by_hand = rusqlite::Connection::open(file).unwrap();
    let sql = "SELECT sum, sum_squares, min, max, q1_x4, median_x4, q3_x4, modes
               FROM window_metrics WHERE metric = 'total' ORDER BY start_ms";
    let mut ask = by_hand.prepare(sql).unwrap();
    let told = ask.query_map([], |row| {
        let number = |column| row.get::<_, i64>(column).unwrap().try_into().unwrap();
        Ok((std::array::from_fn(number), row.get(7)?))
    });
    told.unwrap().map(Result::unwrap).collect()
}

fn statistics(histogram: &Histogram) -> ([u64; 7], String) {
    let stats = histogram.statistics().unwrap();
    let Statistics { frames: _, sum, sum_squares, min, max, q1, median, q3, modes } = stats;
    let modes: Vec<String> = modes.iter().map(u32::to_string).collect();
    let numbers = [sum, sum_squares, min.into(), max.into(), q1.0, median.0, q3.0];
    (numbers, modes.join(","))
}

#[test]
fn reading_alone_sees_commits_and_makes_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path());
    assert!(SqliteState::open_read_only(&path).is_err(), "there is none yet");
    assert!(!path.exists(), "and none was made");
    let state = SqliteState::open(&path).unwrap();
    let reading = SqliteState::open_read_only(&path).unwrap();
    state.claim(&log(), Partition(0), Offset(0)).unwrap();
    state.commit(&nth(0, 3)).unwrap();
    assert_eq!(minutes(&reading), 3);
    assert!(matches!(reading.commit(&nth(1, 3)), Err(CommitError::Store(_))));
    assert!(reading.claim(&log(), Partition(0), Offset(0)).is_err());
    assert_eq!((next_offset(&reading), minutes(&reading)), (12, 3));
    drop((state, reading));
    assert_eq!(minutes(&SqliteState::open_read_only(&path).unwrap()), 3, "also when alone");
}

#[test]
fn readers_do_not_hold_commits_up() {
    let dir = tempfile::tempdir().unwrap();
    let state = SqliteState::open(file(dir.path())).unwrap();
    state.claim(&log(), Partition(0), Offset(0)).unwrap();
    thread::scope(|scope| {
        let readers: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    let mut seen = 0;
                    while seen < 40 * 5 {
                        let now = minutes(&state);
                        assert!(seen <= now && now.is_multiple_of(5), "{seen}, then {now}");
                        seen = now;
                    }
                })
            })
            .collect();
        for n in 0..40 {
            state.commit(&nth(n, 5)).unwrap();
        }
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}

#[test]
fn a_crash_inside_a_commit_leaves_all_of_it_or_nothing() {
    const TEST: &str = "sqlite::a_crash_inside_a_commit_leaves_all_of_it_or_nothing";
    if let Some(dir) = child::dir() {
        let state = SqliteState::open(file(&dir)).unwrap();
        state.claim(&log(), Partition(0), Offset(0)).unwrap();
        state.commit(&nth(0, 5)).unwrap();
        fail::cfg(std::env::var("AT").unwrap(), "panic").unwrap();
        std::panic::set_hook(Box::new(|_| std::process::abort()));
        state.commit(&nth(1, 5)).unwrap();
        return;
    }
    for (at, expected) in [
        ("commit-before-begin", 1),
        ("commit-between-rows", 1),
        ("commit-before-commit", 1),
        ("commit-after-commit", 2),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let output = child::command(TEST, dir.path()).env("AT", at).output().unwrap();
        assert!(!output.status.success(), "{at} was not met");
        let state = SqliteState::open(file(dir.path())).unwrap();
        assert_eq!((next_offset(&state), minutes(&state)), (expected * 20, expected * 5), "{at}");
        let mut next = nth(expected, 5);
        let claim = state.claim(&log(), Partition(0), Offset(0)).unwrap();
        next.partitions[0].owner_epoch = claim.owner_epoch;
        state.commit(&next).unwrap();
    }
}

#[test]
fn a_full_disk_refuses_whole_commits_and_takes_them_once_there_is_room() {
    let Some(disk) = SmallDisk::mount(3000) else { return };
    let state = SqliteState::open(file(&disk.path().join("made"))).unwrap();
    state.claim(&log(), Partition(0), Offset(0)).unwrap();
    state.commit(&nth(0, 20)).unwrap();
    let mut done = 1;
    for kib in [0, 20, 60, 200] {
        let filler = disk.fill_but(kib);
        let refused = loop {
            match state.commit(&nth(done, 20)) {
                Ok(()) => done += 1,
                Err(error) => break error,
            }
            assert!(done < 10_000);
        };
        let CommitError::Store(refused) = refused else { panic!("{refused}") };
        assert!(matches!(refused, StoreError::Full { .. }), "{refused:?}");
        assert!(refused.may_succeed_later());
        assert_eq!((next_offset(&state), minutes(&state)), (done * 80, done * 20));
        drop(filler);
        state.commit(&nth(done, 20)).unwrap();
        done += 1;
        assert_eq!((next_offset(&state), minutes(&state)), (done * 80, done * 20));
    }
}

#[test]
fn a_histogram_damaged_on_disk_is_an_error_that_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let state = SqliteState::open(file(dir.path())).unwrap();
    state.claim(&log(), Partition(0), Offset(0)).unwrap();
    state.commit(&nth(0, 1)).unwrap();
    let by_hand = rusqlite::Connection::open(file(dir.path())).unwrap();
    by_hand.execute("UPDATE windows SET histograms = '{\"total\":{\"1\":0}}'", []).unwrap();
    let told = state.window(source(1), WindowSize::Minute, UnixMillis::new(0)).unwrap_err();
    assert!(matches!(told, StoreError::Damaged { .. }), "{told}");
    assert!(told.to_string().contains("histogram"), "{told}");
    by_hand.execute("UPDATE windows SET histograms = '{\"total\":{\"1\":1}}'", []).unwrap();
    assert!(state.audit().unwrap().imbalances().join(" ").contains("misses frames"));
}
