//! How a thread is told to end, and how it waits without missing that.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A switch that can only be turned off, shared by all clones.
///
/// Whoever waits on it wakes as soon as it is turned.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<Switch>);

#[derive(Debug, Default)]
struct Switch {
    stopped: Mutex<bool>,
    turned: Condvar,
}

impl Stop {
    pub fn new() -> Stop {
        Stop::default()
    }

    /// Tells every holder of a clone to end.
    pub fn stop(&self) {
        *self.0.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.turned.notify_all();
    }

    /// Whether [`stop`](Stop::stop) was called.
    pub fn is_stopped(&self) -> bool {
        *self.0.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for `duration`, less if stopped meanwhile; whether it was stopped.
    pub fn wait(&self, duration: Duration) -> bool {
        let until = Instant::now() + duration;
        let mut stopped = self.0.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        while !*stopped {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let woken = self.0.turned.wait_timeout(stopped, left);
            stopped = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_when_it_is_told_to() {
        let stop = Stop::new();
        assert!(!stop.wait(Duration::from_millis(1)));
        let began = Instant::now();
        std::thread::scope(|threads| {
            let waiting = threads.spawn(|| stop.wait(Duration::from_secs(60)));
            stop.clone().stop();
            assert!(waiting.join().unwrap());
        });
        assert!(stop.is_stopped() && began.elapsed() < Duration::from_secs(30));
    }
}
