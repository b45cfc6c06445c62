//! What the bounds have dropped since frames last had room, for the process's log.

use schemas::time::UnixMillis;

/// Why frames were dropped: a metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    Size,
    Age,
}

impl Bound {
    pub(super) const fn label(self) -> &'static str {
        match self {
            Bound::Size => "size",
            Bound::Age => "age",
        }
    }
}

/// Frames that were dropped, one stretch of event time.
#[derive(Debug, Default)]
pub(super) struct Loss {
    frames: u64,
    captured: Option<(UnixMillis, UnixMillis)>,
}

impl Loss {
    /// Takes note of a frame; the first of an episode is told.
    pub(super) fn add(&mut self, captured_at: UnixMillis, bound: Bound) {
        if self.frames == 0 {
            tracing::error!(
                bound = bound.label(),
                %captured_at,
                "the spool is at its bound: its oldest frames are dropped, from this one on"
            );
        }
        self.frames += 1;
        let (first, last) = self.captured.unwrap_or((captured_at, captured_at));
        self.captured = Some((first.min(captured_at), last.max(captured_at)));
    }

    /// Tells what the episode that ends has cost, if there was one.
    pub(super) fn end(&mut self) {
        if let Some((from, to)) = self.captured {
            let event_time_ms = schemas::time::millis(to.since(from));
            tracing::error!(frames = self.frames, %from, %to, event_time_ms, "frames were dropped from the spool");
        }
        *self = Loss::default();
    }
}
