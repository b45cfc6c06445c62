//! A log on a server that fails as it is told, and a disk that can lose its power.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use schemas::avro::{self, Schemas};
use schemas::frame::FrameId;
use schemas::log::{
    Batch, Bounds, FrameLog, LogError, LogId, LogReader, Offset, Partition, ReadEnd, Record,
    TrimLog,
};
use schemas::source::SourceId;
use schemas::time::{Clock, UnixMillis};

/// What becomes of one append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails, and nothing is kept.
    Before,
    /// All is kept, but the answer is lost.
    After,
    /// The first half is kept, then it fails.
    Half,
    /// All is kept, and the answer comes late.
    Late(Duration),
}

fn failed(at: &str) -> LogError {
    let source = io::Error::other("unplugged");
    LogError::Io { doing: "append to", at: at.to_owned(), source }
}

/// How a log that is away fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    #[default]
    Well,
    /// Every append fails.
    Away,
    /// One append is taken, and then it is away.
    Once,
    /// Every append fails, and says that it always will.
    Refuses,
    /// No append returns until the mood is another.
    Hangs,
}

/// The log behind the spool.
pub(crate) struct Remote {
    state: Mutex<RemoteState>,
    changed: Condvar,
    value_bytes_max: usize,
}

#[derive(Default)]
struct RemoteState {
    kept: Vec<FrameId>,
    /// The process that can reach it; those before it are no more.
    process: u64,
    mood: Mood,
    faults: VecDeque<Fault>,
    calls: u64,
}

impl Remote {
    pub(crate) fn new(value_bytes_max: usize) -> Arc<Remote> {
        let (state, changed) = (Mutex::default(), Condvar::new());
        Arc::new(Remote { state, changed, value_bytes_max })
    }

    fn lock(&self) -> MutexGuard<'_, RemoteState> {
        self.state.lock().unwrap()
    }

    pub(crate) fn be(&self, mood: Mood) {
        self.lock().mood = mood;
        self.changed.notify_all();
    }

    /// The next append fails so.
    pub(crate) fn fail(&self, fault: Fault) {
        self.lock().faults.push_back(fault);
    }

    /// No append that comes fails any more.
    pub(crate) fn recover(&self) {
        self.lock().faults.clear();
        self.be(Mood::Well);
    }

    /// Everything that arrived, in order, whether it had before or not.
    pub(crate) fn arrived(&self) -> Vec<FrameId> {
        self.lock().kept.clone()
    }

    /// A way to it for the process that now begins, which ends those of all before.
    pub(crate) fn line(self: &Arc<Remote>) -> Line {
        let mut state = self.lock();
        state.process += 1;
        Line { remote: Arc::clone(self), process: state.process }
    }

    /// Ends every line that there is.
    pub(crate) fn cut(&self) {
        self.lock().process += 1;
    }

    /// How often it was appended to.
    pub(crate) fn calls(&self) -> u64 {
        self.lock().calls
    }
}

impl RemoteState {
    fn keep(&mut self, records: &[(SourceId, &[u8])]) {
        for (source, value) in records {
            let frame = avro::decode(value, &Schemas::builtin()).unwrap();
            assert_eq!(frame.id.source, *source, "the key is the frame's own source");
            self.kept.push(frame.id);
        }
    }
}

/// A process's own way to the remote.
pub(crate) struct Line {
    remote: Arc<Remote>,
    process: u64,
}

impl FrameLog for Line {
    fn identity(&self) -> LogId {
        LogId("remote".into())
    }

    fn partitions(&self) -> u32 {
        3
    }

    fn append(&self, records: &[(SourceId, &[u8])]) -> Result<(), LogError> {
        let mut state = self.remote.lock();
        state.calls += 1;
        while state.mood == Mood::Hangs {
            state = self.remote.changed.wait(state).unwrap();
        }
        if self.process != state.process {
            return Err(failed("the remote of another process"));
        }
        match state.mood {
            Mood::Away => return Err(failed("the remote")),
            Mood::Refuses => return Err(LogError::ReadOnly),
            Mood::Well | Mood::Once | Mood::Hangs => {}
        }
        let longest = records.iter().map(|(_, value)| value.len()).max().unwrap_or(0);
        let max = self.remote.value_bytes_max;
        if max < longest {
            return Err(LogError::TooLong { bytes: longest, max });
        }
        if state.mood == Mood::Once {
            state.mood = Mood::Away;
        }
        match state.faults.pop_front() {
            None => state.keep(records),
            Some(Fault::Before) => return Err(failed("the remote")),
            Some(Fault::After) => {
                state.keep(records);
                return Err(failed("the remote"));
            }
            Some(Fault::Half) => {
                state.keep(&records[..records.len() / 2]);
                return Err(failed("the remote"));
            }
            Some(Fault::Late(by)) => {
                state.keep(records);
                drop(state);
                thread::sleep(by);
            }
        }
        Ok(())
    }

    fn bounds(&self, _: Partition) -> Result<Bounds, LogError> {
        Err(LogError::ReadOnly)
    }

    fn reader(&self, _: Partition, _: Offset) -> Result<Box<dyn LogReader>, LogError> {
        Err(LogError::ReadOnly)
    }

    fn schemas(&self) -> Result<Vec<String>, LogError> {
        Ok(Vec::new())
    }
}

/// The log on this machine's disk: segments in memory, as the real one keeps them.
pub(crate) struct Disk {
    state: Arc<Mutex<DiskState>>,
    clock: Arc<dyn Clock>,
    segment_bytes: u64,
    /// How long an append takes.
    pub(crate) slowness: Duration,
}

#[derive(Clone, Default)]
struct DiskState {
    segments: Vec<Segment>,
    next: u64,
    /// The process that has it is no more.
    is_cut: bool,
    faults: VecDeque<Fault>,
    bytes_peak: u64,
}

