//! Reading the body of a request: bounded, and in time.

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;

use crate::error::ApiError;
use crate::state::Api;

/// The body of `request`, if it has `max` bytes at most and comes in time.
///
/// # Errors
///
/// It is too long, which is refused before it is read where its length is told; it
/// takes longer than `body_timeout`; or it breaks off.
pub(crate) async fn read_body(
    api: &Api,
    mut request: Request,
    max: usize,
) -> Result<Bytes, ApiError> {
    let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    if length.and_then(|length| length.parse().ok()).is_some_and(|length: usize| max < length) {
        return Err(ApiError::BodyTooLarge { max });
    }
    DefaultBodyLimit::max(max).apply(&mut request);
    let limit = api.config().body_timeout;
    match tokio::time::timeout(limit, Bytes::from_request(request, api)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Err(ApiError::BodyTooLarge { max })
        }
        Ok(Err(_)) => Err(ApiError::BodyCutOff),
        Err(_) => Err(ApiError::BodyTooSlow { seconds: limit.as_secs() }),
    }
}
