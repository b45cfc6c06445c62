//! What producers send.

use axum::http::{Method, StatusCode};
use schemas::avro::{self, Schemas};
use schemas::frame::{Frame, FrameId, Seen};
use schemas::log::LogError;
use serde_json::{Value, json};

use crate::support::herd;
use crate::world::{Answer, Client, NOON, World, at};

const SESSION: &str = "0b9d3c4e-6a55-4f0e-9a62-6f5d8a3c7b11";

/// A frame that can be counted.
fn counts() -> Value {
    json!({"source": 1, "session": SESSION, "seq": 0, "captured_at": NOON, "counts": {"lying": 3, "standing": 5}})
}

/// A frame that can be counted, with boxes.
fn detections() -> Value {
    json!({
        "source": 2, "session": SESSION, "seq": 7, "captured_at": 1_772_366_400_250_i64,
        "width": 640, "height": 480, "model": {"name": "goats.onnx", "hash": "00112233aabbccdd"},
        "detections": [{"class": "lying", "confidence": 0.9, "x": 0.1, "y": 0.2, "w": 0.3, "h": 0.4}],
    })
}

/// `frame` with the value at the JSON pointer replaced, or added.
fn with(mut frame: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match frame.pointer_mut(parent).unwrap() {
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
        parent => parent[key] = value,
    }
    frame
}

fn without(mut frame: Value, field: &str) -> Value {
    frame.as_object_mut().unwrap().remove(field);
    frame
}

/// The frames that the log took.
fn appended(world: &World) -> Vec<Frame> {
    let records = world.log.records.lock().unwrap();
    let decode = |(source, record): &(_, Vec<u8>)| {
        let frame = avro::decode(record, &Schemas::builtin()).unwrap();
        assert_eq!(frame.id.source, *source);
        frame
    };
    records.iter().map(decode).collect()
}

async fn send(client: &Client, content_type: &str, body: Vec<u8>) -> Answer {
    client.with("content-type", content_type).send(Method::POST, "/v1/frames", body).await
}

