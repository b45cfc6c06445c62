//! One thread a partition: reads the log, takes the records apart, and hands
//! observations to the dataflow.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{SendTimeoutError, Sender};
use rustc_hash::FxHashMap;
use schemas::avro::{self, Header, Observer, Schemas, Undecodable};
use schemas::commit::{ParkReason, Parked, Place};
use schemas::frame::{ANIMALS_MAX, CLASSES_MAX, FrameFault, FrameId};
use schemas::log::{Batch, FrameLog, LogError, Offset, ReadEnd, Record};
use schemas::snapshot::Snapshot;
use schemas::source::{SessionId, SourceId};
use schemas::stop::Stop;
use schemas::time::{CLOCK_SET_AFTER, UnixMillis};
use schemas::window::MINUTE_MS;

use crate::classes::{ClassId, ClassLookup, Names};
use crate::committer::replaced;
use crate::progress::Progress;
use crate::retry::Patience;
use crate::source::Arrival;
use crate::worker::Epochs;

/// Records of one read: enough that each of many sources has a run of frames, few
/// enough to stay in a core's own cache.
const READ_RECORDS_MAX: usize = 8192;

/// Frames that a run has room for from the start, at most.
const RUN_LENGTH_MAX: usize = 256;

/// How long a read waits for the first record; a stop is seen this late at most.
const READ_WAIT: Duration = Duration::from_millis(100);

/// What one read of one partition gave: the unit that enters an epoch whole.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ingested {
    /// Frames, for each worker those of its sources.
    pub(crate) frames: Vec<Frames>,
    pub(crate) advance: Option<Advance>,
    /// The log's time by which everything has been read, if nothing was left.
    pub(crate) caught_up: Option<UnixMillis>,
}

/// Frames for one worker: by source, each source's in the order of the log. The
/// worker then turns to each source's state once, not once a frame.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frames {
    pub(crate) runs: Vec<Run>,
    /// Each source's newest run.
    newest: FxHashMap<SourceId, usize>,
    /// How long a run is expected to be: as long as those of the last read.
    run_length: usize,
}

/// Frames of one session of one source, one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) source: SourceId,
    pub(crate) session: SessionId,
    arrivals: Vec<(Arrival, usize)>,
    counts: Vec<(ClassId, u16)>,
    /// How often `minute` changed.
    minutes: usize,
    /// The last frame's, counted from 1970.
    minute: i64,
}

impl Frames {
    #[inline]
    fn push(&mut self, id: FrameId, captured_at: UnixMillis, at: UnixMillis, shown: &Shown<'_>) {
        let FrameId { source, session, seq } = id;
        let run = match self.newest.get(&source) {
            Some(newest) if self.runs[*newest].session == session => *newest,
            _ => self.begin(source, session),
        };
        let run = &mut self.runs[run];
        run.counts.extend_from_slice(&shown.counts);
        let minute = captured_at.get().div_euclid(MINUTE_MS);
        if minute != run.minute {
            run.minute = minute;
            run.minutes += 1;
        }
        let arrival = Arrival { seq, captured_at, appended_at: at };
        run.arrivals.push((arrival, run.counts.len()));
    }

    #[cold]
    fn begin(&mut self, source: SourceId, session: SessionId) -> usize {
        let arrivals = Vec::with_capacity(self.run_length);
        let counts = Vec::with_capacity(2 * self.run_length);
        self.runs.push(Run { source, session, arrivals, counts, minutes: 0, minute: i64::MIN });
        self.newest.insert(source, self.runs.len() - 1);
        self.runs.len() - 1
    }

    pub(crate) fn len(&self) -> usize {
        self.runs.iter().map(Run::len).sum()
    }

    /// How often a run goes on to another minute: about how many minutes it adds
    /// to, and so how much there will be to write.
    pub(crate) fn minutes(&self) -> usize {
        self.runs.iter().map(|run| run.minutes).sum()
    }
}

