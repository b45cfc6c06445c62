//! What the spool promises, one sentence a test.

mod double;
mod farm;
mod random;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use producers::metrics::Metrics;
use producers::publish::{PublishOptions, Publisher};
use producers::spool::{Spool, SpoolOptions, WhenFull};
use prometheus::Registry;
use schemas::avro::{self, Schemas};
use schemas::frame::Seen;
use schemas::log::{FrameLog, LogError};
use schemas::stop::Stop;
use schemas::time::{Clock, UnixMillis};

use double::{Disk, Fault, Mood};
use farm::{Farm, SEGMENT_BYTES, SetClock, connected, frame, options, source_id, try_append};

use crate::support::until;

fn farm() -> Farm {
    Farm::new(options())
}

#[test]
fn while_the_log_takes_frames_nothing_touches_the_disk() {
    let mut farm = farm();
    for _ in 0..20 {
        farm.append_next(1, 3);
    }
    assert_eq!(farm.first_arrivals(1), (0..60).collect::<Vec<_>>());
    assert_eq!(farm.remote.arrived().len(), 60);
    assert_eq!(farm.disk.bytes_peak(), 0);
    assert_eq!(farm.count("animov_spool_spooled_frames_total", &[]), 0);
    assert_eq!(farm.count("animov_spool_remote_up", &[]), 1);
}

#[test]
fn while_the_log_is_away_frames_wait_and_then_go_in_order() {
    let mut farm = farm();
    farm.append_next(1, 5);
    farm.remote.be(Mood::Away);
    for _ in 0..50 {
        farm.append_next(1, 4);
        farm.append_next(2, 2);
    }
    assert_eq!(farm.spool.waiting(), 300);
    assert_eq!(farm.remote.arrived().len(), 5);
    farm.clock.advance(Duration::from_secs(90));
    farm.append_next(2, 1);
    for (gauge, value) in [
        ("animov_spool_frames", 301),
        ("animov_spool_bytes", farm.disk.bytes_peak()),
        ("animov_spool_remote_up", 0),
        ("animov_spool_oldest_seconds", 90),
    ] {
        until(gauge, || farm.count(gauge, &[]) == value);
    }

    farm.remote.be(Mood::Well);
    farm.until_empty();
    farm.append_next(1, 5);
    assert_eq!(farm.first_arrivals(1), (0..210).collect::<Vec<_>>());
    assert_eq!(farm.first_arrivals(2), (0..101).collect::<Vec<_>>());
    assert_eq!(farm.count("animov_spool_forwarded_frames_total", &[]), 301);
    assert_eq!(farm.count("animov_spool_dropped_frames_total", &[]), 0);
    for gauge in ["animov_spool_frames", "animov_spool_oldest_seconds"] {
        until("the gauges to follow", || farm.count(gauge, &[]) == 0);
    }
    assert_eq!(farm.count("animov_spool_remote_up", &[]), 1);
    assert!(farm.count("animov_spool_bytes", &[]) < 2 * SEGMENT_BYTES, "what was sent is deleted");
}

#[test]
fn nobody_waits_long_for_a_log_that_hangs() {
    let mut farm = Farm::new(SpoolOptions { log_timeout: Duration::from_millis(20), ..options() });
    farm.remote.be(Mood::Hangs);
    for _ in 0..30 {
        farm.append_next(1, 1);
    }
    assert_eq!(farm.spool.waiting(), 30);
    assert_eq!(farm.remote.calls(), 1, "one call hangs, and nobody begins another");
    farm.remote.be(Mood::Well);
    farm.until_empty();
    // The call that hung has arrived too: the first frame twice, and in its place.
    assert_eq!(farm.first_arrivals(1), (0..30).collect::<Vec<_>>());
    assert_eq!(farm.remote.arrived().len(), 31);
}

#[test]
fn a_log_that_says_it_refuses_for_good_is_tried_again_all_the_same() {
    let mut farm = farm();
    farm.remote.be(Mood::Refuses);
    farm.append_next(1, 3);
    assert_eq!(farm.spool.waiting(), 3);
    farm.remote.be(Mood::Well);
    farm.until_empty();
    assert_eq!(farm.first_arrivals(1), [0, 1, 2]);
}

