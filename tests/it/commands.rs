//! The commands, as processes.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::oracle;
use crate::support::{ANIMOV, Counted, Site, failed, succeeded};

fn herd() -> Vec<Counted> {
    let mut random = crate::support::Random(11);
    let frame = |n: u64| Counted {
        source: 1 + i64::try_from(n % 3).unwrap(),
        session: "8c5e6d0a-2f6b-4b0e-9d7f-1f6f5b7c9a11".to_owned(),
        seq: n,
        captured_at: 1_772_366_400_000 + i64::try_from(n).unwrap() * 2000,
        lying: 0,
        standing: 0,
    };
    let mut frames: Vec<Counted> = (0..6000).map(frame).collect();
    for frame in &mut frames {
        frame.lying = u32::try_from(random.below(9)).unwrap();
        frame.standing = u32::try_from(random.below(9)).unwrap();
    }
    frames
}

fn without_revisions(rows: Vec<Value>) -> Vec<Value> {
    rows.into_iter()
        .map(|mut row| {
            _ = row.as_object_mut().unwrap().remove("rev");
            row
        })
        .collect()
}

#[test]
fn the_demo_shows_windows_and_ends_when_told() {
    let dir = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = dir.path().join("animov.toml");
    // A site's own servers and model are not the demo's: none of these is there.
    let site = r#"
        [detector]
        model = "none.onnx"
        [log]
        kind = "kafka"
        [log.kafka]
        brokers = ["127.0.0.1:9"]
        [state]
        kind = "mysql"
        [state.mysql]
        url = "mysql://nobody@127.0.0.1:9/animov"
        [snapshots]
        kind = "mongo"
        [snapshots.mongo]
        url = "mongodb://nobody@127.0.0.1:9"
    "#;
    std::fs::write(&config, format!("[api]\nbind = \"127.0.0.1:{port}\"\n{site}")).unwrap();
    let mut demo = Command::new(ANIMOV)
        .args(["demo", "--for", "20s", "--config", config.to_str().unwrap(), "--state"])
        .arg(dir.path().join("state"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains(&format!("http://127.0.0.1:{port}"))));
    let rest = std::thread::spawn(move || lines.collect::<Vec<String>>());
    let ended =
        crate::support::within(crate::support::PATIENCE, "its end", || demo.try_wait().unwrap());
    assert!(ended.success());
    // Minutes of whom was counted, and beside it of whom was drawn.
    let rest = rest.join().unwrap();
    let numbers = |line: &String| -> Option<[f64; 4]> {
        let words: Vec<&str> = line.split_whitespace().skip(3).collect();
        let numbers: Option<Vec<f64>> = words.iter().map(|word| word.parse().ok()).collect();
        numbers?.try_into().ok()
    };
    let minutes: Vec<[f64; 4]> = rest.iter().filter_map(numbers).collect();
    let sum = |of: [usize; 2]| -> f64 { minutes.iter().map(|m| m[of[0]] + m[of[1]]).sum() };
    let (counted, drawn) = (sum([0, 2]), sum([1, 3]));
    assert!(3 <= minutes.len() && (counted - drawn).abs() < 0.2 * drawn, "{rest:#?}");
    assert!(rest.iter().any(|line| line.contains("animals a frame counted")), "{rest:#?}");
    let state = dir.path().join("state");
    let told = crate::support::animov(&["audit", "--state", state.to_str().unwrap()]);
    println!("{}", succeeded(told));
    let again = crate::support::animov(&["demo", "--state", state.to_str().unwrap()]);
    let told = failed(&again);
    assert!(told.contains("holds data already"), "{told}");
}

