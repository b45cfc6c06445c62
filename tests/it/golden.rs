//! What every route answers about two days that are always the same: golden files,
//! which hold for the embedded stores and for those on servers.
//!
//! `UPDATE_GOLDEN=1 cargo test --test it golden` writes them anew.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use api::{ApiConfig, Parts, Users};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use producers::picture::Decoder;
use schemas::accuracy::{AccuracyStore, Confusion, Measurement};
use schemas::commit::StateStore;
use schemas::frame::{Detection, FrameId, Jpeg, Model};
use schemas::imported::ImportedStore;
use schemas::metric::Postures;
use schemas::snapshot::{Snapshot, SnapshotStore};
use schemas::source::{SessionId, SourceId};
use schemas::time::{Clock, SystemClock, UnixMillis};
use schemas::users::UserStore;
use schemas::window::Calendar;
use serde_json::{Value, json};
use sinks::config::{MongoConfig, MySqlConfig, SegmentsConfig};
use sinks::log::segments::Segments;
use sinks::snapshots::mongo::MongoSnapshots;
use sinks::snapshots::sqlite::SqliteSnapshots;
use sinks::state::mysql::MySqlState;
use sinks::state::sqlite::SqliteState;
use tower::ServiceExt;

use crate::servers::Servers;
use crate::support::{Random, Site, free_port, succeeded};

const ZONE: &str = "Europe/Paris";

/// The night in which the clocks go forward lies in the data.
const BEGIN: &str = "2026-03-28T18:00:00Z";
const NOW: &str = "2026-03-29T16:00:30Z";

/// What depends on when and where the data were counted.
const MASKED: [&str; 9] = [
    "appended_at",
    "imported_at",
    "last_appended_at",
    "log",
    "next_offset",
    "rev",
    "silent_since",
    "version",
    "watermark",
];

