//! The brokers, as one log sees them: what it asks them, and the thread that
//! tends its clients.
//!
//! # Invariants
//!
//! - What clients have to say is taken from them at least every few seconds,
//!   whether anybody reads or not: unheard, it would pile up.
//! - That the topic was deleted and made again is known within [`LOOK_EVERY`]
//!   and an answer's time, while anybody reads. From then on this is the new
//!   log, and who reads the old one is told so.
//! - Every question ends after [`ANSWER_WAIT`].

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;
use schemas::log::{Bounds, LogError, LogId, Offset, Partition};
use schemas::stop::Stop;
use schemas::time::Clock;

use super::client::{Context, Role, Told, cannot_begin, properties};
use super::native::{remind, topic_id};
use crate::config::{KafkaConfig, KafkaSecrets};
use crate::metrics::KafkaMetrics;

/// How long an answer of the brokers is waited for.
pub(super) const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// How long for the answer to which log this is: shorter, because commits wait
/// for it, and a process that is told to stop waits for them.
const IDENTITY_WAIT: Duration = Duration::from_secs(4);

/// How often the clients are tended.
const TEND_EVERY: Duration = Duration::from_millis(200);

/// How long a reader's client may take to say what it has to say.
const LISTEN: Duration = Duration::from_millis(1);

/// How often readers' clients are listened to, and how often it is looked at,
/// while there are readers, whether the topic is still the same.
const LOOK_EVERY: Duration = Duration::from_secs(2);

impl ConsumerContext for Context<()> {}

/// A client that takes part in no group.
pub(super) type ReadClient = BaseConsumer<Context<()>>;

/// The brokers; see the [module](self).
pub(super) struct Cluster {
    pub(super) config: KafkaConfig,
    pub(super) secrets: KafkaSecrets,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) told: Arc<Told>,
    asker: ReadClient,
    /// Which log this is, as last seen; none before that.
    id: Mutex<Option<LogId>>,
    /// Held by whoever asks which log this is: of two answers, the later is seen
    /// last.
    asking: Mutex<()>,
    /// Of the topic of frames, as last seen.
    partitions: AtomicU32,
    readers: Mutex<Vec<Weak<ReadClient>>>,
    stop: Stop,
}

