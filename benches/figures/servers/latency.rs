//! How long after it was handed to the log a frame can be asked for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use schemas::commit::StateStore;
use schemas::source::SourceId;
use schemas::time::{Clock, SystemClock};

use super::{Load, Outcome, Servers, Site, append, append_one_each, frame, percentile};
use crate::{Figure, say};

/// Cameras that make up the load.
const SOURCES: u32 = 100;

/// From one frame of each of them to the next: 2,500 frames a second.
const PACE: Duration = Duration::from_millis(40);

/// The camera that is watched.
const PROBE: u32 = SOURCES + 1;

/// From one frame of the watched camera to the next: not in step with the load.
const PROBE_PACE: Duration = Duration::from_millis(53);

/// Frames of the watched camera.
const PROBES: usize = 1000;

/// Of these, those before which everything is still new.
const WARMING: usize = 100;

const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn figure(servers: &Servers) -> Outcome<Figure> {
    let site = Site::new(servers)?;
    drop(site.tables()?);
    say("2,500 frames a second, one camera watched")?;
    let (_worker, _said) = site.worker(1, "")?;
    let stop = AtomicBool::new(false);
    let (mut acknowledged, mut seen) = thread::scope(|scope| {
        let load = scope.spawn(|| load(&site, &stop));
        let probed = probe(&site);
        stop.store(true, Ordering::SeqCst);
        load.join().map_err(|_| "the load panicked")??;
        probed
    })?;
    acknowledged.sort_by(f64::total_cmp);
    seen.sort_by(f64::total_cmp);
    let [p50, p99] = [0.5, 0.99].map(|part| percentile(&seen, part));
    let reference = percentile(&acknowledged, 0.99);
    Ok(Figure {
        what: format!(
            "at 2,500 frames a second of {SOURCES} sources, from the append of a frame until its \
             row can be read: {} samples",
            seen.len()
        ),
        ours: format!("p99 {p99:.0} ms, p50 {p50:.0} ms (a commit each 250 ms by default)"),
        reference: format!("p99 {reference:.1} ms (the broker's acknowledgement alone)"),
        ratio: reference / p99,
        goal: "none as a ratio; p99 below 500 ms",
    })
}

fn load(site: &Site<'_>, stop: &AtomicBool) -> Outcome<()> {
    let mut next = Instant::now();
    for seq in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        append_one_each(&site.log, SOURCES, seq)?;
        next += PACE;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

/// Milliseconds from the append of each frame until it was acknowledged, and until
/// it was seen in the tables.
fn probe(site: &Site<'_>) -> Outcome<(Vec<f64>, Vec<f64>)> {
    let tables = site.tables()?;
    let source = SourceId::try_from(i64::from(PROBE))?;
    let millis = |from: Instant| from.elapsed().as_secs_f64() * 1000.0;
    let (sent, received) = std::sync::mpsc::sync_channel::<Instant>(PROBES);
    thread::scope(|scope| {
        let sending = scope.spawn(move || {
            let mut acknowledged = Vec::new();
            for seq in 0..PROBES {
                let begun = Instant::now();
                let probe = frame(PROBE, u64::try_from(seq)?, SystemClock.now(), Load::CountsOnly)?;
                append(&site.log, &[probe])?;
                acknowledged.push(millis(begun));
                sent.send(begun)?;
                thread::sleep(PROBE_PACE.saturating_sub(begun.elapsed()));
            }
            Outcome::Ok(acknowledged.split_off(WARMING))
        });
        let mut seen = Vec::new();
        for (before, begun) in (0_u64..).zip(received) {
            while tables.source(source)?.is_none_or(|state| state.accepted <= before) {
                if PATIENCE < begun.elapsed() {
                    return Err("a frame is not counted".into());
                }
                thread::sleep(Duration::from_millis(1));
            }
            seen.push(millis(begun));
        }
        let acknowledged = sending.join().map_err(|_| "the probe panicked")??;
        Ok((acknowledged, seen.split_off(WARMING)))
    })
}
