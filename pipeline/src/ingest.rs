//! One thread a partition: reads the log, takes the records apart, and hands
//! observations to the dataflow.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{SendTimeoutError, Sender};
use schemas::avro::{self, Header, Observer, Schemas, Undecodable};
use schemas::commit::{ParkReason, Parked};
use schemas::frame::{ANIMALS_MAX, CLASSES_MAX, FrameFault};
use schemas::log::{Batch, FrameLog, LogError, LogReader, Offset, Partition, ReadEnd, Record};
use schemas::stop::Stop;
use schemas::time::UnixMillis;

use crate::classes::{ClassId, ClassLookup, Names};
use crate::committer::Backoff;
use crate::history::Chain;
use crate::run::Progress;
use crate::source::Arrival;
use crate::worker::Epochs;

/// Records of one read: enough to make a read cheap, few enough to stay in a
/// core's own cache.
const READ_RECORDS_MAX: usize = 4096;

/// How long a read waits for the first record; a stop is seen this late at most.
const READ_WAIT: Duration = Duration::from_millis(100);

/// 2000-01-01: no camera of ours is older, but a clock that was never set is.
const CLOCK_SET_AFTER: UnixMillis = UnixMillis::new(946_684_800_000);

/// What one read of one partition gave: the unit that enters an epoch whole.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ingested {
    /// Frames, for each worker those of its sources.
    pub(crate) frames: Vec<Frames>,
    pub(crate) advance: Option<Advance>,
    /// The log's time by which everything has been read, if nothing was left.
    pub(crate) caught_up: Option<UnixMillis>,
}

/// Frames in the order of the log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frames {
    arrivals: Vec<(Arrival, usize)>,
    counts: Vec<(ClassId, u16)>,
}

impl Frames {
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

    pub(crate) fn is_empty(&self) -> bool {
        self.arrivals.is_empty()
    }
}

/// How far one partition was read.
#[derive(Clone, Debug)]
pub(crate) struct Advance {
    pub(crate) from: Offset,
    pub(crate) to: Offset,
    pub(crate) read: u64,
    pub(crate) parked: Vec<Parked>,
}

/// Reads one partition until it is told to stop, or to its end.
pub(crate) struct Ingest {
    pub(crate) log: Arc<dyn FrameLog>,
    pub(crate) partition: Partition,
    pub(crate) next: Offset,
    pub(crate) names: Arc<Names>,
    pub(crate) skew_bound: Duration,
    pub(crate) workers: usize,
    pub(crate) until_caught_up: bool,
    pub(crate) stop: Stop,
    pub(crate) to: Sender<Ingested>,
    pub(crate) epochs: Arc<Epochs>,
    pub(crate) progress: Arc<Progress>,
}

impl Ingest {
    /// Runs until the end; an error is one that trying again cannot mend.
    pub(crate) fn run(mut self) -> Result<(), LogError> {
        let mut schemas = Schemas::builtin();
        self.learn_schemas(&mut schemas)?;
        let mut reader = self.log.reader(self.partition, self.next)?;
        let mut classes = ClassLookup::new(Arc::clone(&self.names));
        let mut batch = Batch::default();
        while !self.stop.is_stopped() && !self.epochs.has_failed() {
            batch.clear();
            let Some(end) = self.read(&mut *reader, &mut batch)? else { break };
            let mut ingested = self.take_apart(&batch, &mut schemas, &mut classes)?;
            if let ReadEnd::CaughtUp(by) = end {
                ingested.caught_up = Some(by);
            }
            let last = self.until_caught_up && ingested.caught_up.is_some();
            if !self.hand_over(ingested) || last {
                break;
            }
        }
        Ok(())
    }

    fn read(
        &self,
        reader: &mut dyn LogReader,
        batch: &mut Batch,
    ) -> Result<Option<ReadEnd>, LogError> {
        let mut backoff = Backoff::default();
        loop {
            match reader.read(batch, READ_RECORDS_MAX, READ_WAIT) {
                Ok(end) => return Ok(Some(end)),
                Err(error) if error.may_succeed_later() => {
                    tracing::warn!(
                        partition = %self.partition,
                        error = %Chain(&error),
                        "the log does not answer, reading again"
                    );
                    if self.stop.wait(backoff.next()) {
                        return Ok(None);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn learn_schemas(&self, schemas: &mut Schemas) -> Result<(), LogError> {
        for json in self.log.schemas()? {
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
        let mut frames = vec![Frames::default(); self.workers];
        let share = batch.len() / self.workers;
        for frames in &mut frames {
            frames.arrivals.reserve(share);
            frames.counts.reserve(2 * share);
        }
        let (from, mut parked, mut learnt) = (self.next, Vec::new(), false);
        let mut seen = Shown { classes, hint: 0, counts: Vec::new() };
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
                Ok(arrival) => {
                    let worker = worker_of(arrival.source, self.workers);
                    let Frames { arrivals, counts } = &mut frames[worker];
                    counts.extend_from_slice(&seen.counts);
                    arrivals.push((arrival, counts.len()));
                }
                Err(Refused { reason, detail }) => parked.push(Parked {
                    log: self.log.identity(),
                    partition: self.partition,
                    offset: record.offset,
                    appended_at: record.appended_at,
                    reason,
                    detail,
                    bytes: record.value.to_vec(),
                }),
            }
        }
        let read = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        self.progress.read(read);
        let advance = (0 < read).then_some(Advance { from, to: self.next, read, parked });
        Ok(Ingested { frames, advance, caught_up: None })
    }

    #[inline]
    fn observe(
        &self,
        record: &Record<'_>,
        schemas: &Schemas,
        seen: &mut Shown<'_>,
    ) -> Result<Arrival, Refused> {
        seen.begin();
        let header = avro::observe(record.value, schemas, seen)?;
        let Header { id, captured_at, produced_at: _ } = header;
        let appended_at = record.appended_at;
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
        let schemas::frame::FrameId { source, session, seq } = id;
        Ok(Arrival { source, session, seq, captured_at, appended_at })
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
pub(crate) fn worker_of(source: schemas::source::SourceId, workers: usize) -> usize {
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
}

impl Shown<'_> {
    fn begin(&mut self) {
        self.hint = 0;
        self.counts.clear();
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

    #[inline]
    fn count_of(&mut self, name: &[u8], animals: u32) -> Result<(), FrameFault> {
        let class = self.class(name)?;
        if self.counts.iter().any(|(known, _)| *known == class) {
            return Err(FrameFault::ClassTwice(String::from_utf8_lossy(name).into_owned()));
        }
        // At most `ANIMALS_MAX`, which the reader has checked.
        self.counts.push((class, u16::try_from(animals).unwrap_or(u16::MAX)));
        Ok(())
    }
}

// A count, and the number of a frame's boxes, fit their sixteen bits.
const _: () = assert!(ANIMALS_MAX <= 0xffff);
