//! A rendered herd that is filmed now: what stands for a camera where there is none.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use pen::PenSpec;
use producers::encode::EncodeError;
use producers::pace::wait_until;
use schemas::source::SourceId;
use schemas::stop::Stop;
use schemas::time::{Clock, SystemClock, UnixMillis, millis};

use super::herd::{DayArgs, PictureSize};
use crate::commands::pace;
use crate::exit::Exit;
use crate::film::fifo::Fifo;
use crate::film::{Film, Filming};
use crate::output::tell;
use crate::signals;

/// Pictures from one that stands for itself to the next: a reader that comes later
/// waits no longer than that.
const KEYFRAME_EVERY: u32 = 25;

/// How often a listener looks whether somebody came, or it is time to stop.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A reader that takes nothing for so long is gone.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Films a rendered herd as it happens, as a camera would, until stopped.
///
/// Each source is an MPEG transport stream of H.264 at an address of its own: source
/// 1 at the port of --bind, source 2 at the next. It serves one reader at a time, and
/// a camera of animov.toml can have it as its url. With --out the stream of source 1 goes to a file, a named pipe or standard
/// output ("-") instead.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  animov simulate live --sources 2
  animov simulate live --start 2026-03-01T12:00:00Z --speed 60 --every 10s
  animov simulate live --every 40ms --out - | ffplay -

In animov.toml:
  [[camera]]
  source = 1
  url = \"tcp://127.0.0.1:8555\"")]
pub(crate) struct LiveArgs {
    /// Address, and port of the first source
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:8555",
        conflicts_with = "out"
    )]
    bind: SocketAddr,

    /// Write the stream of source 1 here; "-" is standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Add each picture's truth to this file, one line a picture; `captured_at` is
    /// when the picture was due
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,

    /// Sources, each a pen of its own, numbered from 1
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64), conflicts_with_all = ["out", "truth"])]
    sources: u16,

    /// Animals in each pen, 1 to 30
    #[arg(long, value_name = "NUMBER", default_value_t = 12)]
    animals: u32,

    /// The herd's time from one picture to the next
    #[arg(long, value_name = "DURATION", default_value = "200ms", value_parser = humantime::parse_duration)]
    every: Duration,

    /// The herd's time when it begins: RFC 3339, a date, or milliseconds since 1970
    /// [default: now]
    #[arg(long, value_name = "TIME")]
    start: Option<UnixMillis>,

    /// Seconds of the herd's time a second
    #[arg(long, value_name = "NUMBER", default_value_t = 1.0, value_parser = pace::speed)]
    speed: f64,

    /// Another seed is another pen, camera, light and herd
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Width and height of the pictures, pixels
    #[arg(long, value_name = "WIDTHxHEIGHT", default_value = "640x360")]
    size: PictureSize,

    /// How coarse the video is, 0 to 51; cameras look like 23 to 32
    #[arg(long, value_name = "NUMBER", default_value_t = 26, value_parser = clap::value_parser!(u8).range(0..=51))]
    crf: u8,

    #[command(flatten)]
    day: DayArgs,
}

pub(super) fn run(args: &LiveArgs) -> anyhow::Result<Exit> {
    if millis(args.every) < 1 {
        bail!("--every is less than 1ms");
    }
    if millis(args.every.div_f64(args.speed)) < 1 {
        bail!(
            "--every {} at --speed {} leaves less than 1 ms from one picture to the next; take a \
             longer --every or a lower --speed",
            humantime::format_duration(args.every),
            args.speed
        );
    }
    let spec = args.day.spec(args.seed, args.animals, args.size)?;
    let stop = signals::stop_on_signal()?;
    let live = Live { args, spec, began: SystemClock.now(), stop: &stop };
    match &args.out {
        Some(out) => live.film_into(out)?,
        None => live.serve()?,
    }
    Ok(Exit::Ok)
}