/// Each route's requests. Every documented GET is here, or in [`ELSEWHERE`].
const REQUESTS: [(&str, &[&str]); 32] = [
    ("/sources", &["/sources"]),
    ("/dates", &["/dates", "/dates?source=2"]),
    (
        "/stats_minute",
        &[
            "/stats_minute?limit=4",
            "/stats_minute?source=2&from=2026-03-29T02:58:00Z&limit=5",
            "/stats_minute?source=9",
            "/stats_minute?source=0",
        ],
    ),
    ("/stats_heure", &["/stats_heure", "/stats_heure?source=1"]),
    ("/chevres_minutes", &["/chevres_minutes?from=2026-03-29&limit=3"]),
    ("/chevres_heures", &["/chevres_heures?source=1&from=2026-03-29&limit=5"]),
    ("/get_serie_heure", &["/get_serie_heure?source=1"]),
    ("/get_serie_jour", &["/get_serie_jour?source=3"]),
    ("/get_serie_last_heure", &["/get_serie_last_heure?source=3"]),
    ("/get_serie_last_jour", &["/get_serie_last_jour?source=3"]),
    ("/get_data_animov", &["/get_data_animov?limit=2"]),
    ("/get_data_animov_ch", &["/get_data_animov_ch", "/get_data_animov_ch?class=standing"]),
    (
        "/get_data_animov_ch_minutes",
        &["/get_data_animov_ch_minutes?limit=2", "/get_data_animov_ch_minutes?class=eat&limit=2"],
    ),
    ("/v1/sources", &["/v1/sources"]),
    (
        "/v1/sources/{source}/windows/{size}",
        &[
            "/v1/sources/1/windows/1m?limit=2",
            "/v1/sources/2/windows/15m?from=2026-03-29T00:30:00Z&order=oldest&limit=3",
            "/v1/sources/3/windows/1h?metric=lying&limit=2",
            "/v1/sources/1/windows/1d",
            "/v1/sources/9/windows/1d",
            "/v1/sources/1/windows/2h",
        ],
    ),
    ("/v1/snapshots", &["/v1/snapshots", "/v1/snapshots?source=2", "/v1/snapshots?limit=x"]),
    ("/v1/snapshots/nth/{n}", &["/v1/snapshots/nth/1", "/v1/snapshots/nth/99"]),
    (
        "/v1/snapshots/{source}/{session}/{seq}",
        &["/v1/snapshots/1/00000000-0000-4000-8000-000000000001/1"],
    ),
    (
        "/v1/snapshots/{source}/{session}/{seq}/image",
        &["/v1/snapshots/1/00000000-0000-4000-8000-000000000001/7/image"],
    ),
    (
        "/v1/headcounts",
        &[
            "/v1/headcounts?source=2",
            "/v1/headcounts?source=2&origin=final_2&order=oldest&limit=1",
            "/v1/headcounts?source=2&origin=camera&from=2026-03-29T00:30:00Z&order=oldest&limit=4",
            "/v1/headcounts",
        ],
    ),
    ("/v1/headcounts/files", &["/v1/headcounts/files", "/v1/headcounts/files?source=3"]),
    ("/v1/sources/{source}/imported-minutes", &["/v1/sources/1/imported-minutes"]),
    (
        "/v1/sources/{source}/accuracy",
        &[
            "/v1/sources/1/accuracy",
            "/v1/sources/1/accuracy?limit=1",
            "/v1/sources/3/accuracy",
            "/v1/sources/1/accuracy?limit=0",
        ],
    ),
    (
        "/v1/sources/{source}/lying-share/{size}",
        &[
            "/v1/sources/1/lying-share/1h?limit=3",
            "/v1/sources/1/lying-share/1m?from=2026-03-29T00:30:00Z&order=oldest&limit=2",
            "/v1/sources/2/lying-share/1d",
            "/v1/sources/3/lying-share/1d",
            "/v1/sources/9/lying-share/1d",
            "/v1/sources/1/lying-share/1d?metric=lying",
        ],
    ),
    (
        "/v1/herd/{size}",
        &[
            "/v1/herd/1h?limit=2",
            "/v1/herd/15m?sources=1,2&from=2026-03-29T00:30:00Z&order=oldest&limit=3",
            "/v1/herd/1d",
            "/v1/herd/1d?sources=9",
        ],
    ),
    (
        "/v1/sources/{source}/rhythm",
        &[
            "/v1/sources/1/rhythm?coverage_min=0",
            "/v1/sources/2/rhythm?day=2026-03-29&days=3&coverage_min=0",
            "/v1/sources/9/rhythm",
        ],
    ),
    ("/v1/prices", &["/v1/prices", "/v1/prices?from=2026-03-29&to=2026-03-28"]),
    ("/v1/audit", &["/v1/audit"]),
    ("/v1/parked", &["/v1/parked?limit=1"]),
    ("/v1/site", &["/v1/site"]),
    ("/v1/auth/me", &["/v1/auth/me"]),
    ("/v1/auth/log", &["/v1/auth/log"]),
];

/// Documented GETs whose answers are no data: health, and the document itself, which
/// has a golden file of its own.
const ELSEWHERE: [&str; 4] = ["/healthz", "/readyz", "/metrics", "/v1/openapi.json"];

#[test]
fn every_route_answers_the_same_on_embedded_stores() {
    let site = Site::new(&format!("[site]\nzone = \"{ZONE}\"\n"));
    filled(&site);
    let state = site.state().join("state.sqlite");
    measured(&SqliteState::open(&state).unwrap());
    let state = SqliteState::open_read_only(state).unwrap();
    let snapshots = SqliteSnapshots::open(site.state().join("golden.sqlite")).unwrap();
    check(&site, Arc::new(state), Arc::new(snapshots));
}

#[test]
fn every_route_answers_the_same_on_servers() {
    let Some(servers) = Servers::new() else { return };
    let Ok(mongo) = std::env::var("ANIMOV_TEST_MONGO") else {
        println!("SKIPPED: ANIMOV_TEST_MONGO is not set");
        return;
    };
    let site = servers.site(1);
    succeeded(site.animov(&["migrate"]));
    filled(&site);
    let mysql = MySqlConfig { url: servers.database().parse().unwrap(), ..MySqlConfig::default() };
    measured(&MySqlState::open(&mysql, None).unwrap());
    let state = MySqlState::open_read_only(&mysql, None).unwrap();
    let mongo = MongoConfig {
        url: mongo.try_into().unwrap(),
        database: "animov_it".to_owned(),
        collection: format!("golden_{}_{}", std::process::id(), free_port()),
        ..MongoConfig::default()
    };
    let snapshots = MongoSnapshots::open(&mongo, None).unwrap();
    check(&site, Arc::new(state), Arc::new(snapshots));
}

