//! What was kept of single moments: pictures, and what was found in them.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemas::commit::StoreError;
use schemas::frame::FrameId;
use schemas::snapshot::{Foreign, Images, Record, Snapshot, SnapshotQuery, SnapshotStore};
use schemas::time::UnixMillis;
use schemas::users::Scope;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::criteria::{self, Criteria, Cursor, Described, link};
use super::minutes::FrenchNames;
use crate::album;
use crate::auth::Viewer;
use crate::error::ApiError;
use crate::params::{self, Params};
use crate::refusals::{Refusals, Unchanged};
use crate::state::Api;
use crate::tagged;

/// Most records with their pictures in one answer, and as many if nobody says.
const PICTURES_MAX: u32 = 32;

/// Most records without them.
const RECORDS_MAX: u32 = 1000;

/// What one camera saw at one moment.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RecordRow {
    /// Names the record.
    #[schema(example = "1/0b9d3c4e-6a55-4f0e-9a62-6f5d8a3c7b11/42")]
    id: String,
    /// Null where another program's record does not say.
    source: Option<i32>,
    /// When it was captured, Unix seconds; null in another program's record.
    #[schema(example = 1_772_366_400.0)]
    timestamp: Option<f64>,
    /// Whether it is the camera's newest record.
    current: bool,
    /// Of the picture, pixels.
    width: Option<u32>,
    height: Option<u32>,
    /// The boxes.
    #[schema(value_type = Vec<Object>)]
    detect: Value,
    /// The picture: JPEG in base64.
    frame: Option<String>,
    /// Why the record cannot be read; null if it can.
    error: Option<String>,
}

/// Everything available: the newest record of each camera, and then the stored
/// ones, the newest first.
///
/// Each with its picture, so an answer has at most 32 of them; the header `Link`
/// leads to the next.
#[utoipa::path(
    get,
    path = "/get_data_animov",
    params(
        ("source" = Option<i32>, Query, minimum = 1, description = "Only this camera."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 32,
         description = "Records in one answer."),
        ("cursor" = Option<String>, Query,
         description = "From the header Link of an earlier answer: where the rest begins."),
    ),
    responses(
        (status = 200, description = "Records.", body = Vec<RecordRow>),
        Unchanged,
        Refusals,
    ),
    tag = "animov",
)]
pub(super) async fn get_data_animov(
    viewer: Viewer,
    State(api): State<Api>,
    uri: Uri,
    mut params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let scope = criteria::scope(&mut params, &viewer)?;
    let limit = params.take("limit", params::count(PICTURES_MAX))?.unwrap_or(PICTURES_MAX);
    let passed = params.take("cursor", |text| text.parse().map_err(|_| CURSOR.to_owned()))?;
    params.end()?;
    let passed = passed.unwrap_or(0);
    let part = api.snapshots(move |store| everything(store, &scope, passed, limit)).await?;
    let rows: Vec<RecordRow> =
        part.records.iter().flat_map(|(record, current)| rows(record, *current)).collect();
    let mut response = tagged::json(&headers, &rows);
    if let Some(passed) = part.rest {
        link(&mut response, &uri, &passed.to_string(), "next");
    }
    Ok(response)
}

const CURSOR: &str = "it is from the header Link of an earlier answer, unchanged";

/// A part of everything.
struct Part {
    /// Each with whether it is its source's newest.
    records: Vec<(Record, bool)>,
    /// How many a client has passed that is to go on, if there are more.
    rest: Option<u64>,
}

