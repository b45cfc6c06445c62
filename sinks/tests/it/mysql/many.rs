//! Several processes, or threads like processes, on the same tables.

use std::process::Stdio;
use std::thread;

use schemas::commit::{Commit, CommitError, Ledger, StateStore};
use schemas::log::{Offset, Partition};
use sinks::state::mysql::MySqlState;

use crate::child;
use crate::commits::{log, minutes, next_offset, nth, nth_of};
use crate::conformance::log::source;
use crate::mysql::database::Database;

#[test]
fn of_several_processes_one_owns_the_partition_at_a_time() {
    const TEST: &str = "mysql::many::of_several_processes_one_owns_the_partition_at_a_time";
    const COMMITS: u64 = 150;
    if child::dir().is_some() {
        race(&Database::of_parent().open(), COMMITS);
        return;
    }
    let Some(database) = Database::new() else { return };
    let racers: Vec<_> =
        (0..3).map(|_| database.child(TEST).stdout(Stdio::piped()).spawn().unwrap()).collect();
    let mut won = 0;
    for racer in racers {
        let output = racer.wait_with_output().unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{told}");
        let (_, count) = told.split_once("won ").expect("a count");
        won += count.split_whitespace().next().unwrap().parse::<u64>().unwrap();
        println!("{}", told.lines().find(|line| line.contains("won ")).unwrap());
    }
    let state = database.open();
    assert_eq!(won, COMMITS, "each commit was applied for one process");
    assert_eq!((next_offset(&state), minutes(&state)), (COMMITS * 20, COMMITS * 5));
    let ledger = state.audit().unwrap().partitions[0].ledger;
    assert_eq!((ledger.read, ledger.accepted), (COMMITS * 20, COMMITS * 20));
}

/// Takes the partition over and commits a few times, until all is done.
fn race(state: &MySqlState, commits: u64) {
    let (mut won, mut fenced) = (0, 0);
    loop {
        let claim = state.claim(&log(), Partition(0), Offset(0)).unwrap();
        let first = claim.next_offset.0 / 20;
        for n in first..commits.min(first + 7) {
            let mut commit = nth(n, 5);
            commit.partitions[0].owner_epoch = claim.owner_epoch;
            match state.commit(&commit) {
                Ok(()) => won += 1,
                Err(CommitError::Fenced { .. }) => {
                    fenced += 1;
                    break;
                }
                Err(error) => panic!("{error}"),
            }
        }
        if first == commits {
            println!("won {won} and was fenced {fenced} times");
            return;
        }
    }
}

#[test]
fn committers_of_different_partitions_all_succeed() {
    const COMMITS: u64 = 40;
    const WHO: u32 = 6;
    let Some(database) = Database::new() else { return };
    // Each with a connection of its own, as a process has.
    let committers: Vec<MySqlState> = (0..WHO).map(|_| database.open()).collect();
    thread::scope(|scope| {
        for (who, state) in (0..).zip(&committers) {
            scope.spawn(move || {
                state.claim(&log(), Partition(who), Offset(0)).unwrap();
                for n in 0..COMMITS {
                    state.commit(&nth_of(who, n, 20)).unwrap();
                }
            });
        }
    });
    let audit = committers[0].audit().unwrap();
    assert!(audit.partitions.iter().all(|account| account.next_offset == Offset(COMMITS * 80)));
    assert_eq!(audit.sources.len(), usize::try_from(WHO).unwrap());
    assert!(audit.sources.iter().all(|account| account.frames[0] == COMMITS * 80));
}

#[test]
fn rows_that_several_lock_are_locked_in_one_order() {
    const ROUNDS: u64 = 150;
    let Some(database) = Database::new() else { return };
    let committers: Vec<MySqlState> = (0..4).map(|_| database.open()).collect();
    for partition in 0..4 {
        committers[0].claim(&log(), Partition(partition), Offset(0)).unwrap();
    }
    // All write the same partitions and sources, each in another order.
    let commit = |turn: usize, n: u64| {
        let parts = (0..4).map(|who| nth_of(who, n, 1));
        let mut all = parts.fold(Commit::default(), |mut all, part| {
            all.partitions.extend(part.partitions);
            all.sources.extend(part.sources);
            all
        });
        all.partitions.rotate_left(turn);
        all.sources.rotate_right(turn);
        all
    };
    let won: u64 = thread::scope(|scope| {
        let threads = committers.iter().enumerate().map(|(turn, state)| {
            scope.spawn(move || {
                let mut won = 0;
                for n in 0..ROUNDS {
                    match state.commit(&commit(turn, n)) {
                        Ok(()) => won += 1,
                        Err(CommitError::Fenced { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                won
            })
        });
        let threads: Vec<_> = threads.collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    let audit = committers[0].audit().unwrap();
    assert!(audit.partitions.iter().all(|account| account.next_offset == Offset(won * 4)));
    assert!(audit.sources.iter().all(|account| account.frames[0] == won * 4));
    assert!(0 < won && won <= ROUNDS, "{won}");
    let deadlocks = committers.iter().map(|state| state.metrics().deadlocks());
    assert_eq!(deadlocks.sum::<u64>(), 0);
}

#[test]
fn of_two_who_meet_a_source_first_one_is_told_that_it_moved() {
    let Some(database) = Database::new() else { return };
    let committers = [database.open(), database.open()];
    for (who, state) in (0..).zip(&committers) {
        state.claim(&log(), Partition(who), Offset(0)).unwrap();
    }
    // Many at once, so that some meet between looking and writing.
    for round in 0..40 {
        let outcomes: Vec<Result<(), CommitError>> = thread::scope(|scope| {
            let threads = (0..).zip(&committers).map(|(who, state)| {
                scope.spawn(move || {
                    let mut commit = nth_of(who, 0, 1);
                    let [change] = &mut commit.sources[..] else { panic!("one source") };
                    change.state.source = source(100 + round);
                    change.windows.clear();
                    // Neither moves its offset, so both may go on.
                    commit.partitions[0].to = Offset(0);
                    commit.partitions[0].ledger = Ledger::default();
                    state.commit(&commit)
                })
            });
            let threads: Vec<_> = threads.collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let moved = outcomes.iter().filter(|outcome| {
            matches!(outcome, Err(CommitError::SourceMoved { expected: 0, found: 1, .. }))
        });
        assert_eq!(moved.count(), 1, "{outcomes:?}");
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    }
}
