//! What several sources saw together.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::world::{Client, World};

async fn windows(client: &Client, path: &str) -> Vec<Value> {
    let answer = client.get(path).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.json()["items"].as_array().unwrap().clone()
}

/// As small, with a second source in 12:00 and 12:01.
fn two() -> World {
    let world = World::small();
    world.count(2, "2026-03-01T12:00:10Z", &[("lying", 0), ("standing", 4), ("total", 4)]);
    world.count(2, "2026-03-01T12:01:10Z", &[("lying", 0), ("standing", 0), ("total", 0)]);
    world
}

#[tokio::test]
async fn animals_are_added_up_over_the_sources_and_not_over_their_frames() {
    let client = two().client();
    let told = windows(&client, "/v1/herd/1m?order=oldest").await;
    assert_eq!(
        told[0],
        json!({
            "size": "1m", "start": "2026-03-01T12:00:00Z", "end": "2026-03-01T12:01:00Z",
            "sources": [1, 2], "missing": [], "frames": 3, "coverage": 3.0 / 24.0,
            "status": "open",
            // Source 1 saw 3 and 6 lying beside 2 standing, source 2 saw 4 standing.
            "metrics": {"lying": 4.5, "standing": 6.0, "total": 10.5},
            "lying": 4.5, "standing": 6.0, "lying_share": 4.5 / 10.5, "synchrony": 1.0 - 4.5 / 10.5,
        })
    );
    // Only source 2, and nobody there: no data of the one, no animals of the other.
    assert_eq!(told[1]["sources"], json!([2]));
    assert_eq!(told[1]["missing"], json!([1]));
    assert_eq!(told[1]["metrics"]["total"], 0.0);
    assert_eq!((&told[1]["lying_share"], &told[1]["synchrony"]), (&Value::Null, &Value::Null));
    // Nobody has 12:02; at 12:03 all stand.
    assert_eq!(told.len(), 3);
    assert_eq!((&told[2]["lying_share"], &told[2]["synchrony"]), (&json!(0.0), &json!(1.0)));
}

#[tokio::test]
async fn an_open_row_makes_the_herds_open_and_a_corrected_one_corrected() {
    let world = two();
    let set = |status: [(i64, schemas::commit::Status); 2]| {
        for window in world.store.tables().windows.values_mut() {
            for (source, status) in status {
                if i64::from(window.source.get()) == source {
                    window.status = status;
                }
            }
        }
    };
    let client = world.client();
    use schemas::commit::Status::{Corrected, Final, Open};
    for (first, second, told) in [
        (Final, Final, "final"),
        (Final, Corrected, "corrected"),
        (Corrected, Open, "open"),
        (Open, Final, "open"),
    ] {
        set([(1, first), (2, second)]);
        let windows = windows(&client, "/v1/herd/1h").await;
        assert_eq!(windows[0]["status"], told, "{first:?} {second:?}");
    }
}

#[tokio::test]
async fn only_sources_that_may_be_seen_are_added() {
    let client = World::with_people().client();
    let (vera, vic) = (client.logged_in("vera").await, client.logged_in("vic").await);
    let sources = async |client: &Client, query: &str| {
        windows(client, &format!("/v1/herd/1h{query}")).await[0]["sources"].clone()
    };
    assert_eq!(sources(&vera, "").await, json!([1, 2, 7]));
    assert_eq!(sources(&vera, "?sources=7,1").await, json!([1, 7]));
    assert_eq!(sources(&vic, "").await, json!([2]));
    let missing = windows(&vic, "/v1/herd/1m?to=2026-03-01T12:00:30Z").await[0]["missing"].clone();
    assert_eq!(missing, json!([]), "nobody is told of the others");
    let refused = async |client: &Client, query: &str| {
        client.get(&format!("/v1/herd/1h{query}")).await.problem()
    };
    for (client, query, told) in [
        (&vic, "?sources=2,7", "403 not-your-source: source 7"),
        (&vera, "?sources=1,9", "404 no-such-source: source 9"),
        (&vera, "?sources=1,x", "400 bad-parameter: sources is \"1,x\""),
        (&vera, "?sources=", "400 bad-parameter: sources is \"\""),
        (&vera, "?metric=lying", "400 bad-parameter: the query has \"metric\""),
        (&vera, "?limit=1501", "400 bad-parameter: limit is \"1501\""),
    ] {
        let problem = refused(client, query).await;
        assert!(problem.starts_with(told), "{problem}");
    }
    let of_source = client.logged_in("vera").await;
    let cursor = of_source.get("/v1/sources/1/windows/1m?limit=1").await.json();
    let cursor = cursor["next_cursor"].as_str().unwrap();
    let problem = refused(&of_source, &format!("?cursor={cursor}")).await;
    assert!(problem.ends_with("it belongs to another source or size"), "{problem}");
}

