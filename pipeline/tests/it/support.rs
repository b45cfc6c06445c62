//! A log and tables in memory, with the whole contract of the real ones, and
//! short ways to say frames.

mod logbook;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pipeline::config::PipelineConfig;
use pipeline::{End, Input, Job, PipelineError, Progress, run};
use schemas::commit::{
    Audit, Claim, Commit, CommitError, Ledger, ParkReason, Parked, PartitionAccount, SeriesQuery,
    Shape, SourceAccount, SourceState, SourceSummary, StateStore, Status, StoreError, WindowState,
};
use schemas::frame::{Frame, FrameId, Seen};
use schemas::intervals::Intervals;
use schemas::log::{
    Batch, Bounds, FrameLog, LogError, LogId, LogName, LogReader, Offset, Partition, ReadEnd,
    Record,
};
use schemas::snapshot::SnapshotStore;
use schemas::source::{SessionId, SourceId};
use schemas::stop::Stop;
use schemas::time::UnixMillis;
use schemas::window::WindowSize;

/// 2026-03-01T00:00:00Z.
pub(crate) const MARCH: i64 = 1_772_323_200_000;

/// One frame of the tests: counts of `lying` and `standing`, and of `eat` where
/// a case wants a class of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seen3 {
    pub(crate) source: i64,
    pub(crate) session: u8,
    pub(crate) seq: u64,
    /// Milliseconds after [`MARCH`].
    pub(crate) at: i64,
    pub(crate) counts: [u32; 3],
}

pub(crate) const CLASSES: [&str; 3] = ["lying", "standing", "eat"];

/// A frame of source 1 with `lying` animals, `second` seconds into March.
pub(crate) fn lying(animals: u32, second: i64) -> Seen3 {
    let seq = u64::try_from(second).unwrap();
    Seen3 { source: 1, session: 0, seq, at: second * 1000, counts: [animals, 0, 0] }
}

impl Seen3 {
    pub(crate) fn captured_at(&self) -> UnixMillis {
        UnixMillis::new(MARCH + self.at)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let shown = CLASSES.iter().zip(self.counts).filter(|(_, animals)| 0 < *animals);
        let frame = Frame {
            id: FrameId {
                source: SourceId::try_from(self.source).unwrap(),
                session: SessionId::from([self.session; 16]),
                seq: self.seq,
            },
            captured_at: self.captured_at(),
            produced_at: self.captured_at(),
            seen: Seen::Counts(shown.map(|(class, n)| (Arc::from(*class), n)).collect()),
        };
        let mut bytes = Vec::new();
        schemas::avro::encode(&frame, &mut bytes);
        bytes
    }
}

/// When the log took each record, and the record.
type Records = Vec<(UnixMillis, Vec<u8>)>;

/// A log in memory. Its clock stands at `now`; its records carry their own.
pub(crate) struct MemoryLog {
    partitions: Mutex<Vec<Records>>,
    /// Records that one read gives at most: where epochs may be cut.
    pub(crate) read_records_max: usize,
    pub(crate) now: UnixMillis,
    /// A partition that cannot be read.
    pub(crate) damaged: Option<Partition>,
}

impl MemoryLog {
    pub(crate) fn new(partitions: usize, read_records_max: usize) -> MemoryLog {
        MemoryLog {
            partitions: Mutex::new(vec![Vec::new(); partitions]),
            read_records_max,
            now: UnixMillis::new(MARCH),
            damaged: None,
        }
    }

    /// Appends a record taken by the log at `appended_at`.
    pub(crate) fn push(&self, partition: usize, appended_at: UnixMillis, bytes: Vec<u8>) {
        self.partitions.lock().unwrap()[partition].push((appended_at, bytes));
    }

    /// Appends a frame that reached the log when it was captured.
    pub(crate) fn frame(&self, partition: usize, frame: &Seen3) {
        self.push(partition, frame.captured_at(), frame.bytes());
    }
}

