//! All operators joined.
//!
//! ```text
//! read ──exchange by source──▶ Windows ──to worker 0──▶ Commit
//! ```
//!
//! `Windows` keeps the state of every source of its worker. It holds what an
//! epoch brings until the epoch is closed and only then counts it, so its state
//! is always that of whole epochs. `Commit` gathers what all workers changed and
//! hands each epoch over once it is closed.

use std::collections::BTreeMap;
use std::sync::Arc;

use crossbeam_channel::Sender;
use rustc_hash::FxHashMap;
use schemas::commit::{Commit, Ledger, PartitionAdvance, Place, SourceChange, SourceState};
use schemas::log::{LogId, Offset, Partition};
use schemas::snapshot::Snapshot;
use schemas::source::SourceId;
use schemas::time::UnixMillis;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::Operator;
use timely::dataflow::{Scope, Stream};

use crate::classes::{MetricLookup, Names};
use crate::committer::ClosedEpoch;
use crate::config::PipelineConfig;
use crate::ingest::{Advance, Frames, worker_of};
use crate::source::{Context, Source};
use crate::worker::Epochs;

/// The dataflow's timestamp; the first is 1.
pub(crate) type Epoch = u64;

/// What enters the dataflow.
#[derive(Clone, Debug)]
pub(crate) enum Read {
    /// Frames of one input for one worker.
    Frames { to: usize, input: usize, frames: Frames },
    /// How far an input was read.
    Advance { input: usize, advance: Advance },
    /// Everything that the logs had by this time has been read.
    CaughtUp { to: usize, by: UnixMillis },
}

/// What one worker has to say of an epoch.
#[derive(Clone, Debug)]
enum Change {
    Source(SourceChange),
    Counted {
        input: usize,
        accepted: u64,
        duplicate: u64,
    },
    Advance {
        input: usize,
        advance: Advance,
    },
    /// Nothing. An epoch of nothing else is handed over too: it must count as
    /// committed, or the ones behind it would wait for it for ever.
    Nothing,
}

/// Moves between threads as it is. Timely wants to be able to send everything
/// to another process; ours never does.
#[derive(Clone, Debug)]
pub(crate) struct Local<T>(pub(crate) T);

impl<T> Serialize for Local<T> {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("never leaves the process"))
    }
}

impl<'de, T> Deserialize<'de> for Local<T> {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Local<T>, D::Error> {
        Err(serde::de::Error::custom("never leaves the process"))
    }
}

/// One input of the pipeline, for whoever writes its account.
#[derive(Clone, Debug)]
pub(crate) struct Owned {
    pub(crate) place: Place,
    pub(crate) owner_epoch: u64,
}

/// What all workers share.
pub(crate) struct Shared {
    pub(crate) context: Context,
    pub(crate) config: PipelineConfig,
    pub(crate) names: Arc<Names>,
    pub(crate) owned: Vec<Owned>,
    /// See [`Job::strays`](crate::Job::strays).
    pub(crate) strays: bool,
    pub(crate) epochs: Arc<Epochs>,
    pub(crate) closed: Sender<ClosedEpoch>,
}

impl Shared {
    /// Whether it falls to this process to end the windows of a source that is
    /// at `home` when it falls silent.
    fn looks_after(&self, home: &Place) -> bool {
        let owns = |place: &Place| self.owned.iter().any(|owned| owned.place == *place);
        let reads = |log: &LogId| self.owned.iter().any(|owned| owned.place.log == *log);
        // Of all who share a log, whoever owns its first partition.
        let first = |owned: &Owned| owned.place.partition == Partition(0);
        owns(home) || (self.strays && !reads(&home.log) && self.owned.iter().any(first))
    }
}

/// Joins the operators behind `read`.
pub(crate) fn build<'scope>(
    scope: Scope<'scope, Epoch>,
    read: Stream<'scope, Epoch, Vec<Local<Read>>>,
    shared: &Arc<Shared>,
) {
    let changes = windows(scope, read, Arc::clone(shared));
    let shared = Arc::clone(shared);
    commit(changes, shared.owned.clone(), move |closed| {
        // At most `EPOCHS_AHEAD` epochs are on their way, so there is room;
        // without a committer there is nothing left to commit for.
        let lost = shared.context.history.is_lost() || shared.epochs.has_failed();
        if lost || shared.closed.try_send(closed).is_err() {
            shared.epochs.fail();
        }
    });
}

