//! How one part tells the others to come to an end.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// Asks everything that shares it to stop: once, for good. Clones share.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    asked: bool,
    /// Those that are asked with it, as long as somebody holds them.
    followers: Vec<Weak<Shared>>,
}

impl Stop {
    /// A stop that is asked when this one is, and may be asked before.
    pub fn follower(&self) -> Stop {
        let follower = Stop::default();
        self.is_followed_by(&follower);
        follower
    }

    /// Has `follower` asked, too, when this is.
    pub fn is_followed_by(&self, follower: &Stop) {
        let mut state = self.state();
        if state.asked {
            drop(state);
            follower.stop();
            return;
        }
        state.followers.retain(|known| 0 < known.strong_count());
        state.followers.push(Arc::downgrade(&follower.shared));
    }

    /// Asks. Waits end at once.
    pub fn stop(&self) {
        let mut state = self.state();
        state.asked = true;
        let followers = std::mem::take(&mut state.followers);
        drop(state);
        self.shared.changed.notify_all();
        for shared in followers.iter().filter_map(Weak::upgrade) {
            Stop { shared }.stop();
        }
    }

    /// Whether it was asked.
    pub fn is_stopped(&self) -> bool {
        self.state().asked
    }

    /// Sleeps for `at_most`, or until asked; whether it was asked.
    pub fn wait(&self, at_most: Duration) -> bool {
        let waited =
            self.shared.changed.wait_timeout_while(self.state(), at_most, |state| !state.asked);
        waited.unwrap_or_else(PoisonError::into_inner).0.asked
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
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

    #[test]
    fn a_follower_is_asked_with_either_of_those_it_follows_and_asks_neither() {
        let (site, partitions) = (Stop::default(), Stop::default());
        let run = site.follower();
        partitions.is_followed_by(&run);
        let other = site.follower();
        partitions.stop();
        assert!(run.is_stopped() && !site.is_stopped() && !other.is_stopped());
        assert!(partitions.follower().is_stopped(), "whoever comes later, too");
        site.stop();
        assert!(other.is_stopped());
    }
}
