//! What every [`StateStore`] must do.

use std::sync::Arc;
use std::thread;

use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};
use schemas::commit::{
    Commit, CommitError, Ledger, ParkReason, Parked, PartitionAdvance, Place, SeqBlock,
    SeriesQuery, Shape, SourceChange, SourceState, StateStore, Status, StoreError, WindowState,
};
use schemas::intervals::Intervals;
use schemas::log::{LogId, Offset, Partition};
use schemas::metric::MetricRules;
use schemas::source::{SessionId, SourceId};
use schemas::stats::Histogram;
use schemas::time::UnixMillis;
use schemas::window::{Window, WindowSize};

use crate::conformance::log::source;
use crate::conformance::model::{Model, Refusal};

/// Tables of their own for one test, which can be closed and opened again.
pub(crate) trait TestState: Sized {
    /// New, empty tables; `None`, with a line that says why, where their server
    /// is not there.
    fn new() -> Option<Self>;

    /// Opens them; what was opened before may still be in use.
    fn open(&self) -> Arc<dyn StateStore>;

    /// Empties them.
    fn clear(&self);
}

/// One test for each thing that tables must do.
macro_rules! state_conformance {
    ($state:ty) => {
        $crate::conformance::state::state_conformance!($state:
            a_partition_begins_where_it_is_first_claimed,
            a_commit_is_there_for_every_reader_and_after_reopening,
            the_same_commit_again_is_fenced_and_changes_nothing,
            an_older_owner_is_fenced_and_changes_nothing,
            a_partition_that_nobody_claimed_is_fenced,
            a_commit_refused_for_one_partition_changes_no_other,
            a_source_that_somebody_else_wrote_is_refused_whole,
            a_commit_may_change_windows_without_moving_an_offset,
            the_shape_is_remembered_and_compared,
            a_series_pages_in_both_directions,
            a_metric_without_a_row_counts_zero_animals,
            open_windows_come_by_source_size_and_start,
            parked_records_come_newest_first_and_once,
            the_audit_finds_what_does_not_add_up,
            the_largest_numbers_survive,
            of_many_committers_one_wins_each_offset,
            random_commits_read_back_like_the_model,
        );
    };
    ($state:ty: $($case:ident,)*) => {
        $(
            #[test]
            fn $case() {
                match <$state as $crate::conformance::state::TestState>::new() {
                    Some(state) => $crate::conformance::state::$case(&state),
                    None => println!("skipped"),
                }
            }
        )*
    };
}
pub(crate) use state_conformance;

const MINUTE: i64 = 60_000;

pub(crate) fn log() -> LogId {
    LogId("the-log".into())
}

fn at(minute: i64) -> UnixMillis {
    UnixMillis::new(1_772_323_200_000 + minute * MINUTE)
}

fn name(metric: &str) -> Arc<str> {
    metric.into()
}

fn window_of(size: WindowSize, start: UnixMillis) -> Window {
    let length = size.fixed_millis().unwrap_or(24 * 60 * MINUTE);
    Window { size, start, end: UnixMillis::new(start.get() + length) }
}

