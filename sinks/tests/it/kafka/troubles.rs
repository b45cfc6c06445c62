//! Full queues, slow readers, wrong addresses, and brokers that die.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::num::NonZeroU64;

use sinks::config::Compression;

use super::own_broker::OwnBroker;
use super::*;
use crate::child;

fn only_partition(config: KafkaConfig) -> Option<OnKafka> {
    OnKafka::with(KafkaConfig { partitions: NonZeroU32::MIN, ..config })
}

#[test]
fn an_address_where_nobody_is_gives_a_clear_error_in_time() {
    // Bound and let go of: nobody else has it for now.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = KafkaConfig { brokers: vec![nobody.to_string()], ..KafkaConfig::default() };
    let began = Instant::now();
    let opened = KafkaLog::open(config, KafkaSecrets::default(), Arc::new(SystemClock));
    let error = opened.err().expect("nobody is there");
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
    assert!(error.may_succeed_later());
    let told = error.to_string();
    assert!(told.contains(&format!("topic animov.frames on Kafka at {nobody}")), "{told}");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("Connection refused"), "{cause}");
}

#[test]
fn records_keep_their_order_though_the_queue_is_full_again_and_again() {
    let extra = BTreeMap::from([("queue.buffering.max.messages".to_owned(), "10".to_owned())]);
    let Some(test) = only_partition(KafkaConfig { extra, ..KafkaConfig::default() }) else {
        return;
    };
    let log = test.open_log();
    let sent: Vec<String> = (0..300).map(|n| n.to_string()).collect();
    append(&log, &sent.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(texts(&log, ONLY, Offset(0)), sent);
}

#[test]
fn records_survive_every_compression() {
    for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
        let config = KafkaConfig { compression, ..KafkaConfig::default() };
        let Some(test) = only_partition(config) else { return };
        let log = test.open_log();
        let sent: Vec<String> = (0..100).map(|n| format!("goat {n} lies in the sun")).collect();
        append(&log, &sent.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(texts(&log, ONLY, Offset(0)), sent);
    }
}

#[test]
fn what_is_not_read_yet_is_shown() {
    let config =
        KafkaConfig { statistics_interval: Duration::from_secs(1), ..KafkaConfig::default() };
    let Some(test) = only_partition(config) else { return };
    let log = test.open_log();
    append(&log, &["goat"; 50]);
    let mut reader = log.reader(ONLY, Offset(0)).unwrap();
    let mut batch = Batch::default();
    while batch.is_empty() {
        _ = reader.read(&mut batch, 10, PATIENCE).unwrap();
    }
    assert_eq!(batch.len(), 10);
    // Nobody polls the reader meanwhile.
    eventually("forty are left", || log.metrics().lag(ONLY) == 40);
    while batch.len() < 50 {
        _ = reader.read(&mut batch, 100, PATIENCE).unwrap();
    }
    eventually("none is left", || log.metrics().lag(ONLY) == 0);
}

#[test]
fn a_reader_that_nobody_reads_from_fetches_only_so_much() {
    const VALUE_BYTES: usize = 100_000;
    const RECORDS: usize = 1000;
    let name = "kafka::troubles::a_reader_that_nobody_reads_from_fetches_only_so_much";
    if std::env::var_os("ANIMOV_TEST_KAFKA").is_none() {
        println!("SKIPPED: no brokers; ANIMOV_TEST_KAFKA names none");
        return;
    }
    child::alone(name, |_| {
        let config = KafkaConfig {
            fetch_bytes_max: NonZeroU64::new(4 << 20).unwrap(),
            compression: Compression::None,
            ..KafkaConfig::default()
        };
        let test = only_partition(config).unwrap();
        let log = test.open_log();
        let value = vec![0x5A; VALUE_BYTES];
        for _ in 0..RECORDS / 20 {
            log.append(&vec![(source(1), value.as_slice()); 20]).unwrap();
        }
        drop(log);
        let log = test.open_log();
        let before = resident_mib();
        let mut reader = log.reader(ONLY, Offset(0)).unwrap();
        let mut batch = Batch::default();
        _ = reader.read(&mut batch, 1, PATIENCE).unwrap();
        // Time to fetch all of it, if it would.
        std::thread::sleep(Duration::from_secs(3));
        let grown = resident_mib().saturating_sub(before);
        assert!(grown < 40, "{grown} MiB for 4 MiB of records");
        let mut read = batch.len();
        while read < RECORDS {
            batch.clear();
            _ = reader.read(&mut batch, 100, PATIENCE).unwrap();
            read += batch.len();
        }
        let grown = resident_mib().saturating_sub(before);
        assert!(grown < 60, "{grown} MiB after reading");
    });
}

/// Memory of this process, MiB.
fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[test]
fn a_killed_broker_that_comes_back_has_lost_nothing_that_was_acknowledged() {
    let Some(broker) = OwnBroker::start(&|_| String::new()) else { return };
    let config = KafkaConfig {
        brokers: vec![broker.address()],
        partitions: NonZeroU32::MIN,
        append_timeout: Duration::from_secs(5),
        ..KafkaConfig::default()
    };
    migrate(&config);
    let log = open(&config);
    let mut acknowledged = Vec::new();
    let mut send = |from: u32, to: u32| {
        for n in from..to {
            let text = n.to_string();
            let deadline = Instant::now() + PATIENCE;
            while let Err(error) = log.append(&[(source(1), text.as_bytes())]) {
                assert!(error.may_succeed_later(), "{error}");
                assert!(Instant::now() < deadline, "{error}");
            }
            acknowledged.push(text);
        }
    };
    let mut reader = log.reader(ONLY, Offset(0)).unwrap();
    send(0, 200);
    broker.kill();
    std::thread::scope(|scope| {
        let restarting = scope.spawn(|| broker.start_again());
        send(200, 400);
        assert!(restarting.join().unwrap());
    });
    // Through the reader that was open all the time.
    let (mut batch, mut seen) = (Batch::default(), Vec::<String>::new());
    eventually("all that was acknowledged is read", || {
        if let Err(error) = reader.read(&mut batch, 1000, Duration::from_millis(100)) {
            assert!(error.may_succeed_later(), "{error}");
        }
        let values = batch.records().map(|record| String::from_utf8(record.value.to_vec()));
        seen.extend(values.map(Result::unwrap));
        batch.clear();
        // What was sent twice is there twice.
        let mut unique = seen.clone();
        unique.dedup();
        unique == acknowledged
    });
}
