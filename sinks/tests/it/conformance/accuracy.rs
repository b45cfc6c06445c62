//! What every [`AccuracyStore`] must do.

use std::sync::Arc;
use std::thread;

use schemas::accuracy::{AccuracyStore, Confusion, Measurement, StoredMeasurement};
use schemas::frame::Model;
use schemas::time::UnixMillis;
use serde_json::{Value, json};

use crate::conformance::log::source;
use crate::conformance::state::TestState;

/// Makes tables that know measurements.
pub(crate) trait TestAccuracy: TestState {
    fn open_accuracy(&self) -> Arc<dyn AccuracyStore>;
}

/// One test for each thing that tables of measurements must do.
macro_rules! accuracy_conformance {
    ($state:ty) => {
        $crate::conformance::accuracy::accuracy_conformance!($state:
            nothing_was_measured_in_an_empty_store,
            a_measurement_is_kept_as_it_is,
            the_same_result_is_kept_once_and_is_as_new_as_the_last_time,
            of_many_who_keep_the_same_result_one_row_is_left,
            measurements_are_told_newest_first_and_no_more_than_asked_for,
            headcounts_do_not_hide_the_newest_measurement_of_postures,
        );
    };
    ($state:ty: $($case:ident,)*) => {
        $(
            #[test]
            fn $case() {
                match <$state as $crate::conformance::state::TestState>::new() {
                    Some(state) => $crate::conformance::accuracy::$case(&state),
                    None => println!("skipped"),
                }
            }
        )*
    };
}
pub(crate) use accuracy_conformance;

fn at(second: i64) -> UnixMillis {
    UnixMillis::new(1_795_000_000_000 + second * 1000)
}

/// Of a source, at a second, and unlike any of another number.
fn measurement(of: i64, second: i64, number: u64) -> Measurement {
    Measurement {
        source: source(of),
        measured_at: at(second),
        model: Model { name: "goats.onnx".into(), hash: "00112233aabbccdd".into() },
        confidence: 0.4,
        from: at(-7200),
        to: at(-3600),
        frames: 60,
        confusion: Confusion {
            lying_as_lying: 57,
            lying_as_standing: 3,
            standing_as_lying: 5,
            standing_as_standing: 45,
        },
        report: json!({ "number": number }),
    }
}

fn stored(measurement: Measurement) -> StoredMeasurement {
    StoredMeasurement { id: measurement.id(), measurement }
}

pub(crate) fn nothing_was_measured_in_an_empty_store(test: &impl TestAccuracy) {
    assert_eq!(test.open_accuracy().of_source(source(1), 10).unwrap(), []);
}

pub(crate) fn a_measurement_is_kept_as_it_is(test: &impl TestAccuracy) {
    let store = test.open_accuracy();
    let many = u64::try_from(i64::MAX).unwrap();
    let long: Vec<Value> =
        (0..40_000).map(|n| json!({ "frame": n, "iou": f64::from(n) })).collect();
    let unusual = [
        measurement(1, 4, 0),
        Measurement {
            model: Model { name: "ch\u{e8}vres'; -- \u{1f410}.onnx ".into(), hash: "".into() },
            confidence: f32::MIN_POSITIVE,
            from: UnixMillis::MIN,
            to: UnixMillis::MAX,
            frames: 0,
            confusion: Confusion::default(),
            report: Value::Null,
            ..measurement(1, 3, 0)
        },
        Measurement {
            confidence: 0.1,
            frames: many,
            confusion: Confusion {
                lying_as_lying: many,
                lying_as_standing: 1,
                standing_as_lying: 2,
                standing_as_standing: many,
            },
            report: json!({
                "text": "\"\\\u{0}\n\u{1f410} 'x'",
                "numbers": [0.1, -0.5, 1e-9, u64::MAX, i64::MIN],
                "nested": { "b": [], "a": {} },
            }),
            ..measurement(1, 2, 0)
        },
        Measurement { report: long.into(), ..measurement(1, 1, 0) },
    ];
    for one in &unusual {
        assert_eq!(store.keep(one).unwrap(), one.id());
    }
    let told = test.open_accuracy().of_source(source(1), 10).unwrap();
    assert_eq!(told, unusual.map(stored));
}