#[tokio::test]
async fn of_many_sources_an_answer_has_fewer_windows_and_leads_on() {
    let world = World::empty();
    for source in 1..=2000 {
        for minute in 0..11 {
            let captured_at = format!("2026-03-01T12:{minute:02}:00Z");
            world.count(source, &captured_at, &[("total", 1)]);
        }
    }
    let first = world.client().get("/v1/herd/1m").await.json();
    let items = first["items"].as_array().unwrap();
    assert_eq!(items.len(), 10);
    assert_eq!(items[0]["metrics"]["total"], 2000.0);
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = windows(&world.client(), &format!("/v1/herd/1m?cursor={cursor}")).await;
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0]["start"], "2026-03-01T12:00:00Z");
}

proptest! {
    /// Walking page by page meets what adding up all frames by hand gives.
    #[test]
    fn pages_are_what_adding_up_by_hand_gives(
        frames in prop::collection::vec((1_i64..4, 0_u32..12, 0_u32..9), 1..40),
        limit in 1_usize..5,
        newest in any::<bool>(),
    ) {
        let world = World::empty();
        let mut by_hand: BTreeMap<u32, BTreeMap<i64, Vec<u32>>> = BTreeMap::new();
        for (at, (source, minute, animals)) in frames.iter().enumerate() {
            let captured_at = format!("2026-03-01T12:{minute:02}:{:02}Z", at % 60);
            world.count(*source, &captured_at, &[("total", *animals)]);
            by_hand.entry(*minute).or_default().entry(*source).or_default().push(*animals);
        }
        let known: BTreeSet<i64> = frames.iter().map(|(source, ..)| *source).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let told = runtime.block_on(async {
            let client = world.client();
            let order = if newest { "newest" } else { "oldest" };
            let first = format!("/v1/herd/1m?limit={limit}&order={order}");
            let (mut told, mut path) = (Vec::new(), first.clone());
            for _ in 0..20 {
                let answer = client.get(&path).await.json();
                told.push(answer["items"].as_array().unwrap().clone());
                let Some(cursor) = answer["next_cursor"].as_str() else { break };
                path = format!("/v1/herd/1m?limit={limit}&cursor={cursor}");
            }
            told
        });
        prop_assert!(told.iter().rev().skip(1).all(|page| page.len() == limit));
        let mut told: Vec<Value> = told.into_iter().flatten().collect();
        if newest {
            told.reverse();
        }
        prop_assert_eq!(told.len(), by_hand.len());
        for (told, (minute, sources)) in told.iter().zip(by_hand) {
            prop_assert_eq!(&told["start"], &json!(format!("2026-03-01T12:{minute:02}:00Z")));
            prop_assert_eq!(&told["sources"], &json!(sources.keys().collect::<Vec<_>>()));
            let missing: Vec<_> = known.iter().filter(|source| !sources.contains_key(source)).collect();
            prop_assert_eq!(&told["missing"], &json!(missing));
            let mean = |seen: &Vec<u32>| {
                let sum: u32 = seen.iter().sum();
                f64::from(sum) / f64::from(u32::try_from(seen.len()).unwrap())
            };
            let total: f64 = sources.values().map(mean).sum();
            prop_assert!((told["metrics"]["total"].as_f64().unwrap() - total).abs() < 1e-9);
        }
    }
}
