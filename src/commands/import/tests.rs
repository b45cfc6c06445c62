//! Whole imports, into real tables.

use std::path::Path;

use clap::Parser;
use schemas::commit::{Audit, SeriesQuery};
use schemas::time::UnixMillis;
use schemas::window::WindowSize;
use sinks::state::sqlite::SqliteState;

use super::*;

/// 2026-03-02T00:00:00Z
const BEGIN: i64 = 1_772_409_600_000;

struct Noon;

impl Clock for Noon {
    fn now(&self) -> UnixMillis {
        UnixMillis::new(BEGIN + 12 * 3_600_000)
    }
}

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    counts: Counts,
}

/// A folder with files, and the tables they are imported into.
struct Site {
    dir: tempfile::TempDir,
    store: Arc<SqliteState>,
}

impl Site {
    fn new() -> Site {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteState::open(dir.path().join("state.sqlite")).unwrap());
        Site { dir, store }
    }

    fn file(&self, name: &str, content: &str) -> String {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn import(&self, args: &[&str]) -> Summary {
        let Line { counts } = Line::parse_from(["counts"].iter().chain(args));
        let config = Config::parse("", Path::new("none")).unwrap();
        let store: Arc<dyn StateStore> = Arc::<SqliteState>::clone(&self.store);
        let summary = import(&counts, &config, &store, &Noon, &Stop::default()).unwrap();
        assert_eq!(self.audit().imbalances(), Vec::<String>::new());
        summary
    }

    fn audit(&self) -> Audit {
        self.store.audit().unwrap()
    }

    /// The minutes of source 1: frames and the sum of those that lie.
    fn minutes(&self) -> Vec<(u64, u64)> {
        let windows = self.store.series(&SeriesQuery {
            source: 1.try_into().unwrap(),
            size: WindowSize::Minute,
            from: UnixMillis::MIN,
            to: UnixMillis::MAX,
            metric: Some("lying".into()),
            limit: 1000,
            newest_first: false,
        });
        let sum =
            |window: &schemas::commit::WindowState| window.metrics[0].1.statistics().unwrap().sum;
        windows.unwrap().iter().map(|window| (window.frames, sum(window))).collect()
    }
}

fn ndjson(seconds: std::ops::Range<i64>) -> String {
    seconds
        .map(|second| {
            let at = BEGIN + second * 1000;
            format!("{{\"source\":1,\"seq\":{second},\"captured_at\":{at},\"lying\":2,\"standing\":1}}\n")
        })
        .collect()
}

fn counts(summary: &Summary) -> [u64; 5] {
    let Summary { lines, before, counted, duplicate, .. } = summary;
    [*lines, *counted, *duplicate, summary.refused_total(), *before]
}

#[test]
fn a_file_is_counted_once_however_often_it_is_imported() {
    let site = Site::new();
    let file = site.file("herd.ndjson", &ndjson(0..90));
    assert_eq!(counts(&site.import(&[&file])), [90, 90, 0, 0, 0]);
    assert_eq!(site.minutes(), [(60, 120), (30, 60)]);
    let again = site.import(&[&file]);
    assert_eq!(counts(&again), [0, 0, 0, 0, 90]);
    assert_eq!(again.exit(), Exit::Ok);
    assert_eq!(site.minutes(), [(60, 120), (30, 60)]);
}

#[test]
fn a_file_that_has_grown_adds_its_new_lines_also_without_numbers() {
    let site = Site::new();
    let lines = |range: std::ops::Range<i64>| -> String {
        let line = |second| format!("{},2,1\n", BEGIN + second * 1000);
        "captured_at,lying,standing\n".to_owned() + &range.map(line).collect::<String>()
    };
    let file = site.file("herd.csv", &lines(0..70));
    assert_eq!(counts(&site.import(&[&file, "--source", "1"])), [70, 70, 0, 0, 0]);
    site.file("herd.csv", &lines(0..100));
    assert_eq!(counts(&site.import(&[&file, "--source", "1"])), [100, 30, 70, 0, 0]);
    assert_eq!(site.minutes(), [(60, 120), (40, 80)]);
}

