//! Frames that carry their picture.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use pipeline::PipelineError;
use schemas::commit::{StateStore, StoreError};
use schemas::frame::{Detection, Frame, FrameId, Jpeg, Model, Picture, Seen};
use schemas::snapshot::{Images, Record, Snapshot, SnapshotQuery, SnapshotStore};
use schemas::source::{SessionId, SourceId};
use schemas::time::UnixMillis;

use crate::support::{MARCH, MemoryLog, MemoryStore, Setup, lying};

/// Keeps snapshots in memory, and looks at the tables while it does.
struct Album {
    kept: Mutex<BTreeMap<String, Snapshot>>,
    /// How many of the next calls fail.
    failures: AtomicU32,
    refuses: bool,
    tables: Arc<MemoryStore>,
    /// Snapshots of each call, and commits that the tables had by then.
    calls: Mutex<Vec<(usize, u32)>>,
}

impl Album {
    fn beside(tables: &Arc<MemoryStore>) -> Album {
        Album {
            kept: Mutex::default(),
            failures: AtomicU32::new(0),
            refuses: false,
            tables: Arc::clone(tables),
            calls: Mutex::default(),
        }
    }

    fn calls(&self) -> Vec<(usize, u32)> {
        self.calls.lock().unwrap().clone()
    }

    fn kept(&self) -> Vec<Snapshot> {
        self.kept.lock().unwrap().values().cloned().collect()
    }
}

impl SnapshotStore for Album {
    fn put(&self, snapshots: &[Snapshot]) -> Result<u64, StoreError> {
        self.calls.lock().unwrap().push((snapshots.len(), self.tables.commits()));
        if self.refuses {
            let what = "it was told to be".to_owned();
            return Err(StoreError::Damaged { at: "memory".to_owned(), what });
        }
        let failing = |left: u32| left.checked_sub(1);
        if self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, failing).is_ok() {
            let (doing, at) = ("keep snapshots in", "memory".to_owned());
            return Err(StoreError::Unreachable { doing, at, source: "it is away".into() });
        }
        let mut kept = self.kept.lock().unwrap();
        for snapshot in snapshots {
            kept.entry(snapshot.id.to_string()).or_insert_with(|| snapshot.clone());
        }
        Ok(0)
    }

    fn replace(&self, _: &[Snapshot]) -> Result<u64, StoreError> {
        unreachable!("a pipeline only keeps")
    }

    fn get(&self, _: &FrameId) -> Result<Option<Record>, StoreError> {
        unreachable!("a pipeline only keeps")
    }

    fn find(&self, _: &SnapshotQuery) -> Result<Vec<Record>, StoreError> {
        unreachable!("a pipeline only keeps")
    }

    fn current(&self, _: Images) -> Result<Vec<Record>, StoreError> {
        unreachable!("a pipeline only keeps")
    }

    fn count(&self, _: Option<SourceId>) -> Result<u64, StoreError> {
        unreachable!("a pipeline only keeps")
    }

    fn stored_bytes(&self) -> Result<u64, StoreError> {
        unreachable!("a pipeline only keeps")
    }

    fn delete_older(&self, _: UnixMillis) -> Result<u64, StoreError> {
        unreachable!("a pipeline only keeps")
    }

    fn delete_to_size(&self, _: u64) -> Result<u64, StoreError> {
        unreachable!("a pipeline only keeps")
    }
}

/// A frame of one lying animal, `second` seconds into March, with its picture.
fn pictured(second: i64) -> Frame {
    let at = UnixMillis::new(MARCH + second * 1000);
    let goat = Detection { class: "lying".into(), confidence: 0.9, x: 0.1, y: 0.1, w: 0.2, h: 0.2 };
    let image = Jpeg::try_from(&[0xFF, 0xD8, 0xFF, 0xD9][..]).unwrap();
    Frame {
        id: FrameId {
            source: SourceId::try_from(1).unwrap(),
            session: SessionId::from([9; 16]),
            seq: second.try_into().unwrap(),
        },
        captured_at: at,
        produced_at: at,
        seen: Seen::Detections(Picture {
            width: 640,
            height: 480,
            model: Model { name: "goats.onnx".into(), hash: "0123456789abcdef".into() },
            detections: vec![goat],
            image: Some(image),
        }),
    }
}

