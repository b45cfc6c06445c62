//! Drawn herds as a user meets them: films, their truth, and what is counted of them.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{ANIMOV, Running, Site, animov, failed, line_with, lines, succeeded, within};

/// Films what `arguments` say into `dir`.
fn filmed(dir: &Path, arguments: &[&str]) {
    let mut all = vec!["simulate", "video", "--out", dir.to_str().unwrap()];
    all.extend(arguments);
    succeeded(animov(&all));
}

fn truth(dir: &Path, source: u32) -> Vec<Value> {
    lines(&fs::read_to_string(dir.join(format!("pen{source}.truth.ndjson"))).unwrap())
}

#[test]
fn a_film_has_the_pictures_and_the_times_of_its_truth() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = ["--sources", "2", "--for", "6s", "--every", "500ms", "--animals", "5"];
    filmed(dir.path(), &arguments);
    for source in [1, 2] {
        let truth = truth(dir.path(), source);
        assert_eq!(truth.len(), 12);
        let film = dir.path().join(format!("pen{source}.mp4"));
        let told =
            animov(&["detect", film.to_str().unwrap(), "--every", "frame", "--confidence", "1"]);
        let times = |lines: &[Value]| -> Vec<i64> {
            lines.iter().map(|line| line["t_ms"].as_i64().unwrap()).collect()
        };
        assert_eq!(times(&lines(&succeeded(told))), times(&truth));
        assert_eq!(times(&truth), (0..12).map(|number| 500 * number).collect::<Vec<_>>());
        for line in &truth {
            let animals = line["animals"].as_array().unwrap();
            assert!(!animals.is_empty() && animals.len() <= 5, "{line}");
            let name = format!("pen{source}_t{:09}.txt", line["t_ms"].as_i64().unwrap());
            let labels = dir.path().join(format!("pen{source}.labels")).join(name);
            let labels = fs::read_to_string(labels).unwrap();
            let seen = animals.iter().filter(|one| 0.25 <= one["visible"].as_f64().unwrap());
            for (animal, label) in seen.clone().zip(labels.lines()) {
                let numbers: Vec<f64> =
                    label.split(' ').map(|number| number.parse().unwrap()).collect();
                let side = |key: &str| animal[key].as_f64().unwrap();
                let class = if animal["class"] == "lying" { 1.0 } else { 0.0 };
                let (w, h) = (side("w"), side("h"));
                let wanted = [class, side("x") + w / 2.0, side("y") + h / 2.0, w, h];
                let off = numbers.iter().zip(wanted).map(|(found, wanted)| (found - wanted).abs());
                assert!(off.fold(0.0, f64::max) < 2e-6, "{label} is not {animal}");
            }
            assert_eq!(labels.lines().count(), seen.count());
        }
    }
    assert_ne!(truth(dir.path(), 1), truth(dir.path(), 2));
    let again = tempfile::tempdir().unwrap();
    filmed(again.path(), &arguments);
    for file in ["pen1.mp4", "pen2.mp4", "pen1.truth.ndjson"] {
        let bytes = |dir: &Path| fs::read(dir.join(file)).unwrap();
        assert!(bytes(dir.path()) == bytes(again.path()), "{file} is another one");
    }
}

#[test]
fn pictures_to_train_on_have_labels() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().to_str().unwrap();
    let more = ["--scenes", "3", "--per-scene", "4", "--seed", "77"];
    succeeded(animov(&[&["simulate", "pictures", "--out", out], &more[..]].concat()));
    let names = |folder: &str| {
        let entries = fs::read_dir(dir.path().join(folder)).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names("images").len(), 12);
    assert_eq!(names("images"), names("labels"));
    assert_eq!(fs::read_to_string(dir.path().join("classes.txt")).unwrap(), "standing\nlying\n");
    // The films they were taken from are gone.
    let mut left: Vec<_> = fs::read_dir(out).unwrap().map(|one| one.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["classes.txt", "images", "labels"]);
}

