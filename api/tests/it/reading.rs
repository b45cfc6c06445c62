//! Sources and windows.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use schemas::time::UnixMillis;

use crate::support::herd;
use crate::world::{World, at};

#[tokio::test]
async fn sources_are_told_with_what_is_known_of_them() {
    let world = World::small();
    world.count(7, "2026-03-01T11:00:00Z", &[("goat", 1)]);
    insta::assert_snapshot!(world.client().get("/v1/sources").await.pretty(), @r#"
    {
      "items": [
        {
          "frames_accepted": 3,
          "last_appended_at": "2026-03-01T12:03:00Z",
          "last_captured_at": "2026-03-01T12:03:00Z",
          "metrics": [
            "lying",
            "standing",
            "total"
          ],
          "name": "North pen",
          "rev": 3,
          "silent_since": null,
          "source": 1,
          "watermark": "2026-03-01T12:02:50Z"
        },
        {
          "frames_accepted": 1,
          "last_appended_at": "2026-03-01T11:00:00Z",
          "last_captured_at": "2026-03-01T11:00:00Z",
          "metrics": [
            "goat"
          ],
          "name": null,
          "rev": 1,
          "silent_since": "2026-03-01T11:00:00Z",
          "source": 7,
          "watermark": "2026-03-01T11:00:00Z"
        }
      ]
    }
    "#);
}

#[tokio::test]
async fn a_source_is_silent_once_nothing_came_for_the_configured_time() {
    let world = World::small();
    let client = world.client();
    for (now, silent_since) in [
        ("2026-03-01T12:05:00Z", serde_json::Value::Null),
        ("2026-03-01T12:05:00.001Z", "2026-03-01T12:03:00Z".into()),
    ] {
        *world.clock.0.lock().unwrap() = at(now);
        let sources = client.get("/v1/sources").await.json();
        assert_eq!(sources["items"][0]["silent_since"], silent_since, "{now}");
    }
}

#[tokio::test]
async fn windows_are_told_whole_and_empty_ones_not_at_all() {
    let answer = World::small().client().get("/v1/sources/1/windows/1m").await;
    insta::assert_snapshot!(answer.pretty(), @r#"
    {
      "items": [
        {
          "coverage": 0.08333333333333333,
          "end": "2026-03-01T12:04:00Z",
          "frames": 1,
          "frames_expected": 12,
          "metrics": {
            "lying": {
              "max": 0,
              "mean": 0.0,
              "median": 0.0,
              "min": 0,
              "modes": [
                0
              ],
              "q1": 0.0,
              "q3": 0.0,
              "std": null,
              "sum": 0
            },
            "standing": {
              "max": 2,
              "mean": 2.0,
              "median": 2.0,
              "min": 2,
              "modes": [
                2
              ],
              "q1": 2.0,
              "q3": 2.0,
              "std": null,
              "sum": 2
            },
            "total": {
              "max": 2,
              "mean": 2.0,
              "median": 2.0,
              "min": 2,
              "modes": [
                2
              ],
              "q1": 2.0,
              "q3": 2.0,
              "std": null,
              "sum": 2
            }
          },
          "rev": 1,
          "size": "1m",
          "source": 1,
          "start": "2026-03-01T12:03:00Z",
          "status": "open"
        },
        {
          "coverage": 0.16666666666666666,
          "end": "2026-03-01T12:01:00Z",
          "frames": 2,
          "frames_expected": 12,
          "metrics": {
            "lying": {
              "max": 6,
              "mean": 4.5,
              "median": 4.5,
              "min": 3,
              "modes": [
                3,
                6
              ],
              "q1": 3.75,
              "q3": 5.25,
              "std": 2.1213203435596424,
              "sum": 9
            },
            "standing": {
              "max": 2,
              "mean": 2.0,
              "median": 2.0,
              "min": 2,
              "modes": [
                2
              ],
              "q1": 2.0,
              "q3": 2.0,
              "std": 0.0,
              "sum": 4
            },
            "total": {
              "max": 8,
              "mean": 6.5,
              "median": 6.5,
              "min": 5,
              "modes": [
                5,
                8
              ],
              "q1": 5.75,
              "q3": 7.25,
              "std": 2.1213203435596424,
              "sum": 13
            }
          },
          "rev": 2,
          "size": "1m",
          "source": 1,
          "start": "2026-03-01T12:00:00Z",
          "status": "final"
        }
      ],
      "next_cursor": null
    }
    "#);
}

#[tokio::test]
async fn one_metric_can_be_asked_for() {
    let answer = World::small().client().get("/v1/sources/1/windows/1d?metric=lying").await;
    insta::assert_snapshot!(answer.pretty(), @r#"
    {
      "items": [
        {
          "coverage": 0.00017361111111111112,
          "end": "2026-03-01T23:00:00Z",
          "frames": 3,
          "frames_expected": 17280,
          "metrics": {
            "lying": {
              "max": 6,
              "mean": 3.0,
              "median": 3.0,
              "min": 0,
              "modes": [
                0,
                3,
                6
              ],
              "q1": 1.5,
              "q3": 4.5,
              "std": 3.0,
              "sum": 9
            }
          },
          "rev": 3,
          "size": "1d",
          "source": 1,
          "start": "2026-02-28T23:00:00Z",
          "status": "open"
        }
      ],
      "next_cursor": null
    }
    "#);
}

async fn starts(world: &World, query: &str) -> String {
    let answer = world.client().get(&format!("/v1/sources/1/windows/{query}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let items = answer.json();
    let starts =
        items["items"].as_array().unwrap().iter().map(|item| item["start"].as_str().unwrap());
    starts.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_range_is_half_open_and_takes_every_form_of_time() {
    let world = World::small();
    let both = "2026-03-01T12:03:00Z 2026-03-01T12:00:00Z";
    let first = "2026-03-01T12:00:00Z";
    assert_eq!(starts(&world, "1m").await, both);
    assert_eq!(
        starts(&world, "1m?order=oldest").await,
        "2026-03-01T12:00:00Z 2026-03-01T12:03:00Z"
    );
    assert_eq!(starts(&world, "1m?to=2026-03-01T12:03:00Z").await, first);
    assert_eq!(starts(&world, "1m?to=1772366580000").await, first);
    assert_eq!(starts(&world, "1m?from=2026-03-01T13:03:00%2B01:00").await, "2026-03-01T12:03:00Z");
    assert_eq!(starts(&world, "1m?from=2026-03-01T12:03:00.001Z").await, "");
    // Days of Paris.
    assert_eq!(starts(&world, "1m?from=2026-03-01&to=2026-03-02").await, both);
    assert_eq!(starts(&world, "1m?from=2026-02-28&to=2026-03-01").await, "");
    assert_eq!(starts(&world, "1d?from=2026-03-01").await, "2026-02-28T23:00:00Z");
}

#[tokio::test]
async fn each_wrong_parameter_is_named_with_what_is_expected() {
    let client = World::small().client();
    let mut told = String::new();
    for path in [
        "0/windows/1m",
        "pen/windows/1m",
        "2147483648/windows/1m",
        "1/windows/2m",
        "1/windows/1m?from=yesterday",
        "1/windows/1m?to=2026-02-30",
        "1/windows/1m?from=2026-03-02&to=2026-03-01",
        "1/windows/1m?limit=0",
        "1/windows/1m?limit=1501",
        "1/windows/1m?limit=ten",
        "1/windows/1m?order=up",
        "1/windows/1m?metric=liyng",
        "1/windows/1m?cursor=abc",
        "1/windows/1m?limt=5",
        "1/windows/1m?limit=5&limit=6",
        "9/windows/1m",
    ] {
        let answer = client.get(&format!("/v1/sources/{path}")).await;
        told.push_str(&format!("{path}\n    {}\n", answer.problem()));
    }
    insta::assert_snapshot!(told, @r#"
    0/windows/1m
        400 bad-parameter: source is "0"; it is a whole number from 1 to 2147483647
    pen/windows/1m
        400 bad-parameter: source is "pen"; it is a whole number from 1 to 2147483647
    2147483648/windows/1m
        400 bad-parameter: source is "2147483648"; it is a whole number from 1 to 2147483647
    1/windows/2m
        400 bad-parameter: size is "2m"; it is 1m, 5m, 15m, 1h or 1d
    1/windows/1m?from=yesterday
        400 bad-parameter: from is "yesterday"; it is RFC 3339 (2026-03-01T12:00:00Z), a date (2026-03-01, from midnight on the site's clocks) or milliseconds since 1970
    1/windows/1m?to=2026-02-30
        400 bad-parameter: to is "2026-02-30"; it is RFC 3339 (2026-03-01T12:00:00Z), a date (2026-03-01, from midnight on the site's clocks) or milliseconds since 1970
    1/windows/1m?from=2026-03-02&to=2026-03-01
        400 bad-parameter: to is "2026-03-01"; it must be later than from, which is 2026-03-01T23:00:00Z
    1/windows/1m?limit=0
        400 bad-parameter: limit is "0"; it is a whole number from 1 to 1500
    1/windows/1m?limit=1501
        400 bad-parameter: limit is "1501"; it is a whole number from 1 to 1500
    1/windows/1m?limit=ten
        400 bad-parameter: limit is "ten"; it is a whole number from 1 to 1500
    1/windows/1m?order=up
        400 bad-parameter: order is "up"; it is newest (the newest window first) or oldest
    1/windows/1m?metric=liyng
        400 bad-parameter: metric is "liyng"; source 1 has lying, standing, total
    1/windows/1m?cursor=abc
        400 bad-parameter: cursor is "abc"; it must be the next_cursor of an earlier answer, unchanged
    1/windows/1m?limt=5
        400 bad-parameter: the query has "limt"; the parameters are metric, from, to, cursor, limit, order
    1/windows/1m?limit=5&limit=6
        400 bad-parameter: limit is "5"; it is given more than once
    9/windows/1m
        404 no-such-source: source 9 has never sent a frame; GET /v1/sources lists those that have
    "#);
}

#[tokio::test]
async fn a_cursor_is_of_one_source_and_size() {
    let world = World::small();
    world.count(2, "2026-03-01T12:00:00Z", &[("lying", 1)]);
    let client = world.client();
    let first = client.get("/v1/sources/1/windows/1m?limit=1").await.json();
    let cursor = first["next_cursor"].as_str().unwrap();
    for path in ["2/windows/1m", "1/windows/5m"] {
        let answer = client.get(&format!("/v1/sources/{path}?cursor={cursor}")).await;
        assert!(answer.problem().ends_with("it belongs to another source or size"), "{answer:?}");
        assert_eq!(answer.json()["parameter"], "cursor");
    }
}

/// Follows `next_cursor` from the first page to the last, changing the rows
/// before each page.
async fn walk(world: &World, query: &str, mut meanwhile: impl FnMut(usize)) -> Vec<String> {
    let client = world.client();
    let (mut met, mut cursor) = (Vec::new(), String::new());
    for page in 0.. {
        meanwhile(page);
        let path = format!("/v1/sources/1/windows/1m?{query}{cursor}");
        let answer = client.get(&path).await.json();
        let items = answer["items"].as_array().unwrap();
        met.extend(items.iter().map(|item| item["start"].as_str().unwrap().to_owned()));
        match answer["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return met,
        }
        assert!(page < 1000, "paging does not end");
    }
    unreachable!("pages are counted for ever")
}

#[tokio::test]
async fn paging_meets_each_window_once_while_rows_change() {
    for (order, newest_first) in [("newest", true), ("oldest", false)] {
        for limit in [1, 3, 7, 50, 1000] {
            let world = World::empty();
            let begin = at("2026-03-01T00:00:00Z").get();
            // Every third minute is missing, so places are not counts.
            let minutes = (0..50).filter(|minute| minute % 3 != 1);
            let there: BTreeSet<i64> = minutes.map(|minute| begin + minute * 60_000).collect();
            let count = |ms: i64| {
                let captured_at = UnixMillis::new(ms).to_string();
                world.count(1, &captured_at, &[("lying", 1)]);
            };
            there.iter().copied().for_each(count);
            let query = format!("limit={limit}&order={order}");
            let met = walk(&world, &query, |page| {
                // Not for ever: a client that is slower than the farm never ends.
                let page = i64::try_from(page.min(20)).unwrap();
                // Another window at each end, a hole filled, and every row corrected.
                count(begin + (60 + page) * 60_000);
                count(begin - (60 + page) * 60_000);
                count(begin + (3 * page % 50 + 1) * 60_000);
                there.iter().copied().for_each(count);
            })
            .await;

            let mut once: Vec<i64> = met.iter().map(|start| at(start).get()).collect();
            assert!(once.is_sorted_by(|a, b| if newest_first { b < a } else { a < b }), "{met:?}");
            once.retain(|start| there.contains(start));
            assert_eq!(once.len(), there.len(), "{order}, {limit} a page");
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_known_is_not_sent_again() {
    let world = World::small();
    let client = world.client();
    for path in
        ["/v1/sources", "/v1/sources/1/windows/1m", "/v1/site", "/", "/app.js", "/v1/openapi.json"]
    {
        let first = client.get(path).await;
        let tag = first.header("etag").to_owned();
        assert!(tag.starts_with('"') && tag.ends_with('"'), "{path}: {tag}");
        assert_eq!(first.header("cache-control"), "private, no-cache");

        let again = client.with("if-none-match", &tag).get(path).await;
        assert_eq!((again.status, again.body.as_str()), (StatusCode::NOT_MODIFIED, ""), "{path}");
        assert_eq!(again.header("etag"), tag);
        let other = client.with("if-none-match", "\"else\"").get(path).await;
        assert_eq!((other.status, &other.body), (StatusCode::OK, &first.body), "{path}");
    }
}

#[tokio::test]
async fn a_tag_changes_with_the_rows_and_with_the_question() {
    let world = World::small();
    let client = world.client();
    let mut tags = BTreeSet::new();
    for path in ["1m", "1m?limit=1", "1m?metric=lying", "1m?order=oldest", "5m"] {
        let answer = client.get(&format!("/v1/sources/1/windows/{path}")).await;
        assert!(tags.insert(answer.header("etag").to_owned()), "{path}");
    }
    let known = client.get("/v1/sources/1/windows/1m").await.header("etag").to_owned();
    world.count(1, "2026-03-01T12:00:06Z", &[("lying", 1), ("standing", 1), ("total", 2)]);
    let answer = client.with("if-none-match", &known).get("/v1/sources/1/windows/1m").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json()["items"][1]["status"], "corrected");
    herd::settle(&mut world.store.tables());
}

#[tokio::test]
async fn windows_are_read_again_once_their_source_has_changed() {
    let world = World::small();
    let client = world.client();
    let (one, all) = ("/v1/sources/1/windows/1m?limit=1", "/v1/sources/1/windows/1m?metric=lying");
    let (first_one, first_all) = (client.get(one).await, client.get(all).await);
    // What nothing was committed of cannot have changed: the rows are not asked for.
    world.store.tables().windows.clear();
    for (address, first) in [(one, &first_one), (all, &first_all)] {
        let again = client.get(address).await;
        assert_eq!((&again.body, again.header("etag")), (&first.body, first.header("etag")));
        assert_eq!(again.header("animov-stale"), "");
        let known = client.with("if-none-match", first.header("etag")).get(address).await;
        assert_eq!(known.status, StatusCode::NOT_MODIFIED);
    }
    world.count(1, "2026-03-01T12:04:00Z", &[("lying", 1)]);
    let changed = client.get(all).await.json();
    assert_eq!(changed["items"].as_array().unwrap().len(), 1);
    assert_eq!(changed["items"][0]["start"], "2026-03-01T12:04:00Z");
}
