//! The commits that the tests are made of, and what is asked of all of them.

use std::sync::Arc;

use schemas::commit::{
    Commit, Ledger, ParkReason, Parked, PartitionAdvance, Place, SeqBlock, SeriesQuery,
    SourceChange, SourceState, StateStore, Status, WindowState,
};
use schemas::intervals::Intervals;
use schemas::log::{LogId, Offset, Partition};
use schemas::source::{SessionId, SourceId};
use schemas::stats::Histogram;
use schemas::time::UnixMillis;
use schemas::window::{Window, WindowSize};

use crate::conformance::log::source;

pub(crate) const MINUTE: i64 = 60_000;

pub(crate) fn log() -> LogId {
    LogId("the-log".into())
}

pub(crate) fn at(minute: i64) -> UnixMillis {
    UnixMillis::new(1_772_323_200_000 + minute * MINUTE)
}

pub(crate) fn name(metric: &str) -> Arc<str> {
    metric.into()
}

fn window_of(size: WindowSize, start: UnixMillis) -> Window {
    let length = size.fixed_millis().unwrap_or(24 * 60 * MINUTE);
    Window { size, start, end: UnixMillis::new(start.get() + length) }
}

/// A window whose frames all show three lying animals and five in all.
pub(crate) fn window(
    id: i64,
    size: WindowSize,
    start: UnixMillis,
    frames: u64,
    rev: u64,
) -> WindowState {
    WindowState {
        source: source(id),
        window: window_of(size, start),
        frames,
        frames_expected: 60,
        status: Status::Open,
        rev,
        metrics: vec![
            (name("lying"), Histogram::of(&[(3, frames)])),
            (name("total"), Histogram::of(&[(5, frames)])),
        ],
    }
}

/// What `frames` frames of one source, all in minute 0, come to in all.
pub(crate) fn change(id: i64, rev: u64, frames: u64) -> SourceChange {
    let mut seqs = Intervals::default();
    (0..frames).for_each(|seq| _ = seqs.insert(seq));
    let session = SessionId::derived_from(&id.to_be_bytes());
    SourceChange {
        state: SourceState {
            source: source(id),
            rev,
            watermark: at(0),
            last_appended_at: at(1),
            last_captured_at: at(0),
            accepted: frames,
            home: Place { log: log(), partition: Partition(0) },
        },
        blocks: vec![SeqBlock { source: source(id), session, block: 0, seqs }],
        windows: WindowSize::ALL.map(|size| window(id, size, at(0), frames, rev)).into(),
    }
}

pub(crate) fn advance(
    partition: u32,
    owner_epoch: u64,
    from: u64,
    accepted: u64,
) -> PartitionAdvance {
    PartitionAdvance {
        log: log(),
        partition: Partition(partition),
        owner_epoch,
        from: Offset(from),
        to: Offset(from + accepted),
        ledger: Ledger { read: accepted, accepted, ..Ledger::default() },
    }
}

/// Ten frames of source 1 on partition 0, whose owner has epoch 1.
pub(crate) fn ten_frames() -> Commit {
    Commit {
        partitions: vec![advance(0, 1, 0, 10)],
        sources: vec![change(1, 1, 10)],
        parked: vec![],
    }
}

pub(crate) fn parked(partition: u32, offset: u64) -> Parked {
    Parked {
        log: log(),
        partition: Partition(partition),
        offset: Offset(offset),
        appended_at: at(1),
        reason: ParkReason::ALL[usize::try_from(offset).unwrap() % ParkReason::ALL.len()],
        detail: format!("what was wrong with {offset}: \u{1F410}, 'quotes'"),
        bytes: vec![0, 255, 39, 10],
    }
}

pub(crate) fn claim(state: &dyn StateStore, partition: u32) -> u64 {
    state.claim(&log(), Partition(partition), Offset(0)).unwrap().owner_epoch
}

pub(crate) fn whole_series(source: SourceId, size: WindowSize) -> SeriesQuery {
    SeriesQuery {
        source,
        size,
        from: UnixMillis::MIN,
        to: UnixMillis::MAX,
        metric: None,
        limit: u32::MAX,
        newest_first: false,
    }
}
