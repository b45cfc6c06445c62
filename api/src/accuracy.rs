//! How right a source's detections were when they were compared with labels.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use schemas::accuracy::{Confusion, Measurement, StoredMeasurement};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::auth::Viewer;
use crate::error::ApiError;
use crate::params::{self, Params};
use crate::refusals::{Refusals, Unchanged};
use crate::state::Api;
use crate::tagged;

/// Most measurements in one answer: each has its whole report.
const LIMIT_MAX: u32 = 100;

/// Measurements in one answer if the client does not say.
const LIMIT_DEFAULT: u32 = 10;

/// The measurements of a source.
#[derive(Serialize, ToSchema)]
pub(crate) struct Measurements {
    /// The newest first.
    items: Vec<MeasurementItem>,
}

/// What one comparison of a source's detections with labels found.
#[derive(Serialize, ToSchema)]
pub(crate) struct MeasurementItem {
    /// A digest of what was measured: the same result has the same.
    #[schema(example = "2b6d6d2b1f3d6f1c6f7e8c0c0d3f4a5b6c7d8e9fa0b1c2d3e4f5061728394a5b")]
    id: String,
    #[schema(example = 1)]
    source: i32,
    /// When this was last the result.
    #[schema(example = "2026-03-02T09:00:00Z")]
    measured_at: String,
    model: MeasuredModel,
    /// Detections below it were left out; 0 if none were left out of what was recorded.
    #[schema(example = 0.4)]
    confidence: f32,
    /// When the first labelled frame was captured.
    #[schema(example = "2026-03-01T12:00:00Z")]
    from: String,
    /// A moment behind the last labelled frame.
    #[schema(example = "2026-03-01T13:00:00Z")]
    to: String,
    /// Labelled frames.
    #[schema(example = 60)]
    frames: u64,
    confusion: ConfusionItem,
    /// The whole report, as `animov accuracy` prints it.
    report: Value,
}

/// Whose detections were compared.
#[derive(Serialize, ToSchema)]
pub(crate) struct MeasuredModel {
    /// The file's name.
    #[schema(example = "goats.onnx")]
    name: String,
    /// First 16 hexadecimal digits of the file's SHA-256.
    #[schema(example = "00112233aabbccdd")]
    hash: String,
}

/// Animals that were labelled and detected at one place, by true and detected posture.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConfusionItem {
    lying_as_lying: u64,
    lying_as_standing: u64,
    standing_as_lying: u64,
    standing_as_standing: u64,
    /// The share of truly lying animals that were detected as lying; null without any.
    #[schema(example = 0.95)]
    sensitivity: Option<f64>,
    /// The share of truly standing animals that were detected as standing; null without
    /// any.
    #[schema(example = 0.9)]
    specificity: Option<f64>,
}

impl ConfusionItem {
    fn of(confusion: Confusion) -> ConfusionItem {
        let Confusion {
            lying_as_lying,
            lying_as_standing,
            standing_as_lying,
            standing_as_standing,
        } = confusion;
        ConfusionItem {
            lying_as_lying,
            lying_as_standing,
            standing_as_lying,
            standing_as_standing,
            sensitivity: confusion.sensitivity(),
            specificity: confusion.specificity(),
        }
    }
}

impl MeasurementItem {
    fn of(stored: StoredMeasurement) -> MeasurementItem {
        let StoredMeasurement { id, measurement } = stored;
        let Measurement {
            source,
            measured_at,
            model,
            confidence,
            from,
            to,
            frames,
            confusion,
            report,
        } = measurement;
        MeasurementItem {
            id: id.to_string(),
            source: source.get(),
            measured_at: measured_at.to_string(),
            model: MeasuredModel { name: model.name.to_string(), hash: model.hash.to_string() },
            confidence,
            from: from.to_string(),
            to: to.to_string(),
            frames,
            confusion: ConfusionItem::of(confusion),
            report,
        }
    }
}

/// Lists how right a source's detections were when they were compared with labels.
///
/// A source that was never measured has none.
#[utoipa::path(
    get,
    path = "/v1/sources/{source}/accuracy",
    params(
        ("source" = i32, Path, description = "The camera's number, from 1.", minimum = 1),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100,
         description = "Measurements in one answer, the newest first; 10 if not given."),
    ),
    responses(
        (status = 200, description = "The measurements, under an ETag.", body = Measurements),
        Unchanged,
        Refusals,
    ),
    tag = "accuracy",
)]
pub(crate) async fn list_accuracy(
    viewer: Viewer,
    State(api): State<Api>,
    Path(source): Path<String>,
    mut params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let source = params::source(&source)?;
    viewer.check(source)?;
    let limit = params.take("limit", params::count(LIMIT_MAX))?.unwrap_or(LIMIT_DEFAULT);
    params.end()?;
    let measurements = api.accuracy(move |store| store.of_source(source, limit)).await?;
    let items = measurements.into_iter().map(MeasurementItem::of).collect();
    Ok(tagged::json(&headers, &Measurements { items }))
}
