//! Tables and a log in memory, which can be made to fail, to wait and to change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use schemas::commit::logbook::{LogBook, Rewound, Standing};
use schemas::commit::{
    Audit, Claim, Commit, CommitError, Parked, SeriesQuery, Shape, SourceState, SourceSummary,
    StateStore, Status, StoreError, WindowState,
};
use schemas::intervals::Intervals;
use schemas::log::{Bounds, FrameLog, LogError, LogId, LogName, LogReader, Offset, Partition};
use schemas::source::{SessionId, SourceId};
use schemas::stats::Histogram;
use schemas::time::UnixMillis;
use schemas::window::WindowSize;

/// Names a window.
pub type Key = (SourceId, WindowSize, UnixMillis);

/// What the tables hold.
#[derive(Default)]
pub struct Tables {
    pub sources: BTreeMap<SourceId, SourceState>,
    pub windows: BTreeMap<Key, WindowState>,
    pub audit: Audit,
    pub parked: Vec<Parked>,
    /// Answer every call with this.
    pub failure: Option<fn() -> StoreError>,
}

/// Tables in memory.
#[derive(Default)]
pub struct MemoryStore {
    tables: Mutex<Tables>,
    pub gate: Gate,
}

impl MemoryStore {
    pub fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a reader sees, once the gate is open.
    fn seen(&self) -> Result<MutexGuard<'_, Tables>, StoreError> {
        self.gate.pass();
        let tables = self.tables();
        match tables.failure {
            Some(failure) => Err(failure()),
            None => Ok(tables),
        }
    }
}

/// Where calls wait while it is shut.
#[derive(Default)]
pub struct Gate {
    shut: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    /// Longer than any test should take; a forgotten gate ends in a failure.
    const WAIT_MAX: Duration = Duration::from_secs(20);

    pub fn shut(&self) {
        *self.shut.lock().unwrap() = true;
    }

    pub fn open(&self) {
        *self.shut.lock().unwrap() = false;
        self.opened.notify_all();
    }

    fn pass(&self) {
        let shut = self.shut.lock().unwrap();
        let (_shut, waited) =
            self.opened.wait_timeout_while(shut, Gate::WAIT_MAX, |shut| *shut).unwrap();
        assert!(!waited.timed_out(), "the gate was never opened");
    }
}

/// What an unplugged database answers.
pub fn unplugged() -> StoreError {
    let source = std::io::Error::other("secret-host:3306 refused the password hunter2");
    StoreError::Unreachable { doing: "read", at: "secret-host".to_owned(), source: source.into() }
}

/// What a table with a broken row answers.
pub fn damaged() -> StoreError {
    StoreError::Damaged { at: "/srv/secret.db".to_owned(), what: "a histogram".to_owned() }
}

/// Nobody counts into these tables, and nobody decides.
impl LogBook for MemoryStore {
    fn counted(&self, _: &LogName, log: &LogId) -> Result<LogId, StoreError> {
        Ok(log.clone())
    }

    fn accept(&self, _: &LogName, was: &LogId, _: &LogId) -> Result<LogId, StoreError> {
        Ok(was.clone())
    }

    fn standing(&self, _: &LogId, _: Partition) -> Result<Option<Standing>, StoreError> {
        Ok(None)
    }

    fn lost_end(&self, _: &LogId, _: Partition, _: Offset) -> Result<(), StoreError> {
        Ok(())
    }

    fn rewind(&self, _: &LogId, _: Partition) -> Result<Option<Rewound>, StoreError> {
        Ok(None)
    }
}

impl StateStore for MemoryStore {
    fn shape(&self, _shape: &Shape) -> Result<(), StoreError> {
        Ok(())
    }

    fn claim(&self, _: &LogId, _: Partition, first: Offset) -> Result<Claim, StoreError> {
        Ok(Claim { owner_epoch: 1, next_offset: first })
    }

    fn commit(&self, _commit: &Commit) -> Result<(), CommitError> {
        Err(CommitError::Store(unplugged()))
    }

    fn source(&self, source: SourceId) -> Result<Option<SourceState>, StoreError> {
        Ok(self.seen()?.sources.get(&source).cloned())
    }

