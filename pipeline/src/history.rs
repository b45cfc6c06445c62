//! What was committed before, for whoever meets a source, a window or a session
//! again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use schemas::commit::{SourceState, StateStore, StoreError, WindowState};
use schemas::intervals::Intervals;
use schemas::source::{SessionId, SourceId};
use schemas::stop::Stop;
use schemas::time::UnixMillis;
use schemas::window::WindowSize;

use crate::committer::Backoff;

/// Asks the store, and asks again until it answers.
///
/// An operator blocks meanwhile. That costs nothing: while the store is away
/// nothing can be committed, so there is nothing to compute ahead for. If it is
/// told to stop instead, or the store can never answer, it is [lost](Self::is_lost)
/// and answers nothing; what is computed after that is never committed.
#[derive(Clone)]
pub(crate) struct History {
    store: Arc<dyn StateStore>,
    stop: Stop,
    lost: Arc<AtomicBool>,
}

impl History {
    pub(crate) fn new(store: Arc<dyn StateStore>, stop: Stop) -> History {
        History { store, stop, lost: Arc::new(AtomicBool::new(false)) }
    }

    /// Whether an answer was missing.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::SeqCst)
    }

    pub(crate) fn source(&self, source: SourceId) -> Option<SourceState> {
        self.ask(|store| store.source(source))
    }

    pub(crate) fn open_windows(&self, source: SourceId) -> Vec<WindowState> {
        self.ask(|store| store.open_windows(Some(source)))
    }

    /// Sources that have open windows.
    pub(crate) fn open_sources(&self) -> Vec<SourceId> {
        let mut sources: Vec<SourceId> = self
            .ask(|store| store.open_windows(None))
            .into_iter()
            .map(|window| window.source)
            .collect();
        sources.dedup();
        sources
    }

    pub(crate) fn window(
        &self,
        source: SourceId,
        size: WindowSize,
        start: UnixMillis,
    ) -> Option<WindowState> {
        self.ask(|store| store.window(source, size, start))
    }

    pub(crate) fn seqs(&self, source: SourceId, session: SessionId, block: u64) -> Intervals {
        self.ask(|store| store.seqs(source, session, block))
    }

    fn ask<T: Default>(&self, question: impl Fn(&dyn StateStore) -> Result<T, StoreError>) -> T {
        let mut backoff = Backoff::default();
        loop {
            if self.is_lost() {
                return T::default();
            }
            match question(&*self.store) {
                Ok(answer) => return answer,
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "the tables do not answer, asking again");
                    let hopeless = !error.may_succeed_later();
                    if hopeless || self.stop.wait(backoff.next()) {
                        self.lost.store(true, Ordering::SeqCst);
                    }
                }
            }
        }
    }
}

/// An error with its causes, on one line.
pub(crate) struct Chain<'a>(pub(crate) &'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// How long a single wait between two tries is at most.
pub(crate) const BACKOFF_MAX: Duration = Duration::from_secs(5);
