//! Pictures that were kept.

use axum::http::{Method, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemas::snapshot::{Foreign, Record};
use serde_json::json;

use crate::world::{Client, World};

/// Three records of two cameras; the newest has no picture.
async fn kept(world: &World) -> Client {
    let client = world.client();
    let picture = STANDARD.encode([0xFF, 0xD8, 0xFF, 1, 2, 3]);
    let lying = json!([{"class": "lying", "x": 0.1, "y": 0.1, "w": 0.1, "h": 0.1}]);
    let body = json!([
        {"source": 1, "timestamp": 1000, "detect": lying, "frame": picture},
        {"source": 2, "timestamp": 2000, "detect": lying, "frame": picture},
        {"source": 1, "timestamp": 3000, "detect": [], "width": 4, "height": 3},
    ]);
    let json = client.with("content-type", "application/json");
    let body = body.to_string().into_bytes();
    let answer = json.send(Method::POST, "/receive_data_animov", body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    client
}

#[tokio::test]
async fn records_are_found_by_source_and_time_and_counted() {
    let world = World::empty();
    let client = kept(&world).await;
    let found = async |query: &str| {
        let answer = client.get(&format!("/v1/snapshots{query}")).await.json();
        let items = answer["items"].as_array().unwrap().iter();
        let moments: Vec<String> =
            items.map(|item| item["captured_at"].as_str().unwrap_or("-").to_owned()).collect();
        let next = answer["next_skip"].to_string();
        format!("{} of {}, next {next}", moments.join(" "), answer["total"])
    };
    assert_eq!(
        found("").await,
        "1970-01-01T00:50:00Z 1970-01-01T00:33:20Z 1970-01-01T00:16:40Z of 3, next null"
    );
    assert_eq!(
        found("?source=1&order=oldest").await,
        "1970-01-01T00:16:40Z 1970-01-01T00:50:00Z of 2, next null"
    );
    assert_eq!(found("?from=1000000&to=2000000").await, "1970-01-01T00:16:40Z of 3, next null");
    assert_eq!(found("?limit=1&skip=1").await, "1970-01-01T00:33:20Z of 3, next 2");
    for wrong in ["?limit=0", "?source=x", "?skip=-1", "?order=best", "?from=x", "?form=1"] {
        let answer = client.get(&format!("/v1/snapshots{wrong}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
}

#[tokio::test]
async fn the_nth_record_and_any_by_its_name_are_told_and_shown() {
    let world = World::empty();
    let client = kept(&world).await;
    let first = client.get("/v1/snapshots/nth/0").await.json();
    assert_eq!(first["captured_at"], "1970-01-01T00:16:40Z");
    let of_two = client.get("/v1/snapshots/nth/0?source=2").await.json();
    assert_eq!(of_two["source"], 2);
    assert_eq!(of_two["detections"][0]["class"], "lying");

    let place = format!("/v1/snapshots/{}", of_two["id"].as_str().unwrap());
    assert_eq!(client.get(&place).await.json(), of_two);
    let image = client.get_bytes(&format!("{place}/image")).await;
    assert_eq!(image, [0xFF, 0xD8, 0xFF, 1, 2, 3]);
    let drawn = client.get_bytes(&format!("{place}/image?boxes=true")).await;
    assert_eq!(drawn, [&image[..], b"lying"].concat());
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let world = World::empty();
    let client = kept(&world).await;
    let third = client.get("/v1/snapshots/nth/2").await.json();
    let unpictured = format!("/v1/snapshots/{}/image", third["id"].as_str().unwrap());
    for path in [
        "/v1/snapshots/nth/3",
        "/v1/snapshots/1/0b9d3c4e-6a55-4f0e-9a62-6f5d8a3c7b11/42",
        "/v1/snapshots/1/0b9d3c4e-6a55-4f0e-9a62-6f5d8a3c7b11/42/image",
        "/v1/snapshots/..%2f..%2fetc/passwd/1",
        &unpictured,
    ] {
        let answer = client.get(path).await;
        assert!(answer.problem().starts_with("404 no-such-snapshot: "), "{path}: {answer:?}");
    }
    let wrong = client.get("/v1/snapshots/nth/first").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn another_programs_record_is_told_as_it_is() {
    let world = World::empty();
    let data = vec![json!({"detect": 1, "frame": "aGk="})];
    let foreign = Record::Foreign(Foreign { id: "theirs".to_owned(), data: data.clone() });
    world.album.others.lock().unwrap().push(foreign);
    let told = world.client().get("/v1/snapshots/nth/0").await.json();
    assert_eq!((&told["kind"], &told["other"]), (&json!("foreign"), &json!(data)));
}
