//! What each animal of a herd does through one day, and where.
//!
//! An animal goes from bout to bout: it lies, stands, eats, drinks or brushes itself
//! for a while at a spot of its own, and walks from one spot to the next. Lying has two
//! peaks, at night and after midday; at milking the herd leaves the pen.
//!
//! # Invariants
//!
//! - A day is a function of pen, herd and date: not of when it is asked for. One day
//!   ends where the next begins.
//! - Two animals do not use one spot at the same time; there are more spots to lie or
//!   stand on than animals. But for the last 25 minutes before midnight: who then goes to
//!   where it begins the next day may find somebody there who still has to go.

use glam::Vec2;
use schemas::time::UnixMillis;

use crate::chance::Chance;
use crate::herd::{Activity, Budget, Rhythm};
use crate::spots::{Spot, SpotKind, Spots};

pub(crate) const DAY_S: f32 = 86_400.0;
/// Metres a second.
const WALKING_SPEED: f32 = 0.55;
/// When the herd begins to go to where it begins the next day.
const HOMEWARD_S: f32 = DAY_S - 1_500.0;

/// A stay of one animal at one spot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bout {
    pub(crate) activity: Activity,
    /// When it sets out for the spot, seconds of the local day.
    pub(crate) from_s: f32,
    /// When it is there.
    pub(crate) there_s: f32,
    pub(crate) until_s: f32,
    pub(crate) spot: Spot,
}

/// One day of a herd.
#[derive(Clone, Debug)]
pub(crate) struct Day {
    /// By animal, in order of time, from midnight to midnight without a gap.
    pub(crate) bouts: Vec<Vec<Bout>>,
}

/// Midnight of the local day that `at` lies in, as a number of days, and seconds since.
pub(crate) fn local(at: UnixMillis, utc_offset_minutes: i32) -> (i64, f64) {
    let local = at.get().saturating_add(i64::from(utc_offset_minutes) * 60_000);
    (local.div_euclid(86_400_000), local.rem_euclid(86_400_000) as f64 / 1000.0)
}

/// A smooth hump of 1 at `peak`, 0 from `width` hours away.
fn hump(hour: f32, peak: f32, width: f32) -> f32 {
    let apart = (hour - peak).abs();
    let inside = (apart.min(24.0 - apart) / width).min(1.0);
    let rest = 1.0 - inside * inside;
    rest * rest
}

/// The share of animals that lie at this hour, of those in the pen, before it is
/// scaled to a budget.
fn lying_shape(hour: f32) -> f32 {
    0.24 + 0.72 * hump(hour, 2.0, 7.0) + 0.55 * hump(hour, 13.5, 3.2)
}

/// The share of animals that lie at each hour, so that a day's share is a budget's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LyingShare {
    /// The day's share.
    lying: f32,
    /// The day's share if no hour's were bounded.
    unbounded: f32,
}

/// Even at night not every animal lies, and even at noon some do.
const LYING_BOUNDS: (f32, f32) = (0.02, 0.97);

impl LyingShare {
    pub(crate) fn of(budget: &Budget) -> LyingShare {
        let lying = budget.lying;
        let with = |unbounded| LyingShare { lying, unbounded };
        if quarters().all(|hour| with(lying).at(hour).total_cmp(&with(lying).raw(hour)).is_eq()) {
            return with(lying);
        }
        // What the bounds take from some hours, the others get.
        let (mut low, mut high) = (0.0, 64.0);
        for _ in 0..32 {
            let middle = 0.5 * (low + high);
            match with(middle).mean() < lying {
                true => low = middle,
                false => high = middle,
            }
        }
        with(low)
    }

    pub(crate) fn at(&self, hour: f32) -> f32 {
        let (least, most) = LYING_BOUNDS;
        self.raw(hour).clamp(least.min(self.lying), most.max(self.lying))
    }

    fn raw(&self, hour: f32) -> f32 {
        // The shape's mean over a day: 0.24 + 2 * 8/15 * (0.72 * 7 + 0.55 * 3.2) / 24.
        const MEAN: f32 = 0.24 + 16.0 / 15.0 * (0.72 * 7.0 + 0.55 * 3.2) / 24.0;
        self.unbounded * lying_shape(hour) / MEAN
    }

    fn mean(&self) -> f32 {
        quarters().map(|hour| self.at(hour)).sum::<f32>() / 96.0
    }
}

/// The day's quarters of an hour, in hours.
fn quarters() -> impl Iterator<Item = f32> {
    (0..96_u8).map(|quarter| f32::from(quarter) / 4.0)
}

/// Plans days.
#[derive(Clone, Debug)]
pub(crate) struct Planner {
    pub(crate) key: u64,
    pub(crate) animals: usize,
    pub(crate) rhythm: Rhythm,
    pub(crate) spots: Spots,
}