impl Run {
    /// Each frame with what it shows.
    #[inline]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arrival, &[(ClassId, u16)])> {
        let mut start = 0;
        self.arrivals.iter().map(move |(arrival, end)| {
            let counts = &self.counts[start..*end];
            start = *end;
            (arrival, counts)
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.arrivals.len()
    }
}

/// How far one partition was read.
#[derive(Clone, Debug)]
pub(crate) struct Advance {
    pub(crate) from: Offset,
    pub(crate) to: Offset,
    pub(crate) read: u64,
    pub(crate) parked: Vec<Parked>,
    /// Those that frames carried, also frames that were counted before.
    pub(crate) snapshots: Vec<Snapshot>,
}

/// Reads one partition until it is told to stop, or to its end.
pub(crate) struct Ingest {
    pub(crate) log: Arc<dyn FrameLog>,
    pub(crate) place: Place,
    pub(crate) next: Offset,
    pub(crate) names: Arc<Names>,
    pub(crate) skew_bound: Duration,
    pub(crate) workers: usize,
    /// Whether snapshots are taken out of the frames that carry them.
    pub(crate) snapshots: bool,
    pub(crate) until_caught_up: bool,
    pub(crate) stop: Stop,
    pub(crate) to: Sender<Ingested>,
    pub(crate) epochs: Arc<Epochs>,
    pub(crate) progress: Arc<Progress>,
    /// How many frames of one source the last read had, one after the other.
    pub(crate) run_length: usize,
}

impl Ingest {
    /// Runs until the end; an error is one that trying again cannot mend.
    pub(crate) fn run(self) -> Result<(), LogError> {
        let epochs = Arc::clone(&self.epochs);
        let _watched = epochs.fail_on_panic();
        match self.read_to_the_end() {
            // Told to stop while the log was away: what is not read is read
            // after the next start.
            Err(error) if error.may_succeed_later() => Ok(()),
            Err(error) => {
                // Without this partition there is no whole commit any more.
                epochs.fail();
                Err(error)
            }
            Ok(()) => Ok(()),
        }
    }

    fn read_to_the_end(mut self) -> Result<(), LogError> {
        let mut schemas = Schemas::builtin();
        self.learn_schemas(&mut schemas)?;
        let mut reader = self.again(|| self.log.reader(self.place.partition, self.next))?;
        self.check_log()?;
        let mut classes = ClassLookup::new(Arc::clone(&self.names));
        let mut batch = Batch::default();
        while !self.stop.is_stopped() && !self.epochs.has_failed() {
            batch.clear();
            let end = self.again(|| reader.read(&mut batch, READ_RECORDS_MAX, READ_WAIT))?;
            let mut ingested = self.take_apart(&batch, &mut schemas, &mut classes)?;
            if let ReadEnd::CaughtUp(by) = end {
                ingested.caught_up = Some(by);
                self.pass(reader.passed(), &mut ingested);
            }
            let last = self.until_caught_up && ingested.caught_up.is_some();
            if !self.hand_over(ingested) || last {
                break;
            }
        }
        Ok(())
    }

    /// Goes on to `passed`, if what lies before it are no records: else the end of the log
    /// would stay out of reach, and be missed once retention has deleted it.
    fn pass(&mut self, passed: Offset, ingested: &mut Ingested) {
        if self.next < passed {
            let nothing = || Advance {
                from: self.next,
                to: self.next,
                read: 0,
                parked: Vec::new(),
                snapshots: Vec::new(),
            };
            ingested.advance.get_or_insert_with(nothing).to = passed;
            self.next = passed;
        }
    }

    fn again<T>(&self, one_try: impl FnMut() -> Result<T, LogError>) -> Result<T, LogError> {
        let patience = Patience { stop: &self.stop, progress: &self.progress };
        patience.again(|| self.epochs.has_failed(), one_try)
    }

    /// Whether what was opened is the log that was claimed.
    fn check_log(&self) -> Result<(), LogError> {
        let (was, now) = (&self.place.log, self.log.identity());
        match *was == now {
            true => Ok(()),
            false => Err(replaced(&*self.log, was, now)),
        }
    }

    fn learn_schemas(&self, schemas: &mut Schemas) -> Result<(), LogError> {
        for json in self.again(|| self.log.schemas())? {
            if let Err(error) = schemas.register(&json) {
                tracing::warn!(%error, "the log declares a schema that cannot be read");
            }
        }
        Ok(())
    }

    fn take_apart(
        &mut self,
        batch: &Batch,
        schemas: &mut Schemas,
        classes: &mut ClassLookup,
    ) -> Result<Ingested, LogError> {
        let expected = Frames { run_length: self.run_length, ..Frames::default() };
        let mut frames = vec![expected; self.workers];
        let (from, mut parked, mut learnt) = (self.next, Vec::new(), false);
        let mut snapshots = Vec::new();
        let mut seen = Shown { classes, hint: 0, counts: Vec::new(), pictured: false };
        for record in batch.records() {
            self.next = record.offset.next();
            let mut taken = self.observe(&record, schemas, &mut seen);
            if let (Err(Refused { reason: ParkReason::UnknownSchema, .. }), false) =
                (&taken, learnt)
            {
                // A newer writer may have declared it meanwhile.
                self.learn_schemas(schemas)?;
                learnt = true;
                taken = self.observe(&record, schemas, &mut seen);
            }
            match taken {
                Ok(Header { id, captured_at, produced_at: _ }) => {
                    let worker = worker_of(id.source, self.workers);
                    frames[worker].push(id, captured_at, record.appended_at, &seen);
                    if seen.pictured && self.snapshots {
                        // It was read a moment ago, so it can be read again.
                        let frame = avro::decode(record.value, schemas).ok();
                        snapshots.extend(frame.and_then(Snapshot::of));
                    }
                }
                Err(Refused { reason, detail }) => parked.push(Parked {
                    log: self.place.log.clone(),
                    partition: self.place.partition,
                    offset: record.offset,
                    appended_at: record.appended_at,
                    reason,
                    detail,
                    bytes: record.value.to_vec(),
                }),
            }
        }
        let runs: usize = frames.iter().map(|frames| frames.runs.len()).sum();
        self.run_length = (batch.len() / runs.max(1) + 1).min(RUN_LENGTH_MAX);
        let read = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        self.progress.read(read);
        let advance =
            (0 < read).then_some(Advance { from, to: self.next, read, parked, snapshots });
        Ok(Ingested { frames, advance, caught_up: None })
    }

