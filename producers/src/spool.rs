//! Frames to the log, over the disk while the log is away.
//!
//! A [`Spool`] stands in front of the log that the pipeline reads (the *remote*) and
//! is appended to in its place. While the remote takes records, they go straight to
//! it. When it fails, or is slower than [`SpoolOptions::log_timeout`], they go into a
//! log on this machine's disk (the *local*) until everything there was forwarded.
//!
//! # Invariants
//!
//! - What was acknowledged is in the remote, or on this disk and will be sent, or was
//!   dropped by a bound or set aside, and counted then. A crash sends again what it
//!   cannot know to have arrived: a frame is counted once however often it arrives.
//! - A source's frames first reach the remote in the order in which they were
//!   appended: while anything waits in the local log, everything else goes behind it.
//! - Only one thread, the sender, calls the remote. An appender never waits for it
//!   longer than `log_timeout` at a time, whatever the remote does.
//! - The local log takes no more than [`SpoolOptions::bytes_max`] on the disk.
//! - No record holds up the others: what the remote will never take, and what is no
//!   frame, is set aside with its bytes.
//!
//! # When there is no more room
//!
//! [`WhenFull::DropOldest`] drops the oldest frames, as many as the new ones need. A
//! live camera cannot wait, so an outage that is too long loses frames in any case; so
//! it loses one stretch of time, at the outage's beginning, the same for every source,
//! and what is going on now is counted when the log is back. Each dropped frame is
//! counted under its source, and missing from the coverage of its windows.
//! [`WhenFull::Wait`] takes no more frames, which is right for recordings: those wait.
//! By age, frames are only ever dropped while the log does not take them.

mod aside;
mod cursor;
mod front;
mod loss;
mod sender;
mod shared;

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use schemas::log::{Bounds, FrameLog, LogError, LogId, LogReader, Offset, Partition, TrimLog};
use schemas::source::SourceId;
use schemas::time::Clock;
use serde::Deserialize;

use crate::metrics::SpoolMetrics;
use aside::Aside;
use sender::Sender;
use shared::Shared;

/// The one partition of the local log: one queue for all sources.
const ONLY: Partition = Partition(0);

/// Longest segment of the local log, bytes.
const SEGMENT_BYTES_MAX: u64 = 16 << 20;

/// How long the sender may take to end once its time is over, before it is left to
/// the remote that holds it.
const LAST: Duration = Duration::from_secs(1);

/// Opens the remote log. It is called again, as patiently as a failed append, until
/// it succeeds: a process that starts while the broker is away spools from its first
/// frame on.
pub type Connect = Box<dyn Fn() -> Result<Arc<dyn FrameLog>, LogError> + Send>;

/// What becomes of frames when the spool has no more room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// The oldest frames are dropped, and counted.
    #[default]
    DropOldest,
    /// New frames are not taken: recordings wait, live cameras lose pictures.
    Wait,
}

/// How a spool works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolOptions {
    /// The local log's folder: what the spool remembers is there too.
    pub dir: PathBuf,
    /// Bytes that the local log may take on the disk.
    pub bytes_max: u64,
    /// How long a frame is kept for a log that does not take it.
    pub age_max: Duration,
    pub when_full: WhenFull,
    /// How long an append may take before its frames are spooled.
    pub log_timeout: Duration,
    /// Wait after the first failure to forward; each further one is twice as long.
    pub backoff_first: Duration,
    /// Longest wait between two tries to forward.
    pub backoff_max: Duration,
}

impl SpoolOptions {
    /// From how many bytes on the oldest frames are dropped. None can be while a call
    /// of the remote lasts, and what comes meanwhile is to find room.
    const fn dropped_above(&self) -> u64 {
        self.bytes_max - self.bytes_max / 8
    }

    /// How long the segments of the local log are to be, bytes: it is emptied a whole
    /// one at a time, and the newest stays when everything is sent.
    pub fn segment_bytes(&self) -> NonZeroU64 {
        let bytes = (self.bytes_max / 16).min(SEGMENT_BYTES_MAX);
        NonZeroU64::new(bytes).unwrap_or(NonZeroU64::MIN)
    }
}

