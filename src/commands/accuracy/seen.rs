//! What was detected in the labelled pictures, wherever that is from.

use accuracy::comparison::{Found, Seen};
use accuracy::labels::Labels;
use anyhow::bail;
use schemas::frame::Model;
use schemas::stop::Stop;

use super::{Args, file, frames, pictures};
use crate::config::Config;

/// Detections, and whose they are.
pub(super) struct Looked {
    pub(super) seen: Vec<Seen>,
    /// Where they are from, for the report.
    pub(super) from: String,
    /// Who looked; none if that is not known, or if it were several.
    pub(super) model: Option<Model>,
    /// Boxes that were less sure were left out.
    pub(super) confidence: Option<f32>,
}

/// Looks at the pictures of `labels`, or reads what was seen in them.
///
/// # Errors
///
/// Nothing says where detections are from, or it cannot be read.
pub(super) fn look(
    args: &Args,
    config: &Config,
    labels: &Labels,
    stop: &Stop,
) -> anyhow::Result<Looked> {
    let mut looked = match (&args.video, &args.images, &args.detections, args.frames) {
        (Some(video), ..) => pictures::of_video(video, args, config, labels, stop)?,
        (_, Some(folder), ..) => pictures::of_folder(folder, args, config, labels, stop)?,
        (_, _, Some(path), _) => file::read(path, args)?,
        (.., true) => frames::read(args, config, labels, stop)?,
        _ => bail!(
            "nothing to measure: name a video (--video), a folder of pictures (--images), what \
             `animov detect` printed (--detections), or the site's frames (--frames)"
        ),
    };
    if let Some(start) = args.start {
        looked.seen.iter_mut().for_each(|seen| seen.picture.begun_at(start));
    }
    // A model was told so; what was recorded may hold more.
    if let Some(least) = args.model.confidence {
        if looked.seen.iter().any(|seen| matches!(seen.found, Found::Counts(_))) {
            bail!(
                "--confidence {least} cannot be kept: {} holds headcounts, which do not say how \
                 sure they are; measure without it",
                looked.from
            );
        }
        looked.confidence = Some(least);
        for seen in &mut looked.seen {
            if let Found::Boxes(boxes) = &mut seen.found {
                boxes.retain(|found| least < found.confidence);
            }
        }
    }
    Ok(looked)
}