    #[inline]
    fn observe(
        &self,
        record: &Record<'_>,
        schemas: &Schemas,
        seen: &mut Shown<'_>,
    ) -> Result<Header, Refused> {
        seen.begin();
        let header = avro::observe(record.value, schemas, seen)?;
        let (captured_at, appended_at) = (header.captured_at, record.appended_at);
        if appended_at.plus(self.skew_bound) < captured_at {
            let detail = format!(
                "captured at {captured_at}, {} s ahead of the log's clock",
                captured_at.since(appended_at).as_secs()
            );
            return Err(Refused { reason: ParkReason::ClockAhead, detail });
        }
        if captured_at < CLOCK_SET_AFTER {
            let detail = format!("captured at {captured_at}, before the year 2000");
            return Err(Refused { reason: ParkReason::ClockUnset, detail });
        }
        Ok(header)
    }

    /// Waits for room; whether it was taken.
    fn hand_over(&self, mut ingested: Ingested) -> bool {
        if ingested.advance.is_none() && ingested.caught_up.is_none() {
            return true;
        }
        loop {
            match self.to.send_timeout(ingested, READ_WAIT) {
                Ok(()) => {
                    self.epochs.wake();
                    return true;
                }
                Err(SendTimeoutError::Timeout(back))
                    if !self.stop.is_stopped() && !self.epochs.has_failed() =>
                {
                    ingested = back;
                }
                // What is not taken is read again after the next start.
                Err(_) => return false,
            }
        }
    }
}

/// The worker that keeps the windows of `source`.
pub(crate) fn worker_of(source: SourceId, workers: usize) -> usize {
    match workers {
        1 => 0,
        workers => usize::try_from(source.get()).unwrap_or(0) % workers,
    }
}

/// Why a record is not counted.
#[derive(Debug)]
struct Refused {
    reason: ParkReason,
    detail: String,
}

impl From<Undecodable> for Refused {
    #[cold]
    fn from(error: Undecodable) -> Refused {
        Refused { reason: error.park_reason(), detail: error.to_string() }
    }
}

/// What the current frame shows, as it is being read.
struct Shown<'a> {
    classes: &'a mut ClassLookup,
    /// Where the next class is expected among those the thread remembers.
    hint: usize,
    /// By class, each once.
    counts: Vec<(ClassId, u16)>,
    /// Whether the frame carries its picture.
    pictured: bool,
}

impl Shown<'_> {
    fn begin(&mut self) {
        self.hint = 0;
        self.counts.clear();
        self.pictured = false;
    }

    #[inline]
    fn class(&mut self, name: &[u8]) -> Result<ClassId, FrameFault> {
        let (class, at) = self.classes.class(name, self.hint)?;
        self.hint = at + 1;
        Ok(class)
    }
}

impl Observer for Shown<'_> {
    fn box_of(&mut self, name: &[u8]) -> Result<(), FrameFault> {
        let class = self.class(name)?;
        // The next box is of the same class more often than not.
        self.hint = self.hint.saturating_sub(1);
        if let Some((_, boxes)) = self.counts.iter_mut().find(|(known, _)| *known == class) {
            *boxes += 1;
            return Ok(());
        }
        if CLASSES_MAX <= self.counts.len() {
            return Err(FrameFault::Classes);
        }
        self.counts.push((class, 1));
        Ok(())
    }

    #[inline(always)]
    fn count_of(&mut self, name: &[u8], animals: u32) -> Result<(), FrameFault> {
        let class = self.class(name)?;
        if self.counts.iter().any(|(known, _)| *known == class) {
            return Err(FrameFault::ClassTwice(String::from_utf8_lossy(name).into_owned()));
        }
        // At most `ANIMALS_MAX`, which the reader has checked.
        self.counts.push((class, u16::try_from(animals).unwrap_or(u16::MAX)));
        Ok(())
    }
    fn image(&mut self, _jpeg: &[u8]) {
        self.pictured = true;
    }
}

// A count, and the number of a frame's boxes, fit their sixteen bits.
const _: () = assert!(ANIMALS_MAX <= 0xffff);
