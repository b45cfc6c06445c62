//! The snapshots in MongoDB, on the server at [`SERVER`].

use std::future::Future;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use mongodb::bson::{DateTime, Document, doc, oid::ObjectId};
use mongodb::{Client, Collection, Database};
use schemas::commit::StoreError;
use schemas::snapshot::{Foreign, Images, Record, SnapshotQuery, SnapshotStore};
use schemas::time::UnixMillis;
use sinks::config::{MongoConfig, MongoUrl};
use sinks::snapshots::mongo::MongoSnapshots;
use tokio::runtime::Runtime;

use crate::conformance::log::source;
use crate::conformance::snapshots::{TestSnapshots, snapshot, snapshot_conformance};

/// Names the server, `mongodb://…`; every test has a database of its own there.
const SERVER: &str = "ANIMOV_TEST_MONGO";

snapshot_conformance!(OnServer);

struct OnServer {
    config: MongoConfig,
    database: Database,
    runtime: Runtime,
}

impl TestSnapshots for OnServer {
    const HISTORIES: u32 = 15;

    fn new() -> Option<OnServer> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let Ok(server) = std::env::var(SERVER) else {
            println!("SKIPPED: {SERVER} names no MongoDB server");
            return None;
        };
        let name =
            format!("animov_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let runtime = Runtime::new().unwrap();
        let client = runtime.block_on(Client::with_uri_str(&server)).unwrap();
        let config = MongoConfig {
            url: MongoUrl::try_from(server).unwrap(),
            database: name.clone(),
            ..MongoConfig::default()
        };
        Some(OnServer { config, database: client.database(&name), runtime })
    }

    fn open(&self) -> Arc<dyn SnapshotStore> {
        Arc::new(self.store())
    }

    fn clear(&self) {
        self.by_hand(|collection| async move { collection.delete_many(doc! {}).await });
    }
}

impl OnServer {
    fn store(&self) -> MongoSnapshots {
        MongoSnapshots::open(&self.config, None).unwrap()
    }

    /// Does what another program might do to the collection.
    fn by_hand<T, F>(&self, what: impl FnOnce(Collection<Document>) -> F) -> T
    where
        F: Future<Output = mongodb::error::Result<T>>,
    {
        let collection = self.database.collection(&self.config.collection);
        self.runtime.block_on(what(collection)).unwrap()
    }
}

impl Drop for OnServer {
    fn drop(&mut self) {
        if let Err(error) = self.runtime.block_on(async { self.database.drop().await }) {
            println!("could not drop the database of a test: {error}");
        }
    }
}

/// Documents as the original system wrote them, and worse.
fn foreign() -> [Document; 4] {
    let id = |n| ObjectId::from_bytes([n; 12]);
    [
        doc! {
            "_id": id(1),
            "data": [
                {"source": 1, "detect": [{"class": "couche", "conf": 0.5}], "frame": "/9j/"},
                {"source": 2, "detect": [], "frame": "/9j/"},
            ],
        },
        doc! {"_id": id(2), "source": "pen", "data": []},
        doc! {"_id": id(3), "source": 1, "note": "no data"},
        doc! {"_id": id(4), "session": "ours?", "captured_at": "yesterday", "bytes": "many"},
    ]
}

#[test]
fn other_programs_documents_are_told_as_they_are_and_outlive_every_sweep() {
    let Some(test) = OnServer::new() else { return };
    test.by_hand(|collection| async move { collection.insert_many(foreign()).await });
    let store = test.store();
    let ours = [snapshot(1, 1), snapshot(2, 2)];
    assert_eq!(store.put(&ours).unwrap(), 2);
    assert_eq!((store.count(None).unwrap(), store.count(Some(source(1))).unwrap()), (6, 1));

    let Some(Record::Foreign(Foreign { id, data })) = store.nth(None, 0).unwrap() else {
        panic!("the original system's come first");
    };
    assert_eq!((id.as_str(), data.len()), ("010101010101010101010101", 2));
    assert_eq!(data[0]["detect"][0]["class"], "couche");
    assert_eq!(data[1]["frame"], "/9j/");
    let told: Vec<String> = (1..4)
        .map(|n| match store.nth(None, n).unwrap().unwrap() {
            Record::Foreign(Foreign { id, data }) => format!("{id}: {} sources", data.len()),
            Record::Unreadable(unreadable) => unreadable.to_string(),
            Record::Snapshot(snapshot) => panic!("{snapshot:?}"),
        })
        .collect();
    assert_eq!(
        told,
        [
            "020202020202020202020202: 0 sources",
            "snapshot 030303030303030303030303 cannot be read: it has no array data",
            "snapshot 040404040404040404040404 cannot be read: its captured_at is missing, or is not what it should be",
        ]
    );
    assert_eq!(store.nth(None, 5).unwrap(), Some(Record::Snapshot(ours[1].clone())));

    let all = store.find(&SnapshotQuery::all()).unwrap();
    assert_eq!(all.len(), 6);
    let Record::Foreign(Foreign { data, .. }) = &all[0] else { panic!() };
    assert_eq!(
        data[1],
        serde_json::json!({"source": 2, "detect": []}),
        "images were not asked for"
    );
    let since = SnapshotQuery { from: Some(UnixMillis::MIN), ..SnapshotQuery::all() };
    assert_eq!(store.find(&since).unwrap().len(), 2);
    assert_eq!(store.current(Images::With).unwrap(), ours.clone().map(Record::Snapshot));
    assert_eq!(store.stored_bytes().unwrap(), 200);

    assert_eq!(store.delete_to_size(150).unwrap(), 1);
    assert_eq!(store.delete_older(UnixMillis::MAX).unwrap(), 1);
    assert_eq!(store.count(None).unwrap(), 4);
    assert_eq!(store.delete_to_size(0).unwrap(), 0);
}