    fn open_sources(&self) -> Result<Vec<SourceState>, StoreError> {
        let seen = self.seen()?;
        let open = |state: &&SourceState| {
            seen.windows.values().any(|w| w.source == state.source && w.status == Status::Open)
        };
        Ok(seen.sources.values().filter(open).cloned().collect())
    }

    fn open_windows(&self, source: SourceId) -> Result<Vec<WindowState>, StoreError> {
        let seen = self.seen()?;
        let wanted =
            |window: &&WindowState| window.status == Status::Open && window.source == source;
        Ok(seen.windows.values().filter(wanted).cloned().collect())
    }

    fn window(
        &self,
        source: SourceId,
        size: WindowSize,
        start: UnixMillis,
    ) -> Result<Option<WindowState>, StoreError> {
        Ok(self.seen()?.windows.get(&(source, size, start)).cloned())
    }

    fn seqs(&self, _: SourceId, _: SessionId, _: u64) -> Result<Intervals, StoreError> {
        Ok(Intervals::default())
    }

    fn sources(&self) -> Result<Vec<SourceSummary>, StoreError> {
        let seen = self.seen()?;
        let mut metrics: BTreeMap<SourceId, BTreeSet<Arc<str>>> = BTreeMap::new();
        for window in seen.windows.values() {
            let names = window.metrics.iter().map(|(name, _)| Arc::clone(name));
            metrics.entry(window.source).or_default().extend(names);
        }
        let summary = |state: &SourceState| SourceSummary {
            state: state.clone(),
            metrics: metrics.remove(&state.source).unwrap_or_default().into_iter().collect(),
        };
        Ok(seen.sources.values().map(summary).collect())
    }

    fn series(&self, query: &SeriesQuery) -> Result<Vec<WindowState>, StoreError> {
        let SeriesQuery { source, size, from, to, metric, limit, newest_first } = query;
        if to <= from {
            return Ok(Vec::new());
        }
        let seen = self.seen()?;
        let range = seen.windows.range((*source, *size, *from)..(*source, *size, *to));
        let mut windows: Vec<WindowState> = range.map(|(_, window)| window.clone()).collect();
        if *newest_first {
            windows.reverse();
        }
        windows.truncate(usize::try_from(*limit).unwrap());
        if let Some(metric) = metric {
            for window in &mut windows {
                let row = window.metrics.iter().find(|(name, _)| name == metric);
                let zero = || (Arc::clone(metric), Histogram::of(&[(0, window.frames)]));
                window.metrics = vec![row.cloned().unwrap_or_else(zero)];
            }
        }
        Ok(windows)
    }

    fn audit(&self) -> Result<Audit, StoreError> {
        Ok(self.seen()?.audit.clone())
    }

    fn parked(&self, limit: u32) -> Result<Vec<Parked>, StoreError> {
        let limit = usize::try_from(limit).unwrap();
        Ok(self.seen()?.parked.iter().rev().take(limit).cloned().collect())
    }
}

/// A log in memory.
#[derive(Default)]
pub struct MemoryLog {
    pub records: Mutex<Vec<(SourceId, Vec<u8>)>>,
    /// Answer every call with this.
    pub failure: Mutex<Option<fn() -> LogError>>,
}

impl MemoryLog {
    fn works(&self) -> Result<(), LogError> {
        self.failure.lock().unwrap().map_or(Ok(()), |failure| Err(failure()))
    }
}

impl FrameLog for MemoryLog {
    fn identity(&self) -> LogId {
        LogId("memory".into())
    }

    fn partitions(&self) -> u32 {
        1
    }

    fn append(&self, records: &[(SourceId, &[u8])]) -> Result<(), LogError> {
        self.works()?;
        let copies = records.iter().map(|(source, record)| (*source, record.to_vec()));
        self.records.lock().unwrap().extend(copies);
        Ok(())
    }

    fn bounds(&self, _: Partition) -> Result<Bounds, LogError> {
        self.works()?;
        let high = self.records.lock().unwrap().len().try_into().unwrap();
        Ok(Bounds { low: Offset(0), high: Offset(high) })
    }

    fn reader(&self, _: Partition, _: Offset) -> Result<Box<dyn LogReader>, LogError> {
        Err(LogError::Damaged { at: "memory".to_owned(), what: "nobody reads it here".to_owned() })
    }

    fn schemas(&self) -> Result<Vec<String>, LogError> {
        Ok(Vec::new())
    }
}
