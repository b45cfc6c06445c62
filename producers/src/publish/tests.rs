use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus::Registry;
use schemas::avro::Schemas;
use schemas::frame::Detection;
use schemas::log::{Bounds, LogId, LogReader, Offset, Partition};
use schemas::time::SystemClock;

use super::*;

/// A log in memory that fails when it is told to.
#[derive(Default)]
struct FakeLog {
    frames: Mutex<Vec<Frame>>,
    /// How many of the next appends fail; every second of them keeps half of the
    /// records all the same.
    failures: AtomicUsize,
    broken: bool,
}

impl FakeLog {
    fn keep(&self, records: &[(SourceId, &[u8])]) {
        let mut frames = self.frames.lock().unwrap();
        for (source, bytes) in records {
            let frame = avro::decode(bytes, &Schemas::builtin()).unwrap();
            assert_eq!(frame.id.source, *source);
            frames.push(frame);
        }
    }

    fn failed() -> LogError {
        let source = io::Error::other("unplugged");
        LogError::Io { doing: "append to", at: "the test".to_owned(), source }
    }
}

impl FrameLog for FakeLog {
    fn identity(&self) -> LogId {
        LogId("test".into())
    }

    fn partitions(&self) -> u32 {
        1
    }

    fn append(&self, records: &[(SourceId, &[u8])]) -> Result<(), LogError> {
        if self.broken {
            return Err(LogError::ReadOnly);
        }
        let failing = |left: usize| left.checked_sub(1);
        match self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, failing) {
            Ok(left) if left % 2 == 0 => {
                self.keep(&records[..records.len() / 2]);
                Err(FakeLog::failed())
            }
            Ok(_) => Err(FakeLog::failed()),
            Err(_) => {
                self.keep(records);
                Ok(())
            }
        }
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

fn source(id: i64) -> SourceId {
    SourceId::try_from(id).unwrap()
}

fn counts(animals: u32) -> Seen {
    Seen::Counts(vec![("lying".into(), animals)])
}

fn impatient() -> PublishOptions {
    PublishOptions {
        queue_frames_max: 4,
        batch_frames_max: 3,
        backoff_first: Duration::from_millis(1),
        backoff_max: Duration::from_millis(4),
        grace: Duration::from_millis(20),
    }
}

fn start(log: &Arc<FakeLog>, stop: &Stop) -> (Publisher, Metrics) {
    let metrics = Metrics::register(&Registry::new()).unwrap();
    let log: Arc<dyn FrameLog> = Arc::<FakeLog>::clone(log);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let publisher = Publisher::start(log, clock, metrics.clone(), impatient(), stop.clone());
    (publisher.unwrap(), metrics)
}

#[test]
fn frames_arrive_in_order_and_none_is_missing_although_appends_fail() {
    let log = Arc::new(FakeLog { failures: AtomicUsize::new(9), ..FakeLog::default() });
    let (publisher, metrics) = start(&log, &Stop::default());
    thread::scope(|threads| {
        for id in [1, 2] {
            let mut of_source = publisher.source(source(id));
            threads.spawn(move || {
                for n in 0..50 {
                    let at = UnixMillis::new(i64::from(n));
                    assert!(of_source.publish(at, counts(n)).unwrap().is_some());
                }
            });
        }
    });
    let published = publisher.finish().unwrap();
    assert_eq!((published.frames, published.retries), (100, 9));
    assert_eq!(metrics.of(source(1)).published.get(), 50);
    assert_eq!((metrics.queued.get(), metrics.retries.get()), (0, 9));
    let frames = log.frames.lock().unwrap();
    for id in [1, 2] {
        let mut of_source: Vec<&Frame> =
            frames.iter().filter(|f| f.id.source == source(id)).collect();
        assert!(of_source.iter().all(|f| f.id.session == of_source[0].id.session));
        // The half-kept appends came again; each first arrival is in order.
        let mut seen = Vec::new();
        of_source.retain(|frame| {
            let new = !seen.contains(&frame.id.seq);
            seen.push(frame.id.seq);
            new
        });
        let seqs: Vec<u64> = of_source.iter().map(|f| f.id.seq).collect();
        assert_eq!(seqs, (0..50).collect::<Vec<_>>());
    }
}

#[test]
fn what_cannot_be_counted_is_refused_and_takes_no_number() {
    let log = Arc::new(FakeLog::default());
    let (publisher, metrics) = start(&log, &Stop::default());
    let mut of_source = publisher.source(source(3));
    let at = UnixMillis::new(0);
    assert!(of_source.publish(at, counts(1)).unwrap().is_some());
    let outside =
        Detection { class: "lying".into(), confidence: 0.5, x: 0.9, y: 0.0, w: 0.5, h: 0.1 };
    let picture = schemas::frame::Picture {
        width: 10,
        height: 10,
        model: schemas::frame::Model { name: "m".into(), hash: "h".into() },
        detections: vec![outside],
        image: None,
    };
    assert!(of_source.publish(at, Seen::Detections(picture)).unwrap().is_none());
    assert_eq!(of_source.publish(at, counts(2)).unwrap().unwrap().id.seq, 1);
    drop(of_source);
    assert_eq!(publisher.finish().unwrap().frames, 2);
    assert_eq!(metrics.of(source(3)).refused.get(), 1);
}

#[test]
fn a_log_that_stays_away_is_given_up_only_after_the_stop_and_the_grace() {
    let log = Arc::new(FakeLog { failures: AtomicUsize::new(usize::MAX), ..FakeLog::default() });
    let stop = Stop::default();
    let (publisher, _) = start(&log, &stop);
    let mut of_source = publisher.source(source(1));
    thread::scope(|threads| {
        let publishing = threads.spawn(move || {
            let mut accepted = 0;
            loop {
                match of_source.publish(UnixMillis::new(0), counts(1)) {
                    Ok(_) => accepted += 1,
                    Err(error) => return (accepted, error),
                }
            }
        });
        thread::sleep(Duration::from_millis(60));
        assert!(!publishing.is_finished(), "whoever publishes waits for the log");
        stop.stop();
        let (accepted, error) = publishing.join().unwrap();
        assert!(matches!(error, PublishError::Stopped | PublishError::Ended), "{error}");
        // The queue, and what the thread had taken from it.
        assert!((4..=4 + 3).contains(&accepted), "{accepted}");
        match publisher.finish() {
            Err(PublishError::GaveUp { unsent, .. }) => assert_eq!(unsent, accepted),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_log_that_refuses_for_good_stops_the_process() {
    let log = Arc::new(FakeLog { broken: true, ..FakeLog::default() });
    let stop = Stop::default();
    let (publisher, _) = start(&log, &stop);
    let mut of_source = publisher.source(source(1));
    of_source.publish(UnixMillis::new(0), counts(1)).unwrap();
    assert!(stop.wait(Duration::from_secs(20)), "the process is told to stop");
    drop(of_source);
    assert!(matches!(publisher.finish(), Err(PublishError::Log { unsent: 1, .. })));
}
