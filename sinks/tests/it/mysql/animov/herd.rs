//! Frames with counts, and the windows that they make: counted here by hand, not by
//! the pipeline.

use std::collections::BTreeMap;
use std::fmt::Write;

use schemas::commit::{
    Commit, Ledger, PartitionAdvance, Place, SourceChange, SourceState, StateStore, Status,
    WindowState,
};
use schemas::log::{Offset, Partition};
use schemas::source::SourceId;
use schemas::stats::Histogram;
use schemas::time::UnixMillis;
use schemas::window::{Calendar, Window, WindowSize};

use crate::commits::log;

/// What one frame shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) source: u32,
    pub(super) at_ms: i64,
    pub(super) lying: u32,
    pub(super) standing: u32,
    pub(super) eat: u32,
    pub(super) brush: u32,
}

pub(super) struct Herd {
    pub(super) zone: String,
    pub(super) frames: Vec<Frame>,
}

/// Numbers that look random and are the same for the same seed.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// One of `0..sides`.
    pub(super) fn roll(&mut self, sides: u32) -> u32 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(self.0 >> 33).unwrap() % sides
    }
}

impl Herd {
    /// Frames of `source` in `minutes` before `end_ms`: uneven minutes, minutes of
    /// one frame, and gaps.
    pub(super) fn add(&mut self, dice: &mut Dice, source: u32, end_ms: i64, minutes: i64) {
        let mut silent = 0;
        for minute in (0..minutes).rev() {
            if 0 < silent {
                silent -= 1;
                continue;
            }
            if dice.roll(40) == 0 {
                silent = dice.roll(30);
            }
            let frames = match dice.roll(10) {
                0 => 1,
                1..=3 => 1 + dice.roll(20),
                _ => 3 + dice.roll(5),
            };
            let begin_ms = (end_ms - minute * 60_000).div_euclid(60_000) * 60_000;
            let (lie, stand) = (1 + dice.roll(9), 1 + dice.roll(5));
            let busy = dice.roll(4) == 0;
            for frame in 0..frames {
                let at_ms = begin_ms + i64::from(frame * (59_999 / frames));
                if end_ms <= at_ms {
                    break;
                }
                let (lying, standing) = (dice.roll(lie), dice.roll(stand));
                let eat = if busy { dice.roll(3) } else { 0 };
                let brush = if busy { dice.roll(2) } else { 0 };
                self.frames.push(Frame { source, at_ms, lying, standing, eat, brush });
            }
        }
    }

    /// The frames as CSV, for an independent computation.
    pub(super) fn csv(&self) -> String {
        let mut csv = "source,at_ms,lying,standing,eat,brush\n".to_owned();
        for Frame { source, at_ms, lying, standing, eat, brush } in &self.frames {
            writeln!(csv, "{source},{at_ms},{lying},{standing},{eat},{brush}").unwrap();
        }
        csv
    }

    /// Commits all of it, a commit a source.
    pub(super) fn commit(&self, state: &dyn StateStore) {
        let calendar = Calendar::in_zone(&self.zone).unwrap();
        let mut sources = BTreeMap::<u32, Vec<&Frame>>::new();
        for frame in &self.frames {
            sources.entry(frame.source).or_default().push(frame);
        }
        state.claim(&log(), Partition(0), Offset(0)).unwrap();
        let mut from = 0;
        for (source, frames) in sources {
            let commit = of_source(&calendar, source, &frames, from);
            from = commit.partitions[0].to.0;
            state.commit(&commit).unwrap();
        }
    }
}

fn of_source(calendar: &Calendar, source: u32, frames: &[&Frame], from: u64) -> Commit {
    let source = SourceId::try_from(i64::from(source)).unwrap();
    let mut windows = BTreeMap::<Window, Vec<&Frame>>::new();
    for frame in frames {
        for size in WindowSize::ALL {
            let window = calendar.window(size, UnixMillis::new(frame.at_ms)).unwrap();
            windows.entry(window).or_default().push(frame);
        }
    }
    let count = u64::try_from(frames.len()).unwrap();
    let newest = UnixMillis::new(frames.iter().map(|frame| frame.at_ms).max().unwrap());
    Commit {
        partitions: vec![PartitionAdvance {
            log: log(),
            partition: Partition(0),
            owner_epoch: 1,
            from: Offset(from),
            to: Offset(from + count),
            ledger: Ledger { read: count, accepted: count, ..Ledger::default() },
        }],
        sources: vec![SourceChange {
            state: SourceState {
                source,
                rev: 1,
                watermark: newest,
                last_appended_at: newest,
                last_captured_at: newest,
                accepted: count,
                home: Place { log: log(), partition: Partition(0) },
            },
            blocks: vec![],
            windows: windows
                .into_iter()
                .map(|(window, frames)| state_of(source, window, &frames))
                .collect(),
        }],
        parked: vec![],
    }
}

fn state_of(source: SourceId, window: Window, frames: &[&Frame]) -> WindowState {
    let histogram = |count: fn(&Frame) -> u32| {
        let mut histogram = Histogram::default();
        frames.iter().for_each(|frame| histogram.add(count(frame), 1));
        histogram
    };
    let mut metrics = vec![
        ("lying".into(), histogram(|frame| frame.lying)),
        ("standing".into(), histogram(|frame| frame.standing)),
        ("total".into(), histogram(|frame| frame.lying + frame.standing)),
    ];
    // Only where they were seen.
    if frames.iter().any(|frame| 0 < frame.brush) {
        metrics.push(("brush".into(), histogram(|frame| frame.brush)));
    }
    if frames.iter().any(|frame| 0 < frame.eat) {
        metrics.push(("eat".into(), histogram(|frame| frame.eat)));
    }
    metrics.sort_by(|(a, _): &(std::sync::Arc<str>, _), (b, _)| a.cmp(b));
    WindowState {
        source,
        window,
        frames: u64::try_from(frames.len()).unwrap(),
        frames_expected: 60,
        status: Status::Open,
        rev: 1,
        metrics,
    }
}