impl Planner {
    /// Everything that the herd does on day number `day`.
    pub(crate) fn plan(&self, day: i64) -> Day {
        let mut chance = Chance::of(&[self.key, 0xDA, day.cast_unsigned()]);
        let (start, homes) = (self.homes(day), self.homes(day.saturating_add(1)));
        let mut taken = vec![0.0_f32; self.spots.len()];
        let mut bouts: Vec<Vec<Bout>> = start
            .iter()
            .map(|(place, lies)| {
                let activity = if *lies { Activity::Lying } else { Activity::Standing };
                let until_s = chance.between(0.1, 1.0) * 60.0 * activity.minutes().1;
                taken[*place] = until_s + 30.0;
                let spot = self.spots.get(*place);
                vec![Bout { activity, from_s: -1200.0, there_s: -900.0, until_s, spot }]
            })
            .collect();
        let leaving: Vec<Vec<(f32, f32)>> =
            (0..self.animals).map(|_| self.milkings(&mut chance)).collect();
        for (row, leaving) in bouts.iter_mut().zip(&leaving) {
            if let (Some(first), Some((out, _))) = (row.first_mut(), leaving.first()) {
                first.until_s = first.until_s.min(*out);
            }
        }
        // Always on with the animal whose bout ends first, so that spots are free or taken
        // as they would be.
        loop {
            let next = bouts
                .iter()
                .enumerate()
                .filter_map(|(animal, row)| Some((animal, row.last()?.until_s)))
                .filter(|(_, until_s)| *until_s < DAY_S)
                .min_by(|a, b| a.1.total_cmp(&b.1));
            let Some((animal, from_s)) = next else { break };
            let home = homes.get(animal).copied().unwrap_or_default();
            let last = bouts[animal].last().copied();
            let Some(last) = last else { break };
            let bout = self.next(from_s, &last, &leaving[animal], home, &mut taken, &mut chance);
            bouts[animal].push(bout);
        }
        Day { bouts }
    }

    /// Where each animal is at midnight at the beginning of `day`, and whether it lies.
    fn homes(&self, day: i64) -> Vec<(usize, bool)> {
        let mut chance = Chance::of(&[self.key, 0x80, day.cast_unsigned()]);
        let mut free = self.spots.of(SpotKind::Ground);
        let lying = LyingShare::of(&self.rhythm.budget).at(0.0);
        (0..self.animals)
            .map(|_| {
                let place = chance.place(free.len());
                (free.swap_remove(place), chance.happens(lying))
            })
            .collect()
    }

    /// When an animal leaves for the milking, and comes back.
    fn milkings(&self, chance: &mut Chance) -> Vec<(f32, f32)> {
        let lasts = self.rhythm.milking_minutes * 60.0;
        let times = self.rhythm.milkings.iter().filter(|_| 0.0 < lasts);
        times
            .map(|minute| {
                let from = *minute as f32 * 60.0;
                (from + chance.between(0.0, 120.0), from + lasts + chance.between(0.0, 150.0))
            })
            .collect()
    }

    fn next(
        &self,
        from_s: f32,
        last: &Bout,
        leaving: &[(f32, f32)],
        home: (usize, bool),
        taken: &mut [f32],
        chance: &mut Chance,
    ) -> Bout {
        if HOMEWARD_S <= from_s {
            let activity = if home.1 { Activity::Lying } else { Activity::Standing };
            let spot = self.spots.get(home.0);
            let there_s = from_s + walk_s(last.spot.at, spot.at);
            return Bout { activity, from_s, there_s, until_s: DAY_S, spot };
        }
        if let Some((_, back)) = leaving.iter().find(|(out, back)| *out <= from_s && from_s < *back)
        {
            let spot = self.spots.gate();
            let there_s = from_s + walk_s(last.spot.at, spot.at);
            let until_s = back.max(there_s + 1.0);
            return Bout { activity: Activity::Away, from_s, there_s, until_s, spot };
        }
        let weights = self.weights(from_s / 3600.0);
        let mut activity = Activity::IN_PEN[chance.weighted(&weights)];
        let mut free = self.free(activity, from_s, taken);
        if free.is_empty() {
            // Somebody is faster at the trough.
            activity = Activity::Standing;
            free = self.free(activity, from_s, taken);
        }
        let stays = activity == last.activity && last.activity != Activity::Away;
        let place = match stays {
            true => last.spot.place,
            false => free.get(chance.place(free.len())).copied().unwrap_or(last.spot.place),
        };
        let spot = self.spots.get(place);
        let there_s = if stays { from_s } else { from_s + walk_s(last.spot.at, spot.at) };
        let (least, most) = activity.minutes();
        let mut until_s = there_s + 60.0 * chance.between(least, most);
        let interrupted = leaving.iter().map(|(out, _)| *out).find(|out| from_s < *out);
        until_s = until_s.min(interrupted.unwrap_or(f32::MAX));
        // Home in time, one after the other.
        until_s = until_s.min(HOMEWARD_S + chance.between(0.0, 600.0)).max(there_s.min(DAY_S));
        until_s = until_s.max(from_s + 1.0);
        taken[place] = until_s + 20.0;
        Bout { activity, from_s, there_s, until_s, spot }
    }

    fn free(&self, activity: Activity, at_s: f32, taken: &[f32]) -> Vec<usize> {
        let kind = activity.spot();
        self.spots.of(kind).into_iter().filter(|place| taken[*place] <= at_s).collect()
    }

    /// How likely a bout of each activity begins at `hour`, in the order of
    /// [`Activity::IN_PEN`]: its share of time over how long it lasts.
    fn weights(&self, hour: f32) -> [f32; 5] {
        let budget = &self.rhythm.budget;
        let lying = LyingShare::of(budget).at(hour);
        let others = (1.0 - lying) / (1.0 - budget.lying).max(0.01);
        Activity::IN_PEN.map(|activity| {
            let share = match activity {
                Activity::Lying => lying,
                other => others * budget.of(other),
            };
            let (least, most) = activity.minutes();
            share / (0.5 * (least + most))
        })
    }
}

fn walk_s(from: Vec2, to: Vec2) -> f32 {
    from.distance(to) / WALKING_SPEED
}