fn push(log: &MemoryLog, frame: &Frame, appended_at: UnixMillis) {
    let mut bytes = Vec::new();
    schemas::avro::encode(frame, &mut bytes);
    log.push(0, appended_at, bytes);
}

/// Two frames without a picture around one that has one; a read and so an epoch
/// each.
fn one_of_three() -> Arc<MemoryLog> {
    let log = MemoryLog::new(1, 1);
    log.frame(0, &lying(2, 1));
    push(&log, &pictured(2), pictured(2).captured_at);
    log.frame(0, &lying(4, 3));
    Arc::new(log)
}

fn beside(album: &Arc<Album>) -> Setup {
    let snapshots: Arc<dyn SnapshotStore> = Arc::<Album>::clone(album);
    Setup { snapshots: Some(snapshots), ..Setup::new() }
}

#[test]
fn a_picture_is_kept_with_its_boxes_before_its_frame_is_committed() {
    let tables = Arc::new(MemoryStore::default());
    let album = Arc::new(Album::beside(&tables));
    beside(&album).run_into(&one_of_three(), &tables);
    assert_eq!(album.kept(), [Snapshot::of(pictured(2)).unwrap()]);
    assert_eq!(album.calls(), [(1, 1)], "after the first frame's commit, before its own");
    assert_eq!(tables.audit().unwrap().sources[0].accepted, 3);
}

#[test]
fn without_a_place_for_pictures_the_frame_counts_all_the_same() {
    let tables = Arc::new(MemoryStore::default());
    Setup::new().run_into(&one_of_three(), &tables);
    assert_eq!(tables.audit().unwrap().sources[0].accepted, 3);
}

#[test]
fn while_snapshots_cannot_be_kept_nothing_is_committed() {
    let tables = Arc::new(MemoryStore::default());
    let album = Arc::new(Album { failures: AtomicU32::new(3), ..Album::beside(&tables) });
    beside(&album).run_into(&one_of_three(), &tables);
    assert_eq!(album.calls(), [(1, 1); 4]);
    assert_eq!(album.kept().len(), 1);
    assert_eq!(tables.audit().unwrap().sources[0].accepted, 3);
}

#[test]
fn a_store_that_refuses_snapshots_ends_the_pipeline_before_their_commit() {
    let tables = Arc::new(MemoryStore::default());
    let album = Arc::new(Album { refuses: true, ..Album::beside(&tables) });
    let ended = beside(&album).try_run(&one_of_three(), &tables).unwrap_err();
    assert!(matches!(ended, PipelineError::Snapshots(StoreError::Damaged { .. })), "{ended}");
    assert_eq!(tables.audit().unwrap().sources[0].accepted, 1);
    // The next start finds the frame again.
    let album = Arc::new(Album::beside(&tables));
    beside(&album).run_into(&one_of_three(), &tables);
    assert_eq!(album.kept().len(), 1);
    assert_eq!(tables.audit().unwrap().sources[0].accepted, 3);
}

#[test]
fn a_frame_that_is_put_aside_has_no_snapshot() {
    let tables = Arc::new(MemoryStore::default());
    let album = Arc::new(Album::beside(&tables));
    let log = MemoryLog::new(1, 10);
    push(&log, &pictured(3600), UnixMillis::new(MARCH));
    beside(&album).run_into(&Arc::new(log), &tables);
    assert_eq!(tables.parked(9).unwrap().len(), 1);
    assert_eq!(album.kept(), []);
}

#[test]
fn many_pictures_are_many_epochs() {
    let tables = Arc::new(MemoryStore::default());
    let album = Arc::new(Album::beside(&tables));
    let mut setup = beside(&album);
    // A picture of 64 KiB weighs like 1024 frames.
    setup.config.epoch_frames_max = 2000.try_into().unwrap();
    let log = MemoryLog::new(1, 1);
    for second in 0..12 {
        let mut frame = pictured(second);
        let Seen::Detections(picture) = &mut frame.seen else { unreachable!() };
        let mut bytes = vec![0; 64 << 10];
        bytes[..3].copy_from_slice(&[0xFF, 0xD8, 0xFF]);
        picture.image = Some(Jpeg::try_from(bytes.as_slice()).unwrap());
        push(&log, &frame, frame.captured_at);
    }
    setup.run_into(&Arc::new(log), &tables);
    assert_eq!(album.kept().len(), 12);
    let calls = album.calls();
    assert!(calls.iter().all(|(snapshots, _)| *snapshots <= 2), "{calls:?}");
}
