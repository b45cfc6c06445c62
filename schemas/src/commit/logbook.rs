//! Which logs the tables are counted from, and what a person has decided about
//! them.
//!
//! # Invariants
//!
//! - Under each name one log is counted. Another that is found there is not,
//!   until somebody [accepts](LogBook::accept) it.
//! - A log that was once seen to end before what was counted of it is not
//!   counted on, however much it grows, until somebody
//!   [rewinds](LogBook::rewind): nobody knows which of its records are new.
//! - A decision is one transaction, and neither moves nor hides a count: every
//!   account, the closed ones too, stays in the ledger and balances.

use crate::commit::StoreError;
use crate::log::{LogId, LogName, Offset, Partition};

/// Where counting a partition would go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub next_offset: Offset,
    /// Where the log was seen to end, before `next_offset`.
    pub lost_end: Option<Offset>,
}

/// How a partition was rewound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewound {
    pub from: Offset,
    pub to: Offset,
    /// The log under which the account so far stands in the ledger.
    pub closed: LogId,
}

/// The part of the tables that remembers logs; see the [module](self).
pub trait LogBook: Send + Sync {
    /// Which log is counted under `name`. If none was so far, `log` is from now
    /// on.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or written.
    fn counted(&self, name: &LogName, log: &LogId) -> Result<LogId, StoreError>;

    /// Decides that `now` is counted under `name`, if it was `was` so far; which
    /// log it is afterwards.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or written.
    fn accept(&self, name: &LogName, was: &LogId, now: &LogId) -> Result<LogId, StoreError>;

    /// Where counting `partition` would go on, if it was ever claimed.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or read.
    fn standing(&self, log: &LogId, partition: Partition) -> Result<Option<Standing>, StoreError>;

    /// Remembers that the log of `partition` was seen to end at `end`, if it is
    /// counted further than that. Of several ends the lowest is kept.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or written.
    fn lost_end(&self, log: &LogId, partition: Partition, end: Offset) -> Result<(), StoreError>;

    /// Decides that counting `partition` goes on where its log was seen to end;
    /// nothing is changed, and `None` returned, where it was not.
    ///
    /// Offsets from there on are given to new records, so the account so far is
    /// closed: it and its parked records stand under [`Rewound::closed`] from now
    /// on, and another begins. Earlier owners are fenced.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or written.
    fn rewind(&self, log: &LogId, partition: Partition) -> Result<Option<Rewound>, StoreError>;
}

/// The name under which the account of `log` is closed that had an owner of
/// `owner_epoch`: one that no log and no other account has.
pub fn closed(log: &LogId, owner_epoch: u64) -> LogId {
    LogId(format!("{log}~{owner_epoch}").into())
}
