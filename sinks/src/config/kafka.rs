//! `[log.kafka]`: the log on Kafka. Passwords come from the environment.

use std::collections::BTreeMap;
use std::fmt;
use std::num::{NonZeroU16, NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::{MIB, nonzero};

/// `[log.kafka]`: the log on Kafka.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaConfig {
    /// Brokers to ask first, `host:port`; the others are learnt from them.
    /// Default: `["127.0.0.1:9092"]`.
    pub brokers: Vec<String>,

    /// The topic of frames. Its side topic, `<topic>.schemas`, holds the Avro
    /// schemas that writers have declared. Default: `animov.frames`.
    pub topic: String,

    /// How many partitions `animov migrate` gives the topic: what is counted in
    /// parallel, by one process or several. May be raised later, never lowered.
    /// Default: 4.
    pub partitions: NonZeroU32,

    /// On how many brokers `animov migrate` has each record kept. No default:
    /// what the brokers say.
    pub replication: Option<NonZeroU16>,

    /// How many of them must have a record before it is acknowledged. No
    /// default: what the brokers say.
    pub min_insync_replicas: Option<NonZeroU16>,

    /// How long `animov migrate` has the brokers keep a record. Default: 7days.
    #[serde(with = "humantime_serde")]
    pub retention_age: Duration,

    /// The group whose members share out the partitions. Default: `animov`.
    pub group: String,

    /// Names this process within the group: a process that comes back under its
    /// name within `session_timeout` finds its partitions as it left them. Each
    /// process needs another one. No default: it leaves the group when it ends.
    pub instance_id: Option<String>,

    /// After how long a silence a process is taken for dead, and another gets
    /// its partitions. Brokers usually allow 6s to 30m. Default: 10s.
    #[serde(with = "humantime_serde")]
    pub session_timeout: Duration,

    /// How long partitions that are to go to another process wait for this one
    /// to let go of them. Default: 30s.
    #[serde(with = "humantime_serde")]
    pub release_timeout: Duration,

    /// How often brokers are asked what has changed; added partitions are
    /// noticed so late. 1s to 1h. Default: 30s.
    #[serde(with = "humantime_serde")]
    pub metadata_refresh: Duration,

    /// Bytes of values fetched ahead for each partition that is read.
    /// Default: 16777216 (16 MiB).
    pub fetch_bytes_max: NonZeroU64,

    /// Records fetched ahead for each partition that is read; each takes some
    /// 500 bytes beside its value. Default: 20000.
    pub fetch_records_max: NonZeroU32,

    /// How long an append waits for the brokers before it is refused, 1s to a
    /// day. Default: 30s.
    #[serde(with = "humantime_serde")]
    pub append_timeout: Duration,

    /// How records are compressed. Default: `lz4`.
    pub compression: Compression,

    /// Whether to encrypt, and to say who this is. Default: `plaintext`.
    pub security: Security,

    /// How to prove who this is, where `security` begins with `sasl_`. No
    /// default.
    pub sasl_mechanism: Option<SaslMechanism>,

    /// Who this is; the password is `ANIMOV_KAFKA_PASSWORD`. No default.
    pub sasl_username: Option<String>,

    /// Certificates that may sign the brokers', PEM. Default: the system's.
    pub ca_file: Option<PathBuf>,

    /// This process's own certificate, PEM. No default.
    pub cert_file: Option<PathBuf>,

    /// The certificate's key, PEM; its password, if it has one, is
    /// `ANIMOV_KAFKA_KEY_PASSWORD`. No default.
    pub key_file: Option<PathBuf>,

    /// How often the clients' own statistics are taken for the metrics; `0s` is
    /// never. Default: 10s.
    #[serde(with = "humantime_serde")]
    pub statistics_interval: Duration,

    /// Further librdkafka properties, passed on as they are: what they mean is
    /// librdkafka's. Those on which correctness depends are refused.
    /// Default: none.
    pub extra: BTreeMap<String, String>,
}

impl Default for KafkaConfig {
    fn default() -> KafkaConfig {
        KafkaConfig {
            brokers: vec!["127.0.0.1:9092".into()],
            topic: "animov.frames".into(),
            partitions: NonZeroU32::new(4).expect("a default is not zero"),
            replication: None,
            min_insync_replicas: None,
            retention_age: Duration::from_hours(7 * 24),
            group: "animov".into(),
            instance_id: None,
            session_timeout: Duration::from_secs(10),
            release_timeout: Duration::from_secs(30),
            metadata_refresh: Duration::from_secs(30),
            fetch_bytes_max: nonzero(16 * MIB),
            fetch_records_max: NonZeroU32::new(20_000).expect("a default is not zero"),
            append_timeout: Duration::from_secs(30),
            compression: Compression::Lz4,
            security: Security::Plaintext,
            sasl_mechanism: None,
            sasl_username: None,
            ca_file: None,
            cert_file: None,
            key_file: None,
            statistics_interval: Duration::from_secs(10),
            extra: BTreeMap::new(),
        }
    }
}

