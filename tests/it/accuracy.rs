//! Labels out, corrected or damaged, and back: `animov label export` and `animov accuracy`
//! on a real video, and on the frames of a site.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Counted, Site, animov, failed, shared, succeeded};

/// Every how many of the video's 60 seconds a picture is labelled.
const EVERY: &str = "5s";
const PICTURES: u64 = 12;

struct Street {
    video: String,
    model: String,
    dir: tempfile::TempDir,
}

impl Street {
    fn new() -> Option<Street> {
        let path = |of| Some(shared(of)?.to_str().unwrap().to_owned());
        let (video, model) = (path("videos/street_60s.mp4")?, path("models/yolox_nano_coco.onnx")?);
        Some(Street { video, model, dir: tempfile::tempdir().unwrap() })
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn export(&self, to: &str, format: &str) -> String {
        let out = self.path(to);
        let told = animov(&[
            "label",
            "export",
            &self.video,
            "--out",
            &out,
            "--every",
            EVERY,
            "--format",
            format,
            "--model",
            &self.model,
            "--confidence",
            "0.4",
        ]);
        println!("{}", succeeded(told));
        out
    }

    /// The report of a run with these options.
    fn report(&self, labels: &str, more: &[&str]) -> Value {
        let out = self.path("report");
        let options = ["accuracy", "--labels", labels, "--confidence", "0.4", "--out", &out];
        let markdown = succeeded(animov(&[&options[..], more].concat()));
        assert!(markdown.starts_with("# Accuracy\n"), "{markdown}");
        for name in ["report.md", "counts.svg", "bland-altman.svg", "frames.csv", "boxes.csv"] {
            assert!(Path::new(&out).join(name).exists(), "{name}");
        }
        serde_json::from_slice(&fs::read(Path::new(&out).join("report.json")).unwrap()).unwrap()
    }

    fn of_video(&self, labels: &str) -> Value {
        let postures = ["--lying", "person", "--standing", "car"];
        let more = [&["--video", &self.video, "--model", &self.model], &postures[..]].concat();
        self.report(labels, &more)
    }
}

/// The label files of a folder, by time.
fn label_files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(Path::new(folder).join("labels")).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| !path.ends_with("classes.txt"));
    files.sort();
    files
}

fn lines_of(file: &Path) -> Vec<String> {
    fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect()
}

fn perfect(report: &Value, animals: u64) {
    let boxes = &report["boxes"];
    assert_eq!(report["frames"]["compared"], PICTURES, "{report}");
    assert_eq!(boxes["matched"], animals, "{boxes}");
    assert_eq!((&boxes["missed"], &boxes["false"]), (&json!(0), &json!(0)), "{boxes}");
    for class in boxes["classes"].as_array().unwrap() {
        assert_eq!(class["right"], class["labelled"], "{class}");
        assert_eq!(class["right"], class["detected"], "{class}");
    }
    for count in report["counts"].as_array().unwrap() {
        assert_eq!(count["mae"], 0.0, "{count}");
    }
}

/// A result of a site's camera is told by its API.
fn is_kept(street: &Street, folder: &str) {
    let site = Site::new("");
    let options = ["accuracy", "--labels", folder, "--video", &street.video];
    let model = ["--model", &street.model, "--confidence", "0.4"];
    let camera = ["--source", "7", "--start", "2026-03-01T12:00:00Z"];
    let postures = ["--lying", "person", "--standing", "car"];
    let told = site.animov(&[&options[..], &model, &camera, &postures].concat());
    let error = String::from_utf8_lossy(&told.stderr).into_owned();
    succeeded(told);
    assert!(error.contains("kept in the site's tables for source 7 as"), "{error}");
    let running = site.start_ready();
    let answer = site.get("/v1/sources/7/accuracy");
    let [kept] = answer["items"].as_array().unwrap().as_slice() else { panic!("{answer}") };
    assert_eq!(kept["from"], "2026-03-01T12:00:00Z");
    assert_eq!(kept["frames"], PICTURES);
    assert_eq!(kept["model"]["name"], "yolox_nano_coco.onnx");
    let postures = &kept["report"]["boxes"]["postures"];
    assert!(1 < postures["lying_as_lying"].as_u64().unwrap(), "{kept}");
    assert_eq!(kept["confusion"]["lying_as_lying"], postures["lying_as_lying"], "{kept}");
    running.terminate();
}

