//! Whether the pipeline does its work: for `/readyz`, and for the watchdog.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use pipeline::Progress;
use schemas::log::{FrameLog, LogError, LogId, Offset, Partition};

/// With input and without a commit for so long, the process is not ready …
const LATE_AFTER: Duration = Duration::from_secs(10);

/// … and after so long it ends, for a supervisor to start it again.
const STUCK_AFTER: Duration = Duration::from_secs(30);

/// What is known of the parts.
pub(crate) struct Watch {
    state: Mutex<State>,
    /// By partition, where the log ended when the process began: before the
    /// first commit nobody knows better what is left to count.
    began_at: BTreeMap<Partition, Offset>,
}

#[derive(Debug)]
struct State {
    pipeline: Pipeline,
    /// What ended badly, by source.
    failed_sources: BTreeMap<String, String>,
}

#[derive(Debug)]
enum Pipeline {
    /// As of the last look.
    Runs {
        commits: u64,
        read: u64,
        waits_since: Option<Instant>,
    },
    Ended,
}

impl Watch {
    pub(super) fn new(log: &dyn FrameLog) -> Result<Watch, LogError> {
        let began_at =
            partitions(log).map(|partition| Ok((partition, log.bounds(partition)?.high)));
        let pipeline = Pipeline::Runs { commits: 0, read: 0, waits_since: None };
        let state = State { pipeline, failed_sources: BTreeMap::new() };
        Ok(Watch { began_at: began_at.collect::<Result<_, LogError>>()?, state: Mutex::new(state) })
    }

    /// Looks whether the pipeline commits what it has to.
    ///
    /// # Errors
    ///
    /// It has not for too long.
    pub(super) fn look(
        &self,
        progress: &Progress,
        log: &dyn FrameLog,
        id: LogId,
    ) -> anyhow::Result<()> {
        let ends = partitions(log).filter_map(|p| Some((p, log.bounds(p).ok()?.high)));
        let uncounted = ends.into_iter().any(|(partition, end)| {
            let committed = progress.committed_offset(&id, partition);
            committed.or_else(|| self.began_at.get(&partition).copied()).is_none_or(|at| at < end)
        });
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = Seen {
            commits: progress.commits_total(),
            read: progress.read_total(),
            uncounted,
            now: Instant::now(),
        };
        match state.pipeline.look(&seen) {
            Some(waited) if STUCK_AFTER <= waited => Err(anyhow::anyhow!(
                "the pipeline has input but has not committed for {} s; what the log acknowledged \
                 is safe, start animov again",
                waited.as_secs()
            )),
            _ => Ok(()),
        }
    }

    pub(super) fn pipeline_ended(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).pipeline = Pipeline::Ended;
    }

    /// A camera or a herd has ended that should not have.
    pub(super) fn source_failed(&self, source: &str, what: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.failed_sources.insert(source.to_owned(), what.to_owned());
    }

    /// Each part with what is wrong with it, for anybody who asks.
    pub(super) fn parts(&self) -> Vec<(String, Result<(), String>)> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let pipeline = match &state.pipeline {
            Pipeline::Ended => Err("has ended".to_owned()),
            Pipeline::Runs { waits_since: Some(since), .. } if LATE_AFTER <= since.elapsed() => {
                Err(format!("has committed nothing for {} s", since.elapsed().as_secs()))
            }
            Pipeline::Runs { .. } => Ok(()),
        };
        let failed = state.failed_sources.iter();
        let failed = failed.map(|(source, what)| (source.clone(), Err(what.clone())));
        std::iter::once(("pipeline".to_owned(), pipeline)).chain(failed).collect()
    }
}

/// What one look sees.
struct Seen {
    commits: u64,
    read: u64,
    /// Whether the log holds more than was committed.
    uncounted: bool,
    now: Instant,
}

impl Pipeline {
    /// Takes note; for how long there has been input and no commit, if there is.
    fn look(&mut self, seen: &Seen) -> Option<Duration> {
        let Pipeline::Runs { commits, read, waits_since } = self else { return None };
        if *commits != seen.commits {
            (*commits, *read, *waits_since) = (seen.commits, seen.read, None);
        }
        // What was read before the last commit may have been a part of it.
        let waits = seen.uncounted || *read < seen.read;
        *waits_since = waits.then(|| waits_since.unwrap_or(seen.now));
        Some(seen.now - (*waits_since)?)
    }
}

pub(super) fn partitions(log: &dyn FrameLog) -> impl Iterator<Item = Partition> + use<> {
    (0..log.partitions()).map(Partition)
}

/// Whether everything in the log is committed. A partition of which nothing was
/// committed yet counts as drained if nothing was read either.
pub(super) fn is_drained(progress: &Progress, log: &dyn FrameLog, id: &LogId) -> bool {
    partitions(log).all(|partition| {
        let Ok(bounds) = log.bounds(partition) else { return true };
        match progress.committed_offset(id, partition) {
            Some(committed) => bounds.high <= committed,
            None => progress.read_total() == 0,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waited(
        pipeline: &mut Pipeline,
        now: Instant,
        commits: u64,
        read: u64,
        uncounted: bool,
    ) -> u64 {
        pipeline.look(&Seen { commits, read, uncounted, now }).map_or(0, |waited| waited.as_secs())
    }

    #[test]
    fn it_waits_only_while_there_is_something_to_commit() {
        let mut pipeline = Pipeline::Runs { commits: 0, read: 0, waits_since: None };
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        assert_eq!(waited(&mut pipeline, at(0), 0, 0, false), 0);
        assert_eq!(waited(&mut pipeline, at(100), 0, 0, false), 0, "nothing to do");
        assert_eq!(waited(&mut pipeline, at(101), 0, 5, false), 0);
        assert_eq!(waited(&mut pipeline, at(111), 0, 5, false), 10, "read and not committed");
        assert_eq!(waited(&mut pipeline, at(112), 1, 7, false), 0, "a commit");
        assert_eq!(waited(&mut pipeline, at(150), 1, 7, false), 0);
        assert_eq!(waited(&mut pipeline, at(151), 1, 7, true), 0);
        assert_eq!(waited(&mut pipeline, at(181), 1, 7, true), 30, "in the log and not read");
        pipeline = Pipeline::Ended;
        assert_eq!(waited(&mut pipeline, at(300), 1, 9, true), 0);
    }
}
