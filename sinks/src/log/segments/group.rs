//! Group commit: appends that arrive while one is being made durable go
//! together into the next.
//!
//! # Invariants
//!
//! - A group is written by one of its own appenders, or by one who finds no room
//!   in it, and only after every earlier group has its outcome: records keep the
//!   order of their calls.
//! - At most one group is being written and one is waiting; the waiting one has
//!   a bound in bytes.
//! - A group whose appenders have all given up is written by whoever comes next:
//!   the log goes on after a disk that hung.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use schemas::log::LogError;

use super::directory::error;

/// Values that are appended together.
#[derive(Debug, Default)]
pub(super) struct Values {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Values {
    pub(super) fn push(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len());
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let value = &self.bytes[start..end];
            start = end;
            value
        })
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

/// Why a group was not appended, for each of its appenders.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) doing: &'static str,
    pub(super) at: String,
    kind: std::io::ErrorKind,
    code: Option<i32>,
    text: String,
}

impl Failure {
    pub(super) fn new(doing: &'static str, at: String, error: &std::io::Error) -> Failure {
        let (kind, code) = (error.kind(), error.raw_os_error());
        Failure { doing, at, kind, code, text: error.to_string() }
    }

    fn error(&self) -> LogError {
        let source = match self.code {
            Some(code) => std::io::Error::from_raw_os_error(code),
            None => std::io::Error::new(self.kind, self.text.clone()),
        };
        error(self.doing, self.at.clone(), source)
    }
}

/// What became of a group; empty until it is known.
type Outcome = OnceLock<Result<(), Failure>>;

/// An append that waits for its group.
#[must_use]
pub(super) struct Ticket(Arc<Outcome>);

/// The appenders of one partition.
pub(super) struct Groups {
    queue: Mutex<Queue>,
    /// A group got its outcome, or there is room in the waiting one.
    moved: Condvar,
    waiting_bytes_max: usize,
}

#[derive(Default)]
struct Queue {
    waiting: Values,
    outcome: Arc<Outcome>,
    /// Whether a group is being written.
    writing: bool,
    /// The buffers of the group before, to be filled again.
    spare: Values,
}

/// The group that its taker is about to write.
struct Taken {
    values: Values,
    outcome: Arc<Outcome>,
}

impl Queue {
    /// Takes the waiting group; nobody else may be writing.
    fn take(&mut self) -> Taken {
        self.writing = true;
        let spare = std::mem::take(&mut self.spare);
        let values = std::mem::replace(&mut self.waiting, spare);
        Taken { values, outcome: std::mem::take(&mut self.outcome) }
    }
}

impl Groups {
    pub(super) fn new(waiting_bytes_max: usize) -> Groups {
        Groups { queue: Mutex::default(), moved: Condvar::new(), waiting_bytes_max }
    }

