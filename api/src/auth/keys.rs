//! Access tokens (JWT), and the keys that sign them.
//!
//! # Invariants
//!
//! - A key has one algorithm, and a token is checked with the algorithm of the key
//!   that it names, never with what its own header says. So there is no `none`, and
//!   no public key is ever taken for a secret.
//! - Several keys are good at one time, and one of them signs: a new key comes
//!   before the old ones, which stay until the last token of theirs has expired.
//! - Times are checked by the API's clock, not by the library's.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use schemas::time::{UnixMillis, millis};
use schemas::users::{LoginId, User};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::config::{AuthConfig, KeyAlgorithm};
use super::crypto;

/// The environment variable with the secret that signs access tokens.
pub const SECRET_ENV: &str = "ANIMOV_AUTH_SECRET";

/// The environment variable with the secret that signed them before.
pub const OLD_SECRET_ENV: &str = "ANIMOV_AUTH_SECRET_OLD";

/// Shortest secret: as long as what HMAC-SHA256 gives.
const SECRET_BYTES_MIN: usize = 32;

/// What signs and checks access tokens.
#[derive(Clone)]
pub struct Keys(Arc<Inner>);

struct Inner {
    /// The first one signs; there is one.
    keys: Vec<Key>,
    issuer: String,
    audience: String,
    leeway_s: i64,
    ttl_s: i64,
}

struct Key {
    id: String,
    algorithm: Algorithm,
    private: EncodingKey,
    public: DecodingKey,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<&str> = self.0.keys.iter().map(|key| key.id.as_str()).collect();
        write!(f, "Keys({})", ids.join(", "))
    }
}

/// What is wrong with a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyFault {
    #[error(
        "{name} has {bytes} bytes, and a secret must have {SECRET_BYTES_MIN} or more; \
         `openssl rand -base64 48` makes one"
    )]
    Short { name: &'static str, bytes: usize },

    #[error("{OLD_SECRET_ENV} is set and {SECRET_ENV} is not: no secret would sign")]
    OnlyOld,

    #[error(
        "the key {id} in {} is no PEM of a private key (PKCS #8, `-----BEGIN PRIVATE KEY-----`): \
         {what}; `openssl genpkey -algorithm ed25519` makes one",
        file.display()
    )]
    NoPem { id: String, file: PathBuf, what: String },

    #[error("the key {id} in {} is no key for {algorithm}: {what}", file.display())]
    OtherKey { id: String, file: PathBuf, algorithm: &'static str, what: String },
}

/// What an access token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    iss: String,
    aud: String,
    /// The user's name.
    pub(super) sub: String,
    /// The login.
    pub(super) sid: LoginText,
    /// The user's generation.
    pub(super) generation: u64,
    iat: i64,
    nbf: i64,
    exp: i64,
}

/// A login in a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct LoginText(uuid::Uuid);

impl LoginText {
    pub(super) fn id(self) -> LoginId {
        LoginId(self.0)
    }
}

/// Why a token is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenFault {
    /// It is one of ours, whose time is over.
    Expired,
    /// It is none of ours.
    Foreign,
}

