//! Headcounts, prices and minutes that others recorded.

use axum::http::{Method, StatusCode};
use schemas::imported::minute::{Measured, Thousandths};
use schemas::imported::{ImportedMinute, ImportedStore, Price, StoredMinute, Visit};
use serde_json::{Value, json};

use crate::support::herd;
use crate::support::memory::unplugged;
use crate::world::{Answer, Client, World, at};

const HEADER: &str = "date;Effectif couche;Effectif debout\n";

async fn upload(client: &Client, query: &str, body: impl Into<Vec<u8>>) -> Answer {
    let client = client.with("content-type", "text/csv");
    client.send(Method::POST, &format!("/v1/headcounts{query}"), body.into()).await
}

/// Everything at `path`, in pages of two.
async fn paged(client: &Client, path: &str) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    for _ in 0..100 {
        let answer = client.get(&format!("{path}&limit=2{cursor}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let page = answer.json();
        items.extend(page["items"].as_array().unwrap().clone());
        let Some(next) = page["next_cursor"].as_str() else { return items };
        cursor = format!("&cursor={next}");
    }
    panic!("it has no end");
}

#[tokio::test]
async fn a_file_is_imported_once_and_its_refusals_are_told() {
    let world = World::empty();
    let client = world.client();
    let text = format!("{HEADER}2026-03-01 12:00;3;4,5\nyesterday;1;2\n2026-03-01 12:20;;2\n");
    let answer = upload(&client, "?source=3&name=pen-1.csv", text.clone()).await;
    assert_eq!(
        answer.json(),
        json!({
            "table": "final", "known": false, "rows": 3, "new": 2, "refused": 1,
            "refusals": [{"line": 3, "reason": "no date", "found": "yesterday"}],
        })
    );
    let again = upload(&client, "?source=3&name=renamed-1.csv", text.clone()).await.json();
    assert_eq!((&again["known"], &again["new"]), (&json!(true), &json!(0)));
    let grown = upload(&client, "?source=3&name=pen-1.csv", text + "01/03/2026 13:00;1;1\n").await;
    assert_eq!(grown.json()["new"], 1);

    let files = client.get("/v1/headcounts/files?source=3").await.json();
    let told: Vec<_> = files["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| (file["name"].as_str().unwrap(), file["new"].as_u64(), file["rows"].as_u64()))
        .collect();
    assert_eq!(told, [("pen-1.csv", Some(1), Some(4)), ("pen-1.csv", Some(2), Some(3))]);
    assert_eq!(paged(&client, "/v1/headcounts/files?source=3").await.len(), 2);
    assert_eq!(client.get("/v1/headcounts/files?source=4").await.json()["items"], json!([]));

    let series = client.get("/v1/headcounts?source=3&order=oldest").await.json();
    assert_eq!(
        series,
        json!({
            "source": 3, "origin": "final", "rows_refused": 2, "next_cursor": null, "items": [
                {"datetime": "2026-03-01T12:00:00", "start": null, "rows": 1, "lying": 3.0,
                 "standing": 4.5, "ratio_standing": 60.0},
                {"datetime": "2026-03-01T12:15:00", "start": null, "rows": 1, "lying": null,
                 "standing": 2.0, "ratio_standing": null},
                {"datetime": "2026-03-01T13:00:00", "start": null, "rows": 1, "lying": 1.0,
                 "standing": 1.0, "ratio_standing": 50.0},
            ]
        })
    );
    let other = client.get("/v1/headcounts?source=3&origin=final_2").await.json();
    assert_eq!(other["items"], json!([]));
}

#[tokio::test]
async fn quarters_are_asked_for_by_the_sites_clocks_and_in_pages() {
    let world = World::empty();
    let client = world.client();
    let rows: String = (0..24).map(|hour| format!("2026-03-01 {hour:02}:07;1;{hour}\n")).collect();
    upload(&client, "?source=3&name=pen-2.csv", format!("{HEADER}{rows}")).await;
    let path = "/v1/headcounts?source=3&origin=final_2";
    // 09:00 to 12:00 in Paris.
    let part = format!("{path}&from=2026-03-01T08:00:00Z&to=2026-03-01T11:00:01Z&order=oldest");
    let times = |items: &[Value]| -> Vec<String> {
        items.iter().map(|item| item["datetime"].as_str().unwrap().to_owned()).collect()
    };
    let expected = [9, 10, 11, 12].map(|hour| format!("2026-03-01T{hour:02}:00:00"));
    let told = client.get(&part).await.json()["items"].as_array().unwrap().clone();
    assert_eq!(times(&told), expected);
    assert_eq!(times(&paged(&client, &part).await), expected);
    let newest = paged(&client, path).await;
    assert_eq!(newest.len(), 24);
    assert_eq!(newest[0]["datetime"], "2026-03-01T23:00:00");
}

#[tokio::test]
async fn a_camera_gives_the_same_series_exactly() {
    let world = World::small();
    let client = world.client();
    let series = client.get("/v1/headcounts?source=1&origin=camera").await.json();
    // Lying 3, 6 and 0; standing 2.
    assert_eq!(
        series,
        json!({
            "source": 1, "origin": "camera", "rows_refused": null, "next_cursor": null, "items": [
                {"datetime": "2026-03-01T13:00:00", "start": "2026-03-01T12:00:00Z", "rows": 3,
                 "lying": 3.0, "standing": 2.0, "ratio_standing": 40.0},
            ]
        })
    );
    world.count(1, "2026-03-01T14:00:00Z", &[("lying", 0), ("standing", 0), ("total", 0)]);
    world.count(1, "2026-03-01T15:00:00Z", &[("lying", 1), ("standing", 0), ("total", 1)]);
    herd::settle(&mut world.store.tables());
    let items = paged(&client, "/v1/headcounts?source=1&origin=camera").await;
    let ratios: Vec<_> = items.iter().map(|item| item["ratio_standing"].as_f64()).collect();
    assert_eq!(ratios, [Some(0.0), None, Some(40.0)]);
    let unknown = client.get("/v1/headcounts?source=9&origin=camera").await;
    assert!(unknown.problem().starts_with("404 no-such-source"), "{unknown:?}");
}

#[tokio::test]
async fn an_upload_is_refused_with_what_to_do() {
    let world = World::empty();
    let client = world.client();
    let upload = async |query: &str, body: &str| upload(&client, query, body).await;
    let other = upload("?source=3&name=notes.csv", "whatever").await;
    assert_eq!(
        other.json(),
        json!({"table": null, "known": false, "rows": 0, "new": 0, "refused": 0, "refusals": []})
    );
    for (query, body, told) in [
        ("?name=pen-1.csv", HEADER, "400 bad-parameter: source is"),
        ("?source=0&name=pen-1.csv", HEADER, "400 bad-parameter: source is \"0\""),
        ("?source=3", HEADER, "400 bad-parameter: name is"),
        ("?source=3&name=../pen-1.csv", HEADER, "400 bad-parameter: name is"),
        ("?source=3&name=pen-1.csv&table=x", HEADER, "400 bad-parameter: the query has \"table\""),
        (
            "?source=3&name=pen-1.csv",
            "",
            "422 unreadable-file: the file cannot be imported: it is empty",
        ),
        (
            "?source=3&name=pen-1.csv",
            "a,b\n",
            "422 unreadable-file: the file cannot be imported: it has no column \"date\"",
        ),
    ] {
        let answer = upload(query, body).await;
        assert!(answer.problem().starts_with(told), "{}", answer.problem());
    }
    let plain = client.with("content-type", "text/plain");
    let answer = plain.send(Method::POST, "/v1/headcounts?source=3&name=a-1.csv", Vec::new()).await;
    assert!(answer.problem().starts_with("415 unsupported-type: the body is text/plain"));
    let foreign = client.with("origin", "https://evil.example").with("content-type", "text/csv");
    let answer =
        foreign.send(Method::POST, "/v1/headcounts?source=3&name=a-1.csv", Vec::new()).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(world.imported.files.lock().unwrap().is_empty());
}

fn null_of() -> Value {
    json!({"sum": null, "min": null, "max": null, "mean": null, "std": null, "q1": null,
           "median": null, "q3": null, "modes": null})
}

fn minute(start: &str, id: i64, frames: Option<i32>) -> StoredMinute {
    let lying = Measured {
        sum: Some(90),
        min: Some(1),
        max: Some(2),
        std: Some(Thousandths(504)),
        q1: Some(Thousandths(1000)),
        median: Some(Thousandths(1500)),
        q3: Some(Thousandths(2000)),
        modes: Some("1, 2".to_owned()),
    };
    let (total, standing) = (Measured::default(), Measured::default());
    let source = herd::source(1);
    let minute = ImportedMinute { id, source, start: at(start), frames, total, lying, standing };
    StoredMinute { origin: 1, database: "mysql://db.farm:3306/ANIMOV".to_owned(), minute }
}

#[tokio::test]
async fn imported_minutes_say_that_they_have_no_histogram() {
    let world = World::empty();
    let client = world.client();
    let starts = ["2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z", "2020-01-01T00:01:00Z"];
    for (id, start) in (0..).zip(starts) {
        let frames = if id == 0 { Some(60) } else { None };
        world.imported.minutes.lock().unwrap().push(minute(start, id, frames));
    }
    let path = "/v1/sources/1/imported-minutes?order=oldest";
    let items = paged(&client, path).await;
    assert_eq!(items.len(), 3);
    assert_eq!(
        items[0],
        json!({
            "source": 1, "start": "2020-01-01T00:00:00Z", "database": "mysql://db.farm:3306/ANIMOV",
            "id": 0, "frames": 60, "has_histogram": false, "metrics": {
                "total": null_of(), "standing": null_of(),
                "lying": {"sum": 90, "min": 1, "max": 2, "mean": 1.5, "std": 0.504, "q1": 1.0,
                          "median": 1.5, "q3": 2.0, "modes": "1, 2"},
            },
        })
    );
    assert_eq!(items[1]["metrics"]["lying"]["mean"], json!(null));
    let mut newest = paged(&client, "/v1/sources/1/imported-minutes?order=newest").await;
    newest.reverse();
    assert_eq!(newest, items);
    let part = format!("{path}&from=2020-01-01T00:00:01Z&to=2020-01-01T00:02:00Z");
    assert_eq!(paged(&client, &part).await, items[2..]);
    let answer = client.get("/v1/sources/1/imported-minutes").await.json();
    let cursor = client.get(&format!("{path}&limit=1")).await.json()["next_cursor"].clone();
    let cursor = cursor.as_str().unwrap();
    let other = client.get(&format!("/v1/sources/2/imported-minutes?cursor={cursor}")).await;
    assert!(other.problem().contains("another source"), "{other:?}");
    assert_eq!(answer["next_cursor"], json!(null));
}

#[tokio::test]
async fn prices_are_the_latest_of_each_page_or_those_of_a_time() {
    let world = World::empty();
    let client = world.client();
    for (taken_at, url, hay) in [
        ("2026-03-01T06:00:00Z", "https://a.example/", Some(1.85)),
        ("2026-03-01T06:00:01Z", "https://b.example/", None),
        ("2026-03-02T06:00:00Z", "https://a.example/", Some(1.9)),
    ] {
        let price = |product: &str, price, variation: Option<&str>| {
            let variation = variation.map(str::to_owned);
            Price { product: product.to_owned(), price, variation }
        };
        let prices = vec![price("Hay", hay, Some("+0,5 %")), price("Straw", Some(0.5), None)];
        let visit = Visit { url: url.to_owned(), taken_at: at(taken_at), prices };
        world.imported.put_prices(&visit).unwrap();
    }
    let told = |items: &[Value]| -> Vec<String> {
        let told = |item: &Value| {
            let text = |name: &str| item[name].as_str().unwrap().to_owned();
            format!("{} {} {}", text("taken_at"), text("product"), item["price"])
        };
        items.iter().map(told).collect()
    };
    let latest = client.get("/v1/prices").await.json();
    assert_eq!(
        told(latest["items"].as_array().unwrap()),
        [
            "2026-03-02T06:00:00Z Hay 1.9",
            "2026-03-02T06:00:00Z Straw 0.5",
            "2026-03-01T06:00:01Z Hay null",
            "2026-03-01T06:00:01Z Straw 0.5",
        ]
    );
    assert_eq!(latest["items"][1]["variation"], json!(null));
    assert_eq!(latest["items"][0]["page"], "https://a.example/");
    let items = latest["items"].as_array().unwrap().clone();
    assert_eq!(paged(&client, "/v1/prices?").await, items);
    let hay = paged(&client, "/v1/prices?product=Hay&from=2026-03-01&to=2026-03-02").await;
    assert_eq!(told(&hay), ["2026-03-01T06:00:01Z Hay null", "2026-03-01T06:00:00Z Hay 1.85"]);
    assert_eq!(paged(&client, "/v1/prices?from=2026-03-01").await.len(), 6);
    let wrong = client.get("/v1/prices?from=2026-03-02&to=2026-03-01").await;
    assert!(wrong.problem().contains("later than from"), "{wrong:?}");
}

#[tokio::test]
async fn what_is_asked_wrongly_is_refused_and_an_outage_is_none_of_the_clients() {
    let world = World::empty();
    let client = world.client();
    for (path, told) in [
        ("/v1/headcounts", "400 bad-parameter: source is"),
        ("/v1/headcounts?source=1&origin=csv", "400 bad-parameter: origin is \"csv\""),
        ("/v1/headcounts?source=1&cursor=x", "400 bad-parameter: cursor is"),
        ("/v1/headcounts?source=1&from=2026-03-02&to=2026-03-01", "400 bad-parameter: to is"),
        ("/v1/headcounts?source=1&limit=1001", "400 bad-parameter: limit is"),
        ("/v1/headcounts/files?cursor=x", "400 bad-parameter: cursor is"),
        ("/v1/sources/0/imported-minutes", "400 bad-parameter: source is"),
        ("/v1/sources/1/imported-minutes?metric=x", "400 bad-parameter: the query has"),
        ("/v1/prices?limit=0", "400 bad-parameter: limit is"),
        ("/v1/prices?cursor=aDE", "400 bad-parameter: cursor is"),
    ] {
        let answer = client.get(path).await;
        assert!(answer.problem().starts_with(told), "{path}: {}", answer.problem());
    }
    *world.imported.failure.lock().unwrap() = Some(unplugged);
    for path in [
        "/v1/headcounts?source=1",
        "/v1/headcounts/files",
        "/v1/sources/1/imported-minutes",
        "/v1/prices",
    ] {
        let answer = client.get(path).await;
        assert!(answer.problem().starts_with("503 tables-away"), "{}", answer.problem());
        assert!(!answer.body.contains("hunter2"));
    }
}
