//! The ledger, parked records, health and metrics.

use axum::http::StatusCode;
use schemas::commit::{Ledger, ParkReason, Parked, PartitionAccount, SourceAccount, StoreError};
use schemas::log::{LogError, LogId, Offset, Partition};

use crate::support::herd;
use crate::support::memory::{damaged, unplugged};
use crate::world::{World, at};

fn with_ledger() -> World {
    let world = World::small();
    let mut tables = world.store.tables();
    let ledger = Ledger { read: 6, accepted: 3, duplicate: 1, parked: 2, gap: 4 };
    tables.audit.partitions.push(PartitionAccount {
        log: LogId("memory".into()),
        partition: Partition(0),
        owner_epoch: 2,
        first_offset: Offset(5),
        next_offset: Offset(15),
        ledger,
        parked_rows: 2,
    });
    tables.audit.sources.push(SourceAccount {
        source: herd::source(1),
        accepted: 3,
        remembered: 3,
        frames: [3; 5],
        uneven_windows: 0,
    });
    tables.audit.parked = vec![(ParkReason::Damaged, 1), (ParkReason::ClockAhead, 1)];
    for (offset, reason, bytes) in
        [(6, ParkReason::Damaged, vec![0xc3, 1, 2]), (7, ParkReason::ClockAhead, vec![7; 1025])]
    {
        tables.parked.push(Parked {
            log: LogId("memory".into()),
            partition: Partition(0),
            offset: Offset(offset),
            appended_at: at("2026-03-01T12:00:00Z"),
            reason,
            detail: "ends early, or is no value of its schema".to_owned(),
            bytes,
        });
    }
    drop(tables);
    world
}

