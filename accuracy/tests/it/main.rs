//! The figures against scikit-learn, `SciPy` and NumPy, on herds that differ from run to run.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod herd;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use accuracy::bootstrap::{Block, Plan};
use accuracy::comparison::{Comparison, Found, Seen};
use accuracy::figures::Figures;
use accuracy::labels::{Labels, Truth};
use accuracy::pairing::pair;
use accuracy::posture::Postures;
use accuracy::report::{Frames, Report, Setting};
use accuracy::{plot, tables};
use herd::{Random, Times, herd};
use serde_json::Value;

fn compared(labels: &Labels, seen: &[Seen], plan: Plan) -> (Comparison, Report) {
    let ids: Vec<_> = labels.pictures.iter().map(|label| &label.picture).collect();
    let pictures: Vec<_> = seen.iter().map(|seen| &seen.picture).collect();
    let pairs = pair(&ids, &pictures, 0, |at| labels.pictures[at].origin.clone()).unwrap();
    let comparison = Comparison::new(labels, seen, &pairs.pairs, labels.classes.clone(), 0.5);
    let postures = Postures { lying: vec!["lying".into()], standing: vec!["standing".into()] };
    let figures = Figures::of(&comparison, &postures, &plan);
    let report = Report {
        setting: Setting {
            source: None,
            labels: "herd".to_owned(),
            labels_form: labels.form.name(),
            detections: "herd".to_owned(),
            model: None,
            confidence: None,
            iou_min: 0.5,
            visible_min: None,
            lying: postures.lying,
            standing: postures.standing,
            bootstrap: plan,
        },
        frames: Frames::of(&comparison, (pairs.labels_alone, pairs.pictures_alone)),
        figures,
    };
    (comparison, report)
}

/// The same as headcounts, without boxes.
fn counted(labels: &Labels) -> Labels {
    let mut labels = labels.clone();
    for label in &mut labels.pictures {
        let mut counts: BTreeMap<Arc<str>, u32> =
            labels.classes.iter().map(|class| (Arc::clone(class), 0)).collect();
        if let Truth::Boxes(boxes) = &label.truth {
            boxes.iter().for_each(|b| *counts.get_mut(&b.class).unwrap() += 1);
        }
        label.truth = Truth::Counts(counts);
    }
    labels
}

fn save(dir: &Path, comparison: &Comparison, report: &Value) {
    tables::frames(comparison, File::create(dir.join("frames.csv")).unwrap()).unwrap();
    tables::boxes(comparison, File::create(dir.join("boxes.csv")).unwrap()).unwrap();
    fs::write(dir.join("report.json"), report.to_string()).unwrap();
}

fn reference(python: &std::ffi::OsStr, dir: &Path) -> Output {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/reference.py");
    Command::new(python).arg(script).arg(dir).output().unwrap()
}

fn said(output: &Output) -> String {
    let [out, error] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("{out}{error}")
}

/// Every number in `value`, as the way to it.
fn numbers(value: &Value, way: &str, found: &mut Vec<String>) {
    match value {
        Value::Number(_) => found.push(way.to_owned()),
        Value::Object(fields) => {
            fields.iter().for_each(|(name, inner)| numbers(inner, &format!("{way}/{name}"), found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, inner)| {
                numbers(inner, &format!("{way}/{at}"), found);
            });
        }
        _ => {}
    }
}

