//! `animov label export`: sampled pictures with the current boxes, to be corrected.

use std::fs;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use accuracy::dataset::{Dataset, Form};
use accuracy::labels::naming;
use anyhow::{Context, bail};
use clap::ValueEnum;
use producers::annotate;
use producers::decode::DecodeOptions;
use producers::detect::onnx::OnnxDetector;
use producers::input::Input;
use producers::inspect::{Sampled, detect_input};
use producers::sample::Cadence;
use schemas::stop::Stop;
use schemas::time::{Clock, SystemClock};

use crate::commands::model::{ModelArgs, stems};
use crate::config::Place;
use crate::exit::Exit;
use crate::output::{self, tell};
use crate::progress::{Meter, Unit};
use crate::signals;

const ABOUT: &str = r#"Writes sampled pictures with the model's current boxes, to be corrected.

Open the folder with a label tool, move, add, remove and rename boxes until they are right, and hand
it back: `animov accuracy --labels DIR --video …`.

As YOLO: images/ and labels/ with classes.txt (labelImg: open images/, save to labels/; Label
Studio: label-studio-converter import yolo -i DIR) and data.yaml (Ultralytics). As COCO: images/
and annotations/instances_default.json (CVAT: upload the pictures, then the annotations as "COCO
1.0").

Pictures of a video are named after it and their time in it: pen1_t000012000.jpg is 12 seconds after
its first picture. Of a camera, NAME.start says when that came; `animov accuracy --start` takes it.
A folder that holds labels already is left as it is.

Ends with code 4 if no picture was seen."#;

/// Writes sampled pictures with the model's current boxes, to be corrected.
#[derive(clap::Args, Debug)]
#[command(
    long_about = ABOUT,
    after_help = "\
Examples:
  animov label export pen1.mp4 pen2.mp4 --out to-label/ --every 30s --model goats.onnx
  animov label export rtsp://192.168.1.20/stream1 --out to-label/ --every 10m --pictures 144
  animov label export *.jpg --out to-label/ --format coco"
)]
pub(super) struct Args {
    /// Video or picture files, or rtsp:// and http:// URLs.
    #[arg(required = true, value_name = "VIDEO|URL|IMAGE")]
    inputs: Vec<String>,

    /// The folder, which is made
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Time from one picture to the next, or "frame" for every picture
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    every: Cadence,

    /// Most pictures of an input [default: all]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pictures: Option<u64>,

    /// How boxes are written
    #[arg(long, value_enum, default_value_t = Format::Yolo)]
    format: Format,

    #[command(flatten)]
    model: ModelArgs,

    /// Names of the model's classes, in its order [default: the
    /// configuration's, else as the model says itself]
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    classes: Vec<String>,

    /// Only boxes of these classes, which get numbers in this order [default:
    /// all, as the model numbers them]
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    only: Vec<String>,

    /// Configuration file with a `[detector]` [default: ./animov.toml if there is one]
    #[arg(long, value_name = "FILE", env = "ANIMOV_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Yolo,
    Coco,
}

/// Inputs of one picture, by their names' ends.
const PICTURES: [&str; 6] = [".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tiff"];

/// Exports.
///
/// # Errors
///
/// The model cannot be loaded, an input not be read, or the folder not be written.
pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let stop = signals::stop_on_signal()?;
    let stems = stems(&args.inputs)?;
    let config = Place { config: args.config.clone(), state: None }.load()?;
    let mut detector = OnnxDetector::load(&args.model.options(&config, &args.classes))?;
    let classes = classes(&args.only, detector.classes())?;
    let form = match args.format {
        Format::Yolo => Form::Yolo,
        Format::Coco => Form::Coco,
    };
    let mut dataset = Dataset::create(&args.out, form, &classes)?;
    let mut meter = Meter::new("label export", Unit::Records, 0);
    let mut unread = 0;
    for (name, stem) in args.inputs.iter().zip(&stems) {
        if stop.is_stopped() {
            break;
        }
        let mut export =
            Export { args, stem, dataset: &mut dataset, meter: &mut meter, stop: &stop };
        if let Err(error) = export.input(name, &mut detector) {
            unread += 1;
            meter.finish();
            tell(&format!("{error:#}"));
        }
    }
    meter.finish();
    let (pictures, boxes) = dataset.finish()?;
    let mut out = output::open(None)?;
    let written = writeln!(out, "pictures={pictures} boxes={boxes} folder={}", args.out.display());
    output::unless_closed(written.and_then(|()| out.flush()))?;
    match (pictures, unread) {
        (0, _) => Ok(Exit::Nothing),
        (_, 0) => Ok(Exit::Ok),
        (_, unread) => bail!("{unread} of {} inputs could not be read", args.inputs.len()),
    }
}

