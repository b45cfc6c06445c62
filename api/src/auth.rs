//! Who may ask.
//!
//! # Invariants
//!
//! - A [`Viewer`] or a [`Producer`] exists only for a request that was let in,
//!   so a handler without either in its signature is public at a glance.
//! - With a token configured, only its bearer gets one. Without one, the server
//!   listens on loopback alone (see [`crate::config`]), and
//!   [`crate::guard::known_host`] has refused foreign names before.
//! - The token itself is not kept, only its digest; comparing takes the same
//!   time whatever was presented.

use std::fmt;

use axum::extract::FromRequestParts;
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::error::ApiError;
use crate::state::Api;

/// The environment variable that holds the token.
pub const TOKEN_ENV: &str = "ANIMOV_API_TOKEN";

/// Shortest token. It is not guessed in a lifetime even if it is only letters.
const TOKEN_BYTES_MIN: usize = 16;

/// What a client must present as `Authorization: Bearer …`.
#[derive(Clone)]
pub struct ApiToken {
    digest: [u8; 32],
}

/// A text that cannot be a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{TOKEN_ENV} must be at least {TOKEN_BYTES_MIN} printable ASCII characters, without spaces at \
     its ends; `openssl rand -hex 24` makes one"
)]
pub struct InvalidToken;

impl ApiToken {
    /// # Errors
    ///
    /// `text` is too short, or could not stand in a header.
    pub fn new(text: &str) -> Result<ApiToken, InvalidToken> {
        let printable = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        if text.len() < TOKEN_BYTES_MIN || !printable || text.trim() != text {
            return Err(InvalidToken);
        }
        Ok(ApiToken { digest: digest(text.as_bytes()) })
    }

    /// The token of [`TOKEN_ENV`]; none if that is not set, or empty.
    ///
    /// # Errors
    ///
    /// The variable is set to what cannot be a token.
    pub fn from_env() -> Result<Option<ApiToken>, InvalidToken> {
        match std::env::var_os(TOKEN_ENV) {
            None => Ok(None),
            Some(text) if text.is_empty() => Ok(None),
            Some(text) => text.to_str().ok_or(InvalidToken).and_then(ApiToken::new).map(Some),
        }
    }

    fn admits(&self, presented: &str) -> bool {
        // Digests have one length, so not even the token's length shows in the time.
        self.digest.ct_eq(&digest(presented.as_bytes())).into()
    }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

impl fmt::Debug for ApiToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiToken(hidden)")
    }
}

/// Proof that the request may read.
pub(crate) struct Viewer(());

impl FromRequestParts<Api> for Viewer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Viewer, ApiError> {
        let Some(token) = api.token() else { return Ok(Viewer(())) };
        let Some(presented) = bearer(&parts.headers) else {
            return Err(ApiError::Unauthenticated { presented: false });
        };
        match token.admits(presented) {
            true => Ok(Viewer(())),
            false => Err(ApiError::Unauthenticated { presented: true }),
        }
    }
}

/// Proof that the request may append frames: that of a [`Viewer`], and that no
/// foreign web page had a browser send it.
pub(crate) struct Producer(());

impl FromRequestParts<Api> for Producer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Producer, ApiError> {
        let Viewer(()) = Viewer::from_request_parts(parts, api).await?;
        if from_a_foreign_page(&parts.headers) {
            return Err(ApiError::ForeignPage);
        }
        Ok(Producer(()))
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether a browser says that a page of another origin made the request. Other
/// programs send none of these headers.
fn from_a_foreign_page(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
    // `same-site` is foreign too: every port of localhost is the same site.
    if !matches!(site, None | Some(b"same-origin" | b"none")) {
        return true;
    }
    let Some(origin) = headers.get(ORIGIN) else { return false };
    let origin: Option<Uri> = origin.to_str().ok().and_then(|text| text.parse().ok());
    let origin = origin.as_ref().and_then(Uri::authority);
    // Scheme aside: a proxy may have taken TLS off.
    origin.is_none() || origin != host(headers).as_ref()
}

/// The authority of the `Host` header.
pub(crate) fn host(headers: &HeaderMap) -> Option<Authority> {
    headers.get(HOST)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_long_printable_and_never_shown() {
        for text in
            ["", "short", "with\nnew line in it", " leading space here", "motdepassetrèslong"]
        {
            assert_eq!(ApiToken::new(text).err(), Some(InvalidToken), "{text:?}");
        }
        let token = ApiToken::new("correct horse battery").unwrap();
        assert_eq!(format!("{token:?}"), "ApiToken(hidden)");
        assert!(token.admits("correct horse battery"));
        assert!(!token.admits("correct horse batterz"));
        assert!(!token.admits(""));
    }
}
