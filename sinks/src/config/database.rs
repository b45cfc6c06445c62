//! `[database]`: an existing ANIMOV database, whose minutes are imported.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::mysql::{MySqlConfig, MySqlUrl, Tls, a_second_at_least};

/// The environment variable of the password that goes with `database.username`.
pub const DATABASE_PASSWORD_ENV: &str = "ANIMOV_DATABASE_PASSWORD";

/// `[database]`: the connection, in the words of the original system's own
/// configuration. The password is not here: it comes from the environment.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DatabaseConfig {
    /// `mysql` or `mariadb`. Default: mysql.
    #[serde(rename = "type")]
    pub kind: DatabaseKind,

    /// Which library the original's programs connected with. This program has one
    /// of its own, so it only must be one of those. Default: pymysql.
    pub driver: Driver,

    /// A user who may read is enough. Default: animov.
    pub username: String,

    /// Name or address of the server. No default: without it there is no such
    /// database.
    pub host: Option<String>,

    /// Default: 3306.
    pub port: u16,

    /// The database's name. Default: ANIMOV.
    pub database: String,

    /// Whether the connection is encrypted, and what the server must prove.
    /// Default: preferred.
    pub tls: Tls,

    /// PEM file of authorities that `verify_ca` and `verify_identity` trust beside
    /// those that browsers trust. No default.
    pub tls_ca: Option<PathBuf>,

    /// Rows that are read, and kept, together. Default: 5000.
    pub chunk_rows: NonZeroU32,

    /// How long connecting may take, a second at least. Default: 10s.
    #[serde(deserialize_with = "a_second_at_least")]
    pub connect_timeout: Duration,

    /// How long the server may take to answer, a second at least. Default: 60s.
    #[serde(deserialize_with = "a_second_at_least")]
    pub answer_timeout: Duration,
}

impl Default for DatabaseConfig {
    fn default() -> DatabaseConfig {
        DatabaseConfig {
            kind: DatabaseKind::default(),
            driver: Driver::default(),
            username: "animov".into(),
            host: None,
            port: 3306,
            database: "ANIMOV".into(),
            tls: Tls::default(),
            tls_ca: None,
            chunk_rows: NonZeroU32::new(5000).expect("a default is not zero"),
            connect_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(60),
        }
    }
}

impl DatabaseConfig {
    /// How to reach it, if there is one.
    pub fn connection(&self) -> Option<MySqlConfig> {
        Some(MySqlConfig {
            url: MySqlUrl {
                user: self.username.clone(),
                host: self.host.clone()?,
                port: self.port,
                database: self.database.clone(),
            },
            tls: self.tls,
            tls_ca: self.tls_ca.clone(),
            readers_max: NonZeroU32::MIN,
            connect_timeout: self.connect_timeout,
            answer_timeout: self.answer_timeout,
        })
    }
}

/// What keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DatabaseKind {
    #[default]
    MySql,
    MariaDb,
}

/// What Python's `SQLAlchemy` reaches such a server with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    #[default]
    PyMySql,
    MySqlDb,
    MySqlConnector,
    MariaDbConnector,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_originals_own_words_are_understood() {
        let read = |json: &str| serde_json::from_str::<DatabaseConfig>(json);
        assert_eq!(read("{}").unwrap(), DatabaseConfig::default());
        assert_eq!(read("{}").unwrap().connection(), None);
        let config = read(
            r#"{"type": "mariadb", "driver": "mysqlconnector", "username": "goat",
                "host": "db.farm", "port": 3307, "database": "ANIMOV"}"#,
        );
        let url = config.unwrap().connection().unwrap().url;
        assert_eq!(url.to_string(), "mysql://goat@db.farm:3307/ANIMOV");
        let refused = read(r#"{"password": "hunter2"}"#).unwrap_err().to_string();
        assert!(refused.contains("unknown field `password`"), "{refused}");
        assert!(read(r#"{"type": "postgresql"}"#).is_err());
    }
}
