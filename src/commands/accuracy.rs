//! `animov accuracy`: detections against labels.

mod file;
mod frames;
mod keep;
mod pictures;
mod seen;
mod truth;
mod write;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use accuracy::bootstrap::{Block, Plan};
use accuracy::comparison::{Comparison, Found, Seen};
use accuracy::figures::Figures;
use accuracy::labels::{Form, Labels};
use accuracy::pairing::{Pairs, pair};
use accuracy::posture::Postures;
use accuracy::report::{Frames, Report, Setting};
use anyhow::{Context, bail};
use clap::ValueEnum;
use producers::sample::Cadence;
use schemas::source::SourceId;
use schemas::time::{UnixMillis, millis};

use super::import::Renaming;
use super::model::{ModelArgs, fraction};
use crate::config::{Config, Place};
use crate::exit::Exit;
use crate::output::tell;
use crate::signals;

use seen::Looked;

const ABOUT: &str = r#"Measures detections against labels: how wrong they are, and how sure that is.

Labels say what is in a picture. They are a folder of YOLO text files, a COCO JSON file, a CSV of
an observer's headcounts (a column captured_at or t_ms, and one a class), or the truth beside a
rendered video (newline JSON). `animov label export` makes pictures with the current boxes to
correct. Without labels there is no accuracy.

Detections are what a model finds now in the labelled pictures of a video (--video) or in single
pictures (--images), what the cameras of a site recorded (--frames), or what `animov detect`
printed (--detections).

Label and picture know each other by time: pen1_t000012000.txt is 12 seconds after the video's
first picture; with --fps the digits at a name's end are the picture's number; --start says when a
video began, where one side has event times. Single pictures and their labels have the same names.

An animal and a detection whose boxes overlap by --iou are one, whatever their classes. Boxes give
the confusion of postures, precision and recall; headcounts only figures of counts and shares.
Intervals are bootstraps of whole minutes (or --block hour), since frames next to each other are
not independent. One run measures one source.

Prints the report as Markdown. --out DIR also keeps it there, with report.json, plots (SVG), and
frames.csv and boxes.csv, from which every figure can be computed again. With --source and a site
(--frames, --state or --config) the site's tables keep it, and GET /v1/sources/{source}/accuracy tells
it."#;

/// Measures detections against labels.
#[derive(clap::Args, Debug)]
#[command(
    long_about = ABOUT,
    after_help = "\
Examples:
  animov accuracy --labels corrected/ --video pen.mp4 --model goats.onnx --out accuracy/
  animov accuracy --labels truth.ndjson --video herd.mp4 --model goats.onnx
  animov accuracy --labels observer.csv --frames --source 3 --from 2026-03-01 --to 2026-03-02
  animov accuracy --labels corrected/ --detections found.ndjson   # of animov detect"
)]
pub(crate) struct Args {
    /// What is in the pictures: a folder (YOLO), or a .json (COCO), .csv
    /// (headcounts) or .ndjson (truth) file
    #[arg(long, value_name = "PATH")]
    labels: Option<PathBuf>,

    /// How the labels are written [default: by their name]
    #[arg(long, value_enum, value_name = "FORM")]
    labels_form: Option<LabelsForm>,

    /// Look at the labelled pictures of this video
    #[arg(long, value_name = "FILE", group = "detections_from")]
    video: Option<String>,

    /// Look at the labelled pictures (JPEG, PNG) of this folder
    #[arg(long, value_name = "DIR", group = "detections_from")]
    images: Option<PathBuf>,

    /// Take the frames that the site's log holds
    #[arg(long, group = "detections_from")]
    frames: bool,

    /// Take what `animov detect` printed
    #[arg(long, value_name = "FILE", group = "detections_from")]
    detections: Option<PathBuf>,

    /// Of several inputs in --detections, this one
    #[arg(long, value_name = "NAME", requires = "detections")]
    input: Option<String>,

    #[command(flatten)]
    model: ModelArgs,

    #[command(flatten)]
    place: Place,

    /// Whose frames, and whose result it is; with --frames, --state or --config the
    /// result is kept in the site's tables, too
    #[arg(long, value_name = "NUMBER")]
    source: Option<SourceId>,

    /// Only what was captured at or after this moment: RFC 3339, a date (its
    /// midnight, UTC) or milliseconds since 1970
    #[arg(long, value_name = "TIME")]
    from: Option<UnixMillis>,

    /// Only what was captured before this moment
    #[arg(long, value_name = "TIME")]
    to: Option<UnixMillis>,

    /// When the video's first picture was captured
    #[arg(long, value_name = "TIME")]
    start: Option<UnixMillis>,

