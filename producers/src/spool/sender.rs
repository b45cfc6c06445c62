//! The one thread that calls the remote: it sends what appenders hand over, or else
//! what waits in the local log, oldest first.
//!
//! # Invariants
//!
//! - A record of the local log is settled when the remote has acknowledged it, a bound
//!   has dropped it, or it was set aside; always in order.
//! - Only what is settled is trimmed from the local log.
//! - Nothing is dropped while the remote is being asked to take it: what is counted as
//!   dropped was never acknowledged by the remote.

use std::sync::Arc;
use std::time::{Duration, Instant};

use schemas::avro::{self, Schemas};
use schemas::log::{FrameLog, LogError, Offset};

use super::cursor::Cursor;
use super::front::{FRONT_RECORDS_MAX, Front};
use super::loss::{Bound, Loss};
use super::shared::{Job, Shared, Way, wide};
use super::{Connect, ONLY, Record, SpoolError, after, append_settling};

/// Frames dropped together; then it is looked whether there is room.
const DROPPED_TOGETHER: usize = 256;

/// How often a wait looks after the gauges.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How often it is told that the spool's own disk makes trouble.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// What is to be done next.
enum Work {
    Send(Vec<Job>),
    Forward,
}

/// The spool's thread.
pub(super) struct Sender {
    shared: Arc<Shared>,
    connect: Connect,
    schemas: Schemas,
    front: Front,
    cursor: Cursor,
    /// Frames that are forwarded together, at most: few while appends fail, so that a
    /// link that is too slow for many gets some through.
    together: usize,
    /// The next wait after a failure.
    backoff: Duration,
    /// Whether it was told that the remote refuses for good.
    refusal_told: bool,
    loss: Loss,
    complained_at: Option<Instant>,
}

/// What an append to the remote has come to.
struct Appended {
    /// Records, from the first on, that need not be appended again.
    settled: usize,
    /// How many of those the remote has.
    acknowledged: usize,
    result: Result<(), LogError>,
}

