//! What was imported, in the same database as the tables.

mod headcounts;
mod minutes;
mod prices;

use std::time::Duration;

use schemas::commit::StoreError;
use schemas::imported::{
    Chunk, FilesQuery, Headcount, HeadcountFile, ImportedStore, Kept, MinutesQuery, PricesQuery,
    Quarter, QuartersQuery, StoredFile, StoredMinute, StoredPrice, Table, Taken, Visit,
};
use schemas::source::SourceId;
use schemas::time::UnixMillis;

use crate::state::mysql::MySqlState;

/// Rows of one transaction: a commit of the pipeline waits no longer than for these.
const ROWS_TOGETHER: usize = 5000;

impl ImportedStore for MySqlState {
    fn put_headcounts(&self, file: &HeadcountFile, rows: &[Headcount]) -> Result<Kept, StoreError> {
        let doing = "keep headcounts in";
        let begun = self.write(doing, async |link| headcounts::begin(link, file).await)?;
        if let Some(new) = begun.new {
            return Ok(Kept { new, known: true });
        }
        let number = begun.number;
        for rows in rows.chunks(ROWS_TOGETHER) {
            self.write(doing, async |link| headcounts::put(link, file, number, rows).await)?;
        }
        let new = self.write(doing, async |link| headcounts::end(link, number).await)?;
        Ok(Kept { new, known: false })
    }

    fn headcount_files(&self, query: &FilesQuery) -> Result<Vec<StoredFile>, StoreError> {
        self.read("list the files of headcounts of", async |link| {
            headcounts::files(link, query).await
        })
    }

    fn refused_headcounts(&self, source: SourceId, table: Table) -> Result<u64, StoreError> {
        self.read("count the refused headcounts of", async |link| {
            headcounts::refused(link, source, table).await
        })
    }

    fn quarters(&self, query: &QuartersQuery) -> Result<Vec<Quarter>, StoreError> {
        self.view("read the headcounts of", async |link| headcounts::quarters(link, query).await)
    }

    fn claim_visit(&self, url: &str, now: UnixMillis, every: Duration) -> Result<bool, StoreError> {
        self.write("write the visit of a page to", async |link| {
            prices::claim(link, url, now, every).await
        })
    }

    fn put_prices(&self, visit: &Visit) -> Result<(), StoreError> {
        self.write("keep prices in", async |link| prices::put(link, visit).await)
    }

    fn prices(&self, query: &PricesQuery) -> Result<Vec<StoredPrice>, StoreError> {
        self.view("read the prices of", async |link| prices::find(link, query).await)
    }

    fn delete_visits_before(&self, moment: UnixMillis) -> Result<u64, StoreError> {
        let mut deleted = 0;
        loop {
            let now = self.write("delete old prices of", async |link| {
                prices::delete_before(link, moment).await
            })?;
            deleted += now;
            if now == 0 {
                return Ok(deleted);
            }
        }
    }

    fn minutes_taken(&self, database: &str) -> Result<Taken, StoreError> {
        let taken = self.read("read how far an import has come in", async |link| {
            minutes::taken(link, database).await
        });
        Ok(taken?.unwrap_or_default())
    }

    fn put_minutes(&self, chunk: &Chunk) -> Result<(), StoreError> {
        self.write("keep minutes in", async |link| minutes::put(link, chunk).await)
    }

    fn imported_minutes(&self, query: &MinutesQuery) -> Result<Vec<StoredMinute>, StoreError> {
        self.read("read the imported minutes of", async |link| minutes::find(link, query).await)
    }
}
