//! Pictures in memory, and somebody who looks at them without seeing.

use std::collections::BTreeMap;
use std::sync::Mutex;

use schemas::commit::StoreError;
use schemas::frame::{Detection, FrameId, Jpeg};
use schemas::picture::{PictureFault, Pictures, Verified};
use schemas::snapshot::{Images, Record, Snapshot, SnapshotQuery, SnapshotStore};
use schemas::source::SourceId;
use schemas::time::UnixMillis;

/// Snapshots in their order, and records of other programs before them.
#[derive(Default)]
pub struct MemoryAlbum {
    pub kept: Mutex<BTreeMap<(UnixMillis, String), Snapshot>>,
    pub others: Mutex<Vec<Record>>,
    /// Answer every call with this.
    pub failure: Mutex<Option<fn() -> StoreError>>,
}

impl MemoryAlbum {
    fn works(&self) -> Result<(), StoreError> {
        self.failure.lock().unwrap().map_or(Ok(()), |failure| Err(failure()))
    }

    fn all(&self) -> Vec<Snapshot> {
        self.kept.lock().unwrap().values().cloned().collect()
    }
}

fn seen(mut snapshot: Snapshot, images: Images) -> Record {
    snapshot.image = snapshot.image.filter(|_| images == Images::With);
    Record::Snapshot(snapshot)
}

impl SnapshotStore for MemoryAlbum {
    fn put(&self, _: &[Snapshot]) -> Result<u64, StoreError> {
        unreachable!("the API replaces")
    }

    fn replace(&self, snapshots: &[Snapshot]) -> Result<u64, StoreError> {
        self.works()?;
        let mut kept = self.kept.lock().unwrap();
        let before = kept.len();
        for snapshot in snapshots {
            kept.retain(|_, known| known.id != snapshot.id);
            kept.insert((snapshot.captured_at, snapshot.id.to_string()), snapshot.clone());
        }
        Ok((kept.len() - before).try_into().unwrap())
    }

    fn get(&self, id: &FrameId) -> Result<Option<Record>, StoreError> {
        self.works()?;
        let found = self.all().into_iter().find(|snapshot| snapshot.id == *id);
        Ok(found.map(|snapshot| seen(snapshot, Images::With)))
    }

    fn find(&self, query: &SnapshotQuery) -> Result<Vec<Record>, StoreError> {
        self.works()?;
        let SnapshotQuery { source, from, to, newest_first, skip, limit, images } = *query;
        let ours = self.all().into_iter().filter(|snapshot| {
            source.is_none_or(|source| source == snapshot.id.source)
                && from.is_none_or(|from| from <= snapshot.captured_at)
                && to.is_none_or(|to| snapshot.captured_at < to)
        });
        let mut found = match (source, from, to) {
            (None, None, None) => self.others.lock().unwrap().clone(),
            _ => Vec::new(),
        };
        found.extend(ours.map(|snapshot| seen(snapshot, images)));
        if newest_first {
            found.reverse();
        }
        let (skip, limit) = (skip.try_into().unwrap(), limit.try_into().unwrap());
        Ok(found.into_iter().skip(skip).take(limit).collect())
    }

    fn current(&self, images: Images) -> Result<Vec<Record>, StoreError> {
        self.works()?;
        let newest: BTreeMap<SourceId, Snapshot> =
            self.all().into_iter().map(|snapshot| (snapshot.id.source, snapshot)).collect();
        Ok(newest.into_values().map(|snapshot| seen(snapshot, images)).collect())
    }

    fn count(&self, source: Option<SourceId>) -> Result<u64, StoreError> {
        let query = SnapshotQuery { source, ..SnapshotQuery::all() };
        Ok(self.find(&query)?.len().try_into().unwrap())
    }

    fn stored_bytes(&self) -> Result<u64, StoreError> {
        self.works()?;
        Ok(self.all().iter().map(|one| u64::try_from(one.bytes()).unwrap()).sum())
    }

    fn delete_older(&self, _: UnixMillis) -> Result<u64, StoreError> {
        unreachable!("the API deletes nothing")
    }

    fn delete_to_size(&self, _: u64) -> Result<u64, StoreError> {
        unreachable!("the API deletes nothing")
    }
}

/// Takes whatever begins like a JPEG for a picture of 640 by 480, and draws by
/// writing the boxes' classes behind it.
pub struct BlindPictures;

impl Pictures for BlindPictures {
    fn verified(&self, bytes: &[u8]) -> Result<Verified, PictureFault> {
        let jpeg = Jpeg::try_from(bytes).map_err(|_| PictureFault::Format)?;
        Ok(Verified { jpeg, width: 640, height: 480 })
    }

    fn annotated(&self, picture: &Jpeg, detections: &[Detection]) -> Result<Vec<u8>, PictureFault> {
        let classes = detections.iter().flat_map(|found| found.class.bytes());
        Ok(picture.bytes().iter().copied().chain(classes).collect())
    }
}
