//! One thread that takes closed epochs to the store: in order, each until it is
//! applied.

use crossbeam_channel::Receiver;
use schemas::commit::{Commit, CommitError, StateStore, StoreError};
use schemas::snapshot::{Snapshot, SnapshotStore};
use schemas::stop::Stop;

use crate::progress::Progress;
use crate::retry::{Backoff, MayPass, Patience};
use crate::run::PipelineError;
use crate::worker::Epochs;

/// Everything that one closed epoch changes.
#[derive(Debug)]
pub(crate) struct ClosedEpoch {
    pub(crate) epoch: u64,
    pub(crate) commit: Commit,
    /// Kept before the commit: a crash between the two leaves snapshots that the
    /// replay finds there, and never a commit without its snapshots.
    pub(crate) snapshots: Vec<Snapshot>,
}

/// The error of the store of snapshots, which is another part than the tables.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct AlbumError(StoreError);

impl MayPass for AlbumError {
    const PART: &'static str = "snapshots";

    fn may_pass(&self) -> bool {
        self.0.may_succeed_later()
    }
}

/// Commits until the channel ends. An error means that the epochs from that one
/// on were not applied.
pub(crate) fn run(
    closed: &Receiver<ClosedEpoch>,
    store: &dyn StateStore,
    album: Option<&dyn SnapshotStore>,
    epochs: &Epochs,
    progress: &Progress,
    stop: &Stop,
) -> Result<(), PipelineError> {
    let _watched = epochs.fail_on_panic();
    let patience = Patience { stop, progress };
    for ClosedEpoch { epoch, commit, snapshots } in closed {
        if !is_empty(&commit) {
            let kept = keep(&snapshots, album, patience);
            let applied = kept.and_then(|()| Ok(apply(&commit, store, patience)?));
            if let Err(error) = applied {
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

/// Keeps the snapshots of an epoch, of which most have none.
fn keep(
    snapshots: &[Snapshot],
    album: Option<&dyn SnapshotStore>,
    patience: Patience<'_>,
) -> Result<(), PipelineError> {
    match album {
        Some(album) if !snapshots.is_empty() => {
            let kept = patience.again(|| false, || album.put(snapshots).map_err(AlbumError));
            kept.map(drop).map_err(|AlbumError(error)| PipelineError::Snapshots(error))
        }
        _ => Ok(()),
    }
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
