//! How every client of the brokers is set up, and what it says of itself: logs
//! for `tracing`, statistics for the metrics, and why it gets no answer for the
//! errors that people read.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaErrorCode as Code;
use schemas::log::LogError;
use schemas::time::millis;

use crate::config::{Compression, KafkaConfig, KafkaSecrets, SaslMechanism, Security};
use crate::metrics::KafkaMetrics;

/// Longest value that the log takes, bytes: what the embedded log takes too, so a
/// frame can go from one to the other.
pub const VALUE_BYTES_MAX: usize = crate::log::segments::VALUE_BYTES_MAX;

/// Longest message: key, value and what Kafka puts around them.
pub(super) const MESSAGE_BYTES_MAX: usize = VALUE_BYTES_MAX + MESSAGE_HEAD_BYTES_MAX;

/// More than Kafka ever puts around a value of ours.
pub(super) const MESSAGE_HEAD_BYTES_MAX: usize = 4096;

/// How long the producer waits for company before it sends a record: short beside
/// the brokers' own answer, which the caller waits for, and long enough for the
/// records of several threads to travel together.
const LINGER_MS: &str = "0.5";

/// How soon a full queue of fetched records is looked at again.
const FULL_QUEUE_MS: &str = "5";

/// The most that librdkafka takes for a queue of fetched records, KiB.
const KIB_MAX: u64 = 2_097_151;

/// What a client is for: its name in logs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Asks about topics, and changes them.
    Ask,
    Append,
    /// Reads one partition.
    Read,
    /// Is a member of the group.
    Group,
}

impl Role {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Role::Ask => "ask",
            Role::Append => "append",
            Role::Read => "read",
            Role::Group => "group",
        }
    }
}

/// The properties of a client that is to be `role`: what suits the project, on
/// top of it what the configuration adds, and on top of both what the project
/// stands on.
pub(super) fn properties(config: &KafkaConfig, secrets: &KafkaSecrets, role: Role) -> ClientConfig {
    let mut set = ClientConfig::new();
    set.set("client.id", format!("animov-{}", role.name()));
    set.set("socket.keepalive.enable", "true");
    match role {
        Role::Ask => {}
        Role::Append => suit_appending(&mut set),
        Role::Read => suit_reading(config, &mut set),
        Role::Group => suit_membership(config, &mut set),
    }
    set.extend(config.extra.clone());
    set.set("bootstrap.servers", config.brokers.join(","));
    set.set("allow.auto.create.topics", "false");
    set.set("topic.metadata.refresh.interval.ms", millis(config.metadata_refresh).to_string());
    secure(config, secrets, &mut set);
    let statistics = millis(config.statistics_interval).to_string();
    match role {
        Role::Ask => {}
        Role::Append => {
            demand_appending(config, &mut set);
            set.set("statistics.interval.ms", statistics);
        }
        Role::Read => {
            demand_reading(config, &mut set);
            set.set("statistics.interval.ms", statistics);
        }
        Role::Group => demand_membership(config, &mut set),
    }
    set
}

fn suit_appending(set: &mut ClientConfig) {
    set.set("linger.ms", LINGER_MS);
}

fn suit_reading(config: &KafkaConfig, set: &mut ClientConfig) {
    let fetch_bytes = config.fetch_bytes_max.get().clamp(1024, 1 << 20);
    set.set("fetch.message.max.bytes", fetch_bytes.to_string());
    set.set("fetch.queue.backoff.ms", FULL_QUEUE_MS);
}

fn suit_membership(config: &KafkaConfig, set: &mut ClientConfig) {
    set.set("heartbeat.interval.ms", (millis(config.session_timeout) / 4).max(1).to_string());
    // Its partitions are paused before anything of them is fetched.
    set.set("queued.max.messages.kbytes", "1");
    set.set("fetch.message.max.bytes", "1024");
}

