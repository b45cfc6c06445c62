//! How long after a process was killed another one commits for it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use schemas::commit::StateStore;
use schemas::log::Partition;
use schemas::time::{Clock, SystemClock, UnixMillis};
use sinks::state::mysql::MySqlState;

use super::{
    Load, Outcome, PARTITIONS, Servers, Site, Worker, append, append_one_each, frame, percentile,
    says,
};
use crate::{Figure, say};

const SOURCES: u32 = 100;

/// From one frame of a source to the next, in the day before.
const CADENCE_MS: i64 = 15_000;

const DAY_MS: i64 = 24 * 3600 * 1000;

const KILLS: u32 = 5;

const PATIENCE: Duration = Duration::from_secs(120);

/// What a process says when the group gives it partitions.
const GIVEN: &str = "the group gives partitions to this process";

/// Nothing of the day turns final, so every minute of it is open.
const OPEN_FOR_LONG: &str = "disorder_bound = \"24h\"\ngrace = \"24h\"\nidle_timeout = \"72h\"";

pub(super) fn figures(servers: &Servers) -> Outcome<Vec<Figure>> {
    Ok(vec![figure(servers, "")?, figure(servers, OPEN_FOR_LONG)?])
}

/// With workers that have the settings `pipeline`.
fn figure(servers: &Servers, pipeline: &str) -> Outcome<Figure> {
    let site = Site::new(servers)?;
    let tables = site.tables()?;
    say(&format!("a day of {SOURCES} sources, {KILLS} processes killed"))?;
    let begin = SystemClock.now();
    let sent = day_before(&site, begin)?;
    let mut workers = vec![site.worker(0, pipeline)?];
    until("the day is counted", || Ok(sent <= accepted(&tables)?.values().sum()))?;
    let stop = AtomicBool::new(false);
    let (mut assigned, mut committed) = thread::scope(|scope| {
        let live = scope.spawn(|| live(&site, sent / u64::from(SOURCES), &stop));
        let killed = (1..=KILLS).map(|number| {
            workers.push(site.worker(number, pipeline)?);
            let (_, said) = &workers[1];
            until("the other process has partitions", || Ok(says(said, GIVEN, 1)))?;
            thread::sleep(Duration::from_secs(2));
            all_advance(&tables)?;
            let victim = workers.remove(0);
            takeover(&tables, victim.0, &workers[0].1)
        });
        let killed: Outcome<Vec<(f64, f64)>> = killed.collect();
        stop.store(true, Ordering::SeqCst);
        live.join().map_err(|_| "the load panicked")??;
        Outcome::Ok(killed?.into_iter().unzip::<f64, f64, Vec<f64>, Vec<f64>>())
    })?;
    assigned.sort_by(f64::total_cmp);
    committed.sort_by(f64::total_cmp);
    let windows: usize = tables
        .open_sources()?
        .iter()
        .map(|state| Ok(tables.open_windows(state.source)?.len()))
        .sum::<Outcome<usize>>()?;
    let [reference, p50] = [&assigned, &committed].map(|sorted| percentile(sorted, 0.5));
    let max = percentile(&committed, 1.0);
    Ok(Figure {
        what: format!(
            "SIGKILL, a day of {SOURCES} sources counted, {windows} of its windows open: from the assignment until \
             every partition has committed, {KILLS} times"
        ),
        ours: format!("median {p50:.2} s, at most {max:.2} s"),
        reference: format!("{reference:.2} s (from SIGKILL until the group assigns, by default)"),
        ratio: reference / p50,
        goal: "none as a ratio; below 1 s",
    })
}

/// Appends the frames of the day before `end`; how many.
fn day_before(site: &Site<'_>, end: UnixMillis) -> Outcome<u64> {
    let mut call = Vec::new();
    let (mut seq, mut sent) = (0, 0);
    for at in (end.get() - DAY_MS..end.get()).step_by(CADENCE_MS.unsigned_abs().try_into()?) {
        for source in 1..=SOURCES {
            call.push(frame(source, seq, UnixMillis::new(at), Load::CountsOnly)?);
            sent += 1;
        }
        seq += 1;
        if 5000 < call.len() {
            append(&site.log, &call)?;
            call.clear();
        }
    }
    append(&site.log, &call)?;
    Ok(sent)
}

/// Ten frames a second of every source, from number `seq` on.
fn live(site: &Site<'_>, seq: u64, stop: &AtomicBool) -> Outcome<()> {
    for seq in seq.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        append_one_each(&site.log, SOURCES, seq)?;
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// Kills `victim`; seconds until the process that writes to `said` is given its
/// partitions, and from then until every partition has committed.
fn takeover(tables: &MySqlState, victim: Worker, said: &Path) -> Outcome<(f64, f64)> {
    let before = std::fs::read_to_string(said)?.matches(GIVEN).count();
    let killed_at = Instant::now();
    // Dropping it is SIGKILL.
    drop(victim);
    until("the partitions are assigned again", || Ok(says(said, GIVEN, before + 1)))?;
    let assigned_at = Instant::now();
    all_advance(tables)?;
    Ok(((assigned_at - killed_at).as_secs_f64(), assigned_at.elapsed().as_secs_f64()))
}

/// Waits until every partition has committed more than now.
fn all_advance(tables: &MySqlState) -> Outcome<()> {
    let before = accepted(tables)?;
    until("every partition commits", || {
        let now = accepted(tables)?;
        let more = before.iter().all(|(partition, frames)| *frames < now[partition]);
        Ok(more && now.len() == usize::try_from(PARTITIONS)?)
    })
}

/// Frames counted, by partition.
fn accepted(tables: &MySqlState) -> Outcome<BTreeMap<Partition, u64>> {
    let mut accepted = BTreeMap::new();
    for state in tables.open_sources()? {
        *accepted.entry(state.home.partition).or_default() += state.accepted;
    }
    Ok(accepted)
}

fn until(what: &str, mut so: impl FnMut() -> Outcome<bool>) -> Outcome<()> {
    let begun = Instant::now();
    while !so()? {
        if PATIENCE < begun.elapsed() {
            return Err(format!("waited {PATIENCE:?} until {what}").into());
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}