#[test]
fn a_herd_that_cannot_be_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().to_str().unwrap();
    fs::write(dir.path().join("pen1.mp4"), "an earlier film").unwrap();
    let refused = |more: &[&str]| {
        let told = ["video", "pictures"].map(|what| {
            // Sets of pictures have herds and sizes of their own.
            let more =
                if what == "pictures" { &["--lying", "0.9", "--eating", "0.3"] } else { more };
            failed(&animov(&[&["simulate", what, "--out", out], more].concat()))
        });
        told.into_iter().next().unwrap()
    };
    assert!(refused(&["--animals", "31"]).contains("31 animals; a pen holds 1 to 30"));
    assert!(refused(&["--lying", "0.9", "--eating", "0.3"]).contains("leaves no time to stand"));
    assert!(refused(&["--milking", "6"]).contains("write for example 06:30"));
    assert!(refused(&["--size", "641x360"]).contains("sides must be even"));
    let visible = animov(&["simulate", "video", "--out", out, "--visible-min", "25"]);
    assert!(String::from_utf8_lossy(&visible.stderr).contains("from 0 to 1"), "{visible:?}");
    // Nothing was begun, and nothing written over.
    let left = fs::read_to_string(dir.path().join("pen1.mp4")).unwrap();
    assert_eq!(left, "an earlier film");
    for entry in fs::read_dir(dir.path()).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(!name.to_string_lossy().starts_with("scene"), "{name:?}");
    }
}

