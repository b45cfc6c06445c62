//! What every [`LogBook`](schemas::commit::LogBook) must do.

use std::thread;

use schemas::commit::logbook::{Rewound, Standing};
use schemas::commit::{Commit, Ledger, PartitionAdvance};
use schemas::log::{LogId, LogName, Offset, Partition};

use crate::conformance::model::Refusal;
use crate::conformance::state::{TestState, log, parked, refusal};

/// One test for each thing that a log book must do.
macro_rules! logbook_conformance {
    ($state:ty) => {
        $crate::conformance::logbook::logbook_conformance!($state:
            a_name_stands_for_its_first_log_until_another_is_accepted,
            of_many_who_name_a_log_at_once_one_is_right,
            a_partition_stands_where_it_is_committed,
            the_lowest_end_that_was_seen_stands_until_it_is_decided,
            offsets_that_come_again_are_counted_in_an_account_of_their_own,
        );
    };
    ($state:ty: $($case:ident,)*) => {
        $(
            #[test]
            fn $case() {
                match <$state as $crate::conformance::state::TestState>::new() {
                    Some(state) => $crate::conformance::logbook::$case(&state),
                    None => println!("skipped"),
                }
            }
        )*
    };
}
pub(crate) use logbook_conformance;

const ONLY: Partition = Partition(0);

fn name() -> LogName {
    LogName("kafka:frames".into())
}

fn other() -> LogId {
    LogId("another-log".into())
}

pub(crate) fn a_name_stands_for_its_first_log_until_another_is_accepted(test: &impl TestState) {
    let state = test.open();
    assert_eq!(state.counted(&name(), &log()).unwrap(), log());
    assert_eq!(state.counted(&name(), &other()).unwrap(), log(), "the first stays");
    let elsewhere = LogName("kafka:Frames".into());
    assert_eq!(state.counted(&elsewhere, &other()).unwrap(), other(), "a name of its own");

    let third = LogId("third".into());
    assert_eq!(state.accept(&name(), &third, &other()).unwrap(), log(), "it was never the third");
    assert_eq!(state.accept(&name(), &log(), &other()).unwrap(), other());
    assert_eq!(state.accept(&name(), &log(), &other()).unwrap(), other(), "decided before");
    assert_eq!(test.open().counted(&name(), &log()).unwrap(), other());
    assert_eq!(state.counted(&elsewhere, &log()).unwrap(), other());
}

