//! The original's routes, as its client meets them.

use axum::http::{Method, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemas::avro::{self, Schemas};
use schemas::frame::{Frame, Seen};
use schemas::snapshot::{Foreign, Record, Unreadable};
use serde_json::{Value, json};

use crate::support::memory::unplugged;
use crate::world::{Answer, Client, World, at};

const ROUTES: [&str; 13] = [
    "/get_data_animov",
    "/get_data_animov_ch",
    "/get_data_animov_ch_minutes",
    "/chevres_heures",
    "/chevres_minutes",
    "/sources",
    "/dates",
    "/stats_minute",
    "/stats_heure",
    "/get_serie_heure",
    "/get_serie_jour",
    "/get_serie_last_heure",
    "/get_serie_last_jour",
];

/// Three cameras: two minutes with several frames, one with a single one, a gap,
/// and an older day.
fn farm() -> World {
    let world = World::empty();
    for (source, captured_at, lying, standing) in [
        (1, "2026-02-27T08:59:59Z", 1, 1),
        (1, "2026-03-01T11:02:00Z", 3, 2),
        (1, "2026-03-01T11:02:01Z", 6, 2),
        (1, "2026-03-01T11:02:02Z", 6, 1),
        (1, "2026-03-01T11:04:30Z", 0, 4),
        (2, "2026-03-01T11:02:10Z", 2, 2),
        (2, "2026-03-01T11:58:10Z", 5, 0),
        (3, "2026-02-28T11:58:10Z", 7, 7),
    ] {
        let seen = [("lying", lying), ("standing", standing), ("total", lying + standing)];
        world.count(source, captured_at, &seen);
    }
    world.count(2, "2026-03-01T11:58:10Z", &[("lying", 4), ("standing", 0), ("total", 4)]);
    world
}

/// The fields of every row, as a table.
fn table(answer: &Answer, fields: &[&str]) -> Vec<String> {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let rows = answer.json();
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| {
        let told = fields.iter().map(|field| row[field].to_string().replace('"', ""));
        told.collect::<Vec<_>>().join(" ")
    })
    .collect()
}

#[tokio::test]
async fn every_answer_is_an_array_of_flat_records() {
    for world in [farm(), World::empty()] {
        let client = world.client();
        for route in ROUTES {
            let answer = client.get(route).await;
            assert_eq!(answer.status, StatusCode::OK, "{route}: {}", answer.body);
            for row in answer.json().as_array().unwrap() {
                let flat = |value: &Value| !value.is_object() && !value.is_array();
                let fields = row.as_object().unwrap();
                assert!(fields.iter().all(|(name, value)| flat(value) || name == "detect"));
            }
        }
    }
}

#[tokio::test]
async fn sources_and_dates_are_those_that_have_data() {
    let client = farm().client();
    let sources = client.get("/sources").await;
    assert_eq!(table(&sources, &["source", "name"]), ["1 North pen", "2 null", "3 null"]);
    let dates = client.get("/dates").await;
    assert_eq!(table(&dates, &["date"]), ["2026-02-27", "2026-02-28", "2026-03-01"]);
    assert_eq!(table(&client.get("/dates?source=3").await, &["date"]), ["2026-02-28"]);
}

