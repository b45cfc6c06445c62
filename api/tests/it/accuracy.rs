//! How right detections were, and the share of lying animals.

use axum::http::StatusCode;
use schemas::accuracy::{AccuracyStore, Confusion, Measurement};
use schemas::frame::Model;
use serde_json::{Value, json};

use crate::support::herd;
use crate::support::memory::unplugged;
use crate::world::{World, at};

/// Right and wrong detections of truly lying, then of truly standing animals.
pub(crate) fn confusion(lying: [u64; 2], standing: [u64; 2]) -> Confusion {
    Confusion {
        lying_as_lying: lying[0],
        lying_as_standing: lying[1],
        standing_as_lying: standing[1],
        standing_as_standing: standing[0],
    }
}

/// Keeps a measurement of source 1; its id.
pub(crate) fn measure(world: &World, measured_at: &str, confusion: Confusion) -> String {
    let measurement = Measurement {
        source: herd::source(1),
        measured_at: at(measured_at),
        model: Model { name: "goats.onnx".into(), hash: "00112233aabbccdd".into() },
        confidence: 0.5,
        from: at("2026-02-01T12:00:00Z"),
        to: at("2026-02-01T13:00:00.001Z"),
        frames: 60,
        confusion,
        report: json!({"classes": {"lying": {"ap50": 0.75}}}),
    };
    world.accuracy.keep(&measurement).unwrap().to_string()
}