#[derive(Clone)]
struct Segment {
    base: u64,
    records: Vec<(Offset, UnixMillis, Vec<u8>)>,
}

impl Segment {
    fn bytes(&self) -> u64 {
        self.records.iter().map(|(_, _, value)| u64::try_from(value.len()).unwrap()).sum()
    }
}

impl DiskState {
    fn bounds(&self) -> Bounds {
        let low = self.segments.first().map_or(self.next, |segment| segment.base);
        Bounds { low: Offset(low), high: Offset(self.next) }
    }

    fn bytes(&self) -> u64 {
        self.segments.iter().map(Segment::bytes).sum()
    }

    fn works(&self) -> Result<(), LogError> {
        if self.is_cut { Err(failed("a disk without power")) } else { Ok(()) }
    }

    fn keep(&mut self, segment_bytes: u64, at: UnixMillis, values: &[&[u8]]) {
        if self.segments.last().is_none_or(|last| segment_bytes <= last.bytes()) {
            self.segments.push(Segment { base: self.next, records: Vec::new() });
        }
        for value in values {
            let record = (Offset(self.next), at, value.to_vec());
            self.segments.last_mut().unwrap().records.push(record);
            self.next += 1;
        }
        self.bytes_peak = self.bytes_peak.max(self.bytes());
    }
}

impl Disk {
    pub(crate) fn new(clock: Arc<dyn Clock>, segment_bytes: u64) -> Disk {
        Disk { state: Arc::default(), clock, segment_bytes, slowness: Duration::ZERO }
    }

    fn lock(&self) -> MutexGuard<'_, DiskState> {
        self.state.lock().unwrap()
    }

    /// The next append fails so.
    pub(crate) fn fail(&self, fault: Fault) {
        self.lock().faults.push_back(fault);
    }

    pub(crate) fn recover(&self) {
        self.lock().faults.clear();
    }

    /// The most that it ever took, bytes.
    pub(crate) fn bytes_peak(&self) -> u64 {
        self.lock().bytes_peak
    }

    /// Ends every use of it, and gives the disk as the next process finds it. What is
    /// in `from`, other files of the same moment, is copied to `to`.
    pub(crate) fn cut(&self, from: &Path, to: &Path) -> Disk {
        let mut state = self.lock();
        state.is_cut = true;
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            // One that is being made may be gone again.
            _ = std::fs::copy(entry.path(), to.join(entry.file_name()));
        }
        let found = DiskState { is_cut: false, ..state.clone() };
        let clock = Arc::clone(&self.clock);
        Disk { state: Arc::new(Mutex::new(found)), clock, ..*self }
    }
}

impl FrameLog for Disk {
    fn identity(&self) -> LogId {
        LogId("disk".into())
    }

    fn partitions(&self) -> u32 {
        1
    }

    fn append(&self, records: &[(SourceId, &[u8])]) -> Result<(), LogError> {
        thread::sleep(self.slowness);
        let values: Vec<&[u8]> = records.iter().map(|(_, value)| *value).collect();
        let mut state = self.lock();
        state.works()?;
        let at = self.clock.now();
        match state.faults.pop_front() {
            None | Some(Fault::Late(_)) => {
                state.keep(self.segment_bytes, at, &values);
                Ok(())
            }
            Some(Fault::Before | Fault::Half) => Err(failed("the disk")),
            Some(Fault::After) => {
                state.keep(self.segment_bytes, at, &values);
                Err(failed("the disk"))
            }
        }
    }

    fn bounds(&self, _: Partition) -> Result<Bounds, LogError> {
        Ok(self.lock().bounds())
    }

    fn reader(&self, partition: Partition, from: Offset) -> Result<Box<dyn LogReader>, LogError> {
        let bounds = self.lock().bounds();
        if !(bounds.low <= from && from <= bounds.high) {
            return Err(LogError::OutOfBounds { partition, wanted: from, bounds, hint: "" });
        }
        let (state, clock) = (Arc::clone(&self.state), Arc::clone(&self.clock));
        Ok(Box::new(DiskReader { state, clock, next: from }))
    }

    fn schemas(&self) -> Result<Vec<String>, LogError> {
        Ok(vec![avro::FRAME_SCHEMA.to_owned(), avro::COUNTS_SCHEMA.to_owned()])
    }
}

impl TrimLog for Disk {
    fn trim(&self, _: Partition, before: Offset) -> Result<(), LogError> {
        let mut state = self.lock();
        state.works()?;
        while let [_, second, ..] = &state.segments[..]
            && second.base <= before.0
        {
            state.segments.remove(0);
        }
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.lock().bytes()
    }
}

struct DiskReader {
    state: Arc<Mutex<DiskState>>,
    clock: Arc<dyn Clock>,
    next: Offset,
}

impl LogReader for DiskReader {
    fn read(
        &mut self,
        batch: &mut Batch,
        records_max: usize,
        wait: Duration,
    ) -> Result<ReadEnd, LogError> {
        let deadline = Instant::now() + wait;
        let mut left = records_max;
        loop {
            let state = self.state.lock().unwrap();
            state.works()?;
            let records = state.segments.iter().flat_map(|segment| &segment.records);
            let from = self.next;
            for (offset, appended_at, value) in records.filter(|record| from <= record.0) {
                if left == 0 {
                    return Ok(ReadEnd::More);
                }
                left -= 1;
                batch.push(Record { offset: *offset, appended_at: *appended_at, value });
                self.next = offset.next();
            }
            if left < records_max || deadline <= Instant::now() {
                return Ok(ReadEnd::CaughtUp(self.clock.now()));
            }
            drop(state);
            thread::sleep(Duration::from_millis(1));
        }
    }
}