struct MemoryReader {
    records: Records,
    next: usize,
    max: usize,
    now: UnixMillis,
}

fn place(partition: Partition) -> usize {
    usize::try_from(partition.0).unwrap()
}

impl FrameLog for MemoryLog {
    fn identity(&self) -> LogId {
        LogId("memory".into())
    }

    fn partitions(&self) -> u32 {
        u32::try_from(self.partitions.lock().unwrap().len()).unwrap()
    }

    fn append(&self, records: &[(SourceId, &[u8])]) -> Result<(), LogError> {
        for (_, value) in records {
            self.push(0, self.now, value.to_vec());
        }
        Ok(())
    }

    fn bounds(&self, partition: Partition) -> Result<Bounds, LogError> {
        let length = self.partitions.lock().unwrap()[place(partition)].len();
        Ok(Bounds { low: Offset(0), high: Offset(length.try_into().unwrap()) })
    }

    fn reader(&self, partition: Partition, from: Offset) -> Result<Box<dyn LogReader>, LogError> {
        if self.damaged == Some(partition) {
            let what = "it was told to be".to_owned();
            return Err(LogError::Damaged { at: "memory".to_owned(), what });
        }
        Ok(Box::new(MemoryReader {
            records: self.partitions.lock().unwrap()[place(partition)].clone(),
            next: from.0.try_into().unwrap(),
            max: self.read_records_max,
            now: self.now,
        }))
    }

    fn schemas(&self) -> Result<Vec<String>, LogError> {
        Ok(Vec::new())
    }
}

impl LogReader for MemoryReader {
    fn read(&mut self, batch: &mut Batch, max: usize, _: Duration) -> Result<ReadEnd, LogError> {
        let until = self.records.len().min(self.next + self.max.min(max));
        for at in self.next..until {
            let (appended_at, value) = &self.records[at];
            let offset = Offset(at.try_into().unwrap());
            batch.push(Record { offset, appended_at: *appended_at, value });
        }
        self.next = until;
        if until < self.records.len() { Ok(ReadEnd::More) } else { Ok(ReadEnd::CaughtUp(self.now)) }
    }
}

type Key = (SourceId, WindowSize, UnixMillis);

/// Tables in memory.
#[derive(Default)]
pub(crate) struct MemoryStore {
    tables: Mutex<Tables>,
    /// Commits after which the store breaks for good; 0 is never.
    pub(crate) break_after: AtomicU32,
    /// Whether it does not answer when a pipeline begins.
    pub(crate) away: AtomicBool,
}

#[derive(Default)]
struct Tables {
    partitions: BTreeMap<(LogId, Partition), PartitionAccount>,
    sources: BTreeMap<SourceId, SourceState>,
    seqs: BTreeMap<(SourceId, SessionId, u64), Intervals>,
    windows: BTreeMap<Key, WindowState>,
    parked: Vec<Parked>,
    logs: BTreeMap<LogName, LogId>,
    lost_ends: BTreeMap<(LogId, Partition), Offset>,
    commits: u32,
}

impl MemoryStore {
    pub(crate) fn rows(&self) -> Vec<WindowState> {
        self.tables.lock().unwrap().windows.values().cloned().collect()
    }

    pub(crate) fn commits(&self) -> u32 {
        self.tables.lock().unwrap().commits
    }

    /// Another process writes the source: its revision moves on.
    pub(crate) fn touch(&self, source: i64) {
        let source = SourceId::try_from(source).unwrap();
        let mut tables = self.tables.lock().unwrap();
        tables.sources.get_mut(&source).unwrap().rev += 1;
    }
}

impl StateStore for MemoryStore {
    fn shape(&self, _: &Shape) -> Result<(), StoreError> {
        if self.away.load(Ordering::SeqCst) {
            let (doing, at) = ("write the shape to", "memory".to_owned());
            return Err(StoreError::Unreachable { doing, at, source: "it is away".into() });
        }
        Ok(())
    }