fn secure(config: &KafkaConfig, secrets: &KafkaSecrets, set: &mut ClientConfig) {
    let security = match config.security {
        Security::Plaintext => "plaintext",
        Security::Ssl => "ssl",
        Security::SaslPlaintext => "sasl_plaintext",
        Security::SaslSsl => "sasl_ssl",
    };
    let mechanism = config.sasl_mechanism.map(|mechanism| match mechanism {
        SaslMechanism::Plain => "PLAIN",
        SaslMechanism::ScramSha256 => "SCRAM-SHA-256",
        SaslMechanism::ScramSha512 => "SCRAM-SHA-512",
    });
    let path = |file: &Option<std::path::PathBuf>| {
        file.as_ref().map(|path| path.to_string_lossy().into_owned())
    };
    let said = [
        ("security.protocol", Some(security.to_owned())),
        ("sasl.mechanisms", mechanism.map(str::to_owned)),
        ("sasl.username", config.sasl_username.clone()),
        ("sasl.password", secrets.password.clone().filter(|_| mechanism.is_some())),
        ("ssl.ca.location", path(&config.ca_file)),
        ("ssl.certificate.location", path(&config.cert_file)),
        ("ssl.key.location", path(&config.key_file)),
        ("ssl.key.password", secrets.key_password.clone().filter(|_| config.key_file.is_some())),
    ];
    for (property, value) in said {
        if let Some(value) = value {
            set.set(property, value);
        }
    }
}

fn demand_appending(config: &KafkaConfig, set: &mut ClientConfig) {
    let compression = match config.compression {
        Compression::None => "none",
        Compression::Lz4 => "lz4",
        Compression::Zstd => "zstd",
    };
    set.set("enable.idempotence", "true");
    set.set("acks", "all");
    // As Java's producers do it: a source stays where they would put it too.
    set.set("partitioner", "murmur2_random");
    set.set("compression.type", compression);
    set.set("message.max.bytes", MESSAGE_BYTES_MAX.to_string());
    // What the caller has given up on must not stay in the queue.
    set.set("message.timeout.ms", millis(config.append_timeout).to_string());
}

fn demand_reading(config: &KafkaConfig, set: &mut ClientConfig) {
    // Named, because only then may partitions be assigned; never joined.
    set.set("group.id", &config.group);
    set.set("auto.offset.reset", "error");
    set.set("enable.auto.commit", "false");
    set.set("enable.auto.offset.store", "false");
    set.set("enable.partition.eof", "true");
    set.set("isolation.level", "read_committed");
    set.set("check.crcs", "true");
    set.set("queued.min.messages", config.fetch_records_max.to_string());
    let kib = config.fetch_bytes_max.get().div_ceil(1024).clamp(1, KIB_MAX);
    set.set("queued.max.messages.kbytes", kib.to_string());
}

fn demand_membership(config: &KafkaConfig, set: &mut ClientConfig) {
    set.set("group.id", &config.group);
    if let Some(name) = &config.instance_id {
        set.set("group.instance.id", name);
    }
    let session = millis(config.session_timeout);
    // While a partition waits to be let go of, nobody polls; and a poll that is
    // late by less than a session is no reason to be shut out.
    let poll = (2 * millis(config.release_timeout)).max(session);
    set.set("group.protocol", "classic");
    set.set("partition.assignment.strategy", "cooperative-sticky");
    set.set("session.timeout.ms", session.to_string());
    set.set("max.poll.interval.ms", poll.to_string());
    set.set("enable.auto.commit", "false");
    set.set("enable.auto.offset.store", "false");
}

/// What a client has said of itself; shared by the clients of one log.
pub(super) struct Told {
    /// The brokers, for a person.
    pub(super) brokers: String,
    /// The topic of frames.
    pub(super) topic: String,
    pub(super) metrics: KafkaMetrics,
    /// Why the brokers were last not to be reached, or would not have us.
    trouble: Mutex<Option<(Code, String)>>,
}

impl Told {
    pub(super) fn new(config: &KafkaConfig, metrics: KafkaMetrics) -> Told {
        let topic = config.topic.clone();
        Told { brokers: config.brokers.join(","), topic, metrics, trouble: Mutex::default() }
    }

    /// `topic` and where it is, for a person.
    pub(super) fn at(&self, topic: &str) -> String {
        format!("topic {topic} on Kafka at {}", self.brokers)
    }

    /// The error that `doing` something to `at` met: what the brokers refuse will
    /// not pass by itself, what they do not answer may.
    pub(super) fn failed(&self, doing: &'static str, at: String, error: &KafkaError) -> LogError {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let code = error.rdkafka_error_code();
        let refused = code
            .and_then(refusal)
            .or_else(|| trouble.as_ref().and_then(|(code, _)| refusal(*code)));
        if let Some(what) = refused {
            let reason = trouble.map_or_else(|| error.to_string(), |(_, reason)| reason);
            return LogError::Refused { doing, at, hint: format!("{what} ({reason})") };
        }
        let said = match trouble {
            Some((_, reason)) => format!("{error}; the brokers were last away because: {reason}"),
            None => error.to_string(),
        };
        LogError::Unreachable { doing, at, source: said.into() }
    }

