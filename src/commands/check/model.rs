//! `animov check model`: what a model file is, and whether animov can use it.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use producers::decode::{DecodeOptions, Decoder};
use producers::detect::Detector;
use producers::detect::contract::{Contract, Family};
use producers::detect::letterbox::{Channels, InputFormat, Placement, Range};
use producers::detect::onnx::OnnxDetector;
use producers::detect::suppress::Rivalry;
use producers::input::Input;
use producers::pixels::Pixels;
use schemas::frame::Detection;

use crate::config::{Config, Place};
use crate::exit::Exit;
use crate::output;

/// Classes whose metrics are told.
const SHOWN_MAX: usize = 8;

/// Pictures that are timed; the median is told.
const RUNS: usize = 21;

/// Tells what a model file is, and whether animov can use it.
///
/// Loads it, recognises its contract, names its classes, runs it and takes the
/// time, and says which of the site's metrics its classes count into. Ends with
/// code 1 if it cannot be used.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  animov check model
  animov check model best.onnx
  animov check model best.onnx --picture barn.jpg --classes standing,lying")]
pub(crate) struct CheckModelArgs {
    /// The model, an ONNX file [default: the configuration's, else the built-in one]
    #[arg(value_name = "FILE")]
    model: Option<PathBuf>,

    /// Names of the model's classes, in its order [default: the configuration's,
    /// else as the model says itself]
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    classes: Vec<String>,

    /// Look at this picture, or the first one of this video [default: a plain
    /// grey one]
    #[arg(long, value_name = "IMAGE|VIDEO")]
    picture: Option<String>,

    /// ONNX Runtime's library [default: the configuration's, else looked for]
    #[arg(long, value_name = "FILE")]
    runtime: Option<PathBuf>,

    #[command(flatten)]
    place: Place,
}

pub(super) fn run(args: &CheckModelArgs) -> anyhow::Result<Exit> {
    let config = args.place.load()?;
    let mut options = config.detector.options(args.model.as_ref());
    if !args.classes.is_empty() {
        options.classes.clone_from(&args.classes);
    }
    if let Some(runtime) = &args.runtime {
        options.runtime = Some(runtime.clone());
    }
    let mut detector = OnnxDetector::load(&options)?;
    let bytes = options.model.read().context("could not read the model again")?.len();
    let trial = match &args.picture {
        Some(picture) => on_picture(&mut detector, picture)?,
        None => on_grey(&mut detector)?,
    };
    let contract = detector.contract();
    let lines = [
        ("model", format!("{}, {}", options.model, size(bytes))),
        (
            "hash",
            format!("{} (the beginning of its SHA-256, as frames carry it)", detector.model().hash),
        ),
        ("contract", contract_text(contract)),
        ("input", format!("{}, {}", contract.input, input_text(detector.input_format()))),
        ("classes", classes_text(&detector)),
        ("boxes", boxes_text(&detector)),
        ("metrics", metrics_text(&config, &detector)),
        ("test", trial),
    ];
    let mut out = output::open(None)?;
    let written = lines.iter().try_for_each(|(what, text)| writeln!(out, "{what:<9} {text}"));
    output::unless_closed(written.and_then(|()| out.flush()))?;
    Ok(Exit::Ok)
}

fn size(bytes: usize) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000)
}

fn contract_text(contract: &Contract) -> String {
    let family = match contract.family {
        Family::Yolox => "YOLOX, raw",
        Family::Ultralytics => "Ultralytics YOLOv8 and v11",
    };
    format!("{family}, {} boxes an answer", contract.anchors)
}

/// Which boxes are counted.
fn boxes_text(detector: &OnnxDetector) -> String {
    let Rivalry { iou_max, class_agnostic } = detector.rivalry();
    let of = if class_agnostic { "" } else { " of one class" };
    format!(
        "counted if surer than {}; two{of} that overlap by more than {iou_max} are one animal",
        detector.confidence()
    )
}

fn input_text(format: InputFormat) -> String {
    let channels = match format.channels {
        Channels::Rgb => "RGB",
        Channels::Bgr => "BGR",
    };
    let range = match format.range {
        Range::Unit => "0 to 1",
        Range::Byte => "0 to 255",
    };
    let place = match format.placement {
        Placement::TopLeft => "the picture in the top left corner, the rest grey",
        Placement::Centre => "the picture in the centre, the rest grey",
        Placement::Stretch => "the picture stretched over all of it",
    };
    format!("{channels} {range}, {place}")
}

fn classes_text(detector: &OnnxDetector) -> String {
    let numbered = detector.classes().iter().enumerate();
    numbered.map(|(number, name)| format!("{number} {name}")).collect::<Vec<_>>().join(", ")
}

/// Which metrics each class counts into.
fn metrics_text(config: &Config, detector: &OnnxDetector) -> String {
    let rules = detector.classes().iter().map(|class| {
        let metrics = config.metrics.metrics_of(class);
        let metrics: Vec<&str> = metrics.iter().map(AsRef::as_ref).collect();
        (class, metrics.join(" and "))
    });
    let mut parts: Vec<String> =
        rules.map(|(class, metrics)| format!("{class} counts as {metrics}")).collect();
    if SHOWN_MAX < parts.len() {
        let more = parts.len() - SHOWN_MAX;
        parts.truncate(SHOWN_MAX);
        parts.push(format!("and {more} more classes"));
    }
    let counts_as = |metric: &Arc<str>| {
        detector.classes().iter().any(|class| config.metrics.metrics_of(class).contains(metric))
    };
    let postures = [&config.animov.lying, &config.animov.standing];
    if let Some(missing) = postures.into_iter().find(|metric| !counts_as(metric)) {
        parts.push(format!(
            "NOTE: none counts as {missing}; write in [metrics] which does, or name the classes \
             with detector.classes"
        ));
    }
    parts.join("; ")
}

fn on_picture(detector: &mut OnnxDetector, picture: &str) -> anyhow::Result<String> {
    let input = Input::new(picture).expanded(crate::config::variable)?;
    let mut decoder = Decoder::open(&input, &DecodeOptions::default())?;
    anyhow::ensure!(decoder.advance()?.is_some(), "{input} has no picture");
    let pixels = decoder.pixels()?;
    let (found, took) = timed(detector, &pixels)?;
    Ok(format!("{input}: {}, {took}", found_text(&found)))
}

fn on_grey(detector: &mut OnnxDetector) -> anyhow::Result<String> {
    let grey = vec![128; 640 * 360 * 3];
    let (found, took) = timed(detector, &Pixels::new(640, 360, 640 * 3, &grey)?)?;
    Ok(format!("a plain grey picture of 640 x 360: {}, {took}", found_text(&found)))
}

fn found_text(found: &[Detection]) -> String {
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    for detection in found {
        *counts.entry(&detection.class).or_default() += 1;
    }
    match counts.is_empty() {
        true => "nothing found".to_owned(),
        false => {
            let counts = counts.iter().map(|(class, count)| format!("{count} {class}"));
            counts.collect::<Vec<_>>().join(", ")
        }
    }
}

/// What is found, and how long it takes, scaling included.
fn timed(
    detector: &mut OnnxDetector,
    pixels: &Pixels<'_>,
) -> anyhow::Result<(Vec<Detection>, String)> {
    let mut found = Vec::new();
    let mut took: Vec<Duration> = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let begun = Instant::now();
        detector.detect(pixels, &mut found)?;
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    let millis = took[RUNS / 2].as_secs_f64() * 1000.0;
    Ok((found, format!("{millis:.1} ms a picture on one thread (median of {RUNS})")))
}