    fn claim(&self, log: &LogId, partition: Partition, first: Offset) -> Result<Claim, StoreError> {
        let mut tables = self.tables.lock().unwrap();
        let account =
            tables.partitions.entry((log.clone(), partition)).or_insert_with(|| PartitionAccount {
                log: log.clone(),
                partition,
                owner_epoch: 0,
                first_offset: first,
                next_offset: first,
                ledger: Ledger::default(),
                parked_rows: 0,
            });
        account.owner_epoch += 1;
        Ok(Claim { owner_epoch: account.owner_epoch, next_offset: account.next_offset })
    }

    fn commit(&self, commit: &Commit) -> Result<(), CommitError> {
        let mut tables = self.tables.lock().unwrap();
        let limit = self.break_after.load(Ordering::SeqCst);
        if 0 < limit && limit <= tables.commits {
            let what = "it was told to break".to_owned();
            return Err(StoreError::Damaged { at: "memory".to_owned(), what }.into());
        }
        for advance in &commit.partitions {
            let account = &tables.partitions[&(advance.log.clone(), advance.partition)];
            if account.next_offset != advance.from || account.owner_epoch != advance.owner_epoch {
                return Err(CommitError::Fenced {
                    log: advance.log.clone(),
                    partition: advance.partition,
                    owner_epoch: advance.owner_epoch,
                    expected: advance.from,
                    found: format!("{account:?}"),
                });
            }
        }
        for change in &commit.sources {
            let source_id = change.state.source;
            let found = tables.sources.get(&source_id).map_or(0, |state| state.rev);
            if found + 1 != change.state.rev {
                let expected = change.state.rev - 1;
                return Err(CommitError::SourceMoved { source_id, expected, found });
            }
        }
        for advance in &commit.partitions {
            let key = (advance.log.clone(), advance.partition);
            let account = tables.partitions.get_mut(&key).unwrap();
            account.next_offset = advance.to;
            account.ledger.add(&advance.ledger);
            account.parked_rows += advance.ledger.parked;
        }
        for change in &commit.sources {
            tables.sources.insert(change.state.source, change.state.clone());
            for block in &change.blocks {
                let key = (block.source, block.session, block.block);
                tables.seqs.insert(key, block.seqs.clone());
            }
            for window in &change.windows {
                let key = (window.source, window.window.size, window.window.start);
                let before = tables.windows.insert(key, window.clone());
                // Absolute values under growing revisions, one at a time.
                assert_eq!(before.map_or(0, |before| before.rev) + 1, window.rev, "{window:?}");
            }
        }
        tables.parked.extend(commit.parked.iter().cloned());
        tables.commits += 1;
        Ok(())
    }

    fn source(&self, source: SourceId) -> Result<Option<SourceState>, StoreError> {
        Ok(self.tables.lock().unwrap().sources.get(&source).cloned())
    }

    fn open_sources(&self) -> Result<Vec<SourceState>, StoreError> {
        let tables = self.tables.lock().unwrap();
        let open = |state: &&SourceState| {
            tables.windows.values().any(|w| w.source == state.source && w.status == Status::Open)
        };
        Ok(tables.sources.values().filter(open).cloned().collect())
    }

    fn open_windows(&self, source: SourceId) -> Result<Vec<WindowState>, StoreError> {
        let tables = self.tables.lock().unwrap();
        let wanted =
            |window: &&WindowState| window.status == Status::Open && source == window.source;
        Ok(tables.windows.values().filter(wanted).cloned().collect())
    }

    fn window(
        &self,
        source: SourceId,
        size: WindowSize,
        start: UnixMillis,
    ) -> Result<Option<WindowState>, StoreError> {
        Ok(self.tables.lock().unwrap().windows.get(&(source, size, start)).cloned())
    }

    fn seqs(
        &self,
        source: SourceId,
        session: SessionId,
        block: u64,
    ) -> Result<Intervals, StoreError> {
        let tables = self.tables.lock().unwrap();
        Ok(tables.seqs.get(&(source, session, block)).cloned().unwrap_or_default())
    }