impl fmt::Display for KafkaConfig {
    /// Where the log is, for a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "topic {} on Kafka at {}", self.topic, self.brokers.join(","))
    }
}

/// How records are compressed on their way and on the brokers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    None,
    Lz4,
    Zstd,
}

/// How brokers are spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Security {
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

impl Security {
    fn is_encrypted(self) -> bool {
        matches!(self, Security::Ssl | Security::SaslSsl)
    }

    fn names_itself(self) -> bool {
        matches!(self, Security::SaslPlaintext | Security::SaslSsl)
    }
}

/// How a client proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum SaslMechanism {
    #[serde(rename = "plain")]
    Plain,
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
    #[serde(rename = "scram-sha-512")]
    ScramSha512,
}

/// What must not be in a file. Not shown, whoever asks.
#[derive(Clone, Default)]
pub struct KafkaSecrets {
    /// `ANIMOV_KAFKA_PASSWORD`: of `sasl_username`.
    pub password: Option<String>,
    /// `ANIMOV_KAFKA_KEY_PASSWORD`: of `key_file`.
    pub key_password: Option<String>,
}

impl KafkaSecrets {
    /// Those that `variable`, an environment, holds.
    pub fn from_env(variable: impl Fn(&str) -> Option<String>) -> KafkaSecrets {
        let said = |name| variable(name).filter(|secret| !secret.is_empty());
        KafkaSecrets {
            password: said("ANIMOV_KAFKA_PASSWORD"),
            key_password: said("ANIMOV_KAFKA_KEY_PASSWORD"),
        }
    }
}

impl fmt::Debug for KafkaSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSecrets").finish_non_exhaustive()
    }
}

