//! Many callers of the procedures at once, while others read and frames come.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use sqlx::Row;

use crate::mysql::animov::database_of;
use crate::mysql::animov::herd::{Frame, Herd};

const NOW: i64 = 1_772_366_400;
const SOURCES: u32 = 12;
const CALLERS: u32 = 20;
const CALLS: u32 = 15;

/// Half an hour of `SOURCES`: source n shows n lying and one standing, and none in
/// the frame behind.
fn herd() -> Herd {
    let minutes = (1..=SOURCES).flat_map(|source| (1..30).map(move |minute| (source, minute)));
    let frames = minutes.flat_map(|(source, minute)| {
        let at_ms = (NOW - 60 * minute) * 1000;
        let frame = Frame { source, at_ms, lying: source, standing: 1, eat: 0, brush: 0 };
        [frame, Frame { at_ms: at_ms + 1000, lying: 0, standing: 0, ..frame }]
    });
    Herd { zone: "UTC".into(), frames: frames.collect() }
}

/// What the table shows, and whether it is what the frames give: the same sums of the
/// same moment for all three, for every source.
fn is_right(rows: &[(i32, f64, f64, f64, f64)]) -> bool {
    let expected = |source: i32| {
        let (n, std) = (f64::from(source), f64::from(source) / 2.0 * (58.0_f64 / 57.0).sqrt());
        ((n + 1.0) / 2.0, 0.5, n / 2.0, std)
    };
    rows.len() == usize::try_from(SOURCES).unwrap()
        && (1..).zip(rows).all(|(source, row)| {
            let (total, debout, couche, std) = expected(source);
            let close = |a: f64, b: f64| (a - b).abs() < 1e-5;
            row.0 == source
                && close(row.1, total)
                && close(row.2, debout)
                && close(row.3, couche)
                && close(row.4, std)
        })
}

#[test]
fn twenty_callers_find_the_table_there_and_right_and_so_do_readers() {
    let Some((database, _state)) = database_of(&herd()) else { return };
    let select = "SELECT source, moyenne_total + 0e0, moyenne_debout + 0e0, moyenne_couche + 0e0,
                         ecart_type_couche + 0e0
                  FROM ResultatsConsolides ORDER BY source";
    let read = |row: sqlx::mysql::MySqlRow| {
        let number = |column| row.get::<f64, _>(column);
        (row.get::<i32, _>(0), number(1), number(2), number(3), number(4))
    };
    let now = format!("SET SESSION timestamp = {NOW}");
    database.run(&format!("{now}; CALL ConsoliderResultatsEcartType()"));
    let (done, seen) = (AtomicBool::new(false), AtomicU32::new(0));
    thread::scope(|scope| {
        for reader in 0..4 {
            let (done, seen, database) = (&done, &seen, &database);
            let isolation = ["REPEATABLE READ", "READ COMMITTED"][reader % 2];
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let sql =
                        format!("SET SESSION TRANSACTION ISOLATION LEVEL {isolation}; {select}");
                    let rows = database.ask(&sql, read);
                    assert!(is_right(&rows), "a reader sees {rows:?}");
                    seen.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let (now, database) = (&now, &database);
                scope.spawn(move || {
                    for _ in 0..CALLS {
                        let call = format!("{now}; CALL ConsoliderResultatsEcartType(); {select}");
                        let rows = database.ask(&call, read);
                        assert!(is_right(&rows), "a caller sees {rows:?}");
                    }
                })
            })
            .collect();
        let ended: Vec<bool> = callers.into_iter().map(|caller| caller.join().is_ok()).collect();
        done.store(true, Ordering::Relaxed);
        assert!(ended.iter().all(|ended| *ended), "a caller failed");
    });
    assert!(20 < seen.load(Ordering::Relaxed), "readers read meanwhile");
}

#[test]
fn a_caller_that_is_cut_off_leaves_what_was_there() {
    let Some((database, _state)) = database_of(&herd()) else { return };
    let now = format!("SET SESSION timestamp = {NOW}");
    database.run(&format!("{now}; CALL ConsoliderResultatsEcartType()"));
    let count =
        || database.ask("SELECT COUNT(*) FROM ResultatsConsolides", |row| row.get::<i64, _>(0))[0];
    assert_eq!(count(), i64::from(SOURCES));
    // Another session has the table's turn, so this one waits, and is refused.
    thread::scope(|scope| {
        let hold =
            "START TRANSACTION; SELECT name FROM column_metrics WHERE name = 'total' FOR UPDATE;
                    SELECT SLEEP(3); ROLLBACK";
        scope.spawn(|| database.run(hold));
        thread::sleep(Duration::from_millis(500));
        let call = "SET SESSION innodb_lock_wait_timeout = 1; CALL ConsoliderResultatsEcartType()";
        let refused = database.server.try_ask(Some(&database.name), call, |_| ());
        assert!(refused.unwrap_err().to_string().contains("ock wait timeout"));
        assert_eq!(count(), i64::from(SOURCES), "readers wait for nobody");
    });
    // An hour without frames has no rows, and that is what a call says.
    database.run("CALL ConsoliderResultatsEcartType()");
    assert_eq!(count(), 0);
}