fn windows<'scope>(
    scope: Scope<'scope, Epoch>,
    read: Stream<'scope, Epoch, Vec<Local<Read>>>,
    shared: Arc<Shared>,
) -> Stream<'scope, Epoch, Vec<Local<Change>>> {
    let (worker, workers) = (scope.worker().index(), scope.worker().peers());
    let route = |Local(read): &Local<Read>| match read {
        Read::Frames { to, .. } | Read::CaughtUp { to, .. } => widen(*to),
        Read::Advance { .. } => 0,
    };
    read.unary_frontier::<CapacityContainerBuilder<Vec<Local<Change>>>, _, _, _>(
        Exchange::new(route),
        "Windows",
        move |_, _| {
            let mut sources = Sources::load(worker, workers, Arc::clone(&shared));
            let mut open = BTreeMap::new();
            move |(input, frontier), output| {
                input.for_each(|capability, data| {
                    let Some(capability) = capability.retain_least(0) else { return };
                    let epoch = *capability.time();
                    let (_, held) = open.entry(epoch).or_insert_with(|| (capability, Vec::new()));
                    held.append(data);
                });
                while let Some(first) = open.first_entry() {
                    if frontier.less_equal(first.key()) {
                        break; // Not closed: more of this epoch may still arrive.
                    }
                    let (epoch, (capability, reads)) = first.remove_entry();
                    let mut session = output.session(&capability);
                    sources.epoch(epoch, reads, |change| session.give(Local(change)));
                }
            }
        },
    )
}

/// The sources of one worker.
struct Sources {
    held: FxHashMap<SourceId, Source>,
    metrics: MetricLookup,
    /// Sources that the current epoch changes.
    touched: Vec<SourceId>,
    shared: Arc<Shared>,
}

impl Sources {
    /// Those that have open windows which this process must end when they fall
    /// silent.
    fn load(worker: usize, workers: usize, shared: Arc<Shared>) -> Sources {
        let mut held = FxHashMap::default();
        for SourceState { source: id, home, .. } in shared.context.history.open_sources() {
            if worker_of(id, workers) == worker && shared.looks_after(&home) {
                held.insert(id, Source::load(id, shared.config.cadence_ms(id), &shared.context));
            }
        }
        let metrics = MetricLookup::new(Arc::clone(&shared.names));
        Sources { held, metrics, touched: Vec::new(), shared }
    }

    fn epoch(&mut self, epoch: Epoch, reads: Vec<Local<Read>>, mut give: impl FnMut(Change)) {
        let mut caught_up = None;
        for Local(read) in reads {
            match read {
                Read::Frames { to: _, input, frames } => {
                    let (accepted, duplicate) = self.count(&frames, input, epoch);
                    give(Change::Counted { input, accepted, duplicate });
                }
                Read::Advance { input, advance } => give(Change::Advance { input, advance }),
                Read::CaughtUp { to: _, by } => caught_up = caught_up.max(Some(by)),
            }
        }
        if let Some(by) = caught_up {
            give(Change::Nothing);
            for (id, source) in &mut self.held {
                if source.silence(by, epoch, &self.shared.context) && source.touch(epoch) {
                    self.touched.push(*id);
                }
            }
        }
        for id in self.touched.drain(..) {
            let source = self.held.get_mut(&id).expect("a touched source is held");
            give(Change::Source(source.close(epoch, &self.shared.context, &mut self.metrics)));
        }
        let committed = self.shared.epochs.last_committed();
        self.held.retain(|_, source| !source.evict(epoch, committed));
    }

    fn count(&mut self, frames: &Frames, input: usize, epoch: Epoch) -> (u64, u64) {
        let Sources { held, metrics, touched, shared } = self;
        let (mut accepted, mut duplicate) = (0, 0);
        for run in &frames.runs {
            let id = run.source;
            let source = held
                .entry(id)
                .or_insert_with(|| Source::load(id, shared.config.cadence_ms(id), &shared.context));
            let counted = source.count(run, epoch, &shared.context, metrics);
            accepted += counted;
            duplicate += widen(run.len()) - counted;
            // A source that only sent duplicates has nothing to commit.
            if 0 < counted {
                source.live_at(&shared.owned[input].place);
                if source.touch(epoch) {
                    touched.push(id);
                }
            }
        }
        (accepted, duplicate)
    }
}

