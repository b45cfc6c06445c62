//! How fast the log on Kafka is, beside a consumer that does nothing but drain the
//! same topic in the same run: `cargo bench -p sinks --bench kafka`, where
//! `ANIMOV_TEST_KAFKA` names brokers.
//!
//! Input, the same in every run: frames of 64 sources that know only counts, as
//! they are, and with noise behind them up to 200 bytes. `ANIMOV_BENCH_FRAMES`
//! says how many (default: 1,000,000). Prints, and checks nothing: tests do that.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints and may panic")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::Message;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset as Place, TopicPartitionList};
use schemas::avro::{Header, encode_counts};
use schemas::frame::FrameId;
use schemas::log::{Batch, FrameLog, Offset, Partition, ReadEnd};
use schemas::source::{SessionId, SourceId};
use schemas::time::{SystemClock, UnixMillis};
use sinks::config::{KafkaConfig, KafkaSecrets};
use sinks::log::kafka::KafkaLog;

const SOURCES: i64 = 64;

/// Frames of one append.
const CALL: usize = 1000;

/// Records of one read, as the pipeline reads.
const READ_RECORDS_MAX: usize = 8192;

const ROUNDS: usize = 3;

fn main() {
    let Ok(broker) = std::env::var("ANIMOV_TEST_KAFKA") else {
        println!("no brokers: ANIMOV_TEST_KAFKA names none");
        return;
    };
    let frames = std::env::var("ANIMOV_BENCH_FRAMES").ok().and_then(|n| n.parse().ok());
    let frames = frames.unwrap_or(1_000_000);
    for (what, bytes, partitions) in [
        ("counts only, 1 partition", 0, 1),
        ("200 bytes, 1 partition", 200, 1),
        ("200 bytes, 4 partitions", 200, 4),
    ] {
        println!("{what}");
        let config = KafkaConfig {
            brokers: vec![broker.clone()],
            topic: format!("animov-bench-{}-{bytes}-{partitions}", std::process::id()),
            partitions: u32::try_from(partitions).unwrap().try_into().unwrap(),
            extra: extra(),
            ..KafkaConfig::default()
        };
        let secrets = KafkaSecrets::default();
        KafkaLog::migrate(config.clone(), secrets.clone(), Arc::new(SystemClock)).unwrap();
        let log = KafkaLog::open(config.clone(), secrets, Arc::new(SystemClock)).unwrap();
        append(&log, &values(frames, bytes));
        for _ in 0..ROUNDS {
            let bare = drain(&config, partitions, frames);
            let read = read(&log, frames);
            println!("  read as the bare consumer: {:.2}", bare.as_secs_f64() / read.as_secs_f64());
        }
        open_readers(&log);
        drop(log);
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &config.brokers[0]).create().unwrap();
        let topics = [&*config.topic, &*config.schemas_topic()];
        let deleted = admin.delete_topics(&topics, &AdminOptions::new());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(deleted).unwrap();
    }
}

/// Properties to try: `ANIMOV_BENCH_KAFKA=linger.ms=0,batch.size=500000`.
fn extra() -> BTreeMap<String, String> {
    let said = std::env::var("ANIMOV_BENCH_KAFKA").unwrap_or_default();
    let pairs = said.split(',').filter_map(|pair| pair.split_once('='));
    pairs.map(|(property, value)| (property.to_owned(), value.to_owned())).collect()
}

/// Frames, each with its source, `bytes` long at least.
fn values(frames: usize, bytes: usize) -> Vec<(SourceId, Vec<u8>)> {
    let session = SessionId::derived_from(b"bench");
    let mut noise = 0x2545_F491_4F6C_DD1D_u64;
    let value = |n: usize| {
        let n = i64::try_from(n).unwrap();
        let source = SourceId::try_from(n % SOURCES + 1).unwrap();
        let seq = u64::try_from(n / SOURCES).unwrap();
        let captured_at = UnixMillis::new(1_772_323_200_000 + n / SOURCES * 1000);
        let id = FrameId { source, session, seq };
        let header = Header { id, captured_at, produced_at: captured_at };
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        let animals = |shift: u32| u32::try_from((noise >> shift) % 16).unwrap();
        let counts = [("lying", animals(8)), ("standing", animals(24))];
        let mut value = Vec::new();
        encode_counts(&header, counts.into_iter(), &mut value);
        while value.len() < bytes {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            value.extend_from_slice(&noise.to_le_bytes());
        }
        (source, value)
    };
    (0..frames).map(value).collect()
}

