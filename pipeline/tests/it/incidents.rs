//! A log that deletes too early, loses its end, or is another than before: what
//! is counted before somebody decides, and after.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use pipeline::config::PipelineConfig;
use pipeline::{End, Incident, Input, Job, Progress, run};
use proptest::prelude::*;
use schemas::commit::{Commit, Ledger, LogBook, PartitionAdvance, Shape, StateStore};
use schemas::log::{
    Batch, Bounds, FrameLog, LogError, LogId, LogName, LogReader, Offset, Partition, ReadEnd,
    Record,
};
use schemas::source::SourceId;
use schemas::stop::Stop;
use schemas::time::UnixMillis;

use crate::oracle::{naive, table};
use crate::support::{MARCH, MemoryStore, Seen3, lying};

const PATIENCE: Duration = Duration::from_secs(20);

/// A log with which anything may happen while it is read.
#[derive(Clone)]
struct Unsteady(Arc<Mutex<Content>>);

struct Content {
    /// Which log it is.
    made: u32,
    /// Whether its readers go on into the log that takes its place.
    readers_are_blind: bool,
    /// Told to the next reader, which alone has seen it: where the end was lost.
    lost_end: Option<Offset>,
    partitions: Vec<Part>,
}

#[derive(Clone, Default)]
struct Part {
    /// The records before it are deleted.
    low: usize,
    records: Vec<Seen3>,
}

impl Unsteady {
    fn new(partitions: usize) -> Unsteady {
        let partitions = vec![Part::default(); partitions];
        Unsteady(Arc::new(Mutex::new(Content {
            made: 0,
            readers_are_blind: false,
            lost_end: None,
            partitions,
        })))
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap()
    }

    fn append(&self, partition: usize, frames: &[Seen3]) {
        self.content().partitions[partition].records.extend(frames.iter().cloned());
    }

    fn is_made_again(&self) {
        let mut content = self.content();
        content.made += 1;
        content.partitions.fill(Part::default());
    }
}

fn id(made: u32) -> LogId {
    LogId(format!("unsteady-{made}").into())
}

fn name() -> LogName {
    LogName("unsteady".into())
}

fn index(number: impl TryInto<usize>) -> usize {
    number.try_into().ok().unwrap()
}

fn offset(index: usize) -> Offset {
    Offset(index.try_into().unwrap())
}

impl FrameLog for Unsteady {
    fn identity(&self) -> LogId {
        id(self.content().made)
    }

    fn name(&self) -> Option<LogName> {
        Some(name())
    }

    fn partitions(&self) -> u32 {
        self.content().partitions.len().try_into().unwrap()
    }

    fn append(&self, _: &[(SourceId, &[u8])]) -> Result<(), LogError> {
        Err(LogError::ReadOnly)
    }

    fn bounds(&self, partition: Partition) -> Result<Bounds, LogError> {
        let part = &self.content().partitions[index(partition.0)];
        Ok(Bounds { low: offset(part.low), high: offset(part.records.len()) })
    }

    fn reader(&self, partition: Partition, from: Offset) -> Result<Box<dyn LogReader>, LogError> {
        let made = self.content().made;
        Ok(Box::new(UnsteadyReader { log: self.clone(), made, partition, next: index(from.0) }))
    }

    fn schemas(&self) -> Result<Vec<String>, LogError> {
        Ok(Vec::new())
    }
}

struct UnsteadyReader {
    log: Unsteady,
    made: u32,
    partition: Partition,
    next: usize,
}

impl LogReader for UnsteadyReader {
    fn read(&mut self, batch: &mut Batch, max: usize, _: Duration) -> Result<ReadEnd, LogError> {
        let mut content = self.log.content();
        if let Some(end) = content.lost_end.take() {
            let (partition, wanted) = (self.partition, offset(self.next));
            return Err(LogError::LostEnd { partition, wanted, end });
        }
        if content.made != self.made && !content.readers_are_blind {
            let (was, now) = (id(self.made), id(content.made));
            return Err(LogError::Replaced { at: "memory".to_owned(), was, now });
        }
        let Part { low, records } = &content.partitions[index(self.partition.0)];
        if !(*low..=records.len()).contains(&self.next) {
            let bounds = Bounds { low: offset(*low), high: offset(records.len()) };
            let (partition, wanted) = (self.partition, offset(self.next));
            return Err(LogError::OutOfBounds { partition, wanted, bounds, hint: "" });
        }
        for frame in records.iter().skip(self.next).take(max) {
            let value = &*frame.bytes();
            batch.push(Record {
                offset: offset(self.next),
                appended_at: frame.captured_at(),
                value,
            });
            self.next += 1;
        }
        Ok(match self.next < records.len() {
            true => ReadEnd::More,
            false => ReadEnd::CaughtUp(UnixMillis::new(MARCH)),
        })
    }
}

