//! What holds of every pen.

use std::time::Duration;

use proptest::prelude::*;
use schemas::time::UnixMillis;

use crate::chance::Chance;
use crate::day::{DAY_S, LyingShare, Planner};
use crate::herd::{Activity, Budget, Rhythm};
use crate::moment::moment;
use crate::site::Site;
use crate::spots::SpotKind;
use crate::{InvalidPen, LightKind, Pen, PenSpec, Posture, Truth};

fn spec(seed: u64, animals: u32) -> PenSpec {
    PenSpec {
        seed,
        animals,
        width: 320,
        height: 180,
        utc_offset_minutes: 0,
        rhythm: Rhythm::default(),
    }
}

fn pen(seed: u64, animals: u32) -> Pen {
    Pen::new(spec(seed, animals), 1.try_into().unwrap()).unwrap()
}

/// `hour` of 2026-03-01.
fn hour(hour: f64) -> UnixMillis {
    UnixMillis::new(1_772_323_200_000).plus(Duration::from_secs_f64(3600.0 * hour))
}

fn drawn(pen: &mut Pen, at: UnixMillis) -> (Truth, Vec<u8>) {
    let mut rgb = vec![0; pen.picture_bytes()];
    (pen.draw(at, at, &mut rgb), rgb)
}

fn planner(seed: u64, animals: u32, rhythm: Rhythm) -> Planner {
    let (_, spots) = Site::new(seed, animals, 16.0 / 9.0);
    Planner { key: seed, animals: animals.try_into().unwrap(), rhythm, spots }
}

#[test]
fn a_moment_looks_the_same_whatever_was_drawn_before() {
    let (mut one, mut other) = (pen(7, 9), pen(7, 9));
    let first = drawn(&mut one, hour(10.0));
    drawn(&mut other, hour(50.0));
    drawn(&mut other, hour(3.0));
    assert_eq!(drawn(&mut other, hour(10.0)), first);
    assert_ne!(drawn(&mut other, hour(10.01)).1, first.1);
    assert_ne!(drawn(&mut pen(8, 9), hour(10.0)).1, first.1);
}

/// The same on every machine, and in every version until somebody means to change it:
/// what was trained and measured on these pictures can be made again.
#[test]
fn a_seed_is_the_same_picture_for_ever() {
    let sums = [2.0, 13.0, 21.0].map(|at| {
        let (_, rgb) = drawn(&mut pen(3, 12), hour(at));
        rgb.iter().fold(0_u64, |sum, byte| crate::chance::mix(sum ^ u64::from(*byte)))
    });
    let known = [2_010_788_866_967_457_905, 1_478_057_724_853_890_871, 4_583_461_401_100_972_074];
    assert_eq!(sums, known);
}

#[test]
fn nights_are_grey_and_days_are_not() {
    let mut pen = pen(5, 4);
    let (night, rgb) = drawn(&mut pen, hour(2.0));
    assert_eq!((night.light, night.night), (LightKind::Infrared, true));
    assert!(rgb.chunks(3).all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]));
    let (day, rgb) = drawn(&mut pen, hour(12.0));
    assert_eq!((day.light, day.night), (LightKind::Day, false));
    assert!(rgb.chunks(3).any(|pixel| 12 < pixel[0].abs_diff(pixel[2])));
}

#[test]
fn the_herd_is_away_while_it_is_milked() {
    let mut pen = pen(11, 8);
    assert_eq!(drawn(&mut pen, hour(6.75)).0.animals.len(), 0);
    assert_eq!(drawn(&mut pen, hour(17.3)).0.animals.len(), 0);
    assert!(5 <= drawn(&mut pen, hour(7.5)).0.animals.len());
}

#[test]
fn a_box_is_around_what_is_to_be_seen() {
    for seed in 0..6 {
        let mut pen = pen(seed, 1);
        let (truth, _) = drawn(&mut pen, hour(11.0));
        let [animal] = truth.animals[..] else { panic!("{truth:?}") };
        let parts: Vec<bool> = pen.canvas_parts();
        let inside = |place: usize| {
            let (x, y) = ((place % 320) as f32 / 320.0, (place / 320) as f32 / 180.0);
            animal.x <= x + 1e-4
                && x < animal.x + animal.w
                && animal.y <= y + 1e-4
                && y < animal.y + animal.h
        };
        let of_animal = (0..parts.len()).filter(|place| parts[*place]);
        assert!(of_animal.clone().all(inside));
        // And no larger: each side touches a pixel.
        let columns: Vec<usize> = of_animal.clone().map(|place| place % 320).collect();
        let rows: Vec<usize> = of_animal.map(|place| place / 320).collect();
        let width = columns.iter().max().unwrap() + 1 - columns.iter().min().unwrap();
        let height = rows.iter().max().unwrap() + 1 - rows.iter().min().unwrap();
        assert!((animal.w - width as f32 / 320.0).abs() < 1e-5);
        assert!((animal.h - height as f32 / 180.0).abs() < 1e-5);
    }
}

