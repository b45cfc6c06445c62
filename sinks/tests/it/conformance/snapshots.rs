//! What every [`SnapshotStore`] must do.

use std::slice::from_ref;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};
use schemas::frame::{Detection, FrameId, IMAGE_BYTES_MAX, Jpeg, Model};
use schemas::snapshot::{Images, Record, Snapshot, SnapshotQuery, SnapshotStore};
use schemas::source::SessionId;
use schemas::time::UnixMillis;
use sinks::metrics::SnapshotMetrics;
use sinks::snapshots::janitor::{Retention, Swept, sweep};

use crate::conformance::gallery::{Gallery, as_read};
use crate::conformance::log::source;

/// A store of its own for one test, which can be closed and opened again.
pub(crate) trait TestSnapshots: Sized {
    /// How many random histories to try: a slow server gets a few.
    const HISTORIES: u32;

    /// New and empty; `None`, with a line that says why, where its server is not
    /// there.
    fn new() -> Option<Self>;

    /// Opens it; what was opened before may still be in use.
    fn open(&self) -> Arc<dyn SnapshotStore>;

    /// Empties it.
    fn clear(&self);
}

/// One test for each thing that a store of snapshots must do.
macro_rules! snapshot_conformance {
    ($store:ty) => {
        $crate::conformance::snapshots::snapshot_conformance!($store:
            an_empty_store_has_an_answer_to_everything,
            a_snapshot_reads_back_as_it_was_kept_also_after_reopening,
            what_is_there_stays_as_it_is,
            what_is_replaced_is_as_it_was_told_last,
            a_batch_may_hold_the_known_the_new_and_the_same_twice,
            a_batch_of_large_pictures_is_kept_beside_those_that_are_known,
            images_come_only_where_they_are_asked_for,
            a_range_is_half_open_and_pages_in_both_directions,
            the_nth_record_counts_from_the_oldest,
            the_current_snapshot_of_a_source_is_its_newest,
            what_is_too_old_goes_and_the_rest_stays,
            the_oldest_go_until_the_rest_is_small_enough,
            a_sweep_deletes_by_age_and_then_by_size,
            of_many_writers_of_one_snapshot_one_keeps_it,
            random_histories_read_back_like_the_gallery,
        );
    };
    ($store:ty: $($case:ident,)*) => {
        $(
            #[test]
            fn $case() {
                match <$store as $crate::conformance::snapshots::TestSnapshots>::new() {
                    Some(store) => $crate::conformance::snapshots::$case(&store),
                    None => println!("skipped"),
                }
            }
        )*
    };
}
pub(crate) use snapshot_conformance;

/// The n-th second of a day in March 2026.
fn at(second: i64) -> UnixMillis {
    UnixMillis::new(1_772_323_200_000 + second * 1000)
}

fn id(of: i64, seq: u64) -> FrameId {
    FrameId { source: source(of), session: SessionId::derived_from(b"a run"), seq }
}

/// Some bytes that begin like a JPEG; `shade` tells one from another.
pub(crate) fn jpeg(length: usize, shade: u8) -> Jpeg {
    let mut bytes = vec![shade; length];
    bytes[..3].copy_from_slice(&[0xFF, 0xD8, 0xFF]);
    Jpeg::try_from(bytes.as_slice()).unwrap()
}

fn goat(class: &str, confidence: f32) -> Detection {
    Detection { class: class.into(), confidence, x: 0.1, y: 0.0, w: 1.0 / 3.0, h: 1.0 }
}

/// What source `of` saw at `second`, in a picture of 100 bytes.
pub(crate) fn snapshot(of: i64, second: i64) -> Snapshot {
    Snapshot {
        id: id(of, second.try_into().unwrap()),
        captured_at: at(second),
        width: 640,
        height: 480,
        model: Model { name: "goats.onnx".into(), hash: "0123456789abcdef".into() },
        detections: vec![goat("lying", 0.9), goat("standing", 0.3)],
        image: Some(jpeg(100, 7)),
    }
}

fn found(snapshots: &[Snapshot]) -> Vec<Record> {
    snapshots.iter().map(|snapshot| as_read(snapshot, Images::With)).collect()
}