    /// Joins the waiting group, as soon as there is room in it. Calls `write` for
    /// a group that leaves no room if nobody else does: its own appenders may
    /// have given up.
    pub(super) fn join<'a>(
        &self,
        values: impl Iterator<Item = &'a [u8]> + Clone,
        deadline: Instant,
        write: impl Fn(&Values) -> Result<(), Failure>,
    ) -> Result<Ticket, LogError> {
        let bytes: usize = values.clone().map(<[u8]>::len).sum();
        // One call that alone exceeds the bound is taken when nothing waits.
        let has_room = |waiting: &Values| {
            waiting.is_empty() || waiting.bytes() + bytes <= self.waiting_bytes_max
        };
        let mut queue = self.lock();
        while queue.writing && !has_room(&queue.waiting) {
            queue = self.wait(queue, deadline)?;
        }
        let ahead = (!has_room(&queue.waiting)).then(|| queue.take());
        // Before that one is written: whoever writes for others has its place.
        values.for_each(|value| queue.waiting.push(value));
        let ticket = Ticket(Arc::clone(&queue.outcome));
        drop(queue);
        if let Some(ahead) = ahead {
            drop(self.write(ahead, write));
        }
        Ok(ticket)
    }

    /// Waits until the ticket's group has its outcome; calls `write` for the
    /// group if nobody else does.
    pub(super) fn finish(
        &self,
        ticket: &Ticket,
        deadline: Instant,
        write: impl Fn(&Values) -> Result<(), Failure>,
    ) -> Result<(), LogError> {
        let mut queue = self.lock();
        loop {
            if let Some(outcome) = ticket.0.get() {
                return outcome.clone().map_err(|failure| failure.error());
            }
            if queue.writing {
                queue = self.wait(queue, deadline)?;
                continue;
            }
            // Nobody writes and the outcome is open: the group still waits.
            let group = queue.take();
            drop(queue);
            queue = self.write(group, &write);
        }
    }

    /// Writes a group and tells its appenders.
    fn write(
        &self,
        group: Taken,
        write: impl Fn(&Values) -> Result<(), Failure>,
    ) -> MutexGuard<'_, Queue> {
        let Taken { mut values, outcome } = group;
        // There is room in the waiting group.
        self.moved.notify_all();

        let written = write(&values);

        values.clear();
        let mut queue = self.lock();
        queue.spare = values;
        queue.writing = false;
        outcome.get_or_init(|| written);
        self.moved.notify_all();
        queue
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(
        &self,
        queue: MutexGuard<'a, Queue>,
        deadline: Instant,
    ) -> Result<MutexGuard<'a, Queue>, LogError> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left == Duration::ZERO {
            return Err(LogError::Overloaded);
        }
        let woken = self.moved.wait_timeout(queue, left);
        Ok(woken.unwrap_or_else(PoisonError::into_inner).0)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    /// For a join that finds room.
    fn unwritten(group: &Values) -> Result<(), Failure> {
        panic!("{} values were to be written by one who has room", group.len())
    }

    fn values(group: &Values) -> Vec<Vec<u8>> {
        group.iter().map(<[u8]>::to_vec).collect()
    }

    #[test]
    fn calls_that_come_during_a_write_go_together_into_the_next() {
        let groups = Groups::new(1 << 20);
        let (started, first_runs) = mpsc::sync_channel(1);
        let (go_on, may_end) = mpsc::sync_channel(1);
        thread::scope(|scope| {
            let first = groups.join([&b"a"[..]].into_iter(), soon(), unwritten).unwrap();
            let groups = &groups;
            scope.spawn(move || {
                groups.finish(&first, soon(), |group| {
                    assert_eq!(values(group), [b"a"]);
                    started.send(()).unwrap();
                    may_end.recv_timeout(Duration::from_secs(20)).unwrap();
                    Ok(())
                })
            });
            first_runs.recv_timeout(Duration::from_secs(20)).unwrap();
            let second = groups.join([&b"b"[..]].into_iter(), soon(), unwritten).unwrap();
            let third = groups.join([&b"c"[..], b"d"].into_iter(), soon(), unwritten).unwrap();
            go_on.send(()).unwrap();
            let written = Mutex::new(Vec::new());
            for ticket in [second, third] {
                groups
                    .finish(&ticket, soon(), |group| {
                        written.lock().unwrap().push(values(group));
                        Ok(())
                    })
                    .unwrap();
            }
            assert_eq!(written.into_inner().unwrap(), [[b"b", b"c", b"d"]]);
        });
    }

    #[test]
    fn a_full_group_is_waited_for_and_not_for_ever() {
        let groups = Groups::new(4);
        let big = [&b"longer than the bound"[..]];
        let (started, runs) = mpsc::sync_channel(1);
        let (go_on, may_end) = mpsc::sync_channel(1);
        thread::scope(|scope| {
            let first = groups.join(big.into_iter(), soon(), unwritten).unwrap();
            let groups = &groups;
            let hangs = scope.spawn(move || {
                groups.finish(&first, soon(), |_| {
                    started.send(()).unwrap();
                    may_end.recv_timeout(Duration::from_secs(20)).unwrap();
                    Ok(())
                })
            });
            runs.recv_timeout(Duration::from_secs(20)).unwrap();
            let now = Instant::now();
            let second = groups.join(big.into_iter(), now, unwritten).unwrap();
            let third = groups.join(big.into_iter(), now, unwritten);
            assert!(matches!(third, Err(LogError::Overloaded)));
            let given_up = groups.finish(&second, now, unwritten);
            assert!(matches!(given_up, Err(LogError::Overloaded)));
            go_on.send(()).unwrap();
            hangs.join().unwrap().unwrap();
        });

        // The second is still there and full, and nobody waits for it.
        let written = Mutex::new(Vec::new());
        let write = |group: &Values| {
            written.lock().unwrap().push(values(group));
            Ok(())
        };
        let now = Instant::now();
        let last = groups.join([&b"last"[..]].into_iter(), now, write).unwrap();
        groups.finish(&last, now, write).unwrap();
        assert_eq!(written.into_inner().unwrap(), [big.map(<[u8]>::to_vec), [b"last".to_vec()]]);
    }

    #[test]
    fn every_appender_of_a_failed_group_is_told_why() {
        let groups = Groups::new(100);
        let both =
            [(); 2].map(|()| groups.join([&b"x"[..]].into_iter(), soon(), unwritten).unwrap());
        for ticket in both {
            let told = groups.finish(&ticket, soon(), |_| {
                let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
                Err(Failure::new("write", "the log".into(), &full))
            });
            assert!(matches!(told, Err(LogError::Full { .. })), "{told:?}");
        }
    }
}
