//! `animov api`: a process that only answers.

use crate::config::Place;
use crate::exit::Exit;
use crate::roles::serve::{self, Bind};
use crate::roles::site::Role;

/// Serves the page and the API from the tables that other processes write.
///
/// Frames that are sent to POST /v1/frames go to the log. Start several behind a
/// balancer that asks /readyz.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  animov api --config /etc/animov.toml
  ANIMOV_API_TOKEN=… animov api --config /etc/animov.toml --bind 0.0.0.0:8420")]
pub(crate) struct Args {
    #[command(flatten)]
    place: Place,

    #[command(flatten)]
    bind: Bind,
}

/// Answers until a signal, or until a part ends that must not.
///
/// # Errors
///
/// A part could not begin, or has ended.
pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    let config = args.bind.applied(args.place.load()?);
    serve::until_stopped(Role::Api, &config, &[])
}
