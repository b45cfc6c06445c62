//! One thread that takes closed epochs to the store: in order, each until it is
//! applied.

use crossbeam_channel::Receiver;
use schemas::commit::{Commit, CommitError, StateStore, StoreError};
use schemas::stop::Stop;

use crate::progress::Progress;
use crate::retry::{Backoff, Patience};
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
            if let Err(error) = apply(&commit, store, Patience { stop, progress }) {
                epochs.fail();
                return Err(error);
            }
            progress.applied(&commit);
        }
        epochs.committed(epoch);
    }
    Ok(())
}

fn is_empty(commit: &Commit) -> bool {
    let Commit { partitions, sources, parked } = commit;
    partitions.is_empty() && sources.is_empty() && parked.is_empty()
}

fn apply(
    commit: &Commit,
    store: &dyn StateStore,
    patience: Patience<'_>,
) -> Result<(), CommitError> {
    let mut backoff = Backoff::default();
    loop {
        match store.commit(commit) {
            Err(CommitError::Store(error)) if error.may_succeed_later() => {
                // Told to stop, it tries once more: what stays uncommitted is
                // read again after the next start.
                if patience.failed(&error, &mut backoff) {
                    return store.commit(commit);
                }
            }
            outcome => {
                patience.over::<StoreError>(&backoff);
                return outcome;
            }
        }
    }
}
