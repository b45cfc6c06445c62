//! The tables as plain maps: what every implementation must answer like.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schemas::commit::logbook::{Rewound, Standing, closed};
use schemas::commit::{
    Audit, Claim, Commit, CommitError, Ledger, Parked, PartitionAccount, SeriesQuery,
    SourceAccount, SourceState, SourceSummary, Status, WindowState,
};
use schemas::intervals::Intervals;
use schemas::log::{LogId, Offset, Partition};
use schemas::source::{SessionId, SourceId};
use schemas::stats::Histogram;
use schemas::time::UnixMillis;
use schemas::window::WindowSize;

/// A `StateStore` that is slow, forgetful and obviously right.
#[derive(Clone, Default)]
pub(crate) struct Model {
    partitions: BTreeMap<(LogId, Partition), PartitionAccount>,
    lost_ends: BTreeMap<(LogId, Partition), Offset>,
    sources: BTreeMap<SourceId, SourceState>,
    seqs: BTreeMap<(SourceId, SessionId, u64), Intervals>,
    windows: BTreeMap<(SourceId, WindowSize, UnixMillis), WindowState>,
    parked: Vec<Parked>,
}

/// Why a commit was refused, without the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Fenced(Partition),
    SourceMoved { expected: u64, found: u64 },
}

impl Refusal {
    pub(crate) fn of(error: &CommitError) -> Option<Refusal> {
        match error {
            CommitError::Fenced { partition, .. } => Some(Refusal::Fenced(*partition)),
            CommitError::SourceMoved { expected, found, .. } => {
                Some(Refusal::SourceMoved { expected: *expected, found: *found })
            }
            CommitError::Store(_) => None,
        }
    }
}

impl Model {
    pub(crate) fn claim(&mut self, log: &LogId, partition: Partition, first: Offset) -> Claim {
        let account = self.partitions.entry((log.clone(), partition)).or_insert(PartitionAccount {
            log: log.clone(),
            partition,
            owner_epoch: 0,
            first_offset: first,
            next_offset: first,
            ledger: Ledger::default(),
            parked_rows: 0,
        });
        account.owner_epoch += 1;
        Claim { owner_epoch: account.owner_epoch, next_offset: account.next_offset }
    }

    pub(crate) fn commit(&mut self, commit: &Commit) -> Result<(), Refusal> {
        let mut after = self.clone();
        for advance in &commit.partitions {
            let refused = Refusal::Fenced(advance.partition);
            let key = (advance.log.clone(), advance.partition);
            let account = after.partitions.get_mut(&key).ok_or(refused)?;
            let held = (account.owner_epoch, account.next_offset);
            if held != (advance.owner_epoch, advance.from) {
                return Err(refused);
            }
            account.next_offset = advance.to;
            account.ledger.add(&advance.ledger);
        }
        for change in &commit.sources {
            let state = &change.state;
            let found = after.sources.get(&state.source).map_or(0, |known| known.rev);
            if found + 1 != state.rev {
                return Err(Refusal::SourceMoved { expected: state.rev - 1, found });
            }
            after.sources.insert(state.source, state.clone());
            for block in &change.blocks {
                after.seqs.insert((block.source, block.session, block.block), block.seqs.clone());
            }
            for window in &change.windows {
                let key = (window.source, window.window.size, window.window.start);
                after.windows.insert(key, window.clone());
            }
        }
        after.parked.extend(commit.parked.iter().cloned());
        *self = after;
        Ok(())
    }

    pub(crate) fn standing(&self, log: &LogId, partition: Partition) -> Option<Standing> {
        let key = (log.clone(), partition);
        let account = self.partitions.get(&key)?;
        let lost_end = self.lost_ends.get(&key).copied();
        Some(Standing { next_offset: account.next_offset, lost_end })
    }

    pub(crate) fn lost_end(&mut self, log: &LogId, partition: Partition, end: Offset) {
        let key = (log.clone(), partition);
        if self.partitions.get(&key).is_some_and(|account| end < account.next_offset) {
            let lowest = self.lost_ends.entry(key).or_insert(end);
            *lowest = end.min(*lowest);
        }
    }

    pub(crate) fn rewind(&mut self, log: &LogId, partition: Partition) -> Option<Rewound> {
        let key = (log.clone(), partition);
        let to = self.lost_ends.remove(&key)?;
        let old = self.partitions.remove(&key)?;
        let closed = closed(log, old.owner_epoch);
        for parked in &mut self.parked {
            if (&parked.log, parked.partition) == (log, partition) {
                parked.log = closed.clone();
            }
        }
        let new = PartitionAccount {
            owner_epoch: old.owner_epoch + 1,
            first_offset: to,
            next_offset: to,
            ledger: Ledger::default(),
            ..old.clone()
        };
        let from = old.next_offset;
        let old = PartitionAccount { log: closed.clone(), ..old };
        self.partitions.extend([((closed.clone(), partition), old), (key, new)]);
        Some(Rewound { from, to, closed })
    }

