//! Pictures that were kept, with what was found in them.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use schemas::frame::{Detection, FrameId, Jpeg};
use schemas::snapshot::{Foreign, Images, Record, Snapshot, SnapshotQuery};
use schemas::source::SourceId;
use schemas::time::UnixMillis;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::album;
use crate::auth::Viewer;
use crate::error::{ApiError, Problem};
use crate::page::Order;
use crate::params::{self, Params};
use crate::refusals::Unchanged;
use crate::state::Api;
use crate::tagged;

/// Most records in one answer.
const LIMIT_MAX: u32 = 1000;

/// Records in one answer if the client does not say.
const LIMIT_DEFAULT: u32 = 100;

/// A part of the records.
#[derive(Serialize, ToSchema)]
pub(crate) struct Snapshots {
    /// Without their pictures.
    items: Vec<SnapshotItem>,
    /// How many records there are, of the source or in all, at any time.
    total: u64,
    /// The `skip` of those that follow; null if there are none.
    next_skip: Option<u64>,
}

/// One record.
#[derive(Serialize, ToSchema)]
pub(crate) struct SnapshotItem {
    /// Names it. A frame's record has its source, session and seq.
    #[schema(example = "1/0b9d3c4e-6a55-4f0e-9a62-6f5d8a3c7b11/42")]
    id: String,
    /// `snapshot`; `foreign` is another program's; `unreadable` is neither.
    #[schema(example = "snapshot")]
    kind: &'static str,
    /// What follows is null in another program's record.
    source: Option<i32>,
    /// When the picture was captured.
    #[schema(example = "2026-03-01T12:00:00Z")]
    captured_at: Option<String>,
    /// Of the picture, pixels.
    width: Option<u32>,
    height: Option<u32>,
    /// The model's name.
    model: Option<String>,
    #[schema(value_type = Option<Vec<DetectionItem>>)]
    detections: Option<Vec<Detection>>,
    /// Another program's record as it is, or why it cannot be read.
    #[schema(value_type = Option<Object>)]
    other: Option<Value>,
}

/// One box; lengths are fractions of the picture, 0 to 1.
#[derive(Serialize, ToSchema)]
pub(crate) struct DetectionItem {
    class: String,
    confidence: f32,
    /// Left edge.
    x: f32,
    /// Top edge.
    y: f32,
    w: f32,
    h: f32,
}

impl SnapshotItem {
    fn of(record: Record) -> SnapshotItem {
        let unknown = |id, kind, other| SnapshotItem {
            id,
            kind,
            source: None,
            captured_at: None,
            width: None,
            height: None,
            model: None,
            detections: None,
            other: Some(other),
        };
        match record {
            Record::Snapshot(snapshot) => SnapshotItem {
                id: snapshot.id.to_string(),
                kind: "snapshot",
                source: Some(snapshot.id.source.get()),
                captured_at: Some(snapshot.captured_at.to_string()),
                width: Some(snapshot.width),
                height: Some(snapshot.height),
                model: Some(snapshot.model.name.to_string()),
                detections: Some(snapshot.detections),
                other: None,
            },
            Record::Foreign(Foreign { id, data }) => unknown(id, "foreign", Value::Array(data)),
            Record::Unreadable(unreadable) => {
                let told = Value::String(unreadable.to_string());
                unknown(unreadable.id, "unreadable", told)
            }
        }
    }
}