#[test]
fn csv_and_ndjson_of_the_same_frames_are_the_same_windows() {
    let (a, b) = (Site::new(), Site::new());
    let csv: String = (0..90)
        .map(|second| {
            format!("1;{second};2026-03-02T00:{:02}:{:02}Z;2;1\r\n", second / 60, second % 60)
        })
        .collect();
    let csv = format!("\u{feff}source;seq;time;couchees;standing\r\n{csv}");
    let file = a.file("herd.csv", &csv);
    a.import(&[&file, "--column", "captured_at=time", "--column", "lying=couchees"]);
    let file = b.file("herd.ndjson", &ndjson(0..90));
    b.import(&[&file]);
    assert_eq!(a.minutes(), b.minutes());
    assert_eq!(a.minutes(), [(60, 120), (30, 60)]);
}

#[test]
fn refused_lines_are_told_parked_and_counted() {
    let site = Site::new();
    let late = format!("{{\"source\":1,\"seq\":9,\"captured_at\":{},\"lying\":1}}\n", BEGIN * 2);
    let content = ndjson(0..2) + "no line\n\n" + &late + &ndjson(2..3);
    let file = site.file("herd.ndjson", &content);
    let summary = site.import(&[&file]);
    assert_eq!(counts(&summary), [6, 3, 0, 2, 0]);
    let kinds: Vec<_> = summary.refused.into_iter().collect();
    assert_eq!(kinds, [("captured in the future", 1), ("not a JSON object", 1)]);
    let parked = site.store.parked(9).unwrap();
    let bytes: Vec<_> = parked.iter().map(|parked| (parked.offset.0, &parked.bytes[..])).collect();
    assert_eq!(bytes, [(4, late.trim_end().as_bytes()), (2, &b"no line"[..])]);
    // The blank line is a gap.
    assert_eq!(site.audit().partitions[0].ledger.gap, 1);
}

#[test]
fn nothing_is_parked_of_a_file_that_was_read_with_wrong_options() {
    let site = Site::new();
    let file = site.file("herd.ndjson", &ndjson(0..90).replace("captured_at", "ts"));
    let other = site.file("none.ndjson", "");
    let summary = site.import(&[&file, &other, "missing.csv"]);
    assert_eq!((summary.files_refused, summary.exit()), (3, Exit::Nothing));
    assert!(site.audit().partitions.is_empty());
    let right = site.import(&[&file, "--column", "captured_at=ts"]);
    assert_eq!(counts(&right), [90, 90, 0, 0, 0]);
}

#[test]
fn several_files_of_one_source_add_up() {
    let site = Site::new();
    let halves = [ndjson(0..45), ndjson(45..90), ndjson(30..60)];
    let files: Vec<String> = (0..)
        .zip(halves)
        .map(|(number, half)| site.file(&format!("{number}.ndjson"), &half))
        .collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let same_run = ["--session", "8a6f3d0e-51c2-4d3b-9e77-0b1d5a90c4e2"];
    let summary = site.import(&[&files[..], &same_run].concat());
    assert_eq!(counts(&summary), [120, 90, 30, 0, 0]);
    assert_eq!(site.minutes(), [(60, 120), (30, 60)]);
}

#[test]
fn the_same_content_named_twice_is_counted_once() {
    let site = Site::new();
    let file = site.file("herd.ndjson", &ndjson(0..90));
    let copy = site.file("copy.ndjson", &ndjson(0..90));
    let other = site.file("other.ndjson", &ndjson(90..100));
    let summary = site.import(&[&file, &copy, &file, &other]);
    assert_eq!(counts(&summary), [100, 100, 0, 0, 0]);
    assert_eq!((summary.files_refused, summary.exit()), (0, Exit::Ok));
    assert_eq!(site.audit().partitions.len(), 2);
    // Also where the second is read only after the first was.
    let many = vec![&*file; FILES_AT_ONCE + 1];
    assert_eq!(counts(&site.import(&many)), [0, 0, 0, 0, 90]);
    assert_eq!(site.minutes(), [(60, 120), (40, 80)]);
}

#[test]
fn the_summary_is_one_line_of_numbers() {
    let summary = Summary {
        lines: 20_000_000,
        counted: 19_999_990,
        duplicate: 7,
        refused: BTreeMap::from([("not CSV", 3)]),
        taken: Duration::from_millis(4_500),
        ..Summary::default()
    };
    insta::assert_snapshot!(summary.line(), @"lines=20000000 counted=19999990 duplicate=7 refused=3 before=0 files_refused=0 seconds=4.500 lines_per_second=4444444");
}
