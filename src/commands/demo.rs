//! `animov demo`: a simulated herd, from its first frame to the page.

mod table;

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use producers::config::HerdConfig;
use schemas::source::SourceId;
use schemas::stop::Stop;
use schemas::time::{Clock, SystemClock, UnixMillis};
use schemas::window::MINUTE_MS;

use crate::config::{Config, Place};
use crate::exit::Exit;
use crate::roles::site::{Role, Running};
use crate::{output, signals};
use table::Table;

/// Sources of the demo.
const SOURCES: i64 = 4;

/// Event time begins so long ago, so that there is something to speed through.
const STARTED_AGO: Duration = Duration::from_hours(24);

/// Shows what animov does, with a simulated herd in front of four cameras.
///
/// A day passes at 60 times its speed into the same process that `animov run`
/// is: log, pipeline, tables, page and API. The terminal shows the first windows
/// as they turn final; the page shows all of it. Nothing is configured and no
/// camera is needed.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  animov demo
  animov demo --speed 600 --for 2m
  animov demo --state ./herd && animov audit --state ./herd")]
pub(crate) struct Args {
    /// Simulated seconds a second, 0.001 to 1000000, until simulated time has
    /// caught up with now
    #[arg(long, default_value_t = 60.0)]
    speed: f64,

    /// End by itself after this time, for example 30s or 5m [default: Ctrl-C]
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    lasting: Option<Duration>,

    /// Keep the data in this folder [default: a new one in the system's folder
    /// for temporary files, removed at the end]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,

    /// Take zone, metrics, pipeline and API from this configuration; its cameras
    /// and herds stay out [default: the defaults of every option]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Address and port of the page and the API [default: the configuration's,
    /// 127.0.0.1:8420]
    #[arg(long, value_name = "ADDRESS:PORT")]
    bind: Option<SocketAddr>,

    /// Seed of the herd: the same seed is the same herd
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs the demo.
///
/// # Errors
///
/// As [`animov run`](crate::commands::run).
pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    let stop = signals::stop_on_signal()?;
    let (dir, own) = match &args.state {
        Some(dir) => (dir.clone(), None),
        None => {
            let dir = std::env::temp_dir().join(format!("animov-demo-{}", uuid::Uuid::new_v4()));
            (dir.clone(), Some(dir))
        }
    };
    let shown = show(args, dir, &stop);
    if let Some(own) = own.filter(|own| own.exists()) {
        let removed = std::fs::remove_dir_all(&own);
        removed.with_context(|| format!("could not remove {}", own.display()))?;
    }
    shown?;
    Ok(Exit::Ok)
}

fn show(args: &Args, dir: PathBuf, stop: &Stop) -> anyhow::Result<()> {
    let config = config(args, dir)?;
    let mut running = Running::start(Role::Run, &config)?;
    let shown = follow(args, &config, &mut running, stop);
    let finished = running.finish();
    shown.and(finished)
}

/// Shows the windows that turn final until it is time to stop.
fn follow(args: &Args, config: &Config, running: &mut Running, stop: &Stop) -> anyhow::Result<()> {
    let mut out = output::open(None)?;
    let written = writeln!(
        out,
        "A simulated herd in front of {SOURCES} cameras, {} times as fast as time.\n\
         \n  page  http://{}/\n  data  {}\n  stop  Ctrl-C\n",
        args.speed,
        running.address(),
        config.site.state_dir.display(),
    );
    output::unless_closed(written.and_then(|()| out.flush()))?;
    let begun = Instant::now();
    let ends = args.lasting.map(|lasting| begun + lasting);
    let mut table = Table::new(out);
    let mut shown = Ok(());
    let supervised = running.supervise(stop, |store| {
        if shown.is_ok() {
            shown = table.show(store);
        }
        if shown.is_err() || ends.is_some_and(|ends| ends <= Instant::now()) {
            stop.stop();
        }
    });
    supervised?;
    shown
}

fn config(args: &Args, dir: PathBuf) -> anyhow::Result<Config> {
    // An animov.toml that happens to lie here is not the demo's.
    let (mut config, from) = match &args.config {
        Some(file) => Place { config: Some(file.clone()), state: None }.read()?,
        None => (Config::default(), PathBuf::from("the demo")),
    };
    config.move_to(&dir);
    config.camera.clear();
    if let Some(bind) = args.bind {
        config.api.bind = bind;
    }
    let sources = (1..=SOURCES).map(SourceId::try_from).collect::<Result<_, _>>()?;
    // At the beginning of a minute, so that the first window is a whole one.
    let begin = SystemClock.now().minus(STARTED_AGO).get();
    config.herd = vec![HerdConfig {
        speed: args.speed,
        seed: args.seed,
        started_at: Some(UnixMillis::new(begin - begin.rem_euclid(MINUTE_MS))),
        ..HerdConfig::new(sources)
    }];
    config.checked(&from).map_err(Into::into)
}
