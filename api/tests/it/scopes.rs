//! A user with a list of sources: every route tells of those, and of nothing else.

use std::time::Duration;

use axum::http::StatusCode;
use schemas::frame::{Detection, FrameId, Jpeg, Model};
use schemas::imported::{HeadcountFile, ImportedStore, Table};
use schemas::snapshot::{Snapshot, SnapshotStore};
use schemas::source::SessionId;
use schemas::time::UnixMillis;
use serde_json::Value;

use crate::support::herd;
use crate::world::{Answer, World, at};

/// Every source that an answer names.
fn named(value: &Value, found: &mut Vec<i64>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| named(item, found)),
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_i64() {
                    Some(source) if name == "source" => found.push(source),
                    _ => named(value, found),
                }
            }
        }
        _ => {}
    }
}

fn sources(answer: &Answer) -> Vec<i64> {
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let mut found = Vec::new();
    named(&answer.json(), &mut found);
    found.sort_unstable();
    found.dedup();
    found
}

/// Every route that lists by source, with whether it takes `source`.
const LISTS: [(&str, bool); 16] = [
    ("/v1/sources", false),
    ("/v1/snapshots", true),
    ("/v1/headcounts/files", true),
    ("/get_data_animov", true),
    ("/get_data_animov_ch", true),
    ("/get_data_animov_ch_minutes", true),
    ("/chevres_heures", true),
    ("/chevres_minutes", true),
    ("/sources", false),
    ("/dates", true),
    ("/stats_minute", true),
    ("/stats_heure", true),
    ("/get_serie_heure", true),
    ("/get_serie_jour", true),
    ("/get_serie_last_heure", true),
    ("/get_serie_last_jour", true),
];

/// What `source` saw `seq` seconds after `begin`.
fn pictured(source: i64, seq: u64, begin: UnixMillis) -> Snapshot {
    let session = SessionId::derived_from(b"scopes");
    let lying =
        Detection { class: "lying".into(), confidence: 0.5, x: 0.1, y: 0.1, w: 0.2, h: 0.2 };
    Snapshot {
        id: FrameId { source: herd::source(source), session, seq },
        captured_at: begin.plus(Duration::from_secs(seq)),
        width: 640,
        height: 480,
        model: Model { name: "test".into(), hash: "".into() },
        detections: vec![lying],
        image: Some(Jpeg::try_from(&[0xFF, 0xD8, 0xFF, 1][..]).unwrap()),
    }
}

fn world() -> World {
    let world = World::with_people();
    let pictures: Vec<_> = (0..9)
        .flat_map(|seq| [1, 2, 7].map(|source| pictured(source, seq, at("2026-03-01T11:59:00Z"))))
        .collect();
    world.album.replace(&pictures).unwrap();
    for source in [1, 2, 7] {
        let (text, calendar) = ("date,Effectif couche,Effectif debout\n", &world.calendar);
        let (source, now) = (herd::source(source), at("2026-03-01T12:00:00Z"));
        let bytes = text.as_bytes();
        let content =
            HeadcountFile::read("a-1.csv", bytes, source, Table::First, calendar, now).unwrap();
        world.imported.put_headcounts(&content.file, &content.rows).unwrap();
    }
    *world.clock.0.lock().unwrap() = at("2026-03-01T12:05:00Z");
    world
}

#[tokio::test]
async fn every_list_is_narrowed_to_the_users_sources() {
    let world = world();
    let client = world.client();
    let (vera, vic) = (client.logged_in("vera").await, client.logged_in("vic").await);
    for (path, takes_source) in LISTS {
        if path != "/dates" {
            assert_eq!(sources(&vera.get(path).await), [1, 2, 7], "{path}");
            assert_eq!(sources(&vic.get(path).await), [2], "{path}");
        }
        if takes_source {
            assert_eq!(vic.get(&format!("{path}?source=2")).await.status, StatusCode::OK, "{path}");
            // The same whether there is such a source or not.
            for source in [1, 7, 99] {
                let answer = vic.get(&format!("{path}?source={source}")).await;
                let told = format!("403 not-your-source: source {source} is none of yours");
                assert!(answer.problem().starts_with(&told), "{path}: {answer:?}");
            }
        }
    }
}

