//! What a client is told when it cannot have what it asked for.
//!
//! Every refusal is `application/problem+json` (RFC 9457). What failed inside
//! is logged here, once, and the client is told no detail of it.

use std::borrow::Cow;

use axum::Json;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use schemas::commit::StoreError;
use schemas::imported::file::InvalidFile;
use schemas::log::LogError;
use schemas::source::SourceId;
use schemas::users::UserRole;
use serde::Serialize;
use utoipa::ToSchema;

use crate::stale::TablesAway;

/// The body of every refusal (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Names the kind of problem, for programs.
    #[serde(rename = "type")]
    #[schema(example = "urn:animov:problem:bad-parameter")]
    kind: String,
    /// The kind, for people.
    title: &'static str,
    /// The HTTP status, again.
    #[schema(example = 400)]
    status: u16,
    /// What was wrong with this request, and what to do.
    detail: String,
    /// The parameter that was wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<&'static str>,
    /// What is wrong with which frame: the first 20.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    faults: Vec<Fault>,
    /// How many frames have a fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    faults_total: Option<usize>,
}

/// What is wrong with one frame of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Fault {
    /// The frame's place in the request, from 0.
    pub index: usize,
    /// Where in the frame, as `detections[3].confidence`; empty for the whole.
    pub field: String,
    /// What was found, and what was expected.
    pub detail: String,
}

/// Most faults that one answer lists.
pub(crate) const FAULTS_MAX: usize = 20;

/// Why a request is not answered with what it asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("{}", match presented {
        true => "the bearer token is none that this server takes, or no longer",
        false => "this server wants a token, as `Authorization: Bearer …`; POST /v1/auth/token gives one",
    })]
    Unauthenticated { presented: bool },

    #[error("the access token has expired; POST /v1/auth/token gives the next for a refresh token")]
    TokenExpired,

    #[error("the role {role} may not {what}")]
    Forbidden { role: UserRole, what: &'static str },

    #[error("source {0} is none of yours; GET /v1/auth/me lists those that are")]
    NotYourSource(SourceId),

    #[error("this cannot be told apart by source, so it is only for those who may see all")]
    NeedsAllSources,

    #[error("no user has that name and password, or the user is disabled")]
    WrongLogin,

    #[error("the refresh token is no longer good; log in again")]
    RefreshRefused,

    #[error("too many failed; try again in {seconds} s")]
    TooManyTries { seconds: u64 },

    #[error("the body is no login: {0}")]
    BadLogin(String),

    #[error(
        "the body is {given}; a login is application/json or application/x-www-form-urlencoded"
    )]
    NotALogin { given: String },

    #[error("nobody can log in to this server: it was given no keys that sign tokens")]
    NoLogins,

    #[error("a token could not be made")]
    Unsigned,

    #[error("the tables that know who may ask are away")]
    UsersAway,

    #[error(
        "the host {given:?} is not one that this server answers to without a token; use \
         localhost, or add the name to api.hosts"
    )]
    UnknownHost { given: String },

    #[error("a web page of another origin may not append frames")]
    ForeignPage,

    #[error("{name} is {given:?}; {expected}")]
    BadParameter { name: &'static str, given: String, expected: String },

    #[error("the query has {given:?}; the parameters are {known}")]
    UnknownParameter { given: String, known: String },

    #[error("source {0} has never sent a frame; GET /v1/sources lists those that have")]
    NoSuchSource(SourceId),

    #[error("there is no snapshot {0}; GET /v1/snapshots lists those that are kept")]
    NoSuchSnapshot(String),

    #[error("there is nothing at {0}; /v1/openapi.json lists what there is")]
    NoSuchPath(String),

    #[error("{0} does not work here; see the Allow header")]
    MethodNotAllowed(String),

    #[error(
        "the body is {given}; frames come as application/json, application/x-ndjson, \
             application/avro or avro/binary, without a content encoding"
    )]
    UnsupportedType { given: Cow<'static, str> },

    #[error("the body is {given}; a file comes as text/csv, without a content encoding")]
    NotCsv { given: String },

    #[error("the file cannot be imported: {0}")]
    UnreadableFile(#[source] InvalidFile),

    #[error("the body has more than {max} bytes; send it in several parts")]
    BodyTooLarge { max: usize },

    #[error("the body has more than {max} frames; send them in several requests")]
    TooManyFrames { max: usize },

    #[error("the body did not arrive within {seconds} s")]
    BodyTooSlow { seconds: u64 },

    #[error("the body could not be read to its end")]
    BodyCutOff,

    #[error("the body is not JSON: {0}")]
    NotJson(String),

    #[error("{total} of the frames cannot be counted; none was appended")]
    Faults { faults: Vec<Fault>, total: usize },

    #[error("the tables could not be read")]
    Store(#[source] StoreError),

    #[error("{}", match error {
        LogError::ReadOnly => "this server only reads; send frames to the one that writes the log",
        LogError::TooLong { .. } => "a frame is longer than the log can take; none was appended",
        _ => "the log did not take the frames; send all of them again (a frame is counted once \
              however often it arrives)",
    })]
    Log {
        #[source]
        error: LogError,
    },

    #[error("this process has no tables; ask one that does (`animov api`, `animov run`)")]
    NoTables,

    #[error("too many requests at one time; try again in a moment")]
    Busy,

    #[error(
        "no answer within {seconds} s; try again (a frame is counted once however often it arrives)"
    )]
    TooSlow { seconds: u64 },

    #[error("the request could not be finished")]
    Broken(#[source] tokio::task::JoinError),
}

