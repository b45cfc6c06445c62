//! A schema that the workers do not know by themselves: a camera program declares
//! it in the log's side topic, and then writes by it.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use apache_avro::Schema;
use apache_avro::rabin::Rabin;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use schemas::avro::COUNTS_SCHEMA;

/// How long the brokers may take to have it.
const DECLARED_MAX: Duration = Duration::from_secs(120);

/// Counts, and a field that no program of ours reads.
static JSON: LazyLock<String> = LazyLock::new(|| {
    let (counts, end) = COUNTS_SCHEMA.rsplit_once("  ]\n}").unwrap();
    format!("{counts}  , {{\"name\": \"celsius\", \"type\": [\"null\", \"double\"]}}]\n}}{end}")
});

static FINGERPRINT: LazyLock<[u8; 8]> = LazyLock::new(|| {
    let schema = Schema::parse_str(&JSON).unwrap();
    schema.fingerprint::<Rabin>().bytes.try_into().unwrap()
});

/// Makes of a frame of counts one of the newer schema.
pub(crate) fn rewrite(bytes: &mut Vec<u8>) {
    bytes[2..10].copy_from_slice(&*FINGERPRINT);
    // Of the field's two forms the first: nothing.
    bytes.push(0);
}

/// Declares it to the brokers at `broker`.
pub(crate) fn declare(broker: &str) {
    let begun = Instant::now();
    loop {
        let producer: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", broker).create().unwrap();
        let record = BaseRecord::to("animov.frames.schemas").key("newer").payload(&*JSON);
        assert!(producer.send(record).is_ok(), "a new queue is full");
        let flushed = producer.flush(Duration::from_secs(5));
        if flushed.is_ok() {
            return;
        }
        assert!(begun.elapsed() < DECLARED_MAX, "a schema cannot be declared: {flushed:?}");
    }
}
