//! Minutes that the original system computed: statistics without the histogram
//! that they are of. They cannot be merged, so they never become windows.

use crate::source::SourceId;
use crate::time::UnixMillis;

/// One row of another database's table of minutes. What is NULL there is none here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedMinute {
    /// Its key there.
    pub id: i64,
    pub source: SourceId,
    pub start: UnixMillis,
    pub frames: Option<i32>,
    pub total: Measured,
    pub lying: Measured,
    pub standing: Measured,
}

/// Statistics of one posture over a minute's frames.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// Animals, added up over the frames.
    pub sum: Option<i32>,
    pub min: Option<i32>,
    pub max: Option<i32>,
    pub std: Option<Thousandths>,
    pub q1: Option<Thousandths>,
    pub median: Option<Thousandths>,
    pub q3: Option<Thousandths>,
    /// The most frequent counts, as that system wrote them.
    pub modes: Option<String>,
}

/// A number of three decimals, exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Thousandths(pub i32);

impl Thousandths {
    /// The number itself.
    pub fn value(self) -> f64 {
        f64::from(self.0) / 1000.0
    }
}

/// How far a database's minutes have been taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// The highest key that was read there; none before the first.
    pub last_id: Option<i64>,
    /// Rows that were read in all.
    pub rows_read: u64,
    /// Rows of those that could not be taken.
    pub rows_refused: u64,
}

/// Minutes that are kept together with how far they go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The database they are from, for a person: `mysql://host:3306/ANIMOV`.
    pub database: String,
    pub minutes: Vec<ImportedMinute>,
    /// How far they have been taken with this chunk.
    pub taken: Taken,
    pub now: UnixMillis,
}

/// A minute that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMinute {
    /// The number that its database has here, from 1.
    pub origin: u32,
    /// See [`Chunk::database`].
    pub database: String,
    pub minute: ImportedMinute,
}

impl StoredMinute {
    /// Its name among those of its source.
    pub fn name(&self) -> MinuteId {
        MinuteId { start: self.minute.start, origin: self.origin, id: self.minute.id }
    }
}

/// Names a minute among those of its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MinuteId {
    pub start: UnixMillis,
    pub origin: u32,
    pub id: i64,
}

/// Which minutes to read, in the order of their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinutesQuery {
    pub source: SourceId,
    /// Minutes that start at this moment or later.
    pub from: UnixMillis,
    /// Minutes that start before this moment.
    pub to: UnixMillis,
    pub newest_first: bool,
    /// Only what comes behind this one.
    pub after: Option<MinuteId>,
    pub limit: u32,
}