/// A pipeline that goes on until it is dropped.
struct Pipeline {
    log: Unsteady,
    progress: Arc<Progress>,
    stop: Stop,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Pipeline {
    fn start(log: &Unsteady, store: &Arc<MemoryStore>) -> Pipeline {
        let (stop, progress) = (Stop::default(), Arc::new(Progress::default()));
        let read: Arc<dyn FrameLog> = Arc::new(log.clone());
        let commit_interval = Duration::from_millis(1);
        let job = Job {
            inputs: Input::all_of(&read),
            store: Arc::<MemoryStore>::clone(store),
            shape: Shape { zone: "UTC".to_owned(), metrics: Default::default() },
            config: PipelineConfig { commit_interval, ..PipelineConfig::default() },
            end: End::Never,
            snapshots: None,
            strays: true,
            stop: stop.clone(),
            progress: Arc::clone(&progress),
        };
        let thread = std::thread::spawn(move || run(&job).unwrap());
        Pipeline { log: log.clone(), progress, stop, thread: Some(thread) }
    }

    /// The incidents, by partition.
    fn incidents(&self) -> Vec<(u32, Incident)> {
        let incidents = self.progress.incidents().into_iter();
        incidents.map(|(place, incident)| (place.partition.0, incident)).collect()
    }

    fn wait_for(&self, what: &str, mut is_so: impl FnMut(&Pipeline) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(self) {
            assert!(Instant::now() < deadline, "never: {what}; {:?}", self.progress);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until each partition is counted to its end, or cannot be.
    fn settle(&self) -> Vec<(u32, Incident)> {
        let mut told = Vec::new();
        self.wait_for("each partition is counted or waits", |pipeline| {
            told = pipeline.incidents();
            let committed = pipeline.progress.committed();
            let is_counted = |number: u32| {
                let end = pipeline.log.bounds(Partition(number)).unwrap().high;
                committed.iter().any(|(at, next)| at.partition.0 == number && *next == end)
            };
            (0..pipeline.log.partitions())
                .all(|number| is_counted(number) || told.iter().any(|(at, _)| *at == number))
        });
        told
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.stop.stop();
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking(), "the pipeline ended in an error");
    }
}

/// What `animov log skip` does.
fn skip(store: &MemoryStore, log: &Unsteady, partition: u32) {
    let (id, partition) = (log.identity(), Partition(partition));
    let low = log.bounds(partition).unwrap().low;
    let claim = store.claim(&id, partition, low).unwrap();
    let gap = low.0 - claim.next_offset.0;
    let advance = PartitionAdvance {
        log: id,
        partition,
        owner_epoch: claim.owner_epoch,
        from: claim.next_offset,
        to: low,
        ledger: Ledger { gap, ..Ledger::default() },
    };
    store.commit(&Commit { partitions: vec![advance], ..Commit::default() }).unwrap();
}

fn frames(seconds: std::ops::Range<i64>) -> Vec<Seen3> {
    seconds.map(|second| lying(3, second)).collect()
}

#[track_caller]
fn check(store: &MemoryStore, counted: &[Seen3]) {
    assert_eq!(store.audit().unwrap().imbalances(), Vec::<String>::new());
    assert_eq!(table(&store.rows()), naive(counted, "UTC"));
}

#[test]
fn another_log_in_its_place_is_not_counted_until_it_is_accepted() {
    let (log, store) = (Unsteady::new(2), Arc::new(MemoryStore::default()));
    log.append(0, &frames(0..10));
    let pipeline = Pipeline::start(&log, &store);
    assert_eq!(pipeline.settle(), []);
    log.is_made_again();
    // More than there was; the first three are sent again.
    log.append(0, &frames(7..30));
    pipeline.wait_for("both partitions wait", |pipeline| pipeline.incidents().len() == 2);
    let replaced = Incident::Replaced { name: name(), was: id(0), now: id(1) };
    assert_eq!(pipeline.incidents(), [(0, replaced.clone()), (1, replaced)]);
    check(&store, &frames(0..10));
    drop(pipeline);

    // A new start is no decision.
    let pipeline = Pipeline::start(&log, &store);
    assert_eq!(pipeline.settle().len(), 2);
    check(&store, &frames(0..10));
    store.accept(&name(), &id(0), &id(1)).unwrap();
    pipeline.wait_for("the decision is noticed", |pipeline| pipeline.incidents().is_empty());
    assert_eq!(pipeline.settle(), []);
    check(&store, &frames(0..30));
    let duplicate: u64 = store.audit().unwrap().partitions.iter().map(|p| p.ledger.duplicate).sum();
    assert_eq!(duplicate, 3);
}

#[test]
fn records_of_another_log_into_which_a_reader_went_on_are_not_counted() {
    let (log, store) = (Unsteady::new(1), Arc::new(MemoryStore::default()));
    log.content().readers_are_blind = true;
    log.append(0, &frames(0..10));
    let pipeline = Pipeline::start(&log, &store);
    assert_eq!(pipeline.settle(), []);
    {
        // All at once: its reader finds what it waits for.
        let mut content = log.content();
        content.made += 1;
        content.partitions[0].records = frames(100..130);
    }
    pipeline.wait_for("it waits", |pipeline| !pipeline.incidents().is_empty());
    check(&store, &frames(0..10));
    store.accept(&name(), &id(0), &id(1)).unwrap();
    pipeline.wait_for("the decision is noticed", |pipeline| pipeline.incidents().is_empty());
    assert_eq!(pipeline.settle(), []);
    check(&store, &[frames(0..10), frames(100..130)].concat());
}

#[test]
fn a_lost_end_stops_its_partition_alone_however_much_the_log_grows() {
    let (log, store) = (Unsteady::new(2), Arc::new(MemoryStore::default()));
    log.append(0, &frames(0..10));
    log.append(1, &frames(100..110));
    let pipeline = Pipeline::start(&log, &store);
    assert_eq!(pipeline.settle(), []);
    log.content().partitions[0].records.truncate(6);
    let lost = Incident::LostEnd { wanted: Offset(10), end: Offset(6) };
    pipeline.wait_for("the lost end is noticed", |pipeline| !pipeline.incidents().is_empty());
    assert_eq!(pipeline.incidents(), [(0, lost.clone())]);
    log.append(0, &frames(200..220));
    log.append(1, &frames(110..120));
    assert_eq!(pipeline.settle(), [(0, lost.clone())]);
    let others = [frames(0..10), frames(100..120)].concat();
    check(&store, &others);
    drop(pipeline);

    // Nor does it matter that nobody sees the end any more.
    let pipeline = Pipeline::start(&log, &store);
    assert_eq!(pipeline.settle(), [(0, lost)]);
    assert!(store.rewind(&id(0), Partition(0)).unwrap().is_some());
    pipeline.wait_for("the decision is noticed", |pipeline| pipeline.incidents().is_empty());
    assert_eq!(pipeline.settle(), []);
    check(&store, &[others, frames(200..220)].concat());
}

#[test]
fn a_lost_end_that_only_a_reader_has_seen_waits_for_a_decision_too() {
    let (log, store) = (Unsteady::new(1), Arc::new(MemoryStore::default()));
    log.append(0, &frames(0..10));
    let pipeline = Pipeline::start(&log, &store);
    assert_eq!(pipeline.settle(), []);
    {
        // Before anybody else looks, it has grown past its old end.
        let mut content = log.content();
        content.partitions[0].records = [frames(0..4), frames(200..220)].concat();
        content.lost_end = Some(Offset(0));
    }
    pipeline.wait_for("it waits", |pipeline| !pipeline.incidents().is_empty());
    let lost = Incident::LostEnd { wanted: Offset(10), end: Offset(0) };
    assert_eq!(pipeline.incidents(), [(0, lost)]);
    check(&store, &frames(0..10));
    assert!(store.rewind(&id(0), Partition(0)).unwrap().is_some());
    pipeline.wait_for("the decision is noticed", |pipeline| pipeline.incidents().is_empty());
    assert_eq!(pipeline.settle(), []);
    check(&store, &[frames(0..10), frames(200..220)].concat());
}

#[test]
fn what_retention_took_is_given_up_by_a_decision_that_a_running_pipeline_notices() {
    let (log, store) = (Unsteady::new(1), Arc::new(MemoryStore::default()));
    log.append(0, &frames(0..5));
    drop(Pipeline::start(&log, &store).settle());
    log.append(0, &frames(5..20));
    log.content().partitions[0].low = 12;
    let pipeline = Pipeline::start(&log, &store);
    let gap = Incident::Gap { wanted: Offset(5), low: Offset(12) };
    assert_eq!(pipeline.settle(), [(0, gap)]);
    skip(&store, &log, 0);
    pipeline.wait_for("the decision is noticed", |pipeline| pipeline.incidents().is_empty());
    assert_eq!(pipeline.settle(), []);
    check(&store, &[frames(0..5), frames(12..20)].concat());
    assert_eq!(store.audit().unwrap().partitions[0].ledger.gap, 7);
}

/// Something that happens between two looks of a pipeline.
#[derive(Clone, Debug)]
enum Happens {
    /// Frames come, from this second on; some were there before.
    Append {
        from: i64,
        frames: i64,
    },
    /// The log keeps only so many parts of its records, of eight.
    LosesEnd {
        keeps: usize,
    },
    /// Retention leaves so many parts of them, of eight.
    Retains {
        leaves: usize,
    },
    IsMadeAgain,
    /// A pipeline looks, and somebody decides or does not.
    Look {
        decides: bool,
    },
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        4 => (0_i64..100, 1_i64..20).prop_map(|(from, frames)| Happens::Append { from, frames }),
        1 => (0_usize..8).prop_map(|keeps| Happens::LosesEnd { keeps }),
        1 => (0_usize..8).prop_map(|leaves| Happens::Retains { leaves }),
        1 => Just(Happens::IsMadeAgain),
        4 => any::<bool>().prop_map(|decides| Happens::Look { decides }),
    ]
}

/// What must come of it, said in the plainest way.
#[derive(Default)]
struct Expected {
    counted: BTreeSet<Seen3>,
    /// Which log is counted, and up to where.
    made: Option<u32>,
    next: usize,
    lost_end: Option<usize>,
}

impl Expected {
    /// What a look at `content` finds: an incident's kind, or everything counted.
    fn look(&mut self, content: &Content) -> Option<&'static str> {
        let Part { low, records } = &content.partitions[0];
        match self.made {
            None => (self.made, self.next) = (Some(content.made), *low),
            Some(made) if made != content.made => return Some("replaced"),
            Some(_) => {}
        }
        if records.len() < self.next {
            self.lost_end = Some(self.lost_end.unwrap_or(usize::MAX).min(records.len()));
        }
        match self.lost_end {
            Some(_) => return Some("lost_end"),
            None if self.next < *low => return Some("gap"),
            None => {}
        }
        self.counted.extend(records[self.next..].iter().cloned());
        self.next = records.len();
        None
    }

