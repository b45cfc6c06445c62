//! Frames to the log: numbered, in order, batched, until the log took them.
//!
//! Each source numbers and encodes its own frames ([`SourcePublisher`]); one thread
//! appends what all of them hand over ([`Publisher`]). Before a log on a server stands
//! a [`Spool`](crate::spool::Spool): then that is the log here, and what is said of
//! the log is said of this machine's disk.
//!
//! # Invariants
//!
//! - A source's frames are numbered 0, 1, 2 … within its session without a gap, and
//!   reach the log in that order. An append of unknown outcome is repeated: a frame
//!   is counted once however often it arrives.
//! - At most [`PublishOptions::queue_frames_max`] frames wait. When they do, whoever
//!   publishes waits too, and a live camera drops pictures instead of queueing them.
//! - A frame is given up only when the process was told to stop and the log has
//!   been out of reach for the grace, and then it is counted.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{io, thread};

use crossbeam_channel::{Receiver, SendTimeoutError, Sender, bounded};
use prometheus::IntCounter;
use schemas::avro;
use schemas::frame::{Frame, FrameFault, FrameId, Seen};
use schemas::log::{FrameLog, LogError};
use schemas::source::{SessionId, SourceId};
use schemas::stop::Stop;
use schemas::time::{Clock, UnixMillis};

use crate::metrics::{Metrics, SourceMetrics};

/// How patient publishing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishOptions {
    /// Frames that wait for the log at most, of all sources together.
    pub queue_frames_max: usize,
    /// Frames of one append at most.
    pub batch_frames_max: usize,
    /// Wait before the first repetition of a failed append; each further one is
    /// twice as long.
    pub backoff_first: Duration,
    /// Longest wait between two repetitions.
    pub backoff_max: Duration,
    /// How long to go on trying after the [`Stop`] was turned.
    pub grace: Duration,
}

impl Default for PublishOptions {
    fn default() -> PublishOptions {
        PublishOptions {
            queue_frames_max: 8192,
            batch_frames_max: 1024,
            backoff_first: Duration::from_millis(100),
            backoff_max: Duration::from_secs(5),
            grace: Duration::from_secs(10),
        }
    }
}

/// Why frames are not published any more.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error("the log refuses frames; {unsent} frames are not published")]
    Log { unsent: usize, source: LogError },

    #[error("stopped, but the log did not take {unsent} frames in {grace:?}; they are lost")]
    GaveUp { unsent: usize, grace: Duration, source: LogError },

    #[error("stopped before the frame could be handed over")]
    Stopped,

    #[error("the publisher has ended; its own error says why")]
    Ended,

    #[error("could not start the publisher's thread")]
    Thread(#[source] io::Error),

    #[error("the publisher's thread panicked")]
    Panicked,
}

/// What a publisher did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Frames that the log acknowledged.
    pub frames: u64,
    /// Appends that the log acknowledged.
    pub batches: u64,
    /// Appends that failed and were repeated.
    pub retries: u64,
}

/// A frame on its way.
struct Queued {
    source: SourceId,
    bytes: Vec<u8>,
    published: IntCounter,
}

/// Appends the frames of all sources of a process.
pub struct Publisher {
    sender: Sender<Queued>,
    thread: JoinHandle<Result<Published, PublishError>>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    stop: Stop,
}

impl Publisher {
    /// Starts the thread that appends to `log`.
    ///
    /// If the log refuses frames for good, the thread turns `stop`: nothing that is
    /// produced from then on could be kept.
    ///
    /// # Errors
    ///
    /// The system has no thread left.
    pub fn start(
        log: Arc<dyn FrameLog>,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
        options: PublishOptions,
        stop: Stop,
    ) -> Result<Publisher, PublishError> {
        let (sender, receiver) = bounded(options.queue_frames_max.max(1));
        let appender = Appender {
            log,
            receiver,
            metrics: metrics.clone(),
            options,
            stop: stop.clone(),
            told_to_stop: None,
            done: Published::default(),
        };
        let thread = thread::Builder::new()
            .name("publisher".to_owned())
            .spawn(move || appender.run())
            .map_err(PublishError::Thread)?;
        Ok(Publisher { sender, thread, clock, metrics, stop })
    }

    /// A new session of `source`.
    pub fn source(&self, source: SourceId) -> SourcePublisher {
        SourcePublisher {
            source,
            session: SessionId::random(),
            next_seq: 0,
            sender: self.sender.clone(),
            clock: Arc::clone(&self.clock),
            metrics: self.metrics.of(source),
            queued: self.metrics.queued.clone(),
            stop: self.stop.clone(),
        }
    }

    /// Waits until every frame handed over is in the log. Every
    /// [`SourcePublisher`] must be gone or about to be.
    ///
    /// # Errors
    ///
    /// The log refused frames, or did not take them in the grace after a stop.
    pub fn finish(self) -> Result<Published, PublishError> {
        drop(self.sender);
        self.thread.join().map_err(|_| PublishError::Panicked)?
    }
}

