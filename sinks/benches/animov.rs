//! How fast the original system's views are, and what they cost a commit:
//! `cargo bench -p sinks --bench animov`, where `ANIMOV_TEST_MYSQL` names a server.
//!
//! Input, the same in every run: 64 sources, a minute each for 30 days, three metrics.
//! Prints each view's time, over all sources and of one, as a ratio to reading the
//! same minutes straight from our tables by their keys; and commits with the clock
//! and the original's columns as a ratio to commits into tables without them. Checks
//! nothing: tests do that.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints and may panic")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use schemas::commit::{
    Commit, Ledger, PartitionAdvance, Place, Shape, SourceChange, SourceState, StateStore, Status,
    WindowState,
};
use schemas::log::{LogId, Offset, Partition};
use schemas::metric::MetricRules;
use schemas::source::SourceId;
use schemas::stats::Histogram;
use schemas::time::UnixMillis;
use schemas::window::{Calendar, WindowSize};
use sinks::config::MySqlConfig;
use sinks::state::mysql::MySqlState;
use sqlx::migrate::MigrateDatabase;
use sqlx::{AssertSqlSafe, Connection, MySql, MySqlConnection};
use tokio::runtime::Runtime;

const SOURCES: i64 = 64;

/// 2026-03-01T12:00:00Z: the newest minute.
const NOW: i64 = 1_772_366_400;

const ROUNDS: usize = 5;

/// Minutes of every source in one commit; with the larger sizes, 2,000 windows.
const MINUTES: i64 = 24;

const COMMITS: i64 = 20;

fn main() {
    let Ok(url) = std::env::var("ANIMOV_TEST_MYSQL") else {
        println!("SKIPPED: ANIMOV_TEST_MYSQL names no server");
        return;
    };
    let url = url.trim_end_matches('/').to_owned();
    // What cargo adds begins with a dash.
    let days = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let days = days.and_then(|days| days.parse().ok()).unwrap_or(30);
    let runtime = Runtime::new().unwrap();
    views(&runtime, &url, days);
    commits(&runtime, &url);
}

/// A database of its own.
struct Database<'r> {
    runtime: &'r Runtime,
    url: String,
    connection: MySqlConnection,
}

impl Database<'_> {
    fn new<'r>(runtime: &'r Runtime, url: &str, name: &str) -> Database<'r> {
        let url = format!("{url}/{name}");
        runtime.block_on(MySql::drop_database(&url)).unwrap();
        runtime.block_on(MySql::create_database(&url)).unwrap();
        let connection = runtime.block_on(MySqlConnection::connect(&url)).unwrap();
        Database { runtime, url, connection }
    }

    fn open(&self) -> MySqlState {
        let config = MySqlConfig { url: self.url.parse().unwrap(), ..MySqlConfig::default() };
        MySqlState::open(&config, None).unwrap()
    }

    fn run(&mut self, sql: &str) {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        self.runtime.block_on(sql.execute(&mut self.connection)).unwrap();
    }

    /// Rows of `sql`, and the shortest time that it took.
    fn time(&mut self, sql: &str) -> (usize, Duration) {
        let times = (0..ROUNDS).map(|_| {
            let began = Instant::now();
            let asked =
                sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_all(&mut self.connection);
            let rows = self.runtime.block_on(asked).unwrap().len();
            (rows, began.elapsed())
        });
        times.min_by_key(|(_, took)| *took).unwrap()
    }
}

impl Drop for Database<'_> {
    fn drop(&mut self) {
        self.runtime.block_on(MySql::drop_database(&self.url)).unwrap();
    }
}