fn classes(only: &[String], known: &[Arc<str>]) -> anyhow::Result<Vec<Arc<str>>> {
    if let Some(unknown) = only.iter().find(|only| !known.iter().any(|class| **class == ***only)) {
        bail!("the model knows no {unknown:?}; it knows {}", known.join(", "));
    }
    match only {
        [] => Ok(known.to_vec()),
        _ => Ok(only.iter().map(|class| class.as_str().into()).collect()),
    }
}

/// One input on its way into the folder.
struct Export<'a> {
    args: &'a Args,
    stem: &'a str,
    dataset: &'a mut Dataset,
    meter: &'a mut Meter,
    stop: &'a Stop,
}

impl Export<'_> {
    fn input(&mut self, name: &str, detector: &mut OnnxDetector) -> anyhow::Result<()> {
        let input = Input::new(name).expanded(crate::config::variable)?;
        let lower = name.to_lowercase();
        let single = PICTURES.iter().any(|ending| lower.ends_with(ending));
        let decode = DecodeOptions { stop: self.stop.clone(), ..DecodeOptions::default() };
        let (mut done, mut ended) = (0, Ok(()));
        detect_input(&input, self.args.every, &decode, detector, |picture| {
            let begun = match done == 0 && input.is_network() {
                true => self.begun(picture),
                false => Ok(()),
            };
            ended = begun.and_then(|()| self.picture(picture, single));
            done += 1;
            self.meter.at(done);
            let enough = self.args.pictures.is_some_and(|most| most <= done);
            match ended.is_ok() && !enough && !self.stop.is_stopped() {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        })?;
        ended
    }

    /// Says when a camera's first picture came, which nobody can know later.
    fn begun(&self, picture: &Sampled<'_>) -> anyhow::Result<()> {
        let first = SystemClock.now().minus(Duration::from_millis(picture.t_ms()));
        let file = self.args.out.join(format!("{}.start", self.stem));
        fs::write(&file, format!("{first}\n"))
            .with_context(|| format!("could not write {}", file.display()))?;
        tell(&format!(
            "the first picture of {} came at {first} ({}): with --start {first}, `animov accuracy` \
             knows when the others were captured",
            self.stem,
            file.display()
        ));
        Ok(())
    }

    fn picture(&mut self, picture: &Sampled<'_>, single: bool) -> anyhow::Result<()> {
        let name = match single {
            true => self.stem.to_owned(),
            false => naming::name_of(self.stem, picture.t_ms()),
        };
        let jpeg = annotate::jpeg(&picture.pixels)?;
        let size = (picture.pixels.width(), picture.pixels.height());
        Ok(self.dataset.add(&name, &jpeg, size, picture.detections)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_of_two_inputs_have_two_names() {
        let names = |inputs: &[&str]| {
            stems(&inputs.iter().map(|input| (*input).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(names(&["a/pen 1.mp4", "b/pen2.mp4"]).unwrap(), ["pen_1", "pen2"]);
        let error = names(&["a/pen.mp4", "b/pen.mp4"]).unwrap_err().to_string();
        assert!(error.contains("a/pen.mp4 and b/pen.mp4"), "{error}");
    }

    #[test]
    fn classes_are_the_models_unless_some_are_chosen() {
        let known = ["standing", "lying", "dog"].map(Arc::from);
        let of = |only: &[&str]| {
            let only: Vec<String> = only.iter().map(|class| (*class).to_owned()).collect();
            classes(&only, &known).map(|classes| classes.join(" "))
        };
        assert_eq!(of(&[]).unwrap(), "standing lying dog");
        assert_eq!(of(&["lying", "standing"]).unwrap(), "lying standing");
        let error = of(&["goat"]).unwrap_err().to_string();
        assert_eq!(error, "the model knows no \"goat\"; it knows standing, lying, dog");
    }
}
