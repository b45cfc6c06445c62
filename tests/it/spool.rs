//! The spool on a real disk: its files, and processes that are killed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use producers::config::{PublishConfig, SpoolConfig};
use producers::metrics::SpoolMetrics;
use producers::spool::{Spool, SpoolOptions};
use prometheus::Registry;
use schemas::avro::{self, Schemas};
use schemas::frame::{Frame, FrameId, Seen};
use schemas::log::{
    Batch, Bounds, FrameLog, LogError, LogId, LogReader, Offset, Partition, ReadEnd, TrimLog,
};
use schemas::source::{SessionId, SourceId};
use schemas::time::{SystemClock, UnixMillis};
use sinks::config::SegmentsConfig;
use sinks::log::segments::Segments;

use crate::support::{PATIENCE, Random, within};

/// Says to a process of this binary that it is the one to be killed, and where to
/// work.
const CHILD: &str = "ANIMOV_TEST_SPOOLING_IN";

/// A log that is away when it is told to be.
struct Remote {
    log: Segments,
    is_away: AtomicBool,
}

impl Remote {
    fn open(dir: &Path, is_away: bool) -> Arc<Remote> {
        let config =
            SegmentsConfig { partitions: 2.try_into().unwrap(), ..SegmentsConfig::default() };
        let log = Segments::open(dir.join("remote"), config, Arc::new(SystemClock)).unwrap();
        Arc::new(Remote { log, is_away: AtomicBool::new(is_away) })
    }

    fn be_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::SeqCst);
    }

    /// Everything in it, partition by partition.
    fn frames(&self) -> Vec<FrameId> {
        let mut frames = Vec::new();
        for partition in [0, 1].map(Partition) {
            let mut reader = self.log.reader(partition, Offset(0)).unwrap();
            let mut batch = Batch::default();
            while reader.read(&mut batch, 10_000, Duration::ZERO).unwrap() == ReadEnd::More {}
            let id = |value| avro::decode(value, &Schemas::builtin()).unwrap().id;
            frames.extend(batch.records().map(|record| id(record.value)));
        }
        frames
    }
}

impl FrameLog for Remote {
    fn identity(&self) -> LogId {
        self.log.identity()
    }

    fn partitions(&self) -> u32 {
        self.log.partitions()
    }

    fn append(&self, records: &[(SourceId, &[u8])]) -> Result<(), LogError> {
        match self.is_away.load(Ordering::SeqCst) {
            true => Err(LogError::Overloaded),
            false => self.log.append(records),
        }
    }

    fn bounds(&self, partition: Partition) -> Result<Bounds, LogError> {
        self.log.bounds(partition)
    }

    fn reader(&self, partition: Partition, from: Offset) -> Result<Box<dyn LogReader>, LogError> {
        self.log.reader(partition, from)
    }

    fn schemas(&self) -> Result<Vec<String>, LogError> {
        self.log.schemas()
    }
}

/// A spool in `dir` before `remote`, with short segments.
fn spool(dir: &Path, remote: &Arc<Remote>) -> Arc<Spool> {
    let publish = PublishConfig {
        backoff_first: Duration::from_millis(5),
        backoff_max: Duration::from_millis(20),
        spool: SpoolConfig { dir: dir.join("spool"), ..SpoolConfig::default() },
        ..PublishConfig::default()
    };
    let config =
        SegmentsConfig { segment_bytes: 10_000.try_into().unwrap(), ..SegmentsConfig::default() };
    let local = Segments::open(&publish.spool.dir, config, Arc::new(SystemClock)).unwrap();
    let local: Arc<dyn TrimLog> = Arc::new(local);
    let remote = Arc::clone(remote);
    let connect = Box::new(move || {
        let remote: Arc<dyn FrameLog> = Arc::<Remote>::clone(&remote);
        Ok(remote)
    });
    let metrics = SpoolMetrics::register(&Registry::new()).unwrap();
    let options = SpoolOptions::from(&publish);
    Arc::new(Spool::start(connect, local, options, Arc::new(SystemClock), metrics).unwrap())
}

fn frame(source: SourceId, session: SessionId, seq: u64) -> Vec<u8> {
    let at = UnixMillis::new(i64::try_from(seq).unwrap());
    let frame = Frame {
        id: FrameId { source, session, seq },
        captured_at: at,
        produced_at: at,
        seen: Seen::Counts(vec![("lying".into(), 3)]),
    };
    let mut bytes = Vec::new();
    avro::encode(&frame, &mut bytes);
    bytes
}

