//! Processes and servers that end without notice.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use schemas::commit::{CommitError, StateStore, StoreError};
use schemas::log::{Offset, Partition};

use crate::child;
use crate::commits::{log, minutes, next_offset, nth};
use crate::mysql::database::Database;
use crate::mysql::own_server::OwnServer;

#[test]
fn a_crash_inside_a_commit_leaves_all_of_it_or_nothing() {
    const TEST: &str = "mysql::killed::a_crash_inside_a_commit_leaves_all_of_it_or_nothing";
    if child::dir().is_some() {
        let state = Database::of_parent().open();
        state.claim(&log(), Partition(0), Offset(0)).unwrap();
        state.commit(&nth(0, 5)).unwrap();
        fail::cfg(std::env::var("AT").unwrap(), "panic").unwrap();
        std::panic::set_hook(Box::new(|_| std::process::abort()));
        state.commit(&nth(1, 5)).unwrap();
        return;
    }
    for (at, expected) in [
        ("commit-before-begin", 1),
        ("commit-between-rows", 1),
        ("commit-before-commit", 1),
        ("commit-after-commit", 2),
    ] {
        let Some(database) = Database::new() else { return };
        let output = database.child(TEST).env("AT", at).output().unwrap();
        assert!(!output.status.success(), "{at} was not met");
        let state = database.open();
        // The claim waits for what the server has not undone yet.
        let claim = state.claim(&log(), Partition(0), Offset(0)).unwrap();
        assert_eq!(claim.next_offset, Offset(expected * 20), "{at}");
        assert_eq!((next_offset(&state), minutes(&state)), (expected * 20, expected * 5), "{at}");
        let mut next = nth(expected, 5);
        next.partitions[0].owner_epoch = claim.owner_epoch;
        state.commit(&next).unwrap();
    }
}

#[test]
fn a_server_killed_under_load_loses_nothing_and_does_nothing_twice() {
    const KILLS: u64 = 6;
    let dir = tempfile::tempdir().unwrap();
    let Some(own) = OwnServer::start(dir.path(), "") else { return };
    let database = Database::on(own.server());
    let state = database.open();
    state.claim(&log(), Partition(0), Offset(0)).unwrap();
    let done = AtomicU64::new(0);
    let tried_again = thread::scope(|scope| {
        let committer = scope.spawn(|| {
            let mut tried_again = 0;
            // Some commits after each kill, and some before the first.
            for n in 0..(KILLS + 1) * 60 {
                let deadline = Instant::now() + Duration::from_secs(120);
                loop {
                    match state.commit(&nth(n, 5)) {
                        Ok(()) => break,
                        Err(CommitError::Store(error)) if error.may_succeed_later() => {
                            tried_again += 1;
                            assert!(Instant::now() < deadline, "{error}");
                            thread::sleep(Duration::from_millis(10));
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
                done.store(n + 1, Ordering::SeqCst);
            }
            tried_again
        });
        for kill in 1..=KILLS {
            while done.load(Ordering::SeqCst) < kill * 60 - 20 && !committer.is_finished() {
                thread::yield_now();
            }
            own.kill();
            assert!(own.start_again());
        }
        committer.join().unwrap()
    });
    let all = (KILLS + 1) * 60;
    println!("{KILLS} kills, {all} commits, {tried_again} tried again");
    assert!(KILLS <= tried_again);
    assert_eq!((next_offset(&state), minutes(&state)), (all * 20, all * 5));
    let ledger = state.audit().unwrap().partitions[0].ledger;
    assert_eq!((ledger.read, ledger.accepted), (all * 20, all * 20));
}

#[test]
fn a_full_server_refuses_whole_commits_and_takes_them_once_it_has_room() {
    let dir = tempfile::tempdir().unwrap();
    // As if the disk ended there: all tables are in files that do not grow.
    let full = "--innodb-file-per-table=0 --innodb-data-file-path=ibdata1:12M;ibdata2:4M";
    let Some(mut own) = OwnServer::start(dir.path(), full) else { return };
    let database = Database::on(own.server());
    let state = database.open();
    state.claim(&log(), Partition(0), Offset(0)).unwrap();
    let mut done = 0;
    let refused = loop {
        match state.commit(&nth(done, 500)) {
            Ok(()) => done += 1,
            Err(error) => break error,
        }
        assert!(done < 1000);
    };
    let CommitError::Store(refused) = refused else { panic!("{refused}") };
    assert!(matches!(refused, StoreError::Full { .. }), "{refused:?}");
    assert!(refused.may_succeed_later() && 0 < done);
    assert_eq!((next_offset(&state), minutes(&state)), (done * 2000, done * 500));

    own.kill();
    assert!(own.start_again_with("--innodb-data-file-path=ibdata1:12M;ibdata2:4M:autoextend"));
    state.commit(&nth(done, 500)).unwrap();
    done += 1;
    assert_eq!((next_offset(&state), minutes(&state)), (done * 2000, done * 500));
}