#[tokio::test]
async fn a_minute_has_every_statistic_of_the_original() {
    let minute = "/stats_minute?source=1&from=2026-03-01T11:02:00Z&to=1772362980";
    let answer = farm().client().get(minute).await;
    insta::assert_snapshot!(answer.body, @r#"[{"id":207494528,"timestamp":1772362920,"source":1,"total":20,"couche":15,"debout":5,"max_total":8,"max_couche":6,"max_debout":2,"min_total":5,"min_couche":3,"min_debout":1,"std_total":1.528,"std_couche":1.732,"std_debout":0.577,"Q1_total":6.0,"Q1_couche":4.5,"Q1_debout":1.5,"Q2_total":7.0,"Q2_couche":6.0,"Q2_debout":2.0,"Q3_total":7.5,"Q3_couche":6.0,"Q3_debout":2.0,"mode_total":"5,7,8","mode_couche":"6","mode_debout":"2","nb_frames":3}]"#);
}

#[tokio::test]
async fn the_series_of_the_last_hour_end_now_or_with_each_source() {
    let client = farm().client();
    let minutes = |answer| table(answer, &["timestamp", "source", "couche", "nb_frames"]);
    let now = client.get("/get_serie_heure").await;
    assert_eq!(
        minutes(&now),
        ["1772362920 1 15 3", "1772362920 2 2 1", "1772363040 1 0 1", "1772366280 2 9 2"]
    );
    let recorded = client.get("/get_serie_last_heure").await;
    assert_eq!(
        minutes(&recorded),
        [
            "1772279880 3 7 1",
            "1772362920 1 15 3",
            "1772362920 2 2 1",
            "1772363040 1 0 1",
            "1772366280 2 9 2",
        ]
    );
}

#[tokio::test]
async fn the_series_of_the_last_day_average_or_add_up_five_minutes() {
    let client = farm().client();
    let fields =
        ["timestamp", "source", "couche", "max_couche", "min_couche", "total", "nb_frames"];
    // Midday in Paris, where the site is.
    let now = client.get("/get_serie_jour").await;
    assert_eq!(
        table(&now, &fields),
        [
            "2026-03-01 12:00 1 7.5 6 0 12.0 2.0",
            "2026-03-01 12:00 2 2.0 2 2 4.0 1.0",
            "2026-03-01 12:55 2 9.0 5 4 9.0 2.0",
        ]
    );
    let recorded = client.get("/get_serie_last_jour").await;
    assert_eq!(
        table(&recorded, &fields),
        [
            "2026-02-28 12:55 3 7.0 7 7 14.0 1.0",
            "2026-03-01 12:00 1 15.0 6 0 24.0 4.0",
            "2026-03-01 12:00 2 2.0 2 2 4.0 1.0",
            "2026-03-01 12:55 2 9.0 5 4 9.0 2.0",
        ]
    );
}

#[tokio::test]
async fn the_hour_is_that_of_all_its_frames() {
    let answer = farm().client().get("/stats_heure?source=1").await;
    // Of 3, 6, 6 and 0 lying: mean 3.75, sample deviation sqrt(24.75 / 3).
    let fields = ["source", "moyenne_couche", "max_couche", "min_couche", "ecart_type_couche"];
    assert_eq!(table(&answer, &fields), ["1 3.75 5.0 0.0 2.872281"]);
}

#[tokio::test]
async fn behaviours_are_means_on_the_sites_clocks() {
    let world = World::empty();
    world.count(1, "2026-03-01T23:30:00Z", &[("eat", 2), ("brush", 1)]);
    world.count(1, "2026-03-01T23:30:30Z", &[("eat", 1), ("brush", 1)]);
    let client = world.client();
    let fields = ["jour", "heure", "source", "brush", "drink", "eat", "class_0"];
    let minutes = client.get("/chevres_minutes").await;
    assert_eq!(table(&minutes, &fields), ["2026-03-02 00:00:00 0 1 1.0 0.0 1.5 0.0"]);
    assert_eq!(table(&minutes, &["minutes"]), ["30"]);
    let hours = client.get("/chevres_heures").await;
    assert_eq!(table(&hours, &fields), ["2026-03-02 00:00:00 0 1 1.0 0.0 1.5 0.0"]);
    // Of a class only those in which it was seen.
    for path in ["/chevres_minutes", "/chevres_heures"] {
        for (class, rows) in [("eat", 1), ("drink", 0), ("couche", 0)] {
            let answer = client.get(&format!("{path}?class={class}")).await;
            assert_eq!(table(&answer, &fields).len(), rows, "{path}, {class}");
        }
    }
}

#[tokio::test]
async fn classes_have_the_originals_names() {
    let world = farm();
    world.count(3, "2026-03-01T11:59:00Z", &[("goat kid", 2)]);
    let client = world.client();
    let fields = ["class", "effectif", "moyenne", "nb_frames"];
    let all = client.get("/get_data_animov_ch_minutes?source=1&limit=1").await;
    assert_eq!(table(&all, &fields), ["couche 0 0.0 1", "debout 4 4.0 1", "total 4 4.0 1"]);
    let one = client.get("/get_data_animov_ch_minutes?source=3&limit=1&class=goat%20kid").await;
    assert_eq!(table(&one, &fields), ["goat kid 2 2.0 1"]);
    let unseen = client.get("/get_data_animov_ch_minutes?source=3&limit=1&class=debout").await;
    assert_eq!(table(&unseen, &fields), ["debout 0 0.0 1"]);
}

/// Follows `relation` from `path` on; the rows of each answer.
async fn walk(client: &Client, path: &str, relation: &str) -> Vec<Vec<String>> {
    let (mut path, mut pages) = (path.to_owned(), Vec::new());
    loop {
        let answer = client.get(&path).await;
        pages.push(table(&answer, &["timestamp", "source"]));
        assert!(pages.len() < 100, "the links never end");
        let Some(link) = answer.headers.get("link") else { return pages };
        let link = link.to_str().unwrap();
        assert!(link.ends_with(&format!("; rel=\"{relation}\"")), "{link}");
        path = link.split(['<', '>']).nth(1).unwrap().to_owned();
    }
}

#[tokio::test]
async fn links_lead_through_every_row_once_in_both_directions() {
    let client = farm().client();
    let whole = table(&client.get("/stats_minute").await, &["timestamp", "source"]);
    assert_eq!(whole.len(), 6);
    for limit in 1..8 {
        let forth = walk(&client, &format!("/stats_minute?from=0&limit={limit}"), "next").await;
        assert_eq!(forth.concat(), whole, "{limit}");
        let mut back = walk(&client, &format!("/stats_minute?limit={limit}"), "prev").await;
        back.reverse();
        assert_eq!(back.concat(), whole, "{limit}");
    }
    let of_one = walk(&client, "/stats_minute?source=2&from=0&limit=1", "next").await;
    assert_eq!(of_one.len(), 2);
}

#[tokio::test]
async fn wrong_criteria_are_told_and_nothing_is_guessed() {
    let client = farm().client();
    for (query, expected) in [
        ("/stats_minute?source=pen", "source is \"pen\"; it is a whole number"),
        ("/stats_minute?source=0", "source is \"0\"; it is a whole number"),
        ("/stats_minute?from=yesterday", "from is \"yesterday\"; it is Unix seconds"),
        ("/stats_minute?from=5&to=5", "to is \"5\"; it must be later than from"),
        ("/stats_minute?limit=0", "limit is \"0\"; it is a whole number from 1 to 10000"),
        ("/stats_minute?limit=10001", "limit is \"10001\""),
        ("/stats_minute?cursor=x", "cursor is \"x\"; it is from the header Link"),
        ("/stats_minute?sourse=1", "the query has \"sourse\"; the parameters are source"),
        ("/get_data_animov?limit=33", "limit is \"33\"; it is a whole number from 1 to 32"),
        ("/sources?source=1", "the query has \"source\""),
        ("/get_serie_jour?from=0", "the query has \"from\""),
        ("/dates?source=1%27%20OR%201=1", "source is \"1' OR 1=1\""),
    ] {
        let answer = client.get(query).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        assert!(answer.problem().contains(expected), "{query}: {}", answer.problem());
    }
}

async fn post(client: &Client, body: impl ToString) -> Answer {
    let client = client.with("content-type", "application/json");
    client.send(Method::POST, "/receive_data_animov", body.to_string().into_bytes()).await
}

fn frames(world: &World) -> Vec<Frame> {
    let (records, schemas) = (world.log.records.lock().unwrap(), Schemas::builtin());
    records.iter().map(|(_, bytes)| avro::decode(bytes, &schemas).unwrap()).collect()
}

fn jpeg() -> String {
    STANDARD.encode([0xFF, 0xD8, 0xFF, 1, 2, 3])
}

#[tokio::test]
async fn a_record_is_counted_and_kept_and_the_same_one_again_updates_it() {
    let world = World::empty();
    let client = world.client();
    let record = json!({
        "source": 4, "timestamp": 1_772_366_400.25, "width": 200, "height": 100,
        "detect": [{"class": "couche", "confidence": 0.5, "x": 0.25, "y": 0.5, "w": 0.5, "h": 0.25}],
    });
    let answer = post(&client, &record).await;
    assert_eq!(answer.body, r#"[{"received":1,"added":1,"updated":0}]"#);
    let [frame] = &frames(&world)[..] else { panic!("one frame") };
    assert_eq!(frame.captured_at, at("2026-03-01T12:00:00.250Z"));
    let Seen::Detections(picture) = &frame.seen else { panic!("boxes") };
    assert_eq!((picture.width, picture.detections.len()), (200, 1));

    let mut pictured = record;
    pictured["frame"] = jpeg().into();
    let answer = post(&client, json!({"data": [pictured]})).await;
    assert_eq!(answer.body, r#"[{"received":1,"added":0,"updated":1}]"#);
    // The pipeline counts the frame once: it has the same name.
    let [first, second] = &frames(&world)[..] else { panic!("two frames") };
    assert_eq!(first.id, second.id);

    let stored = client.get("/get_data_animov").await.json();
    let [row] = &stored.as_array().unwrap()[..] else { panic!("{stored}") };
    assert_eq!(row["frame"], jpeg());
    assert_eq!(row["current"], true);
    assert_eq!((&row["width"], &row["timestamp"]), (&json!(640), &json!(1_772_366_400.25)));
    assert_eq!(row["detect"][0]["class"], "couche");
    let boxes = client.get("/get_data_animov_ch?class=couche").await;
    assert_eq!(table(&boxes, &["source", "class", "x", "h"]), ["4 couche 0.25 0.25"]);
    let none = client.get("/get_data_animov_ch?class=debout").await;
    assert_eq!(table(&none, &["source"]), [""; 0]);
}

#[tokio::test]
async fn boxes_are_taken_in_pixels_and_by_their_corners_too() {
    let world = World::empty();
    let body = json!([{
        "source": 1, "timestamp": "2026-03-01T12:00:00Z", "frame": jpeg(), "ignored": {},
        "detect": [
            {"name": "debout", "class": 1, "confidence": 0.75,
             "box": {"x1": 64.0, "y1": 48.0, "x2": 320.0, "y2": 490.0}},
            {"class": 0, "conf": 0.25, "x": 320, "y": 0, "w": 320, "h": 240},
        ],
    }]);
    let answer = post(&world.client(), body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let boxes = world.client().get("/get_data_animov_ch").await;
    assert_eq!(
        table(&boxes, &["class", "confidence", "x", "y", "w", "h"]),
        ["debout 0.75 0.1 0.1 0.4 0.9", "class_0 0.25 0.5 0.0 0.5 0.5"]
    );
}

#[tokio::test]
async fn boxes_without_places_are_counted_alone() {
    let world = World::empty();
    let none = json!({"source": 1, "timestamp": 0, "detect": []});
    assert_eq!(post(&world.client(), none).await.status, StatusCode::OK);
    let detect = json!([{"class": "couche"}, {"class": "debout"}, {"class": "couche"}]);
    let answer =
        post(&world.client(), json!({"source": 1, "timestamp": 1, "detect": detect})).await;
    assert_eq!(answer.body, r#"[{"received":1,"added":0,"updated":0}]"#);
    let [empty, frame] = &frames(&world)[..] else { panic!("two frames") };
    assert_eq!(empty.seen, Seen::Counts(Vec::new()));
    assert_eq!(frame.seen, Seen::Counts(vec![("couche".into(), 2), ("debout".into(), 1)]));
}

#[tokio::test]
async fn records_that_cannot_be_are_refused_together_and_by_name() {
    let world = World::empty();
    let found = json!([{"class": "a", "x": 0, "y": 0, "w": 1, "h": 1}]);
    let good = json!({"source": 1, "timestamp": 1, "detect": found, "width": 4, "height": 3});
    let with = |field: &str, value: Value| {
        let mut record = good.clone();
        record[field] = value;
        record
    };
    for (record, field, told) in [
        (json!(7), "", "a record is an object"),
        (with("source", json!(0)), "source", "source 0 is not a whole number from 1"),
        (with("source", json!("1; DROP TABLE windows")), "source", "invalid type"),
        (with("timestamp", json!("today")), "timestamp", "invalid value"),
        (with("timestamp", json!(-5)), "timestamp", "it lies before 1970"),
        (with("timestamp", json!(1e300)), "timestamp", "invalid value"),
        (with("width", json!(null)), "width", "it is missing"),
        (with("frame", json!("%%%")), "frame", "it is not base64"),
        (with("frame", json!("R0lGODlh")), "frame", "it is no JPEG and no PNG"),
        (with("detect", json!([{"x": 0, "y": 0, "w": 1, "h": 1}])), "detect[0]", "no class"),
        (with("detect", json!([{"class": "a", "x": 0}])), "detect[0]", "it has no place"),
        (
            with("detect", json!([{"class": "a", "box": {"x1": 3, "y1": 0, "x2": 2, "y2": 2}}])),
            "detect[0]",
            "its second corner",
        ),
        (with("detect", json!([{"class": "", "x": 0, "y": 0, "w": 1, "h": 1}])), "detect[0]", ""),
        (with("detect", json!(vec![json!({"class": "a"}); 1025])), "detect", "at most 1024"),
    ] {
        let answer = post(&world.client(), json!([good, record])).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{record}: {}", answer.body);
        let fault = &answer.json()["faults"][0];
        assert_eq!((&fault["index"], &fault["field"]), (&json!(1), &json!(field)), "{answer:?}");
        assert!(fault["detail"].as_str().unwrap().contains(told), "{answer:?}");
    }
    for (body, status) in [("{", 400), ("[]", 422), ("{\"data\": []}", 422), ("null", 422)] {
        assert_eq!(post(&world.client(), body).await.status.as_u16(), status, "{body}");
    }
    let plain = world.client().with("content-type", "text/plain");
    let answer = plain.send(Method::POST, "/receive_data_animov", b"{}".to_vec()).await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert!(frames(&world).is_empty());
    assert_eq!(table(&world.client().get("/get_data_animov").await, &["id"]), [""; 0]);
}

#[tokio::test]
async fn nothing_is_acknowledged_that_is_not_kept() {
    let world = World::empty();
    let record = json!({"source": 1, "timestamp": 1, "detect": [], "width": 4, "height": 3});
    *world.album.failure.lock().unwrap() = Some(unplugged);
    let answer = post(&world.client(), &record).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(frames(&world).is_empty());
    *world.album.failure.lock().unwrap() = None;
    assert_eq!(post(&world.client(), &record).await.status, StatusCode::OK);
}

#[tokio::test]
async fn everything_begins_with_the_newest_of_each_source_and_has_every_record_once() {
    let world = World::empty();
    let client = world.client();
    for (source, timestamp) in [(1, 100), (1, 200), (2, 150), (1, 300), (3, 50), (2, 120)] {
        let record = json!({
            "source": source, "timestamp": timestamp, "detect": [], "width": 4, "height": 3,
        });
        assert_eq!(post(&client, record).await.status, StatusCode::OK);
    }
    let element = json!({"source": 9, "detect": [1], "frame": "aGk=", "more": 1});
    let data = vec![element, json!({"detect": []}), json!(5)];
    *world.album.others.lock().unwrap() = vec![
        Record::Foreign(Foreign { id: "theirs".to_owned(), data }),
        Record::Unreadable(Unreadable { id: "odd".to_owned(), what: "it is odd".to_owned() }),
    ];
    let expected = [
        "1 300.0 true null",
        "2 150.0 true null",
        "3 50.0 true null",
        "1 200.0 false null",
        "2 120.0 false null",
        "1 100.0 false null",
        "null null false snapshot odd cannot be read: it is odd",
        "9 null false null",
        "null null false it has no frame",
        "null null false it has no detect",
    ];
    let fields = ["source", "timestamp", "current", "error"];
    assert_eq!(table(&client.get("/get_data_animov").await, &fields), expected);
    for limit in 1..7 {
        let (mut path, mut rows) = (format!("/get_data_animov?limit={limit}"), Vec::new());
        loop {
            let answer = client.get(&path).await;
            rows.extend(table(&answer, &fields));
            let Some(link) = answer.headers.get("link") else { break };
            path = link.to_str().unwrap().split(['<', '>']).nth(1).unwrap().to_owned();
        }
        assert_eq!(rows, expected, "{limit}");
    }
    let of_two = client.get("/get_data_animov?source=2").await;
    assert_eq!(table(&of_two, &["timestamp"]), ["150.0", "120.0"]);
}

#[tokio::test]
async fn while_the_tables_are_away_the_last_answer_is_given_with_its_age() {
    let world = farm();
    let client = world.client();
    let fresh = client.get("/get_serie_last_heure").await;
    world.store.tables().failure = Some(unplugged);
    *world.clock.0.lock().unwrap() = at("2026-03-01T12:00:07Z");
    let stale = client.get("/get_serie_last_heure").await;
    assert_eq!((stale.header("animov-stale"), &stale.body), ("7", &fresh.body));
    assert_eq!(client.get("/stats_heure").await.status, StatusCode::SERVICE_UNAVAILABLE);
}
