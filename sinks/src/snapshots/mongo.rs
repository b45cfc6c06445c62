//! The snapshots in a MongoDB collection, in the shape of the original system.
//!
//! # Invariants
//!
//! - A snapshot is one document whose `_id` is the text of its frame's id. Keeping
//!   it is an insertion, so the server itself refuses a second one, whoever tries.
//! - What is acknowledged is in the journals of a majority of the servers.
//! - Documents of other programs are read as they are, never changed and never
//!   deleted.
//! - Nothing is asked of the server that one which only speaks MongoDB's protocol
//!   would lack: no transactions, no expiring indexes, no aggregation beyond sums.
//!
//! What would break them: clocks are not involved, but a collection that is
//! sharded by anything else than `_id` could hold one id twice.

mod calls;
mod document;
mod error;

use std::sync::atomic::{AtomicBool, Ordering};

use mongodb::bson::{Document, RawDocumentBuf, doc};
use mongodb::error::Error;
use mongodb::options::{
    Acknowledgment, AuthMechanism, ClientOptions, CollectionOptions, Hint, WriteConcern,
};
use mongodb::{Client, Collection, IndexModel};
use schemas::commit::StoreError;
use schemas::frame::FrameId;
use schemas::snapshot::{Images, Record, Snapshot, SnapshotQuery, SnapshotStore};
use schemas::source::SourceId;
use schemas::time::UnixMillis;

use crate::config::{MONGO_PASSWORD_ENV, MongoConfig};
use crate::metrics::SnapshotMetrics;
use calls::Calls;
use document::{date, number};
use error::{duplicates, store_error};

/// Bytes of pictures that are kept by one command, about: what a slow link takes within the
/// time that an answer has. A large epoch's whole would never get through.
const KEPT_TOGETHER: usize = 2 << 20;

/// Snapshots deleted by one command.
const DELETED_TOGETHER: u16 = 500;

/// The snapshots of one site; see the [module](self).
pub struct MongoSnapshots {
    calls: Calls,
    collection: Collection<Document>,
    /// For people: servers, database and collection.
    at: String,
    /// Whether the indexes are known to be there.
    indexed: AtomicBool,
    metrics: SnapshotMetrics,
}

impl MongoSnapshots {
    /// Makes ready to use the collection that `config` names, with the password
    /// that goes with the user in its URL. The server need not be there yet:
    /// [`reach`](MongoSnapshots::reach) looks.
    ///
    /// # Errors
    ///
    /// The URL means nothing to the driver, or its name cannot be looked up; or
    /// it names a user, and there is no password.
    pub fn open(
        config: &MongoConfig,
        password: Option<&str>,
    ) -> Result<MongoSnapshots, StoreError> {
        let MongoConfig { url, database, collection, connect_timeout, timeout } = config.clone();
        let failed = |failed| store_error("make out the address of", url.as_str(), failed);
        let calls = Calls::new(timeout).map_err(|error| StoreError::Unreachable {
            doing: "start a thread for",
            at: url.as_str().to_owned(),
            source: error.into(),
        })?;
        let parse = ClientOptions::parse(url.as_str().to_owned());
        let mut options = calls.wait(async { parse.await }).map_err(failed)?;
        options.app_name.get_or_insert_with(|| "animov".to_owned());
        options.connect_timeout = Some(connect_timeout);
        options.server_selection_timeout = Some(connect_timeout);
        let at = address(&options, &database, &collection);
        log_in(&mut options, password, &at)?;
        let durably = WriteConcern::builder()
            .w(Acknowledgment::Majority)
            .journal(true)
            .w_timeout(timeout)
            .build();
        let connect = async move {
            let client = Client::with_options(options)?;
            let options = CollectionOptions::builder().write_concern(durably).build();
            Ok(client.database(&database).collection_with_options(&collection, options))
        };
        let collection = calls.wait(connect).map_err(failed)?;
        let (indexed, metrics) = (AtomicBool::new(false), SnapshotMetrics::default());
        Ok(MongoSnapshots { calls, collection, at, indexed, metrics })
    }

