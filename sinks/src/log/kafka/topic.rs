//! The settings of the topics: how they are made, and what must be so.
//!
//! Two settings of the topic of frames decide whether the project's promises
//! hold: its records must bear the brokers' time, not the senders', and it must
//! not be compacted, which would leave one frame of each source.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::admin::{
    AdminClient, AdminOptions, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
    TopicResult,
};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;
use schemas::log::LogError;
use schemas::time::millis;

use super::client::{
    Context, MESSAGE_BYTES_MAX, MESSAGE_HEAD_BYTES_MAX, Role, VALUE_BYTES_MAX, cannot_begin,
    properties,
};
use super::cluster::{ANSWER_WAIT, Cluster};
use super::wait::wait_for;
use crate::config::KafkaConfig;

const TIMESTAMPS: &str = "message.timestamp.type";
const LOG_APPEND_TIME: &str = "LogAppendTime";
const CLEANUP: &str = "cleanup.policy";
const MAX_MESSAGE: &str = "max.message.bytes";

/// How long a topic that was made may take to be seen.
const SEEN_WAIT: Duration = Duration::from_secs(30);

/// How often it is looked for.
const SEEN_EVERY: Duration = Duration::from_millis(50);

/// What [`migrate`](super::KafkaLog::migrate) did, and what it found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Migration {
    /// What was made or changed, one line each; empty if all was there.
    pub did: Vec<String>,
    /// What is not as configured and was left so, with what would change it.
    pub differs: Vec<String>,
}

/// The administration of one cluster.
struct Admin<'a> {
    cluster: &'a Cluster,
    client: AdminClient<Context<()>>,
}

/// Settings of a topic, by name.
type Settings = BTreeMap<String, String>;

/// Makes the topics that are missing, and adds partitions.
pub(super) fn migrate(cluster: &Cluster) -> Result<Migration, LogError> {
    let admin = Admin::new(cluster)?;
    let config = &cluster.config;
    let mut migration = Migration::default();
    admin.make(&config.topic, config.partitions.get(), &frames(config), &mut migration)?;
    let schemas = config.schemas_topic();
    admin.make(&schemas, 1, &side(config), &mut migration)?;
    admin.grow(&mut migration)?;
    for (topic, wanted) in [(&config.topic, frames(config)), (&schemas, side(config))] {
        let Some(found) = admin.settings(topic)? else { continue };
        for (name, wanted) in wanted {
            let is = found.get(&name).map_or("not told", String::as_str);
            if is != wanted {
                migration.differs.push(format!(
                    "{topic}: {name} is {is}, not {wanted}; `kafka-configs.sh --alter \
                     --entity-type topics --entity-name {topic} --add-config {name}={wanted}` \
                     changes it"
                ));
            }
        }
    }
    Ok(migration)
}

/// Checks the settings on which promises depend; the longest value, in bytes,
/// that the topic of frames takes.
///
/// # Errors
///
/// A promise could not be kept, or the brokers do not answer.
pub(super) fn check(cluster: &Cluster) -> Result<usize, LogError> {
    let topic = &cluster.config.topic;
    let Some(found) = Admin::new(cluster)?.settings(topic)? else { return Ok(VALUE_BYTES_MAX) };
    let refused = |name: &str, why: &str, wanted: &str| LogError::Refused {
        doing: "use",
        at: cluster.at(),
        hint: format!(
            "its {name} is {}, {why}; `kafka-configs.sh --alter --entity-type topics \
             --entity-name {topic} --add-config {name}={wanted}` changes it",
            found.get(name).map_or("", String::as_str)
        ),
    };
    if found.get(TIMESTAMPS).is_some_and(|is| is != LOG_APPEND_TIME) {
        let why = "so records would bear their senders' time, which may be wrong";
        return Err(refused(TIMESTAMPS, why, LOG_APPEND_TIME));
    }
    if found.get(CLEANUP).is_some_and(|is| is.contains("compact")) {
        let why = "so all frames of a source but the newest would be thrown away";
        return Err(refused(CLEANUP, why, "delete"));
    }
    let max = found.get(MAX_MESSAGE).and_then(|max| max.parse::<usize>().ok());
    Ok(max.map_or(VALUE_BYTES_MAX, |max| {
        max.saturating_sub(MESSAGE_HEAD_BYTES_MAX).min(VALUE_BYTES_MAX)
    }))
}

/// The settings of the topic of frames.
fn frames(config: &KafkaConfig) -> Settings {
    let retention = millis(config.retention_age).to_string();
    let mut settings = common(config);
    for (name, value) in
        [(TIMESTAMPS, LOG_APPEND_TIME), (CLEANUP, "delete"), ("retention.ms", &retention)]
    {
        settings.insert(name.to_owned(), value.to_owned());
    }
    settings
}

/// The settings of the side topic.
fn side(config: &KafkaConfig) -> Settings {
    let mut settings = common(config);
    settings.insert(CLEANUP.to_owned(), "compact".to_owned());
    settings
}

fn common(config: &KafkaConfig) -> Settings {
    let mut settings = Settings::from([(MAX_MESSAGE.to_owned(), MESSAGE_BYTES_MAX.to_string())]);
    if let Some(min) = config.min_insync_replicas {
        settings.insert("min.insync.replicas".to_owned(), min.to_string());
    }
    settings
}

