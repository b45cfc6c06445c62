//! What the tables on a server promise beyond the seam. Every test has a
//! database of its own on the server that `ANIMOV_TEST_MYSQL` names.

mod animov;
mod database;
mod imported;
mod killed;
mod lost;
mod many;
mod own_server;
mod proxy;
mod refused;
mod tls;
mod versions;

use std::sync::Arc;

use schemas::accuracy::AccuracyStore;
use schemas::commit::{CommitError, Ledger, ParkReason, Parked, StateStore, StoreError};
use schemas::imported::ImportedStore;
use schemas::log::{Offset, Partition};
use schemas::stats::Histogram;
use schemas::time::UnixMillis;
use schemas::users::UserStore;
use schemas::window::WindowSize;
use sinks::state::mysql::MySqlState;
use sqlx::Row;

use crate::commits::{log, minutes, next_offset, nth};
use crate::conformance::accuracy::{TestAccuracy, accuracy_conformance};
use crate::conformance::imported::{TestImported, imported_conformance};
use crate::conformance::log::source;
use crate::conformance::logbook::logbook_conformance;
use crate::conformance::state::{TestState, state_conformance};
use crate::conformance::users::{TestUsers, users_conformance};
use database::Database;

state_conformance!(InDatabase);
logbook_conformance!(InDatabase);
users_conformance!(InDatabase);
imported_conformance!(InDatabase);
accuracy_conformance!(InDatabase);

struct InDatabase(Database);

impl TestState for InDatabase {
    fn new() -> Option<InDatabase> {
        Database::new().map(InDatabase)
    }

    fn open(&self) -> Arc<dyn StateStore> {
        Arc::new(self.0.open())
    }

    fn clear(&self) {
        // The tables are there.
        drop(self.0.open());
        self.0.clear();
    }
}

impl TestUsers for InDatabase {
    fn open_users(&self) -> Arc<dyn UserStore> {
        Arc::new(self.0.open())
    }
}

impl TestAccuracy for InDatabase {
    fn open_accuracy(&self) -> Arc<dyn AccuracyStore> {
        Arc::new(self.0.open())
    }
}

impl TestImported for InDatabase {
    fn new() -> Option<InDatabase> {
        TestState::new()
    }

    fn open(&self) -> Arc<dyn ImportedStore> {
        Arc::new(self.0.open())
    }
}

#[test]
fn people_read_the_statistics_with_plain_sql() {
    let Some(database) = Database::new() else { return };
    let state = database.open();
    state.claim(&log(), Partition(0), Offset(0)).unwrap();
    let mut commit = nth(0, 2);
    let one = &mut commit.sources[0].windows[1];
    one.frames = 1;
    one.metrics[0].1 = Histogram::of(&[(3, 1)]);
    state.commit(&commit).unwrap();
    let told = database.ask(
        "SELECT CONCAT_WS('|', size, start_utc, status, frames, mean, ROUND(std, 6), min, q1, median, \
                          q3, max, modes)
         FROM window_statistics WHERE metric = 'total' ORDER BY start_ms",
        |row| row.get::<String, _>(0),
    );
    assert_eq!(
        told,
        [
            // 1, 2, 2, 5: deviations -1.5, -0.5, -0.5, 2.5, so sqrt(9 / 3).
            "1m|1970-01-01T00:00:00Z|open|4|2.5|1.732051|1|1.75|2|2.75|5|2",
            // One frame has no deviation.
            "1m|1970-01-01T00:01:00Z|open|1|3|3|3|3|3|3|3",
        ]
    );
}

#[test]
fn the_statistics_of_the_largest_numbers_are_read_too() {
    let Some(database) = Database::new() else { return };
    let state = database.open();
    state.claim(&log(), Partition(0), Offset(0)).unwrap();
    let mut commit = nth(0, 1);
    let window = &mut commit.sources[0].windows[0];
    // Frames times squares is beyond 64 bits.
    window.frames = 2_000_000_000_000;
    let half = window.frames / 2;
    window.metrics[0].1 = Histogram::of(&[(0, half), (1024, half)]);
    state.commit(&commit).unwrap();
    let told = database.ask("SELECT mean, std FROM window_statistics", |row| {
        (row.get::<f64, _>(0), row.get::<f64, _>(1))
    });
    let [(mean, std)] = told[..] else { panic!("one row") };
    assert!((mean - 512.0).abs() < 1e-9 && (std - 512.0).abs() < 1e-6, "{mean}, {std}");
}

#[test]
fn reading_alone_sees_commits_and_makes_none() {
    let Some(database) = Database::new() else { return };
    let open = || MySqlState::open_read_only(&database.config(), database.password().as_ref());
    let refused = open().err().unwrap();
    assert!(matches!(refused, StoreError::SchemaVersion { found: 0, .. }), "{refused}");
    let tables = database.ask("SHOW TABLES", |_| ());
    assert!(tables.is_empty(), "none was made");
    let state = database.open();
    let reading = open().unwrap();
    state.claim(&log(), Partition(0), Offset(0)).unwrap();
    state.commit(&nth(0, 3)).unwrap();
    assert_eq!(minutes(&reading), 3);
    assert!(matches!(reading.commit(&nth(1, 3)), Err(CommitError::Store(_))));
    assert!(reading.claim(&log(), Partition(0), Offset(0)).is_err());
    assert_eq!((next_offset(&reading), minutes(&reading)), (12, 3));
}

