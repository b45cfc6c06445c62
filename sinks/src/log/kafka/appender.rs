//! Appends records and waits until every one of them is acknowledged.
//!
//! # Invariants
//!
//! - Records of one call that go to one partition are handed to the producer in
//!   their order, and the producer keeps it, also when it sends them again.
//! - A call ends by its deadline. What it has handed over by then is given up by
//!   the producer at about the same time, so that calls that are made again and
//!   again do not fill its queue with copies.
//! - A producer that has met an error from which it cannot recover is replaced;
//!   whoever appends then appends again.

use std::fmt::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode as Code;
use schemas::bugs::Bug;
use schemas::log::LogError;
use schemas::source::SourceId;
use schemas::stop::Stop;

use super::client::{Context, Role, Told, VALUE_BYTES_MAX, cannot_begin, properties};
use super::native::remind;
use crate::config::{KafkaConfig, KafkaSecrets};
use crate::log::reading::WAIT_MAX;

/// How long to leave a full queue alone before it is tried again.
const FULL_WAIT: Duration = Duration::from_millis(2);

/// What the append role adds to a client's context: nothing.
pub(super) struct Appending;

type AppendClient = ThreadedProducer<Context<Appending>>;

/// The one that appends, for all threads.
pub(super) struct Appender {
    config: KafkaConfig,
    secrets: KafkaSecrets,
    told: Arc<Told>,
    /// Longest value that the topic takes, bytes.
    value_bytes_max: usize,
    client: Mutex<Arc<AppendClient>>,
}

/// The records of one call that are not acknowledged yet.
pub(super) struct Pending {
    left: AtomicUsize,
    /// Stopped when none is left.
    done: Stop,
    /// Why the first that was not acknowledged was not.
    refused: OnceLock<KafkaError>,
}

impl ProducerContext for Context<Appending> {
    type DeliveryOpaque = Arc<Pending>;

    fn delivery(&self, result: &DeliveryResult<'_>, pending: Arc<Pending>) {
        if let Err((error, _)) = result {
            pending.refused.get_or_init(|| error.clone());
        }
        if pending.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            pending.done.stop();
        }
    }
}

impl Appender {
    /// Appends to the topics of `config`; values of `value_bytes_max` bytes at
    /// most.
    ///
    /// # Errors
    ///
    /// The configuration has a property that librdkafka does not take.
    pub(super) fn new(
        config: KafkaConfig,
        secrets: KafkaSecrets,
        told: Arc<Told>,
        value_bytes_max: usize,
    ) -> Result<Appender, LogError> {
        let client = Mutex::new(new_client(&config, &secrets, &told)?);
        let value_bytes_max = value_bytes_max.min(VALUE_BYTES_MAX);
        Ok(Appender { config, secrets, told, value_bytes_max, client })
    }

    /// Appends frames to their sources' partitions.
    ///
    /// # Errors
    ///
    /// None, some or all may have been appended.
    pub(super) fn append(&self, records: &[(SourceId, &[u8])]) -> Result<(), LogError> {
        let max = self.value_bytes_max;
        if let Some(bytes) = records.iter().map(|(_, value)| value.len()).find(|&len| max < len) {
            return Err(LogError::TooLong { bytes, max });
        }
        let call = self.begin(&self.config.topic, records.len());
        let mut key = String::new();
        for (source, value) in records {
            key.clear();
            // Writing to a string does not fail.
            _ = write!(key, "{source}");
            call.send(&key, value)?;
        }
        call.finish()?;
        let bytes = records.iter().map(|(_, value)| value.len()).sum();
        self.told.metrics.appended(records.len(), bytes);
        Ok(())
    }

    /// Appends texts under their keys to `topic`.
    ///
    /// # Errors
    ///
    /// None, some or all may have been appended.
    pub(super) fn append_texts(
        &self,
        topic: &str,
        records: &[(String, &str)],
    ) -> Result<(), LogError> {
        let call = self.begin(topic, records.len());
        for (key, text) in records {
            call.send(key, text.as_bytes())?;
        }
        call.finish()
    }

