//! `POST /receive_data_animov`: what the original's detector sends.
//!
//! # Invariants
//!
//! - A request is taken whole or not at all, and answered when it is durable:
//!   first the records are kept, then their frames are appended to the log.
//! - A record is named by its source and moment. Sent again it takes the place of
//!   what was kept, and its frame is counted once, as it came first: a number that
//!   was counted never changes behind a reader's back.

mod sent;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use schemas::avro;
use schemas::frame::{Frame, Seen};
use schemas::picture::Pictures;
use schemas::snapshot::Snapshot;
use schemas::time::UnixMillis;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Producer;
use crate::body::read_body;
use crate::error::{ApiError, Fault, Problem};
use crate::frames::{Faults, Records};
use crate::state::Api;

/// What was taken.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Received {
    /// Records in the request; all of them are durable.
    received: usize,
    /// Of these, records that were not there before.
    added: u64,
    /// Records that took the place of one of the same source and moment.
    updated: u64,
}

/// Takes detection records, with or without their pictures, and adds or updates
/// them.
///
/// JSON: one record, an array, or `{"data": [...]}`. What the records show is
/// counted by source and moment, as a camera's frames are; a record without boxes'
/// places is counted and not stored.
#[utoipa::path(
    post,
    path = "/receive_data_animov",
    request_body = sent::OneOrMore,
    responses(
        (status = 200, description = "Every record is durable: an array of one summary.",
         body = Vec<Received>),
        (status = 400, body = Problem, content_type = "application/problem+json",
         description = "The body is not JSON, or broke off."),
        (status = 401, body = Problem, content_type = "application/problem+json",
         description = "The token is missing or wrong."),
        (status = 403, body = Problem, content_type = "application/problem+json",
         description = "A web page of another origin sent it, or a source is none of the caller's."),
        (status = 408, body = Problem, content_type = "application/problem+json",
         description = "The body did not arrive in time."),
        (status = 413, body = Problem, content_type = "application/problem+json",
         description = "Too many bytes or records."),
        (status = 415, body = Problem, content_type = "application/problem+json",
         description = "Not JSON by its content type."),
        (status = 422, body = Problem, content_type = "application/problem+json",
         description = "Records that cannot be taken: which, and why. None was."),
        (status = 503, body = Problem, content_type = "application/problem+json",
         description = "The store or the log is away; Retry-After says when to send again."),
    ),
    tag = "animov",
)]
pub(super) async fn receive_data_animov(
    producer: Producer,
    State(api): State<Api>,
    request: Request,
) -> Result<Json<[Received; 1]>, ApiError> {
    let given = request.headers().get(CONTENT_TYPE).map(|given| given.as_bytes());
    let given = String::from_utf8_lossy(given.unwrap_or(b"of no named type"));
    let essence = given.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        let given: String = given.chars().take(100).collect();
        return Err(ApiError::UnsupportedType { given: given.into() });
    }
    let body = read_body(&api, request, api.config().body_bytes_max.get()).await?;
    let max = api.config().frames_max.get();
    let (now, pictures) = (api.clock().now(), api.pictures());
    let taken = api.off_the_loop(move || take(&body, max, now, &*pictures)).await??;

    let Taken { snapshots, records } = taken;
    producer.check(records.sources())?;
    let stored = snapshots.len();
    let added = api.snapshots(move |store| store.replace(&snapshots)).await?;
    let received = records.len();
    api.append(move |log| log.append(&records.as_appended())).await?;
    let count = |of: usize| u64::try_from(of).unwrap_or(u64::MAX);
    api.metrics().frames_appended.inc_by(count(received));
    let updated = count(stored).saturating_sub(added);
    Ok(Json([Received { received, added, updated }]))
}

/// What a request holds.
struct Taken {
    snapshots: Vec<Snapshot>,
    records: Records,
}

fn take(
    body: &[u8],
    max: usize,
    now: UnixMillis,
    pictures: &dyn Pictures,
) -> Result<Taken, ApiError> {
    let (mut snapshots, mut records, mut faults) =
        (Vec::new(), Records::default(), Faults::default());
    for (index, text) in sent::elements(body, max)?.into_iter().enumerate() {
        match sent::read(text, now, pictures) {
            Ok(mut frame) => {
                snapshots.extend(snapshot(&mut frame));
                avro::encode(&frame, &mut records.bytes);
                records.end(frame.id.source);
            }
            Err((field, detail)) => faults.add(Fault { index, field, detail }),
        }
    }
    Ok(Taken { records: faults.or(records)?, snapshots })
}

/// What is stored of `frame`, whose picture need not be in the log as well.
fn snapshot(frame: &mut Frame) -> Option<Snapshot> {
    let Seen::Detections(picture) = &mut frame.seen else { return None };
    Some(Snapshot {
        id: frame.id,
        captured_at: frame.captured_at,
        width: picture.width,
        height: picture.height,
        model: picture.model.clone(),
        detections: picture.detections.clone(),
        image: picture.image.take(),
    })
}
