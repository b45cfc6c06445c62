//! The seam between what others recorded and the tables: headcounts of CSV files,
//! prices of web pages, and the minutes of another database.
//!
//! # Invariants
//!
//! - What is imported is kept beside what is counted, and never mixed with it: no
//!   window, no ledger and no audit changes.
//! - Importing again what was imported changes nothing: a file is known by its
//!   content, a row of it by all that it says, a minute by its key over there.
//! - Every answer has a limit, and goes on behind the last item that was answered.

pub mod file;
pub mod headcount;
pub mod minute;
pub mod price;

use std::time::Duration;

use crate::commit::StoreError;
use crate::source::SourceId;
use crate::time::UnixMillis;

pub use file::HeadcountFile;
pub use headcount::{FilesQuery, Headcount, Kept, Quarter, QuartersQuery, StoredFile, Table, Wall};
pub use minute::{Chunk, ImportedMinute, MinutesQuery, StoredMinute, Taken};
pub use price::{Price, PricesQuery, StoredPrice, Visit};

/// What was imported.
///
/// Calls block and every wait ends; asynchronous callers use a blocking task.
pub trait ImportedStore: Send + Sync {
    /// Keeps the rows of a file durably, except those that are kept already.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or written. Some rows may have been kept: call
    /// again.
    fn put_headcounts(&self, file: &HeadcountFile, rows: &[Headcount]) -> Result<Kept, StoreError>;

    /// The files that were imported, the newest first.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or read.
    fn headcount_files(&self, query: &FilesQuery) -> Result<Vec<StoredFile>, StoreError>;

    /// How many rows of all imported files of that source and table were refused.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or read.
    fn refused_headcounts(&self, source: SourceId, table: Table) -> Result<u64, StoreError>;

    /// The headcounts of each quarter of an hour that has any, as medians.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or read.
    fn quarters(&self, query: &QuartersQuery) -> Result<Vec<Quarter>, StoreError>;

    /// Whether the caller may visit the page `url` now: nobody has begun to within
    /// `every` of `now`. If it may, nobody else may for as long.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or written.
    fn claim_visit(&self, url: &str, now: UnixMillis, every: Duration) -> Result<bool, StoreError>;

    /// Keeps what a page showed, durably.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or written.
    fn put_prices(&self, visit: &Visit) -> Result<(), StoreError>;

    /// The prices asked for: the newest visit first, each in the page's order.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or read.
    fn prices(&self, query: &PricesQuery) -> Result<Vec<StoredPrice>, StoreError>;

    /// Deletes every visit before `moment` with its prices; returns how many.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or written. Some may have been deleted.
    fn delete_visits_before(&self, moment: UnixMillis) -> Result<u64, StoreError>;

    /// How far the minutes of that database have been taken; nothing yet, if it is
    /// not known.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or read.
    fn minutes_taken(&self, database: &str) -> Result<Taken, StoreError>;

    /// Keeps the minutes of a chunk and how far they go, both or neither. A minute
    /// that is kept already is written over.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or written. What became of the chunk is then
    /// unknown: take it again.
    fn put_minutes(&self, chunk: &Chunk) -> Result<(), StoreError>;

    /// The imported minutes asked for, by time.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or read.
    fn imported_minutes(&self, query: &MinutesQuery) -> Result<Vec<StoredMinute>, StoreError>;
}
