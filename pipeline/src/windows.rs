//! The windows of one source, of every size, as dense histograms: the engine's
//! hot state.
//!
//! # Invariants
//!
//! - A window that is held is right as of the current epoch; one that is not
//!   held is right in the store.
//! - Between two epochs, the windows of one size ascend. In a list and not in a
//!   tree, because an epoch goes through all of them anyway.
//! - An open window is held. A window that is final and quiet is let go of once
//!   the store has it, and comes back when a late frame asks for it.

use std::sync::Arc;

use schemas::bugs::Bug;
use schemas::commit::{Status, WindowState};
use schemas::source::SourceId;
use schemas::stats::Histogram;
use schemas::time::UnixMillis;
use schemas::window::{Calendar, Window, WindowSize};

use crate::classes::{MetricId, MetricLookup, Names};
use crate::delta::MinuteDelta;

/// Epochs without a change after which a final window is let go of.
const QUIET_EPOCHS: u64 = 4;

/// What all sources' windows go by.
pub(crate) struct Rules {
    pub(crate) calendar: Calendar,
    pub(crate) grace: std::time::Duration,
    /// Metrics that have a row in every window.
    pub(crate) declared: Vec<MetricId>,
    pub(crate) names: Arc<Names>,
}

/// The windows of one source that are held, by size.
#[derive(Default)]
pub(crate) struct Windows {
    sizes: [Vec<Held>; WindowSize::ALL.len()],
    /// The last day met: asking the calendar is slow.
    day: Option<Window>,
}

struct Held {
    window: Window,
    frames: u64,
    status: Status,
    rev: u64,
    metrics: Vec<(MetricId, Histogram)>,
    changed_in: u64,
}

impl Windows {
    /// Takes up a window as the store has it, behind those of its size.
    pub(crate) fn take_up(&mut self, stored: WindowState, names: &Names) {
        self.sizes[index(stored.window.size)].push(Held::from_store(stored, names));
    }

    /// Adds each of `deltas`, which ascend, to the windows of every size that hold
    /// its minute. `load` answers what the store has of a window that is not held.
    pub(crate) fn add(
        &mut self,
        deltas: &[MinuteDelta],
        epoch: u64,
        rules: &Rules,
        mut load: impl FnMut(Window) -> Option<WindowState>,
    ) {
        for size in WindowSize::ALL {
            let ordered = self.sizes[index(size)].len();
            for delta in deltas {
                let window = self.window(size, delta.start, rules);
                let was_final = window.end.plus(rules.grace) <= delta.watermark;
                if was_final && Bug::DropLate.is_planted() {
                    continue;
                }
                let all = &mut self.sizes[index(size)];
                let at = find(all, ordered, window.start).unwrap_or_else(|| {
                    all.push(match load(window) {
                        Some(stored) => Held::from_store(stored, &rules.names),
                        None => Held::new(window, &rules.declared),
                    });
                    all.len() - 1
                });
                let held = &mut all[at];
                held.add(delta);
                if was_final || held.status != Status::Open {
                    held.status = Status::Corrected;
                }
                held.changed_in = epoch;
            }
            merge(&mut self.sizes[index(size)], ordered);
        }
    }

    fn window(&mut self, size: WindowSize, moment: UnixMillis, rules: &Rules) -> Window {
        match self.day {
            Some(day) if size == WindowSize::Day && day.start <= moment && moment < day.end => day,
            _ => {
                // Frames outside the calendar are parked before they get here.
                let window = rules.calendar.window(size, moment).expect("a plausible moment");
                if size == WindowSize::Day {
                    self.day = Some(window);
                }
                window
            }
        }
    }

    /// Whether a window would turn final at `watermark`.
    pub(crate) fn any_ends_by(&self, watermark: UnixMillis, rules: &Rules) -> bool {
        let mut held = self.sizes.iter().flatten();
        held.any(|held| held.ends_by(watermark, rules))
    }

