//! `[state.mysql]`: the tables on a server.

use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

/// The environment variable of the password that goes with the user in
/// `state.mysql.url`.
pub const MYSQL_PASSWORD_ENV: &str = "ANIMOV_MYSQL_PASSWORD";

/// `[state.mysql]`: which server, and how long to wait for it. The password is
/// not here: it comes from the environment.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MySqlConfig {
    /// Server, user and database, without a password. Default:
    /// `mysql://animov@127.0.0.1:3306/animov`.
    pub url: MySqlUrl,

    /// Whether the connection is encrypted, and what the server must prove.
    /// Default: preferred.
    pub tls: Tls,

    /// PEM file of authorities that `verify_ca` and `verify_identity` trust
    /// beside those that browsers trust. No default.
    pub tls_ca: Option<PathBuf>,

    /// Connections that read, at most; further readers wait. One more writes.
    /// Default: 8.
    pub readers_max: NonZeroU32,

    /// How long connecting may take, a second at least. Default: 10s.
    #[serde(deserialize_with = "a_second_at_least")]
    pub connect_timeout: Duration,

    /// How long the server may take to answer a statement, a second at least;
    /// then the connection is closed. Half of it may go by in waiting for
    /// another process's transaction. Default: 30s.
    #[serde(deserialize_with = "a_second_at_least")]
    pub answer_timeout: Duration,
}

impl Default for MySqlConfig {
    fn default() -> MySqlConfig {
        MySqlConfig {
            url: MySqlUrl::default(),
            tls: Tls::default(),
            tls_ca: None,
            readers_max: NonZeroU32::new(8).expect("a default is not zero"),
            connect_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(30),
        }
    }
}

/// How a connection is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tls {
    /// Never.
    Disabled,
    /// If the server can; it proves nothing.
    #[default]
    Preferred,
    /// Always; the server proves nothing.
    Required,
    /// Always, and an authority vouches for the server.
    VerifyCa,
    /// Always, and an authority vouches for the server's name.
    VerifyIdentity,
}

/// Where the tables are: `mysql://user@host:port/database`.
///
/// Invariant: no part is empty, and none is a password.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct MySqlUrl {
    pub user: String,
    /// A name or an address; IPv6 without its brackets.
    pub host: String,
    pub port: u16,
    pub database: String,
}

/// The port that MySQL and MariaDB listen on unless they are told otherwise.
const USUAL_PORT: u16 = 3306;

impl Default for MySqlUrl {
    fn default() -> MySqlUrl {
        MySqlUrl {
            user: "animov".into(),
            host: "127.0.0.1".into(),
            port: USUAL_PORT,
            database: "animov".into(),
        }
    }
}

/// A text that names no database.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMySqlUrl {
    #[error("expected mysql://user@host:port/database")]
    Shape,

    /// The text is not repeated: it holds a secret.
    #[error(
        "a password does not belong in this file: write mysql://user@host:port/database, and put \
         the password into the environment variable {MYSQL_PASSWORD_ENV}"
    )]
    Password,

    #[error("{0:?} is no port from 1 to 65535")]
    Port(String),

    #[error(
        "expected nothing behind the database's name: TLS and time-outs have options of their own"
    )]
    Options,
}

impl MySqlUrl {
    /// The server and the database, whoever asks.
    pub fn place(&self) -> String {
        let MySqlUrl { user: _, host, port, database } = self;
        match host.contains(':') {
            true => format!("mysql://[{host}]:{port}/{database}"),
            false => format!("mysql://{host}:{port}/{database}"),
        }
    }
}

impl FromStr for MySqlUrl {
    type Err = InvalidMySqlUrl;

    fn from_str(text: &str) -> Result<MySqlUrl, InvalidMySqlUrl> {
        let rest = text.strip_prefix("mysql://").or_else(|| text.strip_prefix("mariadb://"));
        let rest = rest.ok_or(InvalidMySqlUrl::Shape)?;
        // Users and passwords may hold any character, so the last "@" ends them.
        let (user, place) = rest.rsplit_once('@').ok_or(InvalidMySqlUrl::Shape)?;
        if user.contains(':') {
            return Err(InvalidMySqlUrl::Password);
        }
        let (server, database) = place.split_once('/').ok_or(InvalidMySqlUrl::Shape)?;
        if database.contains(['/', '?', '#']) {
            return Err(InvalidMySqlUrl::Options);
        }
        let (host, port) = host_and_port(server)?;
        if [user, host, database].contains(&"") {
            return Err(InvalidMySqlUrl::Shape);
        }
        let (user, host, database) = (user.to_owned(), host.to_owned(), database.to_owned());
        Ok(MySqlUrl { user, host, port, database })
    }
}