#[test]
fn a_parked_record_of_any_length_is_kept_whole() {
    let Some(database) = Database::new() else { return };
    let state = database.open();
    state.claim(&log(), Partition(0), Offset(0)).unwrap();
    let mut commit = nth(0, 1);
    commit.sources.clear();
    let lengths = [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20, 50_000_000];
    let parked = |(offset, length): (u64, usize)| Parked {
        log: log(),
        partition: Partition(0),
        offset: Offset(offset),
        appended_at: UnixMillis::new(7),
        reason: ParkReason::NotAFrame,
        detail: format!("{length} bytes of nothing"),
        bytes: (0..length).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect(),
    };
    commit.parked = (0..).zip(lengths).map(parked).collect();
    let count = u64::try_from(lengths.len()).unwrap();
    commit.partitions[0].to = Offset(count);
    commit.partitions[0].ledger = Ledger { read: count, parked: count, ..Ledger::default() };
    state.commit(&commit).unwrap();
    commit.parked.reverse();
    assert!(state.parked(100).unwrap() == commit.parked, "not what was parked");
    assert_eq!(state.audit().unwrap().imbalances(), Vec::<String>::new());
}

#[test]
fn names_that_differ_in_a_byte_are_different_metrics() {
    let Some(database) = Database::new() else { return };
    let state = database.open();
    state.claim(&log(), Partition(0), Offset(0)).unwrap();
    let mut commit = nth(0, 1);
    let histogram = Histogram::of(&[(1, 4)]);
    let names = [" goat", "GOAT", "Goat", "goat", "goat ", "go\u{e4}t", "goat\u{1F410}"];
    commit.sources[0].windows[0].metrics =
        names.iter().map(|name| ((*name).into(), histogram.clone())).collect();
    commit.sources[0].windows[0].metrics.sort_by(|(a, _), (b, _)| a.cmp(b));
    state.commit(&commit).unwrap();
    let stored = state.window(source(1), WindowSize::Minute, UnixMillis::new(0)).unwrap();
    assert_eq!(stored.as_ref(), Some(&commit.sources[0].windows[0]));
    let listed = state.sources().unwrap()[0].metrics.clone();
    let of_window = commit.sources[0].windows[0].metrics.iter().map(|(name, _)| Arc::clone(name));
    assert_eq!(listed, of_window.collect::<Vec<_>>());
}

#[test]
fn a_histogram_damaged_in_the_table_is_an_error_that_says_so() {
    let Some(database) = Database::new() else { return };
    let state = database.open();
    state.claim(&log(), Partition(0), Offset(0)).unwrap();
    state.commit(&nth(0, 1)).unwrap();
    database.run("UPDATE window_metrics SET histogram = '{\"1\":0}'");
    let told = state.window(source(1), WindowSize::Minute, UnixMillis::new(0)).unwrap_err();
    assert!(matches!(told, StoreError::Damaged { .. }), "{told}");
    assert!(told.to_string().contains("histogram"), "{told}");
    database.run("UPDATE window_metrics SET histogram = '{\"1\":1}'");
    assert!(state.audit().unwrap().imbalances().join(" ").contains("misses frames"));
    database.run("DROP TABLE window_metrics");
    let told = state.window(source(1), WindowSize::Minute, UnixMillis::new(0)).unwrap_err();
    assert!(matches!(told, StoreError::Damaged { .. }), "{told}");
}

#[test]
fn processes_that_are_long_gone_are_forgotten_and_no_others() {
    let Some(database) = Database::new() else { return };
    let state = database.open();
    state.claim(&log(), Partition(0), Offset(0)).unwrap();
    state.commit(&nth(0, 1)).unwrap();
    state.commit(&nth(1, 1)).unwrap();
    let days_ago = |name: &str, days: u32| {
        database.run(&format!(
            "INSERT INTO writers VALUES ('{name}', 1, UNIX_TIMESTAMP() - {days} * 24 * 3600)"
        ));
    };
    days_ago("long gone", 31);
    days_ago("on holiday", 29);
    let commits = || {
        let mut all = database.ask("SELECT writer, last_commit FROM writers", |row| {
            (row.get::<String, _>(0), row.get::<i64, _>(1))
        });
        all.sort_by_key(|(_, last)| *last);
        all
    };
    assert_eq!(commits().len(), 3);
    drop(database.open());
    let [(holiday, 1), (_, 2)] = &commits()[..] else { panic!("{:?}", commits()) };
    assert_eq!(holiday, "on holiday");
}

#[test]
fn calls_come_from_blocking_threads_and_the_last_owner_may_be_a_task() {
    let Some(database) = Database::new() else { return };
    let state = Arc::new(database.open());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    runtime.block_on(async move {
        let of_task = Arc::clone(&state);
        let sources = tokio::task::spawn_blocking(move || of_task.sources().unwrap()).await;
        assert_eq!(sources.unwrap(), []);
        drop(state);
    });
}
