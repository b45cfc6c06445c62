//! What twenty cameras send on bad days: frames in order and out of it, twice, by
//! clocks that are wrong, by old and new programs, and bytes that are no frame.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use schemas::avro;
use schemas::frame::{Detection, Frame, FrameId, Model, Picture, Seen};
use schemas::log::{FrameLog, LogError};
use schemas::source::SourceId;
use schemas::time::UnixMillis;
use sinks::log::kafka::KafkaLog;

use crate::newer;
use crate::support::{Counted, Random};

/// Cameras.
pub(crate) const SOURCES: u64 = 20;

/// Records that are appended together.
const BATCH: usize = 40;

/// Time from one batch to the next, if the log takes them.
const PACE: Duration = Duration::from_millis(60);

/// Batches after which some cameras have a newer program.
const UPGRADE_AFTER: u32 = 100;

/// How long the log may take no frame, whatever is done to it.
const OUTAGE_MAX: Duration = Duration::from_secs(180);

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Bytes as the log is to keep them.
#[derive(Clone)]
pub(crate) struct Sent {
    source: SourceId,
    bytes: Vec<u8>,
    what: What,
}

#[derive(Clone)]
enum What {
    Frame(Counted),
    /// Will be parked for this reason.
    Poison(&'static str),
}

/// What was sent, and what became of it.
#[derive(Default)]
pub(crate) struct Told {
    /// Frames that count, in the order of their acknowledgement; duplicates too.
    pub(crate) acknowledged: Vec<Counted>,
    /// Of these, those that were sent on purpose a second time.
    pub(crate) repeated: u64,
    /// Records of each kind of poison that were acknowledged, by reason.
    pub(crate) poison: BTreeMap<&'static str, u64>,
    /// Records of appends that were not acknowledged, and were appended again.
    pub(crate) retried: u64,
    /// Frames by what is special about them.
    pub(crate) kinds: BTreeMap<&'static str, u64>,
    /// Why an append was last not acknowledged, and how long it had been tried.
    pub(crate) trouble: Option<(Duration, LogError)>,
    /// Longest time in which nothing was acknowledged.
    pub(crate) outage_max: Duration,
}

/// Makes frames; the same for the same seed and beginning.
pub(crate) struct Load {
    random: Random,
    /// Event time of the beginning.
    begin: u64,
    cameras: Vec<Camera>,
    /// Whether some cameras write by the newer schema.
    upgraded: bool,
    kinds: BTreeMap<&'static str, u64>,
}

struct Camera {
    source: i64,
    session: String,
    seq: u64,
    /// Event time since the beginning.
    at: u64,
}

impl Load {
    /// Event time begins ten days before `now`, in milliseconds.
    pub(crate) fn new(seed: u64, now: u64) -> Load {
        let mut random = Random(seed);
        let camera = |source| Camera { source, session: session(&mut random), seq: 0, at: 0 };
        let sources = i64::try_from(SOURCES).unwrap();
        let cameras = (1..=sources).map(camera).collect();
        let (begin, kinds) = (now - 10 * DAY, BTreeMap::new());
        Load { random, begin, cameras, upgraded: false, kinds }
    }

    /// The next records, of any cameras.
    pub(crate) fn batch(&mut self) -> Vec<Sent> {
        (0..BATCH).map(|_| self.record()).collect()
    }

    fn record(&mut self) -> Sent {
        let random = &mut self.random;
        let camera = usize::try_from(random.below(SOURCES)).unwrap();
        let camera = &mut self.cameras[camera];
        if random.below(3000) == 0 {
            *self.kinds.entry("new session").or_default() += 1;
            (camera.session, camera.seq) = (session(random), 0);
        }
        camera.at += 500 + random.below(1000);
        let late = match random.below(100) {
            0 => ("minutes late", MINUTE + random.below(9 * MINUTE)),
            1 => ("hours late", HOUR + random.below(9 * HOUR)),
            2 => ("days late", DAY + random.below(2 * DAY)),
            _ => ("", 0),
        };
        let seq = camera.seq;
        camera.seq += 1;
        let mut counted = Counted {
            source: camera.source,
            session: camera.session.clone(),
            seq,
            captured_at: i64::try_from(self.begin + camera.at - late.1).unwrap(),
            lying: u32::try_from(random.below(9)).unwrap(),
            standing: u32::try_from(random.below(5)).unwrap(),
        };
        let version = random.below(if self.upgraded { 4 } else { 3 });
        let poison = match random.below(400) {
            0 => Some("not_a_frame"),
            1 => Some("damaged"),
            2 => Some("unknown_schema"),
            3 => Some("clock_ahead"),
            4 => Some("clock_unset"),
            _ => None,
        };
        match poison {
            Some("clock_ahead") => {
                let ahead = HOUR + random.below(400 * DAY);
                counted.captured_at = i64::try_from(self.begin + 10 * DAY + DAY + ahead).unwrap();
            }
            Some("clock_unset") => counted.captured_at = 86_400_000,
            _ => (),
        }
        let mut bytes = encoded(&counted, version);
        match poison {
            Some("not_a_frame") => bytes[0] ^= 0xFF,
            Some("damaged") => bytes.truncate(bytes.len() / 2),
            Some("unknown_schema") => bytes[2..10].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]),
            _ => (),
        }
        let source = SourceId::try_from(counted.source).unwrap();
        let what = match poison {
            Some(reason) => What::Poison(reason),
            None => What::Frame(counted),
        };
        if poison.is_none() {
            let versions = [
                "schema of counts",
                "schema of boxes",
                "schema before pictures",
                "schema declared on the way",
            ];
            *self.kinds.entry(versions[usize::try_from(version).unwrap()]).or_default() += 1;
            if !late.0.is_empty() {
                *self.kinds.entry(late.0).or_default() += 1;
            }
        }
        Sent { source, bytes, what }
    }
}

