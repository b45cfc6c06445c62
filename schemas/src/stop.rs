//! How one part tells the others to come to an end.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Asks everything that shares it to stop: once, for good. Clones share.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    shared: Arc<(Mutex<bool>, Condvar)>,
}

impl Stop {
    /// Asks. Waits end at once.
    pub fn stop(&self) {
        let (asked, changed) = &*self.shared;
        *asked.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
    }

    /// Whether it was asked.
    pub fn is_stopped(&self) -> bool {
        *self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps for `at_most`, or until asked; whether it was asked.
    pub fn wait(&self, at_most: Duration) -> bool {
        let (asked, changed) = &*self.shared;
        let guard = asked.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = changed.wait_timeout_while(guard, at_most, |asked| !*asked);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_when_asked_or_in_time() {
        let stop = Stop::default();
        assert!(!stop.wait(Duration::from_millis(1)));
        let asker = stop.clone();
        let thread = std::thread::spawn(move || asker.stop());
        assert!(stop.wait(Duration::from_secs(60)));
        assert!(stop.is_stopped());
        thread.join().unwrap();
    }
}