/// A window whose frames all show three lying animals and five in all.
fn window(id: i64, size: WindowSize, start: UnixMillis, frames: u64, rev: u64) -> WindowState {
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
fn change(id: i64, rev: u64, frames: u64) -> SourceChange {
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

fn advance(partition: u32, owner_epoch: u64, from: u64, accepted: u64) -> PartitionAdvance {
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
fn ten_frames() -> Commit {
    Commit {
        partitions: vec![advance(0, 1, 0, 10)],
        sources: vec![change(1, 1, 10)],
        parked: vec![],
    }
}

fn claim(state: &dyn StateStore, partition: u32) -> u64 {
    state.claim(&log(), Partition(partition), Offset(0)).unwrap().owner_epoch
}

pub(crate) fn refusal(refused: Result<(), CommitError>) -> Refusal {
    let error = refused.unwrap_err();
    Refusal::of(&error).unwrap_or_else(|| panic!("{error}"))
}

/// Everything that can be asked, as one text.
pub(crate) fn everything(state: &dyn StateStore) -> String {
    let mut told = vec![
        format!("{:?}", state.audit().unwrap()),
        format!("{:?}", state.sources().unwrap()),
        format!("{:?}", state.open_sources().unwrap()),
        format!("{:?}", state.parked(1000).unwrap()),
    ];
    for summary in state.sources().unwrap() {
        for size in WindowSize::ALL {
            let query = whole_series(summary.state.source, size);
            told.push(format!("{:?}", state.series(&query).unwrap()));
        }
    }
    told.join("\n")
}

fn whole_series(source: SourceId, size: WindowSize) -> SeriesQuery {
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

pub(crate) fn a_partition_begins_where_it_is_first_claimed(test: &impl TestState) {
    let state = test.open();
    let claim = |first| state.claim(&log(), Partition(3), Offset(first)).unwrap();
    let first = claim(100);
    assert_eq!((first.owner_epoch, first.next_offset), (1, Offset(100)));
    let second = claim(7);
    assert_eq!((second.owner_epoch, second.next_offset), (2, Offset(100)), "100 stays");
    let other = state.claim(&LogId("other".into()), Partition(3), Offset(5)).unwrap();
    assert_eq!((other.owner_epoch, other.next_offset), (1, Offset(5)));
}

pub(crate) fn a_commit_is_there_for_every_reader_and_after_reopening(test: &impl TestState) {
    let state = test.open();
    let beside = test.open();
    claim(&*state, 0);
    let commit = ten_frames();
    state.commit(&commit).unwrap();
    let expect = |state: &dyn StateStore| {
        let change = &commit.sources[0];
        assert_eq!(state.source(source(1)).unwrap().as_ref(), Some(&change.state));
        assert_eq!(state.source(source(2)).unwrap(), None);
        for expected in &change.windows {
            let Window { size, start, .. } = expected.window;
            let found = state.window(source(1), size, start).unwrap();
            assert_eq!(found.as_ref(), Some(expected));
            assert_eq!(state.window(source(1), size, at(1)).unwrap(), None);
            assert_eq!(state.window(source(2), size, start).unwrap(), None);
        }
        let SeqBlock { session, seqs, .. } = &change.blocks[0];
        assert_eq!(&state.seqs(source(1), *session, 0).unwrap(), seqs);
        assert_eq!(state.seqs(source(1), *session, 1).unwrap(), Intervals::default());
        assert_eq!(state.seqs(source(2), *session, 0).unwrap(), Intervals::default());
        let [summary] = &state.sources().unwrap()[..] else { panic!("one source") };
        assert_eq!(summary.state, change.state);
        assert_eq!(summary.metrics, [name("lying"), name("total")]);
        let audit = state.audit().unwrap();
        assert_eq!(audit.imbalances(), Vec::<String>::new());
        assert_eq!(audit.partitions[0].next_offset, Offset(10));
    };
    expect(&*state);
    expect(&*beside);
    drop((state, beside));
    let state = test.open();
    expect(&*state);
    let claim = state.claim(&log(), Partition(0), Offset(0)).unwrap();
    assert_eq!((claim.owner_epoch, claim.next_offset), (2, Offset(10)));
}

pub(crate) fn the_same_commit_again_is_fenced_and_changes_nothing(test: &impl TestState) {
    let state = test.open();
    claim(&*state, 0);
    state.commit(&ten_frames()).unwrap();
    let before = everything(&*state);
    assert_eq!(refusal(state.commit(&ten_frames())), Refusal::Fenced(Partition(0)));
    assert_eq!(everything(&*state), before);
}

pub(crate) fn an_older_owner_is_fenced_and_changes_nothing(test: &impl TestState) {
    let (zombie, owner) = (test.open(), test.open());
    claim(&*zombie, 0);
    assert_eq!(claim(&*owner, 0), 2);
    let before = everything(&*owner);
    let error = zombie.commit(&ten_frames()).unwrap_err();
    match &error {
        CommitError::Fenced { owner_epoch, expected, found, .. } => {
            assert_eq!((*owner_epoch, *expected), (1, Offset(0)));
            assert!(found.contains('2'), "{found}");
        }
        other => panic!("{other}"),
    }
    assert_eq!(everything(&*owner), before);
    let mut commit = ten_frames();
    commit.partitions[0].owner_epoch = 2;
    owner.commit(&commit).unwrap();
}

pub(crate) fn a_partition_that_nobody_claimed_is_fenced(test: &impl TestState) {
    let state = test.open();
    assert_eq!(refusal(state.commit(&ten_frames())), Refusal::Fenced(Partition(0)));
    assert_eq!(state.sources().unwrap(), []);
}

pub(crate) fn a_commit_refused_for_one_partition_changes_no_other(test: &impl TestState) {
    let state = test.open();
    (0..3).for_each(|partition| assert_eq!(claim(&*state, partition), 1));
    claim(&*state, 1);
    let before = everything(&*state);
    let mut commit = ten_frames();
    commit.partitions = vec![advance(0, 1, 0, 4), advance(1, 1, 0, 4), advance(2, 1, 0, 2)];
    commit.parked = vec![parked(0, 1)];
    assert_eq!(refusal(state.commit(&commit)), Refusal::Fenced(Partition(1)));
    assert_eq!(everything(&*state), before);
    commit.partitions[1].owner_epoch = 2;
    state.commit(&commit).unwrap();
    let ends = state.audit().unwrap().partitions;
    assert_eq!(ends.iter().map(|account| account.next_offset.0).collect::<Vec<_>>(), [4, 4, 2]);
}

pub(crate) fn a_source_that_somebody_else_wrote_is_refused_whole(test: &impl TestState) {
    let state = test.open();
    (0..2).for_each(|partition| assert_eq!(claim(&*state, partition), 1));
    state.commit(&ten_frames()).unwrap();
    let before = everything(&*state);
    for (rev, expected) in [(1, 0), (3, 2), (9, 8)] {
        let commit = Commit {
            partitions: vec![advance(1, 1, 0, 5)],
            // Another source first: it must not stay.
            sources: vec![change(2, 1, 5), change(1, rev, 15)],
            parked: vec![parked(1, 3)],
        };
        let refused = refusal(state.commit(&commit));
        assert_eq!(refused, Refusal::SourceMoved { expected, found: 1 });
        assert_eq!(everything(&*state), before);
    }
    let unknown = Commit { sources: vec![change(7, 2, 5)], ..Commit::default() };
    let refused = refusal(state.commit(&unknown));
    assert_eq!(refused, Refusal::SourceMoved { expected: 1, found: 0 });
    let next = Commit {
        partitions: vec![advance(1, 1, 0, 5)],
        sources: vec![change(1, 2, 15)],
        parked: vec![],
    };
    state.commit(&next).unwrap();
    assert_eq!(state.source(source(1)).unwrap().unwrap().accepted, 15);
    assert_eq!(state.audit().unwrap().imbalances(), Vec::<String>::new());
}

pub(crate) fn a_commit_may_change_windows_without_moving_an_offset(test: &impl TestState) {
    let state = test.open();
    claim(&*state, 0);
    state.commit(&ten_frames()).unwrap();
    let mut closing = Commit {
        partitions: vec![advance(0, 1, 10, 0)],
        sources: vec![change(1, 2, 10)],
        parked: vec![],
    };
    closing.sources[0].windows.iter_mut().for_each(|window| window.status = Status::Final);
    state.commit(&closing).unwrap();
    assert_eq!(state.open_windows(source(1)).unwrap(), []);
    assert_eq!(state.open_sources().unwrap(), []);
    let minute = state.window(source(1), WindowSize::Minute, at(0)).unwrap().unwrap();
    assert_eq!((minute.status, minute.rev), (Status::Final, 2));
    assert_eq!(state.audit().unwrap().imbalances(), Vec::<String>::new());
    state.commit(&Commit::default()).unwrap();
}

pub(crate) fn the_shape_is_remembered_and_compared(test: &impl TestState) {
    let shape = |zone: &str| Shape { zone: zone.to_owned(), metrics: MetricRules::default() };
    let state = test.open();
    state.shape(&shape("Europe/Paris")).unwrap();
    state.shape(&shape("Europe/Paris")).unwrap();
    drop(state);
    let state = test.open();
    match state.shape(&shape("UTC")).unwrap_err() {
        StoreError::OtherShape { was, now } => {
            assert_eq!((*was, *now), (shape("Europe/Paris"), shape("UTC")));
        }
        other => panic!("{other}"),
    }
    let rules = [("eating".to_owned(), vec!["eat".to_owned(), "drink".to_owned()])];
    let others = Shape { metrics: MetricRules::new(rules.into()), ..shape("Europe/Paris") };
    assert!(matches!(state.shape(&others), Err(StoreError::OtherShape { .. })));
    state.shape(&shape("Europe/Paris")).unwrap();
}

/// Twenty minutes of source 1, every other one without a lying goat.
fn twenty_minutes(state: &dyn StateStore) -> Vec<WindowState> {
    claim(state, 0);
    let mut twenty = change(1, 1, 200);
    twenty.windows = (0..20).map(|n| window(1, WindowSize::Minute, at(n), 10, 1)).collect();
    for window in twenty.windows.iter_mut().step_by(2) {
        window.metrics.remove(0);
    }
    // Neighbours that no query below may find.
    let mut all = twenty.clone();
    all.windows.extend([window(1, WindowSize::Hour, at(0), 10, 1)]);
    let mut other = change(2, 1, 10);
    other.windows = vec![window(2, WindowSize::Minute, at(5), 10, 1)];
    let partitions = vec![advance(0, 1, 0, 210)];
    state.commit(&Commit { partitions, sources: vec![all, other], parked: vec![] }).unwrap();
    twenty.windows
}

pub(crate) fn a_series_pages_in_both_directions(test: &impl TestState) {
    let state = test.open();
    let mut expected = twenty_minutes(&*state);
    let range =
        SeriesQuery { from: at(3), to: at(17), ..whole_series(source(1), WindowSize::Minute) };
    assert_eq!(state.series(&range).unwrap(), expected[3..17], "from is in, to is out");
    for limit in [1, 3, 14, 100] {
        for newest_first in [false, true] {
            let (mut from, mut to) = (at(3), at(17));
            let mut paged = Vec::new();
            loop {
                let query = SeriesQuery { from, to, limit, newest_first, ..range.clone() };
                let page = state.series(&query).unwrap();
                assert!(page.len() <= usize::try_from(limit).unwrap());
                let Some(last) = page.last() else { break };
                match newest_first {
                    true => to = last.window.start,
                    false => from = last.window.end,
                }
                paged.extend(page);
            }
            if newest_first {
                paged.reverse();
            }
            assert_eq!(paged, expected[3..17], "pages of {limit}, newest first: {newest_first}");
        }
    }
    assert_eq!(state.series(&SeriesQuery { limit: 0, ..range.clone() }).unwrap(), []);
    assert_eq!(state.series(&SeriesQuery { to: at(3), ..range.clone() }).unwrap(), []);
    expected.reverse();
    let all = SeriesQuery { newest_first: true, ..whole_series(source(1), WindowSize::Minute) };
    assert_eq!(state.series(&all).unwrap(), expected);
}

pub(crate) fn a_metric_without_a_row_counts_zero_animals(test: &impl TestState) {
    let state = test.open();
    let expected = twenty_minutes(&*state);
    let of = |metric: &str| {
        let metric = Some(name(metric));
        let query = SeriesQuery { metric, ..whole_series(source(1), WindowSize::Minute) };
        state.series(&query).unwrap()
    };
    let lying = of("lying");
    assert_eq!(lying.len(), 20);
    for (minute, window) in lying.iter().enumerate() {
        let animals = if minute % 2 == 0 { 0 } else { 3 };
        assert_eq!(window.metrics, [(name("lying"), Histogram::of(&[(animals, 10)]))]);
        assert_eq!(window.window, expected[minute].window);
    }
    assert!(of("total").iter().all(|w| w.metrics == [(name("total"), Histogram::of(&[(5, 10)]))]));
    assert!(
        of("unicorn").iter().all(|w| w.metrics == [(name("unicorn"), Histogram::of(&[(0, 10)]))])
    );
}

pub(crate) fn open_windows_come_by_source_size_and_start(test: &impl TestState) {
    let state = test.open();
    claim(&*state, 0);
    let mut commit = Commit { partitions: vec![advance(0, 1, 0, 0)], ..Commit::default() };
    let mut expected = Vec::new();
    for id in [11, 2, 9] {
        let mut change = change(id, 1, 1);
        change.windows.clear();
        for size in WindowSize::ALL.into_iter().rev() {
            for minute in [60, 0] {
                let mut state = window(id, size, at(minute), 1, 1);
                let closed = minute == 0 && size == WindowSize::FiveMinutes;
                if closed {
                    state.status = Status::Corrected;
                } else {
                    expected.push(state.clone());
                }
                change.windows.push(state);
            }
        }
        commit.sources.push(change);
    }
    state.commit(&commit).unwrap();
    expected.sort_by_key(|state| (state.source, state.window.size, state.window.start));
    let open: Vec<SourceId> =
        state.open_sources().unwrap().into_iter().map(|state| state.source).collect();
    assert_eq!(open, [source(2), source(9), source(11)]);
    let of_nine: Vec<WindowState> =
        expected.into_iter().filter(|state| state.source == source(9)).collect();
    assert_eq!(state.open_windows(source(9)).unwrap(), of_nine);
    assert_eq!(state.open_windows(source(3)).unwrap(), []);
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

pub(crate) fn parked_records_come_newest_first_and_once(test: &impl TestState) {
    let state = test.open();
    claim(&*state, 0);
    let mut all = Vec::new();
    for n in 0..4 {
        let mut advance = advance(0, 1, n * 3, 3);
        advance.ledger = Ledger { read: 3, parked: 3, ..Ledger::default() };
        let parked: Vec<Parked> = (n * 3..n * 3 + 3).map(|offset| parked(0, offset)).collect();
        all.extend(parked.clone());
        state.commit(&Commit { partitions: vec![advance], sources: vec![], parked }).unwrap();
    }
    all.reverse();
    assert_eq!(state.parked(100).unwrap(), all);
    assert_eq!(state.parked(5).unwrap(), all[..5]);
    assert_eq!(state.parked(0).unwrap(), []);
    let audit = state.audit().unwrap();
    assert_eq!(audit.parked, ParkReason::ALL.map(|reason| (reason, 2)));
    assert_eq!(audit.imbalances(), Vec::<String>::new());

    // The same place a second time is no commit of a working pipeline.
    let before = everything(&*state);
    let mut twice = advance(0, 1, 12, 1);
    twice.ledger = Ledger { read: 1, parked: 1, ..Ledger::default() };
    let again = Commit { partitions: vec![twice], sources: vec![], parked: vec![parked(0, 5)] };
    let refused = state.commit(&again).unwrap_err();
    assert!(matches!(refused, CommitError::Store(_)), "{refused}");
    assert_eq!(everything(&*state), before);
}

pub(crate) fn the_audit_finds_what_does_not_add_up(test: &impl TestState) {
    /// A way for a broken pipeline to lose a frame.
    type Flaw = fn(&mut Commit);
    let flaws: [(&str, Flaw); 6] = [
        ("frames in its 5m windows", |commit| commit.sources[0].windows[1].frames = 9),
        ("sequence numbers", |commit| commit.sources[0].blocks.clear()),
        ("misses frames", |commit| {
            commit.sources[0].windows[2].metrics[1].1 = Histogram::of(&[(4, 9)]);
        }),
        ("all sources accepted", |commit| commit.sources[0].state.accepted = 11),
        ("parked rows", |commit| commit.parked.push(parked(0, 1))),
        ("frames in its 1d windows", |commit| {
            commit.sources[0].windows.retain(|window| window.window.size != WindowSize::Day);
        }),
    ];
    for (expected, flaw) in flaws {
        test.clear();
        let state = test.open();
        claim(&*state, 0);
        let mut commit = ten_frames();
        flaw(&mut commit);
        state.commit(&commit).unwrap();
        let found = state.audit().unwrap().imbalances().join("; ");
        assert!(found.contains(expected), "{expected}: {found}");
    }
    // A ledger that does not add up is refused, or is found too.
    let flaws: [Flaw; 3] = [
        |commit| commit.partitions[0].ledger.read = 9,
        |commit| commit.partitions[0].ledger.accepted = 9,
        |commit| commit.partitions[0].to = Offset(11),
    ];
    for flaw in flaws {
        test.clear();
        let state = test.open();
        claim(&*state, 0);
        let mut commit = ten_frames();
        flaw(&mut commit);
        let stopped = matches!(state.commit(&commit), Err(CommitError::Store(_)));
        let audit = state.audit().unwrap();
        assert_eq!(stopped, audit.imbalances().is_empty() && audit.sources.is_empty());
    }
}

pub(crate) fn the_largest_numbers_survive(test: &impl TestState) {
    let state = test.open();
    let largest = u64::try_from(i64::MAX).unwrap();
    let first = Offset(largest - 10);
    state.claim(&log(), Partition(u32::MAX), first).unwrap();
    let mut commit = ten_frames();
    commit.partitions[0].partition = Partition(u32::MAX);
    commit.partitions[0].from = first;
    commit.partitions[0].to = Offset(largest);
    let id = i64::from(i32::MAX);
    commit.sources = vec![change(id, 1, 10)];
    let change = &mut commit.sources[0];
    change.state.watermark = UnixMillis::MIN;
    change.state.last_captured_at = UnixMillis::MAX;
    change.blocks[0].block = largest >> 16;
    change.blocks[0].seqs = (0..10).fold(Intervals::default(), |mut seqs, n| {
        seqs.insert(largest - n);
        seqs
    });
    change.windows[0].window.start = UnixMillis::new(-MINUTE);
    change.windows[0].window.end = UnixMillis::new(0);
    change.windows[0].frames_expected = largest;
    change.windows[0].metrics[0].1 = Histogram::of(&[(0, 9), (1024, 1)]);
    state.commit(&commit).unwrap();
    let change = &commit.sources[0];
    assert_eq!(state.source(source(id)).unwrap().as_ref(), Some(&change.state));
    let before_1970 = state.window(source(id), WindowSize::Minute, UnixMillis::new(-MINUTE));
    assert_eq!(before_1970.unwrap().as_ref(), Some(&change.windows[0]));
    let block = &change.blocks[0];
    assert_eq!(state.seqs(source(id), block.session, block.block).unwrap(), block.seqs);
    assert_eq!(state.seqs(source(id), block.session, u64::MAX).unwrap(), Intervals::default());
    let audit = state.audit().unwrap();
    assert_eq!(audit.imbalances(), Vec::<String>::new());
    assert_eq!(audit.partitions[0].next_offset, Offset(largest));
}

pub(crate) fn of_many_committers_one_wins_each_offset(test: &impl TestState) {
    const OFFSETS: u64 = 25;
    let state = test.open();
    claim(&*state, 0);
    let won: u64 = thread::scope(|scope| {
        let committers: Vec<_> = (0..4)
            .map(|_| {
                let state = Arc::clone(&state);
                scope.spawn(move || {
                    let mut won = 0;
                    for n in 0..OFFSETS {
                        let commit = Commit {
                            partitions: vec![advance(0, 1, n, 1)],
                            sources: vec![change(1, n + 1, n + 1)],
                            parked: vec![],
                        };
                        match state.commit(&commit) {
                            Ok(()) => won += 1,
                            Err(error) => assert!(Refusal::of(&error).is_some(), "{error}"),
                        }
                        // Readers meanwhile see whole commits only.
                        assert_eq!(state.audit().unwrap().imbalances(), Vec::<String>::new());
                    }
                    won
                })
            })
            .collect();
        committers.into_iter().map(|committer| committer.join().unwrap()).sum()
    });
    let account = state.audit().unwrap().partitions[0].clone();
    assert_eq!((account.next_offset, account.ledger.accepted), (Offset(won), won));
    assert!(0 < won && won <= OFFSETS);
}

/// One thing that may happen to tables.
#[derive(Clone, Debug)]
enum Step {
    Claim { partition: u32, first: u64 },
    Commit(Commit),
    LostEnd { partition: u32, end: u64 },
    Rewind { partition: u32 },
    Reopen,
}

fn histogram(frames: u64) -> impl Strategy<Value = Histogram> {
    prop::collection::vec(0_u32..6, usize::try_from(frames).unwrap()).prop_map(|counts| {
        Histogram::of(&counts.into_iter().map(|animals| (animals, 1)).collect::<Vec<_>>())
    })
}

fn any_window(id: i64) -> impl Strategy<Value = WindowState> {
    let statuses = vec![Status::Open, Status::Final, Status::Corrected];
    (prop::sample::select(WindowSize::ALL.to_vec()), 0_i64..4, 1_u64..9, 1_u64..5)
        .prop_flat_map(move |(size, minute, frames, rev)| {
            // Every window has all three: a row's metrics only ever grow.
            let histograms = (histogram(frames), histogram(frames), histogram(frames + rev % 2));
            (Just((size, minute, frames, rev)), histograms)
        })
        .prop_flat_map(move |(key, histograms)| {
            (Just(key), Just(histograms), prop::sample::select(statuses.clone()))
        })
        .prop_map(move |((size, minute, frames, rev), (a, b, c), status)| WindowState {
            status,
            metrics: vec![(name("a"), a), (name("b"), b), (name("ç"), c)],
            ..window(id, size, at(minute), frames, rev)
        })
}

fn any_change() -> impl Strategy<Value = SourceChange> {
    (1_i64..4, 1_u64..4, 0_u64..9).prop_flat_map(|(id, rev, frames)| {
        prop::collection::vec(any_window(id), 0..5)
            .prop_map(move |windows| SourceChange { windows, ..change(id, rev, frames.max(1)) })
    })
}

fn any_commit() -> impl Strategy<Value = Commit> {
    let advances = prop::collection::vec((0_u32..3, 1_u64..3, 0_u64..3, 0_u64..3), 0..3)
        .prop_map(|all| all.into_iter().map(|(p, epoch, from, n)| advance(p, epoch, from, n)));
    let parks = prop::collection::vec((0_u32..3, 0_u64..1_000_000), 0..2)
        .prop_map(|all| all.into_iter().map(|(p, offset)| parked(p, offset)));
    (advances, prop::collection::vec(any_change(), 0..3), parks).prop_map(
        |(partitions, sources, parked)| Commit {
            partitions: partitions.collect(),
            sources,
            parked: parked.collect(),
        },
    )
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0_u32..3, 0_u64..3).prop_map(|(partition, first)| Step::Claim { partition, first }),
        9 => any_commit().prop_map(Step::Commit),
        1 => (0_u32..3, 0_u64..3).prop_map(|(partition, end)| Step::LostEnd { partition, end }),
        1 => (0_u32..3).prop_map(|partition| Step::Rewind { partition }),
        1 => Just(Step::Reopen),
    ]
}

/// Compares every answer of `state` with the model's.
fn agree(state: &dyn StateStore, model: &Model) -> Result<(), TestCaseError> {
    prop_assert_eq!(state.audit().unwrap(), model.audit());
    prop_assert_eq!(state.sources().unwrap(), model.sources());
    prop_assert_eq!(state.parked(3).unwrap(), model.parked(3));
    prop_assert_eq!(state.open_sources().unwrap(), model.open_sources());
    for partition in (0..4).map(Partition) {
        let standing = state.standing(&log(), partition).unwrap();
        prop_assert_eq!(standing, model.standing(&log(), partition));
    }
    for id in 1..5 {
        let id = source(id);
        prop_assert_eq!(state.source(id).unwrap(), model.source(id));
        let open = state.open_windows(id).unwrap();
        prop_assert_eq!(open, model.open_windows(id));
        let session = SessionId::derived_from(&i64::from(id).to_be_bytes());
        prop_assert_eq!(state.seqs(id, session, 0).unwrap(), model.seqs(id, session, 0));
        for size in WindowSize::ALL {
            for (newest_first, metric) in [(false, None), (true, Some(name("b")))] {
                let limit = 3;
                let query = SeriesQuery { newest_first, metric, limit, ..whole_series(id, size) };
                prop_assert_eq!(state.series(&query).unwrap(), model.series(&query));
            }
            let one = state.window(id, size, at(1)).unwrap();
            prop_assert_eq!(one, model.window(id, size, at(1)));
        }
    }
    Ok(())
}

pub(crate) fn random_commits_read_back_like_the_model(test: &impl TestState) {
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 60,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let steps = prop::collection::vec(any_step(), 1..25);
    let outcome = runner.run(&steps, |steps| {
        test.clear();
        let mut state = test.open();
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Reopen => state = test.open(),
                Step::Claim { partition, first } => {
                    let (partition, first) = (Partition(partition), Offset(first));
                    let ours = state.claim(&log(), partition, first).unwrap();
                    prop_assert_eq!(ours, model.claim(&log(), partition, first));
                }
                Step::LostEnd { partition, end } => {
                    let (partition, end) = (Partition(partition), Offset(end));
                    state.lost_end(&log(), partition, end).unwrap();
                    model.lost_end(&log(), partition, end);
                }
                Step::Rewind { partition } => {
                    let rewound = state.rewind(&log(), Partition(partition)).unwrap();
                    prop_assert_eq!(rewound, model.rewind(&log(), Partition(partition)));
                }
                Step::Commit(commit) => {
                    if commit.parked.iter().any(|new| {
                        model.parked(u32::MAX).iter().any(|old| {
                            (&old.log, old.partition, old.offset)
                                == (&new.log, new.partition, new.offset)
                        })
                    }) {
                        continue;
                    }
                    let expected = model.commit(&commit);
                    let done = state.commit(&commit);
                    let done = done.map_err(|error| Refusal::of(&error).expect("a refusal"));
                    prop_assert_eq!(done, expected);
                }
            }
        }
        agree(&*state, &model)
    });
    if let Err(failed) = outcome {
        panic!("{failed}");
    }
}
