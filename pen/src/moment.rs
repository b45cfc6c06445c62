//! A day's plan at one moment: where each animal is and how it holds itself.

use glam::Vec2;

use crate::chance::{mix, sway, unit};
use crate::day::{Bout, Day};
use crate::goat::Posture;
use crate::herd::Activity;
use crate::spots::towards;

/// How long getting up and lying down take, seconds.
const UP_S: f32 = 5.0;
const DOWN_S: f32 = 4.0;
const TURN_S: f32 = 1.5;
/// Steps a metre, in radians of a step's phase.
const STEPS: f32 = 9.0;

/// One animal at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) activity: Activity,
    /// Metres on the floor.
    pub(crate) at: Vec2,
    /// Radians from the x axis.
    pub(crate) heading: f32,
    pub(crate) posture: Posture,
}

impl Moment {
    /// Whether its trunk is nearer to lying than to standing.
    pub(crate) fn lies(&self) -> bool {
        0.5 < self.posture.down
    }
}

/// Animal number `animal` at `second` of the day; `None` while it is away. `now_s` counts
/// on over days, for what never repeats; `key` tells this animal from every other.
pub(crate) fn moment(
    day: &Day,
    animal: usize,
    second: f64,
    now_s: f64,
    key: u64,
) -> Option<Moment> {
    let second = second as f32;
    let bouts = day.bouts.get(animal)?;
    let after = bouts.partition_point(|bout| bout.from_s <= second);
    let bout = bouts.get(after.saturating_sub(1))?;
    let before = after.checked_sub(2).and_then(|place| bouts.get(place));
    let stages = Stages::of(bout, before);
    let walked = stages.walked(second);
    if bout.activity == Activity::Away && 1.0 <= walked {
        return None;
    }
    let start = before.map_or(bout.spot, |before| before.spot);
    let (from, to) = (start.at, bout.spot.at);
    let way = towards(to - from);
    let walking = second < stages.arrives && stages.sets_out <= second && from != to;
    let heading = match (before, walking) {
        (Some(_), true) => turn(start.heading, way, (second - stages.sets_out) / TURN_S),
        (Some(_), false) if from != to && second < stages.sets_out => start.heading,
        (Some(_), false) if from != to => {
            turn(way, bout.spot.heading, (second - stages.arrives) / TURN_S)
        }
        _ => bout.spot.heading,
    };
    let mut at = from.lerp(to, walked);
    let activity = match bout.activity {
        _ if walking => Activity::Walking,
        Activity::Away => Activity::Standing,
        Activity::Lying if stages.down(second) < 0.5 => Activity::Standing,
        other if stages.down(second) > 0.5 && other != Activity::Lying => Activity::Lying,
        other => other,
    };
    let posture = posture(activity, &stages, second, now_s, key, from.distance(at), bout.from_s);
    // Its head is up already, but whoever is fetched lies until it has half risen.
    let activity = match activity {
        Activity::Standing if stages.down(second) > 0.5 => Activity::Lying,
        other => other,
    };
    let ahead = Vec2::new(libm::cosf(heading), libm::sinf(heading));
    if activity == Activity::Brushing {
        at += ahead * (0.06 * libm::sinf(second * 2.4));
    } else if activity == Activity::Standing {
        at += ahead.perp() * (0.03 * sway(key ^ 11, now_s, 40.0));
    }
    Some(Moment { activity, at, heading, posture })
}

/// The turning points of a bout, seconds of the day.
struct Stages {
    rises: Option<f32>,
    sets_out: f32,
    arrives: f32,
    lies_from: Option<f32>,
}

impl Stages {
    fn of(bout: &Bout, before: Option<&Bout>) -> Stages {
        let lay = before.is_some_and(|before| before.activity == Activity::Lying);
        let stays = before.is_some_and(|before| before.spot.place == bout.spot.place);
        let lies = bout.activity == Activity::Lying;
        let rises = (lay && !(stays && lies)).then_some(bout.from_s);
        let sets_out = bout.from_s + rises.map_or(0.0, |_| UP_S);
        let arrives = sets_out + (bout.there_s - bout.from_s);
        let lies_from = lies.then(|| match lay && stays {
            true => f32::MIN,
            // A look around first.
            false => arrives + 4.0 + 14.0 * (bout.spot.heading.abs() * 7.3).fract(),
        });
        Stages { rises, sets_out, arrives, lies_from }
    }

    fn walked(&self, second: f32) -> f32 {
        match self.arrives - self.sets_out {
            way if way <= 0.0 => 1.0,
            way => ((second - self.sets_out) / way).clamp(0.0, 1.0),
        }
    }

    /// From 0, standing, to 1, lying.
    fn down(&self, second: f32) -> f32 {
        let rising = self.rises.map_or(0.0, |from| 1.0 - ease((second - from) / UP_S));
        let sinking = self.lies_from.map_or(0.0, |from| ease((second - from) / DOWN_S));
        rising.max(sinking)
    }
}

fn posture(
    activity: Activity,
    stages: &Stages,
    second: f32,
    now_s: f64,
    key: u64,
    walked: f32,
    bout_from: f32,
) -> Posture {
    let down = stages.down(second);
    // How it holds its head through this bout.
    let habit = mix(key ^ u64::from(bout_from.to_bits()));
    let side = if habit & 1 == 0 { 1.0 } else { -1.0 };
    let slow = sway(key ^ 3, now_s, 17.0);
    let quick = sway(key ^ 4, now_s, 1.1);
    let look = sway(key ^ 5, now_s, 23.0);
    let (neck_up, neck_left, nod) = match activity {
        Activity::Lying if unit(habit) < 0.22 => (-0.05, 2.1 * side, 0.35),
        Activity::Lying if unit(habit) < 0.32 => (-0.3, 0.5 * side, 0.1),
        Activity::Lying => (0.85 + 0.2 * slow, 0.7 * look, 0.4 + 0.1 * quick),
        Activity::Eating => (-0.2 + 0.15 * quick, 0.25 * slow, 0.95),
        Activity::Drinking => (-0.5 + 0.05 * quick, 0.0, 0.8),
        Activity::Brushing => (0.35 + 0.2 * quick, 0.5 * slow, 0.3),
        Activity::Walking => (0.5 + 0.08 * quick, 0.1 * slow, 0.5),
        _ if unit(mix(habit)) < 0.2 => (-0.55 + 0.2 * slow, 0.4 * look, 0.9),
        _ => (0.8 + 0.3 * slow, 0.8 * look, 0.5),
    };
    let swing = if activity == Activity::Walking { 0.42 } else { 0.0 };
    let breath = libm::sinf((now_s * 2.2).rem_euclid(std::f64::consts::TAU) as f32);
    Posture { down, step: walked * STEPS, swing, neck_up, neck_left, nod, side, breath }
}

fn ease(t: f32) -> f32 {
    let t = t.clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// From one heading to another, the shorter way round.
fn turn(from: f32, to: f32, t: f32) -> f32 {
    let apart = to - from;
    let apart = libm::atan2f(libm::sinf(apart), libm::cosf(apart));
    from + apart * ease(t)
}
