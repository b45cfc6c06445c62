//! The statistics of a list of frames, computed plainly, in floating point, from
//! sorted lists: nothing here is shared with the program.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use serde_json::Value;

use crate::support::{Counted, Site};

/// Every window size, with its fixed length.
const SIZES: [(&str, Option<i64>); 5] = [
    ("1m", Some(60_000)),
    ("5m", Some(300_000)),
    ("15m", Some(900_000)),
    ("1h", Some(3_600_000)),
    ("1d", None),
];

fn start(captured_at: i64, length: Option<i64>, zone: &TimeZone) -> i64 {
    match length {
        Some(length) => captured_at - captured_at.rem_euclid(length),
        None => {
            let moment = jiff::Timestamp::from_millisecond(captured_at).unwrap();
            let local = moment.to_zoned_datetime(zone.clone());
            local.start_of_day().unwrap().timestamp().as_millisecond()
        }
    }
}

#[expect(clippy::as_conversions, reason = "small numbers")]
fn quartile(sorted: &[f64], p: f64) -> f64 {
    let rank = p * (sorted.len() - 1) as f64;
    let (low, high) = (rank.floor() as usize, rank.ceil() as usize);
    sorted[low] + (sorted[high] - sorted[low]) * (rank - rank.floor())
}

/// Statistics of one list of counts, by the names of the export.
#[expect(clippy::as_conversions, reason = "small numbers")]
fn statistics(counts: &[u32]) -> BTreeMap<&'static str, f64> {
    let mut sorted: Vec<f64> = counts.iter().copied().map(f64::from).collect();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len() as f64;
    let mean = sorted.iter().sum::<f64>() / n;
    let mut told = BTreeMap::from([
        ("frames", n),
        ("sum", sorted.iter().sum()),
        ("min", sorted[0]),
        ("max", sorted[sorted.len() - 1]),
        ("mean", mean),
        ("q1", quartile(&sorted, 0.25)),
        ("median", quartile(&sorted, 0.5)),
        ("q3", quartile(&sorted, 0.75)),
    ]);
    if 1 < sorted.len() {
        let squares: f64 = sorted.iter().map(|x| (x - mean).powi(2)).sum();
        told.insert("std", (squares / (n - 1.0)).sqrt());
    }
    told
}

fn modes(counts: &[u32]) -> Vec<u32> {
    let mut frames = BTreeMap::<u32, usize>::new();
    counts.iter().for_each(|count| *frames.entry(*count).or_default() += 1);
    let most = frames.values().copied().max().unwrap();
    frames.into_iter().filter(|(_, n)| *n == most).map(|(count, _)| count).collect()
}

/// Checks every window, of every size, that the site has of the three usual
/// metrics, against `frames`; a frame that is listed twice counts once.
pub(crate) fn check(site: &Site, frames: &[Counted], zone: &str) {
    let zone = TimeZone::get(zone).unwrap();
    let mut seen = BTreeSet::new();
    let frames: Vec<&Counted> =
        frames.iter().filter(|f| seen.insert((f.source, &f.session, f.seq))).collect();
    for (size, length) in SIZES {
        let mut lists = BTreeMap::<(i64, i64, &str), Vec<u32>>::new();
        for frame in &frames {
            let start = start(frame.captured_at, length, &zone);
            let total = frame.lying + frame.standing;
            let counts = [("lying", frame.lying), ("standing", frame.standing), ("total", total)];
            for (metric, count) in counts {
                lists.entry((frame.source, start, metric)).or_default().push(count);
            }
        }
        let exported = site.exported(size);
        assert_eq!(exported.len(), lists.len(), "windows of {size}");
        for row in &exported {
            let start: jiff::Timestamp = row["start"].as_str().unwrap().parse().unwrap();
            let metric = row["metric"].as_str().unwrap();
            let key = (row["source"].as_i64().unwrap(), start.as_millisecond(), metric);
            let list = lists.get(&key).unwrap_or_else(|| panic!("no frames for {row}"));
            check_row(row, list);
        }
    }
}

fn check_row(row: &Value, counts: &[u32]) {
    let wanted = statistics(counts);
    for (name, wanted) in &wanted {
        let found = row[*name].as_f64().unwrap_or_else(|| panic!("no {name} in {row}"));
        assert!((found - wanted).abs() < 1e-6, "{name} is {found}, not {wanted}, in {row}");
    }
    if !wanted.contains_key("std") {
        assert!(row["std"].is_null(), "one frame has no deviation: {row}");
    }
    let found: Vec<u32> = serde_json::from_value(row["modes"].clone()).unwrap();
    assert_eq!(found, modes(counts), "{row}");
}
