//! Reads one partition forward, by a client of its own.
//!
//! # Invariants
//!
//! - The client fetches from the offset that it is told, never from one that a
//!   group has committed, and never jumps: a place that is not there is an error.
//! - It reads the log that it was made for: whether the topic is still that one
//!   is looked at before each read, and asked before a client is made anew.
//! - What is fetched ahead is bounded by the configuration.
//! - "Everything by this moment has been read" is only said after the brokers
//!   were asked, and as of before they were asked.
//!
//! # The log's clock
//!
//! Records bear the brokers' time; a partition that gets none bears no time at
//! all. Its end is then told by this process's clock less [`CLOCKS_APART`], in
//! which a record that already has its time becomes visible, and by which the two
//! clocks may differ. If they differ by more, sources may be taken for silent
//! that much too early: their windows turn final, and are corrected after all.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::Message;
use rdkafka::consumer::Consumer;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::error::KafkaError;
use rdkafka::message::Timestamp;
use rdkafka::topic_partition_list::{Offset as Place, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode as Code;
use schemas::log::{Batch, Bounds, LogError, LogId, LogReader, Offset, Partition, ReadEnd, Record};
use schemas::time::UnixMillis;

use super::client::{Context, Role, cannot_begin, properties};
use super::cluster::{Cluster, ReadClient};
use super::native::remind;
use crate::log::reading::{ABOVE, BELOW, Full, WAIT_MAX};

/// How far behind this process's clock the end of a partition is told.
const CLOCKS_APART: Duration = Duration::from_secs(1);

/// How often the brokers are asked again whether a partition's end is still
/// where it was.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// A place in one partition.
pub(super) struct KafkaReader {
    cluster: Arc<Cluster>,
    /// Which log it reads, if that was known.
    log: Option<LogId>,
    topic: String,
    partition: Partition,
    /// The next offset wanted.
    next: u64,
    /// None after an error: the client is made anew.
    open: Option<Open>,
    /// Whether the brokers have said that they do not have its place, or no longer
    /// the records before it.
    is_outside: bool,
    /// When the newest record was appended.
    newest: UnixMillis,
    /// When the brokers were last asked for the end.
    asked_at: Option<Instant>,
    /// By when everything has been read, if nothing was read since.
    caught_up: Option<UnixMillis>,
}

/// The client, and where its records come from.
struct Open {
    queue: PartitionQueue<Context<()>>,
    client: Arc<ReadClient>,
}

impl KafkaReader {
    /// Reads `partition` of `topic` from `from` on.
    ///
    /// # Errors
    ///
    /// `from` lies outside the bounds, or the brokers do not answer.
    pub(super) fn new(
        cluster: Arc<Cluster>,
        topic: &str,
        partition: Partition,
        from: Offset,
    ) -> Result<KafkaReader, LogError> {
        let mut reader = KafkaReader {
            log: cluster.identity(),
            cluster,
            topic: topic.to_owned(),
            partition,
            next: from.0,
            open: None,
            is_outside: false,
            newest: UnixMillis::MIN,
            asked_at: None,
            caught_up: None,
        };
        if topic == reader.cluster.told.topic {
            reader.cluster.told.metrics.reads(partition);
        }
        reader.bounds()?;
        reader.open = Some(reader.open()?);
        Ok(reader)
    }

    fn open(&self) -> Result<Open, LogError> {
        let told = &self.cluster.told;
        let context = Context { role: Role::Read, told: Arc::clone(told), more: () };
        let client: ReadClient =
            properties(&self.cluster.config, &self.cluster.secrets, Role::Read)
                .create_with_context(context)
                .map_err(|error| cannot_begin(told, &error))?;
        let client = Arc::new(client);
        // Before anything is assigned: every record then comes this way.
        let queue = client.split_partition_queue(&self.topic, self.number());
        let queue = queue.ok_or_else(|| self.failed(&KafkaError::Subscription(self.at())))?;
        let place = Place::Offset(i64::try_from(self.next).unwrap_or(i64::MAX));
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, self.number(), place)
            .and_then(|()| client.assign(&list))
            .map_err(|error| self.failed(&error))?;
        self.cluster.take_in(&client);
        Ok(Open { queue, client })
    }

    fn number(&self) -> i32 {
        i32::try_from(self.partition.0).unwrap_or(i32::MAX)
    }

    fn at(&self) -> String {
        format!("partition {} of {}", self.partition, self.cluster.told.at(&self.topic))
    }

    fn failed(&self, error: &KafkaError) -> LogError {
        self.cluster.told.failed("read", self.at(), error)
    }

    /// The partition's bounds, within which the reader's place is.
    fn bounds(&self) -> Result<Bounds, LogError> {
        let bounds = self.cluster.bounds(&self.topic, self.partition)?;
        let wanted = Offset(self.next);
        let hint = match wanted {
            wanted if wanted < bounds.low => BELOW,
            wanted if bounds.high < wanted => ABOVE,
            _ => return Ok(bounds),
        };
        Err(LogError::OutOfBounds { partition: self.partition, wanted, bounds, hint })
    }

    /// Reads until `batch` is full, or what there was is read; what the client
    /// said last.
    fn take(&mut self, batch: &mut Batch, full: Full, deadline: Instant) -> Result<Said, LogError> {
        let open = match self.open.take() {
            Some(open) => open,
            None => {
                self.find_its_place()?;
                self.open()?
            }
        };
        let Open { queue, .. } = self.open.insert(open);
        let before = batch.len();
        let error = loop {
            let waits = batch.len() == before;
            let at_most = match waits {
                true => deadline.saturating_duration_since(Instant::now()),
                false => Duration::ZERO,
            };
            match queue.poll(at_most) {
                Some(Ok(message)) => {
                    let offset = u64::try_from(message.offset()).unwrap_or(0);
                    self.newest = appended_at(message.timestamp(), self.newest);
                    self.next = offset + 1;
                    batch.push(Record {
                        offset: Offset(offset),
                        appended_at: self.newest,
                        value: message.payload().unwrap_or_default(),
                    });
                    if full.is_reached(batch) {
                        return Ok(Said::More);
                    }
                }
                // More may come before the wait is over.
                Some(Err(KafkaError::PartitionEOF(_))) if waits => {}
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(Said::End),
                Some(Err(error)) => break error,
                // All that had come: what a busy partition's end is, since the next record
                // is there before the brokers say so.
                None if !waits => return Ok(Said::End),
                None if deadline <= Instant::now() => return Ok(Said::Nothing),
                None => {}
            }
        };
        Err(self.lost_its_place(&error))
    }

    /// Why the client cannot go on; the next read makes another.
    fn lost_its_place(&mut self, error: &KafkaError) -> LogError {
        self.open = None;
        self.is_outside |= matches!(
            error.rdkafka_error_code(),
            Some(Code::AutoOffsetReset | Code::OffsetOutOfRange)
        );
        let found = if self.is_outside { self.find_its_place() } else { Ok(()) };
        found.err().unwrap_or_else(|| self.failed(error))
    }

    /// Whether a client that is made anew may go on at the reader's place.
    fn find_its_place(&self) -> Result<(), LogError> {
        if self.log.is_some() {
            self.cluster.identify()?;
        }
        self.cluster.check_identity(self.log.as_ref())?;
        if !self.is_outside {
            return Ok(());
        }
        // Within the bounds again: it has grown past the place since. How much of
        // what it holds is new, nobody can tell.
        let (partition, wanted, end) = (self.partition, Offset(self.next), self.bounds()?.low);
        Err(LogError::LostEnd { partition, wanted, end })
    }

    /// Asks the brokers whether there is more, of which a client that `gave_nothing` should
    /// have said something.
    fn ask(&mut self, gave_nothing: bool) -> Result<ReadEnd, LogError> {
        let now = self.cluster.clock.now();
        let bounds = self.bounds()?;
        self.cluster.check_identity(self.log.as_ref())?;
        self.asked_at = Some(Instant::now());
        if self.next < bounds.high.0 && self.client_passed() < bounds.high.0 {
            // The client has said nothing although there is something.
            if let Some(open) = self.open.as_ref().filter(|_| gave_nothing) {
                remind(open.client.client(), &self.cluster.told.brokers);
            }
            return Ok(ReadEnd::More);
        }
        // Also behind marks of transactions, which retention deletes with all else.
        self.next = self.next.max(bounds.high.0);
        let by = now.minus(CLOCKS_APART).max(self.newest);
        self.caught_up = Some(by);
        Ok(ReadEnd::CaughtUp(by))
    }

    /// The offset up to which the client went: behind the last record there may
    /// be marks of transactions, which it passes in silence.
    fn client_passed(&self) -> u64 {
        let position = self.open.as_ref().and_then(|open| open.client.position().ok());
        let passed = position.and_then(|list| {
            let found = list.find_partition(&self.topic, self.number())?;
            found.offset().to_raw()
        });
        passed.and_then(|offset| u64::try_from(offset).ok()).unwrap_or(0)
    }

    fn asked_lately(&self) -> bool {
        self.asked_at.is_some_and(|at| at.elapsed() < ASK_EVERY)
    }
}

