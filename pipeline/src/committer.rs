//! One thread that takes closed epochs to the store: in order, each until it is
//! applied.
//!
//! # Invariant
//!
//! - What is committed was read of the log that was claimed. A reader may go on
//!   into a log that took its place, and notice later; so which log it is, is
//!   asked after the records were read and before they are committed. A log that
//!   is gone does not come back, so what it is then, it was all the time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crossbeam_channel::Receiver;
use schemas::commit::{Commit, CommitError, StateStore, StoreError};
use schemas::log::{FrameLog, LogError, LogId};
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

/// Where epochs go, and what stands in between.
pub(crate) struct Committer<'a> {
    /// The logs that are read, each as it was claimed.
    pub(crate) logs: BTreeMap<LogId, Arc<dyn FrameLog>>,
    pub(crate) store: &'a dyn StateStore,
    pub(crate) album: Option<&'a dyn SnapshotStore>,
    pub(crate) epochs: &'a Epochs,
    pub(crate) progress: &'a Progress,
    pub(crate) stop: &'a Stop,
}

impl Committer<'_> {
    /// Commits until the channel ends. An error means that the epochs from that
    /// one on were not applied.
    pub(crate) fn run(&self, closed: &Receiver<ClosedEpoch>) -> Result<(), PipelineError> {
        let _watched = self.epochs.fail_on_panic();
        for ClosedEpoch { epoch, commit, snapshots } in closed {
            if !is_empty(&commit) {
                match self.take(&commit, &snapshots) {
                    Ok(()) => self.progress.applied(&commit),
                    Err(error) => {
                        self.epochs.fail();
                        return match error {
                            // Told to stop while the log was away: what is not
                            // committed is read again after the next start.
                            PipelineError::Log(error) if error.may_succeed_later() => Ok(()),
                            error => Err(error),
                        };
                    }
                }
            }
            self.epochs.committed(epoch);
        }
        Ok(())
    }

    fn take(&self, commit: &Commit, snapshots: &[Snapshot]) -> Result<(), PipelineError> {
        let patience = Patience { stop: self.stop, progress: self.progress };
        self.check_logs(commit, patience)?;
        keep(snapshots, self.album, patience)?;
        Ok(apply(commit, self.store, patience)?)
    }

    /// Whether the logs whose records `commit` counts are still the same.
    fn check_logs(&self, commit: &Commit, patience: Patience<'_>) -> Result<(), LogError> {
        let counted: BTreeSet<&LogId> = commit.partitions.iter().map(|at| &at.log).collect();
        for was in counted {
            let Some(log) = self.logs.get(was) else { continue };
            let now = patience.again(|| false, || log.identify())?;
            if *was != now {
                return Err(replaced(&**log, was, now));
            }
        }
        Ok(())
    }
}

/// The error of finding the log `now` where it `was` another.
pub(crate) fn replaced(log: &dyn FrameLog, was: &LogId, now: LogId) -> LogError {
    let at = log.name().map_or_else(|| was.to_string(), |name| name.to_string());
    LogError::Replaced { at, was: was.clone(), now }
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
