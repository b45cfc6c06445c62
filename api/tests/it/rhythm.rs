//! How a source's days usually go.

use std::time::Duration;

use axum::http::StatusCode;
use schemas::commit::Status;
use schemas::window::{Calendar, WindowSize};
use serde_json::{Value, json};

use crate::world::{World, at};

/// Frames that the cadence gives in an hour.
const HOUR_FRAMES: u64 = 720;

/// Counts `frames` frames of one hour from `start` on, each with so many lying and standing.
fn hour(world: &World, start: &str, frames: u64, lying: u32, standing: u32) {
    for frame in 0..frames {
        let captured_at = at(start).plus(Duration::from_secs(5 * frame)).to_string();
        let seen = [("lying", lying), ("standing", standing), ("total", lying + standing)];
        world.count(1, &captured_at, &seen);
    }
}

fn settle(world: &World) {
    for window in world.store.tables().windows.values_mut() {
        window.status = Status::Final;
    }
}

async fn rhythm(world: &World, query: &str) -> Value {
    let answer = world.client().get(&format!("/v1/sources/1/rhythm{query}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.json()
}

/// The hour of that name.
fn told(rhythm: &Value, hour: i64) -> Value {
    let hours = rhythm["hours"].as_array().unwrap();
    hours.iter().find(|told| told["hour"] == hour).cloned().unwrap_or(Value::Null)
}

#[tokio::test]
async fn a_day_stands_beside_what_the_days_before_it_were() {
    let world = World::empty();
    // 13 o'clock in Paris. The days count alike, though one has half the frames.
    hour(&world, "2026-02-26T12:00:00Z", HOUR_FRAMES, 2, 8);
    hour(&world, "2026-02-27T12:00:00Z", HOUR_FRAMES / 2, 4, 6);
    hour(&world, "2026-02-28T12:00:00Z", HOUR_FRAMES, 3, 3);
    // Too little of it was seen.
    hour(&world, "2026-02-28T13:00:00Z", HOUR_FRAMES / 2 - 1, 9, 0);
    // Nobody was there.
    hour(&world, "2026-02-28T14:00:00Z", HOUR_FRAMES, 0, 0);
    hour(&world, "2026-03-01T12:00:00Z", HOUR_FRAMES, 8, 2);
    settle(&world);
    let found = rhythm(&world, "").await;
    assert_eq!(
        (&found["zone"], &found["from"], &found["day"], &found["coverage_min"]),
        (&json!("Europe/Paris"), &json!("2026-02-01"), &json!("2026-03-01"), &json!(0.5))
    );
    let one = told(&found, 13);
    let close = |value: &Value, wanted: f64| {
        assert!((value.as_f64().unwrap() - wanted).abs() < 1e-12, "{value}, not {wanted}");
    };
    assert_eq!(one["days"], 3);
    // Of 0.2, 0.4 and 0.5, by hand.
    let (mean, std) = (1.1 / 3.0, (0.07_f64 / 3.0).sqrt());
    close(&one["lying_share"]["mean"], mean);
    close(&one["lying_share"]["std"], std);
    close(&one["lying_share"]["min"], 0.2);
    close(&one["lying_share"]["max"], 0.5);
    close(&one["animals"]["mean"], 26.0 / 3.0);
    close(&one["that_day"]["lying_share"], 0.8);
    close(&one["that_day"]["animals"], 10.0);
    close(&one["that_day"]["lying_share_deviation"], (0.8 - mean) / std);
    assert_eq!(one["that_day"]["status"], "final");
    assert_eq!(told(&found, 14), Value::Null);
    let nobody = told(&found, 15);
    assert_eq!((&nobody["days"], &nobody["lying_share"]), (&json!(1), &Value::Null));
    assert_eq!(
        nobody["animals"],
        json!({"days": 1, "mean": 0.0, "std": null, "min": 0.0, "max": 0.0})
    );
    assert_eq!(nobody["that_day"], Value::Null);

    // Of one day there is no deviation; of less than half an hour there is something too.
    let found = rhythm(&world, "?days=1&coverage_min=0.25").await;
    assert_eq!(found["from"], "2026-02-28");
    let one = told(&found, 13);
    assert_eq!((&one["days"], &one["lying_share"]["std"]), (&json!(1), &Value::Null));
    assert_eq!(one["that_day"]["lying_share_deviation"], Value::Null);
    assert_eq!(told(&found, 14)["lying_share"]["mean"], 1.0);
    // Another day is compared with those before it alone.
    let found = rhythm(&world, "?day=2026-02-27").await;
    let one = told(&found, 13);
    assert_eq!((&one["days"], &one["that_day"]["lying_share"]), (&json!(1), &json!(0.4)));
}

#[tokio::test]
async fn a_late_frame_corrects_it_and_an_open_hour_is_none_of_the_baseline() {
    let world = World::empty();
    hour(&world, "2026-02-28T12:00:00Z", HOUR_FRAMES - 1, 1, 1);
    hour(&world, "2026-03-01T12:00:00Z", HOUR_FRAMES, 1, 1);
    settle(&world);
    world.count(1, "2026-02-28T12:59:59Z", &[("lying", 2), ("standing", 0), ("total", 2)]);
    let one = told(&rhythm(&world, "").await, 13);
    let mean = one["lying_share"]["mean"].as_f64().unwrap();
    assert!((mean - 721.0 / 1440.0).abs() < 1e-12, "{mean}");
    for window in world.store.tables().windows.values_mut() {
        window.status = Status::Open;
    }
    let one = told(&rhythm(&world, "").await, 13);
    assert_eq!((&one["days"], &one["that_day"]["status"]), (&json!(0), &json!("open")));
}

#[tokio::test]
async fn an_hour_that_the_clock_has_twice_is_one_of_its_day() {
    let world = World::empty();
    // On 25 October 2026 Paris has two hours from 2 to 3.
    hour(&world, "2026-10-25T00:00:00Z", HOUR_FRAMES, 1, 0);
    hour(&world, "2026-10-25T01:00:00Z", HOUR_FRAMES, 0, 1);
    hour(&world, "2026-10-26T01:00:00Z", HOUR_FRAMES, 1, 0);
    settle(&world);
    let found = rhythm(&world, "").await;
    let one = told(&found, 2);
    assert_eq!((&one["days"], &one["lying_share"]["mean"]), (&json!(1), &json!(0.5)));
    assert_eq!(one["that_day"]["lying_share"], 1.0);
    assert_eq!(found["hours"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_longest_baseline_is_whole_in_a_zone_at_half_past() {
    let mut world = World::empty();
    world.calendar = Calendar::in_zone("Asia/Kolkata").unwrap();
    let day = 86_400;
    let start = at("2026-03-01T12:00:00Z");
    let first = world.calendar.window(WindowSize::Day, start).unwrap().start;
    for hour in 0..91 * 24 {
        let captured_at = first.plus(Duration::from_secs(3600 * hour + 1800)).to_string();
        world.count(1, &captured_at, &[("lying", 1), ("standing", 0), ("total", 1)]);
    }
    settle(&world);
    let last = first.plus(Duration::from_secs(90 * day + day / 2)).to_string();
    let found = rhythm(&world, &format!("?days=90&coverage_min=0&day={last}")).await;
    let hours = found["hours"].as_array().unwrap();
    assert_eq!(hours.len(), 24);
    let days: i64 = hours.iter().map(|hour| hour["days"].as_i64().unwrap()).sum();
    let those: i64 = hours.iter().map(|hour| i64::from(!hour["that_day"].is_null())).sum();
    assert_eq!((days + those, those), (91 * 24, 24));
}

#[tokio::test]
async fn what_is_asked_wrongly_is_refused_by_name() {
    let client = World::small().client();
    for (query, told) in [
        ("1/rhythm?days=91", "400 bad-parameter: days is \"91\""),
        ("1/rhythm?days=0", "400 bad-parameter: days is \"0\""),
        ("1/rhythm?coverage_min=1.1", "400 bad-parameter: coverage_min is \"1.1\""),
        ("1/rhythm?coverage_min=NaN", "400 bad-parameter: coverage_min is \"NaN\""),
        ("1/rhythm?day=yesterday", "400 bad-parameter: day is \"yesterday\""),
        ("1/rhythm?day=9223372036854775807", "400 bad-parameter: day is \"9223372036854775807\""),
        ("1/rhythm?size=1h", "400 bad-parameter: the query has \"size\""),
        ("9/rhythm", "404 no-such-source: source 9"),
        ("x/rhythm", "400 bad-parameter: source is \"x\""),
    ] {
        let problem = client.get(&format!("/v1/sources/{query}")).await.problem();
        assert!(problem.starts_with(told), "{query}: {problem}");
    }
}