/// A reader of the live stream sees a picture after the other, as of a camera.
#[test]
fn a_live_herd_is_a_camera() {
    let child = Command::new(ANIMOV)
        .args(["simulate", "live", "--bind", "127.0.0.1:0", "--animals", "6"])
        .args(["--start", "2026-03-01T10:00:00Z"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut live = Running { child };
    let line = line_with(live.child.stderr.take().unwrap(), "tcp://").unwrap();
    let url = line.split_whitespace().last().unwrap().to_owned();
    let child = Command::new(ANIMOV)
        .args(["detect", &url, "--every", "frame"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut detect = Running { child };
    let mut seen = detect.child.stdout.take().unwrap();
    let second = line_with(&mut seen, "\"t_ms\":400").expect("its third picture");
    assert!(second.contains("detections"), "{second}");
    detect.kill();
    live.terminate();
}

/// What a film is written into may be a pipe that nobody reads yet, or any more.
#[test]
fn a_live_herd_in_a_pipe_ends_with_its_reader_or_when_it_is_time() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pen.ts");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let live = |out: &Path| {
        let mut command = Command::new(ANIMOV);
        command.args(["simulate", "live", "--animals", "3", "--every", "40ms"]);
        command.arg("--out").arg(out);
        command
    };
    let waiting = Running { child: live(&pipe).spawn().unwrap() };
    std::thread::sleep(std::time::Duration::from_millis(500));
    waiting.terminate();

    let child = live(Path::new("-")).stdout(Stdio::piped()).spawn().unwrap();
    let mut left = Running { child };
    let mut begins = [0; 188];
    let mut stream = left.child.stdout.take().unwrap();
    std::io::Read::read_exact(&mut stream, &mut begins).unwrap();
    assert_eq!(begins[0], 0x47, "a transport stream's first byte");
    drop(stream);
    let ended = left.ended();
    assert!(ended.success(), "{ended}");
    let hasty = animov(&["simulate", "live", "--speed", "600"]);
    assert!(failed(&hasty).contains("leaves less than 1 ms from one picture to the next"));
}

/// Labels of an earlier film are not taken for those of a later one.
#[test]
fn a_film_in_the_folder_of_an_earlier_one_has_its_own_labels() {
    let dir = tempfile::tempdir().unwrap();
    let labels = || {
        let names = fs::read_dir(dir.path().join("pen1.labels")).unwrap();
        names.filter(|name| name.as_ref().unwrap().file_name() != "classes.txt").count()
    };
    filmed(dir.path(), &["--for", "3s", "--every", "500ms", "--animals", "3"]);
    assert_eq!(labels(), 6);
    filmed(dir.path(), &["--for", "3s", "--animals", "3", "--seed", "2"]);
    assert_eq!(labels(), 3);
    filmed(dir.path(), &["--for", "3s", "--animals", "3", "--no-labels"]);
    assert_eq!(labels(), 0);
}

/// No picture is left out because nothing moved in it.
#[test]
fn a_herd_that_lies_still_stays_counted() {
    let dir = tempfile::tempdir().unwrap();
    filmed(
        dir.path(),
        &["--still", "--for", "30m", "--every", "5s", "--animals", "6", "--no-labels"],
    );
    let film = dir.path().join("pen1.mp4");
    let site = Site::new(&format!(
        "[pipeline]\ncadence = \"5s\"\n[[camera]]\nsource = 1\nurl = {:?}\nevery = \"5s\"\n",
        film.to_str().unwrap()
    ));
    let running = site.start_ready();
    site.wait_accepted(360);
    let windows = within(crate::support::PATIENCE, "all minutes", || {
        let answer = site.get("/v1/sources/1/windows/1m?from=2026-03-01&metric=total");
        let windows = answer["items"].as_array().unwrap().clone();
        (windows.len() == 30).then_some(windows)
    });
    let first = windows[0]["metrics"]["total"]["mean"].as_f64().unwrap();
    assert!((first - 6.0).abs() <= 0.5, "{}", windows[0]);
    for window in &windows {
        assert_eq!(window["frames"], 12, "{window}");
        assert_eq!(window["coverage"], 1.0, "{window}");
        let total = &window["metrics"]["total"];
        // What the encoder leaves of a still picture is not quite still.
        let off = (total["mean"].as_f64().unwrap() - first).abs();
        assert!(off <= 0.05 * first, "{window} after {first}");
    }
    running.terminate();
}

#[test]
fn a_model_file_is_told_about() {
    let told = succeeded(animov(&["check", "model"]));
    for part in [
        "the built-in model",
        "Ultralytics",
        "416 x 320",
        "the picture stretched over all of it",
        "0 standing, 1 lying",
        "ms a picture",
    ] {
        assert!(told.contains(part), "{part} is not in\n{told}");
    }
    assert!(told.contains("standing counts as standing and total"), "{told}");
    let other = "tests/data/models/none.onnx";
    assert!(failed(&animov(&["check", "model", other])).contains("could not read the model"));
}

/// A day of two pens that no training has seen, through film, model and comparison.
/// models/README.md tells of more pens, and of many more pictures.
#[test]
fn the_built_in_model_counts_herds_that_it_has_not_seen() {
    for (seed, animals) in [("8000001", "6"), ("8000004", "20")] {
        let dir = tempfile::tempdir().unwrap();
        let day = ["--for", "24h", "--every", "20m", "--start", "2026-03-02", "--no-labels"];
        filmed(dir.path(), &[&["--seed", seed, "--animals", animals], &day[..]].concat());
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let (film, labels, out) = (path("pen1.mp4"), path("pen1.truth.ndjson"), path("report"));
        succeeded(animov(&["accuracy", "--video", &film, "--labels", &labels, "--out", &out]));
        let report = fs::read_to_string(Path::new(&out).join("report.json")).unwrap();
        let report: Value = serde_json::from_str(&report).unwrap();
        let counts = report["counts"].as_array().unwrap();
        let total = counts.iter().find(|one| one["class"] == "total").unwrap();
        let share = &report["lying_share"]["error"];
        println!("pen {seed}: {total}, lying share off by {share}");
        assert_eq!(report["frames"]["compared"], 72);
        assert!(total["mae_share"].as_f64().unwrap() < 0.05, "{total}");
        assert!(share.as_f64().unwrap().abs() < 0.02, "{share}");
        assert!(0.9 < report["boxes"]["postures"]["right"].as_f64().unwrap());
    }
}
