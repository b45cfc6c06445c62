//! Films of a rendered herd, and their truth.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use accuracy::labels::naming;
use anyhow::{Context, bail};
use pen::{PenSpec, VISIBLE_MIN};
use schemas::source::SourceId;
use schemas::stop::Stop;
use schemas::time::{UnixMillis, millis};

use super::herd::{DayArgs, PictureSize};
use super::labels;
use crate::commands::model::fraction;
use crate::exit::Exit;
use crate::film::{Film, Filming};
use crate::output::tell;
use crate::progress::{Meter, Unit};
use crate::signals;

/// Pictures from one that stands for itself to the next, at most.
const KEYFRAME_EVERY: u32 = 60;

/// Films a rendered herd whose truth is known.
///
/// Writes for each source DIR/pen1.mp4, its truth as DIR/pen1.truth.ndjson (one
/// line a picture: every animal's box, posture, behaviour, and how much of it is
/// visible), and DIR/pen1.labels/ with one YOLO label file a picture. The same
/// options are the same films.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  animov simulate video --out films
  animov simulate video --out films --sources 4 --animals 20 --for 24h --every 10s
  animov simulate video --out films --for 20s --every 40ms --size 1280x720 --start 2026-03-01T13:00:00Z
  animov accuracy --video films/pen1.mp4 --labels films/pen1.truth.ndjson")]
pub(crate) struct VideoArgs {
    /// Folder for the films; made if there is none
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Sources, each a pen of its own, numbered from 1
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..))]
    sources: i32,

    /// Animals in each pen, 1 to 30
    #[arg(long, value_name = "NUMBER", default_value_t = 12)]
    animals: u32,

    /// Time from the first picture to the end
    #[arg(long = "for", value_name = "DURATION", default_value = "10m", value_parser = humantime::parse_duration)]
    lasting: Duration,

    /// Time from one picture to the next; 40ms is a smooth film, 1s is what
    /// animov samples
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = humantime::parse_duration)]
    every: Duration,

    /// Another seed is another pen, camera, light and herd
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// When the first picture is captured: RFC 3339, a date, or milliseconds
    /// since 1970
    #[arg(long, value_name = "TIME", default_value = "2026-03-01T09:00:00Z")]
    start: UnixMillis,

    /// Width and height of the pictures, pixels
    #[arg(long, value_name = "WIDTHxHEIGHT", default_value = "640x360")]
    size: PictureSize,

    /// How coarse the video is, 0 to 51; cameras look like 23 to 32
    #[arg(long, value_name = "NUMBER", default_value_t = 26, value_parser = clap::value_parser!(u8).range(0..=51))]
    crf: u8,

    /// Nothing moves: every picture shows the first moment
    #[arg(long)]
    still: bool,

    /// No label files, only the truth
    #[arg(long)]
    no_labels: bool,

    /// Label an animal if at least this much of it is visible, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = VISIBLE_MIN, value_parser = fraction::<f32>)]
    visible_min: f32,

    #[command(flatten)]
    day: DayArgs,
}

pub(super) fn run(args: &VideoArgs) -> anyhow::Result<Exit> {
    let every = millis(args.every);
    if every < 1 {
        bail!("--every is less than 1ms");
    }
    let pictures = u64::try_from(millis(args.lasting) / every).unwrap_or(0).max(1);
    let spec = args.day.spec(args.seed, args.animals, args.size)?;
    fs::create_dir_all(&args.out)
        .with_context(|| format!("could not make the folder {}", args.out.display()))?;
    let sources: Vec<SourceId> = (1..=args.sources)
        .map(|number| SourceId::try_from(i64::from(number)))
        .collect::<Result<_, _>>()?;
    let stop = signals::stop_on_signal()?;
    let total = pictures.saturating_mul(u64::try_from(sources.len()).unwrap_or(1));
    let progress = Progress {
        done: AtomicU64::new(0),
        meter: Mutex::new(Meter::new("simulate video", Unit::Records, total)),
    };
    let at_once = std::thread::available_parallelism().map_or(1, usize::from);
    for some in sources.chunks(at_once) {
        if stop.is_stopped() {
            break;
        }
        std::thread::scope(|scope| {
            let films: Vec<_> = some
                .iter()
                .map(|source| {
                    let (spec, stop, progress) = (spec.clone(), &stop, &progress);
                    scope.spawn(move || {
                        let filmed = film(args, spec, *source, pictures, stop, progress);
                        if filmed.is_err() {
                            // Its error is told now, and not when the others end.
                            stop.stop();
                        }
                        filmed
                    })
                })
                .collect();
            films.into_iter().try_for_each(|film| match film.join() {
                Ok(filmed) => filmed,
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })?;
    }
    progress.finish();
    match stop.is_stopped() {
        true => bail!("stopped; the films in {} end early", args.out.display()),
        false => Ok(Exit::Ok),
    }
}

/// How far all films together are.
struct Progress {
    done: AtomicU64,
    meter: Mutex<Meter>,
}

impl Progress {
    fn one_more(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        // Whoever comes meanwhile does not wait to tell.
        if let Ok(mut meter) = self.meter.try_lock() {
            meter.at(done);
        }
    }

    fn finish(&self) {
        if let Ok(meter) = self.meter.lock() {
            meter.finish();
        }
    }
}

/// Films one source.
fn film(
    args: &VideoArgs,
    spec: PenSpec,
    source: SourceId,
    pictures: u64,
    stop: &Stop,
    progress: &Progress,
) -> anyhow::Result<()> {
    let name = format!("pen{}", source.get());
    let filming = Filming {
        crf: args.crf,
        every: args.every,
        keyframe_every: KEYFRAME_EVERY,
        started_at: args.start,
    };
    let file = args.out.join(format!("{name}.mp4"));
    let mut film = Film::mp4(spec, source, &filming, create(&file)?)
        .with_context(|| format!("could not begin {}", file.display()))?;
    let truth_file = args.out.join(format!("{name}.truth.ndjson"));
    let mut truths = BufWriter::new(create(&truth_file)?);
    let label_dir = args.out.join(format!("{name}.labels"));
    labels::remove(&label_dir, &name)?;
    if !args.no_labels {
        fs::create_dir_all(&label_dir)
            .with_context(|| format!("could not make the folder {}", label_dir.display()))?;
        labels::write_classes(&label_dir)?;
    }
    let mut at = args.start;
    for _ in 0..pictures {
        if stop.is_stopped() {
            break;
        }
        let shown = if args.still { args.start } else { at };
        let after = at.since(args.start);
        let mut truth = film
            .add(shown, after)
            .with_context(|| format!("could not go on with {}", file.display()))?;
        truth.t_ms = millis(after);
        truth.captured_at = at;
        serde_json::to_writer(&mut truths, &truth)
            .map_err(Into::into)
            .and_then(|()| truths.write_all(b"\n"))
            .with_context(|| format!("could not write {}", truth_file.display()))?;
        if !args.no_labels {
            let file = label_dir.join(naming::name_of(&name, u64::try_from(truth.t_ms)?) + ".txt");
            let labelled = truth.animals.iter().filter(|one| args.visible_min <= one.visible);
            labels::write_yolo(&file, labelled, false)?;
        }
        at = at.plus(args.every);
        progress.one_more();
    }
    film.finish().with_context(|| format!("could not finish {}", file.display()))?;
    truths.flush().with_context(|| format!("could not write {}", truth_file.display()))?;
    tell(&format!("{}: its truth is {}", file.display(), truth_file.display()));
    Ok(())
}

fn create(file: &Path) -> anyhow::Result<File> {
    File::create(file).with_context(|| format!("could not write {}", file.display()))
}