fn host_and_port(server: &str) -> Result<(&str, u16), InvalidMySqlUrl> {
    let (host, port) = match server.strip_prefix('[') {
        Some(rest) => {
            let (host, behind) = rest.split_once(']').ok_or(InvalidMySqlUrl::Shape)?;
            match behind {
                "" => (host, None),
                _ => (host, Some(behind.strip_prefix(':').ok_or(InvalidMySqlUrl::Shape)?)),
            }
        }
        None => match server.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (server, None),
        },
    };
    let Some(text) = port else { return Ok((host, USUAL_PORT)) };
    match text.parse() {
        Ok(port) if 0 < port => Ok((host, port)),
        _ => Err(InvalidMySqlUrl::Port(text.to_owned())),
    }
}

impl TryFrom<String> for MySqlUrl {
    type Error = InvalidMySqlUrl;

    fn try_from(text: String) -> Result<MySqlUrl, InvalidMySqlUrl> {
        text.parse()
    }
}

impl fmt::Display for MySqlUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MySqlUrl { user, host, port, database } = self;
        match host.contains(':') {
            true => write!(f, "mysql://{user}@[{host}]:{port}/{database}"),
            false => write!(f, "mysql://{user}@{host}:{port}/{database}"),
        }
    }
}

/// What the user proves itself with; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct MySqlPassword(String);

impl MySqlPassword {
    /// The password itself, for the server alone.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for MySqlPassword {
    fn from(password: String) -> MySqlPassword {
        MySqlPassword(password)
    }
}

impl fmt::Debug for MySqlPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MySqlPassword")
    }
}

pub(super) fn a_second_at_least<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let wait: Duration = humantime_serde::deserialize(from)?;
    match Duration::from_secs(1) <= wait {
        true => Ok(wait),
        false => Err(serde::de::Error::custom("expected a second at least, as in \"10s\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<MySqlConfig, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    fn told(url: &str) -> String {
        url.parse::<MySqlUrl>().map_or_else(|error| error.to_string(), |url| url.to_string())
    }

    #[test]
    fn a_url_is_a_user_a_server_and_a_database() {
        assert_eq!(told("mysql://animov@127.0.0.1:3306/animov"), MySqlUrl::default().to_string());
        assert_eq!(told("mysql://a@db.farm/goats"), "mysql://a@db.farm:3306/goats");
        assert_eq!(told("mariadb://a@[::1]:3307/goats"), "mysql://a@[::1]:3307/goats");
        assert_eq!(told("mysql://a@[::1]/goats"), "mysql://a@[::1]:3306/goats");
        for wrong in [
            "postgres://a@db/goats",
            "mysql://db/goats",
            "mysql://a@db",
            "mysql://a@db/",
            "mysql://@db/goats",
            "mysql://a@/goats",
            "mysql://a@[::1/goats",
            "mysql://a@[::1]3306/goats",
        ] {
            assert_eq!(told(wrong), InvalidMySqlUrl::Shape.to_string(), "{wrong}");
        }
        for port in ["", "0", "65536", "http"] {
            let wrong = format!("mysql://a@db:{port}/goats");
            assert_eq!(told(&wrong), InvalidMySqlUrl::Port(port.into()).to_string(), "{wrong}");
        }
        assert_eq!(
            told("mysql://a@db/goats?ssl-mode=required"),
            InvalidMySqlUrl::Options.to_string()
        );
    }

    #[test]
    fn a_password_is_refused_in_the_file_and_never_shown() {
        for url in ["mysql://a:hunter2@db/goats", "mysql://a:hunter2@x@db/goats", "mysql://a:@db/g"]
        {
            let error = read(&format!(r#"{{"url": "{url}"}}"#)).unwrap_err();
            assert!(error.contains("ANIMOV_MYSQL_PASSWORD"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let password = MySqlPassword::from("hunter2".to_owned());
        assert_eq!(
            (format!("{password:?}").as_str(), password.reveal()),
            ("MySqlPassword", "hunter2")
        );
    }

    #[test]
    fn waits_are_a_second_at_least() {
        assert_eq!(read("{}").unwrap(), MySqlConfig::default());
        let config = read(r#"{"tls": "verify_identity", "answer_timeout": "1s"}"#).unwrap();
        assert_eq!(
            (config.tls, config.answer_timeout),
            (Tls::VerifyIdentity, Duration::from_secs(1))
        );
        assert!(read(r#"{"answer_timeout": "0s"}"#).unwrap_err().contains("a second at least"));
        assert!(read(r#"{"connect_timeout": "999ms"}"#).is_err());
        assert!(read(r#"{"readers_max": 0}"#).is_err());
    }
}