fn fill(database: &mut Database<'_>, days: i64) {
    database.run(&format!(
        "INSERT INTO sources (source, rev, watermark_ms, last_appended_at_ms, last_captured_at_ms,
                              accepted, log, `partition`)
         SELECT n, 1, 0, 0, 0, 1, 'log', 0 FROM counted_minutes WHERE n BETWEEN 1 AND {SOURCES};
         INSERT INTO clock (start_s, local)
         SELECT {NOW} - 86400 * d.n - 60 * m.n,
                TIMESTAMP('1970-01-01') + INTERVAL ({NOW} - 86400 * d.n - 60 * m.n) SECOND
         FROM counted_minutes AS d JOIN counted_minutes AS m WHERE d.n < {days}"
    ));
    for source in 1..=SOURCES {
        database.run(&format!(
            "INSERT INTO windows (source, size, start_ms, end_ms, frames, frames_expected, status, rev)
             SELECT {source}, k.size, c.start_s * 1000, (c.start_s + k.seconds) * 1000, k.seconds, k.seconds,
                    'final', 1
             FROM clock AS c
             JOIN (SELECT '1m' AS size, 60 AS seconds UNION ALL SELECT '1h', 3600) AS k
                 ON c.start_s MOD k.seconds = 0
             ORDER BY k.size, c.start_s;
             INSERT INTO window_metrics (source, size, start_ms, metric, sum, sum_squares, min, max, q1_x4,
                                         median_x4, q3_x4, modes, histogram)
             SELECT w.source, w.size, w.start_ms, k.metric, 300 + w.start_ms DIV 60000 MOD 7, 1700, 3, 8,
                    20, 20, 24, '5', '{{\"3\":10,\"5\":40,\"8\":10}}'
             FROM windows AS w JOIN column_metrics AS k WHERE w.source = {source}"
        ));
    }
    database.run("ANALYZE TABLE windows, window_metrics, clock, sources");
}

fn views(runtime: &Runtime, url: &str, days: i64) {
    let mut database = Database::new(runtime, url, "animov_bench_views");
    drop(database.open());
    let began = Instant::now();
    fill(&mut database, days);
    println!("{SOURCES} sources, {days} days, filled in {:.0} s", began.elapsed().as_secs_f64());
    database.run(&format!("SET SESSION timestamp = {NOW}"));
    let views = [
        ("vue_chevres_derniere_minute_v2", 2),
        ("vue_chevres_derniere_minute", 1),
        ("vue_chevres_serier_heure", 60),
        ("vue_chevre_derniere_heure_last", 60),
        ("vue_chevres_serier_jour", 1440),
        ("vue_chevre_derniere_jour_last", 1440),
    ];
    for (view, minutes) in views {
        compare(&mut database, view, minutes);
    }
    let past = NOW - 86400 * days / 2;
    for (minutes, name) in [(60, "an hour"), (1440, "a day")] {
        let (from, to) = (past, past + 60 * minutes);
        let table = format!(
            "(SELECT * FROM table_chevres_minute_serveur_v2
                              WHERE {from} <= timestamp AND timestamp < {to}) AS it"
        );
        compare_as(&mut database, &format!("{name} of the minute table"), &table, from, minutes);
    }
    let day = "DATE(TIMESTAMP('1970-01-01') + INTERVAL 1772000000 SECOND)";
    for (what, sql) in [
        (
            "a day of table_chevres_minute",
            format!("SELECT * FROM table_chevres_minute WHERE jour = {day}"),
        ),
        (
            "a day of table_chevres_heures",
            format!("SELECT * FROM table_chevres_heures WHERE jour = {day}"),
        ),
        (
            "the list of sources",
            "SELECT DISTINCT source FROM table_chevres_minute_serveur_v2".to_owned(),
        ),
        (
            "the newest ten rows",
            "SELECT * FROM table_chevres_minute_serveur_v2 ORDER BY timestamp DESC LIMIT 10"
                .to_owned(),
        ),
        (
            "the procedure, and its table",
            "CALL ConsoliderResultatsEcartType(); SELECT * FROM ResultatsConsolides".to_owned(),
        ),
    ] {
        let (rows, took) = database.time(&sql);
        println!("{what}: {rows} rows, {:.1} ms", ms(took));
    }
}

fn compare(database: &mut Database<'_>, view: &str, minutes: i64) {
    compare_as(database, view, view, NOW - 60 * (minutes - 1), minutes);
}