/// Lists the kept records by time, without their pictures.
#[utoipa::path(
    get,
    path = "/v1/snapshots",
    params(
        ("source" = Option<i32>, Query, minimum = 1, description = "Only this camera."),
        ("from" = Option<String>, Query, example = "2026-03-01T12:00:00Z",
         description = "Captured at this moment or later: RFC 3339, milliseconds since 1970, or a \
                        date, which is the beginning of that day on the site's clocks."),
        ("to" = Option<String>, Query, description = "Captured before this moment, in the same forms."),
        ("order" = inline(Option<Order>), Query,
         description = "Which record comes first; newest if not given."),
        ("skip" = Option<u64>, Query, description = "Records to pass over."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000,
         description = "Records in one answer; 100 if not given."),
    ),
    responses(
        (status = 200, description = "The records, under an ETag.", body = Snapshots),
        Unchanged,
        (status = 400, body = Problem, content_type = "application/problem+json",
         description = "A parameter is wrong: which, what was given, what is expected."),
        (status = 401, body = Problem, content_type = "application/problem+json",
         description = "The token is missing or wrong."),
        (status = 503, body = Problem, content_type = "application/problem+json",
         description = "The store is away."),
    ),
    tag = "snapshots",
)]
pub(crate) async fn list_snapshots(
    viewer: Viewer,
    State(api): State<Api>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let query = asked(&api, params)?;
    let scope = viewer.scope(query.source)?;
    let (total, found) = api
        .snapshots(move |store| {
            Ok((album::count(store, &scope)?, album::find(store, &scope, &query)?))
        })
        .await?;
    let full = u32::try_from(found.len()).is_ok_and(|len| query.limit <= len);
    let next_skip = full.then(|| query.skip.saturating_add(u64::from(query.limit)));
    let items = found.into_iter().map(SnapshotItem::of).collect();
    Ok(tagged::json(&headers, &Snapshots { items, total, next_skip }))
}

fn asked(api: &Api, mut params: Params) -> Result<SnapshotQuery, ApiError> {
    let calendar = &api.site().calendar;
    let moment = |text: &str| params::moment(calendar, text);
    let source = params.take("source", params::parsed::<SourceId>)?;
    let from: Option<UnixMillis> = params.take("from", moment)?;
    let to = params.take("to", moment)?;
    let order = params.take("order", params::parsed)?.unwrap_or(Order::Newest);
    let skip = params
        .take("skip", |text| text.parse().map_err(|_| "it is a whole number from 0".to_owned()))?;
    let limit = params.take("limit", params::count(LIMIT_MAX))?.unwrap_or(LIMIT_DEFAULT);
    params.end()?;
    Ok(SnapshotQuery {
        source,
        from,
        to,
        newest_first: order == Order::Newest,
        skip: skip.unwrap_or(0),
        limit,
        images: Images::Without,
    })
}

/// Tells one record by its place.
#[utoipa::path(
    get,
    path = "/v1/snapshots/nth/{n}",
    params(
        ("n" = u64, Path, description = "From 0, the oldest record."),
        ("source" = Option<i32>, Query, minimum = 1, description = "Among those of this camera."),
    ),
    responses(
        (status = 200, description = "The record, without its picture.", body = SnapshotItem),
        Unchanged,
        (status = 400, body = Problem, content_type = "application/problem+json",
         description = "A parameter is wrong."),
        (status = 401, body = Problem, content_type = "application/problem+json",
         description = "The token is missing or wrong."),
        (status = 404, body = Problem, content_type = "application/problem+json",
         description = "There are fewer records."),
        (status = 503, body = Problem, content_type = "application/problem+json",
         description = "The store is away."),
    ),
    tag = "snapshots",
)]
pub(crate) async fn nth_snapshot(
    viewer: Viewer,
    State(api): State<Api>,
    Path(n): Path<String>,
    mut params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let source = params.take("source", params::parsed::<SourceId>)?;
    params.end()?;
    let place: u64 =
        n.parse().map_err(|_| params::bad("n", &n, "it is a whole number from 0".to_owned()))?;
    let scope = viewer.scope(source)?;
    let found = api.snapshots(move |store| album::nth(store, &scope, place)).await?;
    let record = found.ok_or(ApiError::NoSuchSnapshot(n))?;
    Ok(tagged::json(&headers, &SnapshotItem::of(record)))
}