fn source(id: i64) -> SourceId {
    SourceId::try_from(id).unwrap()
}

fn segments(dir: &Path) -> usize {
    dir.join("spool/partition-0000").read_dir().unwrap().count()
}

#[test]
fn an_outage_fills_files_that_are_deleted_when_they_are_sent() {
    let dir = tempfile::tempdir().unwrap();
    let remote = Remote::open(dir.path(), true);
    let mut first = spool(dir.path(), &remote);
    let session = SessionId::random();
    for seq in 0..3000 {
        if seq == 1500 {
            // The process ends and begins again while the log is away.
            assert_eq!(first.finish(Duration::from_millis(10)), 1500);
            drop(first);
            first = spool(dir.path(), &remote);
        }
        let id = source(1 + i64::try_from(seq % 2).unwrap());
        first.append(&[(id, &frame(id, session, seq))]).unwrap();
    }
    assert!(10 < segments(dir.path()), "{}", segments(dir.path()));
    remote.be_away(false);
    assert_eq!(first.finish(PATIENCE), 0);
    assert_eq!(segments(dir.path()), 1);
    drop(first);

    let again = spool(dir.path(), &remote);
    assert_eq!(again.waiting(), 0);
    assert_eq!(again.finish(PATIENCE), 0);
    let seqs: Vec<u64> = remote.frames().iter().map(|id| id.seq).collect();
    let even_then_odd = (0..3000).step_by(2).chain((1..3000).step_by(2));
    assert_eq!(seqs, even_then_odd.collect::<Vec<_>>(), "each once, each source in order");
}

/// What the process does that is killed: spools, and says what was acknowledged.
fn spool_until_killed(dir: &Path) -> ! {
    let run = std::env::var("ANIMOV_TEST_RUN").unwrap().parse::<u64>().unwrap();
    let session = SessionId::derived_from(&run.to_le_bytes());
    let mut random = Random(run);
    let remote = Remote::open(dir, true);
    let spool = spool(dir, &remote);
    for seq in 0.. {
        // Away for a while, and there for a while.
        if random.below(40) == 0 {
            remote.be_away(random.below(3) != 0);
        }
        let sources = [source(1), source(2)];
        let frames = sources.map(|source| frame(source, session, seq));
        let records: Vec<_> =
            sources.into_iter().zip(&frames).map(|(source, f)| (source, f.as_slice())).collect();
        if spool.append(&records).is_ok() {
            println!("acknowledged {seq}");
        }
    }
    unreachable!("it is killed before");
}

#[test]
fn what_a_killed_process_acknowledged_arrives_in_order() {
    if let Some(dir) = std::env::var_os(CHILD) {
        spool_until_killed(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let mut random = Random(7);
    let mut acknowledged = BTreeMap::new();
    for run in 0..8_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "spool::what_a_killed_process_acknowledged_arrives_in_order"])
            .arg("--nocapture")
            .env(CHILD, dir.path())
            .env("ANIMOV_TEST_RUN", run.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut told = lines.by_ref().map_while(Result::ok);
        let kill_after = random.below(200);
        let last = |line: String| line.strip_prefix("acknowledged ")?.parse::<u64>().ok();
        let killed_at = told.by_ref().filter_map(last).find(|seq| kill_after <= *seq);
        child.kill().unwrap();
        // What it had said before it was killed.
        let rest = told.filter_map(last).last();
        child.wait().unwrap();
        acknowledged.insert(run, rest.or(killed_at).expect("the process spools"));
    }

    let remote = Remote::open(dir.path(), false);
    let spool = spool(dir.path(), &remote);
    within(PATIENCE, "the spool to be empty", || (spool.waiting() == 0).then_some(()));
    spool.finish(PATIENCE);
    let arrived = remote.frames();
    for (run, last) in acknowledged {
        let session = SessionId::derived_from(&run.to_le_bytes());
        for source in [1, 2].map(source) {
            let mut seen = BTreeSet::new();
            let of_run = arrived.iter().filter(|id| id.session == session && id.source == source);
            let first_arrivals: Vec<u64> =
                of_run.map(|id| id.seq).filter(|seq| seen.insert(*seq)).collect();
            assert!(first_arrivals.is_sorted(), "run {run}: {first_arrivals:?}");
            assert!((0..=last).all(|seq| seen.contains(&seq)), "run {run}, up to {last}");
        }
    }
}
