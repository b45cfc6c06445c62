//! `[log]`, `[state]`, `[snapshots]` and `[database]` in `animov.toml`. Every field has a
//! default.

mod database;
mod kafka;
mod mysql;
mod snapshots;

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

pub use database::{DATABASE_PASSWORD_ENV, DatabaseConfig, DatabaseKind, Driver};
pub use kafka::{Compression, KafkaConfig, KafkaFault, KafkaSecrets, SaslMechanism, Security};
pub use mysql::{InvalidMySqlUrl, MYSQL_PASSWORD_ENV, MySqlConfig, MySqlPassword, MySqlUrl, Tls};
pub use snapshots::{
    InvalidMongoUrl, MONGO_PASSWORD_ENV, MongoConfig, MongoUrl, SnapshotsConfig, SnapshotsKind,
};

/// `[log]`: where frames are kept until, and after, they are counted.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// Where frames are kept: `segments`, a folder of this machine, or `kafka`.
    /// Default: `segments`.
    pub kind: LogKind,

    /// The embedded log's folder.
    pub dir: PathBuf,

    /// `[log.segments]`
    pub segments: SegmentsConfig,

    /// `[log.kafka]`
    pub kafka: KafkaConfig,
}

impl Default for LogConfig {
    fn default() -> LogConfig {
        LogConfig {
            kind: LogKind::Segments,
            dir: "animov-data/log".into(),
            segments: SegmentsConfig::default(),
            kafka: KafkaConfig::default(),
        }
    }
}

/// What a log is kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogKind {
    /// A folder of files, for one process: `[log.segments]`.
    Segments,
    /// A topic, for any number of processes: `[log.kafka]`.
    Kafka,
}

/// `[log.segments]`: the embedded log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SegmentsConfig {
    /// How many partitions the log has: what is counted in parallel. May be
    /// raised later, never lowered. Default: 1.
    pub partitions: NonZeroU32,

    /// A segment that has reached this length, in bytes, is closed and the next
    /// begins. Default: 67108864 (64 MiB).
    pub segment_bytes: NonZeroU64,

    /// A segment whose first record is older than this is closed before the
    /// next record, so that retention can delete by age. Default: 1h.
    #[serde(with = "humantime_serde")]
    pub segment_age: Duration,

    /// When a partition is longer than this, in bytes, its oldest segments are
    /// deleted, once they are counted. Default: 10737418240 (10 GiB).
    pub retention_bytes: NonZeroU64,

    /// Segments whose records are all older than this are deleted, once they
    /// are counted. Default: 7days.
    #[serde(with = "humantime_serde")]
    pub retention_age: Duration,

    /// How many bytes of records may wait for the disk in each partition;
    /// further appends wait. Default: 8388608 (8 MiB).
    pub pending_bytes_max: NonZeroU64,

    /// How long an append waits for the disk before it is refused; a day at
    /// most. Default: 30s.
    #[serde(with = "humantime_serde")]
    pub append_timeout: Duration,
}

impl fmt::Display for LogConfig {
    /// Where the log is, for a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            LogKind::Segments => self.dir.display().fmt(f),
            LogKind::Kafka => self.kafka.fmt(f),
        }
    }
}

const MIB: u64 = 1 << 20;

impl Default for SegmentsConfig {
    fn default() -> SegmentsConfig {
        SegmentsConfig {
            partitions: NonZeroU32::MIN,
            segment_bytes: nonzero(64 * MIB),
            segment_age: Duration::from_hours(1),
            retention_bytes: nonzero(10 * 1024 * MIB),
            retention_age: Duration::from_hours(7 * 24),
            pending_bytes_max: nonzero(8 * MIB),
            append_timeout: Duration::from_secs(30),
        }
    }
}

/// `[state]`: the tables.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StateConfig {
    /// What keeps the tables: `sqlite`, a file of this program, or `mysql`, a
    /// server. Default: sqlite.
    pub kind: StateKind,

    /// The SQLite database of windows, ledger and parked records.
    pub path: PathBuf,

    /// `[state.mysql]`
    pub mysql: MySqlConfig,
}

impl Default for StateConfig {
    fn default() -> StateConfig {
        StateConfig {
            kind: StateKind::default(),
            path: "animov-data/state.sqlite".into(),
            mysql: MySqlConfig::default(),
        }
    }
}

impl fmt::Display for StateConfig {
    /// Where the tables are, for a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            StateKind::Sqlite => self.path.display().fmt(f),
            StateKind::MySql => self.mysql.url.fmt(f),
        }
    }
}

/// What keeps the tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StateKind {
    /// One file; no server is needed.
    #[default]
    Sqlite,
    /// A MySQL or MariaDB server, which several processes share.
    MySql,
}

const fn nonzero(value: u64) -> NonZeroU64 {
    NonZeroU64::new(value).expect("a default is not zero")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_section_is_the_default_and_an_unknown_key_is_refused() {
        let read = |json: &str| serde_json::from_str::<LogConfig>(json);
        assert_eq!(read("{}").unwrap(), LogConfig::default());
        let shorter = read(r#"{"segments": {"segment_age": "10m"}}"#).unwrap();
        assert_eq!(shorter.segments.segment_age, Duration::from_mins(10));
        assert!(read(r#"{"segments": {"segment_agee": "10m"}}"#).is_err());
        assert!(read(r#"{"segments": {"partitions": 0}}"#).is_err());
        assert_eq!(read(r#"{"kind": "kafka"}"#).unwrap().kind, LogKind::Kafka);
        assert!(read(r#"{"kind": "kafak"}"#).is_err());
        let state = |json: &str| serde_json::from_str::<StateConfig>(json);
        assert_eq!(state("{}").unwrap(), StateConfig::default());
        assert_eq!(state(r#"{"kind": "mysql"}"#).unwrap().kind, StateKind::MySql);
        assert!(state(r#"{"kind": "postgres"}"#).is_err());
    }
}