/// Publishes the frames of one session of one source.
pub struct SourcePublisher {
    source: SourceId,
    session: SessionId,
    next_seq: u64,
    sender: Sender<Queued>,
    clock: Arc<dyn Clock>,
    metrics: SourceMetrics,
    queued: prometheus::IntGauge,
    stop: Stop,
}

impl SourcePublisher {
    pub fn source(&self) -> SourceId {
        self.source
    }

    /// The metrics of this source.
    pub fn metrics(&self) -> &SourceMetrics {
        &self.metrics
    }

    /// Hands over what was seen at `captured_at`, and returns the frame; `None` if it
    /// could not be counted, which is logged and counted instead. Waits while too
    /// many frames wait for the log.
    ///
    /// # Errors
    ///
    /// The process was told to stop meanwhile, or the publisher has ended.
    pub fn publish(
        &mut self,
        captured_at: UnixMillis,
        seen: Seen,
    ) -> Result<Option<Frame>, PublishError> {
        let id = FrameId { source: self.source, session: self.session, seq: self.next_seq };
        let frame = Frame { id, captured_at, produced_at: self.clock.now(), seen };
        if let Err(fault) = frame.check() {
            self.refuse(&fault);
            return Ok(None);
        }
        let mut bytes = Vec::new();
        avro::encode(&frame, &mut bytes);
        let published = self.metrics.published.clone();
        let mut queued = Queued { source: self.source, bytes, published };
        loop {
            match self.sender.send_timeout(queued, LOOK_EVERY) {
                Ok(()) => break,
                Err(SendTimeoutError::Disconnected(_)) => return Err(PublishError::Ended),
                Err(SendTimeoutError::Timeout(_)) if self.stop.is_stopped() => {
                    return Err(PublishError::Stopped);
                }
                Err(SendTimeoutError::Timeout(back)) => queued = back,
            }
        }
        self.queued.inc();
        self.next_seq += 1;
        Ok(Some(frame))
    }

    fn refuse(&self, fault: &FrameFault) {
        self.metrics.refused.inc();
        tracing::warn!(source = %self.source, %fault, "frame refused, it could not be counted");
    }
}

/// How often a wait looks whether the process was told to stop.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The publisher's thread.
struct Appender {
    log: Arc<dyn FrameLog>,
    receiver: Receiver<Queued>,
    metrics: Metrics,
    options: PublishOptions,
    stop: Stop,
    /// When the stop was first seen.
    told_to_stop: Option<Instant>,
    done: Published,
}

impl Appender {
    fn run(mut self) -> Result<Published, PublishError> {
        let mut batch = Vec::new();
        // Ends when every sender is gone and the queue is empty.
        while let Ok(first) = self.receiver.recv() {
            batch.push(first);
            let more = self.options.batch_frames_max.max(1) - 1;
            batch.extend(self.receiver.try_iter().take(more));
            if let Err(error) = self.append(&batch) {
                tracing::error!(%error, "publishing ends");
                self.stop.stop();
                return Err(error);
            }
            let frames = u64::try_from(batch.len()).unwrap_or(u64::MAX);
            self.done.frames += frames;
            self.done.batches += 1;
            self.metrics.queued.sub(i64::try_from(batch.len()).unwrap_or(i64::MAX));
            batch.drain(..).for_each(|queued| queued.published.inc());
        }
        Ok(self.done)
    }

    /// Appends `batch`, as often as it takes.
    fn append(&mut self, batch: &[Queued]) -> Result<(), PublishError> {
        let records: Vec<(SourceId, &[u8])> =
            batch.iter().map(|queued| (queued.source, queued.bytes.as_slice())).collect();
        let mut backoff = self.options.backoff_first;
        let mut failing_since: Option<Instant> = None;
        loop {
            let began = Instant::now();
            let source = match self.log.append(&records) {
                Ok(()) => {
                    self.metrics.append_seconds.observe(began.elapsed().as_secs_f64());
                    if let Some(since) = failing_since {
                        let outage_ms = millis(since.elapsed());
                        tracing::info!(outage_ms, "the log takes frames again");
                    }
                    return Ok(());
                }
                Err(source) => source,
            };
            let unsent = batch.len() + self.receiver.len();
            if !source.may_succeed_later() {
                return Err(PublishError::Log { unsent, source });
            }
            if failing_since.is_none() {
                tracing::warn!(error = %source, queued = unsent, "the log does not take frames, trying again");
            }
            failing_since.get_or_insert(began);
            if self.stop.is_stopped() {
                let told = *self.told_to_stop.get_or_insert_with(Instant::now);
                if self.options.grace <= told.elapsed() {
                    let grace = self.options.grace;
                    return Err(PublishError::GaveUp { unsent, grace, source });
                }
                // The switch is turned, so waiting on it would not wait.
                thread::sleep(backoff.min(self.options.grace.saturating_sub(told.elapsed())));
            } else {
                self.stop.wait(backoff);
            }
            self.done.retries += 1;
            self.metrics.retries.inc();
            backoff = (backoff * 2).min(self.options.backoff_max);
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
