//! The embedded snapshots.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemas::commit::StoreError;
use schemas::frame::Jpeg;
use schemas::snapshot::{Record, Snapshot, SnapshotQuery, SnapshotStore};
use sinks::snapshots::sqlite::SqliteSnapshots;
use sinks::state::sqlite::SqliteState;

use crate::conformance::snapshots::{TestSnapshots, jpeg, snapshot, snapshot_conformance};
use crate::tmpfs::SmallDisk;

snapshot_conformance!(InTempFile);

struct InTempFile(RefCell<tempfile::TempDir>);

impl TestSnapshots for InTempFile {
    const HISTORIES: u32 = 100;

    fn new() -> Option<InTempFile> {
        Some(InTempFile(tempfile::tempdir().unwrap().into()))
    }

    fn open(&self) -> Arc<dyn SnapshotStore> {
        Arc::new(SqliteSnapshots::open(file(self.0.borrow().path())).unwrap())
    }

    fn clear(&self) {
        self.0.replace(tempfile::tempdir().unwrap());
    }
}

fn file(dir: &Path) -> PathBuf {
    dir.join("snapshots.sqlite")
}

/// A snapshot with a picture of real size.
fn pictured(second: i64) -> Snapshot {
    let image: Option<Jpeg> = Some(jpeg(100_000, 3));
    Snapshot { image, ..snapshot(1, second) }
}

#[test]
fn reading_alone_sees_what_is_kept_and_keeps_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path());
    assert!(SqliteSnapshots::open_read_only(&path).is_err(), "there is none yet");
    assert!(!path.exists(), "and none was made");
    let store = SqliteSnapshots::open(&path).unwrap();
    let reading = SqliteSnapshots::open_read_only(&path).unwrap();
    store.put(&[snapshot(1, 0)]).unwrap();
    assert_eq!(reading.count(None).unwrap(), 1);
    assert!(reading.put(&[snapshot(1, 1)]).is_err());
    assert!(reading.delete_to_size(0).is_err());
    assert_eq!(reading.count(None).unwrap(), 1);
}

#[test]
fn tables_are_no_snapshots_and_snapshots_are_no_tables() {
    let dir = tempfile::tempdir().unwrap();
    let (snapshots, tables) = (file(dir.path()), dir.path().join("state.sqlite"));
    drop(SqliteSnapshots::open(&snapshots).unwrap());
    drop(SqliteState::open(&tables).unwrap());
    for refused in [
        SqliteSnapshots::open(&tables).err(),
        SqliteSnapshots::migrate(&tables).err(),
        SqliteSnapshots::open_read_only(&tables).err(),
        SqliteState::open(&snapshots).err(),
        SqliteState::migrate(&snapshots).err(),
    ] {
        let refused = refused.unwrap();
        assert!(refused.to_string().contains("another SQLite database"), "{refused}");
        assert!(!refused.may_succeed_later());
    }
    assert_eq!(SqliteSnapshots::migrate(&snapshots).unwrap(), (1, 1));
}

#[test]
fn a_record_damaged_on_disk_is_told_and_the_others_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteSnapshots::open(file(dir.path())).unwrap();
    let kept: Vec<Snapshot> = (0..4).map(|second| snapshot(1, second)).collect();
    store.put(&kept).unwrap();
    let by_hand = rusqlite::Connection::open(file(dir.path())).unwrap();
    for (damage, second) in [
        ("detections = '[{\"class\": 1}]'", 0),
        ("image = x'89504e47', bytes = 4", 1),
        ("id = 'somebody''s', detections = '[]'", 2),
    ] {
        let sql = format!("UPDATE snapshots SET {damage} WHERE captured_at_ms = ?1");
        let at: i64 = kept[second].captured_at.get();
        assert_eq!(by_hand.execute(&sql, [at]).unwrap(), 1);
    }
    let mut told = Vec::new();
    for n in 0..4 {
        match store.nth(None, n).unwrap().unwrap() {
            Record::Unreadable(unreadable) => told.push(unreadable.to_string()),
            record => assert_eq!(record, Record::Snapshot(kept[3].clone())),
        }
    }
    let [boxes, picture, name] = told.as_slice() else { panic!("{told:?}") };
    assert!(boxes.contains(&kept[0].id.to_string()) && boxes.contains("invalid type"), "{boxes}");
    assert!(picture.contains("no JPEG"), "{picture}");
    assert!(name.contains("not a frame's id"), "{name}");
    assert_eq!(store.find(&SnapshotQuery::all()).unwrap().len(), 4);
}

#[test]
fn a_full_disk_refuses_whole_batches_and_takes_them_once_there_is_room() {
    let Some(disk) = SmallDisk::mount(6000) else { return };
    let store = SqliteSnapshots::open(file(&disk.path().join("made"))).unwrap();
    let batch = |n: i64| [0, 1].map(|which| pictured(2 * n + which));
    store.put(&batch(0)).unwrap();
    let filler = disk.fill_but(300);
    let mut done: i64 = 1;
    let refused = loop {
        match store.put(&batch(done)) {
            Ok(_) => done += 1,
            Err(error) => break error,
        }
        assert!(done < 100);
    };
    assert!(matches!(refused, StoreError::Full { .. }), "{refused:?}");
    assert!(refused.may_succeed_later());
    assert_eq!(i64::try_from(store.count(None).unwrap()).unwrap(), 2 * done);
    drop(filler);
    assert_eq!(store.put(&batch(done)).unwrap(), 2);
}

#[test]
fn the_room_of_what_was_deleted_is_given_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path());
    let length = || std::fs::metadata(&path).unwrap().len();
    let store = SqliteSnapshots::open(&path).unwrap();
    store.put(&(0..200).map(pictured).collect::<Vec<_>>()).unwrap();
    drop(store); // Takes the write-ahead log into the file.
    let full = length();
    assert!(20_000_000 < full, "{full}");
    let store = SqliteSnapshots::open(&path).unwrap();
    assert_eq!(store.delete_to_size(1_000_000).unwrap(), 190);
    drop(store);
    let left = length();
    assert!(left < 3_000_000, "{left} of {full} bytes");
    let store = SqliteSnapshots::open(&path).unwrap();
    assert_eq!((store.count(None).unwrap(), store.stored_bytes().unwrap()), (10, 1_000_000));
    assert_eq!(store.nth(None, 9).unwrap(), Some(Record::Snapshot(pictured(199))));
}