/// Hands each epoch to `deliver` once it is closed, in order.
///
/// `deliver` runs on the worker's thread and must not block.
fn commit(
    changes: Stream<'_, Epoch, Vec<Local<Change>>>,
    owned: Vec<Owned>,
    mut deliver: impl FnMut(ClosedEpoch) + 'static,
) {
    let mut open = BTreeMap::<Epoch, Vec<Local<Change>>>::new();
    changes.sink(Exchange::new(|_: &Local<Change>| 0), "Commit", move |(input, frontier)| {
        input.for_each(|capability, data| {
            if let Some(epoch) = capability.least() {
                open.entry(*epoch).or_default().append(data);
            }
        });
        while let Some(first) = open.first_entry() {
            if frontier.less_equal(first.key()) {
                break; // Not closed: another worker may still have changes.
            }
            let (epoch, changes) = first.remove_entry();
            let (commit, snapshots) = gather(changes, &owned);
            deliver(ClosedEpoch { epoch, commit, snapshots });
        }
    });
}

/// What the changes of one epoch come to, and the snapshots to keep before.
fn gather(changes: Vec<Local<Change>>, owned: &[Owned]) -> (Commit, Vec<Snapshot>) {
    let mut commit = Commit::default();
    let mut advances = BTreeMap::<usize, (Offset, Offset)>::new();
    let mut ledgers = BTreeMap::<usize, Ledger>::new();
    let mut snapshots = Vec::new();
    for Local(change) in changes {
        match change {
            Change::Nothing => {}
            Change::Source(source) => commit.sources.push(source),
            Change::Counted { input, accepted, duplicate } => {
                ledgers.entry(input).or_default().add(&Ledger {
                    accepted,
                    duplicate,
                    ..Ledger::default()
                });
            }
            Change::Advance { input, advance } => {
                let Advance { from, to, read, parked, snapshots: pictures } = advance;
                let (first, last) = advances.entry(input).or_insert((from, to));
                *first = from.min(*first);
                *last = to.max(*last);
                ledgers.entry(input).or_default().add(&Ledger {
                    read,
                    parked: widen(parked.len()),
                    gap: (to.0 - from.0) - read,
                    ..Ledger::default()
                });
                commit.parked.extend(parked);
                snapshots.extend(pictures);
            }
        }
    }
    commit.partitions = advances
        .into_iter()
        .map(|(input, (from, to))| {
            let Owned { place: Place { log, partition }, owner_epoch } = owned[input].clone();
            let ledger = ledgers.get(&input).copied().unwrap_or_default();
            PartitionAdvance { log, partition, owner_epoch, from, to, ledger }
        })
        .collect();
    (commit, snapshots)
}

pub(crate) fn widen(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use timely::dataflow::operators::Input;

    use super::*;

    #[test]
    fn an_epoch_is_handed_over_when_it_closes_and_not_before() {
        timely::execute_directly(|worker| {
            let told = Rc::new(RefCell::new(Vec::new()));
            let mut changes = worker.dataflow(|scope| {
                let (input, changes) = scope.new_input();
                let told = Rc::clone(&told);
                let place = Place { log: LogId("log".into()), partition: Partition(0) };
                let owned = Owned { place, owner_epoch: 1 };
                commit(changes, vec![owned], move |closed| told.borrow_mut().push(closed));
                input
            });
            let advance = |from, to| {
                let advance = Advance {
                    from: Offset(from),
                    to: Offset(to),
                    read: to - from,
                    parked: vec![],
                    snapshots: vec![],
                };
                Local(Change::Advance { input: 0, advance })
            };
            let steps = |worker: &mut timely::worker::Worker| {
                (0..9).for_each(|_| _ = worker.step());
            };
            changes.advance_to(1);
            changes.send(advance(0, 3));
            changes.flush();
            steps(worker);
            assert!(told.borrow().is_empty());

            changes.send(advance(3, 5));
            changes.advance_to(2);
            changes.send(advance(5, 6));
            changes.flush();
            steps(worker);
            assert_eq!(told.borrow().len(), 1);
            let partition = &told.borrow()[0].commit.partitions[0];
            assert_eq!(
                (partition.from, partition.to, partition.ledger.read),
                (Offset(0), Offset(5), 5)
            );
        });
    }
}
