//! A herd's frames, as load and as a benchmark's input.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::bail;
use producers::simulate::{Herd, HerdSpec};
use schemas::avro::{self, Header};
use schemas::frame::{ANIMALS_MAX, Frame, FrameId};
use schemas::source::{SessionId, SourceId};
use schemas::stop::Stop;
use schemas::time::{Clock, SystemClock, UnixMillis, millis};

use super::target::{Format, Target};
use crate::config::Place;
use crate::exit::Exit;
use crate::output::{Reader, grouped, tell};
use crate::progress::{Meter, Unit};
use crate::signals;

/// How often the meter is told, in frames.
const TELL_FRAMES: u64 = 4096;

/// The frames of a simulated herd.
#[derive(clap::Args, Debug)]
pub(crate) struct FrameArgs {
    /// Sources, numbered from 1
    #[arg(long, value_name = "NUMBER", default_value_t = 4, value_parser = clap::value_parser!(i32).range(1..))]
    sources: i32,

    /// Animals in front of each source, 0 to 1024
    #[arg(long, value_name = "NUMBER", default_value_t = 12)]
    animals: u32,

    /// Frames of all sources together [default: by --for]
    #[arg(long, value_name = "NUMBER", conflicts_with = "lasting")]
    frames: Option<u64>,

    /// Event time from the first frame to the end
    #[arg(long = "for", value_name = "DURATION", default_value = "1h", value_parser = humantime::parse_duration)]
    lasting: Duration,

    /// Event time from one frame of a source to the next
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = humantime::parse_duration)]
    every: Duration,

    /// Another seed is another herd
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Event time of the first frame: RFC 3339, a date, or milliseconds since
    /// 1970 [default: so that the last one is now]
    #[arg(long, value_name = "TIME")]
    start: Option<UnixMillis>,

    /// Simulated seconds a second [default: as fast as possible]
    #[arg(long, value_name = "NUMBER")]
    speed: Option<f64>,

    /// Frames that only know counts, instead of boxes; standard output always
    /// has counts
    #[arg(long)]
    counts_only: bool,

    /// Append to the log in this folder's `log`, which no other animov may have
    /// open
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    state: Option<PathBuf>,

    /// With --state: the site's configuration, for the log's partitions
    /// [default: ./animov.toml if there is one]
    #[arg(long, value_name = "FILE", env = "ANIMOV_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,

    /// Send to the animov at this address; `ANIMOV_API_TOKEN` is presented if set
    #[arg(long, value_name = "URL")]
    url: Option<String>,

    /// How standard output is written
    #[arg(long, value_enum, default_value_t = Format::Ndjson)]
    format: Format,
}

/// Simulates.
///
/// # Errors
///
/// An option cannot be, or the frames not be written.
pub(crate) fn run(args: &FrameArgs) -> anyhow::Result<Exit> {
    if ANIMALS_MAX < args.animals {
        bail!("--animals {}: a frame shows at most {ANIMALS_MAX}", args.animals);
    }
    if millis(args.every) < 1 {
        bail!("--every is less than 1ms");
    }
    if args.speed.is_some_and(|speed| !(0.001..=1e9).contains(&speed)) {
        bail!("--speed is not a number from 0.001 to 1000000000");
    }
    let stop = signals::stop_on_signal()?;
    let plan = Plan::of(args, &SystemClock);
    let mut target = match (&args.state, &args.url) {
        (Some(dir), _) => {
            let place = Place { config: args.config.clone(), state: Some(dir.clone()) };
            Target::log(place.load()?.log)?
        }
        (None, Some(url)) => Target::api(url)?,
        (None, None) => Target::stdout(args.format)?,
    };
    let mut meter = Meter::new("simulate", Unit::Records, plan.frames);
    let done = plan.run(&mut target, &mut meter, &stop)?;
    meter.finish();
    let (taken, shown) = (meter.elapsed(), grouped(done));
    let rate = u128::from(done) * 1000 / taken.as_millis().max(1);
    tell(&format!("{shown} frames in {:.3} s, {rate}/s", taken.as_secs_f64()));
    Ok(Exit::Ok)
}

/// Which frames, and when.
#[derive(Clone, Debug)]
struct Plan {
    herds: Vec<Herd>,
    sessions: Vec<SessionId>,
    started_at: UnixMillis,
    every: Duration,
    frames: u64,
    speed: Option<f64>,
    counts_only: bool,
}

