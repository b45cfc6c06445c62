//! Whether the input gives pictures as fast as they are looked at.

use std::time::{Duration, Instant};

/// Over about so long the share of time is taken.
const OVER: Duration = Duration::from_millis(1500);

/// A read that takes no longer has not waited: what it read was there.
const READ_MAX: Duration = Duration::from_millis(2);

/// From this share of the time on, somebody waits for the input; below, the input waits.
const WAITS_FROM: f64 = 0.02;

/// How much of the time goes by in waiting for the input: hardly any while there is always
/// something to read, since whoever looks at the pictures is slower than they come.
///
/// One wait alone says nothing: a busy system may have taken the processor away meanwhile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    share: f64,
    at: Instant,
}

impl Waiting {
    /// An input that has just been opened was waited for.
    pub(super) fn begun(at: Instant) -> Waiting {
        Waiting { share: 1.0, at }
    }

    /// Notes a read that lasted from `asked` to `now`.
    pub(super) fn read(&mut self, asked: Instant, now: Instant) {
        let waited = now.duration_since(asked).saturating_sub(READ_MAX);
        let worked = now.duration_since(self.at).saturating_sub(waited);
        self.share *= left_after(worked);
        self.share = 1.0 - (1.0 - self.share) * left_after(waited);
        self.at = now;
    }

    /// Whether pictures are looked at as fast as they come.
    pub(super) fn keeps_up(&self) -> bool {
        WAITS_FROM <= self.share
    }
}

/// The part that is left of what a moment so long ago counted for.
fn left_after(passed: Duration) -> f64 {
    (-passed.as_secs_f64() / OVER.as_secs_f64()).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Reads that wait so long each, with work between them, for a while.
    fn after(waiting: &mut Waiting, wait: Duration, work: Duration, lasting: Duration) {
        let end = waiting.at + lasting;
        while waiting.at < end {
            let asked = waiting.at + work;
            waiting.read(asked, asked + wait);
        }
    }

    #[test]
    fn whoever_is_slower_than_the_input_falls_behind_within_seconds() {
        let mut waiting = Waiting::begun(Instant::now());
        after(&mut waiting, 35 * MS, 5 * MS, 3000 * MS);
        assert!(waiting.keeps_up());
        // Busy with nearly all of each picture's time, and still waiting for the next.
        after(&mut waiting, 5 * MS, 95 * MS, 20_000 * MS);
        assert!(waiting.keeps_up());
        after(&mut waiting, MS / 10, 400 * MS, 7000 * MS);
        assert!(!waiting.keeps_up());
        // The processor was taken away for a moment.
        let asked = waiting.at + 40 * MS;
        waiting.read(asked, asked + 12 * MS);
        assert!(!waiting.keeps_up());
        // It has caught up.
        after(&mut waiting, 30 * MS, 10 * MS, 100 * MS);
        assert!(waiting.keeps_up());
    }

    #[test]
    fn a_segment_that_comes_at_once_is_no_backlog() {
        let mut waiting = Waiting::begun(Instant::now());
        for _ in 0..20 {
            after(&mut waiting, 5000 * MS, MS, 5000 * MS);
            // Ten seconds of video, looked at within one.
            after(&mut waiting, MS / 10, 4 * MS, 1000 * MS);
            assert!(waiting.keeps_up());
        }
    }
}
