//! The training of `models/train`, as a user runs it: rendered pens, a short
//! training, and the model in `animov detect`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::{animov, lines, succeeded};

/// What the model's file may have, bytes.
const MODEL_BYTES_MAX: u64 = 4 << 20;

/// Above this, boxes are compared; a short training makes nothing surer than 0.5.
const CONFIDENCE: &str = "0.1";

/// Pictures a step.
const BATCH: usize = 8;

/// The Python that `ANIMOV_TRAINING_PYTHON` names.
fn python(arguments: &[&str]) -> Option<Output> {
    let Some(python) = std::env::var_os("ANIMOV_TRAINING_PYTHON") else {
        println!(
            "SKIPPED: ANIMOV_TRAINING_PYTHON is not set; scripts/install-training-python prints it"
        );
        return None;
    };
    Some(Command::new(python).args(arguments).output().unwrap())
}

fn root(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path).to_str().unwrap().to_owned()
}

/// Photographs `scenes` pens, six times each.
fn photographed(out: &Path, scenes: &str, seed: &str) {
    let out = out.to_str().unwrap();
    let scenes = ["--scenes", scenes, "--per-scene", "6", "--seed", seed, "--out", out];
    _ = succeeded(animov(&[&["simulate", "pictures"], &scenes[..]].concat()));
}

/// The loss of each line that a training printed.
fn losses_of(told: &str) -> Vec<f64> {
    let loss = |line: &str| {
        let (_, after) = line.split_once("loss ")?;
        after.split(' ').next()?.parse().ok()
    };
    told.lines().filter_map(loss).collect()
}

fn number(of: &Value, name: &str) -> f64 {
    of[name].as_f64().unwrap()
}

/// Whether two boxes are the same but for the rounding of two implementations.
fn same(a: &Value, b: &Value) -> bool {
    let near = |name: &str, by: f64| (number(a, name) - number(b, name)).abs() < by;
    a["class"] == b["class"]
        && near("confidence", 0.005)
        && ["x", "y", "w", "h"].iter().all(|side| near(side, 0.005))
}

#[test]
fn a_trained_model_is_read_and_sees_what_its_training_saw() {
    if python(&["-c", ""]).is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    photographed(&at("train"), "10", "1");
    photographed(&at("val"), "2", "900001");
    let run = |out: &Path, pictures: &str, more: &[&str]| {
        let [data, val] = ["train", "val"].map(at);
        let (script, batch) = (root("models/train/train.py"), BATCH.to_string());
        let arguments = [
            script.as_str(),
            "--data",
            data.to_str().unwrap(),
            "--val",
            val.to_str().unwrap(),
            "--out",
            out.to_str().unwrap(),
            "--pictures",
            pictures,
            "--batch",
            &batch,
            "--rate",
            "0.004",
            "--line-every",
            "0.001",
        ];
        python(&[&arguments[..], more].concat()).unwrap()
    };
    let train = |out: &Path, pictures: &str| succeeded(run(out, pictures, &[]));

    let model = at("goats.onnx");
    let told = train(&model, "1920");
    let losses = losses_of(&told);
    assert_eq!(losses.len() * BATCH, 1920, "{told}");
    let mean = |of: &[f64]| of.iter().sum::<f64>() / 12.0;
    let (first, last) = (mean(&losses[..12]), mean(&losses[losses.len() - 12..]));
    assert!(last < 0.8 * first, "the loss was {first}, and is {last}\n{told}");
    assert!(std::fs::metadata(&model).unwrap().len() < MODEL_BYTES_MAX);
    let facts = std::fs::read_to_string(at("goats.json")).unwrap();
    let facts: Value = serde_json::from_str(&facts).unwrap();
    assert_eq!(facts["pictures_seen"], 1920);
    assert_eq!((&facts["train"]["pictures"], &facts["train"]["scenes"]), (&60.into(), &10.into()));

    // What was learned is where another training begins.
    let further = run(&at("further.onnx"), "64", &["--from", model.to_str().unwrap()]);
    let further = losses_of(&succeeded(further));
    let (begun, nothing) = (further[0], losses[0]);
    assert!(begun < 0.8 * nothing, "{begun} with what was learned, {nothing} with nothing");
    std::fs::copy(&model, at("alone.onnx")).unwrap();
    let alone = run(&at("never.onnx"), "64", &["--from", at("alone.onnx").to_str().unwrap()]);
    let told = String::from_utf8_lossy(&alone.stderr);
    assert!(!alone.status.success() && told.contains("alone.json"), "{told}");

    let mut pictures: Vec<PathBuf> = std::fs::read_dir(at("val").join("images"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    pictures.sort();
    let names: Vec<&str> = pictures.iter().map(|picture| picture.to_str().unwrap()).collect();
    let (script, trainer) = (root("tests/it/training/seen.py"), root("models/train"));
    let (model, copies) = (model.to_str().unwrap(), at("copies"));
    let with = [&script, &trainer, model, CONFIDENCE, copies.to_str().unwrap()];
    let seen = lines(&succeeded(python(&[&with, &names[..]].concat()).unwrap()));
    let copy = |picture: &PathBuf| {
        let copy = copies.join(picture.file_stem().unwrap()).with_extension("png");
        copy.to_str().unwrap().to_owned()
    };
    let copies: Vec<String> = pictures.iter().map(copy).collect();
    let copies: Vec<&str> = copies.iter().map(String::as_str).collect();
    let detect = ["detect", "--model", model, "--confidence", CONFIDENCE];
    let detected = lines(&succeeded(animov(&[&detect, &copies[..]].concat())));
    assert_eq!((detected.len(), seen.len()), (12, 12));
    let (mut both, mut either) = (0, 0);
    for (ours, theirs) in detected.iter().zip(&seen) {
        let (ours, theirs) = (&ours["detections"].as_array().unwrap(), theirs.as_array().unwrap());
        let shared = ours.iter().filter(|a| theirs.iter().any(|b| same(a, b))).count();
        both += shared;
        either += ours.len() + theirs.len() - shared;
    }
    println!("boxes that both see: {both}, of {either}");
    assert!(0 < either, "nothing is seen above {CONFIDENCE}\n{told}");
    // A box at the threshold is above it for one of the two.
    assert!(95 * either <= 100 * both, "{both} of {either} boxes are seen by both");

    // What the README promises of a seed.
    let twins = ["one.onnx", "other.onnx"].map(|name| {
        _ = train(&at(name), "32");
        std::fs::read(at(name)).unwrap()
    });
    assert!(twins[0] == twins[1], "one seed gave two models");
}

#[test]
fn a_net_that_begins_with_a_model_answers_as_it_does_class_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let (script, trainer) = (root("tests/it/training/begun.py"), root("models/train"));
    let Some(told) = python(&[&script, &trainer, dir.path().to_str().unwrap()]) else { return };
    let told: Value = serde_json::from_str(&succeeded(told)).unwrap();
    assert!(number(&told, "difference") < 1e-4, "{told}");
    assert!(number(&told, "exchanged") < 1e-4, "{told}");
    let refused = told["refused"].as_str().unwrap();
    assert!(refused.contains("small.onnx") && refused.contains("head=32"), "{told}");
}