    /// Looks whether the server is there and lets us in, and makes the indexes
    /// that are missing.
    ///
    /// # Errors
    ///
    /// It is not, does not, or cannot be written.
    pub fn reach(&self) -> Result<(), StoreError> {
        if self.indexed.load(Ordering::SeqCst) {
            return Ok(());
        }
        let index = |keys: Document| IndexModel::builder().keys(keys).build();
        // Bytes and ids too, so that retention need not read a single picture.
        let by_time = index(doc! {"captured_at": 1, "_id": 1, "bytes": 1});
        let by_source = index(doc! {"source": 1, "captured_at": 1, "_id": 1});
        // One by one: asked for several of which some are there, FerretDB 1.24 hangs up.
        self.call("make the indexes of", |collection| async move {
            collection.create_index(by_time).await?;
            collection.create_index(by_source).await
        })?;
        self.indexed.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// What the store counts of itself.
    pub fn metrics(&self) -> &SnapshotMetrics {
        &self.metrics
    }

    /// Does something with the collection.
    fn call<T, F>(
        &self,
        doing: &'static str,
        what: impl FnOnce(Collection<Document>) -> F,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let outcome = self.calls.wait(what(self.collection.clone()));
        outcome.map_err(|failed| store_error(doing, &self.at, failed))
    }
}

impl SnapshotStore for MongoSnapshots {
    fn put(&self, snapshots: &[Snapshot]) -> Result<u64, StoreError> {
        if snapshots.is_empty() {
            return Ok(0);
        }
        self.reach()?;
        let _timer = self.metrics.put_timer();
        let mut kept = 0;
        for run in runs(snapshots) {
            let known = self.insert(run)?;
            let new = run.iter().enumerate().filter(|(place, _)| !known.contains(place));
            kept += self.metrics.kept(new.map(|(_, snapshot)| snapshot));
        }
        Ok(kept)
    }

    fn replace(&self, snapshots: &[Snapshot]) -> Result<u64, StoreError> {
        self.reach()?;
        let _timer = self.metrics.put_timer();
        let mut new = Vec::new();
        // One by one: a bulk of replacements needs a newer protocol than the oldest
        // server that is supported has.
        for snapshot in snapshots {
            let (id, document) = (snapshot.id.to_string(), document::of(snapshot));
            let replaced = self.call("keep snapshots in", |collection| async move {
                collection.replace_one(doc! {"_id": id}, document).upsert(true).await
            })?;
            if replaced.matched_count == 0 {
                new.push(snapshot);
            }
        }
        Ok(self.metrics.kept(new.into_iter()))
    }

    fn get(&self, id: &FrameId) -> Result<Option<Record>, StoreError> {
        let filter = doc! {"_id": id.to_string()};
        let found = self.call("read a snapshot of", |collection| async move {
            collection.clone_with_type::<RawDocumentBuf>().find_one(filter).await
        })?;
        Ok(found.map(|document| document::read(&document)))
    }

    fn find(&self, query: &SnapshotQuery) -> Result<Vec<Record>, StoreError> {
        let SnapshotQuery { source, from, to, newest_first, skip, limit, images } = *query;
        // To the server, no limit is none.
        if limit == 0 || i64::try_from(skip).is_err() {
            return Ok(Vec::new());
        }
        let filter = filter(source, from, to);
        let towards = if newest_first { -1 } else { 1 };
        self.call("read snapshots of", |collection| async move {
            let collection = collection.clone_with_type::<RawDocumentBuf>();
            let find = collection
                .find(filter)
                .sort(doc! {"captured_at": towards, "_id": towards})
                .skip(skip)
                .limit(i64::from(limit));
            let mut cursor = match images {
                Images::With => find.await?,
                Images::Without => find.projection(doc! {"data.frame": 0}).await?,
            };
            let mut found = Vec::new();
            while cursor.advance().await? {
                found.push(document::read(cursor.current()));
            }
            Ok(found)
        })
    }

    fn current(&self, images: Images) -> Result<Vec<Record>, StoreError> {
        let sources = self.call("list the sources of", |collection| async move {
            collection.distinct("source", doc! {}).await
        })?;
        // Whatever else is in other programs' documents, it is none of ours.
        let sources = sources.iter().filter_map(|found| SourceId::try_from(number(found)?).ok());
        let mut sources: Vec<SourceId> = sources.collect();
        sources.sort();
        let mut newest = Vec::new();
        for source in sources {
            newest.extend(self.find(&SnapshotQuery {
                source: Some(source),
                newest_first: true,
                limit: 1,
                images,
                ..SnapshotQuery::all()
            })?);
        }
        Ok(newest)
    }

    fn count(&self, source: Option<SourceId>) -> Result<u64, StoreError> {
        let filter = filter(source, None, None);
        self.call("count the snapshots of", |collection| async move {
            let count = collection.count_documents(filter);
            match source {
                // Along an index, so as not to read every document.
                None => count.hint(Hint::Keys(doc! {"_id": 1})).await,
                Some(_) => count.await,
            }
        })
    }

    fn stored_bytes(&self) -> Result<u64, StoreError> {
        let sum =
            [doc! {"$match": ours()}, doc! {"$group": {"_id": null, "bytes": {"$sum": "$bytes"}}}];
        let bytes = self.call("add up the snapshots of", |collection| async move {
            let mut cursor = collection.aggregate(sum).await?;
            match cursor.advance().await? {
                true => cursor.deserialize_current().map(|sum| sum.get("bytes").and_then(number)),
                false => Ok(None),
            }
        })?;
        Ok(bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0))
    }