/// A rule between the fields of [`KafkaConfig`] that is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KafkaFault {
    #[error("log.kafka.brokers names no broker")]
    NoBroker,

    #[error("log.kafka.brokers has {0:?}, which is no host:port")]
    NoAddress(String),

    #[error(
        "log.kafka.topic is {0:?}: a topic's name is 1 to {max} letters, digits, dots, dashes and \
         underscores", max = TOPIC_BYTES_MAX
    )]
    NoTopic(String),

    #[error("log.kafka.group is empty")]
    NoGroup,

    #[error("log.kafka.{field} is {value:?}; it must be {min:?} to {max:?}")]
    OutOfRange { field: &'static str, value: Duration, min: Duration, max: Duration },

    #[error(
        "log.kafka.min_insync_replicas is {min}, but log.kafka.replication is {replication}: no \
         record could ever be acknowledged"
    )]
    NeverInSync { min: NonZeroU16, replication: NonZeroU16 },

    #[error("log.kafka.security is sasl_…, which needs {0}")]
    SaslNeeds(&'static str),

    #[error("log.kafka.{0} is of no use unless log.kafka.security is sasl_plaintext or sasl_ssl")]
    SaslUnused(&'static str),

    #[error("log.kafka.{0} is of no use unless log.kafka.security is ssl or sasl_ssl")]
    SslUnused(&'static str),

    #[error("log.kafka.cert_file and log.kafka.key_file come together or not at all")]
    HalfACertificate,

    #[error("log.kafka.extra may not set {property:?}: {because}")]
    Reserved { property: String, because: &'static str },
}

/// Longest name of a topic, so that its side topic's fits Kafka's 249 bytes.
const TOPIC_BYTES_MAX: usize = 249 - ".schemas".len();

/// Why a property is not for `extra`.
const SAFETY: &str = "that no frame is lost or counted twice depends on it";
const FIELD: &str = "a field of [log.kafka] says it";
const SECRET: &str = "secrets come from the environment";

/// Properties that are not for `extra`, under each of their names.
const RESERVED: [(&str, &str); 45] = [
    ("acks", SAFETY),
    ("request.required.acks", SAFETY),
    ("enable.idempotence", SAFETY),
    ("enable.gapless.guarantee", SAFETY),
    ("max.in.flight", SAFETY),
    ("max.in.flight.requests.per.connection", SAFETY),
    ("retries", SAFETY),
    ("message.send.max.retries", SAFETY),
    ("transactional.id", SAFETY),
    ("partitioner", SAFETY),
    ("message.max.bytes", SAFETY),
    ("delivery.report.only.error", SAFETY),
    ("allow.auto.create.topics", SAFETY),
    ("auto.offset.reset", SAFETY),
    ("auto.commit.enable", SAFETY),
    ("enable.auto.commit", SAFETY),
    ("enable.auto.offset.store", SAFETY),
    ("enable.partition.eof", SAFETY),
    ("isolation.level", SAFETY),
    ("check.crcs", SAFETY),
    ("group.protocol", SAFETY),
    ("partition.assignment.strategy", SAFETY),
    ("max.poll.interval.ms", SAFETY),
    ("log.queue", SAFETY),
    ("enabled_events", SAFETY),
    ("bootstrap.servers", FIELD),
    ("metadata.broker.list", FIELD),
    ("group.id", FIELD),
    ("group.instance.id", FIELD),
    ("session.timeout.ms", FIELD),
    ("topic.metadata.refresh.interval.ms", FIELD),
    ("queued.min.messages", FIELD),
    ("queued.max.messages.kbytes", FIELD),
    ("message.timeout.ms", FIELD),
    ("delivery.timeout.ms", FIELD),
    ("compression.codec", FIELD),
    ("compression.type", FIELD),
    ("security.protocol", FIELD),
    ("sasl.mechanisms", FIELD),
    ("sasl.mechanism", FIELD),
    ("sasl.username", FIELD),
    ("statistics.interval.ms", FIELD),
    ("sasl.password", SECRET),
    ("ssl.key.password", SECRET),
    ("ssl.key.pem", SECRET),
];

impl KafkaConfig {
    /// The name of the side topic.
    pub fn schemas_topic(&self) -> String {
        format!("{}.schemas", self.topic)
    }

    /// Every rule between fields that is broken.
    pub fn faults(&self, secrets: &KafkaSecrets) -> Vec<KafkaFault> {
        let mut faults = Vec::new();
        if self.brokers.is_empty() {
            faults.push(KafkaFault::NoBroker);
        }
        let wrong = self.brokers.iter().filter(|broker| !is_address(broker));
        faults.extend(wrong.cloned().map(KafkaFault::NoAddress));
        if !is_topic(&self.topic) {
            faults.push(KafkaFault::NoTopic(self.topic.clone()));
        }
        if self.group.is_empty() {
            faults.push(KafkaFault::NoGroup);
        }
        self.find_odd_durations(&mut faults);
        if let (Some(min), Some(replication)) = (self.min_insync_replicas, self.replication)
            && replication < min
        {
            faults.push(KafkaFault::NeverInSync { min, replication });
        }
        self.find_odd_security(secrets, &mut faults);
        faults.extend(self.extra.keys().filter_map(|property| {
            let (_, because) = RESERVED.iter().find(|(reserved, _)| reserved == property)?;
            Some(KafkaFault::Reserved { property: property.clone(), because })
        }));
        faults
    }

    fn find_odd_durations(&self, faults: &mut Vec<KafkaFault>) {
        let second = Duration::from_secs(1);
        let (hour, day) = (Duration::from_hours(1), Duration::from_hours(24));
        let forever = Duration::from_hours(24 * 365 * 100);
        for (field, value, min, max) in [
            ("retention_age", self.retention_age, second, forever),
            ("session_timeout", self.session_timeout, second, hour),
            ("release_timeout", self.release_timeout, second, day / 2),
            ("metadata_refresh", self.metadata_refresh, second, hour),
            ("append_timeout", self.append_timeout, second, day),
            ("statistics_interval", self.statistics_interval, Duration::ZERO, day),
        ] {
            if value < min || max < value {
                faults.push(KafkaFault::OutOfRange { field, value, min, max });
            }
        }
    }

    fn find_odd_security(&self, secrets: &KafkaSecrets, faults: &mut Vec<KafkaFault>) {
        let sasl = [
            ("sasl_mechanism", "log.kafka.sasl_mechanism", self.sasl_mechanism.is_some()),
            ("sasl_username", "log.kafka.sasl_username", self.sasl_username.is_some()),
        ];
        let names_itself = self.security.names_itself();
        for (field, full, is_said) in sasl {
            match (names_itself, is_said) {
                (true, false) => faults.push(KafkaFault::SaslNeeds(full)),
                (false, true) => faults.push(KafkaFault::SaslUnused(field)),
                (true, true) | (false, false) => {}
            }
        }
        if names_itself && secrets.password.is_none() {
            faults.push(KafkaFault::SaslNeeds("ANIMOV_KAFKA_PASSWORD in the environment"));
        }
        let files = [
            ("ca_file", &self.ca_file),
            ("cert_file", &self.cert_file),
            ("key_file", &self.key_file),
        ];
        if !self.security.is_encrypted() {
            let unused = files.iter().filter(|(_, file)| file.is_some());
            faults.extend(unused.map(|(field, _)| KafkaFault::SslUnused(field)));
        }
        if self.cert_file.is_some() != self.key_file.is_some() {
            faults.push(KafkaFault::HalfACertificate);
        }
    }
}

fn is_address(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty()
            && !host.contains([',', ' '])
            && port.parse().is_ok_and(|port: u16| 0 < port)
    })
}

fn is_topic(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (1..=TOPIC_BYTES_MAX).contains(&name.len())
        && name.chars().all(legal)
        && !matches!(name, "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_SECRETS: KafkaSecrets = KafkaSecrets { password: None, key_password: None };

    fn told(config: &KafkaConfig) -> Vec<String> {
        config.faults(&NO_SECRETS).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_defaults_break_no_rule() {
        assert_eq!(told(&KafkaConfig::default()), [""; 0]);
    }

    #[test]
    fn every_field_can_be_said() {
        let said = r#"{
            "brokers": ["one:9092", "[::1]:9093"], "topic": "farm_7", "partitions": 12,
            "replication": 3, "min_insync_replicas": 2, "retention_age": "30days",
            "group": "night", "instance_id": "barn-1", "session_timeout": "6s",
            "release_timeout": "5s", "metadata_refresh": "2s", "fetch_bytes_max": 1000,
            "fetch_records_max": 10, "append_timeout": "3s", "compression": "zstd",
            "security": "sasl_ssl", "sasl_mechanism": "scram-sha-512", "sasl_username": "animov",
            "ca_file": "ca.pem", "cert_file": "me.pem", "key_file": "me.key",
            "statistics_interval": "0s", "extra": {"client.rack": "north"}
        }"#;
        let config: KafkaConfig = serde_json::from_str(said).unwrap();
        let secrets = KafkaSecrets::from_env(|name| Some(format!("secret of {name}")));
        assert_eq!(config.faults(&secrets), []);
        assert_eq!(secrets.password.as_deref(), Some("secret of ANIMOV_KAFKA_PASSWORD"));
        assert!(!format!("{secrets:?}").contains("secret of"));
        let defaults = KafkaConfig::default();
        assert_ne!(config, defaults);
        assert!(serde_json::from_str::<KafkaConfig>(r#"{"broker": []}"#).is_err());
        assert!(serde_json::from_str::<KafkaConfig>(r#"{"compression": "gzip"}"#).is_err());
    }

    #[test]
    fn broken_rules_are_all_told_at_once() {
        let config = KafkaConfig {
            brokers: vec!["one".into(), "two:0".into(), "three:9092".into()],
            topic: "pen 7".into(),
            group: String::new(),
            append_timeout: Duration::ZERO,
            replication: NonZeroU16::new(1),
            min_insync_replicas: NonZeroU16::new(2),
            sasl_username: Some("animov".into()),
            ca_file: Some("ca.pem".into()),
            key_file: Some("me.key".into()),
            extra: [("acks", "1"), ("linger.ms", "9"), ("sasl.password", "x")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            ..KafkaConfig::default()
        };
        assert_eq!(
            told(&config),
            [
                "log.kafka.brokers has \"one\", which is no host:port",
                "log.kafka.brokers has \"two:0\", which is no host:port",
                "log.kafka.topic is \"pen 7\": a topic's name is 1 to 241 letters, digits, dots, \
                 dashes and underscores",
                "log.kafka.group is empty",
                "log.kafka.append_timeout is 0ns; it must be 1s to 86400s",
                "log.kafka.min_insync_replicas is 2, but log.kafka.replication is 1: no record \
                 could ever be acknowledged",
                "log.kafka.sasl_username is of no use unless log.kafka.security is sasl_plaintext \
                 or sasl_ssl",
                "log.kafka.ca_file is of no use unless log.kafka.security is ssl or sasl_ssl",
                "log.kafka.key_file is of no use unless log.kafka.security is ssl or sasl_ssl",
                "log.kafka.cert_file and log.kafka.key_file come together or not at all",
                "log.kafka.extra may not set \"acks\": that no frame is lost or counted twice \
                 depends on it",
                "log.kafka.extra may not set \"sasl.password\": secrets come from the environment",
            ]
        );
        let config = KafkaConfig { security: Security::SaslSsl, ..KafkaConfig::default() };
        assert_eq!(
            told(&config),
            [
                "log.kafka.security is sasl_…, which needs log.kafka.sasl_mechanism",
                "log.kafka.security is sasl_…, which needs log.kafka.sasl_username",
                "log.kafka.security is sasl_…, which needs ANIMOV_KAFKA_PASSWORD in the \
                 environment",
            ]
        );
    }
}
