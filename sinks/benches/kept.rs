//! How fast the log and the tables are: `cargo bench -p sinks`, or with `-- log`,
//! `-- state` (SQLite) or `-- mysql` only one of them. The last needs a server:
//! `ANIMOV_TEST_MYSQL=mysql://root@127.0.0.1:3306`.
//!
//! Input, the same in every run: records of 75 bytes, appended 1,000 at a time;
//! commits of about 2,000 windows of 64 sources, three metrics each, with
//! histograms of a dozen bars. Prints, and checks nothing: tests do that.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints and may panic")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use schemas::commit::{
    Commit, Ledger, PartitionAdvance, Place, SeqBlock, SeriesQuery, SourceChange, SourceState,
    StateStore, Status, WindowState,
};
use schemas::intervals::Intervals;
use schemas::log::{Batch, FrameLog, LogId, Offset, Partition, ReadEnd};
use schemas::source::{SessionId, SourceId};
use schemas::stats::Histogram;
use schemas::time::{SystemClock, UnixMillis};
use schemas::window::{Window, WindowSize};
use sinks::config::{MySqlConfig, SegmentsConfig};
use sinks::log::segments::Segments;
use sinks::state::mysql::MySqlState;
use sinks::state::sqlite::SqliteState;
use sqlx::MySql;
use sqlx::migrate::MigrateDatabase;

const RECORDS: u32 = 4_000_000;
const RECORD: [u8; 75] = [0x5A; 75];
const SOURCES: u32 = 64;
/// Minutes of every source in one commit; with the larger sizes, 2,000 windows.
const MINUTES: u32 = 24;
const COMMITS: u32 = 110;

fn main() {
    // What cargo adds begins with a dash; what is named is all that runs.
    let named = |what: &str| {
        let mut names = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).peekable();
        names.peek().is_none() || names.any(|name| name == what)
    };
    let dir = tempfile::tempdir_in(".").unwrap();
    if named("log") {
        log(dir.path());
    }
    if named("state") {
        let path = dir.path().join("state.sqlite");
        let total = state(&SqliteState::open(&path).unwrap());
        let length = std::fs::metadata(&path).unwrap().len();
        println!("the file then: {} bytes a window", length / u64::from(total));
    }
    if named("mysql") {
        mysql();
    }
}

fn mysql() {
    let Ok(url) = std::env::var("ANIMOV_TEST_MYSQL") else {
        println!("SKIPPED: ANIMOV_TEST_MYSQL names no server");
        return;
    };
    let url = format!("{}/animov_bench", url.trim_end_matches('/'));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(MySql::drop_database(&url)).unwrap();
    runtime.block_on(MySql::create_database(&url)).unwrap();
    let config = MySqlConfig { url: url.parse().unwrap(), ..MySqlConfig::default() };
    state(&MySqlState::open(&config, None).unwrap());
    runtime.block_on(MySql::drop_database(&url)).unwrap();
}

fn log(dir: &std::path::Path) {
    let log = Segments::open(dir.join("log"), SegmentsConfig::default(), Arc::new(SystemClock));
    let log = log.unwrap();
    let source = SourceId::try_from(1).unwrap();
    let call = vec![(source, &RECORD[..]); 1000];
    let began = Instant::now();
    (0..RECORDS / 1000).for_each(|_| log.append(&call).unwrap());
    report("append, 1,000 records a call, synced", began.elapsed(), RECORDS, "record");

    let began = Instant::now();
    let one = [(source, &RECORD[..])];
    (0..2000).for_each(|_| log.append(&one).unwrap());
    report("append, 1 record a call, synced", began.elapsed(), 2000, "record");
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..1000).for_each(|_| log.append(&one).unwrap()));
        }
    });
    report("append, 1 record a call, 8 threads", began.elapsed(), 8000, "record");

    for _ in 0..3 {
        let mut reader = log.reader(Partition(0), Offset(0)).unwrap();
        let (mut batch, mut read, mut bytes) = (Batch::default(), 0, 0);
        let began = Instant::now();
        loop {
            let end = reader.read(&mut batch, 10_000, Duration::ZERO).unwrap();
            read += u32::try_from(batch.len()).unwrap();
            bytes += batch.value_bytes();
            batch.clear();
            if end != ReadEnd::More {
                break;
            }
        }
        assert_eq!(bytes, usize::try_from(read).unwrap() * RECORD.len());
        report("read", began.elapsed(), read, "record");
    }
    drop(log);
    let began = Instant::now();
    let log = Segments::open(dir.join("log"), SegmentsConfig::default(), Arc::new(SystemClock));
    let high = log.unwrap().bounds(Partition(0)).unwrap().high;
    println!("open a log of {high} records: {:.1} ms", began.elapsed().as_secs_f64() * 1e3);
}