    fn decide(&mut self, kind: &str, content: &Content) {
        match kind {
            "replaced" => {
                (self.made, self.lost_end) = (Some(content.made), None);
                self.next = content.partitions[0].low;
            }
            "lost_end" => self.next = self.lost_end.take().unwrap(),
            _ => self.next = content.partitions[0].low,
        }
    }
}

fn decide(incident: &Incident, store: &MemoryStore, log: &Unsteady) {
    match incident {
        Incident::Replaced { name, was, now } => {
            assert_eq!(store.accept(name, was, now).unwrap(), *now);
            // As if it were claimed at once: what is deleted later is a gap.
            let low = log.bounds(Partition(0)).unwrap().low;
            store.claim(now, Partition(0), low).unwrap();
        }
        Incident::LostEnd { .. } => {
            assert!(store.rewind(&log.identity(), Partition(0)).unwrap().is_some());
        }
        Incident::Gap { .. } => skip(store, log, 0),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_to_the_log_nothing_is_guessed_and_nothing_counted_twice(
        story in prop::collection::vec(happens(), 1..25),
    ) {
        let (log, store) = (Unsteady::new(1), Arc::new(MemoryStore::default()));
        let mut expected = Expected::default();
        for step in story {
            match step {
                Happens::Append { from, frames: count } => log.append(0, &frames(from..from + count)),
                Happens::LosesEnd { keeps } => {
                    let Part { low, records } = &mut log.content().partitions[0];
                    records.truncate(*low + (records.len() - *low) * keeps / 8);
                }
                Happens::Retains { leaves } => {
                    let Part { low, records } = &mut log.content().partitions[0];
                    *low += (records.len() - *low) * leaves / 8;
                }
                Happens::IsMadeAgain => log.is_made_again(),
                Happens::Look { decides } => {
                    let told = Pipeline::start(&log, &store).settle();
                    let kind = expected.look(&log.content());
                    prop_assert_eq!(told.first().map(|(_, incident)| incident.kind()), kind);
                    if let (true, [(_, incident)]) = (decides, &*told) {
                        decide(incident, &store, &log);
                        expected.decide(incident.kind(), &log.content());
                    }
                }
            }
        }
        prop_assert_eq!(store.audit().unwrap().imbalances(), Vec::<String>::new());
        let counted: Vec<Seen3> = expected.counted.into_iter().collect();
        prop_assert_eq!(table(&store.rows()), naive(&counted, "UTC"));
    }
}
