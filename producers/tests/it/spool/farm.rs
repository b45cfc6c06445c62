//! A process that spools, its disk and the log behind it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::Duration;

use producers::metrics::SpoolMetrics;
use producers::spool::{Connect, Spool, SpoolOptions, WhenFull};
use prometheus::Registry;
use schemas::avro;
use schemas::frame::{Frame, FrameId, Seen};
use schemas::log::{FrameLog, LogError, TrimLog};
use schemas::source::{SessionId, SourceId};
use schemas::time::{Clock, UnixMillis};

use super::double::{Disk, Line, Remote};
use crate::support::until;

/// A frame longer than this is too long for the remote, bytes.
pub(crate) const VALUE_BYTES_MAX: usize = 200;

/// Longest segment of the local log: about seventy frames.
pub(crate) const SEGMENT_BYTES: u64 = 4096;

/// A clock that a test sets.
#[derive(Default)]
pub(crate) struct SetClock(AtomicI64);

impl SetClock {
    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(schemas::time::millis(by), Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now(&self) -> UnixMillis {
        UnixMillis::new(self.0.load(Ordering::SeqCst))
    }
}

/// All of it.
pub(crate) struct Farm {
    pub(crate) remote: Arc<Remote>,
    pub(crate) disk: Arc<Disk>,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) options: SpoolOptions,
    pub(crate) clock: Arc<SetClock>,
    pub(crate) spool: Arc<Spool>,
    /// One of each process that there was.
    registries: Vec<Registry>,
    /// The next frame of each source.
    next: BTreeMap<SourceId, u64>,
}

/// Patient enough for a busy machine, and no more.
pub(crate) fn options() -> SpoolOptions {
    SpoolOptions {
        dir: "replaced".into(),
        bytes_max: 1 << 30,
        age_max: Duration::from_hours(7 * 24),
        when_full: WhenFull::DropOldest,
        log_timeout: Duration::from_secs(5),
        backoff_first: Duration::from_millis(1),
        backoff_max: Duration::from_millis(4),
    }
}

impl Farm {
    pub(crate) fn new(options: SpoolOptions) -> Farm {
        let clock = Arc::new(SetClock::default());
        let segment_bytes = options.segment_bytes().get().min(SEGMENT_BYTES);
        let disk = Disk::new(Arc::<SetClock>::clone(&clock), segment_bytes);
        Farm::with_disk(options, disk, clock)
    }

    pub(crate) fn with_disk(options: SpoolOptions, disk: Disk, clock: Arc<SetClock>) -> Farm {
        let dir = tempfile::tempdir().unwrap();
        let options = SpoolOptions { dir: dir.path().to_owned(), ..options };
        let (remote, disk) = (Remote::new(VALUE_BYTES_MAX), Arc::new(disk));
        let registry = Registry::new();
        let spool = start(connected(&remote), &disk, &options, &clock, &registry);
        Farm {
            remote,
            disk,
            dir,
            options,
            clock,
            spool,
            registries: vec![registry],
            next: BTreeMap::new(),
        }
    }

    /// The process ends well, with `grace` to send the rest, and begins again.
    pub(crate) fn restart(&mut self, grace: Duration) {
        self.spool.finish(grace);
        self.begin(connected(&self.remote));
    }

    /// Begins a process that reaches the remote by `connect`.
    pub(crate) fn begin(&mut self, connect: Connect) {
        let registry = Registry::new();
        self.spool = start(connect, &self.disk, &self.options, &self.clock, &registry);
        self.registries.push(registry);
    }

    /// The machine loses its power, now, and begins again.
    pub(crate) fn cut_power(&mut self) {
        let dir = tempfile::tempdir().unwrap();
        self.remote.cut();
        self.disk = Arc::new(self.disk.cut(self.dir.path(), dir.path()));
        self.options.dir = dir.path().to_owned();
        // What is left of the old process finds neither its disk nor its folder.
        self.dir = dir;
        self.begin(connected(&self.remote));
    }

    /// The next frames of a source.
    pub(crate) fn frames(&mut self, source: i64, frames: u64) -> Vec<Vec<u8>> {
        let next = self.next.entry(source_id(source)).or_default();
        let from = *next;
        *next += frames;
        (from..*next).map(|seq| frame(source, seq, 1)).collect()
    }