/// Commits, and reads back; returns how many windows there are.
fn state(state: &dyn StateStore) -> u32 {
    let log = LogId("log".into());
    state.claim(&log, Partition(0), Offset(0)).unwrap();
    let names: [Arc<str>; 3] = ["lying".into(), "standing".into(), "total".into()];
    let commits: Vec<Commit> = (0..COMMITS).map(|n| commit(n, &log, &names)).collect();
    let windows =
        |commit: &Commit| commit.sources.iter().map(|change| change.windows.len()).sum::<usize>();
    let total: u32 = commits.iter().map(windows).sum::<usize>().try_into().unwrap();
    let began = Instant::now();
    commits.iter().for_each(|commit| state.commit(commit).unwrap());
    report("commit, about 2,000 windows x 3 metrics", began.elapsed(), total * 4, "row");
    report("  the same", began.elapsed(), total, "window");
    report("  the same", began.elapsed(), COMMITS, "commit");

    let query = SeriesQuery {
        source: SourceId::try_from(7).unwrap(),
        size: WindowSize::Minute,
        from: UnixMillis::MIN,
        to: UnixMillis::MAX,
        metric: None,
        limit: 1440,
        newest_first: true,
    };
    let began = Instant::now();
    assert_eq!(state.series(&query).unwrap().len(), 1440);
    report("series of a day of minutes, all metrics", began.elapsed(), 1440, "window");
    let began = Instant::now();
    let sources = state.open_sources().unwrap();
    let open: usize =
        sources.iter().map(|known| state.open_windows(known.source).unwrap().len()).sum();
    report("open windows", began.elapsed(), open.try_into().unwrap(), "window");
    let began = Instant::now();
    state.audit().unwrap();
    report("audit", began.elapsed(), total, "window");
    total
}

/// The n-th stretch of time, with every window that it touches.
fn commit(n: u32, log: &LogId, names: &[Arc<str>; 3]) -> Commit {
    let frames = u64::from(MINUTES * SOURCES * 60);
    let seqs = (0..u64::from(MINUTES * 60)).fold(Intervals::default(), |mut seqs, seq| {
        seqs.insert(u64::from(n) * 1440 + seq);
        seqs
    });
    let change = |source: u32| {
        let source = SourceId::try_from(i64::from(source)).unwrap();
        let windows = WindowSize::ALL.into_iter().flat_map(|size| windows(source, size, n, names));
        SourceChange {
            state: SourceState {
                source,
                rev: u64::from(n) + 1,
                watermark: UnixMillis::new(0),
                last_appended_at: UnixMillis::new(0),
                last_captured_at: UnixMillis::new(0),
                accepted: u64::from(n + 1) * 1440,
                home: Place { log: log.clone(), partition: Partition(0) },
            },
            blocks: vec![SeqBlock {
                source,
                session: SessionId::derived_from(b"bench"),
                block: 0,
                seqs: seqs.clone(),
            }],
            windows: windows.collect(),
        }
    };
    Commit {
        partitions: vec![PartitionAdvance {
            log: log.clone(),
            partition: Partition(0),
            owner_epoch: 1,
            from: Offset(u64::from(n) * frames),
            to: Offset(u64::from(n + 1) * frames),
            ledger: Ledger { read: frames, accepted: frames, ..Ledger::default() },
        }],
        sources: (1..=SOURCES).map(change).collect(),
        parked: vec![],
    }
}

fn windows(
    source: SourceId,
    size: WindowSize,
    n: u32,
    names: &[Arc<str>; 3],
) -> impl Iterator<Item = WindowState> {
    let length = size.fixed_millis().unwrap_or(86_400_000);
    let (from, to) = (i64::from(n * MINUTES) * 60_000, i64::from((n + 1) * MINUTES) * 60_000);
    (from / length..=(to - 1) / length).map(move |nth| {
        let end = (nth + 1) * length;
        let bars: Vec<(u32, u64)> = (0..12).map(|animals| (animals + 3, 5)).collect();
        WindowState {
            source,
            window: Window {
                size,
                start: UnixMillis::new(nth * length),
                end: UnixMillis::new(end),
            },
            frames: 60,
            frames_expected: 60,
            status: if end < to { Status::Final } else { Status::Open },
            rev: 1,
            metrics: names.iter().map(|name| (Arc::clone(name), Histogram::of(&bars))).collect(),
        }
    })
}

fn report(what: &str, took: Duration, count: u32, unit: &str) {
    let seconds = took.as_secs_f64();
    let each = seconds / f64::from(count) * 1e9;
    let rate = f64::from(count) / seconds;
    println!("{what:42} {each:12.1} ns a {unit:7} {rate:12.0} {unit}s/s");
}