impl Keys {
    /// The keys that `config` and the environment name; none if they name none.
    ///
    /// # Errors
    ///
    /// What is wrong with each of them.
    pub fn load(
        config: &AuthConfig,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Keys>, Vec<KeyFault>> {
        crypto::install();
        let (mut keys, mut faults) = (Vec::new(), Vec::new());
        for named in &config.key {
            match from_file(&named.id, named.algorithm, &named.file) {
                Ok(key) => keys.push(key),
                Err(fault) => faults.push(fault),
            }
        }
        let secret = |name| variable(name).filter(|secret| !secret.is_empty());
        let (newest, old) = (secret(SECRET_ENV), secret(OLD_SECRET_ENV));
        if newest.is_none() && old.is_some() && config.key.is_empty() {
            faults.push(KeyFault::OnlyOld);
        }
        for (name, secret) in [(SECRET_ENV, newest), (OLD_SECRET_ENV, old)] {
            match secret {
                Some(secret) if secret.len() < SECRET_BYTES_MIN => {
                    faults.push(KeyFault::Short { name, bytes: secret.len() });
                }
                Some(secret) => keys.push(from_secret(secret.as_bytes())),
                None => {}
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        if keys.is_empty() {
            return Ok(None);
        }
        Ok(Some(Keys(Arc::new(Inner {
            keys,
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            leeway_s: millis(config.leeway) / 1000,
            ttl_s: millis(config.access_ttl) / 1000,
        }))))
    }

    /// A token for a login of `user` that begins at `now`.
    pub(super) fn sign(
        &self,
        user: &User,
        login: LoginId,
        now: UnixMillis,
    ) -> jsonwebtoken::errors::Result<String> {
        let Inner { keys, issuer, audience, ttl_s, .. } = &*self.0;
        let key = keys.first().ok_or(jsonwebtoken::errors::ErrorKind::InvalidKeyFormat)?;
        let now = now.get().div_euclid(1000);
        let claims = Claims {
            iss: issuer.clone(),
            aud: audience.clone(),
            sub: user.name.to_string(),
            sid: LoginText(login.0),
            generation: user.generation,
            iat: now,
            nbf: now,
            exp: now.saturating_add(*ttl_s),
        };
        let header = Header { kid: Some(key.id.clone()), ..Header::new(key.algorithm) };
        jsonwebtoken::encode(&header, &claims, &key.private)
    }

    /// What `token` says, if a key of ours has signed it for us and its time is now.
    pub(super) fn check(&self, token: &str, now: UnixMillis) -> Result<Claims, TokenFault> {
        let Inner { keys, issuer, audience, leeway_s, .. } = &*self.0;
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenFault::Foreign)?;
        let named = header.kid.as_deref();
        let key = keys.iter().find(|key| named == Some(&*key.id)).ok_or(TokenFault::Foreign)?;
        let mut validation = Validation::new(key.algorithm);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "nbf", "exp"]);
        validation.validate_exp = false;
        let claims: Claims = jsonwebtoken::decode(token, &key.public, &validation)
            .map_err(|_| TokenFault::Foreign)?
            .claims;
        let now = now.get().div_euclid(1000);
        if claims.exp.saturating_add(*leeway_s) <= now {
            return Err(TokenFault::Expired);
        }
        if now.saturating_add(*leeway_s) < claims.nbf {
            return Err(TokenFault::Foreign);
        }
        Ok(claims)
    }

    /// How long a token is good, seconds.
    pub(super) fn ttl_s(&self) -> i64 {
        self.0.ttl_s
    }
}

fn from_secret(secret: &[u8]) -> Key {
    // A secret has no name of its own, and its digest gives nothing away.
    let digest = Sha256::digest([b"animov kid ", secret].concat());
    let id: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Key {
        id: format!("secret-{id}"),
        algorithm: Algorithm::HS256,
        private: EncodingKey::from_secret(secret),
        public: DecodingKey::from_secret(secret),
    }
}

fn from_file(id: &str, algorithm: KeyAlgorithm, file: &std::path::Path) -> Result<Key, KeyFault> {
    let no_pem = |what: String| KeyFault::NoPem { id: id.to_owned(), file: file.to_owned(), what };
    let private = PrivatePkcs8KeyDer::from_pem_file(file).map_err(|e| no_pem(e.to_string()))?;
    let der = private.secret_pkcs8_der();
    let (name, named) = match algorithm {
        KeyAlgorithm::EdDSA => ("EdDSA", Algorithm::EdDSA),
        KeyAlgorithm::RS256 => ("RS256", Algorithm::RS256),
    };
    let public = crypto::public(named, der).map_err(|what| KeyFault::OtherKey {
        id: id.to_owned(),
        file: file.to_owned(),
        algorithm: name,
        what,
    })?;
    let (private, public) = match algorithm {
        KeyAlgorithm::EdDSA => (EncodingKey::from_ed_der(der), DecodingKey::from_ed_der(&public)),
        KeyAlgorithm::RS256 => (EncodingKey::from_rsa_der(der), DecodingKey::from_rsa_der(&public)),
    };
    Ok(Key { id: id.to_owned(), algorithm: named, private, public })
}
