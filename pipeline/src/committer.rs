//! One thread that takes closed epochs to the store: in order, each until it is
//! applied.

use crossbeam_channel::Receiver;
use schemas::commit::{Commit, CommitError, StateStore};
use schemas::stop::Stop;

use crate::retry::{Backoff, Chain};
use crate::run::Progress;
use crate::worker::Epochs;

/// Everything that one closed epoch changes.
#[derive(Debug)]
pub(crate) struct ClosedEpoch {
    pub(crate) epoch: u64,
    pub(crate) commit: Commit,
}

/// Commits until the channel ends. An error means that the epochs from that one
/// on were not applied.
pub(crate) fn run(
    closed: &Receiver<ClosedEpoch>,
    store: &dyn StateStore,
    epochs: &Epochs,
    progress: &Progress,
    stop: &Stop,
) -> Result<(), CommitError> {
    let _watched = epochs.fail_on_panic();
    for ClosedEpoch { epoch, commit } in closed {
        if !is_empty(&commit) {
            if let Err(error) = apply(&commit, store, stop) {
                epochs.fail();
                return Err(error);
            }
            progress.committed(&commit);
        }
        epochs.committed(epoch);
    }
    Ok(())
}

fn is_empty(commit: &Commit) -> bool {
    let Commit { partitions, sources, parked } = commit;
    partitions.is_empty() && sources.is_empty() && parked.is_empty()
}

fn apply(commit: &Commit, store: &dyn StateStore, stop: &Stop) -> Result<(), CommitError> {
    let mut backoff = Backoff::default();
    loop {
        match store.commit(commit) {
            Err(CommitError::Store(error)) if error.may_succeed_later() => {
                tracing::warn!(error = %Chain(&error), "could not commit, trying again");
                // Told to stop, it tries once more: what stays uncommitted is
                // read again after the next start.
                if stop.wait(backoff.next()) {
                    return store.commit(commit);
                }
            }
            outcome => return outcome,
        }
    }
}