fn with_images() -> SnapshotQuery {
    SnapshotQuery { images: Images::With, ..SnapshotQuery::all() }
}

/// Sources and seconds of what `query` finds.
fn places(store: &dyn SnapshotStore, query: &SnapshotQuery) -> Vec<(i32, i64)> {
    let place = |record| match record {
        Record::Snapshot(Snapshot { id, captured_at, .. }) => {
            (id.source.get(), (captured_at.get() - at(0).get()) / 1000)
        }
        other => panic!("{other:?}"),
    };
    store.find(query).unwrap().into_iter().map(place).collect()
}

pub(crate) fn an_empty_store_has_an_answer_to_everything(test: &impl TestSnapshots) {
    let store = test.open();
    assert_eq!(store.put(&[]).unwrap(), 0);
    assert_eq!(store.get(&id(1, 0)).unwrap(), None);
    assert_eq!(store.find(&with_images()).unwrap(), []);
    assert_eq!(store.nth(None, 0).unwrap(), None);
    assert_eq!(store.current(Images::With).unwrap(), []);
    assert_eq!((store.count(None).unwrap(), store.count(Some(source(1))).unwrap()), (0, 0));
    assert_eq!(store.stored_bytes().unwrap(), 0);
    assert_eq!(store.delete_older(UnixMillis::MAX).unwrap(), 0);
    assert_eq!(store.delete_to_size(0).unwrap(), 0);
}

pub(crate) fn a_snapshot_reads_back_as_it_was_kept_also_after_reopening(test: &impl TestSnapshots) {
    let crowd = (0..1024_u16).map(|n| goat("chèvre", f32::from(n) / 1024.0)).collect();
    let largest = Snapshot {
        id: id(i64::from(i32::MAX), i64::MAX.try_into().unwrap()),
        captured_at: UnixMillis::new(4_102_444_800_123),
        width: u32::MAX,
        height: u32::MAX,
        model: Model { name: "été \"🐐\".onnx".into(), hash: "".into() },
        detections: crowd,
        image: Some(jpeg(IMAGE_BYTES_MAX, 0)),
    };
    let smallest =
        Snapshot { width: 0, height: 0, detections: vec![], image: None, ..snapshot(1, 0) };
    let kept = [smallest, largest];
    let store = test.open();
    assert_eq!(store.put(&kept).unwrap(), 2);
    for store in [store, test.open()] {
        assert_eq!(store.find(&with_images()).unwrap(), found(&kept));
        for snapshot in &kept {
            let one = store.get(&snapshot.id).unwrap();
            assert_eq!(one, Some(Record::Snapshot(snapshot.clone())));
        }
        assert_eq!(store.stored_bytes().unwrap(), 768 << 10);
    }
}

pub(crate) fn what_is_there_stays_as_it_is(test: &impl TestSnapshots) {
    let store = test.open();
    let first = snapshot(1, 5);
    assert_eq!(store.put(from_ref(&first)).unwrap(), 1);
    let other = Snapshot { captured_at: at(9), image: Some(jpeg(300, 1)), ..first.clone() };
    assert_eq!(store.put(&[other]).unwrap(), 0);
    assert_eq!(store.find(&with_images()).unwrap(), found(&[first]));
    assert_eq!(store.stored_bytes().unwrap(), 100);
}

pub(crate) fn what_is_replaced_is_as_it_was_told_last(test: &impl TestSnapshots) {
    let store = test.open();
    let first = Snapshot { image: None, detections: Vec::new(), ..snapshot(1, 5) };
    assert_eq!(store.replace(from_ref(&first)).unwrap(), 1);
    assert_eq!(store.find(&with_images()).unwrap(), found(from_ref(&first)));
    let last = Snapshot { captured_at: at(9), ..snapshot(1, 5) };
    // The same one twice in a call: the last one stays.
    assert_eq!(store.replace(&[first, snapshot(2, 7), last.clone()]).unwrap(), 1);
    assert_eq!(store.find(&with_images()).unwrap(), found(&[snapshot(2, 7), last]));
    assert_eq!(store.stored_bytes().unwrap(), 200);
    assert_eq!(store.replace(&[]).unwrap(), 0);
}

