//! One source, one epoch at a time: frames in, changes out.

use schemas::bugs::Bug;
use schemas::commit::{Place, SourceChange, SourceState};
use schemas::source::SourceId;
use schemas::time::UnixMillis;

use crate::classes::MetricLookup;
use crate::dedup::Dedup;
use crate::delta::Deltas;
use crate::history::History;
use crate::ingest::Run;
use crate::watermark::{Bounds, Watermark};
use crate::windows::{Rules, Windows};

/// What all sources go by.
pub(crate) struct Context {
    pub(crate) history: History,
    pub(crate) bounds: Bounds,
    pub(crate) rules: Rules,
}

/// One frame, without its counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) seq: u64,
    pub(crate) captured_at: UnixMillis,
    pub(crate) appended_at: UnixMillis,
}

/// The state of one source.
pub(crate) struct Source {
    id: SourceId,
    rev: u64,
    accepted: u64,
    /// Where its newest frame was read; none before its first.
    home: Option<Place>,
    cadence_ms: i64,
    watermark: Watermark,
    /// Newest event time before the current epoch: a window that starts later
    /// cannot be in the store.
    stored_up_to: UnixMillis,
    dedup: Dedup,
    deltas: Deltas,
    windows: Windows,
    /// The last epoch that changed anything.
    changed_in: u64,
    /// The last epoch that had to do with it.
    touched_in: u64,
}

impl Source {
    /// The source as the store has it, with its open windows.
    pub(crate) fn load(id: SourceId, cadence_ms: i64, context: &Context) -> Source {
        let mut source = Source {
            id,
            rev: 0,
            accepted: 0,
            home: None,
            cadence_ms,
            watermark: Watermark::NEW,
            stored_up_to: UnixMillis::MIN,
            dedup: Dedup::default(),
            deltas: Deltas::default(),
            windows: Windows::default(),
            changed_in: 0,
            touched_in: 0,
        };
        if let Some(stored) = context.history.source(id) {
            fail::fail_point!("source-reload");
            let SourceState {
                source: _,
                rev,
                watermark,
                last_appended_at,
                last_captured_at,
                accepted,
                home,
            } = stored;
            source.rev = rev;
            source.accepted = accepted;
            source.home = Some(home);
            source.watermark = Watermark { at: watermark, last_appended_at, last_captured_at };
            source.stored_up_to = last_captured_at;
            for window in context.history.open_windows(id) {
                source.windows.take_up(window, &context.rules.names);
            }
        }
        source
    }

    /// Whether this is the first that `epoch` has to do with the source.
    pub(crate) fn touch(&mut self, epoch: u64) -> bool {
        let first = self.touched_in != epoch;
        self.touched_in = epoch;
        first
    }

    /// Takes note that its newest frame was read at `place`.
    pub(crate) fn live_at(&mut self, place: &Place) {
        if self.home.as_ref() != Some(place) {
            self.home = Some(place.clone());
        }
    }

    /// Counts the frames of `run` that were not counted before; how many.
    pub(crate) fn count(
        &mut self,
        run: &Run,
        epoch: u64,
        context: &Context,
        metrics: &mut MetricLookup,
    ) -> u64 {
        let before = self.accepted;
        let load = |block| context.history.seqs(self.id, run.session, block);
        for (arrival, counts) in run.iter() {
            let Arrival { seq, captured_at, appended_at } = *arrival;
            if self.dedup.first_seen(run.session, seq, epoch, load) || Bug::NoDedup.is_planted() {
                let watermark = self.watermark.frame(captured_at, appended_at, &context.bounds);
                self.deltas.add(captured_at, watermark, counts, metrics);
                self.accepted += 1;
            }
        }
        if before < self.accepted {
            self.changed_in = epoch;
        }
        self.accepted - before
    }

    /// Takes note that everything that the log had by `now` was read. Whether a
    /// window turns final by it.
    pub(crate) fn silence(&mut self, now: UnixMillis, epoch: u64, context: &Context) -> bool {
        let mut silent = self.watermark;
        silent.silence(now, &context.bounds);
        // A source that this epoch changes is looked at when the epoch closes.
        let changes = self.changed_in == epoch;
        if !changes && !self.windows.any_ends_by(silent.at, &context.rules) {
            return false;
        }
        self.watermark = silent;
        self.changed_in = epoch;
        true
    }

    /// What `epoch` changed.
    pub(crate) fn close(
        &mut self,
        epoch: u64,
        context: &Context,
        metrics: &mut MetricLookup,
    ) -> SourceChange {
        let (known, deltas) = (self.stored_up_to, self.deltas.take());
        self.windows.add(&deltas, epoch, &context.rules, |window| {
            if known < window.start {
                return None;
            }
            context.history.window(self.id, window.size, window.start)
        });
        self.stored_up_to = self.watermark.last_captured_at;
        self.rev += 1;
        let Watermark { at: watermark, last_appended_at, last_captured_at } = self.watermark;
        let windows =
            self.windows.close(self.id, watermark, epoch, self.cadence_ms, &context.rules, metrics);
        SourceChange {
            state: SourceState {
                source: self.id,
                rev: self.rev,
                watermark,
                last_appended_at,
                last_captured_at,
                accepted: self.accepted,
                home: self.home.clone().expect("a source that changes has sent a frame"),
            },
            blocks: self.dedup.take_changed(self.id),
            windows,
        }
    }

    /// Lets go of what is committed and quiet; whether nothing is left to hold.
    pub(crate) fn evict(&mut self, epoch: u64, committed: u64) -> bool {
        self.windows.evict(epoch, committed);
        self.dedup.evict(epoch, committed);
        self.windows.is_empty() && self.dedup.is_empty() && self.changed_in <= committed
    }
}