    fn sources(&self) -> Result<Vec<SourceSummary>, StoreError> {
        let tables = self.tables.lock().unwrap();
        let summary = |state: &SourceState| SourceSummary { state: state.clone(), metrics: vec![] };
        Ok(tables.sources.values().map(summary).collect())
    }

    fn series(&self, query: &SeriesQuery) -> Result<Vec<WindowState>, StoreError> {
        let rows = self.rows().into_iter();
        Ok(rows.filter(|r| r.source == query.source && r.window.size == query.size).collect())
    }

    fn audit(&self) -> Result<Audit, StoreError> {
        let tables = self.tables.lock().unwrap();
        let account = |state: &SourceState| {
            let of = |size| {
                let rows = tables.windows.values();
                let mine = rows.filter(|w| w.source == state.source && w.window.size == size);
                mine.map(|window| window.frames).sum()
            };
            let seqs = tables.seqs.iter().filter(|((source, ..), _)| *source == state.source);
            let uneven = |window: &&WindowState| {
                window.source == state.source
                    && window.metrics.iter().any(|(_, h)| h.frames() != window.frames)
            };
            SourceAccount {
                source: state.source,
                accepted: state.accepted,
                remembered: seqs.map(|(_, seqs)| seqs.count()).sum(),
                frames: WindowSize::ALL.map(of),
                uneven_windows: tables.windows.values().filter(uneven).count().try_into().unwrap(),
            }
        };
        let of = |reason| tables.parked.iter().filter(|p| p.reason == reason).count();
        Ok(Audit {
            partitions: tables.partitions.values().cloned().collect(),
            sources: tables.sources.values().map(account).collect(),
            parked: ParkReason::ALL.map(|reason| (reason, of(reason).try_into().unwrap())).to_vec(),
        })
    }

    fn parked(&self, _: u32) -> Result<Vec<Parked>, StoreError> {
        Ok(self.tables.lock().unwrap().parked.clone())
    }
}

/// How a test runs the pipeline.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) config: PipelineConfig,
    pub(crate) zone: &'static str,
    /// Where pictures are kept, if they are.
    pub(crate) snapshots: Option<Arc<dyn SnapshotStore>>,
}

impl Setup {
    /// Every read is an epoch of its own.
    pub(crate) fn new() -> Setup {
        let epoch_frames_max = std::num::NonZeroU32::MIN;
        Setup {
            config: PipelineConfig { epoch_frames_max, ..PipelineConfig::default() },
            zone: "UTC",
            snapshots: None,
        }
    }

    /// Reads `log` to its end.
    pub(crate) fn try_run(
        &self,
        log: &Arc<MemoryLog>,
        store: &Arc<MemoryStore>,
    ) -> Result<(), PipelineError> {
        let log: Arc<dyn FrameLog> = Arc::<MemoryLog>::clone(log);
        run(&Job {
            inputs: Input::all_of(&log),
            store: Arc::<MemoryStore>::clone(store),
            snapshots: self.snapshots.clone(),
            shape: Shape { zone: self.zone.to_owned(), metrics: Default::default() },
            config: self.config.clone(),
            end: End::CaughtUp,
            strays: false,
            stop: Stop::default(),
            progress: Arc::new(Progress::default()),
        })
    }

    /// Reads `log` to its end into fresh tables, which must balance.
    pub(crate) fn run(&self, log: MemoryLog) -> Arc<MemoryStore> {
        let store = Arc::new(MemoryStore::default());
        self.run_into(&Arc::new(log), &store);
        store
    }

    /// Reads `log` to its end, which must balance.
    pub(crate) fn run_into(&self, log: &Arc<MemoryLog>, store: &Arc<MemoryStore>) {
        self.try_run(log, store).unwrap();
        assert_eq!(store.audit().unwrap().imbalances(), Vec::<String>::new());
    }
}
