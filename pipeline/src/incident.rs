//! What keeps a partition from being counted on until a person has decided.

use std::fmt;

use schemas::log::{LogId, LogName, Offset};

/// Why a partition is not counted. To go on all the same would be a guess: about
/// frames that were lost, or about frames that may have been counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incident {
    /// The log deleted offsets `[wanted, low)` before they were counted.
    Gap { wanted: Offset, low: Offset },
    /// The log lost records, at `end` or later, although offsets up to `wanted`
    /// were counted, and gives their offsets to new ones.
    LostEnd { wanted: Offset, end: Offset },
    /// Another log is found under the name of the one that is counted.
    Replaced { name: LogName, was: LogId, now: LogId },
}

impl Incident {
    /// The name of its kind, in labels.
    pub const fn kind(&self) -> &'static str {
        match self {
            Incident::Gap { .. } => "gap",
            Incident::LostEnd { .. } => "lost_end",
            Incident::Replaced { .. } => "replaced",
        }
    }
}

impl fmt::Display for Incident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Incident::Gap { wanted, low } => write!(
                f,
                "the log deleted offsets {wanted} to {low} before they were counted; `animov log \
                 skip` goes on at {low} and writes the gap into the ledger"
            ),
            Incident::LostEnd { wanted, end } => write!(
                f,
                "counted up to offset {wanted}, but the log lost what it had acknowledged, at \
                 {end} or later; `animov log rewind` goes on at {end}, and nothing is counted twice"
            ),
            Incident::Replaced { name, was, now } => write!(
                f,
                "{name} is another log than the one that is counted: it was {was} and is {now}; \
                 `animov log accept` has the new one counted from its beginning"
            ),
        }
    }
}
