//! What each store of snapshots promises, and what it promises beyond the seam.

mod mongo;
mod sqlite;

use schemas::commit::StoreError;
use sinks::config::{MongoConfig, MongoUrl, SnapshotsConfig, SnapshotsKind};

use crate::conformance::snapshots::snapshot;

#[test]
fn the_configuration_says_which_store_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("snapshots.sqlite");
    let file = SnapshotsConfig { path, ..SnapshotsConfig::default() };
    assert!(sinks::snapshots::open_read_only(&file, None).is_err(), "there is none yet");
    let opened = sinks::snapshots::open(&file, None).unwrap();
    opened.store.put(&[snapshot(1, 0)]).unwrap();
    let reading = sinks::snapshots::open_read_only(&file, None).unwrap();
    assert_eq!(reading.store.count(None).unwrap(), 1);

    let url = MongoUrl::try_from("mongodb://goat@127.0.0.1:1".to_owned()).unwrap();
    let mongo = MongoConfig { url, ..MongoConfig::default() };
    let server = SnapshotsConfig { kind: SnapshotsKind::Mongo, mongo, ..file };
    let refused = sinks::snapshots::open(&server, None).err().unwrap();
    assert!(matches!(refused, StoreError::Refused { .. }), "{refused}");
    sinks::snapshots::open(&server, Some("secret")).unwrap();
}
