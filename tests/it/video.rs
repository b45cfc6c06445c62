//! Real video through real models, as a user runs it: `animov detect`, and a
//! camera under `animov run`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::support::{Site, animov, lines, shared, succeeded, within};

const VIDEO: &str = "videos/street_60s.mp4";

/// What an independent implementation finds, with the picture in the corner.
const FOUND: &str = "../shared/videos/street_60s.yolox_nano.json";

/// The same for the v8 contract, which puts the picture in the centre: a network
/// finds other objects in a picture that is moved by 52 pixels.
const FOUND_CENTRED: &str = "tests/data/models/street_60s.v8_centre.json";

/// An object: class, confidence, x, y, w, h.
#[derive(Clone, Debug)]
struct Object(String, f64, [f64; 4]);

/// COCO's names of the classes that the street shows.
const CLASSES: [(u64, &str); 7] = [
    (0, "person"),
    (1, "bicycle"),
    (2, "car"),
    (3, "motorcycle"),
    (5, "bus"),
    (7, "truck"),
    (13, "bench"),
];

fn overlap(a: &[f64; 4], b: &[f64; 4]) -> f64 {
    let side = |at: usize| {
        let end = (a[at] + a[at + 2]).min(b[at] + b[at + 2]);
        (end - a[at].max(b[at])).max(0.0)
    };
    let both = side(0) * side(1);
    both / (a[2] * a[3] + b[2] * b[3] - both)
}

/// How many objects of either list have no partner in the other: the same
/// class, nearly the same box.
fn differences(ours: &[Object], theirs: &[Object]) -> usize {
    let mut free: Vec<&Object> = theirs.iter().collect();
    let mut alone = 0;
    for object in ours {
        let partner = free.iter().position(|o| o.0 == object.0 && 0.9 < overlap(&o.2, &object.2));
        match partner {
            Some(at) => _ = free.remove(at),
            None => alone += 1,
        }
    }
    alone + free.len()
}

fn reference(path: &str) -> BTreeMap<u64, Vec<Object>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let text = std::fs::read_to_string(path).unwrap();
    let frames: Vec<Value> = serde_json::from_str(&text).unwrap();
    let object = |o: &Value| {
        let number = o[0].as_u64().unwrap();
        let known = CLASSES.iter().find(|(n, _)| *n == number);
        let class = known.map_or_else(|| format!("class {number}"), |(_, name)| (*name).to_owned());
        let side = |at: usize| o[at].as_f64().unwrap();
        Object(class, side(1), [side(2), side(3), side(4), side(5)])
    };
    let frame = |f: &Value| {
        let objects = f["detections"].as_array().unwrap().iter().map(object);
        (f["t_ms"].as_u64().unwrap(), objects.collect())
    };
    frames.iter().map(frame).collect()
}