pub(crate) fn a_batch_may_hold_the_known_the_new_and_the_same_twice(test: &impl TestSnapshots) {
    let store = test.open();
    let all: Vec<Snapshot> = (0..5).map(|second| snapshot(1, second)).collect();
    assert_eq!(store.put(&all[..2]).unwrap(), 2);
    let batch = [&all[1], &all[2], &all[0], &all[3], &all[2], &all[4]].map(Clone::clone);
    assert_eq!(store.put(&batch).unwrap(), 3);
    assert_eq!(store.put(&all).unwrap(), 0);
    assert_eq!(store.find(&with_images()).unwrap(), found(&all));
}

pub(crate) fn a_batch_of_large_pictures_is_kept_beside_those_that_are_known(
    test: &impl TestSnapshots,
) {
    let store = test.open();
    let large = |second| Snapshot { image: Some(jpeg(700 << 10, 9)), ..snapshot(1, second) };
    let all: Vec<Snapshot> = (0..8).map(large).collect();
    // Wherever a store begins its next part: some of each are there.
    assert_eq!(store.put(&[all[1].clone(), all[6].clone()]).unwrap(), 2);
    assert_eq!(store.put(&all).unwrap(), 6);
    assert_eq!(store.count(None).unwrap(), 8);
    assert_eq!(store.find(&with_images()).unwrap(), found(&all));
}

pub(crate) fn images_come_only_where_they_are_asked_for(test: &impl TestSnapshots) {
    let store = test.open();
    let kept = snapshot(1, 0);
    store.put(from_ref(&kept)).unwrap();
    let (with, without) = (as_read(&kept, Images::With), as_read(&kept, Images::Without));
    assert_ne!(with, without);
    assert_eq!(store.find(&SnapshotQuery::all()).unwrap(), from_ref(&without));
    assert_eq!(store.find(&with_images()).unwrap(), from_ref(&with));
    assert_eq!(store.current(Images::Without).unwrap(), [without]);
    assert_eq!(store.current(Images::With).unwrap(), from_ref(&with));
    assert_eq!(store.nth(None, 0).unwrap(), Some(with));
}

pub(crate) fn a_range_is_half_open_and_pages_in_both_directions(test: &impl TestSnapshots) {
    let store = test.open();
    // Two of one moment are in the order of their ids.
    let kept = [(1, 1), (1, 2), (1, 3), (2, 3), (1, 4), (2, 5)];
    store.put(&kept.map(|(of, second)| snapshot(of.into(), second))).unwrap();
    let all = SnapshotQuery::all();
    assert_eq!(places(&*store, &all), kept);
    let range = SnapshotQuery { from: Some(at(2)), to: Some(at(4)), ..all };
    assert_eq!(places(&*store, &range), [(1, 2), (1, 3), (2, 3)]);
    let backwards = SnapshotQuery { newest_first: true, ..range };
    assert_eq!(places(&*store, &backwards), [(2, 3), (1, 3), (1, 2)]);
    let page = SnapshotQuery { skip: 1, limit: 1, ..backwards };
    assert_eq!(places(&*store, &page), [(1, 3)]);
    let of_one = SnapshotQuery { source: Some(source(1)), ..all };
    assert_eq!(places(&*store, &of_one), [(1, 1), (1, 2), (1, 3), (1, 4)]);
    let newest = SnapshotQuery { newest_first: true, limit: 2, ..of_one };
    assert_eq!(places(&*store, &newest), [(1, 4), (1, 3)]);
    let later = SnapshotQuery { from: Some(at(3)), skip: 1, ..of_one };
    assert_eq!(places(&*store, &later), [(1, 4)]);
    for nothing in [
        SnapshotQuery { limit: 0, ..all },
        SnapshotQuery { skip: 6, ..all },
        SnapshotQuery { skip: u64::MAX, ..all },
        SnapshotQuery { source: Some(source(3)), ..all },
        SnapshotQuery { from: Some(at(4)), to: Some(at(4)), ..all },
        SnapshotQuery { to: Some(UnixMillis::MIN), ..all },
        SnapshotQuery { from: Some(UnixMillis::MAX), ..all },
    ] {
        assert_eq!(places(&*store, &nothing), [], "{nothing:?}");
    }
    let everything =
        SnapshotQuery { from: Some(UnixMillis::MIN), to: Some(UnixMillis::MAX), ..all };
    assert_eq!(places(&*store, &everything), kept);
}

