//! What appenders and the sender share, and the appenders' side of the spool.
//!
//! # Invariants
//!
//! - An append finds its way, and if that is the local log counts itself in
//!   [`State::spooling`], under one lock. The way leads to the remote again only when
//!   nobody is counted and everything local is sent, under the same lock.
//! - An append to the remote is settled once: by the sender when the remote has
//!   answered, or by its appender whose time is over. Who settles it as not taken
//!   counts it.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use schemas::log::{FrameLog, LogError, Offset, TrimLog};
use schemas::source::SourceId;
use schemas::time::{Clock, UnixMillis};

use super::aside::Aside;
use super::{ONLY, Record, SpoolOptions, WhenFull, after, append_settling};
use crate::metrics::SpoolMetrics;

/// Where appends go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Remote,
    Local,
}

/// What the lock protects.
pub(super) struct State {
    pub(super) way: Way,
    /// Appends wait for a moment: what little is left in the local log is being sent.
    pub(super) handing_over: bool,
    /// Appends to the remote that the sender has not taken yet.
    pub(super) jobs: VecDeque<Job>,
    /// Appends that go to the local log, and their bytes.
    pub(super) spooling: Spooling,
    /// The first offset of the local log that is not settled.
    pub(super) sent: Offset,
    /// When the oldest frame that waits was spooled, if that is known.
    pub(super) oldest: Option<UnixMillis>,
    /// When the sender has to end, if it has to.
    pub(super) closing: Option<Instant>,
    ended: bool,
    /// When the way to the remote was left.
    left_at: Instant,
}

/// Appends that are under way to the local log.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spooling {
    pub(super) appends: u64,
    /// Of those that have room.
    bytes: u64,
    /// Bytes of one that waits for room.
    wanted: u64,
}

/// One append to the remote.
pub(super) struct Job {
    pub(super) records: Vec<(SourceId, Vec<u8>)>,
    /// How many of the records, from the first on, are settled; empty until it is
    /// known.
    outcome: Arc<OnceLock<usize>>,
}

impl Job {
    /// Tells the appender, unless it has given up before.
    pub(super) fn settle(&self, settled: usize, spooling: &mut Spooling) {
        if self.outcome.set(settled).is_ok() && settled < self.records.len() {
            spooling.appends += 1;
        }
    }
}

/// Everything that appenders and the sender share.
pub(super) struct Shared {
    pub(super) local: Arc<dyn TrimLog>,
    /// Empty until it was reached once.
    pub(super) remote: OnceLock<Arc<dyn FrameLog>>,
    pub(super) options: SpoolOptions,
    pub(super) metrics: SpoolMetrics,
    clock: Arc<dyn Clock>,
    aside: Aside,
    state: Mutex<State>,
    /// Something in the state that somebody may wait for.
    changed: Condvar,
}

impl Shared {
    pub(super) fn new(
        local: Arc<dyn TrimLog>,
        options: SpoolOptions,
        clock: Arc<dyn Clock>,
        metrics: SpoolMetrics,
        aside: Aside,
        sent: Offset,
    ) -> Shared {
        let state = State {
            way: Way::Remote,
            handing_over: false,
            jobs: VecDeque::new(),
            spooling: Spooling::default(),
            sent,
            oldest: None,
            closing: None,
            ended: false,
            left_at: Instant::now(),
        };
        let shared = Shared {
            local,
            remote: OnceLock::new(),
            options,
            metrics,
            clock,
            aside,
            state: Mutex::new(state),
            changed: Condvar::new(),
        };
        shared.metrics.remote_up.set(1);
        let mut state = shared.lock();
        let waiting = shared.waiting_of(&state);
        if 0 < waiting {
            tracing::info!(
                frames = waiting,
                "an earlier run has left frames in the spool; they go first"
            );
            state.way = Way::Local;
        }
        shared.report(&state);
        drop(state);
        shared
    }