    pub(crate) fn source(&self, source: SourceId) -> Option<SourceState> {
        self.sources.get(&source).cloned()
    }

    pub(crate) fn window(
        &self,
        source: SourceId,
        size: WindowSize,
        start: UnixMillis,
    ) -> Option<WindowState> {
        self.windows.get(&(source, size, start)).cloned()
    }

    pub(crate) fn open_sources(&self) -> Vec<SourceState> {
        let open = |state: &&SourceState| !self.open_windows(state.source).is_empty();
        self.sources.values().filter(open).cloned().collect()
    }

    pub(crate) fn open_windows(&self, source: SourceId) -> Vec<WindowState> {
        let open = self.windows.values().filter(|window| window.status == Status::Open);
        open.filter(|window| source == window.source).cloned().collect()
    }

    pub(crate) fn seqs(&self, source: SourceId, session: SessionId, block: u64) -> Intervals {
        self.seqs.get(&(source, session, block)).cloned().unwrap_or_default()
    }

    pub(crate) fn sources(&self) -> Vec<SourceSummary> {
        let summary = |state: &SourceState| {
            let of_source = self.windows.values().filter(|window| window.source == state.source);
            let names = of_source.flat_map(|window| &window.metrics).map(|(name, _)| name);
            let names: BTreeSet<&Arc<str>> = names.collect();
            SourceSummary { state: state.clone(), metrics: names.into_iter().cloned().collect() }
        };
        self.sources.values().map(summary).collect()
    }

    pub(crate) fn series(&self, query: &SeriesQuery) -> Vec<WindowState> {
        let asked = |state: &&WindowState| {
            let start = state.window.start;
            (state.source, state.window.size) == (query.source, query.size)
                && query.from <= start
                && start < query.to
        };
        let mut found: Vec<WindowState> = self.windows.values().filter(asked).cloned().collect();
        if query.newest_first {
            found.reverse();
        }
        found.truncate(usize::try_from(query.limit).unwrap());
        if let Some(metric) = &query.metric {
            for state in &mut found {
                let stored = state.metrics.iter().find(|(name, _)| name == metric);
                let zero = || Histogram::of(&[(0, state.frames)]);
                let histogram = stored.map_or_else(zero, |(_, histogram)| histogram.clone());
                state.metrics = vec![(Arc::clone(metric), histogram)];
            }
        }
        found
    }

    pub(crate) fn parked(&self, limit: u32) -> Vec<Parked> {
        self.parked.iter().rev().take(usize::try_from(limit).unwrap()).cloned().collect()
    }

    pub(crate) fn audit(&self) -> Audit {
        let parked_at = |account: &PartitionAccount| {
            let here = |parked: &&Parked| {
                (&parked.log, parked.partition) == (&account.log, account.partition)
            };
            self.parked.iter().filter(here).count().try_into().unwrap()
        };
        let account = |state: &SourceState| {
            let of_source = |window: &&WindowState| window.source == state.source;
            let of_size = |size| {
                let windows = self.windows.values().filter(of_source);
                windows.filter(|w| w.window.size == size).map(|w| w.frames).sum()
            };
            let seqs = self.seqs.iter().filter(|(key, _)| key.0 == state.source);
            let uneven = self.windows.values().filter(of_source).filter(|window| {
                window.metrics.iter().any(|(_, histogram)| histogram.frames() != window.frames)
            });
            SourceAccount {
                source: state.source,
                accepted: state.accepted,
                remembered: seqs.map(|(_, seqs)| seqs.count()).sum(),
                frames: WindowSize::ALL.map(of_size),
                uneven_windows: uneven.count().try_into().unwrap(),
            }
        };
        let mut by_reason = BTreeMap::new();
        for parked in &self.parked {
            *by_reason.entry(parked.reason).or_insert(0) += 1;
        }
        let mut partitions: Vec<PartitionAccount> = self.partitions.values().cloned().collect();
        partitions.iter_mut().for_each(|account| account.parked_rows = parked_at(account));
        Audit {
            partitions,
            sources: self.sources.values().map(account).collect(),
            parked: by_reason.into_iter().collect(),
        }
    }
}
