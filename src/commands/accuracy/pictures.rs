//! What a model finds now, in the labelled pictures and in no others.

use std::cell::Cell;
use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use accuracy::comparison::{Found, Seen};
use accuracy::labels::{Labels, Naming};
use accuracy::picture::PictureId;
use anyhow::{Context, bail};
use producers::decode::DecodeOptions;
use producers::detect::Detector;
use producers::detect::onnx::OnnxDetector;
use producers::input::Input;
use producers::inspect::{detect_chosen, detect_input};
use producers::sample::Cadence;
use schemas::stop::Stop;
use schemas::time::millis;

use super::seen::Looked;
use super::{Args, EXACT};
use crate::config::Config;
use crate::progress::{Meter, Unit};

/// Files that are pictures, by their names' ends.
const ENDINGS: [&str; 3] = ["jpg", "jpeg", "png"];

/// Looks at the pictures of `video` that `labels` are about.
///
/// # Errors
///
/// Labels have no time in the video, or it cannot be read.
pub(super) fn of_video(
    video: &str,
    args: &Args,
    config: &Config,
    labels: &Labels,
    stop: &Stop,
) -> anyhow::Result<Looked> {
    let mut wanted = Vec::new();
    for label in &labels.pictures {
        let Some(t_ms) = label.picture.t_ms else {
            bail!(
                "{}: when in the video is {}? Names of labels end with _t and milliseconds \
                 (pen1_t000012000.txt), or with a picture's number and --fps; event times need \
                 --start",
                label.origin,
                label.picture,
            );
        };
        wanted.push(t_ms);
    }
    wanted.sort_unstable();
    let input = Input::new(video).expanded(crate::config::variable)?;
    let mut looker = Looker::new(args, config, labels.pictures.len())?;
    let mut choice = Choice::new(wanted, args.tolerance_ms());
    let every_label_has_its_own = Cell::new(false);
    let decode = DecodeOptions { stop: stop.clone(), ..DecodeOptions::default() };
    let Looker { detector, meter, seen } = &mut looker;
    detect_chosen(
        &input,
        |at| {
            let takes = choice.takes(at);
            every_label_has_its_own.set(choice.is_done());
            takes
        },
        &decode,
        detector,
        |picture| {
            let t_ms = i64::try_from(picture.t_ms()).unwrap_or(i64::MAX);
            let found = Found::Boxes(picture.detections.to_vec());
            seen.push(Seen { picture: PictureId::of_video(t_ms), found });
            meter.at(u64::try_from(seen.len()).unwrap_or(u64::MAX));
            match stop.is_stopped() || every_label_has_its_own.get() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        },
    )?;
    Ok(looker.looked(input.to_string()))
}

/// Which pictures of a video are labelled.
struct Choice {
    /// Ascending, in milliseconds after the first picture.
    wanted: Vec<i64>,
    next: usize,
    tolerance_ms: i64,
    /// The picture before.
    before: Option<i64>,
}

impl Choice {
    fn new(wanted: Vec<i64>, tolerance_ms: i64) -> Choice {
        Choice { wanted, next: 0, tolerance_ms, before: None }
    }

    /// Whether every label has its picture, or none that is to come.
    fn is_done(&self) -> bool {
        self.next == self.wanted.len()
    }

    /// Whether a label is about the picture at `at`: the nearest one, if the next comes as
    /// soon as this one came. Times must not descend.
    fn takes(&mut self, at: Duration) -> bool {
        let at = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
        let gap = self.before.replace(at).map_or(0, |before| at - before);
        let early = (gap - gap / 2).max(millis(EXACT)).min(self.tolerance_ms);
        let until = |wanted: &i64| wanted.saturating_add(self.tolerance_ms) < at;
        while self.wanted.get(self.next).is_some_and(until) {
            self.next += 1;
        }
        let from = |wanted: &i64| wanted.saturating_sub(early) <= at;
        let takes = self.wanted.get(self.next).is_some_and(from);
        self.next += usize::from(takes);
        takes
    }
}

