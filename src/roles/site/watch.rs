//! Whether the pipeline does its work: for `/readyz`, and for the watchdog.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use pipeline::{Incident, Outage, Progress};
use schemas::commit::Place;
use schemas::log::{FrameLog, Offset};

/// With input and without a commit for so long, the process is not ready …
const LATE_AFTER: Duration = Duration::from_secs(10);

/// … and after so long it ends, for a supervisor to start it again.
const STUCK_AFTER: Duration = Duration::from_secs(30);

/// Who waits for a server that does not answer asks it again at least so often;
/// who does not is stuck somewhere else.
const TRIES_EVERY: Duration = Duration::from_secs(60);

/// What is known of the parts.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    has_ended: bool,
    partitions: Waits,
    incidents: BTreeMap<Place, Incident>,
    outages: BTreeMap<&'static str, Outage>,
    /// What ended badly, by source.
    failed_sources: BTreeMap<String, String>,
}

impl Watch {
    /// Looks whether the pipeline commits what it has to.
    ///
    /// # Errors
    ///
    /// It has not for too long, and not because a server is away.
    pub(super) fn look(&self, progress: &Progress, log: &dyn FrameLog) -> anyhow::Result<()> {
        let committed = progress.committed();
        let ends = ends(&committed, log);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.incidents = progress.incidents();
        state.outages = progress.outages();
        let now = Instant::now();
        let asks_again = |outage: &Outage| now - outage.last_try < TRIES_EVERY;
        if state.outages.values().any(asks_again) {
            // It does what it can, and has all its time again when that is over.
            state.partitions = Waits::default();
            return Ok(());
        }
        match state.partitions.look(&committed, &ends, now) {
            Some((place, waited)) if STUCK_AFTER <= waited => Err(anyhow::anyhow!(
                "the pipeline has input in partition {} but has not committed for {} s; what the \
                 log acknowledged is safe, start animov again",
                place.partition,
                waited.as_secs()
            )),
            _ => Ok(()),
        }
    }

    pub(super) fn pipeline_ended(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).has_ended = true;
    }

    /// A camera or a herd has ended that should not have.
    pub(super) fn source_failed(&self, source: &str, what: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.failed_sources.insert(source.to_owned(), what.to_owned());
    }

    /// Each part with what is wrong with it, for anybody who asks.
    pub(super) fn parts(&self) -> Vec<(String, Result<(), String>)> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let longest = state.partitions.longest(Instant::now());
        let pipeline = match (state.has_ended, longest) {
            (true, _) => Err("has ended".to_owned()),
            (false, Some((place, waited))) if LATE_AFTER <= waited => Err(format!(
                "has committed nothing of partition {} for {} s",
                place.partition,
                waited.as_secs()
            )),
            (false, _) => Ok(()),
        };
        let mut parts = vec![("pipeline".to_owned(), pipeline)];
        for (part, outage) in &state.outages {
            let since = outage.since.elapsed().as_secs();
            let told = format!("has not answered the pipeline for {since} s; its log says why");
            parts.push((format!("pipeline: {part}"), Err(told)));
        }
        for (place, incident) in &state.incidents {
            parts.push((format!("partition {}", place.partition), Err(incident.to_string())));
        }
        let failed = state.failed_sources.iter();
        parts.extend(failed.map(|(source, what)| (source.clone(), Err(what.clone()))));
        parts
    }
}

/// Since when each partition has held something that is not committed.
#[derive(Debug, Default)]
struct Waits(BTreeMap<Place, (Offset, Instant)>);

impl Waits {
    /// Takes note of how far each partition is committed and where it ends; the
    /// longest wait.
    fn look(
        &mut self,
        committed: &BTreeMap<Place, Offset>,
        ends: &BTreeMap<Place, Offset>,
        now: Instant,
    ) -> Option<(Place, Duration)> {
        let before = std::mem::take(&mut self.0);
        for (place, at) in committed {
            if ends.get(place).is_none_or(|end| end <= at) {
                continue;
            }
            let since = match before.get(place) {
                Some((known, since)) if known == at => *since,
                _ => now,
            };
            self.0.insert(place.clone(), (*at, since));
        }
        self.longest(now)
    }

    fn longest(&self, now: Instant) -> Option<(Place, Duration)> {
        let waits = self.0.iter().map(|(place, (_, since))| (place.clone(), now - *since));
        waits.max_by_key(|(_, waited)| *waited)
    }
}

/// Where each of the partitions ends, as far as the log answers.
fn ends(committed: &BTreeMap<Place, Offset>, log: &dyn FrameLog) -> BTreeMap<Place, Offset> {
    // The first that is not answered is the last that is asked: each may take a
    // while to fail.
    let bounds = committed.keys().map_while(|place| {
        let bounds = log.bounds(place.partition).ok()?;
        Some((place.clone(), bounds.high))
    });
    bounds.collect()
}

/// Whether everything in the partitions of this process is committed, as far as
/// the log answers.
pub(super) fn is_drained(progress: &Progress, log: &dyn FrameLog) -> bool {
    let committed = progress.committed();
    let ends = ends(&committed, log);
    committed.iter().all(|(place, at)| ends.get(place).is_none_or(|end| end <= at))
}

#[cfg(test)]
mod tests {
    use schemas::log::{LogId, Partition};

    use super::*;

    fn place(partition: u32) -> Place {
        Place { log: LogId("the-log".into()), partition: Partition(partition) }
    }

    /// Offsets by partition.
    fn at(offsets: &[u64]) -> BTreeMap<Place, Offset> {
        (0..).zip(offsets).map(|(partition, at)| (place(partition), Offset(*at))).collect()
    }

    #[test]
    fn each_partition_waits_for_itself_and_only_with_something_to_commit() {
        let mut waits = Waits::default();
        let begun = Instant::now();
        let mut look = |second: u64, committed: &[u64], ends: &[u64]| {
            let now = begun + Duration::from_secs(second);
            let waited = waits.look(&at(committed), &at(ends), now);
            waited.map(|(place, waited)| (place.partition.0, waited.as_secs()))
        };
        assert_eq!(look(0, &[5, 0], &[5, 0]), None, "nothing to do");
        assert_eq!(look(100, &[5, 0], &[6, 3]).unwrap().1, 0);
        assert_eq!(look(110, &[6, 0], &[9, 3]), Some((1, 10)), "the other one's commit is no help");
        assert_eq!(look(131, &[9, 0], &[9, 3]), Some((1, 31)));
        assert_eq!(look(132, &[9, 3], &[9, 4]), Some((1, 0)), "a commit");
        assert_eq!(look(133, &[9], &[9]), None, "another process has it now");
        assert_eq!(look(134, &[9, 3], &[9]), None, "the log does not answer");
    }
}
