//! What producers send.
//!
//! # Invariants
//!
//! - A request is taken whole or not at all: one frame that cannot be counted
//!   refuses them all, and each such frame is named.
//! - `202` is answered only after every frame would survive a power cut. After
//!   any other answer the client sends all of them again; what had arrived is
//!   counted once.

mod binary;
mod described;
pub(crate) mod json;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use schemas::source::SourceId;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Producer;
use crate::body::read_body;
use crate::error::{ApiError, FAULTS_MAX, Fault, Problem};
use crate::state::Api;

/// What was taken.
#[derive(Serialize, ToSchema)]
pub(crate) struct Appended {
    /// Frames in the request; all of them are durable.
    appended: usize,
}

/// Appends frames to the log.
///
/// JSON (one frame, or an array), NDJSON, or Avro single-object encoded records
/// back to back. The request is taken whole or not at all. A frame is named by
/// its source, session and seq and counted once, however often it is sent: after
/// any error, send the same request again.
#[utoipa::path(
    post,
    path = "/v1/frames",
    request_body(content(
        (described::OneOrMore = "application/json"),
        (String = "application/x-ndjson"),
        (Vec<u8> = "application/avro"),
    )),
    responses(
        (status = 202, body = Appended,
         description = "Every frame is durable, and is counted when the pipeline commits."),
        (status = 400, body = Problem, content_type = "application/problem+json",
         description = "The body is not JSON, or broke off."),
        (status = 401, body = Problem, content_type = "application/problem+json",
         description = "The token is missing or wrong."),
        (status = 403, body = Problem, content_type = "application/problem+json",
         description = "A web page of another origin sent it, or a source is none of the caller's."),
        (status = 408, body = Problem, content_type = "application/problem+json",
         description = "The body did not arrive in time."),
        (status = 413, body = Problem, content_type = "application/problem+json",
         description = "Too many bytes or frames."),
        (status = 415, body = Problem, content_type = "application/problem+json",
         description = "Not one of the content types."),
        (status = 422, body = Problem, content_type = "application/problem+json",
         description = "Frames that cannot be counted: which, and why. None was appended."),
        (status = 503, body = Problem, content_type = "application/problem+json",
         description = "The log is away or full; Retry-After says when to send again."),
    ),
    tag = "frames",
)]
pub(crate) async fn append_frames(
    producer: Producer,
    State(api): State<Api>,
    request: Request,
) -> Result<(StatusCode, Json<Appended>), ApiError> {
    let form = form(request.headers())?;
    let body = read_body(&api, request, api.config().body_bytes_max.get()).await?;
    let max = api.config().frames_max.get();
    let (now, schemas) = (api.clock().now(), api.schemas());
    // Megabytes of JSON take a while; that is not the other requests' business.
    let records = api
        .off_the_loop(move || match form {
            Form::Json => json::records(&body, max, now),
            Form::JsonLines => json::records_of_lines(&body, max, now),
            Form::Avro => binary::records(&body, max, &schemas),
        })
        .await??;
    producer.check(records.sources())?;
    let appended = records.len();
    api.append(move |log| log.append(&records.as_appended())).await?;
    let appended_total = u64::try_from(appended).unwrap_or(u64::MAX);
    api.metrics().frames_appended.inc_by(appended_total);
    Ok((StatusCode::ACCEPTED, Json(Appended { appended })))
}

/// How frames are written in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    JsonLines,
    Avro,
}

fn form(headers: &HeaderMap) -> Result<Form, ApiError> {
    if let Some(encoding) = headers.get(CONTENT_ENCODING)
        && encoding != "identity"
    {
        return Err(ApiError::UnsupportedType { given: "encoded".into() });
    }
    let Some(given) = headers.get(CONTENT_TYPE) else {
        return Err(ApiError::UnsupportedType { given: "of no named type".into() });
    };
    let given = String::from_utf8_lossy(given.as_bytes());
    let essence = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/json" => Ok(Form::Json),
        "application/x-ndjson" => Ok(Form::JsonLines),
        "application/avro" | "avro/binary" => Ok(Form::Avro),
        _ => {
            let given: String = given.chars().take(100).collect();
            Err(ApiError::UnsupportedType { given: given.into() })
        }
    }
}

/// Frames of one request as the log takes them.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) bytes: Vec<u8>,
    /// Each frame's source, and where its record ends in `bytes`.
    ends: Vec<(SourceId, usize)>,
}

impl Records {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Ends the record that was written to `bytes` last.
    pub(crate) fn end(&mut self, source: SourceId) {
        self.ends.push((source, self.bytes.len()));
    }

    /// Each frame's source.
    pub(crate) fn sources(&self) -> impl Iterator<Item = SourceId> {
        self.ends.iter().map(|(source, _)| *source)
    }

    pub(crate) fn as_appended(&self) -> Vec<(SourceId, &[u8])> {
        let mut start = 0;
        let record = |&(source, end): &(SourceId, usize)| {
            let record = self.bytes.get(start..end).unwrap_or_default();
            start = end;
            (source, record)
        };
        self.ends.iter().map(record).collect()
    }
}

/// Gathers what is wrong with the frames of one request.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// The first ones.
    listed: Vec<Fault>,
    total: usize,
}

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.total += 1;
        if self.listed.len() < FAULTS_MAX {
            self.listed.push(fault);
        }
    }

    /// The records, if none has a fault and there is at least one.
    pub(crate) fn or(mut self, records: Records) -> Result<Records, ApiError> {
        if self.total == 0 && records.len() == 0 {
            let detail = "there is no frame in the request".to_owned();
            self.add(Fault { index: 0, field: String::new(), detail });
        }
        match self.total {
            0 => Ok(records),
            total => Err(ApiError::Faults { faults: self.listed, total }),
        }
    }
}