impl Cluster {
    /// A client of the brokers; nothing is asked yet.
    ///
    /// # Errors
    ///
    /// The configuration has a property that librdkafka does not take.
    pub(super) fn new(
        config: KafkaConfig,
        secrets: KafkaSecrets,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Cluster>, LogError> {
        let told = Arc::new(Told::new(&config, KafkaMetrics::default()));
        let context = Context { role: Role::Ask, told: Arc::clone(&told), more: () };
        let asker = properties(&config, &secrets, Role::Ask)
            .create_with_context(context)
            .map_err(|error| cannot_begin(&told, &error))?;
        let stop = Stop::default();
        let cluster = Arc::new(Cluster {
            config,
            secrets,
            clock,
            told,
            asker,
            id: Mutex::default(),
            asking: Mutex::default(),
            partitions: AtomicU32::new(0),
            readers: Mutex::default(),
            stop: stop.clone(),
        });
        let tended = Arc::downgrade(&cluster);
        thread::Builder::new()
            .name("kafka-clients".to_owned())
            .spawn(move || tend(&tended, &stop))
            .map_err(|source| LogError::Io {
                doing: "begin a thread for",
                at: cluster.told.at(&cluster.config.topic),
                source,
            })?;
        Ok(cluster)
    }

    /// The topic of frames and where it is, for a person.
    pub(super) fn at(&self) -> String {
        self.told.at(&self.config.topic)
    }

    /// Which log this is, as last seen; none if nobody asked yet.
    pub(super) fn identity(&self) -> Option<LogId> {
        self.id.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks which log this is, and how many partitions it has if it is another
    /// than before; remembers both.
    ///
    /// # Errors
    ///
    /// The topic is not there, or nobody answers.
    pub(super) fn identify(&self) -> Result<LogId, LogError> {
        let _one_at_a_time = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        let was = self.identity();
        if was.is_none() {
            // Says better what to do where there is no topic.
            self.count_partitions()?;
        }
        let now = self.ask_identity()?;
        if let Some(was) = was.filter(|was| *was != now) {
            self.count_partitions()?;
            let at = self.at();
            tracing::error!(%at, %was, %now, "the topic was deleted and made again");
        }
        *self.id.lock().unwrap_or_else(PoisonError::into_inner) = Some(now.clone());
        Ok(now)
    }

    fn ask_identity(&self) -> Result<LogId, LogError> {
        let failed = |error| self.failed("identify", self.at(), &error);
        let client = self.asker.client();
        let topic = topic_id(client, &self.config.topic, IDENTITY_WAIT)
            .map_err(|code| failed(KafkaError::MetadataFetch(code)))?;
        let unknown = |what: &str| LogError::Refused {
            doing: "identify",
            at: self.at(),
            hint: format!("the brokers give no {what}; Kafka 3.1 or newer does"),
        };
        let topic = topic.ok_or_else(|| unknown("topic ids"))?;
        let cluster =
            client.fetch_cluster_id(IDENTITY_WAIT).ok_or_else(|| unknown("cluster id"))?;
        self.told.answered();
        Ok(LogId(format!("kafka:{cluster}/{topic}").into()))
    }

    /// How many partitions the topic of frames had when last looked at.
    pub(super) fn partitions(&self) -> u32 {
        self.partitions.load(Ordering::Relaxed)
    }

    /// Looks how many partitions the topic of frames has.
    fn count_partitions(&self) -> Result<u32, LogError> {
        let count = self.partitions_of(&self.config.topic)?;
        self.partitions.store(count, Ordering::Relaxed);
        Ok(count)
    }

    /// How many partitions `topic` has, at least one.
    ///
    /// # Errors
    ///
    /// It is not there, or nobody answers.
    pub(super) fn partitions_of(&self, topic: &str) -> Result<u32, LogError> {
        let failed = |error| self.failed("ask about", self.told.at(topic), &error);
        let metadata = self.asker.fetch_metadata(Some(topic), ANSWER_WAIT).map_err(failed)?;
        self.told.answered();
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        let code = found.and_then(|found| found.error()).map(Code::from);
        let count = found.map_or(0, |found| found.partitions().len());
        match (code, u32::try_from(count)) {
            (Some(Code::UnknownTopicOrPartition | Code::UnknownTopic), _) => {
                Err(LogError::Refused {
                    doing: "find",
                    at: self.told.at(topic),
                    hint: "there is no such topic; `animov migrate` makes it".to_owned(),
                })
            }
            (Some(code), _) => Err(failed(KafkaError::MetadataFetch(code))),
            (None, Ok(count)) if 0 < count => Ok(count),
            (None, _) => Err(failed(KafkaError::MetadataFetch(Code::LeaderNotAvailable))),
        }
    }

    /// What `partition` of `topic` still holds.
    ///
    /// # Errors
    ///
    /// It is not there, or nobody answers.
    pub(super) fn bounds(&self, topic: &str, partition: Partition) -> Result<Bounds, LogError> {
        let at = || format!("partition {partition} of {}", self.told.at(topic));
        let failed = |error| self.failed("ask for the bounds of", at(), &error);
        let number = i32::try_from(partition.0).unwrap_or(i32::MAX);
        let watermarks = self.asker.fetch_watermarks(topic, number, ANSWER_WAIT);
        let (low, high) = watermarks.map_err(failed)?;
        self.told.answered();
        let offset = |raw| u64::try_from(raw).unwrap_or(0);
        Ok(Bounds { low: Offset(offset(low)), high: Offset(offset(high)) })
    }

    /// The error that a question met; the next one is asked by a client that knows
    /// the brokers, whatever this one has forgotten.
    fn failed(&self, doing: &'static str, at: String, error: &KafkaError) -> LogError {
        remind(self.asker.client(), &self.told.brokers);
        self.told.failed(doing, at, error)
    }

    /// Whether the topic of frames has `partition`.
    ///
    /// # Errors
    ///
    /// It has not, or nobody answers.
    pub(super) fn check_partition(&self, partition: Partition) -> Result<(), LogError> {
        if partition.0 < self.partitions() {
            return Ok(());
        }
        // It may have grown.
        let count = self.count_partitions()?;
        if partition.0 < count {
            return Ok(());
        }
        let hint = format!("it has {count} partitions, numbered from 0");
        let doing = "read partition";
        Err(LogError::Refused { doing, at: format!("{partition} of {}", self.at()), hint })
    }

    /// Whether this is still the log that it `was`, if that was known.
    ///
    /// # Errors
    ///
    /// It is another, as last seen.
    pub(super) fn check_identity(&self, was: Option<&LogId>) -> Result<(), LogError> {
        match (was, self.identity()) {
            (Some(was), Some(now)) if *was != now => {
                Err(LogError::Replaced { at: self.at(), was: was.clone(), now })
            }
            _ => Ok(()),
        }
    }

    /// Has `client` tended until it is dropped.
    pub(super) fn take_in(&self, client: &Arc<ReadClient>) {
        self.readers().push(Arc::downgrade(client));
    }

    fn readers(&self) -> std::sync::MutexGuard<'_, Vec<Weak<ReadClient>>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens to the readers' clients; whether there are any.
    fn listen_to_readers(&self) -> bool {
        let clients: Vec<Arc<ReadClient>> = {
            let mut readers = self.readers();
            readers.retain(|reader| 0 < reader.strong_count());
            readers.iter().filter_map(Weak::upgrade).collect()
        };
        for client in &clients {
            // Records come from the partition's own queue, which was split off
            // before anything was assigned.
            let record = client.poll(LISTEN).is_some_and(|event| event.is_ok());
            assert!(!record, "a record came from another queue than its partition's");
        }
        !clients.is_empty()
    }

    /// Looks whether the topic is still the same.
    fn look_at_identity(&self) {
        if let Err(error) = self.identify() {
            // Whoever reads or appends meets it too, and says so.
            tracing::debug!(%error, "could not look whether the topic is the same");
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop.stop();
    }
}

/// Tends the clients of `cluster` until it is gone.
fn tend(cluster: &Weak<Cluster>, stop: &Stop) {
    let mut looked = Instant::now();
    while !stop.wait(TEND_EVERY) {
        let Some(cluster) = cluster.upgrade() else { return };
        // Has no partition: only logs and errors come.
        drop(cluster.asker.poll(LISTEN));
        if looked.elapsed() < LOOK_EVERY {
            continue;
        }
        if cluster.listen_to_readers() {
            cluster.look_at_identity();
        }
        looked = Instant::now();
    }
}
