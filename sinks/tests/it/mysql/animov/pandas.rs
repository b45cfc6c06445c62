//! Every number of the views and procedures, against pandas and the frames
//! themselves: `expected.py`, run by the Python that `ANIMOV_TEST_PYTHON` names.

use std::process::Command;

use crate::mysql::animov::database_of;
use crate::mysql::animov::herd::{Dice, Herd};
use crate::mysql::database::Server;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/mysql/animov/expected.py");

/// Frames until `now`: of sources that still send, and of some that do not.
fn herd(zone: &str, now: &str, seed: u64) -> (Herd, i64) {
    let now_ms = now.parse::<schemas::time::UnixMillis>().unwrap().get();
    let mut dice = Dice(seed);
    let mut herd = Herd { zone: zone.to_owned(), frames: Vec::new() };
    let (hour, day) = (3_600_000, 86_400_000);
    herd.add(&mut dice, 1, now_ms, 26 * 60);
    herd.add(&mut dice, 2, now_ms - 30_000, 3 * 60);
    herd.add(&mut dice, 64, now_ms - 5 * hour, 30 * 60);
    // Beyond what the original's `id` can tell, and long silent.
    herd.add(&mut dice, 65, now_ms - 2 * day, 2 * 60);
    herd.add(&mut dice, 70_000, now_ms - 90_000, 40);
    (herd, now_ms / 1000)
}

/// Compares everything; false if there is no such Python.
fn compare(zone: &str, now: &str, seed: u64) {
    let Some(python) = std::env::var_os("ANIMOV_TEST_PYTHON") else {
        println!("SKIPPED: ANIMOV_TEST_PYTHON is not set");
        return;
    };
    let (herd, now_s) = herd(zone, now, seed);
    let Some((database, _state)) = database_of(&herd) else { return };
    let dir = tempfile::tempdir().unwrap();
    let frames = dir.path().join("frames.csv");
    std::fs::write(&frames, herd.csv()).unwrap();
    let Server { user, password, host, port } = database.server.clone();
    let output = Command::new(python)
        .arg(SCRIPT)
        .args([&host, &port.to_string(), &user, &password.unwrap_or_default(), &database.name])
        .arg(&frames)
        .args([&now_s.to_string(), zone])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{zone}, seed {seed}: {told}\n{error}");
    assert!(told.contains("all equal"), "{told}\n{error}");
    println!("{zone}, seed {seed}: {told}");
}

#[test]
fn views_and_procedures_equal_what_pandas_computes_from_the_frames() {
    for (seed, now) in (1..).zip(["2026-06-01T09:41:17Z", "2026-01-15T00:00:00Z"]) {
        compare("UTC", now, seed);
    }
}

#[test]
fn so_they_do_where_the_clocks_are_changed() {
    compare("Europe/Paris", "2026-10-25T14:03:59Z", 11);
    compare("Europe/Paris", "2026-03-29T05:30:00Z", 12);
    compare("Australia/Lord_Howe", "2026-10-03T23:59:30Z", 13);
    compare("Asia/Kathmandu", "2026-05-01T12:00:01Z", 14);
}
