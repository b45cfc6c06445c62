//! `[api]` in `animov.toml`: where to listen, and every bound.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::auth::{ApiToken, AuthConfig, Keys, SECRET_ENV, TOKEN_ENV};
use crate::cors;
use crate::tls::{Tls, TlsFault};

/// Where the API listens and what it bears. Every field has a default.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiConfig {
    /// Address and port. Any address but loopback needs a token in the
    /// environment, see [`TOKEN_ENV`], or keys that sign the tokens of users.
    pub bind: SocketAddr,

    /// Names, beside this machine's own, under which browsers reach the API when
    /// there is no token (a tunnel's or a proxy's). Other names are refused, so
    /// that no web page can reach the API by pointing its own name here.
    pub hosts: Vec<String>,

    /// Origins of other pages that may ask from browsers, as `https://farm.example`.
    /// Without any, none may.
    pub origins: Vec<String>,

    /// Bytes of a request's body, at most.
    pub body_bytes_max: NonZeroUsize,

    /// Frames in one request, at most.
    pub frames_max: NonZeroUsize,

    /// How long a request's header may take to arrive, and how long a kept
    /// connection may stay silent.
    #[serde(with = "humantime_serde")]
    pub header_timeout: Duration,

    /// How long a request's body may take to arrive.
    #[serde(with = "humantime_serde")]
    pub body_timeout: Duration,

    /// How long a request may take in all.
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,

    /// Open connections, at most; more wait to be accepted.
    pub connections_max: NonZeroUsize,

    /// Calls of the tables and the log at one time, at most; more wait for their
    /// turn until `request_timeout`.
    pub calls_max: NonZeroUsize,

    /// Requests at one time, at most; more are answered 503 at once.
    pub requests_max: NonZeroUsize,

    /// A source from which nothing was appended for so long is told as silent.
    #[serde(with = "humantime_serde")]
    pub silent_after: Duration,

    /// How long open requests may take to end when the program stops.
    #[serde(with = "humantime_serde")]
    pub shutdown_grace: Duration,

    /// How people log in.
    pub auth: AuthConfig,

    /// Whether connections are secret.
    pub tls: TlsConfig,
}

/// `[api.tls]`: with both files, and only then, the API speaks HTTPS.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// Certificates in PEM, the server's own first. Read again when the file changes,
    /// and on SIGHUP.
    pub certificate: Option<PathBuf>,

    /// The private key in PEM.
    pub key: Option<PathBuf>,

    /// How long a handshake may take.
    #[serde(with = "humantime_serde")]
    pub handshake_timeout: Duration,
}

impl TlsConfig {
    /// Whether there is TLS, and its files can be used.
    ///
    /// # Errors
    ///
    /// They cannot.
    pub fn check(&self) -> Result<bool, TlsFault> {
        Ok(Tls::load(self)?.is_some())
    }
}

impl Default for TlsConfig {
    fn default() -> TlsConfig {
        TlsConfig { certificate: None, key: None, handshake_timeout: Duration::from_secs(10) }
    }
}

/// A positive number, checked when the program is compiled.
const fn positive(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).expect("a bound is positive")
}

impl Default for ApiConfig {
    fn default() -> ApiConfig {
        ApiConfig {
            bind: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8420),
            hosts: Vec::new(),
            origins: Vec::new(),
            body_bytes_max: const { positive(8 << 20) },
            frames_max: const { positive(10_000) },
            header_timeout: Duration::from_secs(15),
            body_timeout: Duration::from_secs(20),
            request_timeout: Duration::from_secs(30),
            connections_max: const { positive(512) },
            calls_max: const { positive(16) },
            requests_max: const { positive(128) },
            silent_after: Duration::from_secs(120),
            shutdown_grace: Duration::from_secs(10),
            auth: AuthConfig::default(),
            tls: TlsConfig::default(),
        }
    }
}