#[test]
fn what_lies_is_lower_than_what_stands() {
    let (mut low, mut high) = (Vec::new(), Vec::new());
    for seed in 0..12 {
        let mut pen = pen(seed, 5);
        for at in [1.0, 10.0, 13.5, 19.0] {
            for animal in drawn(&mut pen, hour(at)).0.animals {
                let shape = animal.h / animal.w;
                match animal.posture {
                    _ if animal.visible < 0.9 => {}
                    Posture::Lying => low.push(shape),
                    Posture::Standing => high.push(shape),
                }
            }
        }
    }
    let mean = |shapes: &[f32]| shapes.iter().sum::<f32>() / shapes.len() as f32;
    assert!(30 < low.len() && 30 < high.len());
    assert!(mean(&low) < 0.85 * mean(&high), "{} {}", mean(&low), mean(&high));
}

/// Over many days an animal spends its time as the budget says.
#[test]
fn time_is_spent_by_the_budget() {
    for budget in [
        Budget::default(),
        Budget { lying: 0.35, eating: 0.4, drinking: 0.02, brushing: 0.02 },
        Budget { lying: 0.6, eating: 0.15, drinking: 0.01, brushing: 0.0 },
        Budget { lying: 0.8, eating: 0.1, drinking: 0.01, brushing: 0.0 },
        Budget { lying: 0.0, eating: 0.5, drinking: 0.01, brushing: 0.0 },
    ] {
        let rhythm = Rhythm { budget, milkings: vec![], milking_minutes: 0.0 };
        let planner = planner(5, 6, rhythm);
        let mut spent = std::collections::BTreeMap::<&str, f64>::new();
        let mut all = 0.0;
        for number in 0..60 {
            for bouts in planner.plan(number).bouts {
                for bout in bouts {
                    let until = bout.until_s.min(DAY_S);
                    let lasts = f64::from(until - bout.from_s.max(0.0));
                    let name = match bout.activity {
                        Activity::Lying => "lying",
                        Activity::Eating => "eating",
                        Activity::Drinking => "drinking",
                        Activity::Brushing => "brushing",
                        _ => "other",
                    };
                    *spent.entry(name).or_default() += lasts;
                    all += lasts;
                }
            }
        }
        let near = |name: &str, wanted: f32, off: f64| {
            let share = spent.get(name).copied().unwrap_or_default() / all;
            assert!((share - f64::from(wanted)).abs() < off, "{name} {share} {budget:?}");
        };
        near("lying", budget.lying, 0.05);
        near("eating", budget.eating, 0.05);
        near("drinking", budget.drinking, 0.02);
        near("brushing", budget.brushing, 0.02);
    }
}

#[test]
fn lying_has_two_peaks_and_the_budgets_mean() {
    let of = |lying: f32| LyingShare::of(&Budget { lying, ..Budget::default() });
    let at = |hour: f32| of(0.5).at(hour);
    assert!(at(9.0) < at(2.0) && at(9.0) < at(13.5) && at(18.0) < at(13.5));
    for lying in [0.0, 0.01, 0.3, 0.5, 0.7, 0.8, 0.9, 0.96] {
        let share = of(lying);
        let mean = (0..1440).map(|minute| share.at(minute as f32 / 60.0)).sum::<f32>() / 1440.0;
        assert!((mean - lying).abs() < 0.005, "{mean} of {lying}");
    }
}

/// Also who has only just come to lie when the herd is fetched.
#[test]
fn nobody_stays_when_the_herd_is_milked() {
    for milking in [10, 390] {
        let rhythm = Rhythm { milkings: vec![milking], ..Rhythm::default() };
        let planner = planner(9, 20, rhythm);
        let away = f64::from(milking) * 60.0 + 900.0;
        for number in 0..4 {
            let day = planner.plan(number);
            for animal in 0..20 {
                assert!(moment(&day, animal, away, away, 1).is_none(), "{animal} of day {number}");
            }
        }
    }
}