#[test]
fn a_log_and_a_disk_that_both_fail_take_nothing() {
    let mut farm = farm();
    farm.remote.be(Mood::Away);
    farm.disk.fail(Fault::Before);
    let frames = farm.frames(1, 2);
    assert!(try_append(&farm.spool, 1, &frames).is_err());
    assert_eq!(farm.spool.waiting(), 0);
    farm.append(1, &frames);
    farm.remote.be(Mood::Well);
    farm.until_empty();
    assert_eq!(farm.first_arrivals(1), [0, 1]);
}

#[test]
fn what_a_run_has_left_goes_before_the_frames_of_the_next() {
    let mut farm = farm();
    farm.remote.be(Mood::Away);
    farm.append_next(1, 200);
    assert_eq!(farm.spool.finish(Duration::from_millis(20)), 200);
    farm.begin(connected(&farm.remote));
    assert_eq!(farm.spool.waiting(), 200);
    farm.append_next(1, 10);
    farm.remote.be(Mood::Well);
    farm.append_next(1, 10);
    farm.until_empty();
    assert_eq!(farm.first_arrivals(1), (0..220).collect::<Vec<_>>());
}

#[test]
fn a_process_that_ends_sends_what_it_can_in_the_grace() {
    let mut farm = farm();
    farm.remote.be(Mood::Away);
    farm.append_next(1, 200);
    farm.remote.be(Mood::Well);
    assert_eq!(farm.spool.finish(Duration::from_secs(20)), 0);
    assert_eq!(farm.first_arrivals(1), (0..200).collect::<Vec<_>>());
}

#[test]
fn a_process_ends_also_if_the_log_hangs() {
    let mut farm = Farm::new(SpoolOptions { log_timeout: Duration::from_millis(20), ..options() });
    farm.remote.be(Mood::Hangs);
    farm.append_next(1, 3);
    let begun = Instant::now();
    assert_eq!(farm.spool.finish(Duration::from_millis(20)), 3);
    assert!(begun.elapsed() < Duration::from_secs(15));
}

#[test]
fn what_comes_after_the_end_is_kept_for_the_next_start() {
    let mut farm = farm();
    farm.append_next(1, 1);
    farm.spool.finish(Duration::ZERO);
    farm.append_next(1, 2);
    assert_eq!(farm.spool.waiting(), 2);
    farm.begin(connected(&farm.remote));
    farm.until_empty();
    assert_eq!(farm.first_arrivals(1), [0, 1, 2]);
}

#[test]
fn a_restart_sends_nothing_again() {
    let mut farm = farm();
    farm.remote.be(Mood::Away);
    farm.append_next(1, 500);
    farm.remote.be(Mood::Well);
    farm.until_empty();
    farm.restart(Duration::ZERO);
    assert_eq!(farm.spool.waiting(), 0);
    farm.append_next(1, 1);
    assert_eq!(farm.remote.arrived().len(), 501);
}

#[test]
fn without_its_own_place_the_spool_is_sent_again_from_its_beginning() {
    for place in [None, Some("another-log 7"), Some("disk far"), Some("")] {
        let mut farm = farm();
        farm.remote.be(Mood::Away);
        farm.append_next(1, 50);
        farm.remote.be(Mood::Well);
        assert_eq!(farm.spool.finish(Duration::from_secs(20)), 0);
        let file = farm.dir.path().join("forwarded");
        match place {
            None => std::fs::remove_file(file).unwrap(),
            Some(text) => std::fs::write(file, text).unwrap(),
        }
        farm.begin(connected(&farm.remote));
        farm.until_empty();
        assert_eq!(farm.first_arrivals(1), (0..50).collect::<Vec<_>>());
        assert_eq!(farm.remote.arrived().len(), 100, "{place:?}");
    }
}

#[test]
fn a_process_that_starts_without_the_log_spools_from_its_first_frame_on() {
    let mut farm = farm();
    farm.spool.finish(Duration::ZERO);
    let tries = Arc::new(AtomicU32::new(0));
    let (reach, counted) = (connected(&farm.remote), Arc::clone(&tries));
    farm.begin(Box::new(move || match counted.fetch_add(1, Ordering::SeqCst) {
        0..5 => Err(LogError::Overloaded),
        _ => reach(),
    }));
    assert_eq!(farm.spool.identity().to_string(), "disk");
    farm.append_next(1, 3);
    farm.until_empty();
    farm.append_next(1, 1);
    assert_eq!(farm.first_arrivals(1), [0, 1, 2, 3]);
    assert_eq!(tries.load(Ordering::SeqCst), 6);
    assert_eq!((farm.spool.identity().to_string(), farm.spool.partitions()), ("remote".into(), 3));
}

