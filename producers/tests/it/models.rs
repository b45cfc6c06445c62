//! Models that are detectors, and files that are not.

use std::fs;

use producers::detect::contract::Family;
use producers::detect::letterbox::Placement;
use producers::detect::onnx::{OnnxDetector, OnnxOptions};
use producers::detect::{DetectError, Detector};
use producers::pixels::Pixels;
use schemas::frame::Detection;

use crate::support::{Clips, load, tiny_model};

/// What a model of the barn answers to a picture of this size, as text.
fn seen(model: &str, confidence: f32, size: (u32, u32)) -> String {
    seen_by(load(&tiny_model(model), confidence), size)
}

fn seen_by(mut detector: OnnxDetector, (width, height): (u32, u32)) -> String {
    let bytes = vec![0; usize::try_from(width * height * 3).unwrap()];
    let stride = usize::try_from(width * 3).unwrap();
    let picture = Pixels::new(width, height, stride, &bytes).unwrap();
    let mut found = Vec::new();
    for _ in 0..2 {
        detector.detect(&picture, &mut found).unwrap();
    }
    found.iter().for_each(|detection| detection.check().unwrap());
    let lines: Vec<String> = found.iter().map(shown).collect();
    lines.join("\n")
}

fn shown(detection: &Detection) -> String {
    let Detection { class, confidence, x, y, w, h } = detection;
    format!("{class} {confidence:.2}: {x:.4} {y:.4} {w:.4} {h:.4}")
}

#[test]
fn a_model_says_what_its_classes_are_called() {
    // 64 x 64, like the model: nothing is scaled. The double of the first has
    // fallen, the one at the edge is clipped.
    insta::assert_snapshot!(seen("barn_v8.onnx", 0.5, (64, 64)), @r"
    lying 0.90: 0.1250 0.2500 0.2500 0.1250
    standing 0.70: 0.1250 0.2500 0.2500 0.1250
    standing 0.60: 0.8125 0.5000 0.1875 0.2500
    ");
    // Twice as wide as tall: the picture fills the middle of the input.
    insta::assert_snapshot!(seen("barn_v8.onnx", 0.3, (128, 64)), @r"
    lying 0.90: 0.1250 0.0000 0.2500 0.2500
    standing 0.70: 0.1250 0.0000 0.2500 0.2500
    standing 0.60: 0.8125 0.5000 0.1875 0.5000
    ");
}

#[test]
fn a_raw_model_means_the_same_boxes_from_the_corner() {
    insta::assert_snapshot!(seen("barn_yolox.onnx", 0.1, (64, 64)), @r"
    class_0 0.90: 0.1250 0.2500 0.2500 0.1250
    class_1 0.70: 0.1250 0.2500 0.2500 0.1250
    class_1 0.60: 0.8125 0.5000 0.1875 0.2500
    class_1 0.20: 0.3906 0.7031 0.1562 0.1562
    ");
    insta::assert_snapshot!(seen("barn_yolox.onnx", 0.5, (128, 64)), @r"
    class_0 0.90: 0.1250 0.5000 0.2500 0.2500
    class_1 0.70: 0.1250 0.5000 0.2500 0.2500
    ");
}

/// A model of the barn that says of itself how pictures lie in its input.
fn placed(placement: &str) -> Vec<u8> {
    let field =
        |tag: u8, bytes: &[u8]| [&[tag, u8::try_from(bytes.len()).unwrap()][..], bytes].concat();
    let entry = [field(0x0a, b"placement"), field(0x12, placement.as_bytes())].concat();
    // A message goes on with what is appended: 14 is `metadata_props`.
    [fs::read(tiny_model("barn_v8.onnx")).unwrap(), field(0x72, &entry)].concat()
}

#[test]
fn a_model_may_say_how_pictures_lie_in_its_input() {
    let clips = Clips::new();
    let path = clips.path("placed.onnx");
    fs::write(&path, placed("stretch")).unwrap();
    // Twice as wide as tall, over all of the input: fractions are those of a square one.
    insta::assert_snapshot!(seen_by(load(&path, 0.5), (128, 64)), @r"
    lying 0.90: 0.1250 0.2500 0.2500 0.1250
    standing 0.70: 0.1250 0.2500 0.2500 0.1250
    standing 0.60: 0.8125 0.5000 0.1875 0.2500
    ");
    fs::write(&path, placed("upside-down")).unwrap();
    let error = refusal(OnnxOptions::new(path.clone()));
    assert!(error.contains("its placement is \"upside-down\"; animov knows"), "{error}");
    // Who says it in the configuration is believed.
    let placement = Some(Placement::Stretch);
    let options = OnnxOptions { placement, confidence: Some(0.5), ..OnnxOptions::new(path) };
    assert!(seen_by(OnnxDetector::load(&options).unwrap(), (128, 64)).contains("0.1250 0.2500"));
}

#[test]
fn a_detector_knows_its_model() {
    let detector = load(&tiny_model("barn_v8.onnx"), 0.5);
    let contract = detector.contract();
    assert_eq!((contract.family, contract.classes), (Family::Ultralytics, 2));
    assert_eq!(&*detector.model().name, "barn_v8.onnx");
    let sum =
        std::process::Command::new("sha256sum").arg(tiny_model("barn_v8.onnx")).output().unwrap();
    assert!(String::from_utf8(sum.stdout).unwrap().starts_with(&*detector.model().hash));

    let classes = vec!["couche".to_owned(), "debout".to_owned()];
    let options = OnnxOptions { classes, ..OnnxOptions::new(tiny_model("barn_v8.onnx")) };
    let renamed = OnnxDetector::load(&options).unwrap();
    assert_eq!(renamed.classes().iter().map(|c| &**c).collect::<Vec<_>>(), ["couche", "debout"]);
}

fn refusal(options: OnnxOptions) -> String {
    match OnnxDetector::load(&options) {
        Ok(_) => panic!("{options:?} was taken for a detector"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_is_no_detector_is_refused_with_the_reason() {
    let clips = Clips::new();
    let refused = |model: &str| refusal(OnnxOptions::new(tiny_model(model)));
    let classifier = refused("classifier.onnx");
    assert!(
        classifier.contains("found inputs f32 [1, 3, 8, 8], outputs f32 [1, 10]; wanted"),
        "{classifier}"
    );
    let pose = refused("pose_v8.onnx");
    assert!(pose.contains("its task is \"pose\""), "{pose}");

    let noise: Vec<u8> = (0..5000_u32).map(|n| (n * n * 31 + n * 7).to_le_bytes()[1]).collect();
    let mut half = fs::read(tiny_model("barn_v8.onnx")).unwrap();
    half.truncate(half.len() / 2);
    for (name, bytes) in [("noise", noise), ("empty", Vec::new()), ("half", half)] {
        let path = clips.path(name);
        fs::write(&path, bytes).unwrap();
        let error = refusal(OnnxOptions::new(path));
        assert!(error.contains("is no ONNX model"), "{name}: {error}");
    }
    let missing = refusal(OnnxOptions::new("/nowhere/goats.onnx"));
    assert!(missing.contains("could not read the model /nowhere/goats.onnx"), "{missing}");
    let wrong = vec!["only one".to_owned()];
    let options = OnnxOptions { classes: wrong, ..OnnxOptions::new(tiny_model("barn_v8.onnx")) };
    assert!(matches!(OnnxDetector::load(&options), Err(DetectError::Names { .. })));
}
