//! What can be asked: series, open windows, parked records, and whether all adds up.

use schemas::commit::{
    Commit, CommitError, Ledger, ParkReason, Parked, SeriesQuery, StateStore, Status, WindowState,
};
use schemas::log::Offset;
use schemas::source::SourceId;
use schemas::stats::Histogram;
use schemas::window::WindowSize;

use crate::conformance::log::source;
use crate::conformance::state::samples::{
    advance, at, change, claim, name, parked, ten_frames, whole_series, window,
};
use crate::conformance::state::{TestState, everything};

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
