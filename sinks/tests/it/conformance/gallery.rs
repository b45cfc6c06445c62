//! What a store of snapshots must answer, as plainly as it can be said: one map
//! in their order.

use std::collections::BTreeMap;

use schemas::frame::FrameId;
use schemas::snapshot::{Images, Record, Snapshot, SnapshotQuery};
use schemas::source::SourceId;
use schemas::time::UnixMillis;

#[derive(Clone, Debug, Default)]
pub(crate) struct Gallery {
    kept: BTreeMap<(UnixMillis, String), Snapshot>,
}

pub(crate) fn as_read(snapshot: &Snapshot, images: Images) -> Record {
    let image = snapshot.image.clone().filter(|_| images == Images::With);
    Record::Snapshot(Snapshot { image, ..snapshot.clone() })
}

fn bytes(snapshot: &Snapshot) -> u64 {
    let image = snapshot.image.as_ref();
    image.map_or(0, |image| image.bytes().len().try_into().unwrap())
}

impl Gallery {
    pub(crate) fn put(&mut self, snapshots: &[Snapshot]) -> u64 {
        let mut new = 0;
        for snapshot in snapshots {
            if self.get(&snapshot.id).is_none() {
                let place = (snapshot.captured_at, snapshot.id.to_string());
                self.kept.insert(place, snapshot.clone());
                new += 1;
            }
        }
        new
    }

    pub(crate) fn replace(&mut self, snapshots: &[Snapshot]) -> u64 {
        let before = self.count(None);
        for snapshot in snapshots {
            self.kept.retain(|_, kept| kept.id != snapshot.id);
            self.put(std::slice::from_ref(snapshot));
        }
        self.count(None) - before
    }

    pub(crate) fn get(&self, id: &FrameId) -> Option<Record> {
        let found = self.kept.values().find(|snapshot| snapshot.id == *id);
        found.map(|snapshot| as_read(snapshot, Images::With))
    }

    pub(crate) fn find(&self, query: &SnapshotQuery) -> Vec<Record> {
        let matches = |snapshot: &&Snapshot| {
            query.source.is_none_or(|source| source == snapshot.id.source)
                && query.from.is_none_or(|from| from <= snapshot.captured_at)
                && query.to.is_none_or(|to| snapshot.captured_at < to)
        };
        let mut found: Vec<&Snapshot> = self.kept.values().filter(matches).collect();
        if query.newest_first {
            found.reverse();
        }
        found
            .into_iter()
            .skip(query.skip.try_into().unwrap())
            .take(query.limit.try_into().unwrap())
            .map(|snapshot| as_read(snapshot, query.images))
            .collect()
    }

    pub(crate) fn current(&self, images: Images) -> Vec<Record> {
        let newest: BTreeMap<SourceId, &Snapshot> =
            self.kept.values().map(|snapshot| (snapshot.id.source, snapshot)).collect();
        newest.into_values().map(|snapshot| as_read(snapshot, images)).collect()
    }

    pub(crate) fn count(&self, source: Option<SourceId>) -> u64 {
        let of_source =
            |snapshot: &&Snapshot| source.is_none_or(|source| source == snapshot.id.source);
        self.kept.values().filter(of_source).count().try_into().unwrap()
    }

    pub(crate) fn stored_bytes(&self) -> u64 {
        self.kept.values().map(bytes).sum()
    }

    pub(crate) fn delete_older(&mut self, moment: UnixMillis) -> u64 {
        let before = self.count(None);
        self.kept.retain(|(captured_at, _), _| moment <= *captured_at);
        before - self.count(None)
    }

    pub(crate) fn delete_to_size(&mut self, bytes_max: u64) -> u64 {
        let before = self.count(None);
        while bytes_max < self.stored_bytes() {
            self.kept.pop_first();
        }
        before - self.count(None)
    }
}