/// The `limit` records behind the first `passed`: the newest of each source, and
/// then all, among which those come again and are left out. A record that is kept
/// meanwhile moves the others on, so that one may be seen twice, but none missed.
fn everything(
    store: &dyn SnapshotStore,
    scope: &Scope,
    mut passed: u64,
    limit: u32,
) -> Result<Part, StoreError> {
    let newest: Vec<FrameId> = album::newest(store, scope)?;
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut records = Vec::new();
    for id in newest.iter().skip(usize::try_from(passed).unwrap_or(usize::MAX)).take(wanted) {
        records.extend(store.get(id)?.map(|record| (record, true)));
        passed += 1;
    }
    let all = SnapshotQuery { newest_first: true, images: Images::With, ..SnapshotQuery::all() };
    let behind = u64::try_from(newest.len()).unwrap_or(u64::MAX);
    while records.len() < wanted {
        let room = u32::try_from(wanted - records.len()).unwrap_or(limit);
        let query = SnapshotQuery { skip: passed.saturating_sub(behind), limit: room, ..all };
        let found = album::find(store, scope, &query)?;
        let count = u64::try_from(found.len()).unwrap_or(u64::MAX);
        passed = passed.saturating_add(count);
        let seen = |record: &Record| matches!(record, Record::Snapshot(snapshot) if newest.contains(&snapshot.id));
        records.extend(found.into_iter().filter(|one| !seen(one)).map(|record| (record, false)));
        if count < u64::from(room) {
            return Ok(Part { records, rest: None });
        }
    }
    Ok(Part { records, rest: Some(passed) })
}

/// A record as rows: another program's has one a camera.
fn rows(record: &Record, current: bool) -> Vec<RecordRow> {
    match record {
        Record::Snapshot(snapshot) => vec![of_snapshot(snapshot, current)],
        Record::Foreign(Foreign { id, data }) => {
            data.iter().map(|element| of_element(id, element)).collect()
        }
        Record::Unreadable(unreadable) => vec![RecordRow {
            error: Some(unreadable.to_string()),
            ..empty(unreadable.id.clone(), Value::Array(Vec::new()))
        }],
    }
}

fn empty(id: String, detect: Value) -> RecordRow {
    RecordRow {
        id,
        source: None,
        timestamp: None,
        current: false,
        width: None,
        height: None,
        detect,
        frame: None,
        error: None,
    }
}

fn of_snapshot(snapshot: &Snapshot, current: bool) -> RecordRow {
    let detect = serde_json::to_value(&snapshot.detections).unwrap_or_default();
    RecordRow {
        source: Some(snapshot.id.source.get()),
        timestamp: Some(seconds(snapshot.captured_at)),
        current,
        width: Some(snapshot.width),
        height: Some(snapshot.height),
        frame: snapshot.image.as_ref().map(|image| STANDARD.encode(image.bytes())),
        ..empty(snapshot.id.to_string(), detect)
    }
}

/// An element of another program's record, with as much as it says.
fn of_element(id: &str, element: &Value) -> RecordRow {
    let detect = element.get("detect").cloned();
    let frame = element.get("frame").and_then(Value::as_str).map(str::to_owned);
    let missing = match (&detect, &frame) {
        (None, _) => Some("it has no detect"),
        (_, None) => Some("it has no frame"),
        _ => None,
    };
    let source = element.get("source").and_then(Value::as_i64);
    RecordRow {
        source: source.and_then(|source| i32::try_from(source).ok()),
        frame,
        error: missing.map(str::to_owned),
        ..empty(id.to_owned(), detect.unwrap_or_else(|| Value::Array(Vec::new())))
    }
}

/// Unix seconds, to the millisecond.
fn seconds(moment: UnixMillis) -> f64 {
    #[expect(clippy::as_conversions, reason = "a moment's milliseconds are exact in a double")]
    let millis = moment.get() as f64;
    millis / 1000.0
}

/// One box that was found.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DetectionRow {
    /// Names the record that the box is in.
    id: String,
    /// When it was captured, Unix seconds.
    #[schema(example = 1_772_366_400.0)]
    timestamp: f64,
    source: i32,
    /// What the model says the box is.
    #[schema(value_type = String, example = "couche")]
    class: Arc<str>,
    /// 0 to 1.
    confidence: f32,
    /// Left edge, 0 to 1 of the picture's width.
    x: f32,
    /// Top edge, 0 to 1 of the picture's height.
    y: f32,
    /// Width, 0 to 1 of the picture's width.
    w: f32,
    /// Height, 0 to 1 of the picture's height.
    h: f32,
}