/// Tells one record by its frame.
#[utoipa::path(
    get,
    path = "/v1/snapshots/{source}/{session}/{seq}",
    params(
        ("source" = i32, Path, minimum = 1, description = "The camera's number."),
        ("session" = String, Path, format = "uuid", description = "The producer's run."),
        ("seq" = u64, Path, description = "The frame's number within the run."),
    ),
    responses(
        (status = 200, description = "The record, without its picture.", body = SnapshotItem),
        Unchanged,
        (status = 401, body = Problem, content_type = "application/problem+json",
         description = "The token is missing or wrong."),
        (status = 404, body = Problem, content_type = "application/problem+json",
         description = "No such record is kept."),
        (status = 503, body = Problem, content_type = "application/problem+json",
         description = "The store is away."),
    ),
    tag = "snapshots",
)]
pub(crate) async fn read_snapshot(
    viewer: Viewer,
    State(api): State<Api>,
    Path(place): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let snapshot = snapshot(&api, &viewer, &place).await?;
    Ok(tagged::json(&headers, &SnapshotItem::of(Record::Snapshot(snapshot))))
}

/// Shows the picture of one record.
#[utoipa::path(
    get,
    path = "/v1/snapshots/{source}/{session}/{seq}/image",
    params(
        ("source" = i32, Path, minimum = 1, description = "The camera's number."),
        ("session" = String, Path, format = "uuid", description = "The producer's run."),
        ("seq" = u64, Path, description = "The frame's number within the run."),
        ("boxes" = Option<bool>, Query, description = "Whether to draw what was found onto it."),
    ),
    responses(
        (status = 200, description = "The picture, under an ETag.",
         body = Vec<u8>, content_type = "image/jpeg"),
        Unchanged,
        (status = 400, body = Problem, content_type = "application/problem+json",
         description = "A parameter is wrong."),
        (status = 401, body = Problem, content_type = "application/problem+json",
         description = "The token is missing or wrong."),
        (status = 404, body = Problem, content_type = "application/problem+json",
         description = "No such record is kept, or it has no picture."),
        (status = 503, body = Problem, content_type = "application/problem+json",
         description = "The store is away."),
    ),
    tag = "snapshots",
)]
pub(crate) async fn show_snapshot(
    viewer: Viewer,
    State(api): State<Api>,
    Path(place): Path<(String, String, String)>,
    mut params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let boxes = params
        .take("boxes", |text| text.parse::<bool>().map_err(|_| "it is true or false".to_owned()))?;
    params.end()?;
    let Snapshot { id, image, detections, .. } = snapshot(&api, &viewer, &place).await?;
    let image = image.ok_or_else(|| ApiError::NoSuchSnapshot(format!("{id} with a picture")))?;
    let bytes = match boxes {
        Some(true) => drawn(&api, image, detections).await?,
        _ => image.bytes().to_vec(),
    };
    Ok(tagged::tagged(&headers, "image/jpeg", bytes))
}

/// `image` with boxes; as it is where it cannot be drawn upon.
async fn drawn(api: &Api, image: Jpeg, found: Vec<Detection>) -> Result<Vec<u8>, ApiError> {
    let pictures = api.pictures();
    api.off_the_loop(move || {
        pictures.annotated(&image, &found).unwrap_or_else(|fault| {
            tracing::warn!(%fault, "a picture that was kept cannot be drawn upon");
            image.bytes().to_vec()
        })
    })
    .await
}

/// The record of the frame that a path names.
async fn snapshot(
    api: &Api,
    viewer: &Viewer,
    (source, session, seq): &(String, String, String),
) -> Result<Snapshot, ApiError> {
    let named = format!("{source}/{session}/{seq}");
    // What is no frame's name has no record either.
    let Ok(id) = named.parse::<FrameId>() else { return Err(ApiError::NoSuchSnapshot(named)) };
    viewer.check(id.source)?;
    match api.snapshots(move |store| store.get(&id)).await? {
        Some(Record::Snapshot(snapshot)) => Ok(snapshot),
        _ => Err(ApiError::NoSuchSnapshot(named)),
    }
}