/// What is told of an animal does not contradict itself, least of all when it is fetched.
#[test]
fn whoever_lies_does_nothing_else() {
    let planner = planner(3, 12, Rhythm::default());
    let day = planner.plan(2);
    for half_second in 0..(2 * 3600) {
        let second = 6.0 * 3600.0 + f64::from(half_second) / 2.0;
        for moment in (0..12).filter_map(|animal| moment(&day, animal, second, second, 1)) {
            assert_eq!(moment.lies(), moment.activity == Activity::Lying, "{moment:?} at {second}");
        }
    }
}

/// Nobody jumps, over bouts, milkings and midnight.
#[test]
fn an_animal_is_never_far_from_where_it_just_was() {
    let planner = planner(21, 10, Rhythm::default());
    let (today, tomorrow) = (planner.plan(4), planner.plan(5));
    for animal in 0..10 {
        let mut last: Option<glam::Vec2> = None;
        for second in 0..(86_400 + 7_200) {
            let (day, of_day) =
                if second < 86_400 { (&today, second) } else { (&tomorrow, second - 86_400) };
            let now = moment(day, animal, f64::from(of_day), f64::from(second), 1);
            if let (Some(before), Some(now)) = (last, now) {
                let moved = before.distance(now.at);
                assert!(moved < 0.9, "animal {animal} moved {moved} m at {second}");
            }
            last = now.map(|now| now.at);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn there_is_a_spot_for_everybody(seed: u64, animals in 1_u32..=30) {
        let (site, spots) = Site::new(seed, animals, 16.0 / 9.0);
        let ground = spots.of(SpotKind::Ground);
        prop_assert!((animals as usize) < ground.len());
        for kind in [SpotKind::Feeder, SpotKind::Trough, SpotKind::Brush, SpotKind::Gate] {
            prop_assert!(!spots.of(kind).is_empty());
        }
        for place in ground {
            let at = spots.get(place).at;
            prop_assert!(0.0 < at.x && at.x < site.width && 0.0 < at.y && at.y < site.depth);
        }
    }

    #[test]
    fn a_day_has_no_gap_and_no_spot_has_two_owners(seed: u64, animals in 1_u32..=30, day in 0_i64..20_000) {
        let planner = planner(seed, animals, Rhythm::default());
        let plan = planner.plan(day);
        let mut stays = Vec::new();
        for bouts in &plan.bouts {
            prop_assert!(bouts[0].from_s <= 0.0);
            prop_assert!(DAY_S <= bouts.last().unwrap().until_s);
            for pair in bouts.windows(2) {
                prop_assert!(pair[0].until_s.total_cmp(&pair[1].from_s).is_eq());
                prop_assert!(pair[1].from_s < pair[1].until_s);
            }
            // Later they go to where they begin the next day.
            stays.extend(bouts.iter().filter(|bout| bout.until_s < 84_000.0).copied());
        }
        let gate = planner.spots.gate().place;
        for (number, one) in stays.iter().enumerate() {
            for other in &stays[number + 1..] {
                let together = one.there_s.max(other.there_s) < one.until_s.min(other.until_s);
                let same = one.spot.place == other.spot.place && one.spot.place != gate;
                prop_assert!(!(same && together), "{:?} {:?}", one, other);
            }
        }
    }

    #[test]
    fn numbers_are_spread_evenly(seed: u64) {
        let mut chance = Chance::of(&[seed]);
        let mean = (0..4000).map(|_| chance.unit()).sum::<f32>() / 4000.0;
        prop_assert!((mean - 0.5).abs() < 0.03);
    }
}

#[test]
fn what_is_no_pen_is_refused() {
    let refused = |spec: PenSpec| Pen::new(spec, 1.try_into().unwrap()).unwrap_err();
    assert_eq!(refused(spec(1, 0)), InvalidPen::Animals(0));
    assert_eq!(refused(spec(1, 31)), InvalidPen::Animals(31));
    let odd = PenSpec { width: 321, ..spec(1, 3) };
    assert_eq!(refused(odd), InvalidPen::Size { width: 321, height: 180 });
    let late = Rhythm { milkings: vec![1400], ..Rhythm::default() };
    assert_eq!(refused(PenSpec { rhythm: late, ..spec(1, 3) }), InvalidPen::Milking(1400));
    let busy = Budget { lying: 0.7, eating: 0.4, ..Budget::default() };
    let rhythm = Rhythm { budget: busy, ..Rhythm::default() };
    assert!(matches!(refused(PenSpec { rhythm, ..spec(1, 3) }), InvalidPen::Budget(_)));
}
