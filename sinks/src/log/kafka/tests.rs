//! What happens when brokers are away, refuse or err: brokers of this process's
//! own, which can be told to.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use schemas::log::{Batch, ReadEnd};
use schemas::time::SystemClock;

use super::*;

/// Longer than anything here takes, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(90);

const TOPIC: &str = "animov.frames";
const ONLY: Partition = Partition(0);

struct Brokers {
    mock: MockCluster<'static, DefaultProducerContext>,
    config: KafkaConfig,
}

impl Brokers {
    fn new() -> Brokers {
        let mock = MockCluster::new(1).unwrap();
        mock.create_topic(TOPIC, 1, 1).unwrap();
        let config = KafkaConfig {
            brokers: vec![mock.bootstrap_servers()],
            append_timeout: Duration::from_secs(2),
            extra: BTreeMap::from([("reconnect.backoff.max.ms".to_owned(), "200".to_owned())]),
            ..KafkaConfig::default()
        };
        Brokers { mock, config }
    }

    fn appender(&self, metrics: &KafkaMetrics) -> Appender {
        let told = Arc::new(client::Told::new(&self.config, metrics.clone()));
        let secrets = KafkaSecrets::default();
        Appender::new(self.config.clone(), secrets, told, VALUE_BYTES_MAX).unwrap()
    }

    fn cluster(&self) -> Arc<Cluster> {
        let secrets = KafkaSecrets::default();
        Cluster::new(self.config.clone(), secrets, Arc::new(SystemClock)).unwrap()
    }
}

fn append(appender: &Appender, text: &str) -> Result<(), LogError> {
    appender.append(&[(SourceId::try_from(1).unwrap(), text.as_bytes())])
}

/// Appends until it succeeds; each failure must be one that may pass.
fn append_at_last(appender: &Appender, text: &str) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = append(appender, text) {
        assert!(error.may_succeed_later(), "{error}");
        assert!(Instant::now() < deadline, "{error}");
    }
}

#[test]
fn an_append_to_brokers_that_are_away_ends_in_time_and_succeeds_when_they_are_back() {
    let brokers = Brokers::new();
    let appender = brokers.appender(&KafkaMetrics::default());
    append_at_last(&appender, "before");
    brokers.mock.broker_down(1).unwrap();
    let began = Instant::now();
    let error = append(&appender, "meanwhile").unwrap_err();
    assert!(error.may_succeed_later(), "{error}");
    assert!(error.to_string().starts_with("could not append to topic animov.frames on Kafka at"));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    brokers.mock.broker_up(1).unwrap();
    append_at_last(&appender, "after");
}

#[test]
fn a_producer_that_cannot_recover_is_made_anew() {
    let (brokers, metrics) = (Brokers::new(), KafkaMetrics::default());
    let appender = brokers.appender(&metrics);
    append_at_last(&appender, "before");
    let desynchronised = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
    brokers.mock.request_errors(RDKafkaApiKey::Produce, &[desynchronised]);
    let error = append(&appender, "meanwhile").unwrap_err();
    assert!(error.may_succeed_later(), "{error}");
    append_at_last(&appender, "after");
    assert_eq!(metrics.producers_renewed(), 1);
}

#[test]
fn what_the_brokers_do_not_allow_is_not_tried_again() {
    let brokers = Brokers::new();
    let appender = brokers.appender(&KafkaMetrics::default());
    append_at_last(&appender, "before");
    let forbidden = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    brokers.mock.request_errors(RDKafkaApiKey::Produce, &[forbidden]);
    let error = append(&appender, "meanwhile").unwrap_err();
    assert!(!error.may_succeed_later(), "{error}");
    assert!(error.to_string().contains("the brokers do not allow it"), "{error}");
}

#[test]
fn an_append_is_not_longer_than_its_time_though_the_brokers_are_slow() {
    let brokers = Brokers::new();
    let appender = brokers.appender(&KafkaMetrics::default());
    append_at_last(&appender, "before");
    brokers.mock.broker_round_trip_time(1, Duration::from_secs(30)).unwrap();
    let began = Instant::now();
    let error = append(&appender, "meanwhile").unwrap_err();
    assert!(error.may_succeed_later(), "{error}");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn a_reader_says_that_the_brokers_are_away_and_goes_on_when_they_are_back() {
    let brokers = Brokers::new();
    let (appender, cluster) = (brokers.appender(&KafkaMetrics::default()), brokers.cluster());
    append_at_last(&appender, "before");
    let mut reader = KafkaReader::new(Arc::clone(&cluster), TOPIC, ONLY, Offset(0)).unwrap();
    let (mut batch, mut seen) = (Batch::default(), Vec::new());
    let mut read = || {
        let end = reader.read(&mut batch, 10, Duration::from_millis(50));
        let values = batch.records().map(|record| String::from_utf8(record.value.to_vec()));
        seen.extend(values.map(Result::unwrap));
        batch.clear();
        (end, seen.clone())
    };
    eventually(|| matches!(read(), (Ok(ReadEnd::CaughtUp(_)), seen) if seen == ["before"]));
    brokers.mock.broker_down(1).unwrap();
    // It must not say that it has caught up with what it cannot see.
    eventually(|| match read().0 {
        Ok(_) => false,
        Err(error) => error.may_succeed_later(),
    });
    brokers.mock.broker_up(1).unwrap();
    append_at_last(&appender, "after");
    // Sent again, if the first answer was lost: a frame is counted once.
    eventually(|| matches!(read(), (Ok(_), seen) if seen.iter().any(|text| text == "after")));
}

/// Tries until `is_so`.
fn eventually(mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline);
    }
}
