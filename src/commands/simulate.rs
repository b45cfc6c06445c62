//! `animov simulate`: a herd, as frames, as video or as labelled pictures.

mod frames;
mod herd;
mod labels;
mod live;
mod pictures;
mod target;
mod video;

use crate::exit::Exit;

/// Makes the frames of a simulated herd, as fast as they can be written; or
/// films a herd whose truth is known (video), films one as it happens (live), or
/// photographs many (pictures).
///
/// Frames go to the log of a site (--state), to a running animov (--url), or as
/// counts to standard output. The same options are the same frames, under the
/// same names: sent twice, they are counted once.
///
/// The herd lies most at night and after midday; counts change by the minute,
/// and one frame in 64 misses an animal, as a detector does.
#[derive(clap::Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  animov simulate --sources 64 --frames 20000000 > herd.ndjson
  animov simulate --for 1h --start 2026-03-01T06:00:00Z --format csv > hour.csv
  animov simulate --sources 8 --for 24h --state ./animov-data
  animov simulate --for 10m --speed 60 --url http://127.0.0.1:8420
  animov simulate video --out films --for 1h"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: Option<What>,

    #[command(flatten)]
    frames: frames::FrameArgs,
}

#[derive(clap::Subcommand, Debug)]
enum What {
    Video(video::VideoArgs),
    Live(live::LiveArgs),
    Pictures(pictures::PicturesArgs),
}

/// Simulates.
///
/// # Errors
///
/// An option cannot be, or the result not be written.
pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    match &args.what {
        None => frames::run(&args.frames),
        Some(What::Video(args)) => video::run(args),
        Some(What::Live(args)) => live::run(args),
        Some(What::Pictures(args)) => pictures::run(args),
    }
}
