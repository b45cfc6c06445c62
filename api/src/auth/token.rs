//! The one token of a site without users.
//!
//! # Invariants
//!
//! - The token itself is not kept, only its digest; comparing takes the same
//!   time whatever was presented.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

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

    pub(super) fn admits(&self, presented: &str) -> bool {
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
