//! How often somebody may fail.
//!
//! # Invariants
//!
//! - A try counts before it is looked at, so that many at one time are no more than
//!   many one after the other; what succeeds is taken back.
//! - At most [`KNOWN_MAX`] keys are remembered; the oldest are forgotten first.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Keys that are remembered, at most: some megabytes.
const KNOWN_MAX: usize = 20_000;

/// Counts failures by key, within a window of time.
pub(super) struct Limit<K> {
    window: Duration,
    known: Mutex<HashMap<K, Tries>>,
}

#[derive(Clone, Copy)]
struct Tries {
    /// When the first of them was.
    since: Instant,
    count: u32,
}

impl<K: Eq + Hash + Clone> Limit<K> {
    pub(super) fn new(window: Duration) -> Limit<K> {
        Limit { window, known: Mutex::default() }
    }

    /// Counts a try for each of `keys`, which may have so many; or how long to wait
    /// before the next, if one of them has had as many. Then none is counted.
    pub(super) fn begin(&self, keys: &[(K, u32)], now: Instant) -> Result<(), Duration> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let over = keys.iter().filter_map(|(key, max)| {
            let tries = known.get(key).filter(|tries| *max <= tries.count)?;
            (tries.since + self.window).checked_duration_since(now).filter(|left| !left.is_zero())
        });
        if let Some(left) = over.max() {
            return Err(left);
        }
        for (key, _) in keys {
            if KNOWN_MAX <= known.len() && !known.contains_key(key) {
                make_room(&mut known, self.window, now);
            }
            let fresh = Tries { since: now, count: 0 };
            let tries = known.entry(key.clone()).or_insert(fresh);
            if self.window <= now.duration_since(tries.since) {
                *tries = fresh;
            }
            tries.count += 1;
        }
        Ok(())
    }

    /// Takes a try back that was no failure.
    pub(super) fn succeeded(&self, keys: &[(K, u32)]) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, _) in keys {
            if let Some(tries) = known.get_mut(key) {
                tries.count = tries.count.saturating_sub(1);
                if tries.count == 0 {
                    known.remove(key);
                }
            }
        }
    }
}

/// Forgets what is over, and if that is not much, the older half.
fn make_room<K: Eq + Hash + Clone>(known: &mut HashMap<K, Tries>, window: Duration, now: Instant) {
    known.retain(|_, tries| now.duration_since(tries.since) < window);
    if known.len() < KNOWN_MAX / 4 * 3 {
        return;
    }
    let mut times: Vec<Instant> = known.values().map(|tries| tries.since).collect();
    times.sort_unstable();
    if let Some(middle) = times.get(times.len() / 2) {
        known.retain(|_, tries| *middle < tries.since);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    #[test]
    fn failures_count_within_their_window_and_successes_do_not() {
        let limit = Limit::new(WINDOW);
        let begin = Instant::now();
        let keys = [("anne", 2), ("10.0.0.1", 3)];
        for _ in 0..10 {
            limit.begin(&keys, begin).unwrap();
            limit.succeeded(&keys);
        }
        limit.begin(&keys, begin).unwrap();
        limit.begin(&keys, begin + WINDOW / 2).unwrap();
        assert_eq!(limit.begin(&keys, begin + WINDOW / 2), Err(WINDOW / 2));
        // Another user from there, once; and not once more.
        let other = [("berta", 2), ("10.0.0.1", 3)];
        limit.begin(&other, begin + WINDOW / 2).unwrap();
        assert!(limit.begin(&other, begin + WINDOW / 2).is_err());
        limit.begin(&keys, begin + WINDOW).unwrap();
    }

    #[test]
    fn only_so_many_are_remembered() {
        let limit = Limit::new(WINDOW);
        let begin = Instant::now();
        for number in 0..3 * KNOWN_MAX {
            let later = Duration::from_micros(number.try_into().unwrap());
            limit.begin(&[(number, 1)], begin + later).unwrap();
            assert!(limit.known.lock().unwrap().len() <= KNOWN_MAX);
        }
        let newest = 3 * KNOWN_MAX - 1;
        assert!(limit.begin(&[(newest, 1)], begin + WINDOW / 2).is_err(), "still known");
    }
}
