//! `animov demo`: drawn herds, from their first picture to the page.

mod herds;
mod table;

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use producers::config::DetectorConfig;
use schemas::source::SourceId;
use schemas::stop::Stop;
use schemas::time::{Clock, SystemClock, UnixMillis};
use schemas::window::MINUTE_MS;

use crate::commands::pace;
use crate::config::{Config, Place};
use crate::exit::Exit;
use crate::roles::site::{Role, Running};
use crate::{output, signals};
use herds::{EVERY, Herds, Plan};
use table::Table;

/// Sources of the demo.
const SOURCES: i64 = 4;

/// Event time begins so long ago, so that there is something to speed through.
const STARTED_AGO: Duration = Duration::from_hours(24);

/// Shows what animov does, with drawn herds in front of four cameras.
///
/// A day passes at 60 times its speed: each herd is drawn and filmed, and the films
/// are what cameras' are to the same process that `animov run` is: decoded, looked
/// at by the built-in model, counted, kept and served. The terminal shows the first
/// windows as they turn final, beside what was drawn; the page shows all of it.
/// Nothing is configured and no camera is needed; ONNX Runtime is
/// (scripts/install-onnxruntime).
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  animov demo
  animov demo --speed 600 --for 2m
  animov demo --state ./herd && animov audit --state ./herd")]
pub(crate) struct Args {
    /// Simulated seconds a second, 0.001 to 1000000, until simulated time has
    /// caught up with now
    #[arg(long, value_name = "NUMBER", default_value_t = 60.0, value_parser = pace::speed)]
    speed: f64,

    /// End by itself after this time, for example 30s or 5m [default: Ctrl-C]
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    lasting: Option<Duration>,

    /// Keep the data in this folder, which holds none yet [default: a new one in
    /// the system's folder for temporary files, removed at the end]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,

    /// Take zone, metrics, pipeline and API from this configuration; its cameras,
    /// herds, model, pages of prices and servers stay out [default: the defaults of
    /// every option]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Address and port of the page and the API [default: the configuration's,
    /// 127.0.0.1:8420]
    #[arg(long, value_name = "ADDRESS:PORT")]
    bind: Option<SocketAddr>,

    /// Seed of the herds: the same seed is the same pens, herds and days
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
        Some(dir) => {
            refuse_data(dir)?;
            (dir.clone(), None)
        }
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

/// Drawn animals never come among counted ones, nor a herd's among another one's.
fn refuse_data(dir: &Path) -> anyhow::Result<()> {
    if ["log", "state.sqlite"].iter().any(|name| dir.join(name).exists()) {
        let dir = dir.display();
        bail!(
            "{dir} holds data already, and the demo's herds would be counted among it: name another \
             folder; `animov run --state {dir}` shows what this one holds"
        );
    }
    Ok(())
}

fn show(args: &Args, dir: PathBuf, stop: &Stop) -> anyhow::Result<()> {
    let sources: Vec<SourceId> = (1..=SOURCES).map(SourceId::try_from).collect::<Result<_, _>>()?;
    // At the beginning of a minute, so that the first window is a whole one.
    let begin = SystemClock.now().minus(STARTED_AGO).get();
    let started_at = UnixMillis::new(begin - begin.rem_euclid(MINUTE_MS));
    let plan = Plan { seed: args.seed, started_at, speed: args.speed };
    let config = config(args, dir, &sources, plan)?;
    let herds = Herds::film(&config.site.state_dir, &sources, plan, stop)?;
    let shown = Running::start(Role::Run, &config).and_then(|mut running| {
        let shown = follow(args, &config, &mut running, &herds, stop);
        // The films end first: a camera may be waiting for the next picture.
        stop.stop();
        shown.and(running.finish())
    });
    stop.stop();
    herds.join().and(shown)
}

/// Shows the windows that turn final until it is time to stop.
fn follow(
    args: &Args,
    config: &Config,
    running: &mut Running,
    herds: &Herds,
    stop: &Stop,
) -> anyhow::Result<()> {
    let mut out = output::open(None)?;
    let written = writeln!(
        out,
        "Drawn herds in front of {SOURCES} cameras, {} times as fast as time: filmed, decoded, looked\n\
         at by the model, counted. \"true\" is what was drawn.\n\
         \n  page  http://{}/\n  data  {}\n  stop  Ctrl-C\n",
        args.speed,
        running.address(),
        config.site.state_dir.display(),
    );
    output::unless_closed(written.and_then(|()| out.flush()))?;
    let begun = Instant::now();
    let ends = args.lasting.map(|lasting| begun + lasting);
    let mut table = Table::new(out, herds.truths.clone());
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
    shown?;
    table.sum_up()
}

fn config(args: &Args, dir: PathBuf, sources: &[SourceId], plan: Plan) -> anyhow::Result<Config> {
    // An animov.toml that happens to lie here is not the demo's.
    let (mut config, from) = match &args.config {
        Some(file) => Place { config: Some(file.clone()), state: None }.read()?,
        None => (Config::default(), PathBuf::from("the demo")),
    };
    config.embed_in(&dir);
    config.prices.page.clear();
    // The built-in model: the site's own has not learned what drawn goats look like.
    let runtime = config.detector.runtime.take();
    config.detector = DetectorConfig { runtime, ..DetectorConfig::default() };
    if let Some(bind) = args.bind {
        config.api.bind = bind;
    }
    config.herd.clear();
    config.pipeline.cadence = EVERY;
    let films = &config.site.state_dir;
    config.camera = sources.iter().map(|source| herds::camera(films, *source, plan)).collect();
    config.checked(&from).map_err(Into::into)
}
