//! What the log on Kafka promises, against the brokers at `ANIMOV_TEST_KAFKA`
//! (`host:port`); skipped where that is not set.

mod group;
mod own_broker;
mod places;
mod security;
mod troubles;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use schemas::log::{Batch, FrameLog, Offset, Partition, ReadEnd};
use schemas::time::SystemClock;
use sinks::config::{KafkaConfig, KafkaSecrets};
use sinks::log::kafka::{KafkaLog, Migration, VALUE_BYTES_MAX};

use crate::conformance::log::{TestLog, log_conformance, source};

log_conformance!(OnKafka);

/// Longer than anything here takes, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

const ONLY: Partition = Partition(0);

/// A topic of one test's own; deleted when dropped.
struct OnKafka {
    config: KafkaConfig,
}

impl TestLog for OnKafka {
    fn new(partitions: u32) -> Option<OnKafka> {
        OnKafka::with(KafkaConfig {
            partitions: NonZeroU32::new(partitions).unwrap(),
            ..KafkaConfig::default()
        })
    }

    fn open(&self) -> Arc<dyn FrameLog> {
        Arc::new(self.open_log())
    }

    fn value_bytes_max(&self) -> usize {
        VALUE_BYTES_MAX
    }
}

impl OnKafka {
    /// A topic as `config` says, under a name of its own.
    fn with(config: KafkaConfig) -> Option<OnKafka> {
        let Some(broker) = std::env::var_os("ANIMOV_TEST_KAFKA") else {
            println!("SKIPPED: no brokers; ANIMOV_TEST_KAFKA names none");
            return None;
        };
        let config = KafkaConfig {
            brokers: vec![broker.into_string().unwrap()],
            topic: unique("frames"),
            group: unique("group"),
            ..config
        };
        let did = migrate(&config).did;
        assert_eq!(did.len(), 2, "{did:?}");
        Some(OnKafka { config })
    }

    fn open_log(&self) -> KafkaLog {
        open(&self.config)
    }
}

impl Drop for OnKafka {
    fn drop(&mut self) {
        delete(&self.config);
    }
}

fn unique(what: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("animov-test-{}-{number}-{what}", std::process::id())
}

fn open(config: &KafkaConfig) -> KafkaLog {
    KafkaLog::open(config.clone(), KafkaSecrets::default(), Arc::new(SystemClock)).unwrap()
}

fn migrate(config: &KafkaConfig) -> Migration {
    KafkaLog::migrate(config.clone(), KafkaSecrets::default(), Arc::new(SystemClock)).unwrap()
}

fn admin(config: &KafkaConfig) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", &config.brokers[0]).create().unwrap()
}

/// Deletes both topics.
fn delete(config: &KafkaConfig) {
    let topics = [&*config.topic, &*config.schemas_topic()];
    let admin = admin(config);
    let results = wait_for(admin.delete_topics(&topics, &AdminOptions::new()));
    assert!(results.is_ok_and(|results| results.iter().all(Result::is_ok)), "{topics:?}");
}

fn wait_for<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn append(log: &KafkaLog, texts: &[&str]) {
    let records: Vec<_> = texts.iter().map(|text| (source(1), text.as_bytes())).collect();
    log.append(&records).unwrap();
}

/// The texts of `partition` from `from` to its end.
fn texts(log: &KafkaLog, partition: Partition, from: Offset) -> Vec<String> {
    let mut reader = log.reader(partition, from).unwrap();
    let mut batch = Batch::default();
    let deadline = Instant::now() + PATIENCE;
    while reader.read(&mut batch, 1000, Duration::from_millis(100)).unwrap() == ReadEnd::More {
        assert!(Instant::now() < deadline, "only {} records came", batch.len());
    }
    batch.records().map(|record| String::from_utf8(record.value.to_vec()).unwrap()).collect()
}

/// Waits until `is_so`.
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