    /// Begins a call that sends `count` records to `topic`.
    fn begin<'a>(&'a self, topic: &'a str, count: usize) -> Call<'a> {
        let (done, refused) = (Stop::default(), OnceLock::new());
        Call {
            appender: self,
            topic,
            client: self.client(),
            pending: Arc::new(Pending { left: AtomicUsize::new(count), done, refused }),
            deadline: Instant::now() + self.config.append_timeout.min(WAIT_MAX),
        }
    }

    fn client(&self) -> Arc<AppendClient> {
        Arc::clone(&self.client.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Why a call failed, and what is done about it.
    fn failed(&self, client: &Arc<AppendClient>, topic: &str, error: &KafkaError) -> LogError {
        self.told.metrics.failed_appends_total.inc();
        if let Some((code, reason)) = client.client().fatal_error() {
            self.renew(client, code, &reason);
            let source = format!("the producer had to be made anew: {reason}").into();
            return LogError::Unreachable { doing: "append to", at: self.told.at(topic), source };
        }
        if error.rdkafka_error_code() == Some(Code::MessageSizeTooLarge) {
            let hint =
                "the topic's max.message.bytes is less than it was when this process began; \
                        raise it, or start again"
                    .to_owned();
            return LogError::Refused { doing: "append to", at: self.told.at(topic), hint };
        }
        remind(client.client(), &self.told.brokers);
        self.told.failed("append to", self.told.at(topic), error)
    }

    /// Replaces `broken`, unless another thread has done so.
    fn renew(&self, broken: &Arc<AppendClient>, code: Code, reason: &str) {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&client, broken) {
            return;
        }
        match new_client(&self.config, &self.secrets, &self.told) {
            Ok(new) => {
                tracing::warn!(%code, reason, "made the producer anew");
                self.told.metrics.producers_renewed_total.inc();
                *client = new;
            }
            Err(error) => tracing::error!(%error, "could not make the producer anew"),
        }
    }
}

/// The records of one call, on their way.
struct Call<'a> {
    appender: &'a Appender,
    topic: &'a str,
    client: Arc<AppendClient>,
    pending: Arc<Pending>,
    deadline: Instant,
}

impl Call<'_> {
    /// Hands one record over, behind those before it; waits while there is no
    /// room.
    fn send(&self, key: &str, value: &[u8]) -> Result<(), LogError> {
        let mut record = BaseRecord::with_opaque_to(self.topic, Arc::clone(&self.pending))
            .key(key)
            .payload(value);
        loop {
            record = match self.client.send(record) {
                Ok(()) => return Ok(()),
                Err((error, _)) if error.rdkafka_error_code() != Some(Code::QueueFull) => {
                    return Err(self.failed(&error));
                }
                Err(_) if self.deadline <= Instant::now() => {
                    self.appender.told.metrics.failed_appends_total.inc();
                    return Err(LogError::Overloaded);
                }
                Err((_, unsent)) => unsent,
            };
            thread::sleep(FULL_WAIT);
        }
    }

    /// Waits until all of them are acknowledged.
    fn finish(self) -> Result<(), LogError> {
        if Bug::AckBeforeFsync.is_planted() {
            return Ok(());
        }
        let left = self.deadline.saturating_duration_since(Instant::now());
        let none = self.pending.left.load(Ordering::Acquire) == 0;
        if !none && !self.pending.done.wait(left) {
            return Err(self.failed(&KafkaError::MessageProduction(Code::MessageTimedOut)));
        }
        match self.pending.refused.get() {
            Some(error) => Err(self.failed(error)),
            None => {
                self.appender.told.answered();
                Ok(())
            }
        }
    }

    fn failed(&self, error: &KafkaError) -> LogError {
        self.appender.failed(&self.client, self.topic, error)
    }
}

fn new_client(
    config: &KafkaConfig,
    secrets: &KafkaSecrets,
    told: &Arc<Told>,
) -> Result<Arc<AppendClient>, LogError> {
    let context = Context { role: Role::Append, told: Arc::clone(told), more: Appending };
    let client = properties(config, secrets, Role::Append).create_with_context(context);
    client.map(Arc::new).map_err(|error| cannot_begin(told, &error))
}
