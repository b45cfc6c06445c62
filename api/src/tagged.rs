//! Answers that a client may keep, and ask about again.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use schemas::commit::SourceState;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// The whole of an answer, also where the client was told that it has it: goes
/// with the response for [`stale`](crate::stale).
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    content_type: &'static str,
    body: Bytes,
    /// A digest of the very bytes, so it changes whenever any of them does, also
    /// after the tables were rebuilt or the program was replaced; rows' revisions
    /// alone would not promise that.
    tag: String,
    /// The source whose windows are all that this tells of, as it was before they
    /// were read. While it is the same, so is the answer.
    made_from: Option<Arc<SourceState>>,
}

impl Answered {
    pub(crate) fn new(content_type: &'static str, body: impl Into<Bytes>) -> Answered {
        let body = body.into();
        let tag = tag_of(&body);
        Answered { content_type, body, tag, made_from: None }
    }

    pub(crate) fn json(body: &impl Serialize) -> Result<Answered, serde_json::Error> {
        Ok(Answered::new("application/json", serde_json::to_vec(body)?))
    }

    /// The same, made from `source` as it was before its windows were read.
    pub(crate) fn made_from(self, source: Arc<SourceState>) -> Answered {
        Answered { made_from: Some(source), ..self }
    }

    /// Whether it tells of `source` as it is.
    pub(crate) fn holds_for(&self, source: &SourceState) -> bool {
        self.made_from.as_deref() == Some(source)
    }

    /// Bytes of the body.
    pub(crate) fn bytes(&self) -> usize {
        self.body.len()
    }

    /// The answer under a strong `ETag`, or 304 if the client has it.
    pub(crate) fn respond(self, headers: &HeaderMap) -> Response {
        let mut response = match knows(headers, &self.tag) {
            true => StatusCode::NOT_MODIFIED.into_response(),
            false => ([(CONTENT_TYPE, self.content_type)], self.body.clone()).into_response(),
        };
        let out = response.headers_mut();
        // A tag is hexadecimal digits in quotes, which is always a header's value.
        out.extend(HeaderValue::try_from(&self.tag).map(|tag| (ETAG, tag)));
        // Kept by the browser alone, and asked about each time.
        out.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        out.insert(VARY, HeaderValue::from_static("authorization"));
        response.extensions_mut().insert(self);
        response
    }
}

/// Answers `body` as JSON under a strong `ETag`, or 304 if the client has it.
pub(crate) fn json(headers: &HeaderMap, body: &impl Serialize) -> Response {
    match Answered::json(body) {
        Ok(answered) => answered.respond(headers),
        Err(error) => unwritable(&error),
    }
}

/// What could not be written as JSON: never, as our own types have string keys and
/// finite numbers.
pub(crate) fn unwritable(error: &serde_json::Error) -> Response {
    tracing::error!(%error, "an answer could not be written as JSON");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

/// Answers `body` under a strong `ETag`, or 304 if the client has it.
pub(crate) fn tagged(
    headers: &HeaderMap,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response {
    Answered::new(content_type, body).respond(headers)
}

fn tag_of(body: &[u8]) -> String {
    let digest = Sha256::digest(body);
    let digits: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{digits}\"")
}

/// Whether `If-None-Match` lists `tag` (or any), by weak comparison as RFC 9110
/// wants it.
fn knows(headers: &HeaderMap, tag: &str) -> bool {
    headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(|list| {
        list.split(',')
            .map(str::trim)
            .any(|known| known == "*" || known == tag || known.strip_prefix("W/") == Some(tag))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(if_none_match: &str) -> StatusCode {
        let headers = [(IF_NONE_MATCH, HeaderValue::from_str(if_none_match).unwrap())];
        json(&headers.into_iter().collect(), &[1, 2, 3]).status()
    }

    #[test]
    fn a_client_that_has_the_bytes_is_told_so() {
        let tag = tag_of(b"[1,2,3]");
        for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()]
        {
            assert_eq!(asked(&known), StatusCode::NOT_MODIFIED, "{known}");
        }
        assert_eq!(asked("\"other\""), StatusCode::OK);
        assert_eq!(asked(tag.trim_matches('"')), StatusCode::OK);
    }
}
