//! `animov detect`: what a model sees in a video, a camera or pictures.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::{Context, bail};
use producers::annotate;
use producers::decode::DecodeOptions;
use producers::detect::Detector;
use producers::detect::onnx::OnnxDetector;
use producers::input::Input;
use producers::inspect::{Sampled, detect_input};
use producers::sample::Cadence;
use schemas::frame::Detection;
use schemas::stop::Stop;
use serde::Serialize;

use super::model::{ModelArgs, stem, stems};
use crate::config::Place;
use crate::exit::Exit;
use crate::output::{self, Output, Reader, tell};
use crate::progress::{Meter, Unit};
use crate::signals;

const ABOUT: &str = r#"Shows what a model sees in videos, cameras or pictures.

Writes one JSON line a sampled picture:

  {"t_ms":0,"detections":[{"class":"person","confidence":0.91,"x":0.1,"y":0.2,"w":0.3,"h":0.4}]}

t_ms counts from the first picture of the input; x and y are the top left corner, and all four are
fractions of the picture's sides. With more than one input each line begins with its name:
{"input":"a.mp4","t_ms":0,…}.

Ends with code 4 if no picture was seen."#;

/// Shows what a model sees in videos, cameras or pictures.
#[derive(clap::Args, Debug)]
#[command(
    long_about = ABOUT,
    after_help = "\
Examples:
  animov detect --model yolox_tiny.onnx barn.mp4
  animov detect --model goats.onnx --every 500ms --annotate seen/ rtsp://192.168.1.20/stream1
  animov detect *.jpg | jq -c '[.input, (.detections | length)]'"
)]
pub(crate) struct Args {
    /// Video or picture files, or rtsp:// and http:// URLs.
    #[arg(required = true, value_name = "VIDEO|URL|IMAGE")]
    inputs: Vec<String>,

    /// Configuration file with a `[detector]` [default: ./animov.toml if there is one]
    #[arg(long, value_name = "FILE", env = "ANIMOV_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,

    #[command(flatten)]
    model: ModelArgs,

    /// Time from one sampled picture to the next, or "frame" for every picture
    #[arg(long, value_name = "DURATION", default_value = "1s")]
    every: Cadence,

    /// Save each sampled picture with its boxes as JPEG in this folder
    #[arg(long, value_name = "DIR")]
    annotate: Option<PathBuf>,

    /// Names of the model's classes, in its order [default: the
    /// configuration's, else as the model says itself]
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    classes: Vec<String>,

    /// Show only these classes [default: all]
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    only: Vec<String>,

    /// Decode only pictures that stand for themselves: faster, and coarser
    #[arg(long)]
    keyframes_only: bool,
}

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<&'a str>,
    t_ms: u64,
    detections: &'a [Detection],
}

/// Looks at every input.
///
/// # Errors
///
/// The model cannot be loaded, or an input not be read; the others are read all
/// the same.
pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    let stop = signals::stop_on_signal()?;
    let config = Place { config: args.config.clone(), state: None }.load()?;
    let mut detector = OnnxDetector::load(&args.model.options(&config, &args.classes))?;
    if let Some(unknown) =
        args.only.iter().find(|only| !detector.classes().iter().any(|c| **c == ***only))
    {
        bail!("the model knows no {unknown:?}; it knows {}", detector.classes().join(", "));
    }
    if let Some(dir) = &args.annotate {
        _ = stems(&args.inputs)?;
        std::fs::create_dir_all(dir)
            .with_context(|| format!("could not make {}", dir.display()))?;
    }
    let mut meter = Meter::new("detect", Unit::Records, 0);
    let mut show = Show { args, out: output::open(None)?, sampled: 0, stop: &stop };
    let mut unread = 0;
    for name in &args.inputs {
        match show.input(name, &mut detector, &mut meter) {
            Ok(Reader::Listens) if !stop.is_stopped() => {}
            Ok(_) => break,
            // It was waiting for the next picture.
            Err(_) if stop.is_stopped() => break,
            Err(error) => {
                unread += 1;
                meter.finish();
                tell(&format!("{error:#}"));
            }
        }
    }
    meter.finish();
    output::unless_closed(show.out.flush())?;
    match (show.sampled, unread) {
        (0, _) => Ok(Exit::Nothing),
        (_, 0) => Ok(Exit::Ok),
        (_, unread) => bail!("{unread} of {} inputs could not be read", args.inputs.len()),
    }
}

/// Where lines go.
struct Show<'a> {
    args: &'a Args,
    out: Output,
    sampled: u64,
    stop: &'a Stop,
}

impl Show<'_> {
    fn input(
        &mut self,
        name: &str,
        detector: &mut dyn Detector,
        meter: &mut Meter,
    ) -> anyhow::Result<Reader> {
        let args = self.args;
        let input = Input::new(name).expanded(crate::config::variable)?;
        let shown = input.to_string();
        let decode = DecodeOptions {
            keyframes_only: args.keyframes_only,
            stop: self.stop.clone(),
            ..DecodeOptions::default()
        };
        let mut ended = Ok(Reader::Listens);
        detect_input(&input, args.every, &decode, detector, |picture| {
            self.sampled += 1;
            meter.at(self.sampled);
            ended = self.picture(&shown, picture);
            match ended {
                Ok(Reader::Listens) if !self.stop.is_stopped() => ControlFlow::Continue(()),
                _ => ControlFlow::Break(()),
            }
        })?;
        ended
    }

    fn picture(&mut self, input: &str, picture: &Sampled<'_>) -> anyhow::Result<Reader> {
        let only = &self.args.only;
        let wanted =
            |found: &&Detection| only.is_empty() || only.iter().any(|class| *class == *found.class);
        let detections: Vec<Detection> =
            picture.detections.iter().filter(wanted).cloned().collect();
        if let Some(dir) = &self.args.annotate {
            let file = dir.join(picture_name(input, picture.t_ms()));
            annotate::save(&file, &picture.pixels, &detections)?;
        }
        let several = 1 < self.args.inputs.len();
        let line =
            Line { input: several.then_some(input), t_ms: picture.t_ms(), detections: &detections };
        let written = serde_json::to_writer(&mut self.out, &line).map_err(Into::into);
        // A line at a time: whoever reads may be waiting for it.
        let written = written.and_then(|()| writeln!(self.out)).and_then(|()| self.out.flush());
        output::unless_closed(written)
    }
}

/// The file that a picture is saved as: the input's name and the time.
fn picture_name(input: &str, t_ms: u64) -> String {
    format!("{}-{t_ms:09}.jpg", stem(input))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_exactly_this() {
        let detections = [Detection {
            class: "person".into(),
            confidence: 0.91,
            x: 0.1,
            y: 0.2,
            w: 0.25,
            h: 0.5,
        }];
        let line = |input, detections| {
            serde_json::to_string(&Line { input, t_ms: 1500, detections }).unwrap()
        };
        insta::assert_snapshot!(line(None, &detections), @r#"{"t_ms":1500,"detections":[{"class":"person","confidence":0.91,"x":0.1,"y":0.2,"w":0.25,"h":0.5}]}"#);
        insta::assert_snapshot!(line(Some("a.mp4"), &[]), @r#"{"input":"a.mp4","t_ms":1500,"detections":[]}"#);
    }

    #[test]
    fn a_picture_is_named_after_its_input_and_time() {
        assert_eq!(picture_name("clips/barn night.mp4", 1500), "barn_night-000001500.jpg");
        assert_eq!(picture_name("rtsp://***@10.0.0.7/main", 0), "main-000000000.jpg");
    }
}