/// A rule between settings that is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigFault {
    #[error(
        "api.bind is {bind}, which other machines can reach, and nobody is asked who he is: \
         set {TOKEN_ENV} to a secret of at least 16 characters, let users log in with a secret of 32 \
         or more in {SECRET_ENV} or an [[api.auth.key]], or bind to 127.0.0.1"
    )]
    OpenToTheNetwork { bind: SocketAddr },

    #[error("api.{setting} is zero: no request could ever end in time")]
    NoTime { setting: &'static str },

    #[error(
        "api.hosts has {host:?}, which is no host name: write it as in a URL, without scheme and port"
    )]
    Host { host: String },

    #[error(
        "api.origins has {origin:?}, which is no origin: write it as https://farm.example, in lower \
         case, with the port if it is not the usual one, and no path; `*` is none"
    )]
    Origin { origin: String },

    #[error("api.tls has {given} and not {missing}: name both, or neither")]
    HalfTls { given: &'static str, missing: &'static str },

    #[error("api.{setting} is zero: nothing would last so long")]
    NothingLasts { setting: &'static str },

    #[error("api.auth.refresh_ttl is shorter than api.auth.access_ttl: write it longer")]
    LoginTooShort,

    #[error("api.{setting} is empty: write a name that the tokens carry")]
    Empty { setting: &'static str },

    #[error("api.auth.key has the id {id:?}: an id is 1 to 64 letters, digits, `.`, `_` or `-`")]
    KeyId { id: String },

    #[error("api.auth.key has the id {id:?} twice: each key has its own")]
    KeyTwice { id: String },
}

impl ApiConfig {
    /// Every rule between settings that is broken; empty when all is well.
    pub fn faults(&self, token: Option<&ApiToken>, keys: Option<&Keys>) -> Vec<ConfigFault> {
        let mut faults = self.auth.faults();
        if token.is_none() && keys.is_none() && !self.bind.ip().is_loopback() {
            faults.push(ConfigFault::OpenToTheNetwork { bind: self.bind });
        }
        for (setting, time) in [
            ("header_timeout", self.header_timeout),
            ("body_timeout", self.body_timeout),
            ("request_timeout", self.request_timeout),
            ("tls.handshake_timeout", self.tls.handshake_timeout),
        ] {
            if time.is_zero() {
                faults.push(ConfigFault::NoTime { setting });
            }
        }
        for origin in self.origins.iter().filter(|origin| !cors::is_origin(origin)) {
            faults.push(ConfigFault::Origin { origin: origin.clone() });
        }
        match (&self.tls.certificate, &self.tls.key) {
            (Some(_), None) => {
                faults.push(ConfigFault::HalfTls { given: "certificate", missing: "key" });
            }
            (None, Some(_)) => {
                faults.push(ConfigFault::HalfTls { given: "key", missing: "certificate" });
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
        for host in &self.hosts {
            let authority: Result<axum::http::uri::Authority, _> = host.parse();
            if authority.map_or(true, |name| name.host() != host) {
                faults.push(ConfigFault::Host { host: host.clone() });
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_section_is_the_defaults() {
        assert_eq!(toml::from_str::<ApiConfig>("").unwrap(), ApiConfig::default());
        assert_eq!(ApiConfig::default().faults(None, None), []);
    }

    #[test]
    fn an_unknown_key_and_a_wrong_value_are_refused_where_they_stand() {
        let unknown = toml::from_str::<ApiConfig>("bnd = '127.0.0.1:1'").unwrap_err();
        assert!(unknown.to_string().contains("unknown field `bnd`"), "{unknown}");
        let zero =
            toml::from_str::<ApiConfig>("bind = '127.0.0.1:1'\nrequests_max = 0").unwrap_err();
        assert!(zero.to_string().contains("line 2"), "{zero}");
    }

    #[test]
    fn an_open_address_needs_a_token() {
        let token = ApiToken::new("a secret of a farm").unwrap();
        for bind in ["0.0.0.0:8420", "[::]:8420", "192.168.1.7:8420"] {
            let bind = bind.parse().unwrap();
            let config = ApiConfig { bind, ..ApiConfig::default() };
            assert_eq!(config.faults(None, None), [ConfigFault::OpenToTheNetwork { bind }]);
            assert_eq!(config.faults(Some(&token), None), []);
        }
        for bind in ["127.0.0.1:0", "127.9.9.9:1", "[::1]:8420"] {
            let config = ApiConfig { bind: bind.parse().unwrap(), ..ApiConfig::default() };
            assert_eq!(config.faults(None, None), [], "{bind}");
        }
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let config = ApiConfig {
            bind: "0.0.0.0:8420".parse().unwrap(),
            hosts: vec!["farm.example".to_owned(), "https://farm.example".to_owned()],
            request_timeout: Duration::ZERO,
            ..ApiConfig::default()
        };
        let told: Vec<_> = config.faults(None, None).iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        api.bind is 0.0.0.0:8420, which other machines can reach, and nobody is asked who he is: set ANIMOV_API_TOKEN to a secret of at least 16 characters, let users log in with a secret of 32 or more in ANIMOV_AUTH_SECRET or an [[api.auth.key]], or bind to 127.0.0.1
        api.request_timeout is zero: no request could ever end in time
        api.hosts has "https://farm.example", which is no host name: write it as in a URL, without scheme and port
        "#);
    }
}