impl Plan {
    fn of(args: &FrameArgs, clock: &dyn Clock) -> Plan {
        let spec = HerdSpec { seed: args.seed, animals: args.animals, utc_offset_minutes: 0 };
        let sources = (1..=args.sources).filter_map(|id| SourceId::try_from(i64::from(id)).ok());
        let herds: Vec<Herd> = sources.map(|source| Herd::new(spec, source)).collect();
        let (a_round, every_ms) = (u64::try_from(herds.len()).unwrap_or(1), millis(args.every));
        let frames = args.frames.unwrap_or_else(|| {
            let rounds = u64::try_from(millis(args.lasting) / every_ms).unwrap_or(0);
            rounds.saturating_mul(a_round)
        });
        let span =
            i64::try_from(frames.div_ceil(a_round)).unwrap_or(i64::MAX).saturating_mul(every_ms);
        let started_at = args.start.unwrap_or_else(|| {
            let first = clock.now().get().saturating_sub(span);
            UnixMillis::new(first - first.rem_euclid(every_ms))
        });
        let session = |herd: &Herd| {
            let FrameArgs { seed, animals, .. } = args;
            let name =
                format!("simulate {seed} {animals} {} {started_at} {every_ms}", herd.source());
            SessionId::derived_from(name.as_bytes())
        };
        Plan {
            sessions: herds.iter().map(session).collect(),
            herds,
            started_at,
            every: args.every,
            frames,
            speed: args.speed,
            counts_only: args.counts_only,
        }
    }

    /// Makes the frames; how many.
    fn run(mut self, target: &mut Target, meter: &mut Meter, stop: &Stop) -> anyhow::Result<u64> {
        let begun = Instant::now();
        let (mut at, mut done, mut told) = (self.started_at, 0, 0);
        let mut value = Vec::new();
        for seq in 0.. {
            if stop.is_stopped() || self.frames <= done {
                break;
            }
            if let Some(speed) = self.speed
                && !self.wait(at, begun, speed, target, stop)?
            {
                break;
            }
            let left = usize::try_from(self.frames - done).unwrap_or(usize::MAX);
            for (herd, session) in self.herds.iter_mut().zip(&self.sessions).take(left) {
                let id = FrameId { source: herd.source(), session: *session, seq };
                let header = Header { id, captured_at: at, produced_at: at };
                let taken = match target {
                    Target::Stdout(lines) => lines.take(&header, herd.counts(at)),
                    Target::Frames(batch) => {
                        value.clear();
                        encode(herd, &header, self.counts_only, &mut value);
                        batch.take(id.source, &value)
                    }
                };
                if taken? == Reader::Left {
                    return Ok(done);
                }
                done += 1;
            }
            if TELL_FRAMES <= done - told {
                told = done;
                meter.at(done);
            }
            at = at.plus(self.every);
        }
        target.finish()?;
        Ok(done)
    }

    /// Waits until `at` is due; false if told to stop.
    fn wait(
        &self,
        at: UnixMillis,
        begun: Instant,
        speed: f64,
        target: &mut Target,
        stop: &Stop,
    ) -> anyhow::Result<bool> {
        let due = at.since(self.started_at).as_secs_f64() / speed;
        let due = begun + Duration::try_from_secs_f64(due).unwrap_or(Duration::MAX / 2);
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(true);
        }
        // Nobody waits for frames that lie here.
        target.flush()?;
        Ok(!stop.wait(left))
    }
}

fn encode(herd: &mut Herd, header: &Header, counts_only: bool, out: &mut Vec<u8>) {
    let Header { id, captured_at, produced_at } = *header;
    match counts_only {
        true => {
            let counts = herd.counts(captured_at);
            let counts = [("lying", counts.lying), ("standing", counts.standing)];
            avro::encode_counts(header, counts.into_iter(), out);
        }
        false => {
            let seen = herd.seen_boxes(captured_at);
            avro::encode(&Frame { id, captured_at, produced_at, seen }, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: FrameArgs,
    }

    struct At(i64);

    impl Clock for At {
        fn now(&self) -> UnixMillis {
            UnixMillis::new(self.0)
        }
    }

    fn plan(line: &str, now: i64) -> Plan {
        let Line { args } = Line::parse_from(format!("simulate {line}").split(' '));
        Plan::of(&args, &At(now))
    }

    #[test]
    fn it_ends_now_unless_it_is_told_when_to_begin() {
        let plan_of = |line| {
            let plan = plan(line, 1_772_409_000_500);
            (plan.frames, plan.started_at.get())
        };
        assert_eq!(plan_of("--for 1m --sources 3"), (180, 1_772_408_940_000));
        assert_eq!(plan_of("--frames 7 --sources 3 --every 2s"), (7, 1_772_408_994_000));
        assert_eq!(plan_of("--frames 7 --start 2026-03-01"), (7, 1_772_323_200_000));
    }

    #[test]
    fn the_same_options_are_the_same_names() {
        let sessions = |line| plan(line, 0).sessions;
        let same = "--start 2026-03-01 --sources 2";
        assert_eq!(sessions(same), sessions(same));
        assert_ne!(sessions(same), sessions("--start 2026-03-01 --sources 2 --seed 2"));
        assert_ne!(sessions(same)[0], sessions(same)[1]);
    }
}
