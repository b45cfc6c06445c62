//! `animov camera`: a process that only produces frames.

use crate::commands::run::sources;
use crate::config::Place;
use crate::exit::Exit;
use crate::roles::serve::{self, Bind};
use crate::roles::site::Role;

/// Watches the cameras and herds of the configuration and sends their frames to
/// the log.
///
/// Needs no access to the tables: it may run beside the cameras, far from the
/// rest. Answers only /healthz, /readyz and /metrics.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  animov camera --config /etc/animov.toml
  animov camera --config barn-2.toml --bind 127.0.0.1:8441")]
pub(crate) struct Args {
    #[command(flatten)]
    place: Place,

    #[command(flatten)]
    bind: Bind,
}

/// Watches until a signal, or until a part ends that must not.
///
/// # Errors
///
/// A part could not begin, or has ended.
pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    let config = args.bind.applied(args.place.load()?);
    serve::until_stopped(Role::Camera, &config, &[("sources", sources(&config))])
}
