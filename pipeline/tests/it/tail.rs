//! A pipeline that never ends: what comes after a while of nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pipeline::config::PipelineConfig;
use pipeline::{End, Input, Job, Progress, run};
use schemas::commit::{Shape, StateStore};
use schemas::log::{
    Batch, Bounds, FrameLog, LogError, LogId, LogReader, Offset, Partition, ReadEnd,
};
use schemas::source::SourceId;
use schemas::stop::Stop;
use schemas::time::UnixMillis;

use crate::support::{MARCH, MemoryLog, MemoryStore, lying};

/// Reads that find nothing before the first that finds something: enough for
/// more epochs of nothing than may be ahead of the last commit.
const QUIET_READS: i64 = 20;

/// A log in which nothing is found for a while, and then all of `log`.
struct QuietFirst {
    log: MemoryLog,
}

struct QuietFirstReader {
    reads: i64,
    behind: Box<dyn LogReader>,
}

impl FrameLog for QuietFirst {
    fn identity(&self) -> LogId {
        self.log.identity()
    }

    fn partitions(&self) -> u32 {
        self.log.partitions()
    }

    fn append(&self, records: &[(SourceId, &[u8])]) -> Result<(), LogError> {
        self.log.append(records)
    }

    fn bounds(&self, partition: Partition) -> Result<Bounds, LogError> {
        self.log.bounds(partition)
    }

    fn reader(&self, partition: Partition, from: Offset) -> Result<Box<dyn LogReader>, LogError> {
        let behind = self.log.reader(partition, from)?;
        Ok(Box::new(QuietFirstReader { reads: 0, behind }))
    }

    fn schemas(&self) -> Result<Vec<String>, LogError> {
        self.log.schemas()
    }
}

impl LogReader for QuietFirstReader {
    fn read(&mut self, batch: &mut Batch, max: usize, wait: Duration) -> Result<ReadEnd, LogError> {
        // Longer than the commit interval: each read is an epoch of its own.
        std::thread::sleep(Duration::from_millis(15).min(wait));
        self.reads += 1;
        if self.reads <= QUIET_READS {
            return Ok(ReadEnd::CaughtUp(UnixMillis::new(MARCH + self.reads * 5000)));
        }
        self.behind.read(batch, max, wait)
    }
}

#[test]
fn what_comes_after_a_while_of_nothing_is_counted() {
    let log = MemoryLog::new(1, 10);
    log.frame(0, &lying(3, 10));
    let log: Arc<dyn FrameLog> = Arc::new(QuietFirst { log });
    let (stop, progress) = (Stop::default(), Arc::new(Progress::default()));
    let store = Arc::new(MemoryStore::default());
    let config =
        PipelineConfig { commit_interval: Duration::from_millis(10), ..PipelineConfig::default() };
    let job = Job {
        inputs: Input::all_of(&log),
        store: Arc::<MemoryStore>::clone(&store),
        shape: Shape { zone: "UTC".to_owned(), metrics: Default::default() },
        config,
        end: End::Never,
        snapshots: None,
        strays: true,
        stop: stop.clone(),
        progress: Arc::clone(&progress),
    };
    std::thread::scope(|scope| {
        let pipeline = scope.spawn(|| run(&job));
        let deadline = Instant::now() + Duration::from_secs(20);
        while progress.accepted_total() == 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let in_time = progress.accepted_total();
        // The end would commit what had been waiting all the while.
        stop.stop();
        pipeline.join().unwrap().unwrap();
        assert_eq!(in_time, 1);
    });
    assert_eq!(store.audit().unwrap().imbalances(), Vec::<String>::new());
}
