//! `animov run` under load, killed again and again: what was acknowledged is
//! counted once.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::oracle;
use crate::support::{Counted, PATIENCE, Random, Site, succeeded};

/// Kills at random moments.
const KILLS: u64 = 30;

/// Frames in a post.
const POST: u64 = 40;

/// Where the program is made to abort, and the how manieth time it gets there.
const POINTS: [&str; 9] = [
    "commit-before-begin:1",
    "commit-before-begin:4",
    "commit-between-rows:7",
    "commit-before-commit:3",
    "commit-after-commit:2",
    "source-reload:1",
    "source-reload:3",
    "log-before-fsync:5",
    "log-after-fsync:5",
];

const SITE: &str = "
[site]
zone = \"Europe/Paris\"
[log.segments]
partitions = 2
[pipeline]
commit_interval = \"20ms\"
";

/// Frames of four cameras over three days around a change of clocks, some late,
/// in posts as a producer would make them.
struct Load {
    random: Random,
    sent: u64,
}

impl Load {
    fn post(&mut self) -> Vec<Counted> {
        // 2026-03-28T12:00:00Z: the night after, clocks in Paris jump.
        let begin = 1_774_699_200_000;
        let source = 1 + i64::try_from(self.random.below(4)).unwrap();
        let first = self.sent;
        self.sent += POST;
        let frame = |seq: u64| {
            let late = if self.random.below(20) == 0 { self.random.below(7_200_000) } else { 0 };
            let at = seq * 700 + self.random.below(700);
            Counted {
                source,
                session: "8c5e6d0a-2f6b-4b0e-9d7f-1f6f5b7c9a11".to_owned(),
                seq,
                captured_at: begin + i64::try_from(at.saturating_sub(late)).unwrap(),
                lying: u32::try_from(self.random.below(9)).unwrap(),
                standing: u32::try_from(self.random.below(5)).unwrap(),
            }
        };
        (first..first + POST).map(frame).collect()
    }
}

/// Posts until told to stop, each post again and again until it is acknowledged:
/// what a producer does. Afterwards some posts are sent once more.
pub(crate) fn feed(site: &Site, seed: u64, stop: &AtomicBool, acknowledged: &Mutex<Vec<Counted>>) {
    let mut load = Load { random: Random(seed), sent: 0 };
    while !stop.load(Ordering::SeqCst) {
        let frames = load.post();
        let begun = Instant::now();
        while !site.post(&frames) {
            assert!(begun.elapsed() < PATIENCE, "nobody takes the frames");
            std::thread::sleep(Duration::from_millis(5));
        }
        if load.random.below(10) == 0 {
            _ = site.post(&frames);
        }
        acknowledged.lock().unwrap().extend(frames);
    }
}

/// Runs `torment` while frames are posted, then checks that every acknowledged
/// frame is in every window, once.
fn under_load(seed: u64, torment: impl FnOnce(&Site, &Mutex<Vec<Counted>>)) {
    println!("seed {seed}");
    let site = Site::new(SITE);
    let (stop, acknowledged) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        let feeder = scope.spawn(|| feed(&site, seed, &stop, &acknowledged));
        let _end_with_the_test = Ends(&stop);
        torment(&site, &acknowledged);
        // The last post is sent until it is acknowledged, so somebody must be
        // there to take it.
        let running = site.start_ready();
        stop.store(true, Ordering::SeqCst);
        feeder.join().unwrap();
        let frames = acknowledged.lock().unwrap();
        site.wait_accepted(frames.len().try_into().unwrap());
        running.terminate();
    });
    let frames = acknowledged.into_inner().unwrap();
    assert!(1000 < frames.len(), "only {} frames were acknowledged", frames.len());
    println!("{} frames acknowledged", frames.len());
    println!("{}", succeeded(site.animov(&["audit"])));
    oracle::check(&site, &frames, "Europe/Paris");
}

/// Ends the feeding also when a check fails.
pub(crate) struct Ends<'a>(pub(crate) &'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn frames_survive_kills_at_random_moments() {
    let seed = 20_260_301;
    under_load(seed, |site, _| {
        let mut random = Random(seed ^ 1);
        for _ in 0..KILLS {
            let mut running = site.start(None);
            // Some are killed while they start, most while they work.
            if 0 < random.below(4) {
                assert!(site.wait_ready(&mut running), "{}", site.said());
            }
            std::thread::sleep(Duration::from_millis(random.below(300)));
            running.kill();
        }
    });
}

#[test]
fn frames_survive_a_crash_at_each_point_of_a_commit() {
    under_load(7, |site, acknowledged| {
        for point in POINTS {
            // A little history for the points that need one.
            let running = site.start_ready();
            let before = acknowledged.lock().unwrap().len();
            crate::support::within(PATIENCE, "some more frames", || {
                (before + 200 < acknowledged.lock().unwrap().len()).then_some(())
            });
            running.kill();

            let ended = site.start(Some(point)).ended();
            assert!(!ended.success(), "{point}: {ended}");
            assert!(site.said().contains(point), "{point} was not reached");
        }
    });
}