fn open(out: &Path, stop: &Stop) -> anyhow::Result<Box<dyn Write + Send>> {
    if out == Path::new("-") {
        return Ok(Box::new(io::stdout()));
    }
    if out.metadata().is_ok_and(|about| about.file_type().is_fifo()) {
        return Ok(Box::new(Fifo::open(out, stop.clone())?));
    }
    let file = File::create(out).with_context(|| format!("could not write {}", out.display()))?;
    Ok(Box::new(file))
}

struct Live<'a> {
    args: &'a LiveArgs,
    spec: PenSpec,
    began: UnixMillis,
    stop: &'a Stop,
}

impl Live<'_> {
    /// Films into one file, pipe or standard output.
    fn film_into(&self, out: &Path) -> anyhow::Result<()> {
        let to = open(out, self.stop)?;
        match self.film(SourceId::try_from(1)?, to, self.args.truth.as_deref()) {
            Err(error) if error.downcast_ref().is_some_and(EncodeError::reader_left) => Ok(()),
            filmed => filmed.with_context(|| format!("could not go on with {}", out.display())),
        }
    }

    /// Waits for readers of every source.
    fn serve(&self) -> anyhow::Result<()> {
        let mut listeners = Vec::new();
        for number in 0..self.args.sources {
            let mut at = self.args.bind;
            let port = at.port().checked_add(number);
            at.set_port(port.context("there are not so many ports after --bind's")?);
            let source = SourceId::try_from(i64::from(number) + 1)?;
            let listener =
                TcpListener::bind(at).with_context(|| format!("could not listen on {at}"))?;
            listener.set_nonblocking(true)?;
            tell(&format!("source {source}: tcp://{}", listener.local_addr()?));
            listeners.push((source, listener));
        }
        std::thread::scope(|scope| {
            for (source, listener) in &listeners {
                scope.spawn(|| self.listen(*source, listener));
            }
        });
        Ok(())
    }

    /// Films for one reader after the other.
    fn listen(&self, source: SourceId, listener: &TcpListener) {
        while !self.stop.is_stopped() {
            let Ok((reader, _)) = listener.accept() else {
                self.stop.wait(LOOK_EVERY);
                continue;
            };
            if let Err(error) = self.serve_one(source, reader) {
                tell(&format!("source {source}: its reader is gone ({error:#})"));
            }
        }
    }

    fn serve_one(&self, source: SourceId, reader: TcpStream) -> anyhow::Result<()> {
        reader.set_nonblocking(false)?;
        reader.set_write_timeout(Some(SILENCE_MAX))?;
        reader.set_nodelay(true)?;
        self.film(source, reader, self.args.truth.as_deref())
    }

    /// Films from now on, until stopped or nobody takes it.
    fn film(
        &self,
        source: SourceId,
        to: impl Write + Send + 'static,
        truth: Option<&Path>,
    ) -> anyhow::Result<()> {
        let args = self.args;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        // The herd's time goes on while nobody looks.
        let now = clock.now();
        let start = args.start.unwrap_or(self.began);
        let since_began = now.since(self.began).mul_f64(args.speed);
        let first = start.plus(since_began);
        let filming = Filming {
            crf: args.crf,
            every: args.every.div_f64(args.speed),
            keyframe_every: KEYFRAME_EVERY,
            started_at: first,
        };
        let mut truths = truth.map(append).transpose()?;
        let mut film = Film::live(self.spec.clone(), source, &filming, to)?;
        let mut after = Duration::ZERO;
        loop {
            let due = now.plus(after.div_f64(args.speed));
            if wait_until(due, clock.as_ref(), self.stop) {
                return film.finish();
            }
            let shown_after = due.since(now);
            let mut truth = film.add(first.plus(after), shown_after)?;
            if let Some((file, path)) = &mut truths {
                truth.t_ms = millis(shown_after);
                truth.captured_at = due;
                let line = serde_json::to_string(&truth)? + "\n";
                file.write_all(line.as_bytes())
                    .with_context(|| format!("could not write {}", path.display()))?;
            }
            after += args.every;
        }
    }
}

fn append(path: &Path) -> anyhow::Result<(File, PathBuf)> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("could not write {}", path.display()))?;
    Ok((file, path.to_owned()))
}
