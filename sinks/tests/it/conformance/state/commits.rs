//! Claims and commits: whole or not at all, once, by the owner.

use std::sync::Arc;
use std::thread;

use schemas::commit::{Commit, CommitError, SeqBlock, Shape, StateStore, Status, StoreError};
use schemas::intervals::Intervals;
use schemas::log::{LogId, Offset, Partition};
use schemas::metric::MetricRules;
use schemas::stats::Histogram;
use schemas::time::UnixMillis;
use schemas::window::{Window, WindowSize};

use crate::conformance::log::source;
use crate::conformance::model::Refusal;
use crate::conformance::state::samples::{
    MINUTE, advance, at, change, claim, log, name, parked, ten_frames,
};
use crate::conformance::state::{TestState, everything, refusal};

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