/// Looks at the pictures in `folder` that `labels` are about.
///
/// # Errors
///
/// There are none, or one cannot be read.
pub(super) fn of_folder(
    folder: &Path,
    args: &Args,
    config: &Config,
    labels: &Labels,
    stop: &Stop,
) -> anyhow::Result<Looked> {
    let naming = Naming { fps: args.fps, first: args.first };
    let labelled: HashSet<_> = labels.pictures.iter().map(|label| &label.picture.name).collect();
    let files: Vec<(PathBuf, PictureId)> = pictures_in(folder)?
        .into_iter()
        .map(|path| (naming.picture(&path.to_string_lossy()), path))
        .filter(|(picture, _)| labelled.contains(&picture.name))
        .map(|(picture, path)| (path, picture))
        .collect();
    if files.is_empty() {
        bail!(
            "none of the pictures in {} has the name of a label ({}; folders in it are not looked \
             into)",
            folder.display(),
            ENDINGS.map(|ending| format!(".{ending}")).join(", "),
        );
    }
    let mut looker = Looker::new(args, config, files.len())?;
    let decode = DecodeOptions { stop: stop.clone(), ..DecodeOptions::default() };
    for (path, picture) in files {
        if stop.is_stopped() {
            break;
        }
        let Looker { detector, meter, seen } = &mut looker;
        let input = Input::new(path.to_string_lossy());
        detect_input(&input, Cadence::EachFrame, &decode, detector, |shown| {
            let found = Found::Boxes(shown.detections.to_vec());
            seen.push(Seen { picture: picture.clone(), found });
            ControlFlow::Break(())
        })?;
        meter.at(u64::try_from(seen.len()).unwrap_or(u64::MAX));
    }
    Ok(looker.looked(folder.display().to_string()))
}

/// The picture files of `folder`, by name.
fn pictures_in(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let list = || format!("could not list the folder {}", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(list)? {
        let path = entry.with_context(list)?.path();
        let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
        if ending.is_some_and(|ending| ENDINGS.iter().any(|picture| ending == *picture)) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// A model, and what it has seen so far.
struct Looker {
    detector: OnnxDetector,
    meter: Meter,
    seen: Vec<Seen>,
}

impl Looker {
    fn new(args: &Args, config: &Config, pictures: usize) -> anyhow::Result<Looker> {
        let detector = OnnxDetector::load(&args.model.options_of(config, args.source, &[]))?;
        let total = u64::try_from(pictures).unwrap_or(0);
        Ok(Looker {
            detector,
            meter: Meter::new("accuracy", Unit::Records, total),
            seen: Vec::new(),
        })
    }

    fn looked(self, from: String) -> Looked {
        self.meter.finish();
        Looked {
            seen: self.seen,
            from,
            model: Some(self.detector.model().clone()),
            confidence: Some(self.detector.confidence()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_label_takes_one_picture() {
        let mut choice = Choice::new(vec![0, 100, 200, 1000], 5);
        let taken: Vec<u64> = (0..30)
            .map(|n| n * 33 + n / 3)
            .filter(|t_ms| choice.takes(Duration::from_millis(*t_ms)))
            .collect();
        // 30 pictures a second: 0, 33, 66, 100 … 966.
        assert_eq!(taken, [0, 100, 200]);
    }

    #[test]
    fn of_the_pictures_within_a_wide_tolerance_the_nearest_is_taken() {
        let taken = |every: u64, wanted: &[i64]| -> Vec<u64> {
            let mut choice = Choice::new(wanted.to_vec(), 500);
            let pictures = (0..=20_000).step_by(every.try_into().unwrap());
            pictures.filter(|t_ms| choice.takes(Duration::from_millis(*t_ms))).collect()
        };
        assert_eq!(taken(40, &[0, 310, 12_000]), [0, 320, 12_000]);
        assert_eq!(taken(1000, &[1400, 3600, 19_000]), [1000, 4000, 19_000]);
    }
}
