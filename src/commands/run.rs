//! `animov run`: a site in one process.

use crate::config::{Config, Place};
use crate::exit::Exit;
use crate::roles::serve::{self, Bind};
use crate::roles::site::Role;

/// Runs this site: cameras, log, pipeline, tables, page and API in one process.
///
/// Needs neither a configuration nor a server: without a file it keeps its data
/// in ./animov-data, listens on 127.0.0.1:8420 and counts the frames that
/// are sent to POST /v1/frames. Cameras, metrics and the site's time zone are
/// named in animov.toml; animov.example.toml shows every option.
///
/// SIGINT (Ctrl-C) and SIGTERM end it well: the cameras stop, their frames reach
/// the log, what is in the log is committed, and open requests are answered. A
/// second signal ends it at once; nothing that was acknowledged is lost.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  animov run
  animov run --config /etc/animov.toml --state /var/lib/animov
  curl http://127.0.0.1:8420/readyz")]
pub(crate) struct Args {
    #[command(flatten)]
    place: Place,

    #[command(flatten)]
    bind: Bind,
}

/// Runs until a signal, or until a part ends that must not.
///
/// # Errors
///
/// A part could not begin, or has ended.
pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    let config = args.bind.applied(args.place.load()?);
    serve::until_stopped(Role::Run, &config, &[("sources", sources(&config))])
}

/// What gives this site its frames, for a person.
pub(super) fn sources(config: &Config) -> String {
    match (config.camera.len(), config.herd.iter().map(|h| h.sources.len()).sum()) {
        (0, 0_usize) => {
            "none configured; send frames to POST /v1/frames, or name cameras in animov.toml"
                .to_owned()
        }
        (cameras, 0) => format!("{cameras} from cameras"),
        (0, simulated) => format!("{simulated} simulated"),
        (cameras, simulated) => format!("{cameras} from cameras, {simulated} simulated"),
    }
}