#[tokio::test]
async fn the_ledger_balances_and_says_so() {
    insta::assert_snapshot!(with_ledger().client().get("/v1/audit").await.pretty(), @r#"
    {
      "balanced": true,
      "imbalances": [],
      "parked": {
        "clock_ahead": 1,
        "damaged": 1
      },
      "partitions": [
        {
          "accepted": 3,
          "duplicate": 1,
          "first_offset": 5,
          "gap": 4,
          "log": "memory",
          "next_offset": 15,
          "owner_epoch": 2,
          "parked": 2,
          "parked_rows": 2,
          "partition": 0,
          "read": 6
        }
      ],
      "sources": [
        {
          "accepted": 3,
          "frames": {
            "15m": 3,
            "1d": 3,
            "1h": 3,
            "1m": 3,
            "5m": 3
          },
          "remembered": 3,
          "source": 1,
          "uneven_windows": 0
        }
      ]
    }
    "#);
}

#[tokio::test]
async fn a_ledger_that_does_not_balance_says_where() {
    let world = with_ledger();
    if let Some(account) = world.store.tables().audit.sources.first_mut() {
        account.frames[2] = 2;
    }
    let audit = world.client().get("/v1/audit").await.json();
    assert_eq!(audit["balanced"], false);
    insta::assert_snapshot!(audit["imbalances"], @r#"["source 1: 2 frames in its 15m windows, but accepted 3"]"#);
}

#[tokio::test]
async fn parked_records_are_told_the_newest_first_and_not_whole() {
    let client = with_ledger().client();
    let all = client.get("/v1/parked").await.json();
    assert_eq!(all["items"][0]["offset"], 7);
    assert_eq!(all["items"][0]["bytes_total"], 1025);
    assert_eq!(all["items"][0]["truncated"], true);
    assert_eq!(all["items"][0]["bytes"].as_str().unwrap().len(), 1368);
    insta::assert_snapshot!(serde_json::to_string_pretty(&all["items"][1]).unwrap(), @r#"
    {
      "appended_at": "2026-03-01T12:00:00Z",
      "bytes": "wwEC",
      "bytes_total": 3,
      "detail": "ends early, or is no value of its schema",
      "log": "memory",
      "offset": 6,
      "partition": 0,
      "reason": "damaged",
      "truncated": false
    }
    "#);
    let one = client.get("/v1/parked?limit=1").await.json();
    assert_eq!(one["items"].as_array().unwrap().len(), 1);
    assert_eq!(client.get("/v1/parked?limit=501").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_store_that_fails_is_told_without_its_secrets() {
    let world = World::small();
    let client = world.client();
    type Case = (fn() -> StoreError, u16, &'static str);
    let failures: [Case; 2] = [(unplugged, 503, "5"), (damaged, 500, "")];
    for (failure, status, retry) in failures {
        world.store.tables().failure = Some(failure);
        for path in ["/v1/sources", "/v1/sources/1/windows/1m", "/v1/audit", "/v1/parked"] {
            let answer = client.get(path).await;
            assert_eq!(answer.status.as_u16(), status, "{path}");
            assert_eq!(answer.header("retry-after"), retry, "{path}");
            assert!(answer.problem().ends_with("the tables could not be read"));
            assert!(!answer.body.contains("secret"), "{}", answer.body);
        }
    }
}

#[tokio::test]
async fn while_the_tables_are_away_the_last_answer_is_given_again_with_its_age() {
    let world = World::small();
    let client = world.client();
    let paths = ["/v1/sources", "/v1/sources/1/windows/1m"];
    client.get("/v1/audit").await;
    let mut before = Vec::new();
    for path in paths {
        let answer = client.get(path).await;
        assert_eq!(answer.header("animov-stale"), "");
        before.push(answer.body);
    }
    world.store.tables().failure = Some(unplugged);
    for (path, before) in paths.into_iter().zip(before) {
        let answer = client.get(path).await;
        assert_eq!((answer.status, &answer.body), (StatusCode::OK, &before), "{path}");
        assert_eq!(answer.header("animov-stale"), "0");
    }
    // What was never asked cannot be known, a proof is not given from memory, and
    // broken tables are no outage.
    for path in ["/v1/sources/1/windows/1h", "/v1/audit"] {
        assert_eq!(client.get(path).await.status.as_u16(), 503, "{path}");
    }
    world.store.tables().failure = Some(damaged);
    assert_eq!(client.get("/v1/sources").await.status.as_u16(), 500);
    world.store.tables().failure = None;
    assert_eq!(client.get("/v1/sources").await.header("animov-stale"), "");
}

#[tokio::test]
async fn readiness_names_the_part_that_does_not_work() {
    let world = World::small();
    let client = world.client();
    let answer = client.get("/readyz").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.body, r#"{"ready":true,"parts":{"log":"ok","pipeline":"ok","tables":"ok"}}"#);

    *world.pipeline.lock().unwrap() = Err("no commit for 40 s".to_owned());
    *world.log.failure.lock().unwrap() = Some(|| LogError::Overloaded);
    world.store.tables().failure = Some(unplugged);
    let answer = client.get("/readyz").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    insta::assert_snapshot!(answer.body, @r#"{"ready":false,"parts":{"log":"the log does not answer","pipeline":"no commit for 40 s","tables":"the tables cannot be read"}}"#);
    // The process itself lives.
    assert_eq!(client.get("/healthz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn metrics_have_routes_and_not_paths() {
    let client = World::small().client();
    for path in
        ["/v1/sources/1/windows/1m", "/v1/sources/2/windows/1m", "/nothing/here", "/nor/here"]
    {
        client.get(path).await;
    }
    client.send("BREW".parse().unwrap(), "/v1/sources", Vec::new()).await;
    let text = client.get("/metrics").await;
    assert!(text.header("content-type").starts_with("text/plain"), "{text:?}");
    let counted: Vec<_> =
        text.body.lines().filter(|line| line.starts_with("animov_api_requests_total")).collect();
    insta::assert_snapshot!(counted.join("\n"), @r#"
    animov_api_requests_total{method="GET",route="/v1/sources/{source}/windows/{size}",status="200"} 1
    animov_api_requests_total{method="GET",route="/v1/sources/{source}/windows/{size}",status="404"} 1
    animov_api_requests_total{method="GET",route="none",status="404"} 2
    animov_api_requests_total{method="other",route="/v1/sources",status="405"} 1
    "#);
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_too() {
    let client = World::small().client();
    let answer = client.get("/v2/sources").await;
    assert_eq!(
        answer.problem(),
        "404 no-such-path: there is nothing at /v2/sources; /v1/openapi.json lists what there is"
    );
    let answer = client.send(axum::http::Method::DELETE, "/v1/sources", Vec::new()).await;
    assert_eq!(
        answer.problem(),
        "405 method-not-allowed: DELETE does not work here; see the Allow header"
    );
    assert_eq!(answer.header("allow"), "GET,HEAD");
}

#[tokio::test]
async fn the_documentation_is_in_the_program_and_may_do_little() {
    let client = World::empty().client();
    let moved = client.get("/docs").await;
    assert_eq!((moved.status.as_u16(), moved.header("location")), (308, "/docs/"));
    let page = client.get("/docs/").await;
    assert!(page.body.contains("swagger-ui") && !page.body.contains("http://"), "{}", page.body);
    assert_eq!(page.header("content-type"), "text/html");
    assert!(page.header("content-security-policy").contains("script-src 'self';"));
    let settings = client.get("/docs/swagger-initializer.js").await;
    assert!(settings.body.contains("/v1/openapi.json"), "{}", settings.body);
    for odd in ["/docs/nothing.js", "/docs/..%2f..%2fetc%2fpasswd", "/docs//etc/passwd"] {
        assert!(client.get(odd).await.problem().starts_with("404 no-such-path"), "{odd}");
    }
}
