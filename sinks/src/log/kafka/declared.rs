//! The side topic: the Avro schemas that writers have declared, each under a key
//! made from its text. Brokers keep the newest record of each key for ever.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use schemas::avro::{COUNTS_SCHEMA, FRAME_SCHEMA};
use schemas::log::{Batch, LogError, LogReader, Partition, ReadEnd};
use uuid::Uuid;

use super::appender::Appender;
use super::cluster::{ANSWER_WAIT, Cluster};
use super::reader::KafkaReader;

/// The schemas that this program writes by.
const SCHEMAS: [&str; 2] = [FRAME_SCHEMA, COUNTS_SCHEMA];

const ONLY: Partition = Partition(0);

/// Records of one read.
const READ_RECORDS_MAX: usize = 1000;

/// Everything that was declared.
pub(super) fn declared(cluster: &Arc<Cluster>) -> Result<BTreeSet<String>, LogError> {
    let topic = cluster.config.schemas_topic();
    let low = cluster.bounds(&topic, ONLY)?.low;
    let mut reader = KafkaReader::new(Arc::clone(cluster), &topic, ONLY, low)?;
    let (mut batch, mut texts) = (Batch::default(), BTreeSet::new());
    let deadline = Instant::now() + ANSWER_WAIT;
    loop {
        let end = reader.read(&mut batch, READ_RECORDS_MAX, Duration::from_millis(50))?;
        let values = batch.records().map(|record| String::from_utf8_lossy(record.value));
        texts.extend(values.filter(|text| !text.is_empty()).map(|text| text.into_owned()));
        batch.clear();
        match end {
            ReadEnd::CaughtUp(_) => return Ok(texts),
            ReadEnd::More if deadline <= Instant::now() => {
                let source = "its records do not come".into();
                let at = cluster.told.at(&topic);
                return Err(LogError::Unreachable { doing: "read", at, source });
            }
            ReadEnd::More => {}
        }
    }
}

/// Declares the schemas of this program, unless somebody has.
pub(super) fn declare(cluster: &Arc<Cluster>, appender: &Appender) -> Result<(), LogError> {
    let known = declared(cluster)?;
    let missing = SCHEMAS.iter().filter(|text| !known.contains(**text));
    let records: Vec<(String, &str)> = missing.map(|text| (key(text), *text)).collect();
    if records.is_empty() {
        return Ok(());
    }
    appender.append_texts(&cluster.config.schemas_topic(), &records)
}

fn key(text: &str) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes()).to_string()
}