    /// Takes note that the brokers answer.
    pub(super) fn answered(&self) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn in_trouble(&self, code: Code, reason: &str) {
        let trouble = (code, reason.to_owned());
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(trouble);
    }
}

/// Says why a client cannot even be made: a property is wrong.
pub(super) fn cannot_begin(told: &Told, error: &KafkaError) -> LogError {
    let at = format!("Kafka at {}", told.brokers);
    let hint = format!("{error}; see log.kafka and log.kafka.extra in the configuration");
    LogError::Refused { doing: "begin with", at, hint }
}

/// What an answer that will stay the same means, for a person.
fn refusal(code: Code) -> Option<&'static str> {
    match code {
        Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism => {
            Some("the brokers do not accept who this is; see log.kafka.security and its fields")
        }
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed => {
            Some("the brokers do not allow it; an administrator can")
        }
        Code::FencedInstanceId => {
            Some("another process has the same log.kafka.instance_id; give each its own")
        }
        _ => None,
    }
}

/// What a client has about itself; `R` is what its role adds.
pub(super) struct Context<R> {
    pub(super) role: Role,
    pub(super) told: Arc<Told>,
    pub(super) more: R,
}

impl<R: Send + Sync> ClientContext for Context<R> {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let client = self.role.name();
        match level {
            // One reader a partition says what one client has said already.
            _ if self.role == Role::Read => {
                tracing::debug!(client, facility, message, "Kafka's client says");
            }
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(client, facility, message, "Kafka's client says");
            }
            RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => {
                tracing::warn!(client, facility, message, "Kafka's client says");
            }
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
                tracing::debug!(client, facility, message, "Kafka's client says");
            }
        }
    }

    fn stats(&self, statistics: Statistics) {
        super::statistics::show(&self.told, self.role, &statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        // The end of a partition is no trouble, and reaches its reader.
        if code == Code::PartitionEOF {
            return;
        }
        let client = self.role.name();
        self.told.metrics.client_errors_total.with_label_values(&[client]).inc();
        tracing::debug!(client, %error, reason, "Kafka's client met an error");
        // `AllBrokersDown` only counts those that were in trouble before.
        if code != Code::AllBrokersDown {
            self.told.in_trouble(code, reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_correctness_depends_on_is_set_whatever_else_is() {
        let config = KafkaConfig {
            extra: [("linger.ms", "50"), ("check.crcs", "false"), ("client.rack", "north")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            ..KafkaConfig::default()
        };
        let of = |role| properties(&config, &KafkaSecrets::default(), role);
        assert_eq!(of(Role::Read).get("check.crcs"), Some("true"));
        assert_eq!(of(Role::Read).get("auto.offset.reset"), Some("error"));
        assert_eq!(of(Role::Append).get("enable.idempotence"), Some("true"));
        assert_eq!(of(Role::Append).get("linger.ms"), Some("50"), "that is for everybody to say");
        assert_eq!(of(Role::Group).get("client.rack"), Some("north"));
        for role in [Role::Ask, Role::Append, Role::Read, Role::Group] {
            of(role).create_native_config().expect("properties that librdkafka knows");
        }
    }

    #[test]
    fn a_refusal_is_told_from_a_silence() {
        let told = Told::new(&KafkaConfig::default(), KafkaMetrics::default());
        let away = KafkaError::MetadataFetch(Code::OperationTimedOut);
        let failed = |error| told.failed("read", told.at("frames"), error);
        assert!(failed(&away).may_succeed_later());
        told.in_trouble(Code::BrokerTransportFailure, "connection refused");
        let said = failed(&away);
        assert!(said.may_succeed_later());
        assert_eq!(said.to_string(), "could not read topic frames on Kafka at 127.0.0.1:9092");
        let cause = std::error::Error::source(&said).unwrap().to_string();
        assert!(cause.contains("connection refused"), "{cause}");
        told.in_trouble(Code::Authentication, "wrong password");
        let said = failed(&away);
        assert!(!said.may_succeed_later());
        assert!(said.to_string().contains("wrong password"), "{said}");
        told.answered();
        assert!(failed(&away).may_succeed_later());
        let forbidden = KafkaError::MetadataFetch(Code::TopicAuthorizationFailed);
        assert!(!failed(&forbidden).may_succeed_later());
    }
}