#[test]
fn the_original_systems_readers_find_boxes_and_picture_in_data() {
    let Some(test) = OnServer::new() else { return };
    let kept = snapshot(3, 7);
    test.store().put(std::slice::from_ref(&kept)).unwrap();
    let found = test.by_hand(|collection| async move { collection.find_one(doc! {}).await });
    let document = found.unwrap();
    assert_eq!(document.get_str("_id").unwrap(), kept.id.to_string());
    let at = document.get_datetime("captured_at").unwrap();
    assert_eq!(*at, DateTime::from_millis(kept.captured_at.get()));
    let element = document.get_array("data").unwrap()[0].as_document().unwrap();
    assert!(element.get_str("frame").unwrap().starts_with("/9j/"));
    let detect = element.get_array("detect").unwrap();
    let classes: Vec<&str> =
        detect.iter().map(|found| found.as_document().unwrap().get_str("class").unwrap()).collect();
    assert_eq!(classes, ["lying", "standing"]);
}

#[test]
fn more_than_one_command_deletes_and_lists_are_whole() {
    let Some(test) = OnServer::new() else { return };
    let store = test.store();
    let many: Vec<_> = (0..700).map(|second| snapshot(1, second)).collect();
    assert_eq!(store.put(&many).unwrap(), 700);
    assert_eq!(store.find(&SnapshotQuery::all()).unwrap().len(), 700);
    assert_eq!(store.delete_to_size(5000).unwrap(), 650);
    assert_eq!(store.nth(None, 0).unwrap(), Some(Record::Snapshot(many[650].clone())));
    assert_eq!(store.count(None).unwrap(), 50);
}

#[test]
fn a_store_can_be_used_and_let_go_of_inside_another_runtime() {
    let Some(test) = OnServer::new() else { return };
    let outside = tokio::runtime::Builder::new_current_thread().build().unwrap();
    outside.block_on(async {
        let store = test.store();
        store.reach().unwrap();
        assert_eq!(store.put(&[snapshot(1, 0)]).unwrap(), 1);
        drop(store);
    });
}

/// A store on a server of that address, with short waits.
fn store_at(address: &str) -> Result<MongoSnapshots, StoreError> {
    let config = MongoConfig {
        url: MongoUrl::try_from(format!("mongodb://{address}")).unwrap(),
        connect_timeout: Duration::from_millis(300),
        timeout: Duration::from_millis(600),
        ..MongoConfig::default()
    };
    MongoSnapshots::open(&config, None)
}

#[test]
fn a_server_that_is_away_or_never_answers_is_told_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let away = {
        let gone = TcpListener::bind("127.0.0.1:0").unwrap();
        gone.local_addr().unwrap()
    };
    for address in [silent.local_addr().unwrap(), away] {
        let store = store_at(&format!("{address}/?directConnection=true")).unwrap();
        let began = Instant::now();
        let refused = store.put(&[snapshot(1, 0)]).unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(10), "{refused}");
        assert!(refused.may_succeed_later(), "{refused:?}");
        let told = refused.to_string();
        assert!(told.contains(&format!("mongodb://{address}/ANIMOV.chevres")), "{told}");
        assert!(store.count(None).is_err());
    }
}

#[test]
fn an_address_that_means_nothing_and_a_user_without_a_password_are_refused() {
    let refused = store_at("h/?readPreference=goats").err().unwrap();
    assert!(!refused.may_succeed_later(), "{refused:?}");
    let refused = store_at("goat@h/").err().unwrap();
    assert!(!refused.may_succeed_later(), "{refused:?}");
    assert!(refused.to_string().contains("ANIMOV_MONGO_PASSWORD"), "{refused}");
}