/// A spool that has room for about 500 frames.
fn narrow() -> SpoolOptions {
    SpoolOptions { bytes_max: 30_000, ..options() }
}

#[test]
fn when_there_is_no_more_room_the_oldest_frames_go_and_are_counted() {
    let mut farm = Farm::new(narrow());
    farm.remote.be(Mood::Away);
    for _ in 0..300 {
        farm.append_next(1, 6);
        farm.append_next(2, 1);
    }
    assert!(farm.disk.bytes_peak() <= 30_000, "{}", farm.disk.bytes_peak());
    farm.remote.be(Mood::Well);
    farm.until_empty();
    for (source, frames) in [(1, 1800), (2, 300)] {
        let arrived = farm.first_arrivals(source);
        let label = source.to_string();
        let dropped = farm.count("animov_spool_dropped_frames_total", &[&label, "size"]);
        assert!(frames / 10 < dropped, "{dropped} of source {source}");
        assert_eq!(arrived, (dropped..frames).collect::<Vec<_>>(), "the newest, and every one");
    }
    let kept = u64::try_from(farm.remote.arrived().len()).unwrap();
    assert!(300 < kept, "most of the room is used: {kept}");
}

#[test]
fn a_call_that_needs_much_room_gets_it() {
    let mut farm = Farm::new(narrow());
    farm.remote.be(Mood::Away);
    farm.append_next(1, 400);
    // Fewer than the bound by which the oldest go, but not by so much.
    farm.append_next(2, 300);
    farm.append_next(2, 900);
    farm.append_next(1, 1);
    farm.remote.be(Mood::Well);
    farm.until_empty();
    let arrived = farm.first_arrivals(2);
    assert_eq!(arrived.last(), Some(&1199), "also what alone is more than there is room for");
    assert_eq!(farm.first_arrivals(1), [400]);
    let dropped = farm.count("animov_spool_dropped_frames_total", &["2"]);
    assert_eq!(dropped, 1200 - u64::try_from(arrived.len()).unwrap());
}

#[test]
fn or_no_more_frames_are_taken_and_none_is_lost() {
    let wait = SpoolOptions {
        when_full: WhenFull::Wait,
        log_timeout: Duration::from_millis(50),
        ..narrow()
    };
    let mut farm = Farm::new(wait);
    farm.remote.be(Mood::Away);
    let refused = loop {
        let frames = farm.frames(1, 5);
        match try_append(&farm.spool, 1, &frames) {
            Ok(()) => assert!(farm.spool.waiting() < 1000, "the spool has a bound"),
            Err(error) => break (frames, error),
        }
    };
    assert!(matches!(refused.1, LogError::Overloaded), "{}", refused.1);
    let kept = farm.spool.waiting();
    assert!(300 < kept && farm.disk.bytes_peak() <= 30_000);
    farm.remote.be(Mood::Well);
    farm.append(1, &refused.0);
    farm.until_empty();
    assert_eq!(farm.first_arrivals(1), (0..kept + 5).collect::<Vec<_>>());
    assert_eq!(farm.count("animov_spool_dropped_frames_total", &[]), 0);
}

#[test]
fn frames_that_the_log_has_not_taken_for_too_long_are_dropped_and_counted() {
    let mut farm = farm();
    farm.remote.be(Mood::Away);
    farm.append_next(1, 100);
    farm.clock.advance(Duration::from_hours(7 * 24));
    farm.append_next(1, 10);
    farm.clock.advance(Duration::from_millis(1));
    until("the first to be dropped", || farm.spool.waiting() == 10);
    assert_eq!(farm.count("animov_spool_dropped_frames_total", &["1", "age"]), 100);
    farm.remote.be(Mood::Well);
    farm.until_empty();
    assert_eq!(farm.first_arrivals(1), (100..110).collect::<Vec<_>>());
}