#[test]
fn labels_that_were_exported_and_handed_back_are_perfect_and_damaged_ones_exactly_as_wrong() {
    let Some(street) = Street::new() else { return };
    let folder = street.export("yolo", "yolo");
    let files = label_files(&folder);
    let animals: usize = files.iter().map(|file| lines_of(file).len()).sum();
    let animals = u64::try_from(animals).unwrap();
    assert!(40 < animals, "{animals}");
    perfect(&street.of_video(&folder), animals);

    // The same as COCO, and of what `animov detect` prints.
    let coco = street.export("coco", "coco");
    perfect(&street.of_video(&coco), animals);
    let printed = succeeded(animov(&[
        "detect",
        &street.video,
        "--model",
        &street.model,
        "--every",
        "1s",
        "--confidence",
        "0.3",
    ]));
    let found = street.path("found.ndjson");
    fs::write(&found, printed).unwrap();
    let of_file = street.report(&folder, &["--detections", &found]);
    perfect(&of_file, animals);
    assert_eq!(of_file["frames"]["pictures_alone"], 60 - PICTURES);

    is_kept(&street, &folder);

    // The pictures themselves were compressed once more: nearly the same is found in them.
    let images = format!("{folder}/images");
    let of_images = street.report(&folder, &["--images", &images, "--model", &street.model]);
    assert_eq!(of_images["frames"]["compared"], PICTURES);
    assert!(0.8 < of_images["boxes"]["recall"].as_f64().unwrap(), "{}", of_images["boxes"]);

    // An animal that nobody labelled, one of another class, one that is not there, and a
    // picture without labels.
    let with = |at: usize, change: &dyn Fn(&mut Vec<String>)| {
        let mut lines = lines_of(&files[at]);
        change(&mut lines);
        fs::write(&files[at], lines.join("\n")).unwrap();
    };
    let classes = lines_of(&Path::new(&folder).join("classes.txt"));
    let class_of = |line: &str| {
        let number: usize = line.split(' ').next().unwrap().parse().unwrap();
        classes[number].clone()
    };
    let unlabelled = class_of(&lines_of(&files[0])[0]);
    with(0, &|lines| _ = lines.remove(0));
    let renamed = class_of(&lines_of(&files[1])[0]);
    let zebra = classes.iter().position(|class| class == "zebra").unwrap();
    with(1, &|lines| {
        let (_, sides) = lines[0].split_once(' ').unwrap();
        lines[0] = format!("{zebra} {sides}");
    });
    with(2, &|lines| lines.push(format!("{zebra} 0.010 0.010 0.015 0.015")));
    let gone = u64::try_from(lines_of(&files[3]).len()).unwrap();
    fs::remove_file(&files[3]).unwrap();

    let report = street.of_video(&folder);
    let boxes = &report["boxes"];
    assert_eq!(report["frames"]["compared"], PICTURES - 1);
    assert_eq!(boxes["matched"], animals - gone - 1);
    assert_eq!((&boxes["missed"], &boxes["false"]), (&json!(1), &json!(1)));
    let matrix = &boxes["confusion"];
    let names: Vec<&str> =
        matrix["classes"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let at = |name: &str| names.iter().position(|other| *other == name).unwrap();
    let (zebra, last) = (at("zebra"), names.len());
    let cell = |row: usize, column: usize| matrix["rows"][row][column].as_u64().unwrap();
    assert_eq!(cell(zebra, at(&renamed)), 1);
    assert_eq!(cell(zebra, last), 1);
    assert_eq!(cell(last, at(&unlabelled)), 1);
    let wrong: u64 = (0..=last)
        .flat_map(|row| (0..=last).map(move |column| (row, column)))
        .filter(|(row, column)| row != column)
        .map(|(row, column)| cell(row, column))
        .sum();
    assert_eq!(wrong, 3, "{matrix}");
    let total = report["counts"].as_array().unwrap().last().unwrap();
    assert_eq!(total["class"], "total");
    let near = |found: &Value, wanted: f64| (found.as_f64().unwrap() - wanted).abs() < 1e-12;
    assert!(near(&total["mae"], 2.0 / 11.0) && near(&total["bias"], 0.0), "{total}");

    // What was corrected is not overwritten.
    let again =
        animov(&["label", "export", &street.video, "--out", &folder, "--model", &street.model]);
    assert!(failed(&again).contains("holds labels already"));
}

#[test]
fn an_observers_headcounts_are_held_against_the_frames_of_a_site() {
    let site = Site::new("");
    let running = site.start_ready();
    let start = 1_772_366_400_000;
    let frame = |n: u32| Counted {
        source: 1,
        session: "0d5b7c56-9a0f-4c49-8ff1-6b1f3f9e0a11".to_owned(),
        seq: n.into(),
        captured_at: start + i64::from(n) * 1000 + 200,
        lying: 3,
        standing: n / 10 % 5,
    };
    let frames: Vec<Counted> = (0..600).map(frame).collect();
    assert!(site.post(&frames));
    site.wait_accepted(600);
    running.terminate();

    // Every ten seconds; the observer sees one more lie in every second line.
    let mut text = "captured_at,couche,debout\n".to_owned();
    for n in (0..600_u32).step_by(10) {
        let lying = 3 + u32::from(n % 20 == 0);
        text += &format!("{},{lying},{}\n", start + i64::from(n) * 1000, n / 10 % 5);
    }
    let labels = site.dir.path().join("observer.csv");
    fs::write(&labels, text).unwrap();
    let (labels, out) = (labels.to_str().unwrap(), site.dir.path().join("out"));
    let options = ["accuracy", "--frames", "--source", "1", "--labels", labels];
    let error = failed(&site.animov(&options));
    assert!(
        error.contains("the labels know couche, debout, the detections lying, standing"),
        "{error}"
    );
    let names = ["--rename", "lying=couche", "--rename", "standing=debout"];
    let more = [&names[..], &["--out", out.to_str().unwrap()]].concat();
    let told = site.animov(&[&options[..], &more].concat());
    let error = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(error.contains("not kept in the site's tables: which model looked"), "{error}");
    let told = succeeded(told);
    assert!(
        told.contains("No figures of boxes: the labels are headcounts, without boxes."),
        "{told}"
    );

    let report: Value =
        serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap();
    assert_eq!(report["frames"]["compared"], 60);
    assert_eq!(
        (&report["boxes"], &report["lying_share"]["corrected"]),
        (&Value::Null, &Value::Null)
    );
    let count = |class: &str| {
        let counts = report["counts"].as_array().unwrap();
        counts.iter().find(|count| count["class"] == class).unwrap().clone()
    };
    assert_eq!((&count("lying")["mae"], &count("lying")["bias"]), (&json!(0.5), &json!(-0.5)));
    assert_eq!(count("standing")["mae"], 0.0);
    let minutes = report["agreement"].as_array().unwrap().iter();
    let minutes: Vec<&Value> = minutes.filter(|row| row["level"] == "minute").collect();
    assert!(minutes.iter().all(|row| row["n"] == 10), "{minutes:?}");
}

#[test]
fn without_labels_there_is_no_accuracy() {
    let error = failed(&animov(&["accuracy", "--video", "pen.mp4"]));
    assert!(error.contains("no labels, and without them no accuracy"), "{error}");
    assert!(error.contains("animov label export"), "{error}");
    let error = failed(&animov(&["accuracy", "--labels", "/nowhere", "--video", "pen.mp4"]));
    assert!(error.contains("there are no labels at /nowhere"), "{error}");
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().to_str().unwrap();
    let error = failed(&animov(&["accuracy", "--labels", folder, "--video", "pen.mp4"]));
    assert!(error.contains("there is no label in"), "{error}");
    fs::write(dir.path().join("a_t000000000.txt"), "0 0.5 0.5 0.1 0.1").unwrap();
    let error = failed(&animov(&["accuracy", "--labels", folder]));
    assert!(error.contains("nothing to measure"), "{error}");
}