pub(crate) fn of_many_who_name_a_log_at_once_one_is_right(test: &impl TestState) {
    let states: Vec<_> = (0..4).map(|_| test.open()).collect();
    let told: Vec<LogId> = thread::scope(|scope| {
        let asked: Vec<_> = (0_u32..)
            .zip(&states)
            .map(|(n, state)| {
                let log = LogId(format!("log-{n}").into());
                scope.spawn(move || state.counted(&name(), &log).unwrap())
            })
            .collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    assert!(told.iter().all(|log| *log == told[0]), "{told:?}");
}

pub(crate) fn a_partition_stands_where_it_is_committed(test: &impl TestState) {
    let state = test.open();
    assert_eq!(state.standing(&log(), ONLY).unwrap(), None, "nobody claimed it");
    let owner_epoch = state.claim(&log(), ONLY, Offset(3)).unwrap().owner_epoch;
    let standing = |next| Some(Standing { next_offset: Offset(next), lost_end: None });
    assert_eq!(state.standing(&log(), ONLY).unwrap(), standing(3));
    state.commit(&skipped(owner_epoch, 3, 10)).unwrap();
    assert_eq!(state.standing(&log(), ONLY).unwrap(), standing(10));
    assert_eq!(state.standing(&other(), ONLY).unwrap(), None);
    // To look is not to take over.
    state.commit(&skipped(owner_epoch, 10, 11)).unwrap();
}

pub(crate) fn the_lowest_end_that_was_seen_stands_until_it_is_decided(test: &impl TestState) {
    let state = test.open();
    state.lost_end(&log(), ONLY, Offset(0)).unwrap();
    assert_eq!(state.standing(&log(), ONLY).unwrap(), None, "nothing was counted");
    let owner_epoch = state.claim(&log(), ONLY, Offset(0)).unwrap().owner_epoch;
    state.commit(&skipped(owner_epoch, 0, 10)).unwrap();
    assert_eq!(state.rewind(&log(), ONLY).unwrap(), None, "there is nothing to decide");
    let lost_end = || state.standing(&log(), ONLY).unwrap().unwrap().lost_end;
    state.lost_end(&log(), ONLY, Offset(10)).unwrap();
    assert_eq!(lost_end(), None, "all that was counted is there");
    for (seen, stands) in [(7, 7), (9, 7), (4, 4)] {
        state.lost_end(&log(), ONLY, Offset(seen)).unwrap();
        assert_eq!(lost_end(), Some(Offset(stands)));
    }
    assert!(state.rewind(&log(), ONLY).unwrap().is_some());
    assert_eq!(lost_end(), None);
    // Who saw it before the decision, and says so after it, changes nothing.
    state.lost_end(&log(), ONLY, Offset(4)).unwrap();
    assert_eq!(state.rewind(&log(), ONLY).unwrap(), None);
}

pub(crate) fn offsets_that_come_again_are_counted_in_an_account_of_their_own(
    test: &impl TestState,
) {
    let state = test.open();
    let first = state.claim(&log(), ONLY, Offset(0)).unwrap().owner_epoch;
    state.commit(&one_parked(first, 5)).unwrap();
    state.commit(&skipped(first, 6, 10)).unwrap();
    state.lost_end(&log(), ONLY, Offset(5)).unwrap();
    let rewound = state.rewind(&log(), ONLY).unwrap().unwrap();
    let Rewound { from, to, closed } = &rewound;
    assert_eq!((*from, *to), (Offset(10), Offset(5)));
    assert_eq!(state.standing(closed, ONLY).unwrap().unwrap().next_offset, Offset(10));

    assert_eq!(refusal(state.commit(&skipped(first, 10, 11))), Refusal::Fenced(ONLY));
    assert_eq!(refusal(state.commit(&skipped(first, 5, 6))), Refusal::Fenced(ONLY));
    let claim = state.claim(&log(), ONLY, Offset(0)).unwrap();
    assert_eq!(claim.next_offset, Offset(5));
    // Another record at the very offset of one that was put aside.
    state.commit(&one_parked(claim.owner_epoch, 5)).unwrap();

    let audit = state.audit().unwrap();
    assert_eq!(audit.imbalances(), Vec::<String>::new());
    let accounts = audit.partitions.iter().map(|account| {
        let Ledger { read, gap, .. } = account.ledger;
        (&account.log, account.first_offset.0, account.next_offset.0, read, gap)
    });
    assert_eq!(accounts.collect::<Vec<_>>(), [(&log(), 5, 6, 1, 0), (closed, 0, 10, 1, 9)]);
    let logs: Vec<LogId> = state.parked(9).unwrap().into_iter().map(|old| old.log).collect();
    assert_eq!(logs, [log(), closed.clone()]);
    assert!(state.parked(9).unwrap().iter().all(|old| *old.bytes == *long().bytes));

    // And once more.
    state.lost_end(&log(), ONLY, Offset(0)).unwrap();
    let again = state.rewind(&log(), ONLY).unwrap().unwrap();
    assert_ne!(again.closed, *closed);
    assert_eq!(state.audit().unwrap().imbalances(), Vec::<String>::new());
}

/// A record longer than one row of a server.
fn long() -> schemas::commit::Parked {
    let bytes = vec![7; (1 << 20) + 3];
    schemas::commit::Parked { bytes, ..parked(0, 5) }
}

/// Reads up to `offset`, where a record is put aside; what is before is a gap.
fn one_parked(owner_epoch: u64, offset: u64) -> Commit {
    let from = if owner_epoch == 1 { 0 } else { offset };
    let ledger = Ledger { read: 1, parked: 1, gap: offset - from, ..Ledger::default() };
    Commit {
        parked: vec![long()],
        ..advanced(PartitionAdvance { ledger, ..advance(owner_epoch, from, offset + 1) })
    }
}

/// Goes from one offset to another without a record.
fn skipped(owner_epoch: u64, from: u64, to: u64) -> Commit {
    let ledger = Ledger { gap: to - from, ..Ledger::default() };
    advanced(PartitionAdvance { ledger, ..advance(owner_epoch, from, to) })
}

fn advanced(advance: PartitionAdvance) -> Commit {
    Commit { partitions: vec![advance], ..Commit::default() }
}

fn advance(owner_epoch: u64, from: u64, to: u64) -> PartitionAdvance {
    let (from, to) = (Offset(from), Offset(to));
    PartitionAdvance {
        log: log(),
        partition: ONLY,
        owner_epoch,
        from,
        to,
        ledger: Ledger::default(),
    }
}