/// Why a spool cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    #[error("could not read the spool")]
    Local(#[source] LogError),

    #[error("the spool has {0} partitions; one queue is one partition: name another folder")]
    Partitions(u32),

    #[error("could not make the folder {dir}")]
    Dir { dir: PathBuf, source: io::Error },

    #[error("could not read {path}")]
    Cursor { path: PathBuf, source: io::Error },

    #[error("could not start the spool's thread")]
    Thread(#[source] io::Error),
}

/// A log to append to that is there also while the log behind it is not.
///
/// To read, it is the log behind it; until that was reached once, reading fails and
/// the identity is the local log's.
pub struct Spool {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Spool {
    /// Goes on where the spool in `options.dir` was left: what is in `local`, which
    /// has one partition, is sent before anything else.
    ///
    /// The local log's segments must be no longer than
    /// [`SpoolOptions::segment_bytes`].
    ///
    /// # Errors
    ///
    /// The local log cannot be read, or the system refuses a folder or a thread.
    pub fn start(
        connect: Connect,
        local: Arc<dyn TrimLog>,
        options: SpoolOptions,
        clock: Arc<dyn Clock>,
        metrics: SpoolMetrics,
    ) -> Result<Spool, SpoolError> {
        if local.partitions() != 1 {
            return Err(SpoolError::Partitions(local.partitions()));
        }
        let dir = options.dir.clone();
        fs::create_dir_all(&dir).map_err(|source| SpoolError::Dir { dir: dir.clone(), source })?;
        let (cursor, sent) = cursor::open(&dir, &*local)?;
        let aside = Aside::in_dir(&dir);
        let shared = Arc::new(Shared::new(local, options, clock, metrics, aside, sent));
        let sender = Sender::new(Arc::clone(&shared), connect, cursor, sent)?;
        let thread = thread::Builder::new()
            .name("spool".to_owned())
            .spawn(move || sender.run())
            .map_err(SpoolError::Thread)?;
        Ok(Spool { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Frames that wait on the disk.
    pub fn waiting(&self) -> u64 {
        self.shared.waiting()
    }

    /// Goes on forwarding until the spool is empty, `grace` at most, and ends; returns
    /// how many frames are left for the next start. Nobody may be about to append.
    pub fn finish(&self, grace: Duration) -> u64 {
        let deadline = after(grace);
        if self.shared.close(deadline, deadline + LAST) {
            let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
            if thread.is_some_and(|thread| thread.join().is_err()) {
                tracing::error!(
                    "the spool's thread panicked; what waits is sent by the next start"
                );
            }
        }
        let left = self.waiting();
        if 0 < left {
            tracing::warn!(
                frames = left,
                "the log is away; frames stay spooled for the next start"
            );
        }
        left
    }

    fn remote(&self) -> Result<&Arc<dyn FrameLog>, LogError> {
        self.shared.remote.get().ok_or_else(|| LogError::Unreachable {
            doing: "read",
            at: "the log".to_owned(),
            source: "it has not been reached yet".into(),
        })
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        let now = Instant::now();
        self.shared.close(now, now);
    }
}

impl FrameLog for Spool {
    fn identity(&self) -> LogId {
        match self.remote() {
            Ok(remote) => remote.identity(),
            Err(_) => self.shared.local.identity(),
        }
    }

    fn partitions(&self) -> u32 {
        self.remote().map_or(1, |remote| remote.partitions())
    }

    /// Appends to the remote, or else to the local log; one of them has acknowledged
    /// the records when this returns. A record that neither can ever take is set aside.
    ///
    /// # Errors
    ///
    /// The remote is away, and the local log does not take the records either, or had
    /// no room for them in time. Some may have been appended: append again.
    fn append(&self, records: &[(SourceId, &[u8])]) -> Result<(), LogError> {
        self.shared.append(records)
    }

    fn bounds(&self, partition: Partition) -> Result<Bounds, LogError> {
        self.remote()?.bounds(partition)
    }

    fn reader(&self, partition: Partition, from: Offset) -> Result<Box<dyn LogReader>, LogError> {
        self.remote()?.reader(partition, from)
    }

    fn schemas(&self) -> Result<Vec<String>, LogError> {
        self.remote()?.schemas()
    }
}

/// The moment so much later, a day at most: adding it never overflows.
fn after(wait: Duration) -> Instant {
    Instant::now() + wait.min(Duration::from_hours(24))
}

/// One record on its way.
type Record<'a> = (SourceId, &'a [u8]);

/// Appends `records` in order; each that is too long for `log` is told to `refused`
/// instead. Returns how many of them are settled, one way or the other; all, unless
/// there is an error.
fn append_settling(
    log: &dyn FrameLog,
    records: &[Record<'_>],
    refused: &mut dyn FnMut(Record<'_>, &LogError),
) -> (usize, Result<(), LogError>) {
    match (log.append(records), records) {
        (Ok(()), _) => (records.len(), Ok(())),
        (Err(error @ LogError::TooLong { .. }), [one]) => {
            refused(*one, &error);
            (1, Ok(()))
        }
        (Err(LogError::TooLong { .. }), [_, _, ..]) => {
            let (front, back) = records.split_at(records.len() / 2);
            let (settled, result) = append_settling(log, front, refused);
            if result.is_err() {
                return (settled, result);
            }
            let (settled, result) = append_settling(log, back, refused);
            (front.len() + settled, result)
        }
        (Err(error), _) => (0, Err(error)),
    }
}