/// Some are dropped; the next is sent, and the power goes.
fn stays_dropped_when_the_power_goes(mut farm: Farm, frames: u64) {
    // After so many failures it tries with a single frame.
    let tries = farm.remote.calls() + 20;
    until("the sender to be cautious", || tries <= farm.remote.calls());
    farm.remote.be(Mood::Once);
    until("some to be sent", || !farm.remote.arrived().is_empty());
    farm.cut_power();
    farm.remote.be(Mood::Well);
    farm.until_empty();
    let dropped = farm.count("animov_spool_dropped_frames_total", &[]);
    assert_eq!(farm.first_arrivals(1), (dropped..frames).collect::<Vec<_>>());
}

#[test]
fn what_had_no_room_stays_dropped_when_the_power_goes() {
    let mut farm = Farm::new(narrow());
    farm.remote.be(Mood::Away);
    farm.append_next(1, 400);
    farm.spool.finish(Duration::ZERO);
    farm.options.bytes_max = 20_000;
    farm.begin(connected(&farm.remote));
    until("the first to be dropped", || farm.spool.waiting() < 400);
    stays_dropped_when_the_power_goes(farm, 400);
}

#[test]
fn what_was_too_old_stays_dropped_when_the_power_goes() {
    let mut farm = farm();
    farm.remote.be(Mood::Away);
    farm.append_next(1, 100);
    farm.clock.advance(Duration::from_hours(8 * 24));
    farm.append_next(1, 10);
    until("the first to be dropped", || farm.spool.waiting() == 10);
    stays_dropped_when_the_power_goes(farm, 110);
}

#[test]
fn frames_of_any_age_go_to_a_log_that_takes_them() {
    let mut farm = farm();
    farm.remote.be(Mood::Away);
    farm.append_next(1, 100);
    farm.spool.finish(Duration::ZERO);
    farm.clock.advance(Duration::from_hours(30 * 24));
    farm.remote.be(Mood::Well);
    farm.begin(connected(&farm.remote));
    farm.until_empty();
    assert_eq!(farm.first_arrivals(1), (0..100).collect::<Vec<_>>());
    assert_eq!(farm.count("animov_spool_dropped_frames_total", &[]), 0);
}

/// The sequence numbers of the frames in the file of those that were set aside.
fn set_aside(farm: &Farm) -> Vec<u64> {
    let bytes = std::fs::read(farm.dir.path().join("set-aside.frames")).unwrap();
    let (mut rest, mut seqs) = (bytes.as_slice(), Vec::new());
    while !rest.is_empty() {
        seqs.push(avro::decode_prefix(&mut rest, &Schemas::builtin()).unwrap().id.seq);
    }
    seqs
}

#[test]
fn a_frame_that_is_too_long_for_the_log_is_set_aside_and_holds_up_nobody() {
    let mut farm = farm();
    let mut mixed = farm.frames(1, 3);
    mixed.push(farm.long_frame(1));
    mixed.extend(farm.frames(1, 3));
    farm.append(1, &mixed);
    assert_eq!(farm.first_arrivals(1), [0, 1, 2, 4, 5, 6]);
    assert_eq!(farm.spool.waiting(), 0);

    farm.remote.be(Mood::Away);
    let mut mixed = vec![farm.long_frame(1)];
    mixed.extend(farm.frames(1, 30));
    mixed.push(farm.long_frame(1));
    farm.append(1, &mixed);
    farm.append_next(2, 1);
    farm.remote.be(Mood::Well);
    farm.until_empty();
    assert_eq!(farm.first_arrivals(1)[6..], (8..38).collect::<Vec<_>>());
    assert_eq!(farm.first_arrivals(2), [0]);
    assert_eq!(set_aside(&farm), [3, 7, 38]);
    assert_eq!(farm.count("animov_spool_set_aside_frames_total", &[]), 3);
    assert_eq!(farm.count("animov_spool_forwarded_frames_total", &[]), 31);
    assert_eq!(farm.remote.arrived().len(), 37, "and the others arrived once");
}