/// Three cameras: one steady, one with gaps and minutes of one frame, one that fell
/// silent in the night.
fn filled(site: &Site) {
    let begin: UnixMillis = BEGIN.parse().unwrap();
    let now: UnixMillis = NOW.parse().unwrap();
    let mut random = Random(20_260_328);
    let mut lines = String::new();
    for source in 1..=3_i64 {
        let end = if source == 3 { now.get() - 12 * 3_600_000 } else { now.get() };
        let (mut at, mut seq) = (begin.get(), 0);
        while at < end {
            let seen = json!({
                "source": source, "seq": seq, "captured_at": at,
                "lying": random.below(6), "standing": random.below(4),
                "eat": random.below(2), "drink": u64::from(random.below(20) == 0),
            });
            lines.push_str(&format!("{seen}\n"));
            seq += 1;
            at += match source {
                2 => 5_000 + i64::try_from(random.below(90_000)).unwrap(),
                _ => 20_000,
            };
        }
    }
    lines.push_str("{\"source\":1,\"seq\":\"what\"}\n");
    let file = site.dir.path().join("herd.ndjson");
    std::fs::write(&file, lines).unwrap();
    succeeded(site.animov(&["import", "counts", file.to_str().unwrap()]));
    let exports = site.dir.path().join("exports");
    std::fs::create_dir(&exports).unwrap();
    let header = "date;Effectif couche;Effectif debout\n";
    for (name, rows) in [
        ("pen-1.csv", "2026-03-29 12:00:00;3;4,5\n2026-03-29 12:01:00;;2\nhier;1;1\n"),
        ("pen-2.csv", "29/03/2026 02:30;1;2\n29/03/2026 12:30;0;0\n"),
    ] {
        std::fs::write(exports.join(name), format!("{header}{rows}")).unwrap();
    }
    let exports = exports.to_str().unwrap();
    succeeded(site.animov(&["import", "csv", exports, "--source", "2"]));
}

/// Source 1 twice, source 3 by a coin, source 2 never.
fn measured(accuracy: &dyn AccuracyStore) {
    let now: UnixMillis = NOW.parse().unwrap();
    let before = |hours: i64| UnixMillis::new(now.get() - hours * 3_600_000);
    for (source, hours, lying, standing) in
        [(1, 3, [57, 3], [45, 5]), (1, 2, [180, 20], [140, 10]), (3, 1, [5, 5], [6, 5])]
    {
        let measurement = Measurement {
            source: SourceId::try_from(source).unwrap(),
            measured_at: before(hours),
            model: Model { name: "goats.onnx".into(), hash: "00112233aabbccdd".into() },
            confidence: 0.4,
            from: before(8),
            to: before(7),
            frames: 60,
            confusion: Confusion {
                lying_as_lying: lying[0],
                lying_as_standing: lying[1],
                standing_as_lying: standing[1],
                standing_as_standing: standing[0],
            },
            report: json!({ "matched": lying[0] + lying[1] + standing[0] + standing[1] }),
        };
        assert_eq!(accuracy.keep(&measurement).unwrap(), measurement.id());
    }
}