#[test]
fn a_replay_gives_the_same_tables() {
    let site = Site::new("[site]\nzone = \"Asia/Kathmandu\"\n");
    let running = site.start_ready();
    let frames = herd();
    for post in frames.chunks(500) {
        assert!(site.post(post));
    }
    site.wait_accepted(frames.len().try_into().unwrap());
    // Beside the running one, and again after it has ended.
    succeeded(replay(&site, &site.dir.path().join("during")));
    running.terminate();
    let into = site.dir.path().join("after");
    println!("{}", String::from_utf8_lossy(&replay(&site, &into).stderr));
    oracle::check(&site, &frames, "Asia/Kathmandu");
    for size in ["1m", "15m", "1d"] {
        let told = crate::support::animov(&[
            "export",
            "windows",
            "--size",
            size,
            "--format",
            "ndjson",
            "--state",
            into.to_str().unwrap(),
        ]);
        let replayed = crate::support::lines(&succeeded(told));
        assert_eq!(without_revisions(replayed), without_revisions(site.exported(size)), "{size}");
    }
}

fn replay(site: &Site, into: &std::path::Path) -> std::process::Output {
    site.animov(&["replay", "--into", into.to_str().unwrap()])
}

#[test]
fn counts_are_imported_once_also_when_the_file_has_grown() {
    let site = Site::new("");
    let frames = herd();
    let file = site.dir.path().join("herd.ndjson");
    let mut text = std::fs::File::create(&file).unwrap();
    let line = |frame: &Counted| {
        let Counted { source, session: _, seq, captured_at, lying, standing } = frame;
        format!(
            r#"{{"source":{source},"seq":{seq},"captured_at":{captured_at},"lying":{lying},"standing":{standing}}}"#
        )
    };
    let write = |to: &mut std::fs::File, frames: &[Counted]| {
        frames.iter().for_each(|frame| writeln!(to, "{}", line(frame)).unwrap());
    };
    write(&mut text, &frames[..4000]);
    writeln!(text, "this is no frame").unwrap();
    let import = || succeeded(site.animov(&["import", "counts", file.to_str().unwrap()]));
    import();
    import();
    write(&mut text, &frames[4000..]);
    import();
    succeeded(site.animov(&["audit"]));
    oracle::check(&site, &frames, "UTC");

    // The same in CSV, with a name of its own for the time, into another place.
    let other = Site::new("");
    let table = other.dir.path().join("herd.csv");
    let mut text = String::from("source,seq,ts,lying,standing\n");
    for Counted { source, session: _, seq, captured_at, lying, standing } in &frames {
        text += &format!("{source},{seq},{captured_at},{lying},{standing}\n");
    }
    std::fs::write(&table, text).unwrap();
    let table = table.to_str().unwrap();
    succeeded(other.animov(&["import", "counts", table, "--column", "captured_at=ts"]));
    oracle::check(&other, &frames, "UTC");
}

/// One frame more than was counted, behind the program's back.
const TAMPER: &str = "
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute('UPDATE sources SET accepted = accepted + 1 WHERE source = 1')
db.commit()
";

#[test]
fn an_audit_finds_what_was_tampered_with() {
    let site = Site::new("");
    let running = site.start_ready();
    assert!(site.post(&herd()[..100]));
    site.wait_accepted(100);
    running.terminate();
    succeeded(site.animov(&["audit"]));
    let tampered = Command::new("python3")
        .args(["-c", TAMPER])
        .arg(site.state().join("state.sqlite"))
        .status()
        .unwrap();
    assert!(tampered.success());
    let output = site.animov(&["audit"]);
    println!("{}", String::from_utf8_lossy(&output.stdout));
    failed(&output);
}

#[test]
fn check_says_of_each_part_whether_it_is_well() {
    let site = Site::new("[[camera]]\nsource = 1\nurl = \"/nowhere/pen.mp4\"\n");
    let output = Command::new(ANIMOV)
        .args(["check", "--config"])
        .arg(&site.config)
        .arg("--state")
        .arg(site.state())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success());
    assert!(text.contains("/nowhere/pen.mp4"), "{text}");
    assert!(text.contains("ok"), "{text}");
}