/// What is detected with `config`, surely enough.
fn detected(model: &str, config: &str) -> Option<Vec<(u64, Vec<Object>)>> {
    let (video, model) = (shared(VIDEO)?, shared(model)?);
    let (video, model) = (video.to_str().unwrap(), model.to_str().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("animov.toml");
    std::fs::write(&file, format!("[detector]\n{config}\n")).unwrap();
    let told = animov(&["detect", video, "--model", model, "--config", file.to_str().unwrap()]);
    let object = |d: &Value| {
        let side = |name: &str| d[name].as_f64().unwrap();
        let class = d["class"].as_str().unwrap().to_owned();
        Object(class, side("confidence"), [side("x"), side("y"), side("w"), side("h")])
    };
    let frame = |f: Value| {
        let objects = f["detections"].as_array().unwrap().iter().map(object);
        (f["t_ms"].as_u64().unwrap(), objects.collect())
    };
    Some(lines(&succeeded(told)).into_iter().map(frame).collect())
}

fn agrees(model: &str, config: &str, found: &str) {
    let Some(detected) = detected(model, config) else { return };
    let reference = reference(found);
    assert_eq!(detected.len(), 60);
    let mut frames_by_differences = BTreeMap::<usize, usize>::new();
    for (t_ms, objects) in &detected {
        let sure: Vec<Object> =
            reference[t_ms].iter().filter(|object| 0.5 < object.1).cloned().collect();
        *frames_by_differences.entry(differences(objects, &sure)).or_default() += 1;
    }
    println!("{model}: frames by objects that differ: {frames_by_differences:?}");
    assert!(frames_by_differences.keys().all(|differ| *differ <= 1), "{frames_by_differences:?}");
    assert!(54 <= frames_by_differences[&0], "{frames_by_differences:?}");
}

#[test]
fn yolox_finds_what_an_independent_implementation_finds() {
    agrees("models/yolox_nano_coco.onnx", "confidence = 0.5", FOUND);
}

#[test]
fn the_v8_contract_finds_what_an_independent_implementation_finds() {
    agrees("models/yolox_nano_coco_v8.onnx", "confidence = 0.5", FOUND_CENTRED);
}

#[test]
fn the_v8_contract_finds_the_same_as_yolox_in_pictures_placed_alike() {
    let config = "confidence = 0.5\nplacement = \"top-left\"";
    agrees("models/yolox_nano_coco_v8.onnx", config, FOUND);
}

#[test]
fn the_minute_of_a_camera_is_the_statistics_of_its_pictures() {
    let model = "models/yolox_nano_coco.onnx";
    let (Some(video), Some(path)) = (shared(VIDEO), shared(model)) else { return };
    let Some(detected) = detected(model, "confidence = 0.5") else { return };
    let mut people: Vec<f64> = detected
        .iter()
        .map(|(_, objects)| {
            let people = objects.iter().filter(|object| object.0 == "person").count();
            f64::from(u32::try_from(people).unwrap())
        })
        .collect();
    people.sort_by(f64::total_cmp);

    let config = format!(
        "
[detector]
model = {:?}
confidence = 0.5
[[camera]]
source = 7
name = \"street\"
url = {:?}
started_at = \"2026-03-01T12:00:00Z\"
",
        path.to_str().unwrap(),
        video.to_str().unwrap(),
    );
    let site = Site::new(&config);
    let running = site.start_ready();
    site.wait_accepted(60);
    let windows = within(crate::support::PATIENCE, "the minute", || {
        let answer = site.get("/v1/sources/7/windows/1m?from=2026-03-01&metric=person");
        let windows = answer["items"].as_array().unwrap().clone();
        (!windows.is_empty()).then_some(windows)
    });
    assert_eq!(windows.len(), 1, "{windows:?}");
    let (row, person) = (&windows[0], &windows[0]["metrics"]["person"]);
    let near = |found: &Value, wanted: f64| {
        let found = found.as_f64().unwrap();
        assert!((found - wanted).abs() < 1e-9, "{found} is not {wanted} in {row}");
    };
    let n = 60.0;
    let sum: f64 = people.iter().sum();
    let squares: f64 = people.iter().map(|x| (x - sum / n).powi(2)).sum();
    near(&row["frames"], n);
    near(&row["coverage"], 1.0);
    near(&person["sum"], sum);
    near(&person["mean"], sum / n);
    near(&person["std"], (squares / (n - 1.0)).sqrt());
    near(&person["min"], people[0]);
    near(&person["max"], people[59]);
    near(&person["median"], f64::midpoint(people[29], people[30]));
    running.terminate();
    succeeded(site.animov(&["audit"]));
}

#[test]
fn annotated_pictures_are_written() {
    let (Some(video), Some(model)) = (shared(VIDEO), shared("models/yolox_nano_coco.onnx")) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let told = animov(&[
        "detect",
        video.to_str().unwrap(),
        "--model",
        model.to_str().unwrap(),
        "--every",
        "20s",
        "--annotate",
        dir.path().to_str().unwrap(),
    ]);
    assert_eq!(lines(&succeeded(told)).len(), 3);
    let pictures: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(pictures.len(), 3, "{pictures:?}");
    for picture in pictures {
        let bytes = std::fs::read(picture.unwrap().path()).unwrap();
        assert!(bytes.starts_with(&[0xFF, 0xD8, 0xFF]), "no JPEG");
    }
}