fn kept(snapshots: &dyn SnapshotStore) {
    let goat = include_bytes!("../data/animov/goat.jpg");
    let now: UnixMillis = NOW.parse().unwrap();
    let session = "00000000-0000-4000-8000-000000000001".parse::<SessionId>().unwrap();
    let found = |class: &str, x: f32| Detection {
        class: class.into(),
        confidence: 0.75,
        x,
        y: 0.25,
        w: 0.125,
        h: 0.5,
    };
    let snapshot = |source: i64, seq: u64, detections: Vec<Detection>, image: bool| Snapshot {
        id: FrameId { source: SourceId::try_from(source).unwrap(), session, seq },
        captured_at: UnixMillis::new(now.get() - 3_600_000 + i64::try_from(seq).unwrap() * 1000),
        width: 64,
        height: 48,
        model: Model { name: "goats".into(), hash: "abc".into() },
        detections,
        image: image.then(|| Jpeg::try_from(goat.as_slice()).unwrap()),
    };
    let all = [
        snapshot(1, 1, vec![found("lying", 0.125), found("standing", 0.5)], true),
        snapshot(1, 2, vec![], true),
        snapshot(2, 3, vec![found("standing", 0.0)], false),
    ];
    assert_eq!(snapshots.put(&all).unwrap(), 3);
}

fn check<T: StateStore + UserStore + ImportedStore + AccuracyStore + 'static>(
    site: &Site,
    store: Arc<T>,
    snapshots: Arc<dyn SnapshotStore>,
) {
    kept(&*snapshots);
    let (dir, clock) = (site.dir.path().join("no-frames"), Arc::new(Standing));
    let log = Segments::open(dir, SegmentsConfig::default(), clock).unwrap();
    let parts = Parts {
        store: Some(Arc::<T>::clone(&store)),
        imported: Some(Arc::<T>::clone(&store)),
        accuracy: Some(Arc::<T>::clone(&store)),
        snapshots: Some(snapshots),
        pictures: Arc::new(Decoder::default()),
        users: Some(Users { store, keys: None }),
        log: Arc::new(log),
        clock: Arc::new(Standing),
        site: api::Site {
            calendar: Calendar::in_zone(ZONE).unwrap(),
            names: BTreeMap::new(),
            postures: Postures::default(),
        },
        readiness: Arc::new(Vec::new),
        registry: prometheus::Registry::new(),
    };
    let router = api::router(parts, &ApiConfig::default(), None).unwrap();
    documented_are_asked();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut differing = Vec::new();
    for (route, requests) in REQUESTS {
        let answers: Vec<Value> =
            requests.iter().map(|request| runtime.block_on(asked(&router, request))).collect();
        let text = serde_json::to_string_pretty(&answers).unwrap() + "\n";
        let golden = golden(route);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&golden, &text).unwrap();
        } else if std::fs::read_to_string(&golden).unwrap_or_default() != text {
            differing.push(format!("{route} is not {}:\n{text}", golden.display()));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

/// A clock that always shows [`NOW`].
struct Standing;

impl Clock for Standing {
    fn now(&self) -> UnixMillis {
        NOW.parse().unwrap_or_else(|_| SystemClock.now())
    }
}

fn documented_are_asked() {
    let document: Value = serde_json::from_str(api::openapi_json()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let documented: BTreeSet<&str> = paths
        .iter()
        .filter(|(_, methods)| methods.get("get").is_some())
        .map(|(path, _)| path.as_str())
        .collect();
    let asked = REQUESTS.iter().map(|(route, _)| *route).chain(ELSEWHERE).collect();
    assert_eq!(documented, asked);
}

async fn asked(router: &Router, request: &str) -> Value {
    let http = Request::get(request).header("host", "localhost").body(Body::empty()).unwrap();
    let response = router.clone().oneshot(http).await.unwrap();
    let status = response.status().as_u16();
    let link = response.headers().get("link").map(|link| link.to_str().unwrap().to_owned());
    let bytes = to_bytes(response.into_body(), 16 << 20).await.unwrap();
    let mut body: Value = serde_json::from_slice(&bytes).unwrap();
    mask(&mut body);
    json!({ "request": request, "status": status, "link": link, "body": body })
}

fn mask(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match MASKED.contains(&name.as_str()) && !field.is_null() {
                    true => *field = "…".into(),
                    false => mask(field),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask),
        _ => {}
    }
}

fn golden(route: &str) -> PathBuf {
    let name: String = route
        .trim_start_matches('/')
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() || letter == '_' { letter } else { '-' })
        .collect();
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/golden/{name}.json"))
}
