//! A herd with a known day, instead of a camera.
//!
//! Animals lie most at night and again after midday, as goats do: at each moment an
//! animal lies with the probability [`lying_share`], which is the truth that
//! statistics over a simulated day can be held against. An animal keeps
//! to its mood for a bout of 20 to 60 minutes, then walks to another place.
//!
//! # Invariants
//!
//! - What a herd shows at a moment is a function of seed, source and moment: not of
//!   the cadence, of where a run begins, or of what was asked before. It is computed
//!   with integers and with arithmetic that is exact everywhere, so a seed means the
//!   same herd for ever.
//! - Counts are the number of boxes: both forms of a frame say the same.

mod run;

pub use run::{HerdRun, run};

use std::sync::Arc;
use std::time::Duration;

use schemas::frame::{Detection, Frame, FrameId, Model, Picture, Seen};
use schemas::source::{SessionId, SourceId};
use schemas::time::UnixMillis;

/// What all herds of a simulation share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HerdSpec {
    /// Another seed is another herd.
    pub seed: u64,
    /// Animals in front of each source.
    pub animals: u32,
    /// Local time less UTC, minutes: when it is night.
    pub utc_offset_minutes: i32,
}

/// How many of each class a frame shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub lying: u32,
    pub standing: u32,
}

/// The herd's picture, pixels.
const PICTURE: (u32, u32) = (1280, 720);

const MINUTE_MS: i64 = 60_000;
const DAY_MINUTES: i64 = 24 * 60;

/// The share of animals that lie at this minute of the local day, on average.
pub fn lying_share(minute_of_day: u32) -> f64 {
    let hour = f64::from(minute_of_day) / 60.0;
    // A smooth hump; only exact arithmetic, so that it is the same everywhere.
    let hump = |peak: f64, width: f64| {
        let apart = (hour - peak).abs();
        let inside = (apart.min(24.0 - apart) / width).min(1.0);
        let rest = 1.0 - inside * inside;
        rest * rest
    };
    0.2 + 0.68 * hump(2.0, 7.0) + 0.45 * hump(13.5, 3.0)
}

/// The animals in front of one source.
#[derive(Clone, Debug)]
pub struct Herd {
    source: SourceId,
    spec: HerdSpec,
    /// Tells this herd from every other.
    key: u64,
    animals: Vec<Animal>,
    /// [`lying_share`] of each minute of the day, of 2^32.
    lying_below: Arc<[u32]>,
    lying: Arc<str>,
    standing: Arc<str>,
    model: Model,
    /// Until when the animals' postures are known: one minute.
    minute: Option<i64>,
    counts: Counts,
}

#[derive(Clone, Copy, Debug)]
struct Animal {
    key: u64,
    /// Minutes from one change of mood to the next.
    bout: i64,
    lies: bool,
}

impl Herd {
    /// The herd that `spec` means in front of `source`.
    pub fn new(spec: HerdSpec, source: SourceId) -> Herd {
        let key = mix(spec.seed ^ mix(u64::try_from(i64::from(source)).unwrap_or(0)));
        let animals = (0..u64::from(spec.animals))
            .map(|number| {
                let key = mix(key ^ mix(number));
                let bout = 20 + i64::try_from(key % 41).unwrap_or(0);
                Animal { key, bout, lies: false }
            })
            .collect();
        let lying_below = (0..24 * 60).map(|minute| threshold(lying_share(minute))).collect();
        Herd {
            source,
            spec,
            key,
            animals,
            lying_below,
            lying: "lying".into(),
            standing: "standing".into(),
            model: Model { name: "herd".into(), hash: format!("{:016x}", spec.seed).into() },
            minute: None,
            counts: Counts::default(),
        }
    }

    pub fn source(&self) -> SourceId {
        self.source
    }

    /// How many lie and how many stand in the frame of `at`.
    #[inline]
    pub fn counts(&mut self, at: UnixMillis) -> Counts {
        self.come_to(at);
        let mut counts = self.counts;
        if let Some(missed) = self.missed(at) {
            match self.animals[missed].lies {
                true => counts.lying -= 1,
                false => counts.standing -= 1,
            }
        }
        counts
    }

    /// What a frame of `at` shows, as counts.
    pub fn seen_counts(&mut self, at: UnixMillis) -> Seen {
        let Counts { lying, standing } = self.counts(at);
        Seen::Counts(vec![(Arc::clone(&self.lying), lying), (Arc::clone(&self.standing), standing)])
    }

    /// What a frame of `at` shows, as boxes.
    pub fn seen_boxes(&mut self, at: UnixMillis) -> Seen {
        self.come_to(at);
        let missed = self.missed(at);
        let visible = self.animals.iter().enumerate().filter(|(number, _)| Some(*number) != missed);
        let mut detections: Vec<Detection> =
            visible.map(|(_, animal)| self.box_of(animal, at)).collect();
        detections.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
        let (width, height) = PICTURE;
        Seen::Detections(Picture {
            width,
            height,
            model: self.model.clone(),
            detections,
            image: None,
        })
    }

    /// Frames of counts, one each `every` from `started_at` on, without an end: the
    /// same ones for the same arguments in every process.
    pub fn frames(self, started_at: UnixMillis, every: Duration) -> HerdFrames {
        let name = [self.key.to_le_bytes(), started_at.get().to_le_bytes()].concat();
        HerdFrames {
            session: SessionId::derived_from(&name),
            herd: self,
            at: started_at,
            every,
            seq: 0,
        }
    }

