//! Which partitions of a log a process is to read: all of them, or those that
//! the members of a group share out among themselves.
//!
//! This is a courtesy between processes, not what keeps the rows right: a member
//! that was cut off learns too late that another has taken over. What keeps them
//! right is the owner's epoch, which every commit compares.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{LogError, Offset, Partition};
use crate::stop::Stop;

/// Hands out the partitions that this process is to read.
pub trait Ownership: Send {
    /// The partitions that are this process's now; waits up to `wait` while it
    /// has none. `None`: it has none yet.
    ///
    /// What was held before is let go of first (dropped), or it would be waited
    /// for in vain.
    ///
    /// # Errors
    ///
    /// This process will not be given any: it was shut out, or the group cannot
    /// be. An error that [may pass](LogError::may_succeed_later) is not given,
    /// but waited for.
    fn hold(&mut self, wait: Duration) -> Result<Option<Held>, LogError>;

    /// Shows to whoever watches the group up to which offset each partition is
    /// committed. Nobody ever reads from there on, so this may be late, or lost.
    fn committed(&self, next: &BTreeMap<Partition, Offset>);
}

/// Partitions that are this process's until [`changed`](Held::changed) is
/// stopped: then it commits what it can, and drops this. Another process gets
/// them then, or when it has waited long enough.
#[derive(Debug)]
pub struct Held {
    /// Never empty.
    pub partitions: BTreeSet<Partition>,
    /// Stopped when other partitions are this process's, more or fewer.
    pub changed: Stop,
    /// Stopped when this is dropped.
    released: Stop,
}

impl Held {
    /// Hands out `partitions`; whoever does keeps both ends: `changed` to stop,
    /// `released` to wait for.
    pub fn new(partitions: BTreeSet<Partition>, changed: Stop, released: Stop) -> Held {
        Held { partitions, changed, released }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.released.stop();
    }
}

/// Every partition, for ever: the only process that reads.
#[derive(Clone, Copy, Debug)]
pub struct EveryPartition {
    /// How many there are.
    pub partitions: u32,
}

impl Ownership for EveryPartition {
    fn hold(&mut self, _wait: Duration) -> Result<Option<Held>, LogError> {
        let partitions = (0..self.partitions).map(Partition).collect();
        Ok(Some(Held::new(partitions, Stop::default(), Stop::default())))
    }

    fn committed(&self, _next: &BTreeMap<Partition, Offset>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_only_reader_holds_every_partition_and_nothing_changes_it() {
        let mut every = EveryPartition { partitions: 3 };
        let held = every.hold(Duration::ZERO).unwrap().unwrap();
        assert!(held.partitions.iter().map(|partition| partition.0).eq(0..3));
        assert!(!held.changed.is_stopped());
    }

    #[test]
    fn dropping_what_is_held_lets_go_of_it() {
        let (changed, released) = (Stop::default(), Stop::default());
        let held = Held::new(BTreeSet::from([Partition(0)]), changed.clone(), released.clone());
        changed.stop();
        assert!(held.changed.is_stopped() && !released.is_stopped());
        drop(held);
        assert!(released.is_stopped());
    }
}
