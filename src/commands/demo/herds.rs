//! The demo's herds: drawn, filmed into named pipes, and their truth kept.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use pen::{PenSpec, Posture, Rhythm, Truth, VISIBLE_MIN};
use producers::config::CameraConfig;
use producers::input::Input;
use producers::pace::{Pace, wait_until};
use producers::sample::Cadence;
use schemas::source::SourceId;
use schemas::stop::Stop;
use schemas::time::{Clock, SystemClock, UnixMillis};
use schemas::window::MINUTE_MS;

use crate::film::fifo::Fifo;
use crate::film::{Film, Filming};

/// Event time from one picture to the next: what two processor cores decode and
/// look at, of four cameras, at 60 times the speed of time.
pub(super) const EVERY: Duration = Duration::from_secs(10);

/// A camera whose herd has caught up with now shows a picture each [`EVERY`].
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// As many animals in front of each camera, one after the other.
const ANIMALS: [u32; 4] = [8, 12, 5, 16];

/// Minutes whose truth waits to be shown, at most.
const MINUTES_MAX: usize = 10_000;

/// What is true of one minute of one source: sums over its pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct TrueMinute {
    pub(super) pictures: u32,
    pub(super) lying: u32,
    pub(super) standing: u32,
}

/// The truth of the minutes that were not shown yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Truths(Arc<Mutex<BTreeMap<(UnixMillis, SourceId), TrueMinute>>>);

impl Truths {
    fn add(&self, source: SourceId, truth: &Truth) {
        let at = truth.captured_at.get();
        let minute = UnixMillis::new(at - at.rem_euclid(MINUTE_MS));
        let mut minutes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = minutes.entry((minute, source)).or_default();
        of.pictures += 1;
        for animal in truth.animals.iter().filter(|animal| VISIBLE_MIN <= animal.visible) {
            match animal.posture {
                Posture::Lying => of.lying += 1,
                Posture::Standing => of.standing += 1,
            }
        }
        if MINUTES_MAX < minutes.len() {
            // The oldest.
            minutes.pop_first();
        }
    }

    /// Takes what is true of a minute.
    pub(super) fn take(&self, source: SourceId, minute: UnixMillis) -> Option<TrueMinute> {
        let mut minutes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        minutes.remove(&(minute, source))
    }
}

/// Herds that are being filmed.
pub(super) struct Herds {
    pub(super) truths: Truths,
    films: Vec<JoinHandle<anyhow::Result<()>>>,
}

/// What is filmed, and how fast.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) started_at: UnixMillis,
    pub(super) speed: f64,
}

/// The named pipe of a source's film.
fn pipe(dir: &Path, source: SourceId) -> PathBuf {
    dir.join("films").join(format!("pen{source}.ts"))
}

/// The camera in front of a source's pen.
pub(super) fn camera(dir: &Path, source: SourceId, plan: Plan) -> CameraConfig {
    CameraConfig {
        started_at: Some(plan.started_at),
        every: Cadence::EachFrame,
        silence_max: SILENCE_MAX,
        ..CameraConfig::new(source, Input::from(pipe(dir, source).as_path()))
    }
}

impl Herds {
    /// Begins to film, until `stop` or an error; both end all films.
    ///
    /// # Errors
    ///
    /// A pipe or a thread cannot be made.
    pub(super) fn film(
        dir: &Path,
        sources: &[SourceId],
        plan: Plan,
        stop: &Stop,
    ) -> anyhow::Result<Herds> {
        let folder = dir.join("films");
        // Pipes of an earlier demo that was killed.
        if folder.exists() {
            fs::remove_dir_all(&folder)
                .with_context(|| format!("could not remove {}", folder.display()))?;
        }
        fs::create_dir_all(&folder)
            .with_context(|| format!("could not make the folder {}", folder.display()))?;
        let mut herds = Herds { truths: Truths::default(), films: Vec::new() };
        for (source, animals) in sources.iter().zip(ANIMALS.into_iter().cycle()) {
            let fifo = Fifo::make(&pipe(dir, *source), stop.clone())?;
            let spec = PenSpec {
                seed: plan.seed,
                animals,
                width: 640,
                height: 360,
                utc_offset_minutes: 0,
                rhythm: Rhythm::default(),
            };
            let (source, stop, truths) = (*source, stop.clone(), herds.truths.clone());
            let film = move || {
                let filmed = film(spec, source, plan, fifo, &stop, &truths);
                if stop.is_stopped() {
                    return Ok(());
                }
                stop.stop();
                filmed
            };
            let thread = std::thread::Builder::new().name("film".to_owned()).spawn(film);
            herds.films.push(thread.context("could not start the thread of a film")?);
        }
        Ok(herds)
    }

    /// Waits for the films' end, which `stop` brings.
    ///
    /// # Errors
    ///
    /// A film broke off.
    pub(super) fn join(self) -> anyhow::Result<()> {
        self.films.into_iter().try_for_each(|film| match film.join() {
            Ok(filmed) => filmed,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }
}

fn film(
    spec: PenSpec,
    source: SourceId,
    plan: Plan,
    to: Fifo,
    stop: &Stop,
    truths: &Truths,
) -> anyhow::Result<()> {
    let Plan { started_at, speed, .. } = plan;
    // Little of a picture helps to encode one that is ten seconds later.
    let filming = Filming { crf: 26, every: EVERY, keyframe_every: 6, started_at };
    let mut film = Film::live(spec, source, &filming, to)?;
    let clock = SystemClock;
    let pace = Pace { started_at, began: clock.now(), speed };
    let mut at = started_at;
    while !wait_until(pace.due(at), &clock, stop) {
        truths.add(source, &film.add(at, at.since(started_at))?);
        at = at.plus(EVERY);
    }
    Ok(())
}
