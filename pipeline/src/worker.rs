//! The only file that steps timely, and where epochs end.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryRecvError};
use schemas::snapshot::Snapshot;
use schemas::time::{UnixMillis, millis};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::InputHandle;
use timely::dataflow::operators::Input;
use timely::worker::Worker;

use crate::dataflow::{self, Epoch, Local, Read, Shared, widen};
use crate::ingest::Ingested;

/// Epochs that may be computed ahead of the last commit. It bounds memory
/// whatever the store does.
pub(crate) const EPOCHS_AHEAD: u64 = 2;

/// How long a worker sleeps when there is nothing to do; whoever has something
/// wakes it.
const PARK: Duration = Duration::from_millis(100);

/// Where the epochs stand, for all threads.
#[derive(Debug)]
pub(crate) struct Epochs {
    current: AtomicU64,
    committed: AtomicU64,
    /// What entered the current epoch: frames, and other reads as one each. A
    /// slot an epoch, used in turn, so that nobody counts for another's.
    entered: [AtomicU64; 4],
    /// By input: the newest time of the log by which everything is known to have
    /// been read; none before it was read to its end for the first time. Also while
    /// there is more to read: inputs that are never idle at one moment must not keep
    /// the silence of other sources from being noticed.
    caught_up: Mutex<Vec<Option<UnixMillis>>>,
    failed: AtomicBool,
    workers: Mutex<Vec<Thread>>,
}

impl Epochs {
    pub(crate) fn new(inputs: usize) -> Epochs {
        Epochs {
            current: AtomicU64::new(1),
            committed: AtomicU64::new(0),
            entered: Default::default(),
            caught_up: Mutex::new(vec![None; inputs]),
            failed: AtomicBool::new(false),
            workers: Mutex::new(Vec::new()),
        }
    }

    /// The newest epoch that the store has.
    pub(crate) fn last_committed(&self) -> Epoch {
        self.committed.load(Ordering::SeqCst)
    }

    pub(crate) fn committed(&self, epoch: Epoch) {
        self.committed.store(epoch, Ordering::SeqCst);
        self.wake();
    }

    /// Nothing more will be committed.
    pub(crate) fn fail(&self) {
        self.failed.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// While it is held, a panic of the thread fails everything: nobody is left
    /// waiting for what will never come.
    pub(crate) fn fail_on_panic(&self) -> FailOnPanic<'_> {
        FailOnPanic(self)
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }

    pub(crate) fn wake(&self) {
        for worker in &*self.workers.lock().unwrap_or_else(PoisonError::into_inner) {
            worker.unpark();
        }
    }

    fn entered(&self, epoch: Epoch) -> &AtomicU64 {
        &self.entered[usize::try_from(epoch % 4).unwrap_or(0)]
    }

    /// Ends `current`, unless another worker has.
    fn end(&self, current: Epoch) {
        // Nobody uses the slot after the next one yet.
        self.entered(current + 2).store(0, Ordering::SeqCst);
        let next = current + 1;
        let moved =
            self.current.compare_exchange(current, next, Ordering::SeqCst, Ordering::SeqCst);
        if moved.is_ok() {
            self.wake();
        }
    }

    /// Notes by when all of `input` has been read.
    fn note(&self, input: usize, by: UnixMillis) {
        self.caught_up.lock().unwrap_or_else(PoisonError::into_inner)[input] = Some(by);
    }

    /// The time by which everything in all inputs has been read.
    fn all_caught_up(&self) -> Option<UnixMillis> {
        let caught_up = self.caught_up.lock().unwrap_or_else(PoisonError::into_inner);
        caught_up.iter().copied().min().flatten()
    }

    fn register(&self) {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).push(std::thread::current());
    }
}

/// See [`Epochs::fail_on_panic`].
pub(crate) struct FailOnPanic<'a>(&'a Epochs);

impl Drop for FailOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail();
        }
    }
}

/// The inputs that one worker feeds: each with its number and what it gives.
pub(crate) type Inputs = Vec<(usize, Receiver<Ingested>)>;

/// What a minute that an epoch adds to weighs in frames: its rows take room and
/// time to write like so many.
const MINUTE_WEIGHT: usize = 25;

/// What a frame takes up while its epoch is open: parked bytes and those of
/// pictures weigh by it.
const FRAME_BYTES: usize = 64;

/// How often silence is looked at.
const SILENCE_EVERY: Duration = Duration::from_secs(1);