    fn delete_older(&self, moment: UnixMillis) -> Result<u64, StoreError> {
        let filter = doc! {"captured_at": {"$lt": date(moment)}, "bytes": {"$gte": 0}};
        self.call("delete snapshots of", |collection| async move {
            Ok(collection.delete_many(filter).await?.deleted_count)
        })
    }

    fn delete_to_size(&self, bytes_max: u64) -> Result<u64, StoreError> {
        let mut all = 0;
        loop {
            let excess = self.stored_bytes()?.saturating_sub(bytes_max);
            let deleted = if excess == 0 { 0 } else { self.delete_oldest(excess)? };
            if deleted == 0 {
                return Ok(all);
            }
            all += deleted;
        }
    }
}

impl MongoSnapshots {
    /// Inserts `snapshots`; the places of those that were there already.
    fn insert(&self, snapshots: &[Snapshot]) -> Result<Vec<usize>, StoreError> {
        let documents: Vec<Document> = snapshots.iter().map(document::of).collect();
        let collection = self.collection.clone();
        // Not in order: one that is there already does not keep the others out.
        let insert =
            async move { collection.insert_many(documents).ordered(false).await.map(drop) };
        match self.calls.wait(insert) {
            Ok(()) => Ok(Vec::new()),
            Err(failed) => duplicates(failed)
                .map_err(|failed| store_error("keep snapshots in", &self.at, failed)),
        }
    }

    /// Deletes the oldest, but only as many as have `excess` bytes, or a command
    /// takes; returns how many.
    fn delete_oldest(&self, excess: u64) -> Result<u64, StoreError> {
        self.call("delete snapshots of", |collection| async move {
            let mut cursor = collection
                .find(ours())
                .sort(doc! {"captured_at": 1, "_id": 1})
                .limit(i64::from(DELETED_TOGETHER))
                .projection(doc! {"_id": 1, "bytes": 1})
                .await?;
            let (mut ids, mut bytes) = (Vec::new(), 0);
            while bytes < excess && cursor.advance().await? {
                let mut oldest: Document = cursor.deserialize_current()?;
                let its_bytes = oldest.get("bytes").and_then(number).unwrap_or(0);
                bytes += u64::try_from(its_bytes).unwrap_or(0);
                ids.extend(oldest.remove("_id"));
            }
            Ok(collection.delete_many(doc! {"_id": {"$in": ids}}).await?.deleted_count)
        })
    }
}

/// `snapshots` in runs of [`KEPT_TOGETHER`], one at least.
fn runs(mut snapshots: &[Snapshot]) -> impl Iterator<Item = &[Snapshot]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |snapshot: &&Snapshot| {
            bytes += snapshot.bytes();
            bytes <= KEPT_TOGETHER
        };
        let count = snapshots.iter().take_while(fits).count().max(1);
        let (run, rest) = snapshots.split_at_checked(count)?;
        snapshots = rest;
        Some(run)
    })
}

/// The documents that are ours: others have neither.
fn ours() -> Document {
    doc! {"captured_at": {"$gte": date(UnixMillis::MIN)}, "bytes": {"$gte": 0}}
}

/// The documents of `source`, or of all, captured in `[from, to)`; and if nothing
/// is asked for, also those without a time.
fn filter(source: Option<SourceId>, from: Option<UnixMillis>, to: Option<UnixMillis>) -> Document {
    if source.is_none() && from.is_none() && to.is_none() {
        return doc! {};
    }
    let mut filter = Document::new();
    if let Some(source) = source {
        filter.insert("source", source.get());
    }
    let mut range = doc! {"$gte": date(from.unwrap_or(UnixMillis::MIN))};
    if let Some(to) = to {
        range.insert("$lt", date(to));
    }
    filter.insert("captured_at", range);
    filter
}

/// Where the collection is, for people; without the user.
fn address(options: &ClientOptions, database: &str, collection: &str) -> String {
    let hosts: Vec<String> = options.hosts.iter().map(ToString::to_string).collect();
    format!("mongodb://{}/{database}.{collection}", hosts.join(","))
}

/// Joins user and password.
fn log_in(options: &mut ClientOptions, password: Option<&str>, at: &str) -> Result<(), StoreError> {
    let Some(credential) = &mut options.credential else { return Ok(()) };
    match password {
        Some(password) => credential.password = Some(password.to_owned()),
        None if matches!(credential.mechanism, Some(AuthMechanism::MongoDbX509)) => {}
        None => {
            return Err(StoreError::Refused {
                at: at.to_owned(),
                what: "snapshots.mongo.url names a user, and there is no password".to_owned(),
                hint: format!("put it into the environment variable {MONGO_PASSWORD_ENV}"),
            });
        }
    }
    Ok(())
}
