//! How the members of a group share out the partitions.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::TopicPartitionList;
use schemas::log::{Held, LogError, Ownership};
use sinks::log::kafka::KafkaGroup;

use super::*;
use crate::child;

const PARTITIONS: u32 = 4;

/// As short as the test's brokers allow with a margin.
const SESSION: Duration = Duration::from_secs(3);

fn quick() -> Option<OnKafka> {
    OnKafka::with(KafkaConfig {
        partitions: NonZeroU32::new(PARTITIONS).unwrap(),
        session_timeout: SESSION,
        metadata_refresh: Duration::from_secs(1),
        ..KafkaConfig::default()
    })
}

fn join(config: &KafkaConfig) -> (KafkaLog, KafkaGroup) {
    let log = open(config);
    let group = log.join_group().unwrap();
    (log, group)
}

/// Holds until it is as many as `count`, letting go of fewer or more.
fn hold(group: &mut KafkaGroup, count: u32) -> Held {
    let mut held = None;
    eventually("as many partitions as are due", || {
        held = None;
        held = group.hold(Duration::from_millis(100)).unwrap();
        held.as_ref().is_some_and(|held| held.partitions.len() == usize::try_from(count).unwrap())
    });
    held.unwrap()
}

fn all() -> BTreeSet<Partition> {
    (0..PARTITIONS).map(Partition).collect()
}

#[test]
fn members_share_the_partitions_and_one_that_leaves_hands_its_own_over() {
    let Some(test) = quick() else { return };
    let (_log, mut first) = join(&test.config);
    let held = hold(&mut first, PARTITIONS);
    assert_eq!(held.partitions, all());

    let (_other_log, mut second) = join(&test.config);
    assert!(held.changed.wait(PATIENCE), "nobody took anything back");
    drop(held);
    let mine = hold(&mut first, PARTITIONS / 2);
    let theirs = hold(&mut second, PARTITIONS / 2);
    assert_eq!(&mine.partitions | &theirs.partitions, all());
    assert!(mine.partitions.is_disjoint(&theirs.partitions));

    let began = Instant::now();
    drop(theirs);
    drop(second);
    assert!(mine.changed.wait(PATIENCE), "nobody handed anything over");
    drop(mine);
    assert_eq!(hold(&mut first, PARTITIONS).partitions, all());
    assert!(began.elapsed() < SESSION * 4, "{:?}", began.elapsed());
}

#[test]
fn a_partition_is_not_another_members_before_it_is_let_go_of() {
    let Some(test) = quick() else { return };
    let (_log, mut first) = join(&test.config);
    let held = hold(&mut first, PARTITIONS);
    let (_other_log, mut second) = join(&test.config);
    assert!(held.changed.wait(PATIENCE));
    // The longer this waits, the surer; that it waits is never wrong.
    assert!(second.hold(Duration::from_secs(2)).unwrap().is_none());
    drop(held);
    assert!(second.hold(PATIENCE).unwrap().is_some());
}

#[test]
fn a_member_that_does_not_let_go_is_waited_for_only_so_long() {
    let Some(mut test) = quick() else { return };
    test.config.release_timeout = Duration::from_secs(1);
    let (_log, mut first) = join(&test.config);
    let held = hold(&mut first, PARTITIONS);
    let (_other_log, mut second) = join(&test.config);
    let theirs = hold(&mut second, PARTITIONS / 2);
    assert!(held.changed.is_stopped());
    assert!(theirs.partitions.is_subset(&held.partitions), "both hold them now");
}

