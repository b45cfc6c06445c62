//! Answers to `COMMIT` that get lost.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use schemas::commit::{Commit, CommitError, Ledger, StateStore, Status};
use schemas::log::{Offset, Partition};
use sinks::config::MySqlConfig;
use sinks::state::mysql::MySqlState;

use crate::commits::{log, minutes, next_offset, nth};
use crate::conformance::state::everything;
use crate::mysql::database::Database;
use crate::mysql::proxy::{Cut, Proxy};

/// Tables behind a proxy; their owner's epoch is 1.
fn behind_a_proxy(database: &Database, answer_timeout: Duration) -> (Proxy, MySqlState) {
    let mut config = MySqlConfig { answer_timeout, ..database.config() };
    let proxy = Proxy::to(&database.server.host, database.server.port);
    config.url.host = "127.0.0.1".into();
    config.url.port = proxy.port();
    let state = MySqlState::open(&config, database.password().as_ref()).unwrap();
    state.claim(&log(), Partition(0), Offset(0)).unwrap();
    (proxy, state)
}

/// The n-th commit of a story in which every other one only closes the windows
/// of the one before, and moves no offset.
fn opening_and_closing(n: u64) -> Commit {
    let mut commit = nth(n / 2, 3);
    let [source] = &mut commit.sources[..] else { panic!("one source") };
    source.state.rev = n + 1;
    if n % 2 == 1 {
        let [advance] = &mut commit.partitions[..] else { panic!("one partition") };
        advance.from = advance.to;
        advance.ledger = Ledger::default();
        source
            .windows
            .iter_mut()
            .for_each(|window| (window.status, window.rev) = (Status::Final, 2));
    }
    commit
}

/// Commits until it is applied; how often it had to be tried again.
fn insist(state: &MySqlState, commit: &Commit) -> u32 {
    for again in 0..10 {
        match state.commit(commit) {
            Ok(()) => return again,
            Err(CommitError::Store(error)) if error.may_succeed_later() => {}
            Err(error) => panic!("{error}"),
        }
    }
    panic!("ten times in vain");
}

#[test]
fn a_commit_whose_answer_is_lost_is_applied_once() {
    const COMMITS: u64 = 240;
    let (Some(database), Some(uncut)) = (Database::new(), Database::new()) else { return };
    let (proxy, state) = behind_a_proxy(&database, Duration::from_secs(20));
    let mut tried_again = BTreeMap::<Option<Cut>, Vec<u32>>::new();
    for n in 0..COMMITS {
        let cut =
            [None, Some(Cut::Before), Some(Cut::Meanwhile), Some(Cut::Answer), Some(Cut::Answer)];
        let cut = cut[usize::try_from(n).unwrap() % cut.len()];
        if let Some(cut) = cut {
            proxy.cut_next(cut);
        }
        tried_again.entry(cut).or_default().push(insist(&state, &opening_and_closing(n)));
        assert!(proxy.has_cut());
    }
    // What the server did get is found, and what it did not is told.
    let all = |cut, again| tried_again[&cut].iter().all(|tried| *tried == again);
    assert!(all(None, 0) && all(Some(Cut::Before), 1) && all(Some(Cut::Answer), 0));
    let lost = state.metrics().lost_answers();
    // One that breaks meanwhile may just have been answered.
    assert!((COMMITS / 5 * 3..=COMMITS / 5 * 4).contains(&lost), "{lost}");
    let meanwhile = tried_again[&Some(Cut::Meanwhile)].iter().filter(|again| **again == 0);
    println!("{lost} answers lost; cut meanwhile and applied: {}", meanwhile.count());

    let expected = uncut.open();
    expected.claim(&log(), Partition(0), Offset(0)).unwrap();
    (0..COMMITS).for_each(|n| expected.commit(&opening_and_closing(n)).unwrap());
    assert_eq!(everything(&state), everything(&expected));
}

#[test]
fn while_the_server_is_away_a_lost_commit_waits_for_its_outcome() {
    let Some(database) = Database::new() else { return };
    let (proxy, state) = behind_a_proxy(&database, Duration::from_secs(20));
    for (cut, done) in [(Cut::Answer, 1), (Cut::Before, 2)] {
        let commit = nth(done - 1, 3);
        proxy.cut_next(cut);
        proxy.close();
        for _ in 0..3 {
            match state.commit(&commit).unwrap_err() {
                CommitError::Store(error) => assert!(error.may_succeed_later(), "{error}"),
                other => panic!("{other}"),
            }
        }
        proxy.open();
        state.commit(&commit).unwrap();
        assert_eq!((next_offset(&state), minutes(&state)), (done * 12, done * 3));
        // Nothing is unknown any more.
        assert!(matches!(state.commit(&commit), Err(CommitError::Fenced { .. })));
    }
}

#[test]
fn another_commit_than_the_lost_one_is_compared_as_always() {
    let Some(database) = Database::new() else { return };
    let (proxy, state) = behind_a_proxy(&database, Duration::from_secs(20));
    proxy.cut_next(Cut::Answer);
    proxy.close();
    assert!(state.commit(&nth(0, 3)).is_err());
    proxy.open();
    // The same offsets, cut differently: the lost one was applied.
    assert!(matches!(state.commit(&nth(0, 2)), Err(CommitError::Fenced { .. })));
    state.commit(&nth(1, 3)).unwrap();
    assert_eq!((next_offset(&state), minutes(&state)), (24, 6));
}

#[test]
fn an_answer_that_never_comes_is_not_waited_for() {
    let Some(database) = Database::new() else { return };
    let (proxy, state) = behind_a_proxy(&database, Duration::from_secs(1));
    proxy.cut_next(Cut::SilentAnswer);
    let began = Instant::now();
    state.commit(&nth(0, 3)).unwrap();
    assert!(Duration::from_secs(1) <= began.elapsed());
    assert_eq!((next_offset(&state), minutes(&state)), (12, 3));
}

#[test]
fn as_long_as_a_lost_commit_may_still_arrive_its_outcome_is_unknown() {
    let Some(database) = Database::new() else { return };
    let (proxy, state) = behind_a_proxy(&database, Duration::from_secs(1));
    for (n, arrives) in [(0, true), (1, false)] {
        // It is on its way: the server keeps its transaction, and its locks.
        proxy.cut_next(Cut::Held);
        for _ in 0..2 {
            match state.commit(&nth(n, 3)).unwrap_err() {
                CommitError::Store(error) => assert!(error.may_succeed_later(), "{error}"),
                other => panic!("{other}"),
            }
        }
        assert_eq!(next_offset(&state), n * 12);
        if arrives {
            proxy.deliver();
        } else {
            proxy.break_all();
        }
        insist(&state, &nth(n, 3));
        assert_eq!((next_offset(&state), minutes(&state)), ((n + 1) * 12, (n + 1) * 3));
    }
}
