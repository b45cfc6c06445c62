//! `[api.auth]` in `animov.toml`: logins, their tokens, and the keys that sign them.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::config::ConfigFault;

/// How people log in. Every field has a default.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthConfig {
    /// Who signs access tokens, as they say it (`iss`). Others' are refused.
    pub issuer: String,

    /// For whom they are signed (`aud`). Those for others are refused.
    pub audience: String,

    /// How long an access token is good.
    #[serde(with = "humantime_serde")]
    pub access_ttl: Duration,

    /// How long a login goes on from its last refresh.
    #[serde(with = "humantime_serde")]
    pub refresh_ttl: Duration,

    /// How far the clocks of the machines that sign and check may differ.
    #[serde(with = "humantime_serde")]
    pub leeway: Duration,

    /// For how long what the tables said of a login is taken for true: so long at
    /// most a logout, a new password or a disabled user may take to be noticed
    /// everywhere.
    #[serde(with = "humantime_serde")]
    pub recheck: Duration,

    /// Failed logins as one user from one address within `login_window`, at most.
    /// From one address as anybody: three times as many. As one user from
    /// anywhere: ten times as many.
    pub login_tries: NonZeroU32,

    /// For how long a failed login counts.
    #[serde(with = "humantime_serde")]
    pub login_window: Duration,

    /// How long the log of logins and changes is kept.
    #[serde(with = "humantime_serde")]
    pub log_keep: Duration,

    /// Addresses of proxies, whose `X-Forwarded-For` is believed.
    pub proxies: Vec<IpAddr>,

    /// Keys in files: the first signs, all are good to check. Without any, the
    /// secret in the environment does both.
    pub key: Vec<KeyConfig>,
}

/// One `[[api.auth.key]]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    /// Names the key in the tokens (`kid`); never given to another key.
    pub id: String,

    pub algorithm: KeyAlgorithm,

    /// The private key: PEM, PKCS #8.
    pub file: PathBuf,
}

/// What a key in a file signs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum KeyAlgorithm {
    /// Ed25519.
    EdDSA,
    /// RSA with SHA-256, 2048 bits or more.
    RS256,
}

impl Default for AuthConfig {
    fn default() -> AuthConfig {
        AuthConfig {
            issuer: "animov".to_owned(),
            audience: "animov".to_owned(),
            access_ttl: Duration::from_mins(10),
            refresh_ttl: Duration::from_hours(30 * 24),
            leeway: Duration::from_secs(30),
            recheck: Duration::from_secs(2),
            login_tries: const { NonZeroU32::new(10).expect("it is positive") },
            login_window: Duration::from_mins(15),
            log_keep: Duration::from_hours(400 * 24),
            proxies: Vec::new(),
            key: Vec::new(),
        }
    }
}

impl AuthConfig {
    pub(crate) fn faults(&self) -> Vec<ConfigFault> {
        let mut faults = Vec::new();
        for (setting, time) in [
            ("auth.access_ttl", self.access_ttl),
            ("auth.refresh_ttl", self.refresh_ttl),
            ("auth.login_window", self.login_window),
            ("auth.log_keep", self.log_keep),
        ] {
            if time.is_zero() {
                faults.push(ConfigFault::NothingLasts { setting });
            }
        }
        if self.refresh_ttl < self.access_ttl {
            faults.push(ConfigFault::LoginTooShort);
        }
        for (setting, text) in [("auth.issuer", &self.issuer), ("auth.audience", &self.audience)] {
            if text.is_empty() {
                faults.push(ConfigFault::Empty { setting });
            }
        }
        for (at, key) in self.key.iter().enumerate() {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            if key.id.is_empty() || 64 < key.id.len() || !key.id.bytes().all(plain) {
                faults.push(ConfigFault::KeyId { id: key.id.clone() });
            }
            if self.key[..at].iter().any(|other| other.id == key.id) {
                faults.push(ConfigFault::KeyTwice { id: key.id.clone() });
            }
        }
        faults
    }
}