#[test]
fn the_partitions_of_a_killed_member_go_to_another_within_the_session() {
    let name = "kafka::group::the_partitions_of_a_killed_member_go_to_another_within_the_session";
    if let Some(dir) = child::dir() {
        let topic = std::fs::read_to_string(dir.join("topic")).unwrap();
        let group = std::fs::read_to_string(dir.join("group")).unwrap();
        let brokers = vec![std::env::var("ANIMOV_TEST_KAFKA").unwrap()];
        let config = KafkaConfig {
            brokers,
            topic,
            group,
            session_timeout: SESSION,
            ..KafkaConfig::default()
        };
        let (_log, mut member) = join(&config);
        let _held = hold(&mut member, PARTITIONS);
        std::fs::write(dir.join("holds"), "all").unwrap();
        // Until it is killed; if nobody does, not for ever.
        std::thread::sleep(PATIENCE * 2);
        return;
    }
    let Some(test) = quick() else { return };
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("topic"), &test.config.topic).unwrap();
    std::fs::write(dir.path().join("group"), &test.config.group).unwrap();
    let mut killed = child::command(name, dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("the other process holds all", || dir.path().join("holds").exists());
    killed.kill().unwrap();
    killed.wait().unwrap();
    let began = Instant::now();
    let (_log, mut heir) = join(&test.config);
    assert_eq!(hold(&mut heir, PARTITIONS).partitions, all());
    // The session, and what joining a group takes on a busy machine.
    assert!(began.elapsed() < SESSION + Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn an_added_partition_is_handed_out() {
    let Some(test) = quick() else { return };
    let (_log, mut member) = join(&test.config);
    let held = hold(&mut member, PARTITIONS);
    let mut more = test.config.clone();
    more.partitions = NonZeroU32::new(PARTITIONS + 1).unwrap();
    migrate(&more);
    assert!(held.changed.wait(PATIENCE), "the partition was not noticed");
    drop(held);
    assert!(hold(&mut member, PARTITIONS + 1).partitions.contains(&Partition(PARTITIONS)));
}

#[test]
fn a_member_with_a_name_finds_its_partitions_again_and_others_keep_theirs() {
    let Some(test) = quick() else { return };
    let named =
        |name: &str| KafkaConfig { instance_id: Some(name.to_owned()), ..test.config.clone() };
    let (_log, mut first) = join(&named("first"));
    let (_other_log, mut second) = join(&named("second"));
    let mine = hold(&mut first, PARTITIONS / 2);
    let theirs = hold(&mut second, PARTITIONS / 2);
    let before = theirs.partitions.clone();
    drop(theirs);
    drop(second);
    let mut second = open(&named("second")).join_group().unwrap();
    assert_eq!(hold(&mut second, PARTITIONS / 2).partitions, before);
    assert!(!mine.changed.is_stopped(), "another's return is no change here");
}

#[test]
fn two_processes_of_one_name_are_one_too_many() {
    let Some(test) = quick() else { return };
    let config = KafkaConfig { instance_id: Some("same".to_owned()), ..test.config.clone() };
    let (_log, mut first) = join(&config);
    let held = hold(&mut first, PARTITIONS);
    let (_other_log, mut second) = join(&config);
    assert!(held.changed.wait(PATIENCE), "the first was not shut out");
    drop(held);
    let error = loop {
        match first.hold(PATIENCE) {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the first was never told"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, LogError::Refused { .. }) && !error.may_succeed_later(), "{error}");
    assert_eq!(hold(&mut second, PARTITIONS).partitions, all());
}

#[test]
fn what_is_committed_is_shown_to_those_who_watch_the_group() {
    let Some(test) = quick() else { return };
    let (_log, mut member) = join(&test.config);
    let _held = hold(&mut member, PARTITIONS);
    member.committed(&BTreeMap::from([(Partition(1), Offset(7)), (Partition(2), Offset(8))]));
    member.committed(&BTreeMap::from([(Partition(2), Offset(9))]));
    let watching: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &test.config.brokers[0])
        .set("group.id", &test.config.group)
        .create()
        .unwrap();
    let shown = || {
        let mut list = TopicPartitionList::new();
        (0..3).for_each(|n| _ = list.add_partition(&test.config.topic, n));
        let list = watching.committed_offsets(list, PATIENCE).unwrap();
        list.elements().iter().map(|element| element.offset().to_raw().unwrap()).collect::<Vec<_>>()
    };
    eventually("the offsets are shown", || shown() == [-1001, 7, 9]);
}

#[test]
fn leaving_waits_until_the_partitions_are_let_go_of() {
    let Some(test) = quick() else { return };
    let (_log, mut member) = join(&test.config);
    let held = hold(&mut member, PARTITIONS);
    let changed = held.changed.clone();
    let leaving = std::thread::spawn(move || drop(member));
    assert!(changed.wait(PATIENCE), "nobody was told to let go");
    // The longer this waits, the surer; that it waits is never wrong.
    std::thread::sleep(Duration::from_secs(1));
    assert!(!leaving.is_finished());
    drop(held);
    leaving.join().unwrap();
}