/// The stored records by criteria, a row a box.
///
/// `limit` counts records, 1000 if not given; one in which nothing was found gives
/// no row.
#[utoipa::path(
    get,
    path = "/get_data_animov_ch",
    params(
        Described,
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000,
         description = "Records in one answer; 1000 if not given."),
        ("class" = Option<String>, Query, example = "couche", description = "Only boxes of this class."),
    ),
    responses(
        (status = 200, description = "Boxes, by the time of their records.",
         body = Vec<DetectionRow>),
        Unchanged,
        Refusals,
    ),
    tag = "animov",
)]
pub(super) async fn get_data_animov_ch(
    viewer: Viewer,
    State(api): State<Api>,
    uri: Uri,
    mut params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let class = params.take("class", params::parsed::<String>)?;
    let criteria = Criteria::take(&mut params, &viewer, &api.site().calendar, RECORDS_MAX)?;
    params.end()?;
    let (found, rest) = api.snapshots(move |store| stored(store, &criteria)).await?;
    let names = FrenchNames(&api.site().postures);
    let metric = class.as_deref().map(|class| names.metric(class));
    // By the model's own word for it, or by the original's.
    let wanted = |found: &str| match (&class, &metric) {
        (Some(class), Some(metric)) => found == class || found == &**metric,
        _ => true,
    };
    let mut rows = Vec::new();
    for snapshot in &found {
        let boxes = snapshot.detections.iter().filter(|found| wanted(&found.class));
        rows.extend(boxes.map(|found| DetectionRow {
            id: snapshot.id.to_string(),
            timestamp: seconds(snapshot.captured_at),
            source: snapshot.id.source.get(),
            class: Arc::clone(&found.class),
            confidence: found.confidence,
            x: found.x,
            y: found.y,
            w: found.w,
            h: found.h,
        }));
    }
    let mut response = tagged::json(&headers, &rows);
    if let Some((cursor, relation)) = rest {
        link(&mut response, &uri, &cursor.to_string(), relation);
    }
    Ok(response)
}

type Rest = Option<(Cursor, &'static str)>;

/// The snapshots that `criteria` ask for, by time, and where the rest is.
///
/// A page ends between two moments, so that a cursor need not name more: those of
/// one moment come together, also if they are more than asked for.
fn stored(
    store: &dyn SnapshotStore,
    criteria: &Criteria,
) -> Result<(Vec<Snapshot>, Rest), StoreError> {
    let Criteria { scope, mut from, mut to, limit, cursor } = criteria.clone();
    let backwards = matches!(cursor, Cursor::Last | Cursor::Before(_));
    match cursor {
        Cursor::First | Cursor::Last => {}
        Cursor::After(row) => from = from.max(UnixMillis::new(row.start.get().saturating_add(1))),
        Cursor::Before(row) => to = to.min(row.start),
    }
    let query = SnapshotQuery {
        source: None,
        from: Some(from),
        to: Some(to),
        newest_first: backwards,
        skip: 0,
        limit: limit + 1,
        images: Images::Without,
    };
    let snapshots = |records: Vec<Record>| {
        records.into_iter().filter_map(|record| match record {
            Record::Snapshot(snapshot) => Some(snapshot),
            Record::Foreign(_) | Record::Unreadable(_) => None,
        })
    };
    let mut found: Vec<Snapshot> = snapshots(album::find(store, &scope, &query)?).collect();
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut rest = None;
    if limit < found.len() {
        found.truncate(limit);
        if let Some(last) = found.last().cloned() {
            let moment = last.captured_at;
            found.retain(|snapshot| snapshot.captured_at != moment);
            let after = UnixMillis::new(moment.get().saturating_add(1));
            let of_moment =
                SnapshotQuery { from: Some(moment), to: Some(after), limit: u32::MAX, ..query };
            found.extend(snapshots(album::find(store, &scope, &of_moment)?));
            let row = criteria::Row { start: moment, source: last.id.source };
            rest = Some(match backwards {
                true => (Cursor::Before(row), "prev"),
                false => (Cursor::After(row), "next"),
            });
        }
    }
    if backwards {
        found.reverse();
    }
    Ok((found, rest))
}