    /// The next frame of a source, too long for the remote.
    pub(crate) fn long_frame(&mut self, source: i64) -> Vec<u8> {
        let next = self.next.entry(source_id(source)).or_default();
        *next += 1;
        frame(source, *next - 1, 40)
    }

    /// Appends frames of a source as long as it takes.
    pub(crate) fn append(&self, source: i64, frames: &[Vec<u8>]) {
        until("the spool to take frames", || try_append(&self.spool, source, frames).is_ok());
    }

    /// Appends the next frames of a source, all in one call.
    pub(crate) fn append_next(&mut self, source: i64, frames: u64) {
        let frames = self.frames(source, frames);
        self.append(source, &frames);
    }

    pub(crate) fn until_empty(&self) {
        until("the spool to be empty", || self.spool.waiting() == 0);
    }

    /// A metric, summed over all processes and over the labels that have these values.
    pub(crate) fn count(&self, metric: &str, labels: &[&str]) -> u64 {
        let families = self.registries.iter().flat_map(Registry::gather);
        let of_name = families.filter(|family| family.name() == metric);
        let mut sum = 0.0;
        for family in of_name {
            for one in family.get_metric() {
                let values: Vec<&str> = one.get_label().iter().map(|pair| pair.value()).collect();
                if labels.iter().all(|label| values.contains(label)) {
                    sum += one.get_counter().get_value() + one.get_gauge().get_value();
                }
            }
        }
        #[expect(clippy::as_conversions, reason = "as counted")]
        let sum = sum as u64;
        sum
    }

    /// The sequence numbers of a source's frames that arrived, each once, in order of
    /// first arrival.
    pub(crate) fn first_arrivals(&self, source: i64) -> Vec<u64> {
        let mut seen = std::collections::BTreeSet::new();
        let arrived = self.remote.arrived().into_iter();
        let of_source = arrived.filter(|id| id.source == source_id(source));
        of_source.map(|id| id.seq).filter(|seq| seen.insert(*seq)).collect()
    }
}

/// A remote that is always reached.
pub(crate) fn connected(remote: &Arc<Remote>) -> Connect {
    let line = Arc::new(remote.line());
    Box::new(move || {
        let line: Arc<dyn FrameLog> = Arc::<Line>::clone(&line);
        Ok(line)
    })
}

fn start(
    connect: Connect,
    disk: &Arc<Disk>,
    options: &SpoolOptions,
    clock: &Arc<SetClock>,
    registry: &Registry,
) -> Arc<Spool> {
    let local: Arc<dyn TrimLog> = Arc::<Disk>::clone(disk);
    let clock: Arc<dyn Clock> = Arc::<SetClock>::clone(clock);
    let metrics = SpoolMetrics::register(registry).unwrap();
    Arc::new(Spool::start(connect, local, options.clone(), clock, metrics).unwrap())
}

pub(crate) fn source_id(source: i64) -> SourceId {
    SourceId::try_from(source).unwrap()
}

/// A frame of the one session that each source has, with so many classes.
pub(crate) fn frame(source: i64, seq: u64, classes: usize) -> Vec<u8> {
    let session = SessionId::derived_from(&source.to_le_bytes());
    let id = FrameId { source: source_id(source), session, seq };
    let at = UnixMillis::new(i64::try_from(seq).unwrap() * 1000);
    let counts = (0..classes).map(|class| (format!("class {class}").into(), 1)).collect();
    let frame = Frame { id, captured_at: at, produced_at: at, seen: Seen::Counts(counts) };
    let mut bytes = Vec::new();
    avro::encode(&frame, &mut bytes);
    bytes
}

/// Appends frames of a source in one call.
pub(crate) fn try_append(spool: &Spool, source: i64, frames: &[Vec<u8>]) -> Result<(), LogError> {
    let records: Vec<_> = frames.iter().map(|f| (source_id(source), f.as_slice())).collect();
    let appended = spool.append(&records);
    if appended.is_err() {
        thread::sleep(Duration::from_millis(1));
    }
    appended
}
