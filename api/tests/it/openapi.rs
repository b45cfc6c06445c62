//! The OpenAPI document.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::accuracy::{confusion, measure};
use crate::world::World;

#[test]
fn the_golden_file_is_what_the_routes_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, api::openapi_json()).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        golden == api::openapi_json(),
        "api/openapi.json is not what the routes say: run `UPDATE_GOLDEN=1 cargo test -p api` and \
         review the difference"
    );
}

#[tokio::test]
async fn the_document_is_served_and_every_reference_in_it_leads_somewhere() {
    let document = World::empty().client().get("/v1/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                references.push(reference.clone());
            }
            fields.values().for_each(|field| collect(field, references));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[tokio::test]
async fn the_documents_own_example_of_a_frame_is_taken() {
    let world = World::empty();
    let document = world.client().get("/v1/openapi.json").await.json();
    let example = &document["components"]["schemas"]["FrameBody"]["example"];
    let answer = world.client().post(example).await;
    assert_eq!(answer.body, r#"{"appended":1}"#, "{example}");
}

/// The schema that describes an answer names exactly the fields that it has.
#[tokio::test]
async fn answers_have_the_fields_that_the_document_promises() {
    let world = World::small();
    let document = world.client().get("/v1/openapi.json").await.json();
    let schemas = &document["components"]["schemas"];
    let sources = world.client().get("/v1/sources").await.json();
    let windows = world.client().get("/v1/sources/1/windows/1m").await.json();
    let statistics = &windows["items"][0]["metrics"]["lying"];
    measure(&world, "2026-02-03T12:00:00Z", confusion([57, 3], [45, 5]));
    let measured = world.client().get("/v1/sources/1/accuracy").await.json();
    let shares = world.client().get("/v1/sources/1/lying-share/1h").await.json();
    for (schema, answer) in [
        ("Sources", &sources),
        ("Source", &sources["items"][0]),
        ("Windows", &windows),
        ("WindowItem", &windows["items"][0]),
        ("MetricStatistics", statistics),
        ("AuditAnswer", &world.client().get("/v1/audit").await.json()),
        ("Measurements", &measured),
        ("MeasurementItem", &measured["items"][0]),
        ("MeasuredModel", &measured["items"][0]["model"]),
        ("ConfusionItem", &measured["items"][0]["confusion"]),
        ("LyingShares", &shares),
        ("LyingShare", &shares["items"][0]),
        ("Corrected", &shares["items"][0]["corrected"]),
        ("SiteInfo", &world.client().get("/v1/site").await.json()),
    ] {
        let names = |value: &Value| -> Vec<String> {
            let mut names: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
            names.sort();
            names
        };
        assert_eq!(names(&schemas[schema]["properties"]), names(answer), "{schema}");
    }
}