async fn share(world: &World, size: &str) -> Value {
    let answer = world.client().get(&format!("/v1/sources/1/lying-share/{size}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.json()
}

#[tokio::test]
async fn measurements_are_told_whole_and_newest_first() {
    let world = World::small();
    let client = world.client();
    let path = "/v1/sources/1/accuracy";
    assert_eq!(client.get(path).await.json(), json!({"items": []}));
    let older = measure(&world, "2026-02-02T12:00:00Z", confusion([3, 0], [0, 0]));
    let newer = measure(&world, "2026-02-03T12:00:00Z", confusion([57, 3], [45, 5]));
    let told = client.get(path).await.json();
    let ids: Vec<_> = told["items"].as_array().unwrap().iter().map(|item| &item["id"]).collect();
    assert_eq!(ids, [&newer, &older]);
    assert_eq!(
        told["items"][0],
        json!({
            "id": newer,
            "source": 1,
            "measured_at": "2026-02-03T12:00:00Z",
            "model": {"name": "goats.onnx", "hash": "00112233aabbccdd"},
            "confidence": 0.5,
            "from": "2026-02-01T12:00:00Z",
            "to": "2026-02-01T13:00:00.001Z",
            "frames": 60,
            "confusion": {
                "lying_as_lying": 57, "lying_as_standing": 3, "standing_as_lying": 5,
                "standing_as_standing": 45, "sensitivity": 0.95, "specificity": 0.9,
            },
            "report": {"classes": {"lying": {"ap50": 0.75}}},
        })
    );
    let oldest = &told["items"][1]["confusion"];
    assert_eq!((&oldest["sensitivity"], &oldest["specificity"]), (&json!(1.0), &Value::Null));
    let one = client.get("/v1/sources/1/accuracy?limit=1").await.json();
    assert_eq!(one["items"], json!([told["items"][0]]));
    assert_eq!(client.get("/v1/sources/2/accuracy").await.json(), json!({"items": []}));
    for (query, told) in [
        ("/v1/sources/0/accuracy", "400 bad-parameter: source is \"0\""),
        ("/v1/sources/1/accuracy?limit=101", "400 bad-parameter: limit is \"101\""),
        ("/v1/sources/1/accuracy?from=2026", "400 bad-parameter: the query has \"from\""),
    ] {
        let answer = client.get(query).await;
        assert!(answer.problem().starts_with(told), "{}", answer.problem());
    }
}

#[tokio::test]
async fn a_share_is_told_raw_and_beside_it_corrected_by_the_newest_measurement() {
    let world = World::small();
    measure(&world, "2026-02-02T12:00:00Z", confusion([3, 0], [3, 0]));
    let newest = measure(&world, "2026-02-03T12:00:00Z", confusion([57, 3], [45, 5]));
    // Headcounts that were compared later know nothing of postures.
    measure(&world, "2026-02-04T12:00:00Z", confusion([0, 0], [0, 0]));
    let told = share(&world, "1h").await;
    assert_eq!(told["next_cursor"], Value::Null);
    assert_eq!(told["items"].as_array().unwrap().len(), 1);
    let item = &told["items"][0];
    // Lying 3, 6 and 0; standing 2 each time.
    for (field, value) in [
        ("source", json!(1)),
        ("size", json!("1h")),
        ("start", json!("2026-03-01T12:00:00Z")),
        ("end", json!("2026-03-01T13:00:00Z")),
        ("frames", json!(3)),
        ("lying", json!(9)),
        ("standing", json!(6)),
        ("raw", json!(0.6)),
        ("why_not", Value::Null),
    ] {
        assert_eq!(item[field], value, "{field}");
    }
    let corrected = &item["corrected"];
    assert_eq!(
        (&corrected["level"], &corrected["method"], &corrected["accuracy"]),
        (&json!(0.95), &json!("rogan_gladen"), &json!(newest))
    );
    // (0.6 + 0.9 - 1) / (0.95 + 0.9 - 1), and its limits as the formulas give them in
    // Python.
    for (field, value) in
        [("share", 0.5 / 0.85), ("low", 0.28490135840650693), ("high", 0.8426014945519467)]
    {
        let told = corrected[field].as_f64().unwrap();
        assert!((told - value).abs() < 1e-12, "{field} is {told}, not {value}");
    }
    // A minute in which nobody lies has a share too.
    let minutes = share(&world, "1m").await;
    let raw: Vec<_> =
        minutes["items"].as_array().unwrap().iter().map(|item| &item["raw"]).collect();
    assert_eq!(raw, [&json!(0.0), &json!(9.0 / 13.0)]);
    assert_eq!(minutes["items"][0]["corrected"]["share"], 0.0);
}

#[tokio::test]
async fn what_cannot_be_corrected_is_told_raw_with_the_reason() {
    let world = World::small();
    let told = async |size: &str| share(&world, size).await["items"][0].clone();
    let why = |item: &Value| {
        assert_eq!(item["corrected"], Value::Null, "{item}");
        item["why_not"].as_str().unwrap().to_owned()
    };
    let item = told("1h").await;
    assert!(why(&item).starts_with("the source's detections were never compared"), "{item}");
    assert_eq!(item["raw"], 0.6);
    for (measured_at, confusion, reason) in [
        ("2026-02-01T12:00:00Z", confusion([0, 0], [45, 5]), "truly lies"),
        ("2026-02-02T12:00:00Z", confusion([45, 5], [0, 0]), "truly stands"),
        ("2026-02-03T12:00:00Z", confusion([5, 5], [5, 5]), "not clearly better than chance"),
    ] {
        measure(&world, measured_at, confusion);
        let item = told("1h").await;
        assert!(why(&item).contains(reason), "{item}");
        assert_eq!(item["raw"], 0.6);
    }
    // Nobody was seen: there is nothing to correct.
    measure(&world, "2026-02-04T12:00:00Z", confusion([57, 3], [45, 5]));
    world.count(1, "2026-03-01T15:00:00Z", &[("lying", 0), ("standing", 0), ("total", 0)]);
    let item = told("1h").await;
    assert_eq!((&item["raw"], &item["lying"]), (&Value::Null, &json!(0)));
    assert!(why(&item).starts_with("no animal was seen"), "{item}");
}

#[tokio::test]
async fn a_class_that_a_window_never_saw_is_none_of_its_animals() {
    let world = World::empty();
    world.count(1, "2026-03-01T12:00:00Z", &[("lying", 3)]);
    world.count(1, "2026-03-01T12:01:00Z", &[("eat", 3)]);
    let told = share(&world, "1m").await;
    let of = |place: usize| {
        let item = &told["items"][place];
        (item["lying"].clone(), item["standing"].clone(), item["raw"].clone())
    };
    assert_eq!(of(1), (json!(3), json!(0), json!(1.0)));
    assert_eq!(of(0), (json!(0), json!(0), Value::Null));
}

#[tokio::test]
async fn shares_are_asked_for_as_windows_are() {
    let world = World::small();
    let client = world.client();
    let path = "/v1/sources/1/lying-share/1m";
    let first = client.get(&format!("{path}?limit=1&order=oldest")).await.json();
    assert_eq!(first["items"][0]["start"], "2026-03-01T12:00:00Z");
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = client.get(&format!("{path}?limit=1&cursor={cursor}")).await.json();
    assert_eq!(rest["items"][0]["start"], "2026-03-01T12:03:00Z");
    assert_eq!(rest["next_cursor"], Value::Null);
    let part = client.get(&format!("{path}?from=2026-03-01T12:01:00Z")).await.json();
    assert_eq!(part["items"], rest["items"]);
    for (query, told) in [
        ("/v1/sources/9/lying-share/1m", "404 no-such-source"),
        ("/v1/sources/1/lying-share/2m", "400 bad-parameter: size is \"2m\""),
        (
            "/v1/sources/1/lying-share/1m?metric=lying",
            "400 bad-parameter: the query has \"metric\"",
        ),
        ("/v1/sources/1/lying-share/1h?cursor=x", "400 bad-parameter: cursor is \"x\""),
    ] {
        let answer = client.get(query).await;
        assert!(answer.problem().starts_with(told), "{}", answer.problem());
    }
}

#[tokio::test]
async fn a_new_measurement_changes_what_was_answered_and_its_tag() {
    let world = World::small();
    let client = world.client();
    let path = "/v1/sources/1/lying-share/1h";
    let before = client.get(path).await;
    let known = client.with("if-none-match", before.header("etag"));
    assert_eq!(known.get(path).await.status, StatusCode::NOT_MODIFIED);
    measure(&world, "2026-02-03T12:00:00Z", confusion([57, 3], [45, 5]));
    let after = known.get(path).await;
    assert_eq!(after.status, StatusCode::OK);
    assert_eq!(after.json()["items"][0]["why_not"], Value::Null);
}

#[tokio::test]
async fn while_the_measurements_are_away_the_last_answer_is_given_with_its_age() {
    let world = World::small();
    let client = world.client();
    let paths = ["/v1/sources/1/accuracy", "/v1/sources/1/lying-share/1h"];
    for path in paths {
        assert_eq!(client.get(path).await.status, StatusCode::OK);
    }
    *world.accuracy.failure.lock().unwrap() = Some(unplugged);
    for path in paths {
        let answer = client.get(path).await;
        assert_eq!((answer.status, answer.header("animov-stale")), (StatusCode::OK, "0"));
        let other = client.get(&format!("{path}?limit=3")).await;
        assert!(other.problem().starts_with("503 "), "{other:?}");
    }
}