pub(crate) fn the_same_result_is_kept_once_and_is_as_new_as_the_last_time(
    test: &impl TestAccuracy,
) {
    let store = test.open_accuracy();
    let told = || -> Vec<(u64, UnixMillis)> {
        let told = store.of_source(source(1), 10).unwrap();
        let number = |report: &Value| report["number"].as_u64().unwrap();
        told.iter()
            .map(|told| (number(&told.measurement.report), told.measurement.measured_at))
            .collect()
    };
    for (second, number) in [(1, 7), (2, 8), (1, 7)] {
        store.keep(&measurement(1, second, number)).unwrap();
    }
    assert_eq!(told(), [(8, at(2)), (7, at(1))]);
    store.keep(&measurement(1, 3, 7)).unwrap();
    assert_eq!(told(), [(7, at(3)), (8, at(2))]);
    // A clock that went back makes nothing older.
    store.keep(&measurement(1, 0, 7)).unwrap();
    assert_eq!(told(), [(7, at(3)), (8, at(2))]);
}

pub(crate) fn of_many_who_keep_the_same_result_one_row_is_left(test: &impl TestAccuracy) {
    let stores: Vec<_> = (0..6).map(|_| test.open_accuracy()).collect();
    thread::scope(|scope| {
        for (second, store) in (0..).zip(&stores) {
            scope.spawn(move || store.keep(&measurement(1, second, 7)).unwrap());
        }
    });
    assert_eq!(stores[0].of_source(source(1), 10).unwrap(), [stored(measurement(1, 5, 7))]);
}

pub(crate) fn measurements_are_told_newest_first_and_no_more_than_asked_for(
    test: &impl TestAccuracy,
) {
    let store = test.open_accuracy();
    let mut all: Vec<Measurement> =
        (0..20).map(|n| measurement(1, n / 2, u64::try_from(n).unwrap())).collect();
    for one in &all {
        store.keep(one).unwrap();
        store.keep(&Measurement { source: source(2), ..one.clone() }).unwrap();
    }
    // Of one moment, the higher id first: an order that stays.
    all.sort_by_key(|one| (one.measured_at, one.id()));
    all.reverse();
    let all: Vec<StoredMeasurement> = all.into_iter().map(stored).collect();
    assert_eq!(store.of_source(source(1), 100).unwrap(), all);
    assert_eq!(store.of_source(source(1), 7).unwrap(), all[..7]);
    assert_eq!(store.of_source(source(1), 0).unwrap(), []);
    assert_eq!(store.of_source(source(3), 100).unwrap(), []);
}

pub(crate) fn headcounts_do_not_hide_the_newest_measurement_of_postures(test: &impl TestAccuracy) {
    let store = test.open_accuracy();
    let of = |second: i64, lying: [u64; 2], standing: [u64; 2]| Measurement {
        confusion: Confusion {
            lying_as_lying: lying[0],
            lying_as_standing: lying[1],
            standing_as_lying: standing[0],
            standing_as_standing: standing[1],
        },
        ..measurement(1, second, second.try_into().unwrap())
    };
    let newest = || store.newest_of_postures(source(1)).unwrap();
    // Headcounts, and only one of the two postures.
    for one in [of(1, [0, 0], [0, 0]), of(2, [5, 5], [0, 0]), of(3, [0, 0], [5, 5])] {
        store.keep(&one).unwrap();
        assert_eq!(newest(), None);
    }
    let known = [of(4, [1, 0], [1, 0]), of(5, [0, 1], [0, 1])];
    for one in &known {
        store.keep(one).unwrap();
        store.keep(&Measurement { source: source(2), measured_at: at(9), ..one.clone() }).unwrap();
        assert_eq!(newest(), Some(stored(one.clone())));
    }
    store.keep(&of(6, [0, 0], [0, 0])).unwrap();
    assert_eq!(newest(), Some(stored(known[1].clone())));
    assert_eq!(store.newest_of_postures(source(3)).unwrap(), None);
}
