//! Agreement with independent implementations (Python, `OpenCV`, ONNX Runtime) on a real
//! surveillance video: above confidence 0.5 the same objects, class for class, with
//! `IoU` > 0.9.
//!
//! Measured, above 0.5 in both: the same objects in 60 of 60 pictures for each of the
//! three comparisons. `detect::letterbox` says what other scalers would do.
//!
//! The shared reference has the picture in the input's top left corner. The
//! Ultralytics contract puts it in the centre, 52 pixels further down, and there the
//! same network finds other boxes: the independent implementation too has not
//! one of 60 pictures in common with the reference. So that contract is held against a
//! reference of its own, made in the centre, and against the shared one with its
//! pictures placed in the corner too.

use std::ops::ControlFlow;
use std::path::Path;

use producers::decode::DecodeOptions;
use producers::detect::Detector;
use producers::detect::letterbox::Placement;
use producers::detect::names::COCO;
use producers::detect::onnx::{OnnxDetector, OnnxOptions};
use producers::detect::suppress::iou;
use producers::inspect::detect_input;
use producers::sample::Cadence;
use schemas::frame::Detection;

use crate::support::{input, load, shared, tiny_model};

#[derive(Clone, Debug)]
struct Object {
    class: String,
    confidence: f32,
    corners: [f32; 4],
}

fn object(class: &str, confidence: f32, [x, y, w, h]: [f32; 4]) -> Object {
    Object { class: class.to_owned(), confidence, corners: [x, y, x + w, y + h] }
}

/// What an independent implementation found, by milliseconds.
fn reference(path: &Path) -> Vec<(u64, Vec<Object>)> {
    let text = std::fs::read_to_string(path).unwrap();
    let pictures: serde_json::Value = serde_json::from_str(&text).unwrap();
    #[expect(clippy::as_conversions, reason = "the file has five decimals")]
    let read = |detection: &serde_json::Value| {
        let number = |at: usize| detection[at].as_f64().unwrap() as f32;
        let class = usize::try_from(detection[0].as_u64().unwrap()).unwrap();
        object(COCO[class], number(1), [number(2), number(3), number(4), number(5)])
    };
    let picture = |picture: &serde_json::Value| {
        let detections = picture["detections"].as_array().unwrap();
        (picture["t_ms"].as_u64().unwrap(), detections.iter().map(read).collect())
    };
    pictures.as_array().unwrap().iter().map(picture).collect()
}

/// How many objects of `of` above 0.5 are not in `among`, above 0.5 too.
fn missing(of: &[Object], among: &[Object]) -> usize {
    let sure = |object: &&Object| 0.5 < object.confidence;
    let mut left: Vec<&Object> = among.iter().filter(sure).collect();
    let absent = |object: &&Object| {
        let same = left.iter().position(|other| {
            other.class == object.class && 0.9 < iou(other.corners, object.corners)
        });
        same.map(|at| left.remove(at)).is_none()
    };
    of.iter().filter(sure).filter(absent).count()
}

/// Holds what `detector` finds in the video against `reference`.
fn agrees(detector: &mut dyn Detector, video: &Path, reference: &Path) {
    let reference = self::reference(reference);
    let mut ours: Vec<(u64, Vec<Object>)> = Vec::new();
    let options = DecodeOptions::default();
    let read = detect_input(&input(video), Cadence::SECOND, &options, detector, |sampled| {
        let found = sampled.detections.iter().map(|detection| {
            detection.check().unwrap();
            let Detection { class, confidence, x, y, w, h } = detection;
            object(class, *confidence, [*x, *y, *w, *h])
        });
        ours.push((sampled.t_ms(), found.collect()));
        ControlFlow::Continue(())
    });
    let read = read.unwrap();
    assert_eq!((read.pictures, read.sampled, read.damaged), (1500, 60, 0));
    let times = |pictures: &[(u64, Vec<Object>)]| pictures.iter().map(|p| p.0).collect::<Vec<_>>();
    assert_eq!(times(&ours), times(&reference));

    let different: Vec<usize> = ours
        .iter()
        .zip(&reference)
        .map(|((_, ours), (_, theirs))| missing(ours, theirs) + missing(theirs, ours))
        .collect();
    let same = different.iter().filter(|count| **count == 0).count();
    println!("{same} of {} pictures show the same objects", different.len());
    assert!(different.iter().all(|count| *count <= 1), "{different:?}");
    assert!(different.len() * 9 <= same * 10, "{different:?}");
}

#[test]
fn a_yolox_model_finds_what_opencv_and_python_find() {
    let assets = ["models/yolox_nano_coco.onnx", VIDEO, REFERENCE].map(shared);
    let [Some(model), Some(video), Some(reference)] = assets else { return };
    agrees(&mut load(&model, 0.3), &video, &reference);
}

#[test]
fn an_ultralytics_model_finds_what_opencv_and_python_find_in_the_centre() {
    let assets = ["models/yolox_nano_coco_v8.onnx", VIDEO].map(shared);
    let [Some(model), Some(video)] = assets else { return };
    agrees(&mut load(&model, 0.3), &video, &tiny_model("street_60s.v8_centre.json"));
}

#[test]
fn both_contracts_find_the_same_in_pictures_placed_alike() {
    let assets = ["models/yolox_nano_coco_v8.onnx", VIDEO, REFERENCE].map(shared);
    let [Some(model), Some(video), Some(reference)] = assets else { return };
    let placement = Some(Placement::TopLeft);
    let options =
        OnnxOptions { placement, confidence: Some(0.3), ..OnnxOptions::new(model.as_path()) };
    agrees(&mut OnnxDetector::load(&options).unwrap(), &video, &reference);
}

const VIDEO: &str = "videos/street_60s.mp4";
const REFERENCE: &str = "videos/street_60s.yolox_nano.json";