#[tokio::test]
async fn another_users_source_is_refused_by_path() {
    let client = world().client();
    let vic = client.logged_in("vic").await;
    let session = pictured(1, 0, at("2026-03-01T12:00:00Z")).id.session;
    for (path, own) in [
        ("/v1/sources/{}/windows/1m".to_owned(), 200),
        ("/v1/sources/{}/imported-minutes".to_owned(), 200),
        ("/v1/sources/{}/accuracy".to_owned(), 200),
        ("/v1/sources/{}/lying-share/1m".to_owned(), 200),
        ("/v1/sources/{}/rhythm".to_owned(), 200),
        ("/v1/herd/1m?sources={}".to_owned(), 200),
        ("/v1/headcounts?source={}".to_owned(), 200),
        ("/v1/headcounts?source={}&origin=camera".to_owned(), 200),
        (format!("/v1/snapshots/{{}}/{session}/0"), 200),
        (format!("/v1/snapshots/{{}}/{session}/0/image"), 200),
        (format!("/v1/snapshots/{{}}/{session}/99"), 404),
    ] {
        let own_path = path.replace("{}", "2");
        assert_eq!(vic.status(&own_path).await.as_u16(), own, "{own_path}");
        for source in ["1", "7", "99"] {
            let path = path.replace("{}", source);
            assert_eq!(vic.get(&path).await.status, StatusCode::FORBIDDEN, "{path}");
        }
    }
    for path in ["/v1/audit", "/v1/parked"] {
        let answer = vic.get(path).await;
        assert!(answer.problem().starts_with("403 needs-all-sources"), "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn pictures_of_several_sources_are_one_list_for_who_may_see_some() {
    let world = world();
    let user = crate::world::person("duo", "viewer", "1,7,50");
    world.people.kept().users.insert(user.name.clone(), user);
    let client = world.client();
    let (duo, vera) = (client.logged_in("duo").await, client.logged_in("vera").await);
    let ids = |answer: Answer| -> Vec<String> {
        let items = answer.json()["items"].clone();
        let ids =
            items.as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned());
        ids.collect()
    };
    for order in ["oldest", "newest"] {
        let all = ids(vera.get(&format!("/v1/snapshots?order={order}")).await);
        assert_eq!(all.len(), 27);
        let wanted: Vec<_> = all.into_iter().filter(|id| !id.starts_with("2/")).collect();
        let answer = duo.get(&format!("/v1/snapshots?order={order}")).await;
        assert_eq!(answer.json()["total"], 18);
        assert_eq!(ids(answer), wanted);
        let page = duo.get(&format!("/v1/snapshots?order={order}&skip=5&limit=4")).await;
        assert_eq!(ids(page), wanted[5..9]);
        if order == "oldest" {
            let nth = duo.get("/v1/snapshots/nth/17").await.json();
            assert_eq!(nth["id"].as_str().unwrap(), wanted[17]);
            assert_eq!(duo.get("/v1/snapshots/nth/18").await.status, StatusCode::NOT_FOUND);
        }
    }
    // Page by page, as the original's clients walk.
    let (mut seen, mut path) = (Vec::new(), "/get_data_animov?limit=5".to_owned());
    loop {
        let answer = duo.get(&path).await;
        let rows = answer.json();
        seen.extend(
            rows.as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()),
        );
        let link = answer.header("link").to_owned();
        let Some((next, _)) = link.strip_prefix('<').and_then(|rest| rest.split_once('>')) else {
            break;
        };
        path = next.to_owned();
        assert!(seen.len() < 100);
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 18);
    assert!(seen.iter().all(|id| !id.starts_with("2/")));
}
