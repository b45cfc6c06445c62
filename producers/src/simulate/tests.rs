use super::*;

const MIDNIGHT: i64 = 1_772_323_200_000; // 2026-03-01T00:00:00Z

fn herd(seed: u64, animals: u32) -> Herd {
    let spec = HerdSpec { seed, animals, utc_offset_minutes: 0 };
    Herd::new(spec, SourceId::try_from(1).unwrap())
}

fn at_minute(minute: i64) -> UnixMillis {
    UnixMillis::new(MIDNIGHT + minute * MINUTE_MS)
}

#[test]
fn a_day_has_two_lying_peaks_and_the_herd_keeps_to_it() {
    let share = |hour: u32| lying_share(hour * 60);
    assert!(share(2) > 0.8 && share(13) > 0.5 && share(9) < 0.35 && share(18) < 0.35);
    assert!((0..1440).all(|minute| (0.0..=1.0).contains(&lying_share(minute))));

    // Averaged over many animals and days, the herd shows the share itself.
    let mut herd = herd(7, 400);
    for hour in [2_u32, 5, 9, 13, 18, 22] {
        let minutes: Vec<i64> =
            (0..20).map(|day| day * DAY_MINUTES + i64::from(hour) * 60).collect();
        let (mut lying, mut seen) = (0, 0);
        for minute in &minutes {
            let counts = herd.counts(at_minute(*minute));
            lying += counts.lying;
            seen += counts.lying + counts.standing;
        }
        let found = f64::from(lying) / f64::from(seen);
        assert!((found - share(hour)).abs() < 0.02, "{hour} h: {found} for {}", share(hour));
    }
}

#[test]
fn night_is_when_the_site_has_it() {
    let spec = HerdSpec { seed: 1, animals: 300, utc_offset_minutes: 12 * 60 };
    let mut there = Herd::new(spec, SourceId::try_from(1).unwrap());
    let at_noon_utc = there.counts(at_minute(14 * 60));
    assert!(at_noon_utc.standing < at_noon_utc.lying / 2, "{at_noon_utc:?}");
}

#[test]
fn a_moment_shows_the_same_however_it_is_reached() {
    let moments: Vec<UnixMillis> =
        (0..4000).map(|n| UnixMillis::new(MIDNIGHT + n * 7_001)).collect();
    let mut forwards = herd(3, 12);
    let seen: Vec<Counts> = moments.iter().map(|at| forwards.counts(*at)).collect();
    let mut backwards = herd(3, 12);
    for (at, expected) in moments.iter().zip(&seen).rev() {
        assert_eq!(backwards.counts(*at), *expected);
        let Seen::Detections(picture) = backwards.seen_boxes(*at) else { panic!("boxes") };
        let lying = picture.detections.iter().filter(|d| &*d.class == "lying").count();
        assert_eq!(u32::try_from(lying).unwrap(), expected.lying);
        assert_eq!(
            u32::try_from(picture.detections.len()).unwrap(),
            expected.lying + expected.standing
        );
    }
    // Frames in which one is overlooked: about one in 64.
    let missing = seen.iter().filter(|c| c.lying + c.standing < 12).count();
    assert!((30..100).contains(&missing), "{missing}");
}

/// What a seed means never changes: demos and recorded benchmarks stand on it.
#[test]
fn a_seed_means_the_same_herd_for_ever() {
    let mut known = herd(42, 12);
    let hours: Vec<String> = (0..24)
        .map(|hour| {
            let Counts { lying, standing } = known.counts(at_minute(hour * 60));
            format!("{lying}/{standing}")
        })
        .collect();
    insta::assert_snapshot!(hours.join(" "), @"10/2 9/3 10/2 9/3 11/1 6/6 12/0 7/5 3/9 4/8 3/9 3/9 6/6 9/3 7/5 5/7 2/10 0/12 2/10 1/11 2/10 2/10 8/4 10/2");
    let Seen::Detections(picture) = known.seen_boxes(at_minute(0)) else { panic!("boxes") };
    let Detection { class, confidence, x, y, w, h } = &picture.detections[0];
    insta::assert_snapshot!(format!("{class} {confidence} {x} {y} {w} {h}"), @"standing 0.92679745 0.07245878 0.24582848 0.05554029 0.08649207");
}

#[test]
fn boxes_move_like_animals_and_pass_the_check() {
    let mut herd = herd(5, 30);
    let mut last: Option<Vec<(f64, f64)>> = None;
    for second in 0..7200 {
        let at = UnixMillis::new(MIDNIGHT + 8 * 3_600_000 + second * 1000);
        let Seen::Detections(picture) = herd.seen_boxes(at) else { panic!("boxes") };
        for detection in &picture.detections {
            detection.check().unwrap();
        }
        let places: Vec<(f64, f64)> = herd.animals.iter().map(|animal| animal.place(at)).collect();
        if let Some(before) = last {
            for ((x0, y0), (x1, y1)) in before.iter().zip(&places) {
                // At most a crossing of the picture in the three minutes of a walk.
                assert!((x1 - x0).hypot(y1 - y0) < 0.015, "a jump at {second} s");
            }
        }
        last = Some(places);
    }
}

#[test]
fn frames_are_numbered_and_the_same_in_every_run() {
    let frames = || herd(9, 4).frames(at_minute(0), Duration::from_secs(1));
    let first: Vec<Frame> = frames().take(200).collect();
    assert_eq!(first, frames().take(200).collect::<Vec<_>>());
    for (n, frame) in (0..).zip(&first) {
        frame.check().unwrap();
        assert_eq!(
            (frame.id.seq, frame.captured_at),
            (n, at_minute(0).plus(Duration::from_secs(n)))
        );
    }
    let elsewhere = herd(9, 4).frames(at_minute(1), Duration::from_secs(1)).next().unwrap();
    assert_ne!(elsewhere.id.session, first[0].id.session);
}

#[test]
fn a_herd_of_none_and_moments_at_the_ends_of_time_do_no_harm() {
    for moment in [UnixMillis::MIN, UnixMillis::MAX, UnixMillis::new(-1)] {
        assert_eq!(herd(1, 0).counts(moment), Counts::default());
        let mut herd = herd(1, 3);
        let counts = herd.counts(moment);
        assert!((2..=3).contains(&(counts.lying + counts.standing)));
        let Seen::Detections(picture) = herd.seen_boxes(moment) else { panic!("boxes") };
        picture.detections.iter().for_each(|detection| detection.check().unwrap());
    }
}
