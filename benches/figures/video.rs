//! Decoding against the FFmpeg command, inference against a bare loop around
//! ONNX Runtime.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ort::session::Session;
use ort::value::Tensor;
use producers::decode::{DecodeOptions, Decoder};
use producers::detect::letterbox::{Channels, InputFormat, Placement, Range, Size};
use producers::detect::onnx::{OnnxDetector, OnnxOptions};
use producers::input::Input;
use producers::inspect::decode_and_scale;

use crate::measure::{in_turn, median};
use crate::{Figure, folder, say};

const RUNS: usize = 5;

/// Inferences of one run: enough that loading the model does not show.
const ROUNDS: &str = "300";

pub(crate) fn figures() -> io::Result<Vec<Figure>> {
    let folder = folder()?;
    let video = match shared("videos/street_60s.mp4") {
        Some(video) => video,
        None => make_video(folder.path())?,
    };
    let mut figures = vec![decoding(&video)?];
    match shared("models/yolox_nano_coco.onnx") {
        Some(model) => figures.push(inference(&model)?),
        None => say("inference: left out, no ../shared/models here")?,
    }
    Ok(figures)
}

fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(path);
    path.exists().then_some(path)
}

/// A minute of FFmpeg's test picture, where no real video is at hand.
fn make_video(folder: &Path) -> io::Result<PathBuf> {
    let video = folder.join("test.mp4");
    let made = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-f", "lavfi", "-i", "testsrc2=s=768x576:r=25:d=60"])
        .args(["-c:v", "libx264", "-pix_fmt", "yuv420p"])
        .arg(&video)
        .status()?;
    if made.success() { Ok(video) } else { Err(io::Error::other("ffmpeg made no video")) }
}

fn ourselves(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap_or_default());
    command.args(arguments);
    command
}

fn decoding(video: &Path) -> io::Result<Figure> {
    let name = video.to_string_lossy().into_owned();
    let reference = || {
        let mut command = Command::new("ffmpeg");
        command.args(["-loglevel", "error", "-threads", "1", "-i", &name]);
        command.args(["-vf", "scale=416:312:flags=bilinear", "-pix_fmt", "rgb24"]);
        command.args(["-threads", "1", "-f", "null", "-"]).stderr(Stdio::null());
        command
    };
    let pairs = in_turn(RUNS, || ourselves(&["decode", &name]), reference)?;
    let ours = median(pairs.iter().map(|(ours, _)| ours.cpu).collect());
    let theirs = median(pairs.iter().map(|(_, theirs)| theirs.cpu).collect());
    Ok(Figure {
        what: "decode and scale every picture of a minute of video: speed".to_owned(),
        ours: format!("{ours:.2} CPU s (scaled into the model's planes of floats)"),
        reference: format!("{theirs:.2} CPU s (ffmpeg to 416x312 rgb24, one thread)"),
        ratio: median(pairs.iter().map(|(ours, theirs)| theirs.cpu / ours.cpu).collect()),
        goal: "at least 0.95",
    })
}

fn inference(model: &Path) -> io::Result<Figure> {
    let name = model.to_string_lossy().into_owned();
    let pairs = in_turn(
        RUNS,
        || ourselves(&["detect", &name, ROUNDS]),
        || ourselves(&["bare-onnx", &name, ROUNDS]),
    )?;
    let rounds: f64 = ROUNDS.parse().map_err(io::Error::other)?;
    let each = |cpu: f64| 1000.0 * cpu / rounds;
    let ours = median(pairs.iter().map(|(ours, _)| each(ours.cpu)).collect());
    let bare = median(pairs.iter().map(|(_, bare)| each(bare.cpu)).collect());
    Ok(Figure {
        what: "inference, boxes and suppression included: speed".to_owned(),
        ours: format!("{ours:.2} CPU ms a picture"),
        reference: format!("{bare:.2} CPU ms a picture (session.run alone, one thread)"),
        ratio: median(pairs.iter().map(|(ours, bare)| bare.cpu / ours.cpu).collect()),
        goal: "at least 0.95",
    })
}

/// What YOLOX wants to be shown.
const FORMAT: InputFormat = InputFormat {
    size: Size { width: 416, height: 416 },
    placement: Placement::TopLeft,
    channels: Channels::Bgr,
    range: Range::Byte,
};

/// The child that decodes and scales.
pub(crate) fn decode(file: &str) -> io::Result<()> {
    let pictures = decode_and_scale(&Input::new(file), FORMAT, &DecodeOptions::default())
        .map_err(io::Error::other)?;
    say(&format!("{pictures} pictures"))
}

/// The child that detects: our own way from the prepared input to boxes.
pub(crate) fn detect(model: &str, rounds: &str) -> io::Result<()> {
    let rounds: u32 = rounds.parse().map_err(io::Error::other)?;
    let mut detector = OnnxDetector::load(&OnnxOptions::new(model)).map_err(io::Error::other)?;
    if let Some(video) = shared("videos/street_60s.mp4") {
        let input = Input::new(video.to_string_lossy());
        let mut decoder =
            Decoder::open(&input, &DecodeOptions::default()).map_err(io::Error::other)?;
        decoder.advance().map_err(io::Error::other)?;
        detector.prepare(&decoder.pixels().map_err(io::Error::other)?);
    }
    let mut found = Vec::new();
    for _ in 0..rounds {
        detector.infer(&mut found).map_err(io::Error::other)?;
    }
    say(&format!("{} boxes", found.len()))
}

/// The child that only runs the session.
pub(crate) fn bare(model: &str, rounds: &str) -> io::Result<()> {
    let rounds: u32 = rounds.parse().map_err(io::Error::other)?;
    let library = std::env::var("ORT_DYLIB_PATH").map_err(io::Error::other)?;
    let failed = |error: ort::Error| io::Error::other(error.message().to_owned());
    let environment = ort::init_from(library).map_err(io::Error::other)?.build().map_err(failed)?;
    let mut session = Session::builder(&environment)
        .map_err(failed)?
        .with_intra_threads(1)
        .map_err(|error| io::Error::other(error.to_string()))?
        .commit_from_file(model)
        .map_err(failed)?;
    let pixels = vec![114.0_f32; 3 * 416 * 416];
    let input = Tensor::from_array(([1, 3, 416, 416], pixels)).map_err(failed)?;
    let mut values = 0;
    for _ in 0..rounds {
        let outputs = session.run([(&input).into()]).map_err(failed)?;
        values = outputs[0].try_extract_tensor::<f32>().map_err(failed)?.1.len();
    }
    say(&format!("{values} values"))
}
