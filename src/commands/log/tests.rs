use schemas::commit::LogBook;
use schemas::log::{Bounds, LogError, LogId, LogName, LogReader, Offset};
use schemas::source::SourceId;
use sinks::state::sqlite::SqliteState;

use super::accept::accept;
use super::rewind::rewind;
use super::skip::skip;
use super::*;

const FIRST: Partition = Partition(0);

/// A log that holds these offsets, and nothing to read.
struct Holds {
    id: &'static str,
    low: u64,
    high: u64,
}

impl FrameLog for Holds {
    fn identity(&self) -> LogId {
        LogId(self.id.into())
    }

    fn name(&self) -> Option<LogName> {
        Some(LogName("kafka:frames".into()))
    }

    fn partitions(&self) -> u32 {
        1
    }

    fn append(&self, _: &[(SourceId, &[u8])]) -> Result<(), LogError> {
        Err(LogError::ReadOnly)
    }

    fn bounds(&self, _: Partition) -> Result<Bounds, LogError> {
        Ok(Bounds { low: Offset(self.low), high: Offset(self.high) })
    }

    fn reader(&self, _: Partition, _: Offset) -> Result<Box<dyn LogReader>, LogError> {
        Err(LogError::ReadOnly)
    }

    fn schemas(&self) -> Result<Vec<String>, LogError> {
        Ok(Vec::new())
    }
}

fn holds(low: u64, high: u64) -> Holds {
    Holds { id: "a-log", low, high }
}

/// Tables in which partition 0 of `a-log` is counted up to `next`.
fn counted_up_to(next: u64) -> (tempfile::TempDir, SqliteState) {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteState::open(dir.path().join("state.sqlite")).unwrap();
    store.claim(&holds(0, 0).identity(), FIRST, Offset(0)).unwrap();
    skip(&holds(next, next), &store, FIRST).unwrap();
    (dir, store)
}

/// First and next offset, and the gap, of each account.
fn accounts(store: &SqliteState) -> Vec<(u64, u64, u64)> {
    let audit = store.audit().unwrap();
    assert_eq!(audit.imbalances(), Vec::<String>::new());
    let accounts = audit.partitions.iter();
    accounts.map(|at| (at.first_offset.0, at.next_offset.0, at.ledger.gap)).collect()
}

#[test]
fn what_the_log_deleted_is_given_up_once_and_stands_in_the_ledger() {
    let (_dir, store) = counted_up_to(5);
    assert!(skip(&holds(0, 5), &store, Partition(1)).is_err(), "no such partition");
    skip(&holds(40, 50), &store, FIRST).unwrap();
    // Nothing is missing any more, and nobody is fenced.
    let epoch = store.audit().unwrap().partitions[0].owner_epoch;
    skip(&holds(40, 50), &store, FIRST).unwrap();
    assert_eq!(store.audit().unwrap().partitions[0].owner_epoch, epoch);
    let refused = skip(&holds(0, 20), &store, FIRST).unwrap_err().to_string();
    assert!(refused.contains("animov log rewind"), "{refused}");
    assert_eq!(accounts(&store), [(0, 40, 40)]);
}

#[test]
fn a_partition_is_rewound_to_where_its_log_ended_and_only_if_it_did() {
    let (_dir, store) = counted_up_to(10);
    let told = rewind(&holds(0, 10), &store, FIRST).unwrap();
    assert!(told.contains("nothing is changed"), "{told}");
    assert_eq!(accounts(&store), [(0, 10, 10)]);
    // A pipeline saw it end at 4; it has grown since.
    store.lost_end(&holds(0, 4).identity(), FIRST, Offset(4)).unwrap();
    let told = rewind(&holds(0, 12), &store, FIRST).unwrap();
    assert!(told.contains("goes on at offset 4"), "{told}");
    assert_eq!(accounts(&store), [(4, 4, 0), (0, 10, 10)]);
    // Nobody but the command has seen this one.
    rewind(&holds(0, 1), &store, FIRST).unwrap();
    assert_eq!(accounts(&store)[0], (1, 1, 0));
}

#[test]
fn another_log_is_shown_and_accepted_only_when_asked() {
    let (_dir, store) = counted_up_to(1234);
    let told = accept(&holds(0, 5), &store, true).unwrap();
    assert!(told.contains("nothing is changed"), "{told}");
    let other = Holds { id: "another", low: 3, high: 12_000 };
    for refused in [skip(&other, &store, FIRST), rewind(&other, &store, FIRST)] {
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("decide about that first"), "{refused}");
    }
    insta::assert_snapshot!(accept(&other, &store, false).unwrap(), @r"
    counted so far: a-log
      partition 0 up to offset 1,234
    there now: another
      partition 0 from offset 3 to 12,000

    nothing is changed; `animov log accept --yes` has the new log counted from its beginning
    ");
    let name = other.name().unwrap();
    assert_eq!(store.counted(&name, &other.identity()).unwrap().0, "a-log".into());
    insta::assert_snapshot!(accept(&other, &store, true).unwrap(), @r"
    counted so far: a-log
      partition 0 up to offset 1,234
    there now: another
      partition 0 from offset 3 to 12,000

    the new log is counted from its beginning; what was counted of the old one stays
    ");
    assert_eq!(store.counted(&name, &other.identity()).unwrap(), other.identity());
}