/// Times `table`, of all sources and of one, beside our own tables' rows of the same
/// `minutes` from `from`.
fn compare_as(database: &mut Database<'_>, what: &str, table: &str, from: i64, minutes: i64) {
    for only in ["", " WHERE source = 7"] {
        let (rows, took) = database.time(&format!("SELECT * FROM {table}{only}"));
        let (from_ms, to_ms) = (from * 1000, (from + 60 * minutes) * 1000);
        // A source's range is a range of the key: one statement each.
        let sources = if only.is_empty() { 1..=SOURCES } else { 7..=7 };
        let plain: Vec<String> = sources
            .map(|source| {
                format!(
                    "SELECT w.frames, m.* FROM windows AS w JOIN window_metrics AS m
                         ON m.source = w.source AND m.size = w.size AND m.start_ms = w.start_ms
                     WHERE w.source = {source} AND w.size = '1m'
                           AND {from_ms} <= w.start_ms AND w.start_ms < {to_ms}"
                )
            })
            .collect();
        let (_, reference) = database.time(&plain.join(";"));
        println!(
            "{what}{only}: {rows} rows, {:.1} ms, {:.2} x the rows themselves",
            ms(took),
            took.as_secs_f64() / reference.as_secs_f64()
        );
    }
}

/// Commits with and without what the original's views need, in turns.
fn commits(runtime: &Runtime, url: &str) {
    let with = Database::new(runtime, url, "animov_bench_with");
    let mut without = Database::new(runtime, url, "animov_bench_without");
    let states = [with.open(), without.open()];
    without.run(
        "ALTER TABLE windows DROP COLUMN frames_int, DROP COLUMN minute_id;
         ALTER TABLE window_metrics DROP COLUMN sum_int, DROP COLUMN min_int, DROP COLUMN max_int,
         DROP COLUMN modes_text;
         ALTER TABLE sources DROP KEY source_big, DROP KEY site, DROP COLUMN source_big, DROP COLUMN site",
    );
    let shape = Shape { zone: "Europe/Paris".into(), metrics: MetricRules::default() };
    states[0].shape(&shape).unwrap();
    for state in &states {
        state.claim(&log(), Partition(0), Offset(0)).unwrap();
    }
    let mut took = [Duration::ZERO; 2];
    for n in 0..COMMITS {
        for (state, took) in states.iter().zip(&mut took) {
            let commit = commit(n);
            let began = Instant::now();
            state.commit(&commit).unwrap();
            *took += began.elapsed();
        }
    }
    let [with, without] = took.map(|took| took.as_secs_f64());
    println!(
        "a commit of 2,000 windows: {:.1} ms, {:.3} x one without the clock and the original's columns",
        with * 1e3 / f64::from(u32::try_from(COMMITS).unwrap()),
        with / without
    );
}

fn log() -> LogId {
    LogId("log".into())
}

/// The n-th stretch of every source's minutes, with the larger windows around them.
fn commit(n: i64) -> Commit {
    let calendar = Calendar::in_zone("Europe/Paris").unwrap();
    let metrics: [Arc<str>; 3] = ["lying".into(), "standing".into(), "total".into()];
    let bars: Vec<(u32, u64)> = (0..12).map(|animals| (animals, 5)).collect();
    let histogram = Histogram::of(&bars);
    let of_source = |source: i64| {
        let source = SourceId::try_from(source).unwrap();
        let mut windows = std::collections::BTreeSet::new();
        for minute in 0..MINUTES {
            let moment = UnixMillis::new((NOW + 60 * (n * MINUTES + minute)) * 1000);
            for size in WindowSize::ALL {
                windows.insert(calendar.window(size, moment).unwrap());
            }
        }
        let state = |window| WindowState {
            source,
            window,
            frames: 60,
            frames_expected: 60,
            status: Status::Open,
            rev: 1,
            metrics: metrics.iter().map(|name| (Arc::clone(name), histogram.clone())).collect(),
        };
        SourceChange {
            state: SourceState {
                source,
                rev: u64::try_from(n + 1).unwrap(),
                watermark: UnixMillis::new(0),
                last_appended_at: UnixMillis::new(0),
                last_captured_at: UnixMillis::new(0),
                accepted: u64::try_from((n + 1) * 60).unwrap(),
                home: Place { log: log(), partition: Partition(0) },
            },
            blocks: vec![],
            windows: windows.into_iter().map(state).collect(),
        }
    };
    let (from, to) = (u64::try_from(n).unwrap() * 60, u64::try_from(n + 1).unwrap() * 60);
    Commit {
        partitions: vec![PartitionAdvance {
            log: log(),
            partition: Partition(0),
            owner_epoch: 1,
            from: Offset(from),
            to: Offset(to),
            ledger: Ledger { read: 60, accepted: 60, ..Ledger::default() },
        }],
        sources: (1..=SOURCES).map(of_source).collect(),
        parked: vec![],
    }
}

fn ms(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}