impl ApiError {
    /// Status, the kind's name for programs and its title for people.
    fn kind(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            ApiError::Unauthenticated { .. } => {
                (StatusCode::UNAUTHORIZED, "unauthenticated", "A token is needed")
            }
            ApiError::TokenExpired => {
                (StatusCode::UNAUTHORIZED, "token-expired", "The token has expired")
            }
            ApiError::Forbidden { .. } => {
                (StatusCode::FORBIDDEN, "forbidden", "Not with this role")
            }
            ApiError::NotYourSource(_) => {
                (StatusCode::FORBIDDEN, "not-your-source", "Not your source")
            }
            ApiError::NeedsAllSources => {
                (StatusCode::FORBIDDEN, "needs-all-sources", "Only for those who may see all")
            }
            ApiError::WrongLogin => {
                (StatusCode::UNAUTHORIZED, "wrong-login", "Not that name and password")
            }
            ApiError::RefreshRefused => {
                (StatusCode::UNAUTHORIZED, "refresh-refused", "Log in again")
            }
            ApiError::TooManyTries { .. } => {
                (StatusCode::TOO_MANY_REQUESTS, "too-many-tries", "Too many failed")
            }
            ApiError::BadLogin(_) => (StatusCode::BAD_REQUEST, "bad-login", "Not a login"),
            ApiError::NotALogin { .. } => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-type", "Not a form of logins")
            }
            ApiError::NoLogins => (StatusCode::NOT_FOUND, "no-logins", "Nobody logs in here"),
            ApiError::Unsigned => {
                (StatusCode::INTERNAL_SERVER_ERROR, "broken", "Something broke inside")
            }
            ApiError::UsersAway => {
                (StatusCode::SERVICE_UNAVAILABLE, "tables-away", "The tables are away")
            }
            ApiError::UnknownHost { .. } => {
                (StatusCode::MISDIRECTED_REQUEST, "unknown-host", "Not the name of this server")
            }
            ApiError::ForeignPage => (StatusCode::FORBIDDEN, "foreign-page", "Not from this page"),
            ApiError::BadParameter { .. } | ApiError::UnknownParameter { .. } => {
                (StatusCode::BAD_REQUEST, "bad-parameter", "A parameter is wrong")
            }
            ApiError::NoSuchSource(_) => {
                (StatusCode::NOT_FOUND, "no-such-source", "No such source")
            }
            ApiError::NoSuchSnapshot(_) => {
                (StatusCode::NOT_FOUND, "no-such-snapshot", "No such snapshot")
            }
            ApiError::NoSuchPath(_) => (StatusCode::NOT_FOUND, "no-such-path", "Nothing is here"),
            ApiError::MethodNotAllowed(_) => {
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Not with this method")
            }
            ApiError::UnsupportedType { .. } => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-type", "Not a form of frames")
            }
            ApiError::NotCsv { .. } => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-type", "Not CSV")
            }
            ApiError::UnreadableFile(_) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "unreadable-file", "Not such a file")
            }
            ApiError::BodyTooLarge { .. } | ApiError::TooManyFrames { .. } => {
                (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Too much at once")
            }
            ApiError::BodyTooSlow { .. } => {
                (StatusCode::REQUEST_TIMEOUT, "body-too-slow", "The body came too slowly")
            }
            ApiError::BodyCutOff => {
                (StatusCode::BAD_REQUEST, "body-cut-off", "The body is incomplete")
            }
            ApiError::NotJson(_) => (StatusCode::BAD_REQUEST, "not-json", "The body is not JSON"),
            ApiError::Faults { .. } => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid-frames",
                "Frames that cannot be counted",
            ),
            ApiError::Store(error) => match error.may_succeed_later() {
                true => (StatusCode::SERVICE_UNAVAILABLE, "tables-away", "The tables are away"),
                false => {
                    (StatusCode::INTERNAL_SERVER_ERROR, "tables-broken", "The tables are broken")
                }
            },
            ApiError::Log { error } => match error {
                LogError::TooLong { .. } => {
                    (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Too much at once")
                }
                LogError::ReadOnly => {
                    (StatusCode::SERVICE_UNAVAILABLE, "read-only", "This server only reads")
                }
                error if error.may_succeed_later() => {
                    (StatusCode::SERVICE_UNAVAILABLE, "log-away", "The log is away")
                }
                _ => (StatusCode::INTERNAL_SERVER_ERROR, "log-broken", "The log is broken"),
            },
            ApiError::NoTables => (StatusCode::NOT_FOUND, "no-tables", "No tables here"),
            ApiError::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy", "Too many requests"),
            ApiError::TooSlow { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "too-slow", "It took too long")
            }
            ApiError::Broken(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "broken", "Something broke inside")
            }
        }
    }

    /// After how many seconds the same request is worth sending again.
    fn retry_after(&self) -> Option<HeaderValue> {
        let seconds = match self {
            ApiError::Busy => 1,
            ApiError::TooManyTries { seconds } => *seconds,
            ApiError::UsersAway => 5,
            ApiError::Store(error) if error.may_succeed_later() => 5,
            ApiError::Log { error } if error.may_succeed_later() => 5,
            ApiError::TooSlow { .. } => 5,
            _ => return None,
        };
        Some(HeaderValue::from(seconds))
    }

    /// For an answer that says only `told` of it.
    pub(crate) fn log_and_hide(&self, told: &str) -> String {
        self.log();
        told.to_owned()
    }

    fn log(&self) {
        let (status, kind, _) = self.kind();
        if status.is_server_error() {
            let error: &(dyn std::error::Error + 'static) = self;
            tracing::error!(status = status.as_u16(), kind, error, "request failed");
        } else {
            tracing::debug!(status = status.as_u16(), kind, detail = %self, "request refused");
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.log();
        let (status, kind, title) = self.kind();
        let retry_after = self.retry_after();
        let away = matches!(&self, ApiError::Store(error) if error.may_succeed_later());
        let challenge = match self {
            ApiError::Unauthenticated { presented: false } => Some(r#"Bearer realm="animov""#),
            ApiError::Unauthenticated { presented: true } | ApiError::TokenExpired => {
                Some(r#"Bearer realm="animov", error="invalid_token""#)
            }
            _ => None,
        };
        let parameter = match self {
            ApiError::BadParameter { name, .. } => Some(name),
            _ => None,
        };
        let detail = self.to_string();
        let (faults, faults_total) = match self {
            ApiError::Faults { faults, total } => (faults, Some(total)),
            _ => (Vec::new(), None),
        };
        let kind = format!("urn:animov:problem:{kind}");
        let status_code = status.as_u16();
        let problem =
            Problem { kind, title, status: status_code, detail, parameter, faults, faults_total };
        let mut response = (status, Json(problem)).into_response();
        if away {
            response.extensions_mut().insert(TablesAway);
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = retry_after {
            headers.insert(RETRY_AFTER, seconds);
        }
        if let Some(challenge) = challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}