#[test]
fn every_figure_is_what_scikit_learn_scipy_and_numpy_compute() {
    let Some(python) = std::env::var_os("ANIMOV_TEST_PYTHON") else {
        println!("SKIPPED: ANIMOV_TEST_PYTHON is not set");
        return;
    };
    let seed = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    println!("seed {seed}");
    let mut random = Random(seed);
    let plan = |draws, block| Plan { draws, seed, block };
    let minutes = plan(400, Block::Minute);
    let (herd_of_hours, seen) = herd(&mut random, 900, 20, Times::Event);
    let perfect: Vec<Seen> = seen
        .iter()
        .cloned()
        .map(|seen| {
            let label = herd_of_hours.pictures.iter().find(|label| label.picture == seen.picture);
            let Truth::Boxes(boxes) = &label.unwrap().truth else { panic!("no boxes") };
            let mut counts = BTreeMap::<Arc<str>, u32>::new();
            let expected = boxes.iter().filter(|b| b.role == accuracy::labels::Role::Expected);
            expected.for_each(|b| *counts.entry(Arc::clone(&b.class)).or_default() += 1);
            Seen { found: Found::Counts(counts), ..seen }
        })
        .collect();
    let video = herd(&mut random, 60, 6, Times::Video);
    let singles = herd(&mut random, 25, 40, Times::None);
    let one = herd(&mut random, 1, 5, Times::Video);
    let mut empty = herd(&mut random, 1, 0, Times::Video);
    empty.1[0].found = Found::Boxes(Vec::new());
    let cases = [
        ("hours", compared(&herd_of_hours, &seen, minutes)),
        ("hours by hours", compared(&herd_of_hours, &seen, plan(100, Block::Hour))),
        ("headcounts", compared(&counted(&herd_of_hours), &seen, minutes)),
        ("a perfect detector", compared(&herd_of_hours, &perfect, minutes)),
        ("a video", compared(&video.0, &video.1, minutes)),
        ("single pictures", compared(&singles.0, &singles.1, minutes)),
        ("one picture", compared(&one.0, &one.1, minutes)),
        ("an empty picture", compared(&empty.0, &empty.1, minutes)),
    ];
    let dir = tempfile::tempdir().unwrap();
    for (name, (comparison, report)) in &cases {
        let value = serde_json::to_value(report).unwrap();
        save(dir.path(), comparison, &value);
        let output = reference(&python, dir.path());
        assert!(output.status.success(), "{name}, seed {seed}: {}", said(&output));
        println!("{name}: {}", said(&output).lines().next().unwrap_or_default());
    }

    // The comparison finds a figure that is wrong, whichever it is.
    let (comparison, report) = &cases[4].1;
    let right = serde_json::to_value(report).unwrap();
    let mut ways = Vec::new();
    for part in ["counts", "lying_share", "agreement", "boxes", "conditions"] {
        numbers(&right[part], &format!("/{part}"), &mut ways);
    }
    // Named by others, or sums of what is compared.
    let others = [
        "/low",
        "/high",
        "_as_",
        "/matched",
        "/missed",
        "/false",
        "/left_out",
        "/labelled",
        "/detected",
        "/right",
    ];
    ways.retain(|way| !others.iter().any(|other| way.contains(other)) || way.contains("interval"));
    assert!(60 < ways.len(), "{ways:?}");
    for way in (0..12)
        .map(|_| &ways[usize::try_from(random.below(u32::try_from(ways.len()).unwrap())).unwrap()])
    {
        let mut wrong = right.clone();
        let number = wrong.pointer_mut(way).unwrap();
        *number = (number.as_f64().unwrap() + 1e-6).into();
        save(dir.path(), comparison, &wrong);
        assert!(!reference(&python, dir.path()).status.success(), "{way} is not compared");
    }
}

#[test]
fn a_report_is_text_and_pictures() {
    let (labels, seen) = herd(&mut Random(7), 200, 12, Times::Event);
    let (comparison, report) = compared(&labels, &seen, Plan::default());
    insta::assert_snapshot!(report.markdown(&["counts.svg"]));
    let plots = plot::all(&comparison, &report.figures).unwrap();
    let names: Vec<&str> = plots.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["counts.svg", "bland-altman.svg", "confusion.svg"]);
    for (name, svg) in &plots {
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{name}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{name}");
    }
    if let Some(dir) = std::env::var_os("ANIMOV_PLOTS") {
        plots.iter().for_each(|(name, svg)| fs::write(Path::new(&dir).join(name), svg).unwrap());
    }
}
