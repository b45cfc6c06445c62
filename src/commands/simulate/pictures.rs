//! Labelled pictures of many pens: what a detector is trained on.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use accuracy::labels::naming;
use anyhow::{Context, bail};
use pen::{ANIMALS_MAX, PenSpec, Truth};
use producers::annotate;
use producers::decode::{DecodeOptions, Decoder};
use producers::input::Input;
use schemas::source::SourceId;
use schemas::time::UnixMillis;

use super::herd::{DayArgs, PictureSize};
use super::labels;
use crate::exit::Exit;
use crate::film::{Film, Filming};
use crate::progress::{Meter, Unit};
use crate::signals;

/// Photographs many rendered pens, to train a detector on.
///
/// Writes DIR/images/*.jpg and DIR/labels/*.txt as YOLO training sets have them;
/// each label has a sixth number, how much of the animal is visible (`animov
/// accuracy --sixth visible`). Each scene is
/// another pen, camera, light, size of picture and herd of 1 to 30, shown at
/// moments spread over a day; its pictures are filmed and decoded again, so that
/// they have what cameras' compression leaves of them.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  animov simulate pictures --scenes 1500 --per-scene 12 --out train
  animov simulate pictures --scenes 120 --per-scene 10 --seed 900000 --out validation")]
pub(crate) struct PicturesArgs {
    /// Folder for images and labels; made if there is none
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Pens
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    scenes: u64,

    /// Pictures of each pen
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    per_scene: u32,

    /// Seed of the first pen; each further one has the next
    #[arg(long, default_value_t = 1)]
    seed: u64,

    #[command(flatten)]
    day: DayArgs,
}

/// Sizes of pictures: most cameras' second streams, and some larger ones.
const SIZES: [PictureSize; 6] = [
    PictureSize { width: 640, height: 360 },
    PictureSize { width: 640, height: 360 },
    PictureSize { width: 704, height: 396 },
    PictureSize { width: 640, height: 480 },
    PictureSize { width: 854, height: 480 },
    PictureSize { width: 1280, height: 720 },
];
const CRF: [u8; 5] = [20, 24, 27, 30, 33];
const KEYFRAME_EVERY: u32 = 12;

/// 2026-03-01T00:00:00Z.
const FIRST_DAY: UnixMillis = UnixMillis::new(1_772_323_200_000);
const DAY: Duration = Duration::from_hours(24);

pub(super) fn run(args: &PicturesArgs) -> anyhow::Result<Exit> {
    for folder in ["images", "labels"] {
        let folder = args.out.join(folder);
        fs::create_dir_all(&folder)
            .with_context(|| format!("could not make the folder {}", folder.display()))?;
    }
    labels::write_classes(&args.out)?;
    let stop = signals::stop_on_signal()?;
    let total = args.scenes.saturating_mul(args.per_scene.into());
    let mut meter = Meter::new("simulate pictures", Unit::Records, total);
    for scene in 0..args.scenes {
        if stop.is_stopped() {
            bail!("stopped after {scene} of {} scenes", args.scenes);
        }
        Scene::new(args, args.seed.wrapping_add(scene))?.photograph(args)?;
        meter.at((scene + 1).saturating_mul(args.per_scene.into()));
    }
    meter.finish();
    Ok(Exit::Ok)
}

/// One pen and the way it is filmed.
struct Scene {
    name: String,
    spec: PenSpec,
    crf: u8,
    /// How far the moments are shifted, of one day by one picture.
    shift: Duration,
}

impl Scene {
    /// The scene of a seed: everything that is not the pen's own is drawn from its
    /// digits.
    fn new(args: &PicturesArgs, seed: u64) -> anyhow::Result<Scene> {
        let drawn = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, &seed.to_le_bytes());
        let [a, b, c, d, ..] = drawn.into_bytes();
        let animals = 1 + u32::from(a) % ANIMALS_MAX;
        let size = SIZES[usize::from(b) % SIZES.len()];
        let apart = DAY / args.per_scene;
        Ok(Scene {
            name: format!("scene{seed:07}"),
            spec: args.day.spec(seed, animals, size)?,
            crf: CRF[usize::from(c) % CRF.len()],
            shift: apart.mul_f64(f64::from(d) / 256.0),
        })
    }

    fn photograph(&self, args: &PicturesArgs) -> anyhow::Result<()> {
        let film = args.out.join(format!("{}.mp4", self.name));
        let kept = self.film(args, &film).and_then(|truths| self.keep(args, &film, &truths));
        fs::remove_file(&film).with_context(|| format!("could not remove {}", film.display()))?;
        kept
    }

    /// Films the scene, a picture a second, and tells what each shows.
    fn film(&self, args: &PicturesArgs, film: &Path) -> anyhow::Result<Vec<Truth>> {
        let filming = Filming {
            crf: self.crf,
            every: Duration::from_secs(1),
            keyframe_every: KEYFRAME_EVERY,
            started_at: FIRST_DAY,
        };
        let file =
            File::create(film).with_context(|| format!("could not write {}", film.display()))?;
        let mut film = Film::mp4(self.spec.clone(), SourceId::try_from(1)?, &filming, file)?;
        let mut truths = Vec::new();
        let mut at = FIRST_DAY.plus(self.shift);
        for number in 0..args.per_scene {
            truths.push(film.add(at, Duration::from_secs(number.into()))?);
            at = at.plus(DAY / args.per_scene);
        }
        film.finish()?;
        Ok(truths)
    }

    /// Keeps the film's pictures and their labels.
    fn keep(&self, args: &PicturesArgs, film: &Path, truths: &[Truth]) -> anyhow::Result<()> {
        let mut decoder = Decoder::open(&Input::from(film), &DecodeOptions::default())?;
        for truth in truths {
            if decoder.advance()?.is_none() {
                bail!("{} has fewer pictures than were filmed", film.display());
            }
            let name = naming::name_of(&self.name, u64::try_from(truth.t_ms)?);
            let image = args.out.join("images").join(format!("{name}.jpg"));
            annotate::save(&image, &decoder.pixels()?, &[])?;
            let label = args.out.join("labels").join(format!("{name}.txt"));
            labels::write_yolo(&label, truth.animals.iter(), true)?;
        }
        Ok(())
    }
}
