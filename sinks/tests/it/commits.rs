//! A story for tables to keep: commits that follow one another.

use schemas::commit::{
    Commit, Ledger, PartitionAdvance, Place, SourceChange, SourceState, StateStore, Status,
    WindowState,
};
use schemas::log::{LogId, Offset, Partition};
use schemas::stats::Histogram;
use schemas::time::UnixMillis;
use schemas::window::{Window, WindowSize};

use crate::conformance::log::source;

pub(crate) fn log() -> LogId {
    LogId("log".into())
}

/// The n-th commit of source 1 on partition 0: `windows` minutes of four frames.
pub(crate) fn nth(n: u64, windows: u64) -> Commit {
    nth_of(0, n, windows)
}

/// The same of another source on another partition.
pub(crate) fn nth_of(who: u32, n: u64, windows: u64) -> Commit {
    let (partition, source) = (Partition(who), source(i64::from(who) + 1));
    let start = |minute| i64::try_from(n * windows + minute).unwrap() * 60_000;
    let minute = |minute| WindowState {
        source,
        window: Window {
            size: WindowSize::Minute,
            start: UnixMillis::new(start(minute)),
            end: UnixMillis::new(start(minute) + 60_000),
        },
        frames: 4,
        frames_expected: 60,
        status: Status::Open,
        rev: 1,
        metrics: vec![("total".into(), Histogram::of(&[(1, 1), (2, 2), (5, 1)]))],
    };
    Commit {
        partitions: vec![PartitionAdvance {
            log: log(),
            partition,
            owner_epoch: 1,
            from: Offset(n * windows * 4),
            to: Offset((n + 1) * windows * 4),
            ledger: Ledger { read: windows * 4, accepted: windows * 4, ..Ledger::default() },
        }],
        sources: vec![SourceChange {
            state: SourceState {
                source,
                rev: n + 1,
                watermark: UnixMillis::new(0),
                last_appended_at: UnixMillis::new(0),
                last_captured_at: UnixMillis::new(0),
                accepted: (n + 1) * windows * 4,
                home: Place { log: log(), partition },
            },
            blocks: vec![],
            windows: (0..windows).map(minute).collect(),
        }],
        parked: vec![],
    }
}

pub(crate) fn next_offset(state: &dyn StateStore) -> u64 {
    state.audit().unwrap().partitions[0].next_offset.0
}

pub(crate) fn minutes(state: &dyn StateStore) -> u64 {
    state.audit().unwrap().sources.first().map_or(0, |account| account.frames[0]) / 4
}
