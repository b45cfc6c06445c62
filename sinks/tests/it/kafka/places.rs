//! Which log this is, what it still holds, and what its topics must be like.

use std::time::Duration;

use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset as Place, TopicPartitionList};
use schemas::log::{Bounds, LogError};

use super::*;

const QUARTER: Duration = Duration::from_millis(250);

/// A log of one partition.
fn one_partition() -> Option<OnKafka> {
    OnKafka::new(1)
}

fn bounds(log: &KafkaLog) -> (u64, u64) {
    let Bounds { low, high } = log.bounds(ONLY).unwrap();
    (low.0, high.0)
}

fn out_of_bounds(log: &KafkaLog, from: u64) -> String {
    match log.reader(ONLY, Offset(from)).err() {
        Some(error @ LogError::OutOfBounds { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

fn refused(config: &KafkaConfig) -> String {
    let opened = KafkaLog::open(config.clone(), KafkaSecrets::default(), Arc::new(SystemClock));
    let error = opened.err().expect("the log cannot be opened");
    assert!(!error.may_succeed_later(), "{error}");
    error.to_string()
}

#[test]
fn a_topic_made_again_under_its_name_is_another_log() {
    let Some(test) = one_partition() else { return };
    let before = test.open_log();
    append(&before, &["a", "b", "c"]);
    let mut reader = before.reader(ONLY, Offset(3)).unwrap();
    let was = before.identity();
    assert!(was.0.starts_with("kafka:"), "{was}");

    delete(&test.config);
    eventually("the topic is gone and made again", || {
        let again =
            KafkaLog::migrate(test.config.clone(), KafkaSecrets::default(), Arc::new(SystemClock));
        again.is_ok_and(|migration| !migration.did.is_empty())
    });
    let after = test.open_log();
    assert_ne!(after.identity(), was);
    assert_eq!(bounds(&after), (0, 0));
    let told = out_of_bounds(&after, 3);
    assert!(told.contains("another log took its place"), "{told}");

    // More records than there were: the place of old would be there.
    append(&after, &["d", "e", "f", "g", "h"]);
    let mut batch = Batch::default();
    eventually("the old log is known as replaced", || match reader.read(&mut batch, 10, QUARTER) {
        Err(LogError::Replaced { was: named, now, .. }) => {
            assert_eq!((named, now), (was.clone(), after.identity()));
            true
        }
        Err(error) => {
            assert!(error.may_succeed_later(), "{error}");
            false
        }
        Ok(_) => false,
    });
    // From now on it is the new log, and reads that.
    assert_eq!((before.identity(), before.name()), (after.identity(), after.name()));
    assert_eq!(texts(&before, ONLY, Offset(0)), ["d", "e", "f", "g", "h"]);
}

#[test]
fn what_retention_deleted_is_out_of_bounds() {
    let Some(test) = one_partition() else { return };
    let log = test.open_log();
    append(&log, &["a", "b", "c", "d", "e"]);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&test.config.topic, 0, Place::Offset(3)).unwrap();
    let admin = admin(&test.config);
    wait_for(admin.delete_records(&list, &AdminOptions::new())).unwrap();
    eventually("the records are deleted", || bounds(&log) == (3, 5));
    let told = out_of_bounds(&log, 2);
    assert!(told.contains("offset 2, but the log holds [3, 5)"), "{told}");
    assert!(told.contains("retention has deleted"), "{told}");
    assert_eq!(texts(&log, ONLY, Offset(3)), ["d", "e"]);
    let told = out_of_bounds(&log, 6);
    assert!(told.contains("it lost its end"), "{told}");
}

#[test]
fn the_marks_of_transactions_do_not_hide_the_end() {
    let Some(test) = one_partition() else { return };
    let log = test.open_log();
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &test.config.brokers[0])
        .set("transactional.id", &test.config.topic)
        .create()
        .unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    for (text, commits) in [("kept", true), ("dropped", false), ("kept too", true)] {
        producer.begin_transaction().unwrap();
        let record = BaseRecord::to(&test.config.topic).key("1").payload(text);
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.flush(PATIENCE).unwrap();
        match commits {
            true => producer.commit_transaction(PATIENCE).unwrap(),
            false => producer.abort_transaction(PATIENCE).unwrap(),
        }
    }
    eventually("all is decided", || bounds(&log) == (0, 6));
    assert_eq!(texts(&log, ONLY, Offset(0)), ["kept", "kept too"]);
    assert_eq!(texts(&log, ONLY, Offset(5)), [""; 0]);
    // Nothing is left before the end, though the last of it is no record.
    let (mut reader, mut batch) = (log.reader(ONLY, Offset(0)).unwrap(), Batch::default());
    eventually("the last mark is passed", || {
        _ = reader.read(&mut batch, 10, Duration::from_millis(100)).unwrap();
        reader.passed() == Offset(6)
    });
    assert_eq!(batch.len(), 2);
}

#[test]
fn partitions_are_added_and_never_taken_away() {
    let Some(test) = OnKafka::new(2) else { return };
    let log = test.open_log();
    let absent = log.bounds(Partition(4)).unwrap_err();
    assert!(absent.to_string().contains("it has 2 partitions"), "{absent}");
    let mut more = test.config.clone();
    more.partitions = 5.try_into().unwrap();
    let did = migrate(&more).did;
    assert_eq!(did, [format!("raised the partitions of {} from 2 to 5", more.topic)]);
    assert_eq!(migrate(&more), Migration::default());
    assert!(log.reader(Partition(4), Offset(0)).is_ok());
    assert_eq!(log.partitions(), 5);
    let fewer =
        KafkaLog::migrate(test.config.clone(), KafkaSecrets::default(), Arc::new(SystemClock));
    let told = fewer.unwrap_err().to_string();
    assert!(told.contains("it has 5, which stay; set log.kafka.partitions = 5"), "{told}");
}

#[test]
fn a_topic_that_breaks_a_promise_is_refused_and_told() {
    let Some(test) = one_partition() else { return };
    for (setting, value, because) in [
        ("message.timestamp.type", "CreateTime", "records would bear their senders' time"),
        ("cleanup.policy", "compact", "all frames of a source but the newest"),
    ] {
        let config = KafkaConfig { topic: unique("odd"), ..test.config.clone() };
        let good = [("message.timestamp.type", "LogAppendTime"), ("cleanup.policy", "delete")];
        let topic = good
            .into_iter()
            .filter(|(name, _)| *name != setting)
            .fold(NewTopic::new(&config.topic, 1, TopicReplication::Fixed(1)), |topic, (k, v)| {
                topic.set(k, v)
            })
            .set(setting, value);
        let admin = admin(&config);
        wait_for(admin.create_topics([&topic], &AdminOptions::new())).unwrap();
        let migration = migrate(&config);
        assert_eq!(
            migration.did,
            [format!("made topic {}.schemas with 1 partition", config.topic)]
        );
        let differs = migration.differs.join("\n");
        assert!(differs.contains(&format!("{setting} is {value}, not")), "{differs}");
        let told = refused(&config);
        assert!(told.contains(because) && told.contains("kafka-configs.sh"), "{told}");
        delete(&config);
    }
}

#[test]
fn a_topic_that_is_not_there_is_asked_for() {
    let Some(test) = one_partition() else { return };
    let config = KafkaConfig { topic: unique("nowhere"), ..test.config.clone() };
    let told = refused(&config);
    assert!(told.contains("there is no such topic; `animov migrate` makes it"), "{told}");
}

#[test]
fn schemas_are_declared_once_and_those_of_others_are_told_too() {
    let Some(test) = one_partition() else { return };
    drop(test.open_log());
    let log = test.open_log();
    assert_eq!(log.schemas().unwrap().len(), 2);
    let other = r#"{"type": "record", "name": "Frame", "fields": []}"#;
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", &test.config.brokers[0]).create().unwrap();
    let topic = test.config.schemas_topic();
    producer.send(BaseRecord::to(&topic).key("other").payload(other)).map_err(|e| e.0).unwrap();
    producer.flush(PATIENCE).unwrap();
    let declared = log.schemas().unwrap();
    assert_eq!(declared.len(), 3);
    assert!(declared.iter().any(|text| text == other));
}

#[test]
fn who_only_reads_appends_nothing() {
    let Some(test) = one_partition() else { return };
    let log = KafkaLog::open_read_only(
        test.config.clone(),
        KafkaSecrets::default(),
        Arc::new(SystemClock),
    );
    let log = log.unwrap();
    assert!(matches!(log.append(&[(source(1), b"x")]), Err(LogError::ReadOnly)));
    assert_eq!(log.schemas().unwrap(), [""; 0], "a reader declares nothing");
}