#[tokio::test]
async fn one_frame_an_array_and_lines_are_the_same() {
    let array = json!([counts(), detections()]).to_string();
    let lines = format!("{}\r\n\n{}\n", counts(), detections());
    let mut seen = Vec::new();
    for (content_type, body) in [
        ("application/json", array.as_str()),
        ("application/json; charset=utf-8", array.as_str()),
        ("Application/JSON", array.as_str()),
        ("application/x-ndjson", lines.as_str()),
    ] {
        let world = World::empty();
        let answer = send(&world.client(), content_type, body.as_bytes().to_vec()).await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (StatusCode::ACCEPTED, r#"{"appended":2}"#)
        );
        seen.push(appended(&world));
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]));
    insta::assert_debug_snapshot!(seen[0], @r#"
    [
        Frame {
            id: FrameId {
                source: SourceId(
                    1,
                ),
                session: 0b9d3c4e-6a55-4f0e-9a62-6f5d8a3c7b11,
                seq: 0,
            },
            captured_at: UnixMillis(
                1772366400000,
            ),
            produced_at: UnixMillis(
                1772366400000,
            ),
            seen: Counts(
                [
                    (
                        "lying",
                        3,
                    ),
                    (
                        "standing",
                        5,
                    ),
                ],
            ),
        },
        Frame {
            id: FrameId {
                source: SourceId(
                    2,
                ),
                session: 0b9d3c4e-6a55-4f0e-9a62-6f5d8a3c7b11,
                seq: 7,
            },
            captured_at: UnixMillis(
                1772366400250,
            ),
            produced_at: UnixMillis(
                1772366400000,
            ),
            seen: Detections(
                Picture {
                    width: 640,
                    height: 480,
                    model: Model {
                        name: "goats.onnx",
                        hash: "00112233aabbccdd",
                    },
                    detections: [
                        Detection {
                            class: "lying",
                            confidence: 0.9,
                            x: 0.1,
                            y: 0.2,
                            w: 0.3,
                            h: 0.4,
                        },
                    ],
                    image: None,
                },
            ),
        },
    ]
    "#);
    let world = World::empty();
    assert_eq!(world.client().post(counts()).await.body, r#"{"appended":1}"#);
    assert_eq!(appended(&world), seen[0][..1]);
}

#[tokio::test]
async fn avro_records_are_appended_as_they_came() {
    let frame = |seq| Frame {
        id: FrameId { source: herd::source(3), session: SESSION.parse().unwrap(), seq },
        captured_at: at(NOON),
        produced_at: at(NOON),
        seen: Seen::Counts(vec![("lying".into(), 2)]),
    };
    let mut body = Vec::new();
    avro::encode(&frame(0), &mut body);
    let first = body.clone();
    avro::encode(&frame(1), &mut body);
    for content_type in ["application/avro", "avro/binary"] {
        let world = World::empty();
        let answer = send(&world.client(), content_type, body.clone()).await;
        assert_eq!(answer.body, r#"{"appended":2}"#, "{answer:?}");
        assert_eq!(appended(&world), [frame(0), frame(1)]);
        let records = world.log.records.lock().unwrap();
        assert_eq!(records[0].1, first);
    }
    // Damaged behind the first one: nothing at all is taken.
    let world = World::empty();
    body.truncate(body.len() - 1);
    let answer = send(&world.client(), "application/avro", body.clone()).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    insta::assert_snapshot!(answer.json()["faults"], @r#"[{"detail":"the record at byte 49 ends early, or is no value of its schema","field":"","index":1}]"#);
    let answer = send(&world.client(), "application/avro", b"hello".to_vec()).await;
    insta::assert_snapshot!(answer.json()["faults"], @r#"[{"detail":"the record at byte 0 does not begin with C3 01 and a schema fingerprint","field":"","index":0}]"#);
    assert_eq!(appended(&world), []);
}

#[tokio::test]
async fn each_frame_that_cannot_be_counted_is_named_with_its_field() {
    let box_with =
        |field: &str, value: Value| with(detections(), &format!("/detections/0/{field}"), value);
    let world = World::empty();
    let client = world.client();
    let mut told = String::new();
    for frame in [
        with(counts(), "/source", json!(0)),
        with(counts(), "/source", json!(2_147_483_648_i64)),
        with(counts(), "/source", json!("pen")),
        without(counts(), "source"),
        with(counts(), "/session", json!("morning")),
        with(counts(), "/seq", json!(-1)),
        with(counts(), "/seq", json!(1.5)),
        with(counts(), "/seq", json!(u64::MAX)),
        with(counts(), "/captured_at", json!("yesterday")),
        with(counts(), "/captured_at", json!("2026-03-01")),
        with(counts(), "/captured_at", json!(i64::MAX)),
        with(counts(), "/captured_at", json!(u64::MAX)),
        with(counts(), "/captured_at", json!(1.5)),
        with(counts(), "/captured_at", json!(null)),
        with(counts(), "/counts/lying", json!(-3)),
        with(counts(), "/counts/lying", json!(1025)),
        with(counts(), "/counts/lying", json!(u64::MAX)),
        with(counts(), "/counts/lying", json!("three")),
        with(counts(), "/counts", json!([3])),
        with(counts(), "/counts", json!({"": 1})),
        with(counts(), "/width", json!(640)),
        with(counts(), "/colour", json!("white")),
        without(counts(), "counts"),
        with(detections(), "/counts", json!({"lying": 1})),
        without(detections(), "width"),
        with(detections(), "/height", json!(0)),
        with(detections(), "/detections/0", json!(5)),
        box_with("confidence", json!(1.01)),
        box_with("confidence", json!(1e39)),
        box_with("x", json!(-0.5)),
        box_with("w", json!(0.95)),
        box_with("class", json!("")),
        box_with("class", json!("c".repeat(65))),
    ] {
        let answer = client.post(json!([counts(), frame])).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{frame}");
        let problem = answer.json();
        assert_eq!(problem["faults_total"], 1, "{problem}");
        assert_eq!(problem["faults"][0]["index"], 1);
        let (field, detail) = (&problem["faults"][0]["field"], &problem["faults"][0]["detail"]);
        told.push_str(&format!("{}: {}\n", field.as_str().unwrap(), detail.as_str().unwrap()));
    }
    insta::assert_snapshot!(told, @r#"
    source: source 0 is not a whole number from 1 to 2147483647
    source: source 2147483648 is not a whole number from 1 to 2147483647
    source: invalid type: string "pen", expected a whole number
    : missing field `source`
    session: UUID parsing failed: invalid character: found `m` at 0
    seq: seq -1 is negative
    seq: invalid type: floating point `1.5`, expected a whole number
    seq: invalid value: integer `18446744073709551615`, expected a whole number
    captured_at: invalid value: string "yesterday", expected RFC 3339 ("2026-03-01T12:00:00Z") or milliseconds since 1970
    captured_at: invalid value: string "2026-03-01", expected RFC 3339 ("2026-03-01T12:00:00Z") or milliseconds since 1970
    captured_at: invalid value: integer `9223372036854775807`, expected RFC 3339 ("2026-03-01T12:00:00Z") or milliseconds since 1970
    captured_at: invalid value: integer `18446744073709551615`, expected RFC 3339 ("2026-03-01T12:00:00Z") or milliseconds since 1970
    captured_at: invalid type: floating point `1.5`, expected RFC 3339 ("2026-03-01T12:00:00Z") or milliseconds since 1970
    captured_at: invalid type: null, expected RFC 3339 ("2026-03-01T12:00:00Z") or milliseconds since 1970
    counts.lying: -3 is not a number of animals, 0 to 1024
    counts.lying: 1025 animals of one class; at most 1024
    counts.lying: invalid value: integer `18446744073709551615`, expected a whole number
    counts.lying: invalid type: string "three", expected a whole number
    counts: invalid type: sequence, expected an object from class to number of animals
    counts: a class name is empty, longer than 64 bytes, or holds control characters
    width: it goes with detections, not with counts
    colour: unknown field `colour`, expected one of `source`, `session`, `seq`, `captured_at`, `width`, `height`, `model`, `detections`, `counts`
    : a frame has either detections or counts
    counts: a frame has detections or counts, not both
    width: it is missing: a picture's side in pixels
    height: 0 is no picture's side in pixels
    detections[0]: invalid type: integer `5`, expected a box {class, confidence, x, y, w, h}
    detections[0].confidence: confidence 1.01 is not from 0 to 1
    detections[0].confidence: confidence inf is not from 0 to 1
    detections[0]: box [-0.5, 0.2, 0.3, 0.4] is not inside the picture (x, y, w, h from 0 to 1)
    detections[0]: box [0.1, 0.2, 0.95, 0.4] is not inside the picture (x, y, w, h from 0 to 1)
    detections[0].class: a class name is empty, longer than 64 bytes, or holds control characters
    detections[0].class: a class name is empty, longer than 64 bytes, or holds control characters
    "#);
    assert_eq!(appended(&world), []);
}

#[tokio::test]
async fn what_json_alone_could_say_is_refused_too() {
    let world = World::empty();
    let client = world.client();
    let frame = counts().to_string();
    let twice = frame.replace(r#""lying":3"#, r#""lying":3,"lying":4"#);
    let huge = detections().to_string().replace("0.9", "1e999");
    let same_field = frame.replace(r#""seq":0"#, r#""seq":0,"seq":1"#);
    let many = vec![detections()["detections"][0].clone(); 10_000];
    let many = with(detections(), "/detections", json!(many)).to_string();
    let classes: serde_json::Map<_, _> = (0..257).map(|at| (format!("c{at}"), json!(1))).collect();
    let classes = with(counts(), "/counts", Value::Object(classes)).to_string();
    let mut told = String::new();
    for body in [
        &twice,
        &huge,
        &same_field,
        &many,
        &classes,
        &"5".to_owned(),
        &"[]".to_owned(),
        &"[[]]".to_owned(),
    ] {
        let answer = client.post(body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.body);
        let faults = &answer.json()["faults"][0];
        told.push_str(&format!(
            "{}: {}\n",
            faults["field"].as_str().unwrap(),
            faults["detail"].as_str().unwrap()
        ));
    }
    insta::assert_snapshot!(told, @r#"
    counts: class "lying" is counted twice
    detections[0].confidence: number out of range
    : duplicate field `seq`
    detections: more than 1024 boxes
    counts: more than 256 classes
    : a frame is an object {source, session, seq, captured_at, …}
    : there is no frame in the request
    : a frame is an object {source, session, seq, captured_at, …}
    "#);

    let mut told = String::new();
    for body in ["", "{", "[{}", "[1,]", "{} {}", "[] x", "nan", "\u{feff}[]"] {
        let answer = client.post(body).await;
        told.push_str(&format!("{}\n", answer.problem()));
    }
    insta::assert_snapshot!(told, @"
    400 not-json: the body is not JSON: EOF while parsing a value at line 1 column 0
    400 not-json: the body is not JSON: EOF while parsing an object at line 1 column 1
    400 not-json: the body is not JSON: EOF while parsing a list at line 1 column 3
    400 not-json: the body is not JSON: trailing comma at line 1 column 4
    400 not-json: the body is not JSON: trailing characters at line 1 column 4
    400 not-json: the body is not JSON: trailing characters at line 1 column 4
    400 not-json: the body is not JSON: expected ident at line 1 column 2
    400 not-json: the body is not JSON: expected value at line 1 column 1
    ");
    assert_eq!(appended(&world), []);
}

#[tokio::test]
async fn a_bad_line_is_named_by_its_place_among_the_frames() {
    let body = format!("{}\n\n{{\"source\":\n{}", counts(), counts());
    let answer = send(&World::empty().client(), "application/x-ndjson", body.into_bytes()).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(answer.json()["faults"][0]["index"], 1);
}

#[tokio::test]
async fn the_first_twenty_faults_are_listed_and_all_are_counted() {
    let bad: Vec<_> = (0..50).map(|_| with(counts(), "/seq", json!(-1))).collect();
    let answer = World::empty().client().post(json!(bad)).await;
    let problem = answer.json();
    assert_eq!(problem["faults"].as_array().unwrap().len(), 20);
    assert_eq!(problem["faults_total"], 50);
    assert!(answer.problem().ends_with("50 of the frames cannot be counted; none was appended"));
}

#[tokio::test]
async fn an_implausible_time_is_the_pipelines_business() {
    let world = World::empty();
    for captured_at in
        [json!(0), json!("1970-01-01T00:00:00Z"), json!("2100-01-01T00:00:00Z"), json!(-1)]
    {
        let answer = world.client().post(with(counts(), "/captured_at", captured_at)).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.body);
    }
}

#[tokio::test]
async fn what_is_not_a_form_of_frames_is_refused() {
    let client = World::empty().client();
    let frame = counts().to_string().into_bytes();
    let mut told = String::new();
    for content_type in ["text/csv", "application/octet-stream", "application/jsonx", ""] {
        told.push_str(&format!("{}\n", send(&client, content_type, frame.clone()).await.problem()));
    }
    let answer = client.send(Method::POST, "/v1/frames", frame.clone()).await;
    told.push_str(&format!("{}\n", answer.problem()));
    let answer = send(&client.with("content-encoding", "gzip"), "application/json", frame).await;
    told.push_str(&format!("{}\n", answer.problem()));
    insta::assert_snapshot!(told, @"
    415 unsupported-type: the body is text/csv; frames come as application/json, application/x-ndjson, application/avro or avro/binary, without a content encoding
    415 unsupported-type: the body is application/octet-stream; frames come as application/json, application/x-ndjson, application/avro or avro/binary, without a content encoding
    415 unsupported-type: the body is application/jsonx; frames come as application/json, application/x-ndjson, application/avro or avro/binary, without a content encoding
    415 unsupported-type: the body is ; frames come as application/json, application/x-ndjson, application/avro or avro/binary, without a content encoding
    415 unsupported-type: the body is of no named type; frames come as application/json, application/x-ndjson, application/avro or avro/binary, without a content encoding
    415 unsupported-type: the body is encoded; frames come as application/json, application/x-ndjson, application/avro or avro/binary, without a content encoding
    ");
}

#[tokio::test]
async fn a_log_that_does_not_take_frames_is_told_with_when_to_come_again() {
    let world = World::empty();
    let client = world.client();
    let full = || LogError::Full { at: "/secret".into(), source: std::io::Error::other("secret") };
    let gone = || LogError::Io {
        doing: "write",
        at: "/secret".into(),
        source: std::io::Error::other("secret"),
    };
    let broken = || LogError::Damaged { at: "/secret".into(), what: "secret".into() };
    let mut told = String::new();
    let failures: [fn() -> LogError; 6] = [
        full,
        gone,
        || LogError::Overloaded,
        broken,
        || LogError::ReadOnly,
        || LogError::TooLong { bytes: 9, max: 8 },
    ];
    for failure in failures {
        *world.log.failure.lock().unwrap() = Some(failure);
        let answer = client.post(counts()).await;
        assert!(!answer.body.contains("secret"), "{}", answer.body);
        told.push_str(&format!(
            "{} Retry-After: {}\n",
            answer.problem(),
            answer.header("retry-after")
        ));
    }
    insta::assert_snapshot!(told, @"
    503 log-away: the log did not take the frames; send all of them again (a frame is counted once however often it arrives) Retry-After: 5
    503 log-away: the log did not take the frames; send all of them again (a frame is counted once however often it arrives) Retry-After: 5
    503 log-away: the log did not take the frames; send all of them again (a frame is counted once however often it arrives) Retry-After: 5
    500 log-broken: the log did not take the frames; send all of them again (a frame is counted once however often it arrives) Retry-After: 
    503 read-only: this server only reads; send frames to the one that writes the log Retry-After: 
    413 too-large: a frame is longer than the log can take; none was appended Retry-After:
    ");
}

#[tokio::test]
async fn appended_frames_are_counted() {
    let client = World::empty().client();
    client.post(json!([counts(), detections()])).await;
    client.post(with(counts(), "/seq", json!(-1))).await;
    let metrics = client.get("/metrics").await.body;
    assert!(metrics.contains("\nanimov_api_frames_appended_total 2\n"), "{metrics}");
}