impl<'a> Admin<'a> {
    fn new(cluster: &'a Cluster) -> Result<Admin<'a>, LogError> {
        let told = &cluster.told;
        let context = Context { role: Role::Ask, told: Arc::clone(told), more: () };
        let properties = properties(&cluster.config, &cluster.secrets, Role::Ask);
        let client = AdminClient::from_config_and_context(&properties, context)
            .map_err(|error| cannot_begin(told, &error))?;
        Ok(Admin { cluster, client })
    }

    fn failed(&self, doing: &'static str, topic: &str, error: &KafkaError) -> LogError {
        self.cluster.told.failed(doing, self.cluster.told.at(topic), error)
    }

    /// Makes `topic` if it is not there, and waits until it is seen.
    fn make(
        &self,
        topic: &str,
        partitions: u32,
        settings: &Settings,
        migration: &mut Migration,
    ) -> Result<(), LogError> {
        let replication = self.cluster.config.replication.map_or(-1, |n| i32::from(n.get()));
        let count = i32::try_from(partitions).unwrap_or(i32::MAX);
        let mut new = NewTopic::new(topic, count, TopicReplication::Fixed(replication));
        for (name, value) in settings {
            new = new.set(name, value);
        }
        let made = wait_for(self.client.create_topics([&new], &options()));
        if !self.was_done("make", topic, made, Code::TopicAlreadyExists)? {
            return Ok(());
        }
        self.wait_to_see(topic, partitions)?;
        let plural = if partitions == 1 { "partition" } else { "partitions" };
        migration.did.push(format!("made topic {topic} with {partitions} {plural}"));
        Ok(())
    }

    /// Adds the partitions that the topic of frames has too few of.
    fn grow(&self, migration: &mut Migration) -> Result<(), LogError> {
        let KafkaConfig { topic, partitions, .. } = &self.cluster.config;
        let (has, wanted) = (self.cluster.partitions_of(topic)?, partitions.get());
        if has == wanted {
            return Ok(());
        }
        if wanted < has {
            return Err(LogError::Refused {
                doing: "take partitions from",
                at: self.cluster.at(),
                hint: format!("it has {has}, which stay; set log.kafka.partitions = {has}"),
            });
        }
        let count = usize::try_from(wanted).unwrap_or(usize::MAX);
        let added = wait_for(
            self.client.create_partitions([&NewPartitions::new(topic, count)], &options()),
        );
        // Another process may do the same at this moment.
        self.was_done("add partitions to", topic, added, Code::InvalidPartitions)?;
        self.wait_to_see(topic, wanted)?;
        migration.did.push(format!("raised the partitions of {topic} from {has} to {wanted}"));
        Ok(())
    }

    /// Whether one topic was changed as told; it was not if the answer is
    /// `already`.
    fn was_done(
        &self,
        doing: &'static str,
        topic: &str,
        answer: Result<Vec<TopicResult>, KafkaError>,
        already: Code,
    ) -> Result<bool, LogError> {
        let results = answer.map_err(|error| self.failed(doing, topic, &error))?;
        match results.into_iter().next() {
            Some(Err((_, code))) if code == already => Ok(false),
            Some(Err((_, code))) => {
                let at = self.cluster.told.at(topic);
                match code {
                    Code::InvalidReplicationFactor => {
                        let hint = "there are fewer brokers than log.kafka.replication".to_owned();
                        Err(LogError::Refused { doing, at, hint })
                    }
                    Code::InvalidConfig | Code::PolicyViolation | Code::InvalidTopic => {
                        let hint = format!("the brokers do not allow such a topic ({code})");
                        Err(LogError::Refused { doing, at, hint })
                    }
                    code => Err(self.failed(doing, topic, &KafkaError::AdminOp(code))),
                }
            }
            Some(Ok(_)) | None => Ok(true),
        }
    }

    fn wait_to_see(&self, topic: &str, partitions: u32) -> Result<(), LogError> {
        let deadline = Instant::now() + SEEN_WAIT;
        loop {
            match self.cluster.partitions_of(topic) {
                Ok(seen) if partitions <= seen => return Ok(()),
                Err(error) if deadline <= Instant::now() => return Err(error),
                Ok(_) if deadline <= Instant::now() => {
                    let late = KafkaError::MetadataFetch(Code::OperationTimedOut);
                    return Err(self.failed("see", topic, &late));
                }
                Ok(_) | Err(_) => std::thread::sleep(SEEN_EVERY),
            }
        }
    }

    /// The settings of `topic`; none, and a warning, if this process may not see
    /// them.
    fn settings(&self, topic: &str) -> Result<Option<Settings>, LogError> {
        let asked = ResourceSpecifier::Topic(topic);
        let answer = wait_for(self.client.describe_configs([&asked], &options()));
        let results = answer.map_err(|error| self.failed("look at", topic, &error))?;
        match results.into_iter().next() {
            Some(Ok(resource)) => {
                let entries = resource.entries.into_iter();
                Ok(Some(entries.filter_map(|entry| Some((entry.name, entry.value?))).collect()))
            }
            Some(Err(Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed)) => {
                tracing::warn!(
                    topic,
                    "may not look at the topic's settings; {TIMESTAMPS} must be {LOG_APPEND_TIME} \
                     and {CLEANUP} must be delete"
                );
                Ok(None)
            }
            Some(Err(code)) => Err(self.failed("look at", topic, &KafkaError::AdminOp(code))),
            None => Ok(None),
        }
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(ANSWER_WAIT)).operation_timeout(Some(ANSWER_WAIT))
}