pub(crate) fn the_nth_record_counts_from_the_oldest(test: &impl TestSnapshots) {
    let store = test.open();
    let kept = [(2, 1), (1, 2), (2, 3)].map(|(of, second)| snapshot(of, second));
    store.put(&kept).unwrap();
    let expect = |n: usize| kept.get(n).cloned().map(Record::Snapshot);
    for n in 0..4 {
        assert_eq!(store.nth(None, n.try_into().unwrap()).unwrap(), expect(n));
    }
    assert_eq!(store.nth(Some(source(2)), 1).unwrap(), expect(2));
    assert_eq!(store.nth(Some(source(2)), 2).unwrap(), None);
}

pub(crate) fn the_current_snapshot_of_a_source_is_its_newest(test: &impl TestSnapshots) {
    let store = test.open();
    let kept = [(10, 3), (2, 9), (10, 7), (2, 1), (1, 5)].map(|(of, second)| snapshot(of, second));
    store.put(&kept).unwrap();
    let newest = [&kept[4], &kept[1], &kept[2]].map(Clone::clone);
    assert_eq!(store.current(Images::With).unwrap(), found(&newest));
}

fn a_minute_of_two_sources(store: &dyn SnapshotStore) {
    let seconds = (0..60).map(|second| snapshot(1 + second % 2, second));
    assert_eq!(store.put(&seconds.collect::<Vec<_>>()).unwrap(), 60);
}

pub(crate) fn what_is_too_old_goes_and_the_rest_stays(test: &impl TestSnapshots) {
    let store = test.open();
    a_minute_of_two_sources(&*store);
    assert_eq!(store.delete_older(at(0)).unwrap(), 0);
    assert_eq!(store.delete_older(at(55)).unwrap(), 55);
    let left = places(&*store, &SnapshotQuery::all());
    assert_eq!(left, [(2, 55), (1, 56), (2, 57), (1, 58), (2, 59)]);
    assert_eq!((store.count(None).unwrap(), store.count(Some(source(2))).unwrap()), (5, 3));
    assert_eq!(store.stored_bytes().unwrap(), 500);
}

pub(crate) fn the_oldest_go_until_the_rest_is_small_enough(test: &impl TestSnapshots) {
    let store = test.open();
    a_minute_of_two_sources(&*store);
    assert_eq!(store.delete_to_size(6000).unwrap(), 0);
    assert_eq!(store.delete_to_size(5999).unwrap(), 1);
    assert_eq!(store.delete_to_size(399).unwrap(), 56);
    assert_eq!(places(&*store, &SnapshotQuery::all()), [(2, 57), (1, 58), (2, 59)]);
    assert_eq!(store.delete_to_size(0).unwrap(), 3);
    assert_eq!(store.stored_bytes().unwrap(), 0);
}

pub(crate) fn a_sweep_deletes_by_age_and_then_by_size(test: &impl TestSnapshots) {
    let store = test.open();
    a_minute_of_two_sources(&*store);
    let retention = Retention { age: Duration::from_secs(40), bytes: 2500 };
    let metrics = SnapshotMetrics::default();
    let swept = sweep(&*store, &retention, at(60), &metrics).unwrap();
    assert_eq!(swept, Swept { by_age: 20, by_size: 15, bytes_left: 2500 });
    assert_eq!(store.count(None).unwrap(), 25);
    let again = sweep(&*store, &retention, at(60), &metrics).unwrap();
    assert_eq!(again, Swept { by_age: 0, by_size: 0, bytes_left: 2500 });
}

pub(crate) fn of_many_writers_of_one_snapshot_one_keeps_it(test: &impl TestSnapshots) {
    let store = test.open();
    let all: Vec<Snapshot> = (0..10).map(|second| snapshot(1, second)).collect();
    let kept: u64 = thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|from| {
                let (store, mut mine) = (test.open(), all.clone());
                mine.rotate_left(from * 2);
                scope.spawn(move || store.put(&mine).unwrap())
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).sum()
    });
    assert_eq!(kept, 10);
    assert_eq!(store.find(&with_images()).unwrap(), found(&all));
}