fn append(log: &KafkaLog, values: &[(SourceId, Vec<u8>)]) {
    let records: Vec<(SourceId, &[u8])> =
        values.iter().map(|(source, value)| (*source, value.as_slice())).collect();
    let began = Instant::now();
    records.chunks(CALL).for_each(|call| log.append(call).unwrap());
    report("append, 1,000 a call", began.elapsed(), records.len());
    // Too few to count among those that are read back.
    let began = Instant::now();
    std::thread::scope(|scope| {
        for one in records.chunks(CALL / 10).take(8) {
            scope.spawn(|| one.iter().for_each(|one| log.append(&[*one]).unwrap()));
        }
    });
    report("append, 1 a call, 8 threads", began.elapsed(), 8 * CALL / 10);
}

/// Everything, by a consumer that only looks at each record's length.
fn drain(config: &KafkaConfig, partitions: i32, frames: usize) -> Duration {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &config.brokers[0])
        .set("group.id", &config.group)
        .set("enable.auto.commit", "false")
        // By default it rests for a second whenever its queue is full.
        .set("fetch.queue.backoff.ms", "5")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset(&config.topic, partition, Place::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let (mut read, mut bytes) = (0, 0);
    let began = Instant::now();
    while read < frames {
        if let Some(message) = consumer.poll(Duration::from_secs(1)) {
            bytes += message.unwrap().payload().map_or(0, <[u8]>::len);
            read += 1;
        }
    }
    let took = began.elapsed();
    assert!(0 < bytes);
    report("read, bare consumer", took, read);
    took
}

/// Everything, as the pipeline reads it: one thread a partition.
fn read(log: &KafkaLog, frames: usize) -> Duration {
    let began = Instant::now();
    let read: usize = std::thread::scope(|scope| {
        let reading: Vec<_> = (0..log.partitions())
            .map(|partition| scope.spawn(move || read_partition(log, Partition(partition))))
            .collect();
        reading.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    let took = began.elapsed();
    assert!(frames <= read);
    report("read", took, read);
    took
}

/// What a change of owners costs for each partition.
fn open_readers(log: &KafkaLog) {
    const READERS: usize = 10;
    let (mut opening, mut closing) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..READERS {
        let began = Instant::now();
        let mut reader = log.reader(Partition(0), Offset(0)).unwrap();
        let mut batch = Batch::default();
        while batch.is_empty() {
            _ = reader.read(&mut batch, 1, Duration::from_secs(1)).unwrap();
        }
        opening += began.elapsed();
        let began = Instant::now();
        drop(reader);
        closing += began.elapsed();
    }
    report("open a reader, first record", opening, READERS);
    report("close a reader", closing, READERS);
}

fn read_partition(log: &KafkaLog, partition: Partition) -> usize {
    let mut reader = log.reader(partition, Offset(0)).unwrap();
    let (mut batch, mut read, mut reads) = (Batch::default(), 0, 0);
    loop {
        let end = reader.read(&mut batch, READ_RECORDS_MAX, Duration::from_millis(100)).unwrap();
        read += batch.len();
        reads += 1;
        batch.clear();
        if let ReadEnd::CaughtUp(_) = end {
            println!("    partition {partition}: {} records a read", read / reads);
            return read;
        }
    }
}

fn report(what: &str, took: Duration, count: usize) {
    let seconds = took.as_secs_f64();
    let count = f64::from(u32::try_from(count).unwrap());
    println!(
        "  {what:30} {:8.1} ns each {:12.0} records/s",
        seconds / count * 1e9,
        count / seconds
    );
}