/// Says that the thread has ended, however it does.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Sender {
    pub(super) fn new(
        shared: Arc<Shared>,
        connect: Connect,
        cursor: Cursor,
        sent: Offset,
    ) -> Result<Sender, SpoolError> {
        let mut schemas = Schemas::builtin();
        for json in shared.local.schemas().map_err(SpoolError::Local)? {
            // Frames of a schema that cannot be read are set aside one by one.
            if let Err(error) = schemas.register(&json) {
                tracing::warn!(%error, "the spool declares a schema that cannot be read");
            }
        }
        let front = Front::new(Arc::clone(&shared.local), sent);
        let backoff = shared.options.backoff_first;
        Ok(Sender {
            shared,
            connect,
            schemas,
            front,
            cursor,
            together: FRONT_RECORDS_MAX,
            backoff,
            refusal_told: false,
            loss: Loss::default(),
            complained_at: None,
        })
    }

    pub(super) fn run(mut self) {
        let _ended = Ended(Arc::clone(&self.shared));
        while let Some(work) = self.next_work() {
            match work {
                Work::Send(jobs) => self.send(&jobs),
                Work::Forward => self.forward(),
            }
        }
        self.loss.end();
        self.keep(true);
    }

    fn next_work(&self) -> Option<Work> {
        let mut state = self.shared.lock();
        loop {
            match (state.way, state.closing) {
                (Way::Local, Some(deadline)) if deadline <= Instant::now() => return None,
                (Way::Local, _) => return Some(Work::Forward),
                (Way::Remote, _) if !state.jobs.is_empty() => {
                    return Some(Work::Send(state.jobs.drain(..).collect()));
                }
                (Way::Remote, Some(_)) => return None,
                (Way::Remote, None) => {
                    state = self.shared.wait(state, after(LOOK_EVERY));
                }
            }
        }
    }

    /// Sends what appenders wait for.
    fn send(&mut self, jobs: &[Job]) {
        let records: Vec<Record<'_>> = jobs
            .iter()
            .flat_map(|job| job.records.iter().map(|(source, value)| (*source, value.as_slice())))
            .collect();
        let Appended { mut settled, result, .. } = self.append(&records);
        let mut state = self.shared.lock();
        for job in jobs {
            let of_job = settled.min(job.records.len());
            settled -= of_job;
            job.settle(of_job, &mut state.spooling);
        }
        match &result {
            Ok(()) => self.shared.metrics.remote_up.set(1),
            Err(error) => {
                self.refusal_told = !error.may_succeed_later();
                self.shared.leave_remote(&mut state, error);
            }
        }
        drop(state);
        self.shared.notify();
    }

    fn append(&self, records: &[Record<'_>]) -> Appended {
        let mut aside = 0;
        let mut refused = |record: Record<'_>, why: &LogError| {
            aside += 1;
            self.shared.set_aside(record.1, why);
        };
        let (settled, result) = match self.remote() {
            Ok(remote) => append_settling(remote, records, &mut refused),
            Err(error) => (0, Err(error)),
        };
        Appended { settled, acknowledged: settled - aside, result }
    }

    fn remote(&self) -> Result<&dyn FrameLog, LogError> {
        if let Some(remote) = self.shared.remote.get() {
            return Ok(&**remote);
        }
        let remote = (self.connect)()?;
        Ok(&**self.shared.remote.get_or_init(|| remote))
    }

    /// Sends some of what waits in the local log, or finds that nothing does.
    fn forward(&mut self) {
        let filled = self.drop_for_room().and_then(|()| self.front.fill());
        if let Err(error) = filled {
            self.complain("the spool cannot be read", &error);
            self.pause();
            return;
        }
        if self.front.is_empty() {
            self.return_or_wait();
            return;
        }
        let Appended { settled, acknowledged, result } = self.append_front();
        self.shared.metrics.forwarded.inc_by(wide(acknowledged));
        self.settle(settled);
        self.keep(false);
        match result {
            Ok(()) if acknowledged == 0 => {}
            Ok(()) => self.taken(),
            Err(error) => {
                self.failed(&error);
                self.pause();
            }
        }
    }

    /// Appends the oldest frames that wait to the remote.
    fn append_front(&self) -> Appended {
        let mut records = Vec::new();
        for record in self.front.records().take(self.together) {
            match avro::header(record.value, &self.schemas) {
                Ok(header) => records.push((header.id.source, record.value)),
                // What is before it goes first.
                Err(_) if !records.is_empty() => break,
                Err(undecodable) => {
                    self.shared.set_aside(record.value, &undecodable);
                    return Appended { settled: 1, acknowledged: 0, result: Ok(()) };
                }
            }
        }
        self.append(&records)
    }

    /// The remote has taken frames that were spooled.
    fn taken(&mut self) {
        self.together = (self.together * 2).min(FRONT_RECORDS_MAX);
        self.backoff = self.shared.options.backoff_first;
        self.refusal_told = false;
        self.shared.metrics.remote_up.set(1);
        let mut state = self.shared.lock();
        let is_little = self.shared.waiting_of(&state) <= wide(FRONT_RECORDS_MAX);
        state.handing_over = state.closing.is_none() && is_little;
        drop(state);
        self.shared.notify();
    }

    /// The remote has not taken frames that were spooled.
    fn failed(&mut self, error: &LogError) {
        self.together = (self.together / 2).max(1);
        self.shared.metrics.remote_up.set(0);
        self.shared.lock().handing_over = false;
        self.shared.notify();
        let is_refusal = !error.may_succeed_later();
        let error: &(dyn std::error::Error + 'static) = error;
        if is_refusal && !self.refusal_told {
            tracing::error!(
                error,
                "the log refuses spooled frames; they are sent again until it does not"
            );
        } else {
            tracing::debug!(error, "the log does not take spooled frames yet");
        }
        self.refusal_told |= is_refusal;
        if let Err(error) = self.drop_by_age() {
            self.complain("the spool cannot be read", &error);
        }
    }

    /// Leads the way to the remote again, or waits for appends that are under way.
    fn return_or_wait(&mut self) {
        self.keep(true);
        let mut state = self.shared.lock();
        (state.sent, state.oldest) = (self.front.next(), None);
        self.shared.report(&state);
        match self.shared.return_to_remote(&mut state) {
            Some(outage) => {
                drop(state);
                self.front.rest();
                self.loss.end();
                let outage_ms = schemas::time::millis(outage);
                tracing::info!(outage_ms, "the spool is empty, frames go to the log again");
            }
            // Under the same lock that they end under.
            None if self.shared.waiting_of(&state) == 0 => {
                drop(self.shared.wait(state, after(LOOK_EVERY)));
            }
            None => {}
        }
    }

    /// Drops the oldest frames while the local log is too long.
    fn drop_for_room(&mut self) -> Result<(), LogError> {
        if !self.shared.must_drop(&self.shared.lock()) {
            return Ok(());
        }
        // What was sent may be deleted by now: the newest segment never is.
        self.settle(0);
        let made_room = loop {
            if let Err(error) = self.front.fill() {
                break Err(error);
            }
            if self.front.is_empty() || !self.shared.must_drop(&self.shared.lock()) {
                break Ok(());
            }
            self.drop_oldest(DROPPED_TOGETHER, Bound::Size);
        };
        self.settle(0);
        // Or a crash would send what was dropped behind what is sent from now on.
        self.keep(true);
        made_room
    }

    /// Drops the frames that are too old to be kept any longer.
    fn drop_by_age(&mut self) -> Result<(), LogError> {
        let kept_from = self.shared.kept_from();
        let mut dropped = 0;
        let read = loop {
            if let Err(error) = self.front.fill() {
                break Err(error);
            }
            let too_old = |record: &schemas::log::Record<'_>| record.appended_at < kept_from;
            let frames = self.front.records().take_while(too_old).count();
            if frames == 0 {
                break Ok(());
            }
            self.drop_oldest(frames, Bound::Age);
            dropped += frames;
        };
        if 0 < dropped {
            self.keep(true);
        }
        read
    }

    /// Drops `frames` of what was read at most, and counts them.
    fn drop_oldest(&mut self, frames: usize, bound: Bound) {
        let mut settled = 0;
        for record in self.front.records().take(frames) {
            settled += 1;
            match avro::header(record.value, &self.schemas) {
                Ok(header) => {
                    self.shared.metrics.dropped(header.id.source, bound.label()).inc();
                    self.loss.add(header.captured_at, bound);
                }
                Err(undecodable) => self.shared.set_aside(record.value, &undecodable),
            }
        }
        self.settle(settled);
    }

    /// Lets go of the oldest `records`.
    fn settle(&mut self, records: usize) {
        self.front.settle(records);
        if let Err(error) = self.shared.local.trim(ONLY, self.front.next()) {
            self.complain("the spool cannot be trimmed", &error);
        }
        let mut state = self.shared.lock();
        (state.sent, state.oldest) = (self.front.next(), self.front.oldest());
        self.shared.report(&state);
        drop(state);
        // Somebody may wait for the room.
        self.shared.notify();
    }

    /// Remembers what is settled, if it is time to or `now` asks for it.
    fn keep(&mut self, now: bool) {
        if let Err(error) = self.cursor.keep(self.front.next(), now) {
            self.complain("the spool's place cannot be kept", &error);
        }
    }

    /// Waits before the next try, less if the process is to end, and makes room
    /// meanwhile.
    fn pause(&mut self) {
        let shared = Arc::clone(&self.shared);
        let until = after(self.backoff);
        self.backoff = (self.backoff * 2).min(shared.options.backoff_max);
        let mut may_drop = true;
        let mut state = shared.lock();
        let closing = state.closing;
        let until = closing.map_or(until, |deadline| until.min(deadline));
        while Instant::now() < until {
            if state.closing != closing {
                self.backoff = shared.options.backoff_first;
                break;
            }
            if may_drop && shared.must_drop(&state) {
                drop(state);
                if let Err(error) = self.drop_for_room() {
                    self.complain("the spool cannot be read", &error);
                    may_drop = false;
                }
                state = shared.lock();
            } else {
                state = shared.wait(state, until);
            }
        }
    }

    /// Says that the spool's own disk makes trouble, not too often.
    fn complain(&mut self, what: &'static str, error: &(dyn std::error::Error + 'static)) {
        if self.complained_at.is_none_or(|at| COMPLAIN_EVERY <= at.elapsed()) {
            self.complained_at = Some(Instant::now());
            tracing::error!(dir = %self.shared.options.dir.display(), error, "{what}");
        }
    }
}
