//! How far a source's event time has surely come.

use std::time::Duration;

use schemas::time::UnixMillis;

/// The bounds that a watermark goes by; see
/// [`PipelineConfig`](crate::config::PipelineConfig).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) disorder: Duration,
    pub(crate) idle: Duration,
}

/// The watermark of one source. It never goes back, and it depends on the frames
/// in the order of the log alone, not on when they were read: a replay finds
/// the same frames late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Watermark {
    pub(crate) at: UnixMillis,
    /// Of the newest frame, by the log's clock.
    pub(crate) last_appended_at: UnixMillis,
    /// Newest event time.
    pub(crate) last_captured_at: UnixMillis,
}

impl Watermark {
    /// Of a source that never sent a frame.
    pub(crate) const NEW: Watermark = Watermark {
        at: UnixMillis::MIN,
        last_appended_at: UnixMillis::MIN,
        last_captured_at: UnixMillis::MIN,
    };

    /// Takes note of a frame; the watermark as it stood when the frame came.
    #[inline]
    pub(crate) fn frame(
        &mut self,
        captured_at: UnixMillis,
        appended_at: UnixMillis,
        bounds: &Bounds,
    ) -> UnixMillis {
        self.silence(appended_at, bounds);
        let before = self.at;
        self.last_appended_at = self.last_appended_at.max(appended_at);
        self.last_captured_at = self.last_captured_at.max(captured_at);
        self.at = self.at.max(captured_at.minus(bounds.disorder));
        before
    }

    /// Takes note that nothing else came until `now`, by the log's clock.
    #[inline]
    pub(crate) fn silence(&mut self, now: UnixMillis, bounds: &Bounds) {
        // Before its first frame, a source has nothing to be silent about.
        if self.last_appended_at == UnixMillis::MIN {
            return;
        }
        let follows = now.minus(bounds.idle);
        if self.last_appended_at < follows {
            self.at = self.at.max(follows);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds =
        Bounds { disorder: Duration::from_millis(10), idle: Duration::from_millis(100) };

    fn at(ms: i64) -> UnixMillis {
        UnixMillis::new(ms)
    }

    #[test]
    fn it_stays_behind_the_newest_frame_and_never_goes_back() {
        let mut watermark = Watermark::NEW;
        assert_eq!(watermark.frame(at(50), at(50), &BOUNDS), UnixMillis::MIN);
        assert_eq!(watermark.frame(at(20), at(51), &BOUNDS), at(40));
        assert_eq!(watermark.at, at(40));
    }

    #[test]
    fn a_silent_source_follows_the_logs_clock() {
        let mut watermark = Watermark::NEW;
        watermark.frame(at(50), at(50), &BOUNDS);
        watermark.silence(at(150), &BOUNDS);
        assert_eq!(watermark.at, at(40), "silent for just the timeout is not yet silent");
        watermark.silence(at(400), &BOUNDS);
        assert_eq!(watermark.at, at(300));
        // What was captured meanwhile comes late, however often one looked.
        assert_eq!(watermark.frame(at(120), at(500), &BOUNDS), at(400));
    }
}
