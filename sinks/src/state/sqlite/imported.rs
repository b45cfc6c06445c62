//! What was imported, in the same file as the tables.

mod headcounts;
mod minutes;
mod prices;

use std::time::Duration;

use rusqlite::OptionalExtension;
use schemas::commit::StoreError;
use schemas::imported::{
    Chunk, FilesQuery, Headcount, HeadcountFile, ImportedStore, Kept, MinutesQuery, PricesQuery,
    Quarter, QuartersQuery, StoredFile, StoredMinute, StoredPrice, Table, Taken, Visit,
};
use schemas::source::SourceId;
use schemas::time::UnixMillis;

use crate::sqlite::row::from_int;
use crate::state::sqlite::SqliteState;

/// Rows of one transaction: a commit of the pipeline waits no longer than for these.
const ROWS_TOGETHER: usize = 5000;

impl ImportedStore for SqliteState {
    fn put_headcounts(&self, file: &HeadcountFile, rows: &[Headcount]) -> Result<Kept, StoreError> {
        let doing = "keep headcounts in";
        let begun = self.write(doing, |connection| headcounts::begin(connection, file))?;
        if let Some(new) = begun.new {
            return Ok(Kept { new, known: true });
        }
        for rows in rows.chunks(ROWS_TOGETHER) {
            self.write(doing, |connection| headcounts::put(connection, file, begun.number, rows))?;
        }
        let new = self.write(doing, |connection| headcounts::end(connection, begun.number))?;
        Ok(Kept { new, known: false })
    }

    fn headcount_files(&self, query: &FilesQuery) -> Result<Vec<StoredFile>, StoreError> {
        self.read("list the files of headcounts of", |connection| {
            headcounts::files(connection, query)
        })
    }

    fn refused_headcounts(&self, source: SourceId, table: Table) -> Result<u64, StoreError> {
        self.read("count the refused headcounts of", |connection| {
            let mut add = connection.prepare_cached(headcounts::REFUSED)?;
            add.query_row((source.get(), table.number()), |row| from_int(row, 0))
        })
    }

    fn quarters(&self, query: &QuartersQuery) -> Result<Vec<Quarter>, StoreError> {
        self.read("read the headcounts of", |connection| headcounts::quarters(connection, query))
    }

    fn claim_visit(&self, url: &str, now: UnixMillis, every: Duration) -> Result<bool, StoreError> {
        self.write("write the visit of a page to", |connection| {
            prices::claim(connection, url, now, every)
        })
    }

    fn put_prices(&self, visit: &Visit) -> Result<(), StoreError> {
        self.write("keep prices in", |connection| prices::put(connection, visit))
    }

    fn prices(&self, query: &PricesQuery) -> Result<Vec<StoredPrice>, StoreError> {
        self.read("read the prices of", |connection| prices::find(connection, query))
    }

    fn delete_visits_before(&self, moment: UnixMillis) -> Result<u64, StoreError> {
        let mut deleted = 0;
        loop {
            let now = self.write("delete old prices of", |connection| {
                prices::delete_before(connection, moment)
            })?;
            deleted += now;
            if now == 0 {
                return Ok(deleted);
            }
        }
    }

    fn minutes_taken(&self, database: &str) -> Result<Taken, StoreError> {
        let taken = self.read("read how far an import has come in", |connection| {
            let mut find = connection.prepare_cached(minutes::TAKEN)?;
            find.query_row([database], minutes::taken).optional()
        });
        Ok(taken?.unwrap_or_default())
    }

    fn put_minutes(&self, chunk: &Chunk) -> Result<(), StoreError> {
        self.write("keep minutes in", |connection| minutes::put(connection, chunk))
    }

    fn imported_minutes(&self, query: &MinutesQuery) -> Result<Vec<StoredMinute>, StoreError> {
        self.read("read the imported minutes of", |connection| minutes::find(connection, query))
    }
}