    /// Knows the animals' postures of the minute of `at`.
    #[inline]
    fn come_to(&mut self, at: UnixMillis) {
        let minute = at.get().div_euclid(MINUTE_MS);
        if self.minute != Some(minute) {
            self.change_minute(minute);
        }
    }

    fn change_minute(&mut self, minute: i64) {
        let local = minute.saturating_add(i64::from(self.spec.utc_offset_minutes));
        let of_day = usize::try_from(local.rem_euclid(DAY_MINUTES)).unwrap_or(0);
        let below = self.lying_below[of_day];
        let mut lying = 0;
        for animal in &mut self.animals {
            let mood = high_half(mix(animal.key ^ bits(animal.bout_of(minute).0)));
            animal.lies = mood < below;
            lying += u32::from(animal.lies);
        }
        self.counts = Counts { lying, standing: self.spec.animals - lying };
        self.minute = Some(minute);
    }

    /// The animal that the detector overlooks in this frame: in one of 64, one.
    #[inline]
    fn missed(&self, at: UnixMillis) -> Option<usize> {
        let chance = mix(self.key ^ bits(at.get()));
        if !chance.is_multiple_of(64) || self.animals.is_empty() {
            return None;
        }
        let which = u64::from(high_half(chance)) % u64::from(self.spec.animals);
        usize::try_from(which).ok()
    }

    #[expect(clippy::as_conversions, reason = "a fraction of a picture needs no more than an f32")]
    fn box_of(&self, animal: &Animal, at: UnixMillis) -> Detection {
        let (x, y) = animal.place(at);
        // Further up is further away.
        let near = 0.35 + 0.65 * y;
        let (w, h) = match animal.lies {
            true => (0.11 * near, 0.085 * near),
            false => (0.10 * near, 0.15 * near),
        };
        let flicker = unit(mix(animal.key ^ bits(at.get())));
        let (w, h) = (w * (0.98 + 0.04 * flicker), h * (1.02 - 0.04 * flicker));
        let class = if animal.lies { &self.lying } else { &self.standing };
        Detection {
            class: Arc::clone(class),
            confidence: (0.55 + 0.4 * unit(mix(animal.key)) + 0.04 * flicker) as f32,
            x: (x - w / 2.0).clamp(0.0, 1.0 - w) as f32,
            y: (y - h).clamp(0.0, 1.0 - h) as f32,
            w: w as f32,
            h: h as f32,
        }
    }
}

/// How long the way to another place takes.
const WALK_MS: f64 = 180_000.0;

impl Animal {
    /// The bout that `minute` lies in, and the minute it began. Animals do not
    /// change their mood together.
    fn bout_of(&self, minute: i64) -> (i64, i64) {
        let shift = i64::try_from(self.key >> 32).unwrap_or(0).rem_euclid(self.bout);
        let bout = minute.saturating_add(shift).div_euclid(self.bout);
        (bout, bout.saturating_mul(self.bout).saturating_sub(shift))
    }

    /// Where it stands on the ground, in fractions of the picture.
    #[expect(clippy::as_conversions, reason = "milliseconds within a bout are exact in an f64")]
    fn place(&self, at: UnixMillis) -> (f64, f64) {
        let (bout, began) = self.bout_of(at.get().div_euclid(MINUTE_MS));
        let into_ms = at.get().saturating_sub(began.saturating_mul(MINUTE_MS));
        let walked = (into_ms as f64 / WALK_MS).clamp(0.0, 1.0);
        let eased = walked * walked * (3.0 - 2.0 * walked);
        let ((x0, y0), (x1, y1)) = (self.rest(bout - 1), self.rest(bout));
        (x0 + (x1 - x0) * eased, y0 + (y1 - y0) * eased)
    }

    /// Where it spends a bout.
    fn rest(&self, bout: i64) -> (f64, f64) {
        let chance = mix(self.key ^ mix(bits(bout)));
        (0.06 + 0.88 * unit(chance), 0.3 + 0.68 * unit(mix(chance)))
    }
}

/// A herd's frames, one after the other.
#[derive(Clone, Debug)]
pub struct HerdFrames {
    herd: Herd,
    session: SessionId,
    at: UnixMillis,
    every: Duration,
    seq: u64,
}

impl Iterator for HerdFrames {
    type Item = Frame;

    #[inline]
    fn next(&mut self) -> Option<Frame> {
        let id = FrameId { source: self.herd.source, session: self.session, seq: self.seq };
        let captured_at = self.at;
        self.seq += 1;
        self.at = self.at.plus(self.every);
        let seen = self.herd.seen_counts(captured_at);
        Some(Frame { id, captured_at, produced_at: captured_at, seen })
    }
}

/// `SplitMix64`'s output function: every bit of the result depends on every bit given.
#[inline]
const fn mix(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

#[inline]
const fn bits(number: i64) -> u64 {
    number.cast_unsigned()
}

#[inline]
fn high_half(bits: u64) -> u32 {
    u32::try_from(bits >> 32).unwrap_or(u32::MAX)
}

/// From 0 to below 1.
fn unit(bits: u64) -> f64 {
    f64::from(high_half(bits)) / 4_294_967_296.0
}

#[expect(clippy::as_conversions, reason = "a share of 2^32, held at its ends by the cast")]
fn threshold(share: f64) -> u32 {
    (share * 4_294_967_296.0) as u32
}

#[cfg(test)]
mod tests;