/// Runs one worker until its inputs have ended, or nothing more can be committed.
pub(crate) fn run(worker: &mut Worker, inputs: Inputs, shared: &Arc<Shared>) {
    let epochs = &shared.epochs;
    let _watched = epochs.fail_on_panic();
    epochs.register();
    let to = worker.dataflow::<Epoch, _, _>(|scope| {
        let (to, read) = scope.new_input();
        dataflow::build(scope, read, shared);
        to
    });
    let mut feed = Feed { inputs, to, workers: worker.peers(), told: None };
    let mut begun = Instant::now();
    while !epochs.has_failed() && !feed.inputs.is_empty() {
        let current = epochs.current.load(Ordering::SeqCst);
        if *feed.to.time() < current {
            feed.to.advance_to(current);
            begun = Instant::now();
        }
        let room = u64::from(shared.config.epoch_frames_max.get());
        let fed = epochs.entered(current).load(Ordering::SeqCst) < room && feed.take(epochs);
        let entered = epochs.entered(current).load(Ordering::SeqCst);
        let due = 0 < entered && shared.config.commit_interval <= begun.elapsed();
        let ahead = current - epochs.last_committed();
        if (room <= entered || due) && ahead < EPOCHS_AHEAD {
            epochs.end(current);
            worker.step();
        } else if fed {
            worker.step();
        } else {
            let until_due = match 0 < entered && ahead < EPOCHS_AHEAD {
                true => shared.config.commit_interval.saturating_sub(begun.elapsed()),
                false => PARK,
            };
            worker.step_or_park(Some(until_due.min(PARK)));
        }
    }
    if !epochs.has_failed() {
        feed.tell_last_silence(epochs);
    }
    // The end of the input closes the last epoch; timely steps until it is out.
    feed.to.close();
}

/// What one worker's inputs give to the dataflow.
struct Feed {
    inputs: Inputs,
    to: InputHandle<Epoch, CapacityContainerBuilder<Vec<Local<Read>>>>,
    workers: usize,
    /// The last silence that the dataflow was told of.
    told: Option<UnixMillis>,
}

impl Feed {
    /// Takes one read of each input; whether there was any. Inputs that have
    /// ended are removed.
    fn take(&mut self, epochs: &Epochs) -> bool {
        let mut entered = 0;
        let to = &mut self.to;
        self.inputs.retain(|(input, receiver)| match receiver.try_recv() {
            Ok(ingested) => {
                entered += enter(*input, ingested, to, epochs);
                true
            }
            Err(TryRecvError::Empty) => true,
            Err(TryRecvError::Disconnected) => false,
        });
        entered += self.tell_silence(epochs);
        epochs.entered(*self.to.time()).fetch_add(entered, Ordering::SeqCst);
        0 < entered
    }

    fn tell_silence(&mut self, epochs: &Epochs) -> u64 {
        let Some(by) = epochs.all_caught_up() else { return 0 };
        // Not after the clock was set back: then it would be recent until then again.
        let since = |told: UnixMillis| by.get().saturating_sub(told.get());
        let recent = |told| (0..millis(SILENCE_EVERY)).contains(&since(told));
        // What another worker read before it caught up may be in an epoch that
        // this one has not entered yet; then the silence is told next time.
        let entered_all = epochs.current.load(Ordering::SeqCst) == *self.to.time();
        if self.told.is_some_and(recent) || !entered_all {
            return 0;
        }
        self.tell(by);
        1
    }

    /// The worker whose inputs end last finds all of them read, and says so.
    fn tell_last_silence(&mut self, epochs: &Epochs) {
        if let Some(by) = epochs.all_caught_up().filter(|by| self.told != Some(*by)) {
            self.to.advance_to(epochs.current.load(Ordering::SeqCst).max(*self.to.time()));
            self.tell(by);
        }
    }

    fn tell(&mut self, by: UnixMillis) {
        self.told = Some(by);
        for to in 0..self.workers {
            self.to.send(Local(Read::CaughtUp { to, by }));
        }
    }
}

fn enter(
    input: usize,
    ingested: Ingested,
    to: &mut InputHandle<Epoch, CapacityContainerBuilder<Vec<Local<Read>>>>,
    epochs: &Epochs,
) -> u64 {
    let Ingested { frames, advance, caught_up } = ingested;
    let mut entered = 0;
    for (worker, frames) in frames.into_iter().enumerate().filter(|(_, f)| !f.runs.is_empty()) {
        entered += widen(frames.len() + MINUTE_WEIGHT * frames.minutes());
        to.send(Local(Read::Frames { to: worker, input, frames }));
    }
    if let Some(advance) = advance {
        let parked: usize = advance.parked.iter().map(|parked| parked.bytes.len()).sum();
        let pictures: usize = advance.snapshots.iter().map(Snapshot::bytes).sum();
        let records = advance.parked.len() + advance.snapshots.len();
        entered += widen(records + (parked + pictures) / FRAME_BYTES).max(1);
        to.send(Local(Read::Advance { input, advance }));
    }
    if let Some(by) = caught_up {
        epochs.note(input, by);
    }
    entered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_that_reads_on_still_knows_by_when_it_had_read_all() {
        let (epochs, at) = (Arc::new(Epochs::new(2)), UnixMillis::new);
        let read = |input: usize, caught_up: Option<i64>| {
            let caught_up = caught_up.map(UnixMillis::new);
            let ingested = Ingested { frames: vec![], advance: None, caught_up };
            let epochs = Arc::clone(&epochs);
            timely::execute_directly(move |worker| {
                let mut to = worker.dataflow::<Epoch, _, _>(|scope| scope.new_input().0);
                enter(input, ingested, &mut to, &epochs)
            });
        };
        read(0, Some(10_000));
        assert_eq!(epochs.all_caught_up(), None, "the other one has never been at its end");
        // The two are never at their ends at one moment.
        read(0, None);
        read(1, Some(11_000));
        read(1, None);
        assert_eq!(epochs.all_caught_up(), Some(at(10_000)));
        read(0, Some(12_000));
        assert_eq!(epochs.all_caught_up(), Some(at(11_000)));
    }
}