/// How a client stopped giving records.
enum Said {
    /// It has more, or may have.
    More,
    /// It gave records, and then was at the end, or had none ready.
    End,
    /// It gave none in the time that there was.
    Nothing,
}

impl LogReader for KafkaReader {
    fn read(
        &mut self,
        batch: &mut Batch,
        records_max: usize,
        wait: Duration,
    ) -> Result<ReadEnd, LogError> {
        self.cluster.check_identity(self.log.as_ref())?;
        let deadline = Instant::now() + wait.min(WAIT_MAX);
        let before = batch.len();
        let said = self.take(batch, Full::after(batch, records_max), deadline);
        if before < batch.len() {
            self.caught_up = None;
        }
        match said? {
            Said::More => Ok(ReadEnd::More),
            Said::End if self.asked_lately() => Ok(ReadEnd::More),
            Said::End => match self.ask(false) {
                // The records are whole all the same.
                Err(error) if error.may_succeed_later() => {
                    self.asked_at = Some(Instant::now());
                    Ok(ReadEnd::More)
                }
                asked => asked,
            },
            Said::Nothing
                if self.asked_lately()
                    && let Some(by) = self.caught_up =>
            {
                Ok(ReadEnd::CaughtUp(by))
            }
            Said::Nothing => self.ask(true),
        }
    }

    fn passed(&self) -> Offset {
        Offset(self.next)
    }
}

impl Drop for KafkaReader {
    fn drop(&mut self) {
        if self.topic == self.cluster.told.topic {
            self.cluster.told.metrics.forget(self.partition);
        }
    }
}

/// When a record was appended, by what it bears: the log's clock, or the sender's
/// where the topic is kept so. One that bears nothing is as old as the one before.
fn appended_at(born: Timestamp, before: UnixMillis) -> UnixMillis {
    match born {
        Timestamp::LogAppendTime(millis) | Timestamp::CreateTime(millis) => UnixMillis::new(millis),
        Timestamp::NotAvailable => before,
    }
}