/// One thing that may happen to a store.
#[derive(Clone, Debug)]
enum Step {
    Put(Vec<Snapshot>),
    Replace(Vec<Snapshot>),
    DeleteOlder(i64),
    DeleteToSize(u64),
    Reopen,
}

fn any_snapshot() -> impl Strategy<Value = Snapshot> {
    let boxes = prop::collection::vec((0_u8..3, 0.0_f32..=1.0), 0..4);
    // Few ids and moments: the same one comes again, and two share a moment.
    (1_i64..4, 8_u64..12, 0_i64..6, 3_usize..400, any::<bool>(), boxes).prop_map(
        |(of, seq, second, length, pictured, boxes)| Snapshot {
            id: id(of, seq),
            captured_at: at(second),
            detections: boxes
                .into_iter()
                .map(|(class, confidence)| goat(&format!("class_{class}"), confidence))
                .collect(),
            image: (pictured || 50 < length).then(|| jpeg(length, 1)),
            ..snapshot(1, 0)
        },
    )
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop::collection::vec(any_snapshot(), 0..6).prop_map(Step::Put),
        2 => prop::collection::vec(any_snapshot(), 0..3).prop_map(Step::Replace),
        1 => (0_i64..6).prop_map(Step::DeleteOlder),
        1 => (0_u64..1500).prop_map(Step::DeleteToSize),
        1 => Just(Step::Reopen),
    ]
}

fn any_query() -> impl Strategy<Value = SnapshotQuery> {
    let moment = || prop::option::of((0_i64..7).prop_map(at));
    let source = prop::option::of((1_i64..5).prop_map(source));
    let images = prop_oneof![Just(Images::With), Just(Images::Without)];
    (source, moment(), moment(), any::<bool>(), 0_u64..4, 0_u32..9, images).prop_map(
        |(source, from, to, newest_first, skip, limit, images)| SnapshotQuery {
            source,
            from,
            to,
            newest_first,
            skip,
            limit,
            images,
        },
    )
}

/// Compares every answer of `store` with the gallery's.
fn agree(
    store: &dyn SnapshotStore,
    gallery: &Gallery,
    queries: &[SnapshotQuery],
) -> Result<(), TestCaseError> {
    for query in queries {
        prop_assert_eq!(store.find(query).unwrap(), gallery.find(query), "{:?}", query);
    }
    prop_assert_eq!(store.find(&with_images()).unwrap(), gallery.find(&with_images()));
    prop_assert_eq!(store.current(Images::With).unwrap(), gallery.current(Images::With));
    prop_assert_eq!(store.stored_bytes().unwrap(), gallery.stored_bytes());
    prop_assert_eq!(store.get(&id(1, 9)).unwrap(), gallery.get(&id(1, 9)));
    for of in [None, Some(source(1)), Some(source(4))] {
        prop_assert_eq!(store.count(of).unwrap(), gallery.count(of));
    }
    Ok(())
}

pub(crate) fn random_histories_read_back_like_the_gallery<T: TestSnapshots>(test: &T) {
    let mut runner = TestRunner::new(ProptestConfig {
        cases: T::HISTORIES,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let histories =
        (prop::collection::vec(any_step(), 1..12), prop::collection::vec(any_query(), 6));
    let outcome = runner.run(&histories, |(steps, queries)| {
        test.clear();
        let mut store = test.open();
        let mut gallery = Gallery::default();
        for step in steps {
            match step {
                Step::Put(batch) => {
                    prop_assert_eq!(store.put(&batch).unwrap(), gallery.put(&batch));
                }
                Step::Replace(batch) => {
                    prop_assert_eq!(store.replace(&batch).unwrap(), gallery.replace(&batch));
                }
                Step::DeleteOlder(second) => {
                    let deleted = store.delete_older(at(second)).unwrap();
                    prop_assert_eq!(deleted, gallery.delete_older(at(second)));
                }
                Step::DeleteToSize(bytes) => {
                    let deleted = store.delete_to_size(bytes).unwrap();
                    prop_assert_eq!(deleted, gallery.delete_to_size(bytes));
                }
                Step::Reopen => store = test.open(),
            }
        }
        agree(&*store, &gallery, &queries)
    });
    if let Err(failed) = outcome {
        panic!("{failed}");
    }
}
