//! `animov run`: a site in one process.

use std::io::Write;

use crate::config::{Config, Place};
use crate::exit::Exit;
use crate::roles::run::Running;
use crate::{output, signals};

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

    /// Address and port of the page and the API, instead of the configuration's
    #[arg(long, value_name = "ADDRESS:PORT", env = "ANIMOV_BIND", hide_env_values = true)]
    bind: Option<std::net::SocketAddr>,
}

/// Runs until a signal, or until a part ends that must not.
///
/// # Errors
///
/// A part could not begin, or has ended.
pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    let mut config = args.place.load()?;
    if let Some(bind) = args.bind {
        config.api.bind = bind;
    }
    let stop = signals::stop_on_signal()?;
    let mut running = Running::start(&config)?;
    let announced = announce(&config, &running);
    let supervised = announced.and_then(|()| running.supervise(&stop, |_| {}));
    if let Err(error) = &supervised {
        // Now, not after the end: what is stuck may take its time to end.
        tracing::error!("{error:#}, so the process ends");
    }
    let finished = running.finish();
    supervised?;
    finished?;
    Ok(Exit::Ok)
}

fn announce(config: &Config, running: &Running) -> anyhow::Result<()> {
    let mut out = output::open(None)?;
    let sources = match (config.camera.len(), config.herd.iter().map(|h| h.sources.len()).sum()) {
        (0, 0_usize) => {
            "none configured; send frames to POST /v1/frames, or name cameras in animov.toml"
                .to_owned()
        }
        (cameras, 0) => format!("{cameras} from cameras"),
        (0, simulated) => format!("{simulated} simulated"),
        (cameras, simulated) => format!("{cameras} from cameras, {simulated} simulated"),
    };
    let written = writeln!(
        out,
        "animov counts.\n  page     http://{}/\n  log      {}\n  tables   {}\n  \
         sources  {sources}\n  stop     Ctrl-C",
        running.address(),
        config.log.dir.display(),
        config.state.path.display(),
    );
    output::unless_closed(written.and_then(|()| out.flush()))?;
    Ok(())
}