#[test]
fn what_the_log_took_of_a_call_before_it_failed_is_not_spooled() {
    let mut farm = farm();
    let mut mixed = farm.frames(1, 3);
    mixed.push(farm.long_frame(1));
    mixed.extend(farm.frames(1, 3));
    farm.remote.be(Mood::Once);
    farm.append(1, &mixed);
    assert_eq!((farm.first_arrivals(1), farm.spool.waiting()), (vec![0, 1, 2], 4));
    farm.remote.be(Mood::Well);
    farm.until_empty();
    assert_eq!(farm.first_arrivals(1), [0, 1, 2, 4, 5, 6]);
    assert_eq!((farm.remote.arrived().len(), set_aside(&farm)), (6, vec![3]));
}

#[test]
fn what_is_no_frame_is_set_aside_and_holds_up_nobody() {
    let clock = Arc::new(SetClock::default());
    let disk = Disk::new(Arc::<SetClock>::clone(&clock), SEGMENT_BYTES);
    let [first, last] = [0, 1].map(|seq| frame(1, seq, 1));
    let records = [&b"junk"[..], &first, b"", &[0xC3, 0x01, 0, 0, 0, 0, 0, 0, 0, 0], &last];
    disk.append(&records.map(|value| (source_id(1), value))).unwrap();
    let farm = Farm::with_disk(options(), disk, clock);
    farm.until_empty();
    assert_eq!(farm.first_arrivals(1), [0, 1]);
    assert_eq!(farm.count("animov_spool_set_aside_frames_total", &[]), 3);
    let kept = std::fs::read(farm.dir.path().join("set-aside.frames")).unwrap();
    assert_eq!(kept, b"junk\xC3\x01\0\0\0\0\0\0\0\0");
}

#[test]
fn appenders_that_never_pause_go_to_the_log_directly_again() {
    let clock = Arc::new(SetClock::default());
    let mut disk = Disk::new(Arc::<SetClock>::clone(&clock), SEGMENT_BYTES);
    // One of four is always writing.
    disk.slowness = Duration::from_millis(3);
    let mut farm = Farm::with_disk(options(), disk, clock);
    farm.remote.be(Mood::Away);
    farm.append_next(9, 1);
    let spooled = || farm.count("animov_spool_spooled_frames_total", &[]);
    let appended: Vec<u64> = thread::scope(|threads| {
        let append = |source: i64| {
            let mut appended = 0;
            let mut direct = 0;
            let begun = Instant::now();
            while direct < 20 && begun.elapsed() < Duration::from_secs(20) {
                let before = spooled();
                farm.append(source, &[frame(source, appended, 1)]);
                appended += 1;
                direct += u64::from(spooled() == before);
            }
            appended
        };
        let appenders: Vec<_> = (1..=4).map(|id| threads.spawn(move || append(id))).collect();
        until("some to be spooled", || 40 < spooled());
        farm.remote.be(Mood::Well);
        appenders.into_iter().map(|appender| appender.join().unwrap()).collect()
    });
    farm.until_empty();
    for (source, appended) in (1..).zip(&appended) {
        assert_eq!(farm.first_arrivals(source), (0..*appended).collect::<Vec<_>>());
    }
    let all: u64 = appended.iter().sum::<u64>() + 1;
    assert!(spooled() + 80 <= all, "only {} of {all} were not spooled", all - spooled());
}

#[test]
fn cameras_go_on_while_the_log_is_away_and_end_without_loss() {
    let mut farm = farm();
    farm.remote.be(Mood::Away);
    let metrics = Metrics::register(&Registry::new()).unwrap();
    let log: Arc<dyn FrameLog> = Arc::<Spool>::clone(&farm.spool);
    let clock: Arc<dyn Clock> = Arc::<SetClock>::clone(&farm.clock);
    let few = PublishOptions { queue_frames_max: 4, ..PublishOptions::default() };
    let publisher = Publisher::start(log, clock, metrics, few, Stop::default()).unwrap();
    let mut camera = publisher.source(source_id(7));
    for n in 0..500 {
        let seen = Seen::Counts(vec![("lying".into(), 1)]);
        camera.publish(UnixMillis::new(n * 1000), seen).unwrap();
    }
    drop(camera);
    assert_eq!(publisher.finish().unwrap().frames, 500, "they are on the disk");
    assert_eq!(farm.spool.finish(Duration::from_millis(10)), 500);
    farm.remote.be(Mood::Well);
    farm.restart(Duration::from_secs(20));
    farm.until_empty();
    assert_eq!(farm.first_arrivals(7), (0..500).collect::<Vec<_>>());
}