    /// How far label and picture may be apart [default: 5ms; 500ms for frames of
    /// the log]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    tolerance: Option<Duration>,

    /// Of labels with times, at most one in so long [default: all]
    #[arg(long, value_name = "DURATION")]
    every: Option<Cadence>,

    /// Names of YOLO's classes, in the order of their numbers [default: as
    /// data.yaml or classes.txt beside the labels say, else standing,lying]
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    classes: Vec<String>,

    /// What the labels call LABEL the detector calls CLASS
    #[arg(long, value_name = "CLASS=LABEL")]
    rename: Vec<Renaming>,

    /// Compare only these classes [default: all that the labels name]
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    only: Vec<String>,

    /// Columns of headcounts that are no class
    #[arg(long, value_name = "COLUMN")]
    ignore: Vec<String>,

    /// Only labels whose names begin so
    #[arg(long, value_name = "PREFIX")]
    named: Option<String>,

    /// Pictures a second, where names of labels end with a picture's number
    #[arg(long, value_name = "NUMBER")]
    fps: Option<f64>,

    /// With --fps: the number of the first picture
    #[arg(long, value_name = "NUMBER", default_value_t = 0, requires = "fps")]
    first: u64,

    /// What the sixth number of a line of YOLO's labels is
    #[arg(long, value_enum, default_value_t = Sixth::Confidence)]
    sixth: Sixth,

    /// Do not ask for animals of which less is visible, where labels say so
    #[arg(long, value_name = "FRACTION", default_value_t = 0.25, value_parser = fraction::<f64>)]
    visible_min: f64,

    /// From this overlap on (intersection over union), boxes are of one animal
    #[arg(long, value_name = "FRACTION", default_value_t = 0.5, value_parser = fraction::<f64>)]
    iou: f64,

    /// Classes that lie [default: those of the configuration's metric `lying`]
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    lying: Vec<String>,

    /// Classes that stand [default: those of the metric `standing`]
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    standing: Vec<String>,

    /// What the bootstrap draws as one
    #[arg(long, value_enum, default_value_t = DrawnBlock::Minute)]
    block: DrawnBlock,

    /// Draws of the bootstrap, at most 100000
    #[arg(long, value_name = "NUMBER", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    draws: u32,

    /// Another seed is another bootstrap
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,

    /// Keep the report in this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LabelsForm {
    Yolo,
    Coco,
    Counts,
    Truth,
}