    /// Every window that changed in `epoch` or turned final at `watermark`, under
    /// a new revision.
    pub(crate) fn close(
        &mut self,
        source: SourceId,
        watermark: UnixMillis,
        epoch: u64,
        cadence_ms: i64,
        rules: &Rules,
        metrics: &mut MetricLookup,
    ) -> Vec<WindowState> {
        let mut changed = Vec::new();
        for held in self.sizes.iter_mut().flatten() {
            if held.ends_by(watermark, rules) {
                held.status = Status::Final;
                held.changed_in = epoch;
            }
            if held.changed_in == epoch {
                held.rev += 1;
                changed.push(held.state(source, cadence_ms, metrics));
            }
        }
        changed
    }

    /// Lets go of what is final, committed and quiet.
    pub(crate) fn evict(&mut self, epoch: u64, committed: u64) {
        for held in &mut self.sizes {
            held.retain(|held| {
                held.status == Status::Open
                    || committed < held.changed_in
                    || epoch <= held.changed_in.saturating_add(QUIET_EPOCHS)
            });
        }
    }

    /// Whether nothing is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.sizes.iter().all(Vec::is_empty)
    }
}

/// The place of the window that begins at `start`: among the `ordered` ones, or
/// the last behind them.
fn find(held: &[Held], ordered: usize, start: UnixMillis) -> Option<usize> {
    let (before, new) = held.split_at(ordered);
    match new.last() {
        Some(last) if last.start() == start => Some(held.len() - 1),
        // Nearly always a new window.
        _ if before.last().is_none_or(|last| last.start() < start) => None,
        _ => before.binary_search_by_key(&start, Held::start).ok(),
    }
}

/// Makes the `ordered` windows and those behind them, which ascend too, one list.
fn merge(held: &mut [Held], ordered: usize) {
    let (before, new) = held.split_at(ordered);
    let late = |(last, first): (&Held, &Held)| first.start() < last.start();
    if before.last().zip(new.first()).is_some_and(late) {
        // Finds the two by itself.
        held.sort_by_key(Held::start);
    }
}

fn index(size: WindowSize) -> usize {
    match size {
        WindowSize::Minute => 0,
        WindowSize::FiveMinutes => 1,
        WindowSize::QuarterHour => 2,
        WindowSize::Hour => 3,
        WindowSize::Day => 4,
    }
}

impl Held {
    fn new(window: Window, declared: &[MetricId]) -> Held {
        let metrics = declared.iter().map(|metric| (*metric, Histogram::default())).collect();
        Held { window, frames: 0, status: Status::Open, rev: 0, metrics, changed_in: 0 }
    }

    fn from_store(stored: WindowState, names: &Names) -> Held {
        let WindowState { source: _, window, frames, frames_expected: _, status, rev, metrics } =
            stored;
        let metrics =
            metrics.into_iter().map(|(name, histogram)| (names.metric(&name), histogram)).collect();
        Held { window, frames, status, rev, metrics, changed_in: 0 }
    }

    fn start(&self) -> UnixMillis {
        self.window.start
    }

    fn add(&mut self, delta: &MinuteDelta) {
        self.frames += delta.frames;
        for (metric, more) in &delta.metrics {
            match self.metrics.iter_mut().find(|(known, _)| known == metric) {
                Some((_, histogram)) => histogram.merge(more),
                None => self.metrics.push((*metric, more.clone())),
            }
        }
    }

    fn ends_by(&self, watermark: UnixMillis, rules: &Rules) -> bool {
        self.status == Status::Open && self.window.end.plus(rules.grace) <= watermark
    }

    fn state(&self, source: SourceId, cadence_ms: i64, names: &mut MetricLookup) -> WindowState {
        let whole = |(metric, histogram): &(MetricId, Histogram)| {
            let mut histogram = histogram.clone();
            histogram.pad_to(self.frames);
            (Arc::clone(names.name(*metric)), histogram)
        };
        let mut metrics: Vec<_> = self.metrics.iter().map(whole).collect();
        metrics.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        WindowState {
            source,
            window: self.window,
            frames: self.frames,
            frames_expected: self.window.frames_expected(cadence_ms),
            status: self.status,
            rev: self.rev,
            metrics,
        }
    }
}
