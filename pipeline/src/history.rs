//! What was committed before, for whoever meets a source, a window or a session
//! again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use schemas::commit::{SourceState, StateStore, StoreError, WindowState};
use schemas::intervals::Intervals;
use schemas::source::{SessionId, SourceId};
use schemas::stop::Stop;
use schemas::time::UnixMillis;
use schemas::window::WindowSize;

use crate::progress::Progress;
use crate::retry::Patience;

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
    progress: Arc<Progress>,
    /// Whether an answer was missing, and why the first was.
    lost: Arc<(AtomicBool, Mutex<Option<StoreError>>)>,
}

impl History {
    pub(crate) fn new(store: Arc<dyn StateStore>, stop: Stop, progress: Arc<Progress>) -> History {
        History { store, stop, progress, lost: Arc::default() }
    }

    /// Whether an answer was missing.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.0.load(Ordering::SeqCst)
    }

    pub(crate) fn source(&self, source: SourceId) -> Option<SourceState> {
        self.ask(|store| store.source(source))
    }

    pub(crate) fn open_windows(&self, source: SourceId) -> Vec<WindowState> {
        self.ask(|store| store.open_windows(source))
    }

    /// Sources that have open windows.
    pub(crate) fn open_sources(&self) -> Vec<SourceState> {
        self.ask(|store| store.open_sources())
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
        if self.is_lost() {
            return T::default();
        }
        let patience = Patience { stop: &self.stop, progress: &self.progress };
        let answer = patience.again(|| self.is_lost(), || question(&*self.store));
        answer.unwrap_or_else(|error| {
            self.lost.0.store(true, Ordering::SeqCst);
            self.lost.1.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            T::default()
        })
    }

    /// Why the first answer was missing.
    pub(crate) fn take_cause(&self) -> Option<StoreError> {
        self.lost.1.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