impl From<LabelsForm> for Form {
    fn from(form: LabelsForm) -> Form {
        match form {
            LabelsForm::Yolo => Form::Yolo,
            LabelsForm::Coco => Form::Coco,
            LabelsForm::Counts => Form::Counts,
            LabelsForm::Truth => Form::Truth,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Sixth {
    /// How sure somebody was; passed over
    Confidence,
    /// How much of the animal is visible, as `animov simulate pictures` writes it
    Visible,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DrawnBlock {
    Minute,
    Hour,
}

/// The usual tolerance of pictures whose time is exact.
const EXACT: Duration = Duration::from_millis(5);

/// The usual tolerance of recorded frames: an observer notes whole seconds, and a camera
/// looks once in one.
const RECORDED: Duration = Duration::from_millis(500);

impl Args {
    fn tolerance_ms(&self) -> i64 {
        millis(self.tolerance.unwrap_or(if self.frames { RECORDED } else { EXACT }))
    }

    fn plan(&self) -> Plan {
        let block = match self.block {
            DrawnBlock::Minute => Block::Minute,
            DrawnBlock::Hour => Block::Hour,
        };
        Plan { draws: self.draws, seed: self.seed, block }
    }

    /// The classes of each posture.
    fn postures(&self, config: &Config) -> Postures {
        let of_metric = |name: &str| {
            let metric = config.metrics.declared_classes().find(|(metric, _)| *metric == name);
            metric.map(|(_, classes)| classes.to_vec()).unwrap_or_default()
        };
        let classes = |given: &[String], metric: &str| {
            let names = if given.is_empty() { of_metric(metric) } else { given.to_vec() };
            names.into_iter().map(Arc::from).collect()
        };
        Postures {
            lying: classes(&self.lying, &config.animov.lying),
            standing: classes(&self.standing, &config.animov.standing),
        }
    }
}

/// Measures.
///
/// # Errors
///
/// There are no labels, or they do not fit the pictures; something cannot be read.
pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    let config = args.place.load()?;
    let stop = signals::stop_on_signal()?;
    let labels = truth::labels(args)?;
    if labels.classes_guessed {
        tell(
            "no classes.txt or data.yaml names the classes of the labels: 0 is taken to be \
              standing and 1 lying; say otherwise with --classes NAME,…",
        );
    }
    let looked = seen::look(args, &config, &labels, &stop)?;
    if stop.is_stopped() {
        bail!("stopped before all labelled pictures were looked at");
    }
    let measured = report(args, &config, &labels, &looked)?;
    write::write(args.out.as_deref(), &measured)?;
    keep::keep(args, &config, &measured.report)?;
    Ok(Exit::Ok)
}

/// A report, and what it is made of.
struct Measured {
    report: Report,
    comparison: Comparison,
}

fn report(
    args: &Args,
    config: &Config,
    labels: &Labels,
    looked: &Looked,
) -> anyhow::Result<Measured> {
    let pairs = pairs(args, labels, &looked.seen)?;
    let postures = args.postures(config);
    let classes = classes(args, labels, &postures);
    named_alike(&classes, labels, &looked.seen)?;
    let comparison = Comparison::new(labels, &looked.seen, &pairs.pairs, classes, args.iou);
    let plan = args.plan();
    let figures = Figures::of(&comparison, &postures, &plan);
    let setting = Setting {
        source: args.source,
        labels: args.labels.as_ref().map(|p| p.display().to_string()).unwrap_or_default(),
        labels_form: labels.form_told(),
        detections: looked.from.clone(),
        model: looked.model.clone(),
        confidence: looked.confidence,
        iou_min: args.iou,
        visible_min: (labels.form == Form::Truth || args.sixth == Sixth::Visible)
            .then_some(args.visible_min),
        lying: postures.lying,
        standing: postures.standing,
        bootstrap: plan,
    };
    let frames = Frames::of(&comparison, (pairs.labels_alone, pairs.pictures_alone));
    Ok(Measured { report: Report { setting, frames, figures }, comparison })
}

fn pairs(args: &Args, labels: &Labels, seen: &[Seen]) -> anyhow::Result<Pairs> {
    let of_labels: Vec<_> = labels.pictures.iter().map(|label| &label.picture).collect();
    let of_seen: Vec<_> = seen.iter().map(|seen| &seen.picture).collect();
    let origin = |at: usize| labels.pictures[at].origin.clone();
    let pairs = match seen {
        [] => Pairs { labels_alone: of_labels.len(), ..Pairs::default() },
        _ => pair(&of_labels, &of_seen, args.tolerance_ms(), origin)?,
    };
    if pairs.pairs.is_empty() {
        let first = of_labels.first().map(ToString::to_string).unwrap_or_default();
        bail!(
            "none of the {} labels is about one of the {} pictures (the first label is about \
             {first}); look at names and times, and at --start, --fps and --tolerance",
            of_labels.len(),
            of_seen.len(),
        );
    }
    Ok(pairs)
}

/// What is compared: what was asked for, or what the labels name. A renderer's truth names
/// only what it shows, so that both postures are taken to have been looked for.
fn classes(args: &Args, labels: &Labels, postures: &Postures) -> Vec<Arc<str>> {
    if !args.only.is_empty() {
        return args.only.iter().map(|class| class.as_str().into()).collect();
    }
    let mut classes = labels.classes.clone();
    if labels.form == Form::Truth {
        for class in postures.standing.iter().chain(&postures.lying) {
            if !classes.contains(class) {
                classes.push(Arc::clone(class));
            }
        }
    }
    classes
}

/// Whether detections have any class that is compared: else a name is wrong, and every
/// figure would be of that.
fn named_alike(classes: &[Arc<str>], labels: &Labels, seen: &[Seen]) -> anyhow::Result<()> {
    let mut found: Vec<&Arc<str>> = Vec::new();
    for seen in seen {
        match &seen.found {
            Found::Boxes(boxes) => found.extend(boxes.iter().map(|b| &b.class)),
            Found::Counts(counts) => found.extend(counts.keys()),
        }
        found.sort_unstable();
        found.dedup();
    }
    if found.is_empty() || found.iter().any(|class| classes.contains(class)) {
        return Ok(());
    }
    let list = |of: &mut dyn Iterator<Item = &str>| of.collect::<Vec<_>>().join(", ");
    bail!(
        "the labels know {}, the detections {}: say what is what with --rename CLASS=LABEL",
        list(&mut labels.classes.iter().map(|class| &**class)),
        list(&mut found.iter().map(|class| &***class)),
    )
}

/// Fails with what there is to do if `path` cannot be read as labels.
fn form_of(args: &Args, path: &std::path::Path) -> anyhow::Result<Form> {
    if !path.exists() {
        bail!("there are no labels at {}", path.display());
    }
    let form = args.labels_form.map(Form::from).or_else(|| Form::of(path));
    form.with_context(|| {
        format!("how are the labels {} written? Say it with --labels-form", path.display())
    })
}
