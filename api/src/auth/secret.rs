//! Random secrets as people and programs carry them, and their digests.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemas::users::{Digest, LoginId, RefreshDigests};
use sha2::Digest as _;
use uuid::Uuid;

use super::crypto::{self, NoRandomness};

/// What the tokens of producers begin with, so that a person, a search and this
/// program know one.
const INGEST: &str = "animov_ingest_";

fn digest(text: &str) -> Digest {
    Digest(sha2::Sha256::digest(text.as_bytes()).into())
}

fn secret() -> Result<String, NoRandomness> {
    Ok(URL_SAFE_NO_PAD.encode(crypto::random::<32>()?))
}

/// A new token for a producer, and what is kept of it.
///
/// # Errors
///
/// The system has no random numbers.
pub fn new_ingest_token() -> Result<(String, Digest), NoRandomness> {
    let token = format!("{INGEST}{}", secret()?);
    let digest = digest(&token);
    Ok((token, digest))
}

/// What is kept of `token`, if it may be a producer's.
pub(super) fn ingest_digest(token: &str) -> Option<Digest> {
    let secret = token.strip_prefix(INGEST)?;
    (secret.len() == 43).then(|| digest(token))
}

/// A refresh token: the login, the secret that all of its refresh tokens share, and
/// the one of its own.
pub(super) struct Refresh {
    pub(super) login: LoginId,
    shared: String,
    own: String,
}

impl Refresh {
    /// The first of a new login.
    pub(super) fn first() -> Result<Refresh, NoRandomness> {
        Ok(Refresh { login: LoginId(Uuid::new_v4()), shared: secret()?, own: secret()? })
    }

    /// The one that follows.
    pub(super) fn next(&self) -> Result<Refresh, NoRandomness> {
        Ok(Refresh { login: self.login, shared: self.shared.clone(), own: secret()? })
    }

    pub(super) fn digests(&self) -> RefreshDigests {
        RefreshDigests { login: digest(&self.shared), newest: digest(&self.own) }
    }

    pub(super) fn text(&self) -> String {
        format!("{}.{}.{}", self.login, self.shared, self.own)
    }

    pub(super) fn parse(text: &str) -> Option<Refresh> {
        let mut parts = text.split('.');
        let (login, shared, own) = (parts.next()?, parts.next()?, parts.next()?);
        let whole = parts.next().is_none() && shared.len() == 43 && own.len() == 43;
        let login = LoginId(Uuid::parse_str(login).ok()?);
        whole.then(|| Refresh { login, shared: shared.to_owned(), own: own.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_token_survives_its_text() {
        let first = Refresh::first().unwrap();
        let again = Refresh::parse(&first.text()).unwrap();
        assert_eq!((again.login, again.digests()), (first.login, first.digests()));
        let next = first.next().unwrap();
        assert_eq!(next.digests().login, first.digests().login);
        assert_ne!(next.digests().newest, first.digests().newest);
        for text in ["", "a.b.c", first.text().split_at(1).1, &format!("{}.x", first.text())] {
            assert!(Refresh::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_producers_token_is_known_by_its_form() {
        let (token, kept) = new_ingest_token().unwrap();
        assert_eq!(ingest_digest(&token), Some(kept));
        assert_ne!(new_ingest_token().unwrap().0, token);
        for text in ["", "animov_ingest_", token.split_at(50).0, "a goat has four legs"] {
            assert!(ingest_digest(text).is_none(), "{text}");
        }
    }
}