fn session(random: &mut Random) -> String {
    let mut part = |bits: u32| random.below(1 << bits);
    let (a, b, c, d) = (part(32), part(16), part(12), part(48));
    format!("{a:08x}-{b:04x}-4{c:03x}-8000-{d:012x}")
}

/// What the frame is to the log, in one of the schemas that cameras use.
fn encoded(counted: &Counted, version: u64) -> Vec<u8> {
    let Counted { source, session, seq, captured_at, lying, standing } = counted;
    let classes = [("lying", *lying), ("standing", *standing)];
    let boxes = || {
        let boxes = classes.iter().flat_map(|(class, n)| {
            (0..*n).map(|_| Detection {
                class: (*class).into(),
                confidence: 0.9,
                x: 0.1,
                y: 0.1,
                w: 0.2,
                h: 0.2,
            })
        });
        Picture {
            width: 640,
            height: 480,
            model: Model { name: "goats.onnx".into(), hash: "0123456789abcdef".into() },
            detections: boxes.collect(),
            image: None,
        }
    };
    let seen = match version {
        0 | 3 => Seen::Counts(classes.iter().map(|(class, n)| ((*class).into(), *n)).collect()),
        _ => Seen::Detections(boxes()),
    };
    let frame = Frame {
        id: FrameId {
            source: SourceId::try_from(*source).unwrap(),
            session: session.parse().unwrap(),
            seq: *seq,
        },
        captured_at: UnixMillis::new(*captured_at),
        produced_at: UnixMillis::new(*captured_at),
        seen,
    };
    let mut bytes = Vec::new();
    avro::encode(&frame, &mut bytes);
    if version == 3 {
        newer::rewrite(&mut bytes);
    }
    if version == 2 {
        // The schema before pictures: its fingerprint, and no word of a picture
        // at the end.
        bytes[2..10].copy_from_slice(&[93, 153, 211, 181, 30, 18, 6, 121]);
        assert_eq!(bytes.pop(), Some(0));
    }
    bytes
}

/// Appends batches to `log` until told to stop, each again and again until it is
/// acknowledged; some are sent once more later. After a while some cameras write
/// by a newer schema, which is then declared at `broker`.
pub(crate) fn send(
    mut load: Load,
    log: &KafkaLog,
    broker: &str,
    stop: &AtomicBool,
    told: &Mutex<Told>,
) {
    let mut earlier: Vec<Vec<Sent>> = Vec::new();
    let mut batches = 0;
    while !stop.load(Ordering::SeqCst) {
        let begun = Instant::now();
        let repeat = !earlier.is_empty() && load.random.below(12) == 0;
        let batch = match repeat {
            true => {
                let one = load.random.below(u64::try_from(earlier.len()).unwrap());
                earlier[usize::try_from(one).unwrap()].clone()
            }
            false => load.batch(),
        };
        append(&batch, log, told);
        batches += 1;
        if batches == UPGRADE_AFTER {
            newer::declare(broker);
            load.upgraded = true;
        }
        let mut told = told.lock().unwrap();
        told.outage_max = told.outage_max.max(begun.elapsed());
        for sent in &batch {
            match &sent.what {
                What::Frame(counted) => {
                    told.acknowledged.push(counted.clone());
                    told.repeated += u64::from(repeat);
                }
                What::Poison(reason) => *told.poison.entry(reason).or_default() += 1,
            }
        }
        told.kinds.clone_from(&load.kinds);
        drop(told);
        if earlier.len() < 64 {
            earlier.push(batch);
        } else if !repeat {
            let one = usize::try_from(load.random.below(64)).unwrap();
            earlier[one] = batch;
        }
        std::thread::sleep(PACE.saturating_sub(begun.elapsed()));
    }
}

fn append(batch: &[Sent], log: &KafkaLog, told: &Mutex<Told>) {
    let records: Vec<(SourceId, &[u8])> =
        batch.iter().map(|sent| (sent.source, &*sent.bytes)).collect();
    let begun = Instant::now();
    while let Err(error) = log.append(&records) {
        assert!(error.may_succeed_later(), "{error}");
        assert!(begun.elapsed() < OUTAGE_MAX, "the log takes no frame: {error}");
        let mut told = told.lock().unwrap();
        told.retried += u64::try_from(batch.len()).unwrap();
        told.trouble = Some((begun.elapsed(), error));
        drop(told);
        std::thread::sleep(Duration::from_millis(50));
    }
}