    pub(super) fn append(&self, records: &[Record<'_>]) -> Result<(), LogError> {
        if records.is_empty() {
            return Ok(());
        }
        let state = self.pass_handover();
        let settled = match state.way {
            Way::Remote => self.append_remote(state, records),
            Way::Local => {
                let mut state = state;
                state.spooling.appends += 1;
                0
            }
        };
        if settled == records.len() { Ok(()) } else { self.append_local(&records[settled..]) }
    }

    /// Waits while the way is about to lead to the remote again, but not for a remote
    /// that takes its time.
    fn pass_handover(&self) -> MutexGuard<'_, State> {
        let deadline = after(self.options.log_timeout);
        let mut state = self.lock();
        while state.handing_over {
            if deadline <= Instant::now() {
                state.handing_over = false;
                break;
            }
            state = self.wait(state, deadline);
        }
        state
    }

    /// Hands `records` to the sender, and returns how many of them are settled when it
    /// is done with them, or the time is over. If not all are, this append is counted
    /// as one to the local log.
    fn append_remote(&self, mut state: MutexGuard<'_, State>, records: &[Record<'_>]) -> usize {
        let deadline = after(self.options.log_timeout);
        let outcome = Arc::<OnceLock<usize>>::default();
        let owned = records.iter().map(|(source, value)| (*source, value.to_vec())).collect();
        state.jobs.push_back(Job { records: owned, outcome: Arc::clone(&outcome) });
        self.changed.notify_all();
        loop {
            if let Some(settled) = outcome.get() {
                return *settled;
            }
            if deadline <= Instant::now() {
                // If the sender has taken it, the remote may still take it: it will be
                // there twice, which is harmless.
                _ = outcome.set(0);
                state.jobs.retain(|job| !Arc::ptr_eq(&job.outcome, &outcome));
                state.spooling.appends += 1;
                self.leave_remote(&mut state, &LogError::Overloaded);
                return 0;
            }
            state = self.wait(state, deadline);
        }
    }

    /// From now on appends go to the local log, because of `why`.
    pub(super) fn leave_remote(&self, state: &mut State, why: &LogError) {
        if state.way == Way::Local {
            return;
        }
        let error: &(dyn std::error::Error + 'static) = why;
        match why.may_succeed_later() {
            true => tracing::warn!(error, "the log does not take frames, they are spooled"),
            false => tracing::error!(error, "the log refuses frames, they are spooled"),
        }
        state.way = Way::Local;
        state.left_at = Instant::now();
        self.metrics.remote_up.set(0);
        let State { jobs, spooling, .. } = state;
        jobs.drain(..).for_each(|job| job.settle(0, spooling));
        self.changed.notify_all();
    }

    /// Leads the way to the remote again, unless something is left that has to go
    /// first; tells for how long it did not.
    pub(super) fn return_to_remote(&self, state: &mut State) -> Option<Duration> {
        let is_sent = self.local.bounds(ONLY).is_ok_and(|bounds| bounds.high <= state.sent);
        if !is_sent || 0 < state.spooling.appends {
            return None;
        }
        (state.way, state.handing_over) = (Way::Remote, false);
        self.changed.notify_all();
        Some(state.left_at.elapsed())
    }

    /// The append to the local log of whoever is counted in [`State::spooling`].
    fn append_local(&self, records: &[Record<'_>]) -> Result<(), LogError> {
        let mut appended = Ok(());
        let mut rest = records;
        // Piece by piece: each must find room, and no segment may get long.
        while let (Ok(()), [_, ..]) = (&appended, rest) {
            let (piece, bytes) = first_piece(rest, self.options.segment_bytes().get());
            appended = self.make_room(bytes).and_then(|()| self.append_piece(piece, bytes));
            rest = &rest[piece.len()..];
        }
        let mut state = self.lock();
        state.spooling.appends -= 1;
        self.report(&state);
        drop(state);
        self.changed.notify_all();
        appended
    }

    /// Appends what room is reserved for.
    fn append_piece(&self, piece: &[Record<'_>], bytes: u64) -> Result<(), LogError> {
        let mut aside = 0;
        let mut refused = |record: Record<'_>, why: &LogError| {
            aside += 1;
            self.set_aside(record.1, why);
        };
        let (_, appended) = append_settling(&*self.local, piece, &mut refused);
        self.lock().spooling.bytes -= bytes;
        if appended.is_ok() {
            self.metrics.spooled.inc_by(wide(piece.len()) - aside);
        }
        appended
    }

    /// Reserves room for `bytes`, as soon as the sender has made it.
    fn make_room(&self, bytes: u64) -> Result<(), LogError> {
        let deadline = after(self.options.log_timeout);
        let mut state = self.lock();
        loop {
            // When nothing waits, what is on the disk is only not deleted yet.
            let is_alone = state.spooling.bytes == 0 && self.waiting_of(&state) == 0;
            if is_alone || self.bytes_with(&state, bytes) <= self.options.bytes_max {
                state.spooling.bytes += bytes;
                state.spooling.wanted = 0;
                return Ok(());
            }
            if deadline <= Instant::now() {
                state.spooling.wanted = 0;
                return Err(LogError::Overloaded);
            }
            if state.spooling.wanted < bytes {
                state.spooling.wanted = bytes;
                self.changed.notify_all();
            }
            state = self.wait(state, deadline);
        }
    }

    /// Bytes that the local log will take when what is under way has been appended,
    /// and `bytes` more.
    fn bytes_with(&self, state: &State, bytes: u64) -> u64 {
        self.local.bytes() + state.spooling.bytes + bytes
    }

    /// Whether the oldest frames must go, and there are any.
    pub(super) fn must_drop(&self, state: &State) -> bool {
        let is_full = self.options.dropped_above() < self.local.bytes()
            || self.options.bytes_max < self.bytes_with(state, state.spooling.wanted);
        let drops = self.options.when_full == WhenFull::DropOldest;
        drops && is_full && 0 < self.waiting_of(state)
    }

    /// Keeps a record that nobody will ever take out of the way, and counts it.
    pub(super) fn set_aside(&self, value: &[u8], why: &(dyn std::error::Error + 'static)) {
        self.aside.take(value, why);
        self.metrics.set_aside.inc();
    }

    /// The moment before which frames are too old to be kept.
    pub(super) fn kept_from(&self) -> UnixMillis {
        self.clock.now().minus(self.options.age_max)
    }

    /// Asks the sender to end by `deadline`, and waits until `patience` for it;
    /// whether it has ended.
    pub(super) fn close(&self, deadline: Instant, patience: Instant) -> bool {
        let mut state = self.lock();
        state.closing = Some(state.closing.map_or(deadline, |before| before.min(deadline)));
        self.changed.notify_all();
        while !state.ended && Instant::now() < patience {
            state = self.wait(state, patience);
        }
        state.ended
    }

    /// Takes note that nobody sends any more: what still comes is spooled.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        (state.way, state.handing_over) = (Way::Local, false);
        let State { jobs, spooling, .. } = &mut *state;
        jobs.drain(..).for_each(|job| job.settle(0, spooling));
        self.changed.notify_all();
    }

    pub(super) fn waiting(&self) -> u64 {
        self.waiting_of(&self.lock())
    }

    pub(super) fn waiting_of(&self, state: &State) -> u64 {
        // Whoever reads the log is told why it cannot be.
        self.local.bounds(ONLY).map_or(0, |bounds| bounds.high.0.saturating_sub(state.sent.0))
    }

    /// Brings the gauges up to date.
    pub(super) fn report(&self, state: &State) {
        let waiting = self.waiting_of(state);
        let oldest = state.oldest.filter(|_| 0 < waiting);
        let age = oldest.map_or(Duration::ZERO, |oldest| self.clock.now().since(oldest));
        self.metrics.frames.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        self.metrics.bytes.set(i64::try_from(self.local.bytes()).unwrap_or(i64::MAX));
        self.metrics.oldest.set(age.as_secs_f64());
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn notify(&self) {
        self.changed.notify_all();
    }

    /// Waits until something has changed, or until `deadline`.
    pub(super) fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        deadline: Instant,
    ) -> MutexGuard<'a, State> {
        let left = deadline.saturating_duration_since(Instant::now());
        self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
    }
}

/// The first records, one at least, that take about so many bytes at most; and how
/// many they do.
fn first_piece<'r, 'a>(records: &'r [Record<'a>], bytes_max: u64) -> (&'r [Record<'a>], u64) {
    let mut bytes = 0;
    for (index, (_, value)) in records.iter().enumerate() {
        let with_it = bytes + wide(value.len());
        if 0 < index && bytes_max < with_it {
            return (&records[..index], bytes);
        }
        bytes = with_it;
    }
    (records, bytes)
}

pub(super) fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
